/*
 * cmd_chat.c - `threadkeeper chat [NAME]`: the same turn as in Slack - ledger, memory, agent -
 * with a terminal where Slack stands. Ctrl-C stops the agent; at the prompt, like Ctrl-D, it
 * ends the chat.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/run.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "bot/cli.h"
#include "bot/commands.h"
#include "bot/guard.h"
#include "bot/leftover.h"
#include "bot/summarize.h"
#include "bot/surface_guarded.h"
#include "bot/surface_terminal.h"
#include "bot/turn.h"
#include "bot/wiring.h"

#define LINE_MAX_BYTES 65536
#define READ_BYTES     4096

struct chat {
    struct config *config;
    struct metrics *metrics;
    struct memory *memory;
    struct guard *guard;
    struct turn_metrics turn_metrics;
    struct summarize_metrics summarize_metrics;
    char *user;
    char *conversation;
    char *launcher;
    char *runs_dir;
    int alive_fd;     /* held while we live, see leftover.h */
    int interrupt_fd; /* readable after Ctrl-C, a lost terminal or SIGTERM */
    bool is_ending;   /* after one of the latter two */
    struct buf input;
    bool is_interactive;
};

static void drain_interrupts(struct chat *chat)
{
    struct signalfd_siginfo info;

    while (read(chat->interrupt_fd, &info, sizeof(info)) > 0)
        chat->is_ending = chat->is_ending || info.ssi_signo != SIGINT;
}

/* ---- reading ------------------------------------------------------------------------------
 */

/* The next line without its newline, or NULL at the end of the input or at Ctrl-C. Caller
 * frees. */
static char *take_line(struct chat *chat)
{
    for (;;) {
        const char *text = buf_text(&chat->input);
        const char *newline = strchr(text, '\n');
        struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                                { .fd = chat->interrupt_fd, .events = POLLIN } };
        char bytes[READ_BYTES];
        ssize_t got;

        if (newline) {
            char *line = utf8_clean_copy(text, (size_t)(newline - text), LINE_MAX_BYTES);

            buf_consume(&chat->input, (size_t)(newline - text) + 1);
            return line;
        }
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents)
            return NULL;
        got = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (got <= 0 && chat->input.len == 0)
            return NULL;
        buf_append(&chat->input, got > 0 ? bytes : "\n", got > 0 ? (size_t)got : 1);
        if (chat->input.overflowed) {
            fputs("threadkeeper: that line is too long\n", stderr);
            return NULL;
        }
    }
}

/* ---- one message --------------------------------------------------------------------------
 */

struct recorded {
    sem_t done;
    enum ledger_outcome outcome;
    struct ledger_entry *entry;
};

static void on_recorded(void *context, enum ledger_outcome outcome, struct ledger_entry *entry,
                        void *user_data)
{
    struct recorded *recorded = context;

    (void)user_data;
    recorded->outcome = outcome;
    recorded->entry = entry;
    sem_post(&recorded->done);
}

static struct ledger_entry *make_entry(const struct chat *chat, const char *line)
{
    struct ledger_entry *entry = xcalloc(1, sizeof(*entry));
    int64_t now_us = clock_wall_us();

    *entry = (struct ledger_entry){
        .kind = LEDGER_KIND_MESSAGE,
        .event_id = xstrdup(""),
        .team = xstrdup(TERMINAL_CHANNEL),
        .channel = xstrdup(TERMINAL_CHANNEL),
        .ts = xasprintf("%lld.%06lld", (long long)(now_us / 1000000),
                        (long long)(now_us % 1000000)),
        .thread_ts = xstrdup(""),
        .user = xstrdup(chat->user),
        .conversation = xstrdup(chat->conversation),
        .reply_thread = xstrdup(""),
        .text = xstrdup(line),
        .attributes = xstrdup("{}"),
        .run_id = xstrdup(""),
        .reply_state = xstrdup(""),
        .received_wall_us = now_us,
    };
    return entry;
}

static struct ledger_entry *record(struct chat *chat, const char *line)
{
    struct recorded recorded = { 0 };
    struct ledger_request request = {
        .entry = make_entry(chat, line),
        .on_recorded = on_recorded,
        .context = &recorded,
    };

