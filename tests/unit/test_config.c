#include "config/config.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/option.h"
#include "tests/test.h"

#define TOKENS "slack: { app_token: xapp-1-a, bot_token: xoxb-1-b }\n"

static char directory[256];

static char *path_to(const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static void write_text(const char *name, const char *text)
{
    AUTO_FREE char *path = path_to(name);
    struct err err = { 0 };

    if (file_write(path, text, strlen(text), 0600, &err) < 0)
        fail_msg("%s", err.message);
}

/* Loads `yaml` as a file; the problems, with the path shortened to "f", go into `problems`. */
static struct config *load(const char *yaml, bool needs_slack, struct buf *problems)
{
    AUTO_FREE char *path = path_to("f");
    struct config *config = NULL;
    struct err err = { 0 };
    AUTO_BUF struct buf raw = { 0 };

    buf_init(&raw, 1 << 20);
    buf_init(problems, 1 << 20);
    write_text("f", yaml);
    if (config_load(path, needs_slack, &config, &raw, &err) < 0)
        CHECK_INT(err.kind, ERR_INPUT, yaml);
    for (const char *at = buf_text(&raw); *at;) {
        size_t path_len = strlen(path);

        if (strncmp(at, path, path_len) == 0) {
            at += path_len;
            buf_append_char(problems, 'f');
        } else {
            buf_append_char(problems, *at++);
        }
    }
    CHECK_INT(config == NULL, raw.len > 0, "a refused file has problems, a good one has none");
    return config;
}

static struct config *load_good(const char *yaml)
{
    AUTO_BUF struct buf problems = { 0 };
    struct config *config = load(yaml, true, &problems);

    if (!config)
        fail_msg("refused: %s", buf_text(&problems));
    return config;
}

static void expect_problem(const char *yaml, const char *want, const char *because)
{
    AUTO_BUF struct buf problems = { 0 };
    struct config *config = load(yaml, true, &problems);

    CHECK_INT(config == NULL, 1, because);
    CHECK_HOLDS(buf_text(&problems), want, because);
}

static void what_is_left_out_has_its_default(void)
{
    struct config *config = load_good(TOKENS);

    CHECK_TEXT(config->slack.app_token, "xapp-1-a", "as given");
    CHECK_TEXT(config->slack.bot_token, "xoxb-1-b", "as given");
    CHECK_TEXT(config->slack.app_token_file, "", "never NULL");
    CHECK_TEXT(config->slack.api_url, "https://slack.com/api/", "default");
    CHECK_INT(config->slack.connections, 2, "default");
    CHECK_INT(config->slack.reply, CONFIG_REPLY_AUTO, "default");
    CHECK_INT(config->slack.dm, CONFIG_DM_AUTO, "default");
    CHECK_INT(config->slack.ping_interval_ms, 10000, "default");
    CHECK_INT(config->slack.ping_timeout_ms, 30000, "default");
    CHECK_INT(config->access.allow_users.count, 0, "default");
    CHECK_INT(config->access.allow_guests, 0, "default");
    CHECK_INT(config->agent.command.count, 1, "default");
    CHECK_TEXT(config->agent.command.items[0], "cursor-agent", "default");
    CHECK_INT(config->agent.command.items[1] == NULL, 1, "serves as an argv");
    CHECK_INT(config->agent.mode, CONFIG_MODE_ASK, "default");
    CHECK_TEXT(config->agent.model, "", "default");
    CHECK_TEXT(config->agent.workspace, "/srv/workspace", "default");
    CHECK_TEXT(config->agent.env.items[0], "CURSOR_API_KEY", "default");
    CHECK_INT(config->agent.max_running, 4, "default");
    CHECK_INT(config->agent.first_output_timeout_ms, 90000, "default");
    CHECK_INT(config->agent.idle_timeout_ms, 300000, "default");
    CHECK_INT(config->agent.timeout_ms, 900000, "default");
    CHECK_INT(config->agent.kill_grace_ms, 5000, "default");
    CHECK_INT(config->agent.max_output_bytes, 64 << 20, "default");
    CHECK_INT(config->channels_count, 0, "default");
    CHECK_INT(config->memory.scope, CONFIG_SCOPE_USER_THREAD, "default");
    CHECK_INT(config->memory.store, CONFIG_STORE_SQLITE, "default");
    CHECK_INT(config->memory.durability, CONFIG_DURABILITY_TURN, "default");
    CHECK_INT(config->memory.snapshot_interval_ms, 30000, "default");
    CHECK_INT(config->memory.max_bytes, 256 << 20, "default");
    CHECK_INT(config->memory.cache_ttl_ms, 3600000, "default");
    CHECK_INT(config->memory.max_turns, 500, "default");
    CHECK_INT(config->memory.context.budget_tokens, 2000, "default");
    CHECK_INT(config->memory.context.max_messages, 10, "default");
    CHECK_TEXT(config->admin.listen, "127.0.0.1:9464", "default");
    CHECK_INT(config->log.level, LOG_LEVEL_INFO, "default");
    CHECK_INT(config->log.format, LOG_FORMAT_TEXT, "default");
    CHECK_TEXT(config->state_dir, "/var/lib/threadkeeper", "default");
    config_unref(config);
}

static void what_is_written_is_taken(void)
{
    struct config *config = load_good(
        "slack: { app_token: xapp-1-a, bot_token: xoxb-1-b, reply: edit, dm: flat,\n"
        "  api_url: 'http://127.0.0.1:8080/api', connections: 3, ping_interval: 500ms }\n"
        "access:\n"
        "  allow_users: [U1A, W2B]\n"
        "  allow_bots:\n    - B77\n"
        "  allow_guests: true\n"
        "agent:\n"
        "  command: [/opt/agent/bin/run, --flag, two words]\n"
        "  dialect: text\n  mode: write\n  model: 4.1\n"
        "  instructions: |\n    Be brief.\n    Use $${HOME}.\n"
        "  env: []\n  max_output: 1GiB\n  timeout: 24h\n"
        "channels:\n  C1: { mode: plan, workspace: /srv/one, allow_users: [U9] }\n"
        "  C2: { instructions: hello }\n"
        "memory: { scope: channel, store: none, context: { max_messages: 0 } }\n"
        "admin: { listen: \"\" }\n"
        "log: { level: debug, format: json }\n"
        "state_dir: /tmp/state\n");
    const struct config_channel *channel = config_find_channel(config, "C1");

    CHECK_TEXT(config->slack.api_url, "http://127.0.0.1:8080/api/", "ends in a slash");
    CHECK_INT(config->slack.connections, 3, "as written");
    CHECK_INT(config->slack.reply, CONFIG_REPLY_EDIT, "as written");
    CHECK_INT(config->slack.dm, CONFIG_DM_FLAT, "as written");
    CHECK_INT(config->slack.ping_interval_ms, 500, "as written");
    CHECK_INT(config->access.allow_users.count, 2, "as written");
    CHECK_TEXT(config->access.allow_users.items[1], "W2B", "as written");
    CHECK_TEXT(config->access.allow_bots.items[0], "B77", "as written");
    CHECK_INT(config->access.allow_guests, 1, "as written");
    CHECK_INT(config->agent.command.count, 3, "as written");
    CHECK_TEXT(config->agent.command.items[2], "two words", "no shell splits it");
    CHECK_INT(config->agent.dialect, CONFIG_DIALECT_TEXT, "as written");
    CHECK_INT(config->agent.mode, CONFIG_MODE_WRITE, "as written");
    CHECK_TEXT(config->agent.model, "4.1", "a number serves as a text");
    CHECK_TEXT(config->agent.instructions, "Be brief.\nUse ${HOME}.\n", "$${ is a plain ${");
    CHECK_INT(config->agent.env.count, 0, "as written");
    CHECK_INT(config->agent.max_output_bytes, 1 << 30, "as written");
    CHECK_INT(config->agent.timeout_ms, 86400000, "as written");
    CHECK_INT(config->memory.scope, CONFIG_SCOPE_CHANNEL, "as written");
    CHECK_INT(config->memory.store, CONFIG_STORE_NONE, "as written");
    CHECK_INT(config->memory.context.max_messages, 0, "as written");
    CHECK_TEXT(config->admin.listen, "", "as written");
    CHECK_INT(config->log.level, LOG_LEVEL_DEBUG, "as written");
    CHECK_INT(config->log.format, LOG_FORMAT_JSON, "as written");
    CHECK_TEXT(config->state_dir, "/tmp/state", "as written");
    CHECK_INT(config->channels_count, 2, "as written");
    CHECK_INT(channel->has_mode, 1, "as written");
    CHECK_INT(channel->mode, CONFIG_MODE_PLAN, "as written");
    CHECK_TEXT(channel->workspace, "/srv/one", "as written");
    CHECK_TEXT(channel->allow_users.items[0], "U9", "as written");
    CHECK_INT(channel->model == NULL, 1, "not written: the global option");
    channel = config_find_channel(config, "C2");
    CHECK_INT(channel->has_mode, 0, "not written: the global option");
    CHECK_TEXT(channel->instructions, "hello", "as written");
    CHECK_INT(config_find_channel(config, "C3") == NULL, 1, "not there");
    config_unref(config);
}

/* Each row is put behind the tokens' line, so its first line is line 2. */
static void values_out_of_form_or_range_are_refused_at_their_place(void)
{
    static const struct {
        const char *yaml;
        const char *want;
        const char *because;
    } cases[] = {
        { "agent: { max_running: 0 }",
          "f:2:23: agent.max_running: \"0\" is out of range, "
          "accepted: a whole number from 1 to 256",
          "below" },
        { "agent: { max_running: 257 }", "agent.max_running: \"257\" is out of range",
          "above" },
        { "agent: { max_running: -1 }", "\"-1\" is out of range", "negative" },
        { "agent: { max_running: 4.0 }", "\"4.0\" is not a whole number", "a fraction" },
        { "agent: { max_running: four }", "\"four\" is not a whole number", "a word" },
        { "agent: { max_running: 0x4 }", "is not a whole number", "hexadecimal" },
        { "agent: { max_running: 99999999999999999999 }", "is not a whole number", "overflow" },
        { "agent: { max_running: [4] }", "agent.max_running: is a list", "wrong kind" },
        { "agent: { max_running: }", "agent.max_running: has no value", "nothing" },
        { "agent: { max_running: ~ }", "agent.max_running: has no value", "null" },
        { "agent: { timeout: 15 }",
          "agent.timeout: \"15\" is not a duration, accepted: a "
          "duration from 50ms to 1d such as 15m",
          "no unit" },
        { "agent: { timeout: 15 m }", "\"15 m\" is not a duration", "a space" },
        { "agent: { timeout: 1w }", "\"1w\" is not a duration", "unknown unit" },
        { "agent: { timeout: -5s }", "\"-5s\" is not a duration", "negative" },
        { "agent: { timeout: 0s }", "\"0s\" is out of range", "zero" },
        { "agent: { timeout: 2d }", "\"2d\" is out of range", "above" },
        { "agent: { timeout: 999999999999999999d }", "is not a duration", "overflow" },
        { "agent: { max_output: 64MB }", "\"64MB\" is not a size", "a decimal unit" },
        { "agent: { max_output: 64 }", "\"64\" is not a size", "no unit" },
        { "agent: { max_output: 1KiB }", "out of range, accepted: a size from 4KiB to 16GiB",
          "below" },
        { "agent: { mode: edit }",
          "f:2:16: agent.mode: \"edit\" is not one of its values, "
          "accepted: ask, plan or write",
          "unknown word" },
        { "agent: { mode: ASK }", "\"ASK\" is not one of its values", "capitals" },
        { "agent: { command: [] }", "agent.command: is empty, accepted: a list", "no program" },
        { "agent: { command: cursor-agent }", "agent.command: is not a list", "a text" },
        { "agent: { command: [\"\"] }", "is an empty word", "an empty word" },
        { "agent: { command: [[a]] }", "holds something that is not a text", "nested" },
        { "agent: { workspace: here }", "\"here\" is not an absolute path", "relative" },
        { "agent: { workspace: \"\" }", "\"\" is not an absolute path", "empty" },
        { "agent: { workspace: \"/a\\nb\" }", "holds control characters", "a line break" },
        { "agent: { model: -x }", "begins with a dash", "would be an option" },
        { "agent: { model: two words }", "is not one word", "a space" },
        { "agent: { env: [A=B] }", "is not the name of an environment variable", "a value" },
        { "agent: { env: [1A] }", "is not the name of an environment variable", "a digit" },
        { "access: { allow_guests: yes }", "\"yes\" is neither true nor false", "only these" },
        { "access: { allow_users: [alice] }",
          "access.allow_users: \"alice\" is not a member id", "a name" },
        { "access: { allow_users: [C123] }", "\"C123\" is not a member id", "a channel" },
        { "access: { allow_users: }", "has no value (an empty list is written [])",
          "empty would mean everyone" },
        { "access: { allow_users: U1 }", "is not a list", "a text" },
        { "access: { allow_channels: [general] }", "is not a channel id", "a name" },
        { "access: { allow_bots: [C1] }", "is not the id of a bot", "a channel" },
        { "admin: { listen: '9464' }", "is not an address and a port", "port alone" },
        { "admin: { listen: 'example.com:1' }", "does not begin with an IP address", "a name" },
        { "admin: { listen: '127.0.0.1:99999' }", "is not an address and a port", "no port" },
        { "state_dir: state", "f:2:12: state_dir: \"state\" is not an absolute path", "top" },
        { "agent: 5", "f:2:8: agent: is a section", "no section" },
        { "agent: [a]", "agent: is a section", "no section" },
        { "memory: { context: 5 }", "memory.context: is a section", "no section" },
        { "channels: [C1]", "channels: is not a section", "a list" },
        { "channels: { general: { mode: ask } }", "channels.general: is not a channel id", "" },
        { "channels: { C12345678901234567890123456789012: { mode: ask } }",
          "is not a channel id", "longer than any id" },
        { "channels: { C1: ask }", "channels.C1: has no options inside", "a text" },
        { "channels: { C1: { mode: x } }", "channels.C1.mode: \"x\" is not one of",
          "its value" },
        { "channels: { C1: { mod: ask } }",
          "channels.C1.mod: is not an option of a channel, the nearest one is mode",
          "its key" },
        { "channels: { C1: { mode: ask }, C1: { mode: ask } }", "channels.C1: is given twice",
          "repeated" },
        { "agent: { mode: ask }\nagent: { mode: plan }",
          "f:3:1: agent: is given twice (first in line 2)", "repeated section" },
        { "agent: { mode: ask, mode: plan }", "f:2:21: agent.mode: is given twice",
          "repeated option" },
        { "slak: 1", "f:2:1: slak: is not an option, the nearest one is slack", "a section" },
        { "agent: { modes: ask }",
          "agent.modes: is not an option, the nearest one is agent.mode", "a letter more" },
        { "max_turns: 5", "max_turns: is not an option, the nearest one is memory.max_turns",
          "the wrong section" },
        { "agent: { max_turns: 5 }", "the nearest one is memory.max_turns", "wrong section" },
        { "chanels: {}", "the nearest one is channels", "channels counts too" },
        { "agent:\n  model: ${THREADKEEPER_UNSET}",
          "the environment variable THREADKEEPER_UNSET is not set", "unset" },
        { "agent: { model: '${' }", "holds ${ without a variable's name", "malformed" },
        { "agent: { model: '${A-b}' }", "holds ${ without a variable's name", "shell syntax" },
        { "slack: { connections: 2 }", "slack: is given twice", "repeated section" },
        { "agent: { model: &a x }", "anchors and tags are not accepted", "anchor" },
        { "agent: { model: *a }", "aliases are not accepted", "alias" },
        { "agent: { model: !!str x }", "anchors and tags are not accepted", "tag" },
        { "agent: &a { model: x }", "anchors and tags are not accepted", "anchor on a map" },
        { "---\nagent: {}", "a second document begins here", "two documents" },
        { "agent: { model: \"a\\0b\" }", "NUL", "a NUL inside" },
        { "[a]: b", "f:2:1: the name of an option is missing here", "a list as a key" },
        { "? [a]\n: b", "the name of an option is missing here", "a list as a key" },
        { "a: [[[[[[[[[[1]]]]]]]]]]", "nested deeper than 8 levels", "depth" },
        { "agent: { model: x", "this is not YAML", "cut off" },
        { "\tagent: 1", "f:2:1: this is not YAML", "a tab" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *yaml = xasprintf("%s%s\n", TOKENS, cases[i].yaml);

        expect_problem(yaml, cases[i].want, cases[i].yaml);
    }
}

static void slack_options_are_checked(void)
{
    static const struct {
        const char *yaml; /* inside slack: { ... } */
        const char *want; /* NULL: accepted */
    } cases[] = {
        { "app_token: xoxb-1, bot_token: xoxb-2",
          "slack.app_token: is a bot token (xoxb-), which belongs in slack.bot_token" },
        { "app_token: xapp-1, bot_token: xapp-2",
          "slack.bot_token: is an app-level token (xapp-), which belongs in slack.app_token" },
        { "app_token: xapp-1, bot_token: xoxp-2", "is a user token" },
        { "app_token: hello, bot_token: xoxb-2",
          "slack.app_token: is not a token of that kind" },
        { "app_token: xapp-, bot_token: xoxb-2", "is cut off after its prefix" },
        { "app_token: 'xapp-1 ', bot_token: xoxb-2", "holds a character that no token has" },
        { "app_token: xapp-1", "slack.bot_token: is missing, accepted: a bot token" },
        { "bot_token: xoxb-1", "slack.app_token: is missing, accepted: an app-level token" },
        { "app_token: '', bot_token: xoxb-1", "f:1:21: slack.app_token: is missing" },
        { "app_token: '***', bot_token: xoxb-1", "slack.app_token: is the mask of a listing" },
        { "app_token: '${THREADKEEPER_UNSET}', bot_token: xoxb-1",
          "slack.app_token: the environment variable THREADKEEPER_UNSET is not set" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'http://slack.com/api/'",
          "would send tokens unencrypted: http:// is for loopback only" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'http://127.0.0.1.evil.example/'",
          "loopback only" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'http://127.0.0.1@evil.example/'",
          "no place in an API address" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'ftp://slack.com/'",
          "is not an https:// address" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'https:///api/'",
          "has no valid host and port" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'https://a:b/'",
          "has no valid host and port" },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'http://localhost:80/api'", NULL },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'http://[::1]:80/api'", NULL },
        { "app_token: xapp-1, bot_token: xoxb-1, api_url: 'http://127.9.9.9:80'", NULL },
        { "app_token: hello, bot_token: xoxb-1, api_url: 'http://127.0.0.1:80/'",
          "is not a token of that kind" },
        { "app_token: xapp-1, bot_token: xoxb-1, ping_interval: 30s", NULL },
        { "app_token: xapp-1, bot_token: xoxb-1, ping_interval: 1m",
          "slack.ping_timeout: is shorter than slack.ping_interval" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *yaml = xasprintf("slack: { %s }\n", cases[i].yaml);

        if (cases[i].want)
            expect_problem(yaml, cases[i].want, cases[i].yaml);
        else
            config_unref(load_good(yaml));
    }
}

static void all_problems_come_at_once_each_once(void)
{
    AUTO_BUF struct buf problems = { 0 };
    struct config *config =
        load("slack: { app_token: xoxb-9, bot_token: xoxb-1, conections: 3 }\n"
             "agent:\n"
             "  mode: edit\n"
             "  timeout: soon\n"
             "state_dir: x\n",
             true, &problems);
    size_t lines = 0;

    CHECK_INT(config == NULL, 1, "refused");
    for (const char *at = buf_text(&problems); (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    CHECK_INT(lines, 5, buf_text(&problems));
    CHECK_HOLDS(buf_text(&problems), "f:1:21: slack.app_token: ", "first");
    CHECK_HOLDS(buf_text(&problems), "f:1:48: slack.conections: ", "second");
    CHECK_HOLDS(buf_text(&problems), "f:3:9: agent.mode: ", "third");
    CHECK_HOLDS(buf_text(&problems), "f:4:12: agent.timeout: ", "fourth");
    CHECK_HOLDS(buf_text(&problems), "f:5:12: state_dir: ", "fifth");
}

static void no_message_shows_a_token(void)
{
    static const char *const cases[] = {
        "slack: { app_token: xoxb-verysecret123, bot_token: xoxb-1 }\n",
        "slack: { app_token: verysecret123, bot_token: xoxb-1 }\n",
        "slack: { app_token: xapp-1, bot_token: xoxb-1 }\nagent: { model: xoxb-verysecret123 x "
        "}\n",
        "slack: { app_token: xapp-1, bot_token: xoxb-verysecret123 }\n"
        "agent: { mode: xoxb-verysecret123 }\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf problems = { 0 };
        struct config *config = load(cases[i], true, &problems);

        CHECK_INT(config == NULL, 1, cases[i]);
        CHECK_INT(strstr(buf_text(&problems), "verysecret123") == NULL, 1, buf_text(&problems));
    }
}

static void variables_are_expanded_in_texts_and_lists(void)
{
    struct config *config;

    setenv("THREADKEEPER_A", "/srv", 1);
    setenv("THREADKEEPER_N", "7", 1);
    config =
        load_good(TOKENS "agent: { workspace: '${THREADKEEPER_A}/x$y', max_running: "
                         "\"${THREADKEEPER_N}\",\n command: [a, '--in=${THREADKEEPER_A}'] }");
    CHECK_TEXT(config->agent.workspace, "/srv/x$y", "a lone $ stays");
    CHECK_INT(config->agent.max_running, 7, "numbers too");
    CHECK_TEXT(config->agent.command.items[1], "--in=/srv", "list items too");
    config_unref(config);
    unsetenv("THREADKEEPER_A");
    unsetenv("THREADKEEPER_N");
}

static void variables_known_elsewhere_override_the_file(void)
{
    struct config *config;

    setenv("MAX_CONVERSATION_MESSAGES", "25", 1);
    setenv("MAX_HISTORY_LENGTH", "40", 1);
    setenv("MEMORY_PROVIDER", "none", 1);
    config = load_good(TOKENS "memory: { max_turns: 9, context: { max_messages: 9 } }");
    CHECK_INT(config->memory.context.max_messages, 25, "overridden");
    CHECK_INT(config->memory.max_turns, 40, "overridden");
    CHECK_INT(config->memory.store, CONFIG_STORE_NONE, "overridden");
    config_unref(config);

    setenv("MAX_HISTORY_LENGTH", "many", 1);
    setenv("MEMORY_PROVIDER", "", 1);
    expect_problem(TOKENS,
                   "environment: MAX_HISTORY_LENGTH: \"many\" is not a whole number (it "
                   "overrides memory.max_turns), accepted: a whole number from 2 to 1000000",
                   "names the variable");
    setenv("MAX_HISTORY_LENGTH", "3", 1);
    config = load_good(TOKENS);
    CHECK_INT(config->memory.store, CONFIG_STORE_SQLITE,
              "an empty variable is as good as none");
    config_unref(config);
    setenv("SESSION_TTL", "7200", 1);
    config = load_good(TOKENS "memory: { session_ttl: 5m }");
    CHECK_INT(config->memory.session_ttl_ms, 7200000, "a bare number is seconds");
    config_unref(config);
    setenv("SESSION_TTL", "2d", 1);
    config = load_good(TOKENS);
    CHECK_INT(config->memory.session_ttl_ms, 172800000, "or a duration");
    config_unref(config);
    unsetenv("SESSION_TTL");
    unsetenv("MAX_CONVERSATION_MESSAGES");
    unsetenv("MAX_HISTORY_LENGTH");
    unsetenv("MEMORY_PROVIDER");
}

static void tokens_are_read_from_files(void)
{
    struct config *config;
    AUTO_FREE char *elsewhere = path_to("credentials");

    write_text("app", "xapp-from-file\n");
    write_text("bot", "xoxb-from-file\r\n\n");
    config = load_good("slack: { app_token_file: app, bot_token_file: bot }");
    CHECK_TEXT(config->slack.app_token, "xapp-from-file", "beside the configuration");
    CHECK_TEXT(config->slack.bot_token, "xoxb-from-file", "line ends go");
    config_unref(config);

    if (mkdir(elsewhere, 0700) < 0)
        fail();
    write_text("credentials/app", "xapp-from-systemd");
    setenv("CREDENTIALS_DIRECTORY", elsewhere, 1);
    config = load_good("slack: { app_token_file: app, bot_token: xoxb-1 }");
    CHECK_TEXT(config->slack.app_token, "xapp-from-systemd", "from systemd's directory");
    config_unref(config);
    unsetenv("CREDENTIALS_DIRECTORY");

    write_text("empty", "\n");
    write_text("two", "xapp-1\nxapp-2\n");
    expect_problem("slack: { app_token_file: bot, bot_token: xoxb-1 }",
                   "bot holds is a bot token", "swapped");
    expect_problem("slack: { app_token_file: empty, bot_token: xoxb-1 }", "empty holds nothing",
                   "empty");
    expect_problem("slack: { app_token_file: two, bot_token: xoxb-1 }",
                   "holds a character that no token has", "two lines");
    expect_problem("slack: { app_token_file: nowhere, bot_token: xoxb-1 }",
                   "f:1:26: slack.app_token_file: cannot read ", "absent");
    expect_problem("slack: { app_token_file: /dev/zero, bot_token: xoxb-1 }",
                   "is not a regular file", "would never end");
    expect_problem("slack: { app_token_file: app, app_token: xapp-1, bot_token: xoxb-1 }",
                   "slack.app_token_file: is given beside slack.app_token", "both");
}

static void without_slack_tokens_may_be_missing(void)
{
    static const char *const cases[] = {
        "",
        "slack:\n",
        "# nothing\n",
        "slack: { app_token: '${THREADKEEPER_UNSET}', bot_token: '${THREADKEEPER_UNSET}' }",
        "slack: { app_token_file: nowhere }",
        "slack: { app_token: '***', bot_token: '***' }",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf problems = { 0 };
        struct config *config = load(cases[i], false, &problems);

        CHECK_TEXT(buf_text(&problems), "", cases[i]);
        CHECK_TEXT(config->slack.app_token, "", cases[i]);
        config_unref(config);
    }
    {
        AUTO_BUF struct buf problems = { 0 };
        struct config *config =
            load("agent: { model: '${THREADKEEPER_UNSET}' }", false, &problems);

        CHECK_INT(config == NULL, 1, "only tokens may be missing");
    }
    expect_problem("", "f:1:1: slack.app_token: is missing", "needed otherwise");
}

static void the_agent_gets_no_variable_that_holds_a_token(void)
{
    setenv("THREADKEEPER_BOT", "xoxb-1", 1);
    expect_problem("slack: { app_token: xapp-1, bot_token: '${THREADKEEPER_BOT}' }\n"
                   "agent: { env: [HOME, THREADKEEPER_BOT] }",
                   "f:2:15: agent.env: \"THREADKEEPER_BOT\" holds a Slack token", "handed on");
    unsetenv("THREADKEEPER_BOT");
}

static void the_example_is_what_the_table_says_and_loads(void)
{
    AUTO_BUF struct buf want = { 0 };
    AUTO_BUF struct buf got = { 0 };
    struct err err = { 0 };
    struct config *config;
    struct config *defaults = load_good(TOKENS);
    AUTO_BUF struct buf applied = { 0 };
    AUTO_BUF struct buf restart = { 0 };

    buf_init(&want, 1 << 20);
    buf_init(&got, 1 << 20);
    buf_init(&applied, 4096);
    buf_init(&restart, 4096);
    config_print_example(&want);
    if (file_read("config/threadkeeper.example.yaml", &got, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(strcmp(buf_text(&got), buf_text(&want)), 0, "`make example` writes it anew");
    setenv("SLACK_APP_TOKEN", "xapp-1-a", 1);
    setenv("SLACK_BOT_TOKEN", "xoxb-1-b", 1);
    config = load_good(buf_text(&want));
    config_compare(defaults, config, &applied, &restart);
    CHECK_TEXT(buf_text(&applied), "", "the example changes nothing");
    CHECK_TEXT(buf_text(&restart), "", "the example changes nothing");
    config_unref(config);
    config_unref(defaults);
    unsetenv("SLACK_APP_TOKEN");
    unsetenv("SLACK_BOT_TOKEN");
}

static void the_listing_masks_secrets_and_loads_again(void)
{
    static const char yaml[] =
        "slack: { app_token: xapp-topsecret, bot_token_file: bot }\n"
        "agent: { command: [a b, '${THREADKEEPER_X}'], instructions: \"say \\\"hi\\\"\\n$${X} "
        "é\" }\n"
        "channels: { C1: { mode: write, model: m }, C2: { allow_users: [U1] }, C3: {} }\n"
        "admin: { listen: '[::1]:80' }\n";
    AUTO_BUF struct buf first = { 0 };
    AUTO_BUF struct buf applied = { 0 };
    AUTO_BUF struct buf restart = { 0 };
    AUTO_BUF struct buf problems = { 0 };
    struct config *config;
    struct config *again;

    buf_init(&first, 1 << 16);
    buf_init(&applied, 4096);
    buf_init(&restart, 4096);
    write_text("bot", "xoxb-alsosecret");
    setenv("THREADKEEPER_X", "null", 1);
    config = load_good(yaml);
    unsetenv("THREADKEEPER_X");
    config_print_effective(config, &first);
    CHECK_INT(strstr(buf_text(&first), "topsecret") == NULL, 1, buf_text(&first));
    CHECK_INT(strstr(buf_text(&first), "alsosecret") == NULL, 1, buf_text(&first));
    CHECK_HOLDS(buf_text(&first), "app_token: \"***\"\n", "masked");
    CHECK_HOLDS(buf_text(&first), "bot_token_file: bot\n", "named");
    again = load(buf_text(&first), false, &problems);
    if (!again)
        fail_msg("%s%s", buf_text(&problems), buf_text(&first));
    config_compare(config, again, &applied, &restart);
    CHECK_TEXT(buf_text(&applied), "", "nothing else differs");
    CHECK_TEXT(buf_text(&restart), "slack.app_token", "the mask stands for it");
    config_unref(config);
    config_unref(again);
}

static void a_reload_tells_what_acts_at_once(void)
{
    static const struct {
        const char *before;
        const char *after;
        const char *applied;
        const char *restart;
    } cases[] = {
        { "", "", "", "" },
        { "", "agent: { mode: write, timeout: 1h }", "agent.mode, agent.timeout", "" },
        { "", "agent: { max_running: 9 }\nadmin: { listen: '' }", "",
          "agent.max_running, admin.listen" },
        { "", "channels: { C1: { mode: ask } }", "channels", "" },
        { "channels: { C1: { mode: ask } }", "channels: { C1: { } }", "channels", "" },
        { "channels: { C1: {}, C2: {} }", "channels: { C2: {}, C1: {} }", "", "" },
        { "access: { admins: [U1] }", "access: { admins: [U1, U2] }", "access.admins", "" },
        { "log: { level: debug }\nstate_dir: /a", "state_dir: /b", "log.level", "state_dir" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *old_yaml = xasprintf("%s%s\n", TOKENS, cases[i].before);
        AUTO_FREE char *new_yaml = xasprintf("%s%s\n", TOKENS, cases[i].after);
        struct config *before = load_good(old_yaml);
        struct config *after = load_good(new_yaml);
        AUTO_BUF struct buf applied = { 0 };
        AUTO_BUF struct buf restart = { 0 };

        buf_init(&applied, 4096);
        buf_init(&restart, 4096);
        config_compare(before, after, &applied, &restart);
        CHECK_TEXT(buf_text(&applied), cases[i].applied, cases[i].after);
        CHECK_TEXT(buf_text(&restart), cases[i].restart, cases[i].after);
        config_unref(before);
        config_unref(after);
    }
}

static void files_that_are_no_configuration_are_refused(void)
{
    AUTO_FREE char *absent = path_to("absent");
    AUTO_BUF struct buf problems = { 0 };
    struct config *config = NULL;
    struct err err = { 0 };
    AUTO_FREE char *long_text = xcalloc((1 << 20) + 2, 1);

    buf_init(&problems, 4096);
    CHECK_INT(config_load(absent, true, &config, &problems, &err), -1, "absent");
    CHECK_INT(err.kind, ERR_SYSTEM, "absent");
    CHECK_HOLDS(buf_text(&problems), "cannot read", "absent");
    CHECK_INT(config == NULL, 1, "untouched");

    memset(long_text, '#', (1 << 20) + 1);
    write_text("long", long_text);
    free(take_ptr(&absent));
    absent = path_to("long");
    buf_clear(&problems);
    CHECK_INT(config_load(absent, true, &config, &problems, &err), -1, "over 1 MiB");
    CHECK_INT(err.kind, ERR_INPUT, "over 1 MiB");
    CHECK_HOLDS(buf_text(&problems), "longer than", "over 1 MiB");
    expect_problem("\xff\xfe", "this is not YAML", "not UTF-8");
    expect_problem("just words", "the file is not a map of options", "a text");
    expect_problem("- a", "the file is not a map of options", "a list");
}

static void a_counted_reference_keeps_the_struct(void)
{
    struct config *config = load_good(TOKENS);

    CHECK_INT(config_ref(config) == config, 1, "the same");
    config_unref(config);
    CHECK_TEXT(config->slack.bot_token, "xoxb-1-b", "still there");
    config_unref(config);
    config_unref(NULL);
}

/* A row that names no member of its type would corrupt its neighbours: each is set and read. */
static void every_row_of_the_table_is_whole(void)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];

        CHECK_INT(option->help != NULL && *option->help, 1, option->key);
        CHECK_INT(option->preset != NULL || option->example != NULL, 1, option->key);
        CHECK_INT((option->type == OPTION_CHOICE) == (option->choices != NULL), 1, option->key);
        CHECK_INT(option->type != OPTION_TEXT && option->type != OPTION_LIST
                      ? 1
                      : option->accepted != NULL,
                  1, option->key);
        for (size_t j = 0; j < i; j++) {
            CHECK_INT(strcmp(option_table[j].key, option->key) != 0, 1, option->key);
            CHECK_INT(option_table[j].offset != option->offset, 1, option->key);
        }
    }
}

static int make_directory(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void)state;
    snprintf(directory, sizeof(directory), "%s/threadkeeper-config.XXXXXX",
             parent ? parent : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return file_remove_tree(directory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_left_out_has_its_default),
        TEST(what_is_written_is_taken),
        TEST(values_out_of_form_or_range_are_refused_at_their_place),
        TEST(slack_options_are_checked),
        TEST(all_problems_come_at_once_each_once),
        TEST(no_message_shows_a_token),
        TEST(variables_are_expanded_in_texts_and_lists),
        TEST(variables_known_elsewhere_override_the_file),
        TEST(tokens_are_read_from_files),
        TEST(without_slack_tokens_may_be_missing),
        TEST(the_agent_gets_no_variable_that_holds_a_token),
        TEST(the_example_is_what_the_table_says_and_loads),
        TEST(the_listing_masks_secrets_and_loads_again),
        TEST(a_reload_tells_what_acts_at_once),
        TEST(files_that_are_no_configuration_are_refused),
        TEST(a_counted_reference_keeps_the_struct),
        TEST(every_row_of_the_table_is_whole),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
