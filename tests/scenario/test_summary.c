/* Summaries are made while nobody waits, and whatever becomes of them nobody is disturbed. */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"

#define RECORD_MAX_BYTES ((size_t)8 << 20)
#define STOP_LIMIT_MS    5000

static void use(struct harness *h, const char *summarizer)
{
    /* Few enough messages word for word that the summary is wanted. */
    AUTO_FREE char *context =
        xasprintf("context: { summarizer: %s, max_messages: 4, recall: false }", summarizer);

    harness_set(h, "memory", context);
}

/* Four questions and their answers: eight messages, five of which are older than the last
 * three.
 */
static const char *talk(struct harness *h, const char *channel)
{
    static const char *const said[] = { "We decided to use JWT in src/auth.c",
                                        "The port is 8443", "Who owns the tokens?",
                                        "Noted, go on" };
    const char *thread = NULL;

    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        AUTO_FREE char *text = xasprintf("%s%s", thread ? "" : "@threadkeeper ", said[i]);
        const char *ts = lab_say(h, ALICE, channel, thread, text);

        thread = thread ? thread : ts;
        lab_wait_replies(h, channel, thread, i + 1);
    }
    return thread;
}

static size_t count_runs(struct harness *h)
{
    AUTO_FREE char *path = xasprintf("%s/summaries", harness_state_dir(h));
    DIR *directory = opendir(path);
    const struct dirent *entry;
    size_t count = 0;

    while (directory &&
           (entry = readdir(directory)) != NULL) /* NOLINT(concurrency-mt-unsafe) */
        count += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count;
}

static void wait_runs(struct harness *h, size_t want)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);

    while (count_runs(h) != want) {
        if (clock_now_ms() > until)
            harness_fail(h, "%zu runs of summaries, not %zu", count_runs(h), want);
        poll(NULL, 0, 10);
    }
}

/* How often the double was started, and how often in ask mode. */
struct starts {
    size_t all;
    size_t asking;
};

static struct starts count_starts(struct harness *h)
{
    AUTO_FREE char *path = xasprintf("%s/fake-cursor-agent.log", harness_workspace(h));
    AUTO_BUF struct buf record = { 0 };
    struct starts starts = { 0 };

    buf_init(&record, RECORD_MAX_BYTES);
    if (file_read(path, &record, NULL) < 0)
        return starts;
    for (const char *at = buf_text(&record); *at;) {
        size_t len = strcspn(at, "\n");
        json_auto_t *start = json_loadb(at, len, 0, NULL);
        AUTO_FREE char *argv = json_dumps(json_object_get(start, "argv"), JSON_COMPACT);

        starts.all++;
        starts.asking += argv && strstr(argv, "\"ask\"") != NULL;
        at += len + (at[len] == '\n');
    }
    return starts;
}

static void older_turns_are_told_shorter_by_the_agent(void **state)
{
    struct harness *h = *state;
    const char *thread;
    struct starts starts;

    use(h, "agent");
    harness_set(h, "agent", "mode: write");
    set_scenario(h, "ok");
    daemon_start(h);
    thread = talk(h, DEV);
    daemon_wait_metric(h, "summaries_total{source=\"agent\",outcome=\"made\"}", 1);
    CHECK_HOLDS(daemon_log(h), "version=1 turns=1..5 source=agent", "said what it covers");
    lab_say(h, ALICE, DEV, thread, "and now?");
    lab_wait_reply(
        h, DEV, thread,
        "A summary was there as well: Summary of 5 turns: U0ALICE said \"We decided to "
        "use JWT in src/auth.c\"");
    daemon_restart(h);
    lab_say(h, ALICE, DEV, thread, "still?");
    lab_wait_reply(h, DEV, thread,
                   "Now you ask: \"still?\" A summary was there as well: Summary of 5 turns");
    wait_runs(h, 0);
    starts = count_starts(h);
    CHECK_INT(starts.all, 7, "six turns and a summary");
    CHECK_INT(starts.asking, 1, "the summary never in write mode");
    check_no_violations(h);
}