    sem_init(&recorded.done, 0, 0);
    if (!memory_record_message(chat->memory, &request)) {
        ledger_entry_free(request.entry);
        recorded.outcome = LEDGER_NOT_DURABLE;
    } else {
        while (sem_wait(&recorded.done) < 0 && errno == EINTR)
            continue;
    }
    sem_destroy(&recorded.done);
    if (recorded.entry && recorded.outcome == LEDGER_NEW)
        return recorded.entry;
    ledger_entry_free(recorded.entry);
    return NULL;
}

static enum turn_outcome answer(struct chat *chat, const char *line)
{
    static const atomic_bool never = false;
    struct ledger_entry *entry = record(chat, line);
    struct dispatch_batch batch = { .conversation = chat->conversation,
                                    .entries = &entry,
                                    .count = 1 };
    struct turn turn = {
        .config = chat->config,
        .memory = chat->memory,
        .guard = chat->guard,
        .metrics = &chat->turn_metrics,
        .launcher = chat->launcher,
        .runs_dir = chat->runs_dir,
        .is_stopping = &never,
        .cancel_fd = chat->interrupt_fd,
        .batch = &batch,
    };
    enum turn_outcome outcome;

    if (!entry) {
        fputs("threadkeeper: the message could not be stored, see the log\n", stderr);
        return TURN_FAILED;
    }
    turn.surface = surface_guarded_new(surface_terminal_new(), chat->guard, "in the terminal");
    outcome = turn_run(&turn);
    turn.surface->ops->free(turn.surface);
    ledger_entry_free(entry);
    drain_interrupts(chat);
    return outcome;
}

/* Those of Slack's commands that need no daemon. */
static bool run_shared_command(struct chat *chat, const char *line)
{
    AUTO_FREE char *text = commands_read(line, "");
    const char *arguments = "";
    const struct command *command = text ? commands_find(text, &arguments) : NULL;
    struct command_call call = { .memory = chat->memory, .arguments = arguments };
    AUTO_BUF struct buf out = { 0 };
    struct ledger_entry *entry;

    if (!command || command->needs_daemon)
        return false;
    buf_init(&out, LINE_MAX_BYTES);
    entry = make_entry(chat, line);
    call.entry = entry;
    command->run(&call, &out);
    ledger_entry_free(entry);
    puts(buf_text(&out));
    return true;
}

static void say_help(void)
{
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, LINE_MAX_BYTES);
    commands_append_help(&out, true);
    puts("!new starts afresh, Ctrl-C stops the agent, Ctrl-D ends the chat.");
    fputs(buf_text(&out), stdout);
}

/* Here and now, without an agent: somebody sits at the prompt and waits. */
static void summarize(struct chat *chat)
{
    struct summarize summarize = {
        .config = chat->config,
        .memory = chat->memory,
        .metrics = &chat->summarize_metrics,
        .key = chat->conversation,
    };

    if (chat->config->memory.context.summarizer == CONFIG_SUMMARIZER_OFF)
        return;
    while (summarize_run(&summarize, SUMMARIZE_EXTRACT) == SUMMARIZE_MADE)
        continue;
}

/* True when the line was one of the chat commands. */
static bool run_chat_command(struct chat *chat, const char *line)
{
    struct err err = { 0 };

    if (strcmp(line, "!help") == 0) {
        say_help();
    } else if (strcmp(line, "!new") == 0) {
        if (memory_conversation_reset(chat->memory, chat->conversation, &err) < 0)
            fprintf(stderr, "threadkeeper: %s\n", err.message);
        else
            puts("A fresh start: what was said here before is no longer passed on.");
    } else if (strcmp(line, "!status") == 0) {
        printf("conversation %s, agent %s\n", chat->conversation,
               chat->config->agent.command.items[0]);
    } else if (strcmp(line, "!stop") == 0) {
        puts("Nothing is running.");
    } else {
        return run_shared_command(chat, line);
    }
    return true;
}

