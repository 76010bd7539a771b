#include "config/option.h"

#include <string.h>

#include "base/alloc.h"

#define AT(member)         offsetof(struct config, member)
#define AT_CHANNEL(member) offsetof(struct config_channel, member)

#define MS     INT64_C(1)
#define SECOND (INT64_C(1000) * MS)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    (INT64_C(1) << 10)
#define MIB    (INT64_C(1) << 20)
#define GIB    (INT64_C(1) << 30)

#define PATH_MAX_BYTES         1000
#define INSTRUCTIONS_MAX_BYTES 32768

#define USERS_ACCEPTED "a list of member ids such as [U012AB3CD]"

/* In the order of the enums in config.h, and of enum log_level and log_format. */
static const char *const replies[] = { "auto", "stream", "edit", "post", NULL };
static const char *const dms[] = { "auto", "flat", "threads", NULL };
static const char *const dialects[] = { "cursor",   "claude", "codex", "gemini",
                                        "opencode", "text",   NULL };
static const char *const modes[] = { "ask", "plan", "write", NULL };
static const char *const busies[] = { "queue", "steer", "interrupt", NULL };
static const char *const fences[] = { "auto", "on", "off", NULL };
static const char *const scopes[] = { "user_thread", "thread", "channel", "user", NULL };
static const char *const stores[] = { "none", "sqlite", "files", NULL };
static const char *const summarizers[] = { "agent", "extract", "off", NULL };
static const char *const recall_scopes[] = { "conversation", "user", NULL };
static const char *const durabilities[] = { "turn", "interval", NULL };
static const char *const levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const formats[] = { "text", "json", NULL };

const struct option_section option_sections[] = {
    { "slack", "The connection to Slack." },
    { "access", "Who may talk to the bot, and where. Ids, not names: in Slack, a profile or a "
                "channel's details show them." },
    { "access.rate_limit", "How often one person may ask." },
    { "agent", "The coding agent that answers." },
    { "agent.spending", "What agents may use, in tokens as they report them." },
    { "files", "Files that people send, and files that the agent makes." },
    { "guard", "What must not leave: the secrets of this file are known already." },
    { "memory", "What is remembered, and how much of it a question carries along." },
    { "memory.files", "The store files." },
    { "memory.context", "What goes to the agent with each question." },
    { "admin", "The local listener for /healthz, /readyz and /metrics." },
    { "log", "Log lines go to stderr, where the journal takes them." },
};
const size_t option_sections_count = ARRAY_LEN(option_sections);

