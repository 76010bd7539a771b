/*
 * cmd_check.c - `threadkeeper check`: each part of an installation, what is wrong with it and
 * how to mend it, one line each. Exit 0 when nothing fails (warnings are allowed).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/run.h"
#include "agent/slot.h"
#include "agent/worktree.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/http.h"
#include "base/log.h"
#include "base/metrics.h"
#include "bot/cli.h"
#include "bot/fencing.h"
#include "bot/guard_values.h"
#include "bot/wiring.h"
#include "config/config.h"
#include "memory/memory.h"
#include "slack/manifest.h"
#include "slack/socket.h"
#include "slack/web.h"

#define DISK_FAIL_BYTES  (64LL << 20)
#define DISK_WARN_BYTES  (1LL << 30)
#define CLOCK_WARN_S     60
#define CALL_DEADLINE_MS 15000
#define NAMES_MAX_BYTES  4096

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct report {
    unsigned failures;
    bool tokens_refused;
};

static void say(struct report *report, enum finding finding, const char *part,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

static void say(struct report *report, enum finding finding, const char *part,
                const char *format, ...)
{
    static const char *const words[] = { "ok  ", "WARN", "FAIL" };
    AUTO_FREE char *text = NULL;
    va_list args;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    log_mask_secrets(text);
    printf("%s  %-10s %s\n", words[finding], part, text);
    fflush(stdout);
    if (finding == FINDING_FAIL)
        report->failures++;
}

static const char *mend_token(const struct err *err)
{
    if (strstr(err->message, "not_allowed_token_type"))
        return "the tokens are swapped: slack.app_token wants the app-level token (xapp-), "
               "slack.bot_token the bot token (xoxb-)";
    if (strstr(err->message, "missing_scope"))
        return "add the scope to the app and reinstall it (the app-level token needs "
               "connections:write)";
    if (strstr(err->message, "account_inactive") || strstr(err->message, "token_revoked"))
        return "the app was removed or its token revoked: reinstall it and copy the new token";
    return "copy the token anew from the app's settings";
}

static void check_app_token(struct report *report, const struct config *config)
{
    struct err err = { 0 };

    if (slack_socket_check_token(config->slack.api_url, config->slack.app_token, &err) == 0) {
        say(report, FINDING_OK, "app token", "Socket Mode can be opened");
    } else if (err.kind == ERR_AUTH) {
        report->tokens_refused = true;
        say(report, FINDING_FAIL, "app token", "slack.app_token: %s; mend: %s", err.message,
            mend_token(&err));
    } else {
        say(report, FINDING_FAIL, "app token",
            "%s; mend: is %s reachable from here (proxy, DNS, "
            "firewall)?",
            err.message, config->slack.api_url);
    }
}

static void check_scopes(struct report *report, const struct slack_identity *self)
{
    AUTO_BUF struct buf missing = { 0 };

    buf_init(&missing, NAMES_MAX_BYTES);
    if (!*self->scopes)
        say(report, FINDING_WARN, "scopes", "Slack did not say which scopes are granted");
    else if (slack_manifest_missing_scopes(self->scopes, &missing))
        say(report, FINDING_FAIL, "scopes",
            "the bot token lacks: %s; mend: update the app from `threadkeeper manifest`, then "
            "reinstall it to the workspace",
            buf_text(&missing));
    else
        say(report, FINDING_OK, "scopes", "all that are needed are granted");
}

static void check_clock(struct report *report, const struct slack_identity *self)
{
    int64_t offset_s = self->server_wall_s > 0 ? clock_wall_s() - self->server_wall_s : 0;

    if (self->server_wall_s <= 0)
        say(report, FINDING_WARN, "clock", "Slack's answer carries no date to compare with");
    else if (llabs(offset_s) > CLOCK_WARN_S)
        say(report, FINDING_WARN, "clock",
            "this host is %" PRId64 " s %s Slack; mend: switch time synchronisation on "
            "(timedatectl set-ntp true)",
            (int64_t)llabs(offset_s), offset_s > 0 ? "ahead of" : "behind");
    else
        say(report, FINDING_OK, "clock", "agrees with Slack's");
}

static void check_bot_token(struct report *report, const struct config *config)
{
    struct slack_limits *limits;
    struct slack_identity self = { 0 };
    struct metrics *metrics = metrics_new();
    struct slack_web *web;
    struct err err = { 0 };

    limits = slack_limits_new(metrics);
    web = slack_web_new(config->slack.api_url, config->slack.bot_token, limits);
    slack_web_set_deadline(web, CALL_DEADLINE_MS);
    if (slack_auth_test(web, &self, &err) == 0) {
        say(report, FINDING_OK, "bot token", "%s in workspace %s", self.user, self.team);
        check_scopes(report, &self);
        check_clock(report, &self);
    } else {
        report->tokens_refused = report->tokens_refused || err.kind == ERR_AUTH;
        say(report, FINDING_FAIL, "bot token", "slack.bot_token: %s; mend: %s", err.message,
            err.kind == ERR_AUTH ? mend_token(&err) : "is Slack reachable from here?");
    }
    slack_web_free(web);
    slack_limits_free(limits);
    metrics_free(metrics);
}

static void check_agent(struct report *report, const struct config *config)
{
    AUTO_FREE const char **command = wiring_argv(&config->agent.command);
    AUTO_FREE const char **env_names = wiring_argv(&config->agent.env);
    AUTO_BUF struct buf detail = { 0 };

    buf_init(&detail, NAMES_MAX_BYTES);
    switch (agent_check_command(command, (enum agent_dialect)config->agent.dialect, env_names,
                                &detail)) {
    case AGENT_CHECK_OK:
        say(report, FINDING_OK, "agent", "%s", buf_text(&detail));
        break;
    case AGENT_CHECK_NOT_FOUND:
        say(report, FINDING_FAIL, "agent",
            "%s: %s; mend: install it, or put its absolute path into agent.command", command[0],
            buf_text(&detail));
        break;
    case AGENT_CHECK_NOT_LOGGED_IN:
        say(report, FINDING_FAIL, "agent",
            "%s is not logged in: %s; mend: set CURSOR_API_KEY in the daemon's environment "
            "(agent.env hands it on), or log in as the user that runs the daemon",
            command[0], buf_text(&detail));
        break;
    case AGENT_CHECK_FAILED:
        say(report, FINDING_FAIL, "agent", "%s does not run: %s", command[0],
            buf_text(&detail));
        break;
    }
}

/* Where cursor-agent has its data, see slot.h. */
static void check_slots(struct report *report, const struct config *config)
{
    if (config->agent.dialect == CONFIG_DIALECT_CURSOR &&
        agent_slot_path_is_long(config->state_dir))
        say(report, FINDING_WARN, "state_dir",
            "%s is so long that cursor-agent may use /tmp/.cursor for data instead of a "
            "directory of each run's own; mend: a state_dir of at most %zu bytes",
            config->state_dir, AGENT_SLOT_DATA_MAX_BYTES - strlen("/slots/999/data"));
}