/* As in Slack: what looks like a secret is not passed on. */
static void mask_secrets(const struct chat *chat, char **line)
{
    AUTO_BUF struct buf notice = { 0 };
    struct guard_tally masked;
    char *text;

    if (!chat->config->guard.inbound)
        return;
    text = guard_mask(chat->guard, GUARD_INBOUND, *line, &masked);
    free(*line);
    *line = text;
    if (!masked.count)
        return;
    buf_init(&notice, LINE_MAX_BYTES);
    guard_print_notice(&masked, &notice);
    puts(buf_text(&notice));
}

static int converse(struct chat *chat)
{
    int status = CLI_OK;

    while (!chat->is_ending) {
        AUTO_FREE char *line = NULL;

        if (chat->is_interactive) {
            fputs("> ", stdout);
            fflush(stdout);
        }
        line = take_line(chat);
        if (!line)
            break;
        mask_secrets(chat, &line);
        if (!line[strspn(line, " \t")] || run_chat_command(chat, line))
            continue;
        if (answer(chat, line) == TURN_FAILED)
            status = CLI_FAILED;
        summarize(chat);
    }
    if (chat->is_interactive)
        putchar('\n');
    return status;
}

/* ---- start and end ------------------------------------------------------------------------
 */

static void take_interrupts(struct chat *chat)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM); /* an agent must not be left behind */
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    chat->interrupt_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static char *user_name(void)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found);
    return found ? xstrdup(found->pw_name) : xasprintf("uid%u", (unsigned)getuid());
}

static int open_chat(struct chat *chat, const char *name, struct err *err)
{
    const struct config *config = chat->config;
    struct memory_options options = wiring_memory_options(config);

    chat->launcher = wiring_launcher();
    chat->runs_dir = xasprintf("%s/runs", config->state_dir);
    chat->user = user_name();
    chat->conversation = xasprintf("%s:" TERMINAL_CHANNEL ":%s", chat->user, name);
    chat->metrics = metrics_new();
    turn_metrics_init(&chat->turn_metrics, chat->metrics);
    summarize_metrics_init(&chat->summarize_metrics, chat->metrics);
    buf_init(&chat->input, LINE_MAX_BYTES);
    chat->is_interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (cli_become_owner(config, err) < 0 || file_make_dirs(config->state_dir, 0700, err) < 0 ||
        file_make_dirs(chat->runs_dir, 0700, err) < 0)
        return -1;
    if (guard_new(config, chat->metrics, &chat->guard, err) < 0)
        return -1;
    if (memory_open(&options, chat->metrics, &chat->memory, err) < 0)
        return -1;
    chat->alive_fd =
        leftover_enter_chat(&(struct leftover){ .memory = chat->memory,
                                                .state_dir = config->state_dir,
                                                .runs_dir = chat->runs_dir,
                                                .kill_grace_ms = config->agent.kill_grace_ms });
    return 0;
}

static void close_chat(struct chat *chat)
{
    memory_close(chat->memory);
    guard_free(chat->guard);
    metrics_free(chat->metrics);
    buf_deinit(&chat->input);
    free(chat->launcher);
    free(chat->runs_dir);
    free(chat->user);
    free(chat->conversation);
    config_unref(chat->config);
    close(chat->interrupt_fd);
    if (chat->alive_fd >= 0)
        close(chat->alive_fd);
}

int command_chat(const struct cli *cli)
{
    struct chat chat = { .alive_fd = -1 };
    struct err err = { 0 };
    int status;

    if (cli->argc > 1) {
        fputs("usage: threadkeeper chat [NAME]\n", stderr);
        return CLI_USAGE;
    }
    chat.config = cli_load_config(cli, false, &status);
    if (!chat.config)
        return status;
    cli_hide_secrets();
    if (!cli->is_verbose && chat.config->log.level > LOG_LEVEL_WARN)
        log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    take_interrupts(&chat);
    if (open_chat(&chat, cli->argc ? cli->argv[0] : "main", &err) < 0) {
        fprintf(stderr, "threadkeeper: %s\n", err.message);
        status = CLI_FAILED;
    } else {
        if (chat.is_interactive)
            printf("threadkeeper chat as %s, conversation %s. !help for help.\n", chat.user,
                   cli->argc ? cli->argv[0] : "main");
        status = converse(&chat);
    }
    close_chat(&chat);
    return status;
}
