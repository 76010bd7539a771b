/*
 * config.h - the configuration in force: one immutable struct, read from YAML.
 *
 * The option table in config/option.c holds each option once (key, type, range, default,
 * environment variable, secret, restart needed, help); the loader, the example file and the
 * masked listing all read it.
 *
 * Owns:    its strings. A struct config is counted: config_ref() / config_unref().
 * Threads: loading on startup or loop; a loaded struct is read-only and may be shared by any.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

#define CONFIG_DEFAULT_PATH "/etc/threadkeeper/threadkeeper.yaml"

enum config_reply {
    CONFIG_REPLY_AUTO,
    CONFIG_REPLY_STREAM,
    CONFIG_REPLY_EDIT,
    CONFIG_REPLY_POST
};
enum config_dm { CONFIG_DM_AUTO, CONFIG_DM_FLAT, CONFIG_DM_THREADS };
enum config_dialect {
    CONFIG_DIALECT_CURSOR,
    CONFIG_DIALECT_CLAUDE,
    CONFIG_DIALECT_CODEX,
    CONFIG_DIALECT_GEMINI,
    CONFIG_DIALECT_OPENCODE,
    CONFIG_DIALECT_TEXT,
};
enum config_busy { CONFIG_BUSY_QUEUE, CONFIG_BUSY_STEER, CONFIG_BUSY_INTERRUPT };
enum config_fence { CONFIG_FENCE_AUTO, CONFIG_FENCE_ON, CONFIG_FENCE_OFF };
enum config_mode { CONFIG_MODE_ASK, CONFIG_MODE_PLAN, CONFIG_MODE_WRITE };
enum config_scope {
    CONFIG_SCOPE_USER_THREAD,
    CONFIG_SCOPE_THREAD,
    CONFIG_SCOPE_CHANNEL,
    CONFIG_SCOPE_USER,
};
enum config_store { CONFIG_STORE_NONE, CONFIG_STORE_SQLITE, CONFIG_STORE_FILES };
enum config_summarizer {
    CONFIG_SUMMARIZER_AGENT,
    CONFIG_SUMMARIZER_EXTRACT,
    CONFIG_SUMMARIZER_OFF
};
enum config_recall_scope { CONFIG_RECALL_CONVERSATION, CONFIG_RECALL_USER };
enum config_durability { CONFIG_DURABILITY_TURN, CONFIG_DURABILITY_INTERVAL };

struct config_list {
    char **items;
    size_t count;
};

/* One entry of `channels:`; a NULL or unset member means the global option. */
struct config_channel {
    char *id;
    char *workspace;
    char *model;
    char *instructions;
    bool has_mode;
    enum config_mode mode;
    struct config_list allow_users; /* empty: as access.allow_users says */
};

