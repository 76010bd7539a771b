/*
 * cmd_memory.c - `threadkeeper memory VERB`: the table of verbs, their help, and how a memory
 * is opened for each beside a running daemon.
 */
#include "bot/cmd_memory.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bot/wiring.h"

#define POKE_TIMEOUT_MS  5000
#define POKE_ANSWER_MAX  65536
#define WORDS_MAX        SIZE_MAX
#define OUT_BUFFER_BYTES 65536

enum access {
    ACCESS_READ,  /* opened for reading; nothing on the disk changes */
    ACCESS_WRITE, /* opened as a visitor; the daemon is told afterwards */
};

#define FOR_TTL                                                                     \
    "  --ttl DURATION   when it is gone: 90s 15m 24h 30d, or never, which is with " \
    "the\n"                                                                         \
    "                   conversation; without it after an hour\n"
#define FOR_TIMES                                                                          \
    "A time T is a date or time (2026-11-20, 2026-11-20T12:00:00Z), seconds since 1970,\n" \
    "or how long ago (30d 12h 15m).\n"
#define FOR_WHICH                                                      \
    "  --user U         conversations in which U has said something\n" \
    "  --pattern P      keys that fit P (* and ?)\n"
#define FOR_JSON "  --json           for programs\n"

static const struct verb {
    const char *name;
    memory_verb_fn run;
    enum access access;
    unsigned options;
    size_t words_min;
    size_t words_max;
    const char *arguments;
    const char *help;
    const char *details;
} verbs[] = {
    { "list", memory_list_verb, ACCESS_READ,
      MEMORY_OPTION_USER | MEMORY_OPTION_PATTERN | MEMORY_OPTION_LIMIT | MEMORY_OPTION_AFTER |
          MEMORY_OPTION_JSON,
      0, 0, "[--user U] [--pattern P] [--limit N] [--after KEY] [--json]",
      "the conversations that are kept",
      FOR_WHICH "  --limit N        at most so many (100 on a terminal, else all)\n"
                "  --after KEY      the page behind that key\n" FOR_JSON },
    { "show", memory_show_verb, ACCESS_READ,
      MEMORY_OPTION_LIMIT | MEMORY_OPTION_SINCE | MEMORY_OPTION_UNTIL |
          MEMORY_OPTION_SUMMARIES | MEMORY_OPTION_JSON,
      1, 1, "KEY [--limit N] [--since T] [--until T] [--summaries] [--json]",
      "what was said in a conversation",
      "  --limit N        the newest so many turns (50 on a terminal, else all)\n"
      "  --since T        said at T or later\n"
      "  --until T        said before T\n"
      "  --summaries      its summaries too, the newest first\n" FOR_JSON FOR_TIMES },
    { "search", memory_search_verb, ACCESS_READ,
      MEMORY_OPTION_USER | MEMORY_OPTION_PATTERN | MEMORY_OPTION_LIMIT | MEMORY_OPTION_JSON, 1,
      WORDS_MAX, "QUERY [--user U] [--pattern P] [--limit N] [--json]",
      "turns that match, the best first",
      FOR_WHICH "  --limit N        at most so many (20)\n" FOR_JSON },
    { "stats", memory_stats_verb, ACCESS_READ, MEMORY_OPTION_JSON, 0, 1, "[KEY] [--json]",
      "figures of the store, of the running daemon, of one conversation", FOR_JSON },
    { "context", memory_context_verb, ACCESS_READ, MEMORY_OPTION_BUDGET | MEMORY_OPTION_JSON, 2,
      2, "KEY QUESTION|- [--budget N] [--json]", "what the agent would be told with a question",
      "With - for QUESTION one question a line is read, and one JSON object a line written:\n"
      "{\"question\",\"context\",\"tokens\",\"receipt\"}.\n\n"
      "  --budget N       tokens, instead of memory.context.budget_tokens\n"
      "  --json           with the receipt: what is in it, and why\n" },
    { "forget", memory_forget_verb, ACCESS_WRITE,
      MEMORY_OPTION_USER | MEMORY_OPTION_CONVERSATION | MEMORY_OPTION_BEFORE |
          MEMORY_OPTION_YES | MEMORY_OPTION_DRY_RUN | MEMORY_OPTION_JSON,
      0, 0, "--user U | --conversation KEY | --before T [--yes] [--dry-run] [--json]",
      "erase, everywhere, and say how much",
      "What is given is combined: --user U --before 30d erases what U said longer ago.\n\n"
      "  --user U         what U said; conversations in which nobody else spoke; what is known "
      "of U\n"
      "  --conversation KEY\n"
      "  --before T       what was said before T\n"
      "  --yes            do not ask\n"
      "  --dry-run        only count\n" FOR_JSON FOR_TIMES },
    { "sweep", memory_sweep_verb, ACCESS_WRITE, MEMORY_OPTION_JSON, 0, 0, "[--json]",
      "erase what is past memory.retention, now", FOR_JSON },
    { "export", memory_export_verb, ACCESS_READ, MEMORY_OPTION_USER | MEMORY_OPTION_PATTERN, 0,
      WORDS_MAX, "[KEY...] [--user U] [--pattern P]", "turns as NDJSON on stdout",
      "One JSON object a line: "
      "{\"key\",\"role\",\"author\",\"text\",\"at\",...}.\n\n" FOR_WHICH },
    { "import", memory_import_verb, ACCESS_WRITE, MEMORY_OPTION_SKIP_BAD, 0, 1,
      "[FILE|-] [--skip-bad]", "turns from NDJSON",
      "One JSON object a line: key, role (user, assistant, system), author, text, at (seconds\n"
      "since 1970). Other fields are kept with the turn. What is there already is passed "
      "over,\n"
      "so an import that was cut short is begun again.\n\n"
      "  --skip-bad       name lines that cannot be read and go on\n" },
    { "backup", memory_backup_verb, ACCESS_READ, 0, 1, 1, "PATH",
      "a copy of the store, while the daemon runs", NULL },
    { "copy", memory_copy_verb, ACCESS_READ, MEMORY_OPTION_TO_CONFIG | MEMORY_OPTION_DRY_RUN, 0,
      1, "STORE[:DIR] | --to-config FILE [--dry-run]", "everything into another store",
      "STORE is sqlite or files; DIR is the other store's state_dir, for files the directory "
      "of\n"
      "its files. Without DIR it is where this configuration would keep it.\n\n"
      "  --to-config FILE the store of another configuration\n"
      "  --dry-run        only count\n" },

    { "get", memory_get_verb, ACCESS_READ, MEMORY_OPTION_DEFAULT, 2, 2,
      "KEY FIELD [--default JSON]", "a field's value",
      "  --default JSON   printed when there is no such field (else exit status 1)\n" },
    { "set", memory_set_verb, ACCESS_WRITE, MEMORY_OPTION_TTL, 3, 3,
      "KEY FIELD JSON|- [--ttl DURATION]", "set a field", FOR_TTL },
    { "update", memory_update_verb, ACCESS_WRITE, MEMORY_OPTION_TTL, 2, 2,
      "KEY OBJECT|- [--ttl DURATION]", "set many fields, all or none", FOR_TTL },
    { "contains", memory_contains_verb, ACCESS_READ, 0, 2, 2, "KEY FIELD",
      "true, or false with exit status 1", NULL },
    { "keys", memory_keys_verb, ACCESS_READ, MEMORY_OPTION_JSON, 1, 1, "KEY [--json]",
      "the names of the fields", FOR_JSON },
    { "items", memory_items_verb, ACCESS_READ, MEMORY_OPTION_JSON, 1, 1, "KEY [--json]",
      "the fields with their values", FOR_JSON },
    { "delete", memory_delete_verb, ACCESS_WRITE, 0, 2, 2, "KEY FIELD",
      "delete a field; exit status 1 when there is none", NULL },
    { "append", memory_append_verb, ACCESS_WRITE, MEMORY_OPTION_KEEP, 3, 3,
      "KEY FIELD JSON|- [--keep N]", "add to the end of a list",
      "  --keep N         the last N elements stay\n" },
    { "extend", memory_extend_verb, ACCESS_WRITE, MEMORY_OPTION_KEEP, 3, 3,
      "KEY FIELD ARRAY|- [--keep N]", "add many to the end of a list",
      "  --keep N         the last N elements stay\n" },
    { "pop", memory_pop_verb, ACCESS_WRITE, 0, 2, 2, "KEY FIELD",
      "take the last element off a list; exit status 1 when it is empty", NULL },
    { "insert", memory_insert_verb, ACCESS_WRITE, 0, 4, 4, "KEY FIELD INDEX JSON|-",
      "put an element before another (0 is the first)", NULL },
    { "remove", memory_remove_verb, ACCESS_WRITE, 0, 3, 3, "KEY FIELD JSON|-",
      "take the first element that is equal; exit status 1 when there is none", NULL },
    { "get-list", memory_get_list_verb, ACCESS_READ, 0, 2, 2, "KEY FIELD",
      "a list, [] when there is none", NULL },
    { "list-length", memory_list_length_verb, ACCESS_READ, 0, 2, 2, "KEY FIELD",
      "its number of elements, 0 when there is none", NULL },
    { "ttl", memory_ttl_verb, ACCESS_WRITE, 0, 2, 2, "KEY DURATION",
      "from now on, when all fields of a conversation are gone (or never)", NULL },
    { "clear", memory_clear_verb, ACCESS_WRITE, 0, 1, 1, "KEY",
      "delete all fields; turns go with forget", NULL },
    { "size", memory_size_verb, ACCESS_READ, MEMORY_OPTION_JSON, 1, 1, "KEY [--json]",
      "the figures of a conversation", FOR_JSON },
    { "add-message", memory_add_message_verb, ACCESS_WRITE,
      MEMORY_OPTION_AUTHOR | MEMORY_OPTION_METADATA | MEMORY_OPTION_AT, 3, 3,
      "KEY ROLE TEXT|- [--author U] [--metadata OBJECT] [--at T]",
      "add a turn: ROLE is user, assistant or system", FOR_TIMES },
    { "messages", memory_messages_verb, ACCESS_READ, MEMORY_OPTION_LIMIT | MEMORY_OPTION_JSON,
      1, 1, "KEY [--limit N] [--json]", "the turns, or the newest N, oldest first", FOR_JSON },
    { "count", memory_count_verb, ACCESS_READ, 0, 1, 1, "KEY", "the number of turns", NULL },
};