const struct option option_table[] = {
    { .key = "slack.app_token",
      .type = OPTION_TEXT,
      .offset = AT(slack.app_token),
      .example = "${SLACK_APP_TOKEN}",
      .max = 600,
      .check = value_check_app_token,
      .accepted = "an app-level token, which begins with xapp-",
      .is_secret = true,
      .needs_restart = true,
      .help = "The app-level token, scope connections:write. ${NAME} reads the environment." },
    { .key = "slack.app_token_file",
      .type = OPTION_TEXT,
      .offset = AT(slack.app_token_file),
      .example = "threadkeeper.app_token",
      .max = PATH_MAX_BYTES,
      .accepted = "the path of a file that holds the token",
      .needs_restart = true,
      .help = "Instead of app_token: a file that holds it. A relative path is taken from "
              "$CREDENTIALS_DIRECTORY (systemd's LoadCredential), else from this file's "
              "directory, else from /etc/credstore." },
    { .key = "slack.bot_token",
      .type = OPTION_TEXT,
      .offset = AT(slack.bot_token),
      .example = "${SLACK_BOT_TOKEN}",
      .max = 600,
      .check = value_check_bot_token,
      .accepted = "a bot token, which begins with xoxb-",
      .is_secret = true,
      .needs_restart = true,
      .help = "The bot token of the installed app." },
    { .key = "slack.bot_token_file",
      .type = OPTION_TEXT,
      .offset = AT(slack.bot_token_file),
      .example = "threadkeeper.bot_token",
      .max = PATH_MAX_BYTES,
      .accepted = "the path of a file that holds the token",
      .needs_restart = true,
      .help = "Instead of bot_token: a file that holds it." },
    { .key = "slack.api_url",
      .type = OPTION_TEXT,
      .offset = AT(slack.api_url),
      .preset = "https://slack.com/api/",
      .max = 500,
      .check = value_check_url,
      .accepted = "an address such as https://slack.com/api/, http:// for loopback only",
      .needs_restart = true,
      .help = "Where Slack's Web API is." },
    { .key = "slack.connections",
      .type = OPTION_NUMBER,
      .offset = AT(slack.connections),
      .preset = "2",
      .min = 1,
      .max = 10,
      .needs_restart = true,
      .help = "Socket Mode links kept open; two, so that one may be refreshed at any time." },
    { .key = "slack.reply",
      .type = OPTION_CHOICE,
      .offset = AT(slack.reply),
      .preset = "auto",
      .choices = replies,
      .help = "How an answer appears: streamed, as one message that is edited, or posted when "
              "it is complete. auto takes the first that Slack allows." },
    { .key = "slack.dm",
      .type = OPTION_CHOICE,
      .offset = AT(slack.dm),
      .preset = "auto",
      .choices = dms,
      .help = "Direct messages: one flat conversation, or a thread for each top-level message. "
              "auto follows the surface that the message comes from." },
    { .key = "slack.ping_interval",
      .type = OPTION_DURATION,
      .offset = AT(slack.ping_interval_ms),
      .preset = "10s",
      .min = 50 * MS,
      .max = 10 * MINUTE,
      .needs_restart = true,
      .help = "How often each link is pinged." },
    { .key = "slack.ping_timeout",
      .type = OPTION_DURATION,
      .offset = AT(slack.ping_timeout_ms),
      .preset = "30s",
      .min = 50 * MS,
      .max = 10 * MINUTE,
      .needs_restart = true,
      .help = "A link that is silent for so long is replaced." },

    { .key = "access.allow_users",
      .type = OPTION_LIST,
      .offset = AT(access.allow_users),
      .preset = "[]",
      .max = 32,
      .check = value_check_user,
      .accepted = USERS_ACCEPTED,
      .help = "Who may talk to the bot. Empty: every full member of the workspace." },
    { .key = "access.deny_users",
      .type = OPTION_LIST,
      .offset = AT(access.deny_users),
      .preset = "[]",
      .max = 32,
      .check = value_check_user,
      .accepted = USERS_ACCEPTED,
      .help = "Who may not, even if allowed above." },
    { .key = "access.allow_channels",
      .type = OPTION_LIST,
      .offset = AT(access.allow_channels),
      .preset = "[]",
      .max = 32,
      .check = value_check_channel,
      .accepted = "a list of channel ids such as [C012AB3CD]",
      .help = "Where the bot answers. Empty: wherever it is invited." },
    { .key = "access.admins",
      .type = OPTION_LIST,
      .offset = AT(access.admins),
      .preset = "[]",
      .max = 32,
      .check = value_check_user,
      .accepted = USERS_ACCEPTED,
      .help = "Who may use the commands that concern others." },
    { .key = "access.allow_guests",
      .type = OPTION_BOOL,
      .offset = AT(access.allow_guests),
      .preset = "false",
      .help = "Whether guests of the workspace may talk to the bot." },
    { .key = "access.allow_bots",
      .type = OPTION_LIST,
      .offset = AT(access.allow_bots),
      .preset = "[]",
      .max = 32,
      .check = value_check_bot,
      .accepted = "a list of bot or app ids such as [B012AB3CD]",
      .help = "Other bots that may talk to this one; the rest is ignored." },
    { .key = "access.rate_limit.requests",
      .type = OPTION_NUMBER,
      .offset = AT(access.rate_limit.requests),
      .preset = "10",
      .min = 0,
      .max = 1000000,
      .help = "Messages for the agent that one person may send per window; 0 is no limit." },
    { .key = "access.rate_limit.window",
      .type = OPTION_DURATION,
      .offset = AT(access.rate_limit.window_ms),
      .preset = "60s",
      .min = SECOND,
      .max = DAY,
      .help = "Counted from the first of them. Commands and admins are not counted; a restart "
              "begins anew." },

    { .key = "agent.command",
      .type = OPTION_LIST,
      .offset = AT(agent.command),
      .preset = "[cursor-agent]",
      .min = 1, /* at least one word */
      .max = PATH_MAX_BYTES,
      .check = value_check_argument,
      .accepted = "a list of words, the program first, such as [cursor-agent]",
      .help = "The program and its own arguments; no shell reads them." },
    { .key = "agent.dialect",
      .type = OPTION_CHOICE,
      .offset = AT(agent.dialect),
      .preset = "cursor",
      .choices = dialects,
      .help = "What the program speaks: the JSON lines of cursor-agent, Claude Code, Codex, "
              "Gemini CLI or opencode, or plain text." },
    { .key = "agent.mode",
      .type = OPTION_CHOICE,
      .offset = AT(agent.mode),
      .preset = "ask",
      .choices = modes,
      .help = "ask: read only. plan: read only, answers with a plan. write: may change the "
              "workspace." },
    { .key = "agent.model",
      .type = OPTION_TEXT,
      .offset = AT(agent.model),
      .preset = "\"\"",
      .max = 200,
      .check = value_check_model,
      .accepted = "the name of a model, or \"\"",
      .help = "Empty: the agent's own default." },
    { .key = "agent.workspace",
      .type = OPTION_TEXT,
      .offset = AT(agent.workspace),
      .preset = "/srv/workspace",
      .max = PATH_MAX_BYTES,
      .check = value_check_path,
      .accepted = "an absolute path",
      .help = "The directory that the agent works in." },
    { .key = "agent.instructions",
      .type = OPTION_TEXT,
      .offset = AT(agent.instructions),
      .preset = "\"\"",
      .max = INSTRUCTIONS_MAX_BYTES,
      .accepted = "text of at most 32768 bytes",
      .help = "Text that goes before every question." },
    { .key = "agent.env",
      .type = OPTION_LIST,
      .offset = AT(agent.env),
      .preset = "[CURSOR_API_KEY]",
      .max = 128,
      .check = value_check_variable,
      .accepted = "a list of names of environment variables, none that holds a Slack token",
      .help = "Names of environment variables handed to the agent; it sees no others of the "
              "daemon's." },
    { .key = "agent.max_running",
      .type = OPTION_NUMBER,
      .offset = AT(agent.max_running),
      .preset = "4",
      .min = 1,
      .max = 256,
      .needs_restart = true,
      .help = "Agents at work at the same time; further conversations wait their turn." },
    { .key = "agent.first_output_timeout",
      .type = OPTION_DURATION,
      .offset = AT(agent.first_output_timeout_ms),
      .preset = "90s",
      .min = 50 * MS,
      .max = DAY,
      .help = "An agent that has said nothing at all for so long is stopped." },
    { .key = "agent.idle_timeout",
      .type = OPTION_DURATION,
      .offset = AT(agent.idle_timeout_ms),
      .preset = "300s",
      .min = 50 * MS,
      .max = DAY,
      .help = "So is one that falls silent for so long." },
    { .key = "agent.timeout",
      .type = OPTION_DURATION,
      .offset = AT(agent.timeout_ms),
      .preset = "15m",
      .min = 50 * MS,
      .max = DAY,
      .help = "The longest that an answer may take." },
    { .key = "agent.kill_grace",
      .type = OPTION_DURATION,
      .offset = AT(agent.kill_grace_ms),
      .preset = "5s",
      .min = 10 * MS,
      .max = 5 * MINUTE,
      .help = "Between asking an agent to end and killing it." },
    { .key = "agent.max_output",
      .type = OPTION_SIZE,
      .offset = AT(agent.max_output_bytes),
      .preset = "64MiB",
      .min = 4 * KIB,
      .max = 16 * GIB,
      .help = "The most that one run may print." },
    { .key = "agent.cache_ttl",
      .type = OPTION_DURATION,
      .offset = AT(agent.cache_ttl_ms),
      .preset = "0s",
      .min = 0,
      .max = 30 * DAY,
      .help = "How long an answer serves again for the very same question, context, model and "
              "commit of the workspace; 0s: never. Modes ask and plan only." },
    { .key = "agent.busy",
      .type = OPTION_CHOICE,
      .offset = AT(agent.busy),
      .preset = "queue",
      .choices = busies,
      .help = "A newer message of a person who is being answered: queue lets it wait, steer "
              "lets a new run go on in the same answer with both, interrupt stops the answer "
              "and takes the new message." },
    { .key = "agent.resume",
      .type = OPTION_BOOL,
      .offset = AT(agent.resume),
      .preset = "false",
      .help = "Go on in the agent's own chat; when that is gone, what was said before is given "
              "anew." },
    { .key = "agent.worktree",
      .type = OPTION_BOOL,
      .offset = AT(agent.worktree),
      .preset = "false",
      .help = "In mode write each conversation gets a git worktree and a branch of its own." },
    { .key = "agent.fence",
      .type = OPTION_CHOICE,
      .offset = AT(agent.fence),
      .preset = "auto",
      .choices = fences,
      .help = "What an agent may reach: auto confines it as far as this kernel can, and says "
              "what is missing; on refuses to run without; off does not confine." },
    { .key = "agent.fence_read",
      .type = OPTION_LIST,
      .offset = AT(agent.fence_read),
      .preset = "[]",
      .max = PATH_MAX_BYTES,
      .check = value_check_path,
      .accepted = "a list of absolute paths",
      .help = "Further files and directories that an agent may read." },
    { .key = "agent.fence_write",
      .type = OPTION_LIST,
      .offset = AT(agent.fence_write),
      .preset = "[]",
      .max = PATH_MAX_BYTES,
      .check = value_check_path,
      .accepted = "a list of absolute paths",
      .help = "Further directories that an agent may change." },
    { .key = "agent.max_memory",
      .type = OPTION_SIZE,
      .offset = AT(agent.max_memory_bytes),
      .preset = "4GiB",
      .min = 64 * MIB,
      .max = 1024 * GIB,
      .help = "The memory of one run, where a control group can hold it to that." },
    { .key = "agent.max_processes",
      .type = OPTION_NUMBER,
      .offset = AT(agent.max_processes),
      .preset = "512",
      .min = 16,
      .max = 32768,
      .help = "The processes and threads of one run." },
    { .key = "agent.runs_ttl",
      .type = OPTION_DURATION,
      .offset = AT(agent.runs_ttl_ms),
      .preset = "7d",
      .min = MINUTE,
      .max = 366 * DAY,
      .help = "How long the directory of a run that could not be finished is kept." },
    { .key = "agent.runs_max_bytes",
      .type = OPTION_SIZE,
      .offset = AT(agent.runs_max_bytes),
      .preset = "1GiB",
      .min = 1 * MIB,
      .max = 1024 * GIB,
      .help = "The most that such directories may take; the oldest go first." },

    { .key = "agent.spending.run_tokens",
      .type = OPTION_NUMBER,
      .offset = AT(agent.spending.run_tokens),
      .preset = "0",
      .min = 0,
      .max = INT64_C(1000000000000),
      .help = "A run that used more is named to the person who asked; 0: no limit." },
    { .key = "agent.spending.user_day_tokens",
      .type = OPTION_NUMBER,
      .offset = AT(agent.spending.user_day_tokens),
      .preset = "0",
      .min = 0,
      .max = INT64_C(1000000000000),
      .help = "What one person may use in a day (UTC): then new questions wait for tomorrow, "
              "while the answer at work is finished; 0: no limit." },
    { .key = "agent.spending.warn_percent",
      .type = OPTION_NUMBER,
      .offset = AT(agent.spending.warn_percent),
      .preset = "80",
      .min = 1,
      .max = 100,
      .help = "From this share of a day's tokens on the person is warned, once a day." },

    { .key = "files.max_bytes",
      .type = OPTION_SIZE,
      .offset = AT(files.max_bytes),
      .preset = "20MiB",
      .min = 0,
      .max = 1 * GIB,
      .help = "The largest file that is taken from Slack or sent to it; 0: no files." },
    { .key = "files.max_count",
      .type = OPTION_NUMBER,
      .offset = AT(files.max_count),
      .preset = "10",
      .min = 1,
      .max = 100,
      .help = "Files of one question, and of one answer." },
    { .key = "files.types",
      .type = OPTION_LIST,
      .offset = AT(files.types),
      .preset = "[]",
      .max = 128,
      .check = value_check_media_type,
      .accepted = "a list of media types such as [text/*, image/png]",
      .help = "Only files of these types are taken from Slack; empty: any." },

    { .key = "guard.secret_files",
      .type = OPTION_LIST,
      .offset = AT(guard.secret_files),
      .preset = "[]",
      .max = PATH_MAX_BYTES,
      .check = value_check_path,
      .accepted = "a list of absolute paths",
      .help =
          "Files of secrets, one a line or NAME=value: masked wherever an answer holds one." },
    { .key = "guard.inbound",
      .type = OPTION_BOOL,
      .offset = AT(guard.inbound),
      .preset = "true",
      .help = "Mask what looks like a password or key in messages before it is remembered, and "
              "tell its author." },

    { .key = "memory.scope",
      .type = OPTION_CHOICE,
      .offset = AT(memory.scope),
      .preset = "user_thread",
      .choices = scopes,
      .help =
          "Who shares a memory: nobody (user_thread), the people of a thread, of a channel, "
          "or all threads of a user." },
    { .key = "memory.store",
      .type = OPTION_CHOICE,
      .offset = AT(memory.store),
      .preset = "sqlite",
      .choices = stores,
      .variable = "MEMORY_PROVIDER",
      .needs_restart = true,
      .help = "Where conversations are kept: in threadkeeper.db, in one readable file each "
              "(files), or in RAM only (none)." },
    { .key = "memory.durability",
      .type = OPTION_CHOICE,
      .offset = AT(memory.durability),
      .preset = "turn",
      .choices = durabilities,
      .needs_restart = true,
      .help =
          "turn: each turn is on disk before it counts as answered. interval: written every "
          "snapshot_interval; the ledger bridges the gap." },
    { .key = "memory.snapshot_interval",
      .type = OPTION_DURATION,
      .offset = AT(memory.snapshot_interval_ms),
      .preset = "30s",
      .min = 50 * MS,
      .max = HOUR,
      .help = "How often, with durability interval." },
    { .key = "memory.max_bytes",
      .type = OPTION_SIZE,
      .offset = AT(memory.max_bytes),
      .preset = "256MiB",
      .min = 64 * KIB,
      .max = 1024 * GIB,
      .help = "Conversations held in RAM; the least recently used leave first." },
    { .key = "memory.cache_ttl",
      .type = OPTION_DURATION,
      .offset = AT(memory.cache_ttl_ms),
      .preset = "1h",
      .min = 50 * MS,
      .max = 365 * DAY,
      .help = "An idle conversation leaves RAM after so long; it stays on disk." },
    { .key = "memory.session_ttl",
      .type = OPTION_DURATION,
      .offset = AT(memory.session_ttl_ms),
      .preset = "24h",
      .min = 50 * MS,
      .max = 3650 * DAY,
      .variable = "SESSION_TTL",
      .help = "After so long a silence the next message starts a new session: from summary and "
              "recall, with nothing verbatim." },
    { .key = "memory.retention",
      .type = OPTION_DURATION,
      .offset = AT(memory.retention_ms),
      .preset = "30d",
      .min = SECOND,
      .max = 36500 * DAY,
      .help = "What was stored longer ago is erased everywhere." },
    { .key = "memory.max_turns",
      .type = OPTION_NUMBER,
      .offset = AT(memory.max_turns),
      .preset = "500",
      .min = 2,
      .max = 1000000,
      .variable = "MAX_HISTORY_LENGTH",
      .help = "Turns kept per conversation; the oldest go first." },
    { .key = "memory.recall_scope",
      .type = OPTION_CHOICE,
      .offset = AT(memory.recall_scope),
      .preset = "conversation",
      .choices = recall_scopes,
      .help =
          "Where older turns are recalled from: this conversation, or, in direct messages, "
          "the person's other conversations as well (user). Never from a private place into "
          "a more public one." },
    { .key = "memory.encryption_key_file",
      .type = OPTION_TEXT,
      .offset = AT(memory.encryption_key_file),
      .preset = "\"\"",
      .max = PATH_MAX_BYTES,
      .check = value_check_optional_path,
      .accepted = "an absolute path, or \"\"",
      .needs_restart = true,
      .help =
          "A file with 32 random bytes (openssl rand -hex 32): texts are sealed on the disk "
          "with it. Without the key they cannot be read again." },
    { .key = "memory.files.dir",
      .type = OPTION_TEXT,
      .offset = AT(memory.files.dir),
      .preset = "\"\"",
      .max = PATH_MAX_BYTES,
      .check = value_check_optional_path,
      .accepted = "an absolute path, or \"\"",
      .needs_restart = true,
      .help = "For the store files. Empty: sessions in state_dir." },
    { .key = "memory.context.budget_tokens",
      .type = OPTION_NUMBER,
      .offset = AT(memory.context.budget_tokens),
      .preset = "2000",
      .min = 100,
      .max = 1000000,
      .help = "The most that earlier turns may take of a question, in tokens." },
    { .key = "memory.context.max_messages",
      .type = OPTION_NUMBER,
      .offset = AT(memory.context.max_messages),
      .preset = "10",
      .min = 0,
      .max = 10000,
      .variable = "MAX_CONVERSATION_MESSAGES",
      .help = "The most earlier messages that go along." },
    { .key = "memory.context.verbatim_messages",
      .type = OPTION_NUMBER,
      .offset = AT(memory.context.verbatim_messages),
      .preset = "3",
      .min = 0,
      .max = 10000,
      .help = "The newest so many go along word for word; older ones give way to summary and "
              "recall." },
    { .key = "memory.context.summarize_after",
      .type = OPTION_NUMBER,
      .offset = AT(memory.context.summarize_after),
      .preset = "5",
      .min = 1,
      .max = 10000,
      .help = "So many older messages without a summary make one." },
    { .key = "memory.context.summarizer",
      .type = OPTION_CHOICE,
      .offset = AT(memory.context.summarizer),
      .preset = "agent",
      .choices = summarizers,
      .help = "Who summarizes: the agent in ask mode, a choice of sentences without any model "
              "(extract), or nobody (off)." },
    { .key = "memory.context.recall",
      .type = OPTION_BOOL,
      .offset = AT(memory.context.recall),
      .preset = "true",
      .help = "Whether older messages that matter to the question are found again." },
    { .key = "memory.context.profile",
      .type = OPTION_BOOL,
      .offset = AT(memory.context.profile),
      .preset = "true",
      .help = "Whether name, role and interests are learnt from what a person says; they see "
              "and correct them with !profile." },

    { .key = "admin.listen",
      .type = OPTION_TEXT,
      .offset = AT(admin.listen),
      .preset = "127.0.0.1:9464",
      .max = 300,
      .check = value_check_listen,
      .accepted = "ADDRESS:PORT such as 127.0.0.1:9464, or \"\"",
      .needs_restart = true,
      .help = "Empty turns it off." },

    { .key = "log.level",
      .type = OPTION_CHOICE,
      .offset = AT(log.level),
      .preset = "info",
      .choices = levels,
      .help = "Message texts appear at debug only." },
    { .key = "log.format",
      .type = OPTION_CHOICE,
      .offset = AT(log.format),
      .preset = "text",
      .choices = formats,
      .help = "json: one object a line." },

    { .key = "state_dir",
      .type = OPTION_TEXT,
      .offset = AT(state_dir),
      .preset = "/var/lib/threadkeeper",
      .max = PATH_MAX_BYTES,
      .check = value_check_path,
      .accepted = "an absolute path",
      .needs_restart = true,
      .help = "Holds threadkeeper.db and runs/." },
};
const size_t option_count = ARRAY_LEN(option_table);