/* Texts are never NULL: what is not given is "". */
struct config {
    struct {
        char *app_token; /* also when it came from app_token_file */
        char *app_token_file;
        char *bot_token;
        char *bot_token_file;
        char *api_url; /* always ends in "/" */
        int64_t connections;
        int reply; /* enum config_reply */
        int dm;    /* enum config_dm */
        int64_t ping_interval_ms;
        int64_t ping_timeout_ms;
    } slack;
    struct {
        struct config_list allow_users;
        struct config_list deny_users;
        struct config_list allow_channels;
        struct config_list admins;
        struct config_list allow_bots;
        bool allow_guests;
        struct {
            int64_t requests; /* 0: no limit */
            int64_t window_ms;
        } rate_limit;
    } access;
    struct {
        struct config_list command; /* argv, no shell; at least one item */
        int dialect;                /* enum config_dialect */
        int mode;                   /* enum config_mode */
        char *model;                /* "" for the agent's own default */
        char *workspace;
        char *instructions;
        struct config_list env;
        int64_t max_running;
        int64_t first_output_timeout_ms;
        int64_t idle_timeout_ms;
        int64_t timeout_ms;
        int64_t kill_grace_ms;
        int64_t max_output_bytes;
        int64_t cache_ttl_ms; /* 0: answers are not kept for repeated questions */
        int busy;             /* enum config_busy */
        bool resume;
        bool worktree;
        int fence; /* enum config_fence */
        struct config_list fence_read;
        struct config_list fence_write;
        int64_t max_memory_bytes;
        int64_t max_processes;
        int64_t runs_ttl_ms;
        int64_t runs_max_bytes;
        struct {
            int64_t run_tokens;      /* 0: no limit */
            int64_t user_day_tokens; /* 0: no limit */
            int64_t warn_percent;
        } spending;
    } agent;
    struct {
        int64_t max_bytes; /* 0: no files */
        int64_t max_count;
        struct config_list types; /* empty: any */
    } files;
    struct {
        struct config_list secret_files;
        bool inbound;
    } guard;
    struct config_channel *channels;
    size_t channels_count;
    struct {
        int scope;      /* enum config_scope */
        int store;      /* enum config_store */
        int durability; /* enum config_durability */
        int64_t snapshot_interval_ms;
        int64_t max_bytes;
        int64_t cache_ttl_ms;
        int64_t session_ttl_ms;
        int64_t retention_ms;
        int64_t max_turns;
        int recall_scope; /* enum config_recall_scope */
        char *encryption_key_file;
        struct {
            char *dir;
        } files;
        struct {
            int64_t budget_tokens;
            int64_t max_messages;
            int64_t verbatim_messages;
            int64_t summarize_after;
            int summarizer; /* enum config_summarizer */
            bool recall;
            bool profile;
        } context;
    } memory;
    struct {
        char *listen; /* "" turns the listener off */
    } admin;
    struct {
        int level;  /* enum log_level */
        int format; /* enum log_format */
    } log;
    char *state_dir;
    /* Behind the options: */
    char *path;    /* the file it was read from */
    int ref_count; /* atomic; through config_ref() and config_unref() only */
};

/*
 * Reads `path`, expands ${NAME} from the environment (and from what
 * config_hide_secrets_from_environment() took out of it), reads the *_file options, applies the
 * environment overrides and checks everything. On bad content returns -1 with ERR_INPUT and in
 * `problems` one line each for ALL problems, "file:line:column: key: what is wrong, what is
 * accepted" ("environment: NAME: ..." for an override). A file that cannot be read is
 * ERR_SYSTEM, one over 1 MiB ERR_INPUT. `*ret_config` is a new reference. `needs_slack` false
 * (threadkeeper chat, config) accepts missing tokens and token files that cannot be read.
 */
int config_load(const char *path, bool needs_slack, struct config **ret_config,
                struct buf *problems, struct err *err);

struct config *config_ref(struct config *config);
void config_unref(struct config *config); /* NULL is fine */

/* The entry for a channel id, or NULL. Borrowed. */
const struct config_channel *config_find_channel(const struct config *config, const char *id);

/*
 * Takes the value of every environment variable that a loaded file uses for a secret, and of
 * any other that holds a Slack token, out of the process's environment (overwriting the
 * original bytes, so that /proc/PID/environ shows none), and keeps it for later reloads.
 * Startup only, after config_load(), before threads.
 */
void config_hide_secrets_from_environment(void);

/*
 * Calls back with every secret that is known from here: the options that are secrets, the
 * variables that config_hide_secrets_from_environment() took out, and, with its name, each
 * variable of agent.env that is set. Startup or loop.
 */
typedef void (*config_secret_fn)(void *context, const char *variable, const char *value);
void config_each_secret(const struct config *config, config_secret_fn on_secret, void *context);

/* config/threadkeeper.example.yaml: every option with its help and default. */
void config_print_example(struct buf *out);

/* Every option with the value in force, secrets as "***", as YAML that loads again (where
 * no tokens are needed; a token from a file is shown as that file). */
void config_print_effective(const struct config *config, struct buf *out);

/*
 * Compares two configurations: names of changed options that act at once go into `applied`,
 * those that only a restart brings into force go into `needs_restart`, both ", "-separated.
 */
void config_compare(const struct config *before, const struct config *after,
                    struct buf *applied, struct buf *needs_restart);

#endif