/* Seen from this shell; the daemon's control group is its own: `threadkeeper status`. */
static void check_fence(struct report *report, const struct config *config)
{
    AUTO_BUF struct buf missing = { 0 };
    bool refuses = false;

    if (config->agent.fence == CONFIG_FENCE_OFF) {
        say(report, FINDING_WARN, "fence",
            "agent.fence is off: agents can read and change what the daemon's user can");
        return;
    }
    buf_init(&missing, NAMES_MAX_BYTES);
    refuses = fencing_missing(config, &missing);
    if (missing.len == 0)
        say(report, FINDING_OK, "fence", "all parts are there");
    for (const char *line = buf_text(&missing); *line;) {
        size_t len = strcspn(line, "\n");

        say(report, refuses ? FINDING_FAIL : FINDING_WARN, "fence", "%.*s", (int)len, line);
        line += line[len] ? len + 1 : len;
    }
}

static void check_workspace(struct report *report, const char *name, const char *path,
                            bool writes)
{
    struct stat info;

    if (stat(path, &info) < 0 && errno == ENOENT)
        say(report, FINDING_FAIL, "workspace",
            "%s: %s does not exist; mend: create it or check the code out there", name, path);
    else if (stat(path, &info) < 0 || !S_ISDIR(info.st_mode))
        say(report, FINDING_FAIL, "workspace", "%s: %s is not a directory", name, path);
    else if (access(path, R_OK | X_OK | (writes ? W_OK : 0)) < 0)
        say(report, FINDING_FAIL, "workspace",
            "%s: this user may not %s %s; mend: chown or chmod it (the daemon's user is "
            "threadkeeper)",
            name, writes ? "write" : "read", path);
    else
        say(report, FINDING_OK, "workspace", "%s: %s", name, path);
}

/* Asks git, so only where it will be asked. */
static void check_worktree(struct report *report, const struct config *config, const char *name,
                           const char *path, bool writes)
{
    struct err err = { 0 };

    if (!config->agent.worktree || !writes)
        return;
    if (agent_worktree_check(path, &err) < 0)
        say(report, FINDING_FAIL, "worktree", "%s: %s", name, err.message);
    else
        say(report, FINDING_OK, "worktree", "%s: a branch for each conversation", name);
}

static void check_workspaces(struct report *report, const struct config *config)
{
    check_workspace(report, "agent.workspace", config->agent.workspace,
                    config->agent.mode == CONFIG_MODE_WRITE);
    check_worktree(report, config, "agent.workspace", config->agent.workspace,
                   config->agent.mode == CONFIG_MODE_WRITE);
    for (size_t i = 0; i < config->channels_count; i++) {
        const struct config_channel *channel = &config->channels[i];
        AUTO_FREE char *name = xasprintf("channels.%s.workspace", channel->id);
        bool writes =
            (channel->has_mode ? (int)channel->mode : config->agent.mode) == CONFIG_MODE_WRITE;

        if (channel->workspace)
            check_workspace(report, name, channel->workspace, writes);
        if (channel->workspace || channel->has_mode)
            check_worktree(report, config, name,
                           channel->workspace ? channel->workspace : config->agent.workspace,
                           writes);
    }
}

