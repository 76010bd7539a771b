/*
 * Many runs while the daemon and the agents are killed at random instants: each message gets
 * one terminal answer, and nothing is left over.
 *
 * SOAK_RUNS messages (40; `make soak` takes 500), SOAK_SEED to see the same choices again.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tests/scenario/scenario.h"

#define RUNS_USUAL      40
#define AT_ONCE         16 /* messages that wait for their answers */
#define CHANNELS        50 /* Slack takes one message a second in each */
#define DAEMON_KILLS    40 /* one message in so many is followed by one */
#define AGENT_KILLS     8
#define SCENARIO_CHANGE 5

#define SOAK_NAME_BYTES 16

struct soak {
    struct harness *harness;
    uint64_t state; /* of the choices */
    size_t runs;
    const char **threads;
    char channels[CHANNELS][SOAK_NAME_BYTES];
    size_t daemon_kills, agent_kills;
};

static int64_t setting(const char *name, int64_t otherwise)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */

    return text && *text ? strtoll(text, NULL, 10) : otherwise;
}

/* splitmix64: the same for the same seed. */
static uint64_t choose(struct soak *soak, uint64_t below)
{
    uint64_t z = (soak->state += 0x9e3779b97f4a7c15U);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (z ^ (z >> 31)) % below;
}

static const char *channel_of(const struct soak *soak, size_t i)
{
    return soak->channels[i % CHANNELS];
}

static void change_scenario(struct soak *soak)
{
    static const char *const scenarios[] = {
        "ok",      "ok pause_ms=20", "slow seconds=1 pause_ms=50",
        "tools",   "noresult1",      "crashmid",
        "orphan",  "orphansid",      "hangend",
        "iserror",
    };

    set_scenario(soak->harness, scenarios[choose(soak, ARRAY_LEN(scenarios))]);
}

/* Any process of any run, as it comes: the agent, its children, or who watches over them. */
static void kill_an_agent(struct soak *soak)
{
    pid_t pids[64];
    size_t count = harness_find_runs(soak->harness, pids, ARRAY_LEN(pids));

    if (count == 0)
        return;
    kill(pids[choose(soak, count)], SIGKILL);
    soak->agent_kills++;
}

static void kill_the_daemon(struct soak *soak)
{
    daemon_kill(soak->harness);
    if (choose(soak, 2))
        kill_an_agent(soak); /* while nobody watches */
    daemon_start(soak->harness);
    soak->daemon_kills++;
}

/* What ends a turn: the whole answer, or the sentence behind it that says why it is not. An
 * agent that was killed between its last word and its result has said all of it in vain. */
static size_t count_terminal(struct soak *soak, size_t i, char *ret_all, size_t size)
{
    json_auto_t *messages = lab_messages(soak->harness, channel_of(soak, i), soak->threads[i]);
    AUTO_FREE char *whole = xasprintf("Now you ask: \"message %zu.\"", i);
    json_t *message;
    size_t index, used = 0;
    size_t answers = 0, sentences = 0;

    *ret_all = '\0';
    json_array_foreach(messages, index, message)
    {
        const char *text = json_string_value(json_object_get(message, "text"));

        if (!json_is_true(json_object_get(message, "is_app")))
            continue;
        sentences += strstr(text, ":warning:") != NULL;
        answers += strstr(text, whole) != NULL;
        if (used < size)
            used += (size_t)snprintf(ret_all + used, size - used, "%.200s\n", text);
    }
    return sentences > 0 && answers <= 1 ? sentences : answers;
}

static void wait_for(struct soak *soak, size_t i)
{
    char all[2000];
    int64_t tries = 0;

    while (count_terminal(soak, i, all, sizeof(all)) == 0) {
        AUTO_FREE char *what =
            xasprintf("message %zu (%s) has no answer: %s", i, soak->threads[i], all);

        harness_wait_step(soak->harness, &tries, what);
    }
}

static void check_told_once(struct soak *soak, size_t i)
{
    char all[2000];

    lab_wait_idle(soak->harness, channel_of(soak, i), soak->threads[i]);
    if (count_terminal(soak, i, all, sizeof(all)) != 1)
        harness_fail(soak->harness, "message %zu (%s) has not one last word: %s", i,
                     soak->threads[i], all);
}

static void say_all(struct soak *soak)
{
    for (size_t i = 0; i < soak->runs; i++) {
        AUTO_FREE char *text = xasprintf("message %zu.", i);
        AUTO_FREE char *user = xasprintf("U0LOAD%zu", i % CHANNELS);

        if (i % SCENARIO_CHANGE == 0)
            change_scenario(soak);
        soak->threads[i] = lab_say(soak->harness, user, channel_of(soak, i), NULL, text);
        if (i >= AT_ONCE)
            wait_for(soak, i - AT_ONCE);
        if (choose(soak, AGENT_KILLS) == 0)
            kill_an_agent(soak);
        if (choose(soak, DAEMON_KILLS) == 0)
            kill_the_daemon(soak);
    }
    kill_the_daemon(soak); /* with some of them under way */
}

static void check_no_run_directory(struct harness *h)
{
    AUTO_FREE char *path = xasprintf("%s/runs", harness_state_dir(h));
    DIR *dir = opendir(path);
    size_t count = 0;

    while (dir && readdir(dir)) /* NOLINT(concurrency-mt-unsafe): one thread */
        count++;
    if (dir)
        closedir(dir);
    CHECK_INT(count <= 2, 1, "no directory of a run is left");
}

static void every_message_has_one_last_word_whoever_is_killed(void **state)
{
    struct soak soak = { .harness = *state };
    struct harness *h = *state;

    soak.runs = (size_t)setting("SOAK_RUNS", RUNS_USUAL);
    soak.state = (uint64_t)setting("SOAK_SEED", (int64_t)(random_below(UINT64_C(1) << 40)));
    printf("# SOAK_RUNS=%zu SOAK_SEED=%llu\n", soak.runs, (unsigned long long)soak.state);
    for (size_t i = 0; i < CHANNELS; i++)
        snprintf(soak.channels[i], SOAK_NAME_BYTES, "D0LOAD%zu", i);
    soak.threads = xcalloc(soak.runs, sizeof(*soak.threads));
    harness_set(h, "agent", "kill_grace: 200ms");
    harness_set(h, "agent", "max_running: 8");
    harness_set(h, "slack", "reply: post"); /* Slack's limits make the rest slow */
    harness_set(h, "slack", "dm: threads");
    harness_set(h, "log", "level: info");
    lab_set(h, "redeliver_delays_ms", json_pack("[i,i,i]", 0, 200, 200));
    daemon_start(h);
    say_all(&soak);
    for (size_t i = 0; i < soak.runs; i++)
        wait_for(&soak, i);
    for (size_t i = 0; i < soak.runs; i++)
        check_told_once(&soak, i);
    check_nothing_left(h);
    daemon_restart(h); /* which clears what its predecessors were killed over */
    CHECK_INT(daemon_stop(h), 0, "the daemon is well after all of it");
    check_nothing_left(h);
    check_no_run_directory(h);
    check_no_violations(h);
    printf("# %zu messages, %zu daemons and %zu processes of runs killed\n", soak.runs,
           soak.daemon_kills, soak.agent_kills);
    free(soak.threads);
}

SCENARIO_MAIN(SCENARIO(every_message_has_one_last_word_whoever_is_killed))