/* ---- help ---------------------------------------------------------------------------------
 */

static void print_usage(FILE *out)
{
    fputs("usage: threadkeeper [-c FILE] memory VERB ...\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        fprintf(out, "%s  %-12s %s\n",
                verbs[i].run == memory_get_verb ? "\na conversation as a dictionary:\n" : "",
                verbs[i].name, verbs[i].help);
    fputs("\n`threadkeeper memory VERB --help` tells the arguments. Behind -- nothing is an "
          "option.\n",
          out);
}

static void print_verb_usage(FILE *out, const struct verb *verb)
{
    fprintf(out, "usage: threadkeeper [-c FILE] memory %s %s\n\n%s\n", verb->name,
            verb->arguments, verb->help);
    if (verb->details)
        fprintf(out, "\n%s", verb->details);
}

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static bool wants_help(const struct cli *cli)
{
    for (int i = 0; i < cli->argc && strcmp(cli->argv[i], "--") != 0; i++) {
        if (strcmp(cli->argv[i], "--help") == 0 || strcmp(cli->argv[i], "-h") == 0)
            return true;
    }
    return false;
}

/* ---- beside the daemon --------------------------------------------------------------------
 */

/* What RAM holds of conversations was read before we wrote. Nobody there: nothing to tell. */
static void tell_daemon(const struct config *config)
{
    AUTO_FREE char *url = xasprintf("http://%s/memory/refresh", config->admin.listen);
    struct http_request request = {
        .method = "POST",
        .url = url,
        .body = "",
        .max_response_bytes = POKE_ANSWER_MAX,
        .connect_timeout_ms = POKE_TIMEOUT_MS,
        .timeout_ms = POKE_TIMEOUT_MS,
    };
    struct http_response response = { 0 };
    struct http *http;
    struct err err = { 0 };

    if (!*config->admin.listen || http_startup(&err) < 0)
        return;
    http = http_new();
    if (http_perform(http, &request, &response, &err) == 0 && response.status >= 300)
        fprintf(stderr,
                "threadkeeper: the daemon on %s was not told that its memory has changed (it "
                "answers %ld)\n",
                config->admin.listen, response.status);
    http_response_deinit(&response);
    http_free(http);
    http_cleanup();
}