/* `run` makes the directory with all that lead to it. */
static bool may_make(const char *path)
{
    AUTO_FREE char *above = xstrdup(path);
    char *slash;

    while (access(above, F_OK) < 0 && (slash = strrchr(above, '/')) != NULL)
        slash[slash == above] = '\0';
    return access(above, W_OK | X_OK) == 0;
}

static void check_store(struct report *report, const struct config *config)
{
    struct memory_options options = wiring_memory_options(config);
    struct metrics *metrics = metrics_new();
    struct memory *memory = NULL;
    struct err err = { 0 };

    if (access(config->state_dir, F_OK) < 0 && may_make(config->state_dir)) {
        say(report, FINDING_OK, "store", "state_dir %s is made at the first start",
            config->state_dir);
    } else if (access(config->state_dir, F_OK) < 0) {
        say(report, FINDING_FAIL, "store",
            "state_dir %s does not exist and cannot be made; mend: scripts/create-user makes "
            "it, or mkdir -m 700 it for the daemon's user",
            config->state_dir);
    } else if (memory_open(&options, metrics, &memory, &err) < 0) {
        say(report, FINDING_FAIL, "store", "%s", err.message);
    } else {
        struct memory_stats stats;

        memory_get_stats(memory, &stats);
        if (stats.quarantined)
            say(report, FINDING_FAIL, "store",
                "%s/threadkeeper.db was damaged and has been moved aside; what could be read "
                "is "
                "in a new one. Mend: look at the line above, put a backup in its place if you "
                "have a better one",
                config->state_dir);
        else
            say(report, FINDING_OK, "store", "%s/threadkeeper.db opens", config->state_dir);
        memory_close(memory);
    }
    metrics_free(metrics);
}

static void check_disk(struct report *report, const struct config *config)
{
    struct statvfs info;
    int64_t free_bytes;

    if (statvfs(config->state_dir, &info) < 0)
        return; /* the store's line has said it */
    free_bytes = (int64_t)info.f_bavail * (int64_t)info.f_frsize;
    say(report,
        free_bytes < DISK_FAIL_BYTES   ? FINDING_FAIL
        : free_bytes < DISK_WARN_BYTES ? FINDING_WARN
                                       : FINDING_OK,
        "disk", "%" PRId64 " MiB free under %s%s", free_bytes >> 20, config->state_dir,
        free_bytes < DISK_WARN_BYTES
            ? "; mend: make room, messages cannot be stored on a full disk"
            : "");
}

/* Each file by itself, so that all that cannot be read are named. */
static void check_guard(struct report *report, const struct config *config)
{
    struct guard_values values = { 0 };
    unsigned failures = report->failures;

    for (size_t i = 0; i < config->guard.secret_files.count; i++) {
        struct err err = { 0 };

        if (guard_values_read_file(&values, config->guard.secret_files.items[i], &err) < 0)
            say(report, FINDING_FAIL, "guard",
                "%s; mend: let the user that threadkeeper runs as read it, or take it out of "
                "the list. The daemon does not start so",
                err.message);
    }
    if (report->failures == failures)
        say(report, FINDING_OK, "guard", "%zu secrets in %zu files are masked, beside our own",
            values.count, config->guard.secret_files.count);
    guard_values_deinit(&values);
}

int command_check(const struct cli *cli)
{
    struct report report = { 0 };
    struct config *config;
    struct err err = { 0 };
    int status;

    if (cli->argc) {
        fputs("threadkeeper check takes no arguments\n", stderr);
        return CLI_USAGE;
    }
    config = cli_load_config(cli, true, &status);
    if (!config)
        return status;
    config_hide_secrets_from_environment();
    say(&report, FINDING_OK, "config", "%s", cli->config_path);
    if (cli_become_owner(config, &err) < 0)
        say(&report, FINDING_FAIL, "user", "%s", err.message);
    if (http_startup(&err) < 0) {
        say(&report, FINDING_FAIL, "network", "%s", err.message);
    } else {
        check_app_token(&report, config);
        check_bot_token(&report, config);
        http_cleanup();
    }
    check_agent(&report, config);
    check_fence(&report, config);
    check_workspaces(&report, config);
    check_slots(&report, config);
    check_store(&report, config);
    check_disk(&report, config);
    check_guard(&report, config);
    config_unref(config);
    if (report.failures)
        printf("%u problem%s\n", report.failures, report.failures == 1 ? "" : "s");
    return report.tokens_refused ? CLI_BAD_TOKENS : report.failures ? CLI_FAILED : CLI_OK;
}