static void without_a_model_sentences_are_chosen(void **state)
{
    struct harness *h = *state;
    const char *thread;

    use(h, "extract");
    set_scenario(h, "ok");
    daemon_start(h);
    thread = talk(h, DEV);
    daemon_wait_metric(h, "summaries_total{source=\"extract\",outcome=\"made\"}", 1);
    lab_say(h, ALICE, DEV, thread, "and now?");
    lab_wait_reply(h, DEV, thread,
                   "A summary was there as well: U0ALICE: We decided to use JWT in src/auth.c");
    CHECK_INT(count_starts(h).all, 5, "no run but the turns'");
    check_no_violations(h);
}

static void switched_off_there_are_none_until_a_reload_switches_it_on(void **state)
{
    struct harness *h = *state;
    const char *thread;

    use(h, "off");
    set_scenario(h, "ok");
    daemon_start(h);
    thread = talk(h, DEV);
    CHECK_INT(strstr(daemon_log(h), "summary conversation=") == NULL, 1, "none so far");
    use(h, "extract");
    daemon_reload(h);
    daemon_wait_log(h, "memory.context.summarizer");
    lab_say(h, ALICE, DEV, thread, "and now?");
    daemon_wait_metric(h, "summaries_total{source=\"extract\",outcome=\"made\"}", 1);
    check_no_violations(h);
}

struct bad {
    const char *scenario;
    const char *outcome;
};

static void a_bad_summary_changes_nothing(void **state)
{
    static const struct bad bads[] = {
        { "ok summary=fail", "failed" },       { "ok summary=refuse", "refused" },
        { "ok summary=empty", "refused" },     { "ok summary=echo", "refused" },
        { "ok summary=unrelated", "refused" }, { "ok summary=long", "refused" },
    };
    struct harness *h = *state;

    use(h, "agent");
    set_scenario(h, "ok");
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        AUTO_FREE char *metric =
            xasprintf("summaries_total{source=\"agent\",outcome=\"%s\"}", bads[i].outcome);

        set_scenario(h, bads[i].scenario);
        talk(h, DEV);
        daemon_wait_metric(h, metric, 1);
        CHECK_INT(strstr(daemon_log(h), "summary conversation=") == NULL, 1, bads[i].scenario);
        daemon_restart(h);
        wait_runs(h, 0);
    }
    check_no_violations(h);
}

static void an_agent_that_keeps_failing_is_replaced_by_choosing_sentences(void **state)
{
    struct harness *h = *state;
    const char *thread;

    use(h, "agent");
    set_scenario(h, "ok summary=fail");
    daemon_start(h);
    thread = talk(h, DEV);
    daemon_wait_metric(h, "summaries_total{source=\"extract\",outcome=\"made\"}", 1);
    daemon_wait_metric(h, "summaries_total{source=\"agent\",outcome=\"failed\"}", 3);
    lab_say(h, ALICE, DEV, thread, "and now?");
    lab_wait_reply(h, DEV, thread,
                   "A summary was there as well: U0ALICE: We decided to use JWT in src/auth.c");
    check_no_violations(h);
}

static void a_summary_under_way_delays_nobody_and_ends_with_the_daemon(void **state)
{
    struct harness *h = *state;
    const char *thread;
    int64_t began_ms;

    use(h, "agent");
    harness_set(h, "agent", "max_running: 1");
    set_scenario(h, "ok summary=hang");
    daemon_start(h);
    thread = talk(h, DEV);
    wait_runs(h, 1);
    lab_say(h, ALICE, DEV, thread, "and now?");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"and now?\"");
    lab_say(h, BOB, GENERAL, NULL, "@threadkeeper and me?");
    lab_wait_reply(h, GENERAL, NULL, "Now you ask: \"and me?\"");
    CHECK_INT(count_runs(h), 1, "one at a time, and it goes on");
    began_ms = clock_now_ms();
    CHECK_INT(daemon_stop(h), 0, "ends well");
    CHECK_INT(clock_now_ms() - began_ms < harness_limit_ms(STOP_LIMIT_MS), 1, "and soon");
    check_nothing_left(h);
    CHECK_INT(count_runs(h), 0, "no directory");
    check_no_violations(h);
}