static int open_memory(const struct verb *verb, const struct config *config,
                       struct metrics *metrics, struct memory **ret_memory, struct err *err)
{
    struct memory_options options = wiring_memory_options(config);

    if (options.store == MEMORY_STORE_NONE)
        return err_set(err, ERR_INPUT,
                       "memory.store is none: what is remembered is in the daemon's RAM alone");
    if (cli_become_owner(config, err) < 0)
        return -1;
    if (verb->access == ACCESS_READ)
        return memory_open_reader(&options, metrics, ret_memory, err);
    options.is_visitor = true;
    options.durability = MEMORY_DURABILITY_TURN;
    return memory_open(&options, metrics, ret_memory, err);
}

static int run_verb(const struct verb *verb, struct memory_call *call)
{
    struct metrics *metrics = metrics_new();
    struct err err = { 0 };
    int status;

    if (open_memory(verb, call->config, metrics, &call->memory, &err) < 0) {
        metrics_free(metrics);
        return memory_say_failed(call, &err);
    }
    status = verb->run(call);
    memory_close(call->memory);
    metrics_free(metrics);
    if (verb->access == ACCESS_WRITE)
        tell_daemon(call->config);
    return status;
}

static int usage_error(const struct verb *verb, const char *message)
{
    fprintf(stderr, "threadkeeper memory %s: %s\n", verb->name, message);
    fprintf(stderr, "usage: threadkeeper memory %s %s\n", verb->name, verb->arguments);
    return CLI_USAGE;
}