const struct option option_channel_table[] = {
    { .key = "workspace",
      .type = OPTION_TEXT,
      .offset = AT_CHANNEL(workspace),
      .max = PATH_MAX_BYTES,
      .check = value_check_path,
      .accepted = "an absolute path",
      .example = "/srv/billing",
      .help = "Instead of agent.workspace." },
    { .key = "model",
      .type = OPTION_TEXT,
      .offset = AT_CHANNEL(model),
      .max = 200,
      .check = value_check_model,
      .accepted = "the name of a model, or \"\"",
      .example = "gpt-5",
      .help = "Instead of agent.model." },
    { .key = "mode",
      .type = OPTION_CHOICE,
      .offset = AT_CHANNEL(mode),
      .choices = modes,
      .example = "write",
      .help = "Instead of agent.mode." },
    { .key = "instructions",
      .type = OPTION_TEXT,
      .offset = AT_CHANNEL(instructions),
      .max = INSTRUCTIONS_MAX_BYTES,
      .accepted = "text of at most 32768 bytes",
      .example = "\"Answer in French.\"",
      .help = "Instead of agent.instructions." },
    { .key = "allow_users",
      .type = OPTION_LIST,
      .offset = AT_CHANNEL(allow_users),
      .max = 32,
      .check = value_check_user,
      .accepted = USERS_ACCEPTED,
      .example = "[U012AB3CD]",
      .help = "Instead of access.allow_users; empty: as that says." },
};
const size_t option_channel_count = ARRAY_LEN(option_channel_table);

