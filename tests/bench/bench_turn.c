/*
 * bench_turn.c - how long a person waits for the agent to begin: from the event on the wire to
 * the first line of the agent's own program, with parsing, the durable commit, the
 * conversation, the prompt and two execs between; and for the answer, posted whole.
 *
 * The agent is the double, which records when it started and how it was called; the floor is
 * the same call, made directly. Times are those of one machine's monotonic clock.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/bench/lab.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define MESSAGES         30 /* more would wait for the pace that Slack allows its posts */
#define STARTS           20
#define RECORD_MAX_BYTES (64U << 20)

/* The double's records so far, one object for each start; new. */
static json_t *read_records(struct harness *harness)
{
    AUTO_FREE char *path = xasprintf("%s/fake-cursor-agent.log", harness_workspace(harness));
    AUTO_BUF struct buf text;
    struct err err = { 0 };
    json_t *records = json_array();
    const char *line;

    buf_init(&text, RECORD_MAX_BYTES);
    if (file_read(path, &text, &err) < 0)
        fprintf(stderr, "bench_turn: %s\n", err.message);
    for (line = buf_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n')
        json_array_append_new(records, json_loads(line, JSON_DISABLE_EOF_CHECK, NULL));
    return records;
}

static bool has_ts(const json_t *entry, const void *ts)
{
    const char *value = json_string_value(json_object_get(entry, "ts"));

    return value && strcmp(value, ts) == 0;
}

/* On the lab's clock. */
struct timing {
    int64_t sent_us;   /* the event went out */
    int64_t posted_us; /* the answer came */
};

/* A person writes and gets an answer. */
static struct timing say(struct harness *harness, int number)
{
    AUTO_FREE char *user = xasprintf("U0BENCH%d", number);
    AUTO_FREE char *channel = xasprintf("D0BENCH%d", number);
    int64_t mark = lab_mark(harness);
    struct timing timing;
    const char *ts;
    json_t *sent, *posted;

    json_decref(
        lab_command(harness, "user", json_pack("{s:s, s:s}", "id", user, "name", user)));
    json_decref(lab_command(harness, "channel",
                            json_pack("{s:s, s:s, s:s, s:s}", "id", channel, "name", channel,
                                      "type", "im", "user", user)));
    ts = lab_say(harness, user, channel, NULL, "what did we decide about the build?");
    lab_wait_replies(harness, channel, NULL, 1);
    sent = lab_wait_log(harness, mark, "event_sent", has_ts, ts);
    timing.sent_us = lab_number(sent, "at_us");
    posted = lab_wait_call(harness, mark, "chat.postMessage");
    timing.posted_us = lab_number(posted, "at_us");
    json_decref(sent);
    json_decref(posted);
    return timing;
}

/* Starts the double and waits for its end; when it was started, or -1. */
static int64_t start_double(struct harness *harness, char *const *argv)
{
    posix_spawn_file_actions_t actions;
    int64_t before_us;
    pid_t pid = 0;
    bool started;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, harness_config_path(harness),
                                     O_RDONLY, 0); /* any text is a prompt */
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, harness_workspace(harness));
    before_us = clock_now_us();
    started = argv[0] && posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    if (!started || waitpid(pid, NULL, 0) != pid)
        return -1;
    return before_us;
}

/* As the daemon called it; freed by the caller, each and all. */
static char **copy_arguments(const json_t *record)
{
    const json_t *list = json_object_get(record, "argv");
    char **argv = xcalloc(json_array_size(list) + 1, sizeof(*argv));

    for (size_t i = 0; i < json_array_size(list); i++)
        argv[i] = xstrdup(json_string_value(json_array_get(list, i)));
    return argv;
}

/* To the agent's first line, and to its end. */
struct floor {
    int64_t started_us;
    int64_t ended_us;
};

static struct floor measure_floor(struct harness *harness)
{
    json_t *records = read_records(harness);
    size_t known = json_array_size(records);
    char **argv = copy_arguments(json_array_get(records, 0));
    int64_t before_us[STARTS] = { 0 };
    int64_t took_us[STARTS];
    int64_t whole_us[STARTS] = { 0 };
    struct floor floor;
    size_t count = 0;

    for (size_t i = 0; i < STARTS && argv[0]; i++) {
        before_us[i] = start_double(harness, argv);
        whole_us[i] = clock_now_us() - before_us[i];
    }
    json_decref(records);
    records = read_records(harness);
    while (count < STARTS && known + count < json_array_size(records)) {
        took_us[count] =
            lab_number(json_array_get(records, known + count), "at_us") - before_us[count];
        count++;
    }
    json_decref(records);
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    free(argv);
    floor.started_us = measure_quantile(took_us, count, 500);
    floor.ended_us = measure_quantile(whole_us, STARTS, 500);
    return floor;
}

/* From each event to the start of its agent, and to its answer; how many there are. */
static size_t measure_turns(struct harness *harness, int64_t *ret_took_us,
                            int64_t *ret_answered_us)
{
    int64_t sent_us[MESSAGES];
    int64_t offset_us = lab_clock_offset_us(harness);
    json_t *records;
    size_t count = 0;

    for (int i = 0; i < MESSAGES; i++) {
        struct timing timing = say(harness, i);

        sent_us[i] = timing.sent_us + offset_us;
        ret_answered_us[i] = timing.posted_us - timing.sent_us;
    }
    records = read_records(harness);
    for (; count < MESSAGES && count < json_array_size(records); count++)
        ret_took_us[count] =
            lab_number(json_array_get(records, count), "at_us") - sent_us[count];
    json_decref(records);
    return count;
}

static void print_row(const char *figure, int64_t value_us, int64_t floor_us)
{
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "ms",
                                     .value = (double)value_us / 1e3,
                                     .floor = (double)floor_us / 1e3 });
}

int main(void)
{
    struct harness *harness = harness_new();
    int64_t took_us[MESSAGES];
    int64_t answered_us[MESSAGES];
    struct floor floor;
    size_t count;

    if (!harness)
        return 1;
    harness_set(harness, "log", "level: info");
    harness_set(harness, "slack", "reply: post");
    set_scenario(harness, "ok");
    daemon_start(harness);
    count = measure_turns(harness, took_us, answered_us);
    floor = measure_floor(harness);
    report_title("Turn (floor: starting the agent directly)");
    print_row("event to the agent's first line, p50", measure_quantile(took_us, count, 500),
              floor.started_us);
    print_row("event to the agent's first line, p99", measure_quantile(took_us, count, 990),
              floor.started_us);
    print_row("event to the posted answer, p50", measure_quantile(answered_us, MESSAGES, 500),
              floor.ended_us);
    print_row("event to the posted answer, p99", measure_quantile(answered_us, MESSAGES, 990),
              floor.ended_us);
    harness_free(harness);
    return count == MESSAGES ? 0 : 1;
}