static int call_verb(const struct verb *verb, const struct cli *cli)
{
    struct memory_call call = { .verb = verb->name, .is_terminal = isatty(STDOUT_FILENO) };
    struct config *config;
    struct err err = { 0 };
    int status;

    if (memory_args_parse(cli->argc - 1, cli->argv + 1, verb->options, &call.args, &err) < 0)
        return usage_error(verb, err.message);
    if (call.args.words_count < verb->words_min)
        return usage_error(verb, "something is missing");
    if (call.args.words_count > verb->words_max)
        return usage_error(verb, "too many words; quote what belongs together");
    config = cli_load_config(cli, false, &status);
    if (!config)
        return status;
    if (!cli->is_verbose && config->log.level > LOG_LEVEL_WARN)
        log_configure(LOG_LEVEL_WARN, (enum log_format)config->log.format);
    call.config = config;
    status = run_verb(verb, &call);
    config_unref(config);
    return status;
}

int command_memory(const struct cli *cli)
{
    const struct verb *verb = cli->argc ? find_verb(cli->argv[0]) : NULL;

    if (wants_help(cli)) {
        if (verb)
            print_verb_usage(stdout, verb);
        else
            print_usage(stdout);
        return CLI_OK;
    }
    if (!verb) {
        if (cli->argc)
            fprintf(stderr, "threadkeeper memory: unknown verb '%s'\n", cli->argv[0]);
        print_usage(stderr);
        return CLI_USAGE;
    }
    signal(SIGPIPE, SIG_IGN); /* a write that fails is seen where it is made */
    setvbuf(stdout, NULL, _IOFBF, OUT_BUFFER_BYTES);
    return call_verb(verb, cli);
}