const struct option *option_find(const struct option *table, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].key, key) == 0)
            return &table[i];
    }
    return NULL;
}

const struct option_section *option_find_section(const char *key)
{
    for (size_t i = 0; i < option_sections_count; i++) {
        if (strcmp(option_sections[i].key, key) == 0)
            return &option_sections[i];
    }
    return NULL;
}

#define NAME_MAX_BYTES 64

/* How many characters must be added, dropped or changed (Levenshtein); long texts are cut. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t a_len = strnlen(a, NAME_MAX_BYTES);
    size_t b_len = strnlen(b, NAME_MAX_BYTES);
    size_t row[NAME_MAX_BYTES + 1];

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

/* The right name in the wrong section is nearer than a similar one in the right section. */
static size_t key_distance(const char *key, const char *known)
{
    size_t whole = edit_distance(key, known);

    return strcmp(last_part(key), last_part(known)) == 0 && whole > 2 ? 2 : whole;
}

const char *option_find_nearest(const struct option *table, size_t count, const char *key)
{
    const char *nearest = table[0].key;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < count; i++) {
        size_t distance = key_distance(key, table[i].key);

        if (distance < best) {
            best = distance;
            nearest = table[i].key;
        }
    }
    if (table != option_table)
        return nearest;
    for (size_t i = 0; i < option_sections_count; i++) {
        size_t distance = key_distance(key, option_sections[i].key);

        if (distance < best) {
            best = distance;
            nearest = option_sections[i].key;
        }
    }
    return key_distance(key, "channels") < best ? "channels" : nearest;
}