static void while_every_worker_is_busy_no_summary_is_begun(void **state)
{
    struct harness *h = *state;
    const char *summary;
    const char *stopped;
    const char *thread;
    const char *other;

    harness_set(h, "memory",
                "context: { summarizer: agent, summarize_after: 1, "
                "verbatim_messages: 1 }");
    harness_set(h, "agent", "max_running: 1");
    set_scenario(h, "gate");
    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper one");
    lab_wait_text(h, DEV, thread, "The gate is closed");
    other = lab_say(h, BOB, GENERAL, NULL, "@threadkeeper two");
    lab_wait_acked(h);
    set_scenario(h, "hangmid");
    open_gate(h);
    lab_wait_text(h, GENERAL, other, "A partial");
    lab_say(h, ALICE, DEV, thread, "!status"); /* by when it could have been made */
    lab_wait_replies(h, DEV, thread, 2);
    lab_press_stop(h, GENERAL, other);
    daemon_wait_metric(h, "summaries_total{source=\"agent\",outcome=\"made\"}", 1);
    stopped = strstr(daemon_log(h), "ended: stopped");
    summary = strstr(daemon_log(h), "summary conversation=U0ALICE");
    CHECK_INT(stopped && summary && stopped < summary, 1, "Bob's turn was over first");
    check_no_violations(h);
}

static void what_a_killed_daemon_leaves_is_removed_not_delivered(void **state)
{
    struct harness *h = *state;
    const char *thread;

    use(h, "agent");
    set_scenario(h, "ok summary=hang");
    daemon_start(h);
    thread = talk(h, DEV);
    wait_runs(h, 1);
    daemon_kill(h);
    CHECK_INT(count_runs(h), 1, "left behind");
    set_scenario(h, "ok");
    daemon_start(h);
    daemon_wait_log(h, "of a summary that nobody waits for is removed");
    wait_runs(h, 0);
    check_nothing_left(h);
    CHECK_INT(lab_count_replies(h, DEV, thread), 4, "Slack sees nothing of it");
    lab_say(h, ALICE, DEV, thread, "and now?");
    daemon_wait_metric(h, "summaries_total{source=\"agent\",outcome=\"made\"}", 1);
    check_no_violations(h);
}

static void chat_summarizes_as_well(void **state)
{
    struct harness *h = *state;
    struct program chat;

    use(h, "agent");
    set_scenario(h, "ok");
    chat = run_threadkeeper(h,
                            "We decided to use JWT in src/auth.c\nThe port is 8443\n"
                            "Who owns the tokens?\nNoted, go on\nand now?\n",
                            "chat", NULL);
    CHECK_INT(chat.status, 0, chat.err);
    CHECK_HOLDS(chat.out, "A summary was there as well: ", "passed on");
    CHECK_INT(count_starts(h).all, 5, "by choosing sentences");
}

SCENARIO_MAIN(SCENARIO(older_turns_are_told_shorter_by_the_agent),
              SCENARIO(without_a_model_sentences_are_chosen),
              SCENARIO(switched_off_there_are_none_until_a_reload_switches_it_on),
              SCENARIO(a_bad_summary_changes_nothing),
              SCENARIO(an_agent_that_keeps_failing_is_replaced_by_choosing_sentences),
              SCENARIO(a_summary_under_way_delays_nobody_and_ends_with_the_daemon),
              SCENARIO(while_every_worker_is_busy_no_summary_is_begun),
              SCENARIO(what_a_killed_daemon_leaves_is_removed_not_delivered),
              SCENARIO(chat_summarizes_as_well))
