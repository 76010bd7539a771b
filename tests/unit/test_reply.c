#include "slack/reply.h"

#include "base/clock.h"
#include "slack/reply_parts.h"
#include "tests/test.h"
#include "tests/unit/slack_peer.h"

#define REFUSED(name) "{\"ok\":false,\"error\":\"" name "\"}"

struct fixture {
    struct slack_peer *peer;
    struct slack_limits *limits;
    struct slack_web *web;
    struct slack_features *features;
    struct slack_reply *reply;
    struct metrics *metrics;
    char state[512]; /* what on_state said last */
    unsigned states;
    int64_t now_ms;
    bool stopped;
    struct err err;
};

static void keep_state(void *context, const char *state)
{
    struct fixture *f = context;

    snprintf(f->state, sizeof(f->state), "%s", state);
    f->states++;
}

static void make_reply(struct fixture *f, enum slack_reply_mode mode, const char *thread_ts)
{
    struct slack_reply_target target = { .channel = "C1",
                                         .thread_ts = thread_ts,
                                         .recipient_user = "U1",
                                         .recipient_team = "T1",
                                         .key = "run7" };
    struct slack_reply_options options = { .mode = mode,
                                           .features = f->features,
                                           .metrics = f->metrics,
                                           .on_state = keep_state,
                                           .context = f };

    slack_reply_free(f->reply);
    f->reply = slack_reply_new(f->web, &target, &options);
}

static void set_up(struct fixture *f, enum slack_reply_mode mode, const char *thread_ts)
{
    *f = (struct fixture){ .now_ms = 1000000 };
    f->peer = peer_new();
    f->metrics = metrics_new();
    f->limits = slack_limits_new(NULL);
    f->web = slack_web_new(f->peer->url, "xoxb-test", f->limits);
    f->web->backoff_ms = 1;
    f->features = slack_features_new();
    make_reply(f, mode, thread_ts);
}

static void tear_down(struct fixture *f)
{
    slack_reply_free(f->reply);
    slack_features_free(f->features);
    slack_web_free(f->web);
    slack_limits_free(f->limits);
    metrics_free(f->metrics);
    peer_free(f->peer);
}

static void say(struct fixture *f, const char *text)
{
    slack_reply_append(f->reply, text, strlen(text));
}

/* Ticks at each moment that the reply asks for, for `duration_ms`. */
static void run_for(struct fixture *f, int64_t duration_ms)
{
    int64_t end = f->now_ms + duration_ms;
    int64_t due = slack_reply_tick(f->reply, f->now_ms, &f->stopped);

    for (int i = 0; due <= end; i++) {
        if (i > 1000)
            fail_msg("ticks without end");
        f->now_ms = due > f->now_ms ? due : f->now_ms;
        due = slack_reply_tick(f->reply, f->now_ms, &f->stopped);
        if (due <= f->now_ms)
            f->now_ms++;
    }
    f->now_ms = end;
}

static void end(struct fixture *f, const char *note)
{
    CHECK_INT(slack_reply_end(f->reply, note, &f->err), 0, f->err.message);
}

static void check_seen(struct fixture *f, const char *want, const char *because)
{
    AUTO_FREE char *seen = peer_transcript(f->peer, "|");

    CHECK_TEXT(seen, want, because);
}

static void check_arg(struct fixture *f, const char *method, unsigned n, const char *name,
                      const char *want)
{
    json_auto_t *body = NULL;
    const char *text = peer_body(f->peer, method, n);

    if (!text)
        fail_msg("%s was not called %u times", method, n + 1);
    body = json_loads(text, 0, NULL);
    CHECK_TEXT(peer_text(body, name), want, method);
}

/* ---- cards ---- */

static void step(struct fixture *f, unsigned number, const char *title,
                 enum slack_task_state state)
{
    slack_reply_set_task(f->reply, number, title, state);
}

static void steps_are_cards_in_their_place_between_the_text(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "First.");
    run_for(&f, 3000);
    say(&f, " I look.");
    step(&f, 1, "Reading a.c", SLACK_TASK_RUNNING);
    slack_reply_set_status(f.reply, "is reading a.c", f.now_ms);
    say(&f, "Behind it. ");
    run_for(&f, 3000);
    check_seen(&f, "(open)First. I look.[t1 in_progress Reading a.c]Behind it. ",
               "a card stands behind what was said before it");
    step(&f, 1, "Reading a.c (15 s)", SLACK_TASK_RUNNING);
    run_for(&f, 3000);
    step(&f, 1, "Reading a.c (15 s)", SLACK_TASK_RUNNING);
    run_for(&f, 3000);
    step(&f, 1, "Reading a.c", SLACK_TASK_DONE);
    step(&f, 2, "Running <!channel>", SLACK_TASK_RUNNING);
    step(&f, 2, "Running <!channel>", SLACK_TASK_FAILED);
    say(&f, "End.");
    end(&f, "");
    check_seen(&f,
               "First. I look.[t1 in_progress Reading a.c]Behind it. "
               "[t1 in_progress Reading a.c (15 s)]End.[t1 complete Reading a.c]",
               "the same once; a card that was never shown is not needed any more");
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 0, "cards say it");
    tear_down(&f);
}

static void a_card_begins_behind_blanks_that_wait(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "Let me look at the file:");
    run_for(&f, 3000);
    say(&f, "\n\n");
    step(&f, 1, "Reading a.c", SLACK_TASK_RUNNING);
    slack_reply_set_status(f.reply, "is reading a.c", f.now_ms);
    run_for(&f, 3000);
    check_seen(&f, "(open)Let me look at the file:[t1 in_progress Reading a.c]", "at once");
    step(&f, 1, "Reading a.c", SLACK_TASK_DONE);
    say(&f, "It is fine.");
    end(&f, "");
    check_seen(&f,
               "Let me look at the file:[t1 in_progress Reading a.c]\n\nIt is fine."
               "[t1 complete Reading a.c]",
               "the blanks come with what follows");
    tear_down(&f);
}

static void titles_of_cards_can_neither_notify_nor_break_a_line(void **state)
{
    struct fixture f;
    AUTO_FREE char *seen = NULL;
    char title[400];

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "First.");
    run_for(&f, 3000);
    step(&f, 1, "Running <!channel>\nnow", SLACK_TASK_RUNNING);
    memset(title, 'x', sizeof(title));
    title[sizeof(title) - 1] = '\0';
    step(&f, 2, title, SLACK_TASK_RUNNING);
    run_for(&f, 3000);
    seen = peer_transcript(f.peer, "|");
    CHECK_INT(strstr(seen, "<!channel>") == NULL, 1, seen);
    CHECK_INT(strchr(seen, '\n') == NULL, 1, seen);
    CHECK_INT(strlen(seen) < 250, 1, seen);
    end(&f, "");
    tear_down(&f);
}

static void a_card_that_still_runs_ends_with_its_message(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "First.");
    run_for(&f, 3000);
    step(&f, 1, "Running a command", SLACK_TASK_RUNNING);
    step(&f, 2, "Reading a.c", SLACK_TASK_RUNNING);
    run_for(&f, 3000);
    step(&f, 2, "Reading a.c", SLACK_TASK_FAILED);
    run_for(&f, 240000); /* Slack would let the stream die */
    check_seen(&f,
               "First.[t1 in_progress Running a command][t2 in_progress Reading a.c]"
               "[t2 error Reading a.c][t1 complete Running a command]",
               "closed before that");
    slack_reply_set_status(f.reply, "is running a command", f.now_ms);
    run_for(&f, 3000);
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 1, "the status line again");
    say(&f, "Second.");
    run_for(&f, 3000);
    end(&f, "");
    check_seen(&f,
               "First.[t1 in_progress Running a command][t2 in_progress Reading a.c]"
               "[t2 error Reading a.c][t1 complete Running a command]|"
               "Second.[t1 in_progress Running a command][t1 error Running a command]",
               "and begins anew in the next one");
    tear_down(&f);
}

static void no_card_tears_a_code_fence_apart(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "```c\nint x;\n");
    run_for(&f, 3000);
    step(&f, 1, "Reading a.c", SLACK_TASK_RUNNING);
    run_for(&f, 5000);
    check_seen(&f, "(open)```c\nint x;\n", "it waits");
    say(&f, "```\n");
    run_for(&f, 3000);
    check_seen(&f, "(open)```c\nint x;\n```\n[t1 in_progress Reading a.c]",
               "until it is closed");
    end(&f, "");
    tear_down(&f);
}

static void a_slack_without_cards_is_asked_once_and_gets_the_status_line(void **state)
{
    static const char *const refusals[] = { REFUSED("invalid_chunks"),
                                            REFUSED("invalid_arguments") };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "First.");
        run_for(&f, 3000);
        peer_refuse(f.peer, "chat.appendStream", refusals[i]);
        say(&f, " Look.");
        step(&f, 1, "Reading a.c", SLACK_TASK_RUNNING);
        slack_reply_set_status(f.reply, "is reading a.c", f.now_ms);
        run_for(&f, 3000);
        check_seen(&f, "(open)First. Look.", "the text is not lost");
        check_arg(&f, "assistant.threads.setStatus", 0, "status", "is reading a.c");
        end(&f, "");
        make_reply(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "Another.");
        run_for(&f, 3000);
        step(&f, 1, "Reading a.c", SLACK_TASK_RUNNING);
        run_for(&f, 3000);
        end(&f, "");
        check_seen(&f, "First. Look.|Another.", "and remembered");
        tear_down(&f);
    }
}

static void cards_never_fill_a_message(void **state)
{
    struct fixture f;
    AUTO_FREE char *seen = NULL;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "First.");
    run_for(&f, 3000);
    for (unsigned i = 1; i <= 180; i++) {
        char title[64];

        snprintf(title, sizeof(title), "Reading file number %u", i);
        step(&f, i, title, SLACK_TASK_RUNNING);
        run_for(&f, 500);
        step(&f, i, title, SLACK_TASK_DONE);
        run_for(&f, 500);
    }
    slack_reply_set_status(f.reply, "is reading one more", f.now_ms);
    run_for(&f, 3000);
    CHECK_INT(peer_count(f.peer, "chat.startStream"), 1, "one message");
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus") > 0, 1, "the status goes on");
    seen = peer_transcript(f.peer, "|");
    CHECK_INT(strlen(seen) < 4000, 1, "bounded");
    end(&f, "");
    tear_down(&f);
}

static void an_edited_message_has_the_status_as_its_last_line(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_EDIT, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    slack_reply_set_status(f.reply, "is thinking...", f.now_ms);
    run_for(&f, 3000);
    check_seen(&f, "", "Slack's own status line while nothing is said");
    check_arg(&f, "assistant.threads.setStatus", 0, "status", "is thinking...");
    say(&f, "One.");
    run_for(&f, 4000);
    step(&f, 1, "Reading a.c", SLACK_TASK_RUNNING);
    slack_reply_set_status(f.reply, "is reading a.c (15 s)", f.now_ms);
    run_for(&f, 4000);
    check_seen(&f, "One.\n\n_is reading a.c (15 s)_", "its last line");
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 1, "and there alone");
    say(&f, " Two.");
    run_for(&f, 4000);
    check_seen(&f, "One. Two.", "text takes it away");
    end(&f, "_note_");
    check_seen(&f, "One. Two.\n\n_note_", "");
    tear_down(&f);
}

/* ---- streaming ---- */

static void a_stream_shows_status_then_text_then_closes(void **state)
{
    struct fixture f;
    AUTO_FREE char *methods = NULL;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    slack_reply_set_status(f.reply, "Reading a.txt", f.now_ms);
    run_for(&f, 1000);
    say(&f, "Hello ");
    run_for(&f, 2000);
    say(&f, "world.");
    run_for(&f, 2000);
    say(&f, " Bye.");
    end(&f, "");
    methods = peer_methods(f.peer);
    CHECK_TEXT(methods,
               "agents.sessions.setStatus assistant.threads.setStatus chat.startStream "
               "chat.appendStream chat.stopStream agents.sessions.setStatus "
               "assistant.threads.setStatus",
               "");
    check_seen(&f, "Hello world. Bye.", "");
    check_arg(&f, "agents.sessions.setStatus", 0, "status", "processing");
    check_arg(&f, "agents.sessions.setStatus", 1, "status", "active");
    check_arg(&f, "assistant.threads.setStatus", 0, "status", "Reading a.txt");
    check_arg(&f, "assistant.threads.setStatus", 1, "status", "");
    check_arg(&f, "chat.startStream", 0, "thread_ts", "1.1");
    check_arg(&f, "chat.startStream", 0, "recipient_user_id", "U1");
    check_arg(&f, "chat.startStream", 0, "recipient_team_id", "T1");
    CHECK_TEXT(slack_reply_text(f.reply), "Hello world. Bye.", "");
    tear_down(&f);
}

static void appends_are_coalesced_to_one_a_second(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    for (int i = 0; i < 100; i++) { /* ten seconds of a word every 100 ms */
        say(&f, "some words of it ");
        run_for(&f, 100);
    }
    CHECK_INT(peer_count(f.peer, "chat.appendStream") <= 10, true, "coalesced");
    CHECK_INT(peer_count(f.peer, "chat.appendStream") >= 7, true, "yet it moves");
    end(&f, "");
    tear_down(&f);
}

static void an_append_that_had_to_wait_keeps_its_second_to_the_next(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "One.");
    run_for(&f, 500);
    peer_script(f.peer, "chat.appendStream", 429, "Retry-After: 1\r\n", "", false);
    say(&f, " Two.");
    run_for(&f, 1100);
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 2, "refused, then taken a second later");
    say(&f, " Three.");
    run_for(&f, 1000);
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 2, "too early for Slack");
    run_for(&f, 1200);
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 3, "");
    end(&f, "");
    check_seen(&f, "One. Two. Three.", "");
    tear_down(&f);
}

static void status_is_refreshed_and_ends_with_the_text_that_follows(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    say(&f, "First.");
    run_for(&f, 3000);
    slack_reply_set_status(f.reply, "Running tests", f.now_ms);
    run_for(&f, 160000);
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 3, "set, and twice refreshed");
    say(&f, " Done.");
    run_for(&f, 3000);
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 4, "taken away");
    check_arg(&f, "assistant.threads.setStatus", 3, "status", "");
    CHECK_INT(peer_count(f.peer, "agents.sessions.setStatus"), 2, "and still processing");
    end(&f, "");
    tear_down(&f);
}

static void a_long_answer_rolls_over_with_fences_whole(void **state)
{
    struct fixture f;
    AUTO_FREE char *seen = NULL;
    char line[64];
    size_t messages = 1;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "Here:\n\n```c\n");
    for (int i = 0; i < 800; i++) {
        snprintf(line, sizeof(line), "int line_%04d = %d; /* filler */\n", i, i);
        say(&f, line);
        run_for(&f, 20);
    }
    say(&f, "```\nThat is all.");
    end(&f, "_Stopped._");
    seen = peer_transcript(f.peer, "\x01");
    for (char *part = seen; part; messages++) {
        char *next = strchr(part, '\x01');
        unsigned fences = 0;

        if (next)
            *next++ = '\0';
        CHECK_INT(strlen(part) <= 9100, true, "within the budget");
        for (const char *at = part; (at = strstr(at, "```")); at += 3)
            fences++;
        CHECK_INT(fences % 2, 0, part);
        part = next;
    }
    CHECK_INT(messages >= 4, true, "several messages");
    CHECK_INT(f.states,
              peer_count(f.peer, "chat.startStream") + peer_count(f.peer, "chat.postMessage"),
              "each told");
    tear_down(&f);
}

static void a_fence_that_the_agent_left_open_is_closed_at_the_end(void **state)
{
    static const struct {
        const char *note;
        const char *want;
    } cases[] = {
        { "", "Look:\n```c\nint a;\nint b;\n```" },
        { "_Stopped._", "Look:\n```c\nint a;\nint b;\n```\n\n_Stopped._" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "Look:\n```c\nint a;\n");
        run_for(&f, 1000);
        CHECK_INT(peer_count(f.peer, "chat.startStream"), 1, "streamed");
        say(&f, "int b;\n");
        end(&f, cases[i].note);
        check_seen(&f, cases[i].want, cases[i].note);
        tear_down(&f);
    }
}

static void text_that_came_at_once_fills_several_messages(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    for (int i = 0; i < 2500; i++)
        say(&f, i % 20 ? "some word " : "paragraph\n\n");
    run_for(&f, 3000);
    CHECK_INT(f.peer->messages_count >= 2, true, "it goes on at once");
    for (size_t i = 0; i + 1 < f.peer->messages_count; i++) {
        CHECK_INT(f.peer->messages[i].text.len <= 9000, true, "within the budget");
        CHECK_INT(f.peer->messages[i].is_stream, false, "closed when full");
    }
    end(&f, "");
    tear_down(&f);
}

static void a_stream_that_slack_finds_full_goes_on_in_another(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "One.\n");
    run_for(&f, 2000);
    peer_refuse(f.peer, "chat.appendStream", REFUSED("msg_too_long"));
    say(&f, "Two.");
    run_for(&f, 6000);
    end(&f, "");
    check_seen(&f, "One.\n|Two.", "");
    tear_down(&f);
}

static void blanks_alone_are_never_sent(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "\n\n ");
    run_for(&f, 3000);
    check_seen(&f, "", "no message of blanks");
    say(&f, "One.");
    run_for(&f, 3000);
    say(&f, "\n\n");
    run_for(&f, 3000);
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 0, "they wait for text");
    say(&f, "Two.");
    run_for(&f, 3000);
    say(&f, "\n");
    end(&f, "");
    check_seen(&f, " One.\n\nTwo.", "");
    tear_down(&f);
}

/* All bytes reach the reader whatever the seams: compared without the fences and newlines. */
static void nothing_is_lost_or_repeated_over_many_messages(void **state)
{
    static const enum slack_reply_mode modes[] = { SLACK_REPLY_AUTO, SLACK_REPLY_EDIT,
                                                   SLACK_REPLY_POST };

    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct fixture f;
        AUTO_FREE char *seen = NULL;
        char word[32];
        const char *at;

        set_up(&f, modes[m], "1.1");
        for (int i = 0; i < 6000; i++) {
            snprintf(word, sizeof(word), "w%04d%s", i, i % 40 ? " " : ".\n\n");
            say(&f, word);
            if (i % 10 == 0)
                run_for(&f, 100);
        }
        end(&f, "");
        seen = peer_transcript(f.peer, "|");
        at = seen;
        for (int i = 0; i < 6000; i++) {
            snprintf(word, sizeof(word), "w%04d", i);
            at = strstr(at, word);
            CHECK_INT(at != NULL, true, word);
            at += 5;
            CHECK_INT(strstr(at, word) == NULL, true, "only once");
        }
        CHECK_INT(strstr(seen, "(open)") == NULL, true, "all closed");
        tear_down(&f);
    }
}

static void a_silent_stream_is_closed_before_slack_lets_it_die(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    say(&f, "Before.");
    run_for(&f, 239000);
    CHECK_INT(peer_count(f.peer, "chat.stopStream"), 1, "closed");
    check_arg(&f, "agents.sessions.setStatus", 1, "status", "processing");
    say(&f, " After.");
    run_for(&f, 5000);
    end(&f, "");
    check_seen(&f, "Before.| After.", "the next text begins a message");
    tear_down(&f);
}

static void a_stream_that_slack_closed_goes_on_in_the_same_message(void **state)
{
    static const char *const methods[] = { "chat.appendStream", "chat.stopStream" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "One.");
        run_for(&f, 2000);
        peer_refuse(f.peer, methods[i], REFUSED("message_not_in_streaming_state"));
        say(&f, " Two.");
        if (i == 0)
            run_for(&f, 8000);
        end(&f, "_Bye._");
        check_seen(&f, "One. Two.\n\n_Bye._", methods[i]);
        tear_down(&f);
    }
}

static void an_append_of_unknown_fate_is_neither_lost_nor_doubled(void **state)
{
    (void)state;
    for (int executed = 0; executed < 2; executed++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "One.");
        run_for(&f, 2000);
        peer_script(f.peer, "chat.appendStream", 0, "", "", executed);
        say(&f, " Two.");
        run_for(&f, 8000);
        say(&f, " Three.");
        end(&f, "");
        check_seen(&f, "One. Two. Three.", executed ? "it had run" : "it had not");
        tear_down(&f);
    }
}

static void a_final_stop_of_unknown_fate_is_neither_lost_nor_doubled(void **state)
{
    (void)state;
    for (int executed = 0; executed < 2; executed++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "One.");
        run_for(&f, 2000);
        peer_script(f.peer, "chat.stopStream", 0, "", "", executed);
        say(&f, " Two.");
        end(&f, "");
        check_seen(&f, "One. Two.", executed ? "it had run" : "it had not");
        tear_down(&f);
    }
}

static void slacks_stop_button_is_reported_and_the_rest_still_arrives(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "One.");
    run_for(&f, 2000);
    CHECK_INT(f.stopped, false, "");
    peer_refuse(f.peer, "chat.appendStream", REFUSED("stopped_by_user"));
    say(&f, " Two.");
    run_for(&f, 3000);
    CHECK_INT(f.stopped, true, "");
    say(&f, " Three.");
    run_for(&f, 5000);
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 1, "no more appends");
    peer_refuse(f.peer, "chat.stopStream", REFUSED("stopped_by_user"));
    end(&f, "_Stopped._");
    check_seen(&f, "One. Two. Three.\n\n_Stopped._", "");
    tear_down(&f);
}

static void a_stream_message_that_was_deleted_is_written_anew(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "One.");
    run_for(&f, 2000);
    f.peer->messages[0].is_deleted = true;
    say(&f, " Two.");
    run_for(&f, 4000);
    end(&f, "");
    check_seen(&f, "One. Two.", "whole, in a new message");
    tear_down(&f);
}

/* ---- falling back ---- */

static void streams_that_are_refused_become_posts_and_edits_and_it_is_remembered(void **state)
{
    static const struct {
        const char *body;
        bool remembered;
    } cases[] = {
        { REFUSED("unknown_method"), true },
        { REFUSED("feature_disabled"), true },
        { REFUSED("channel_type_not_supported"), true },
        { REFUSED("missing_recipient_user_id"), true },
        { REFUSED("invalid_arguments"), false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_AUTO, "1.1");
        peer_refuse(f.peer, "chat.startStream", cases[i].body);
        say(&f, "One.");
        run_for(&f, 1000);
        check_seen(&f, "One.", "posted at once");
        say(&f, " Two.");
        run_for(&f, 5000);
        check_seen(&f, "One. Two.", "edited");
        end(&f, "");
        check_seen(&f, "One. Two.", "");
        make_reply(&f, SLACK_REPLY_AUTO, "1.1");
        say(&f, "Three.");
        run_for(&f, 2000);
        CHECK_INT(peer_count(f.peer, "chat.startStream"), cases[i].remembered ? 1 : 2,
                  cases[i].body);
        end(&f, "");
        tear_down(&f);
    }
}

static void edits_keep_three_seconds_apart(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_EDIT, "1.1");
    for (int i = 0; i < 110; i++) {
        say(&f, "word ");
        run_for(&f, 100);
    }
    CHECK_INT(peer_count(f.peer, "chat.postMessage"), 1, "one message");
    CHECK_INT(peer_count(f.peer, "chat.update"), 3, "after 3, 6 and 9 s of 11");
    end(&f, "");
    tear_down(&f);
}

static void a_flat_answer_shows_its_status_in_the_message(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "");
    slack_reply_begin(f.reply, f.now_ms);
    slack_reply_set_status(f.reply, "Reading a.txt", f.now_ms);
    run_for(&f, 1000);
    check_seen(&f, "_Reading a.txt_", "before text");
    say(&f, "One.");
    run_for(&f, 4000);
    check_seen(&f, "One.", "the text ends it");
    slack_reply_set_status(f.reply, "Running @channel\ntests", f.now_ms);
    run_for(&f, 4000);
    check_seen(&f,
               "One.\n\n_Running @\u200b"
               "channel tests_",
               "between text, harmless");
    end(&f, "");
    check_seen(&f, "One.", "gone in the end");
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 0, "no thread");
    CHECK_INT(peer_count(f.peer, "agents.sessions.setStatus"), 0, "no thread");
    CHECK_INT(peer_count(f.peer, "chat.startStream"), 0, "no stream without a parent");
    tear_down(&f);
}

static void a_placeholder_without_an_answer_disappears_or_becomes_the_note(void **state)
{
    static const struct {
        const char *note;
        const char *want;
    } cases[] = { { "", "" }, { "_Stopped._", "_Stopped._" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_EDIT, "");
        slack_reply_set_status(f.reply, "Reading", f.now_ms);
        run_for(&f, 1000);
        end(&f, cases[i].note);
        check_seen(&f, cases[i].want, "");
        tear_down(&f);
    }
}

static void post_mode_posts_whole_messages_at_the_end(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_POST, "1.1");
    say(&f, "One.");
    run_for(&f, 10000);
    check_seen(&f, "", "nothing before the end");
    end(&f, "_Note._");
    check_seen(&f, "One.\n\n_Note._", "");
    tear_down(&f);
}

static void a_message_that_cannot_be_edited_any_more_is_followed_by_another(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_EDIT, "1.1");
    say(&f, "One.");
    run_for(&f, 1000);
    peer_refuse(f.peer, "chat.update", REFUSED("edit_window_closed"));
    say(&f, " Two.");
    run_for(&f, 9000);
    end(&f, "");
    check_seen(&f, "One.| Two.", "");
    tear_down(&f);
}

static void a_message_that_is_too_long_for_slack_is_cut_smaller(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_POST, "1.1");
    for (int i = 0; i < 1000; i++)
        say(&f, i % 10 ? "word " : "last\n");
    peer_refuse(f.peer, "chat.postMessage", REFUSED("msg_too_long"));
    end(&f, "");
    CHECK_INT(f.peer->messages_count, 1, "5,000 bytes fit into half of 11,000");
    CHECK_INT(f.peer->messages[0].text.len, 5000, "");
    tear_down(&f);
}

/* ---- failures ---- */

static void an_outage_delays_text_and_loses_none(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    for (int i = 0; i < 12; i++) {
        peer_script(f.peer, "chat.startStream", 503, "", "", false);
        peer_script(f.peer, "chat.appendStream", 503, "", "", false);
    }
    say(&f, "One.");
    run_for(&f, 20000);
    say(&f, " Two.");
    run_for(&f, 60000);
    say(&f, " Three.");
    end(&f, "");
    check_seen(&f, "One. Two. Three.", "");
    tear_down(&f);
}

static void an_end_that_cannot_be_delivered_says_so_and_still_clears_the_status(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_EDIT, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    slack_reply_set_status(f.reply, "Reading", f.now_ms);
    run_for(&f, 1000);
    for (int i = 0; i < 20; i++)
        peer_refuse(f.peer, "chat.postMessage", REFUSED("is_archived"));
    say(&f, "One.");
    CHECK_INT(slack_reply_end(f.reply, "", &f.err), -1, "no way");
    CHECK_HOLDS(f.err.message, "is_archived", "the cause");
    check_arg(&f, "assistant.threads.setStatus", 1, "status", "");
    check_arg(&f, "agents.sessions.setStatus", 1, "status", "active");
    tear_down(&f);
}

static void a_cancelled_end_is_over_at_once_and_delivered_by_who_resumes(void **state)
{
    struct fixture f;
    atomic_bool cancelled = true;
    AUTO_FREE char *before = NULL;
    int64_t started_ms = clock_now_ms();

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    say(&f, "One.");
    run_for(&f, 2000);
    slack_web_set_cancel(f.web, &cancelled);
    say(&f, " Two.");
    CHECK_INT(slack_reply_end(f.reply, "", &f.err), -1, "the program ends");
    CHECK_INT(clock_now_ms() - started_ms < 3000, true, "it does not wait for Slack");
    slack_web_set_cancel(f.web, NULL);
    before = xstrdup(f.state);
    make_reply(&f, SLACK_REPLY_AUTO, "1.1");
    CHECK_INT(slack_reply_resume(f.reply, before, &f.err), 0, f.err.message);
    say(&f, "One. Two.");
    end(&f, "");
    check_seen(&f, "One. Two.", "");
    check_arg(&f, "agents.sessions.setStatus",
              peer_count(f.peer, "agents.sessions.setStatus") - 1, "status", "active");
    tear_down(&f);
}

static void sessions_that_are_not_supported_are_asked_for_once(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    peer_refuse(f.peer, "agents.sessions.setStatus", REFUSED("feature_disabled"));
    slack_reply_begin(f.reply, f.now_ms);
    end(&f, "_Nothing._");
    make_reply(&f, SLACK_REPLY_AUTO, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    end(&f, "");
    CHECK_INT(peer_count(f.peer, "agents.sessions.setStatus"), 1, "");
    check_seen(&f, "_Nothing._", "");
    tear_down(&f);
}

static void a_session_is_marked_only_while_there_is_room_to_unmark_it(void **state)
{
    struct fixture f;
    unsigned marked;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    for (int i = 0; i < 30; i++) {
        slack_reply_begin(f.reply, f.now_ms);
        end(&f, "_Nothing._");
        make_reply(&f, SLACK_REPLY_AUTO, "1.1");
    }
    marked = peer_count(f.peer, "agents.sessions.setStatus");
    CHECK_INT(marked % 2, 0, "each processing has its active");
    CHECK_INT(marked, 34, "and some answers went without");
    tear_down(&f);
}

static void a_session_becomes_active_although_slack_limits_the_call(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    slack_reply_begin(f.reply, f.now_ms);
    peer_script(f.peer, "agents.sessions.setStatus", 429, "Retry-After: 5\r\n", "", false);
    end(&f, "_Nothing._");
    CHECK_INT(peer_count(f.peer, "agents.sessions.setStatus"), 3, "refused once");
    check_arg(&f, "agents.sessions.setStatus", 2, "status", "active");
    tear_down(&f);
}

/* ---- text ---- */

static void broadcasts_and_tokens_are_defused_however_they_are_cut(void **state)
{
    static const char text[] = "Hi <!channel> and @here, <@U123> caf\xc3\xa9 \xf0\x9f\x8e\x89 "
                               "xoxb-12-ab <!subteam^S1|@x> @everyone";
    static const char want[] = "Hi <\u200b!channel> and @\u200bhere, <\u200b@U123> caf\xc3\xa9 "
                               "\xf0\x9f\x8e\x89 [token removed] <\u200b!subteam^S1|@x> @\u200b"
                               "everyone";

    (void)state;
    for (size_t step = 1; step < sizeof(text); step++) {
        struct fixture f;

        set_up(&f, SLACK_REPLY_POST, "1.1");
        for (size_t at = 0; at < sizeof(text) - 1; at += step) {
            size_t left = sizeof(text) - 1 - at;

            slack_reply_append(f.reply, text + at, left < step ? left : step);
        }
        end(&f, "");
        check_seen(&f, want, "nobody is notified");
        CHECK_TEXT(slack_reply_text(f.reply), text, "as the agent wrote it");
        tear_down(&f);
    }
}

static void garbage_bytes_become_clean_text(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_POST, "1.1");
    slack_reply_append(f.reply, "a\xff\x01z\xe2\x82", 6);
    end(&f, "");
    check_seen(&f, "a\xef\xbf\xbdz\xef\xbf\xbd", "");
    tear_down(&f);
}

static void an_endless_answer_is_cut(void **state)
{
    struct fixture f;
    char *block = xcalloc(1, 65537);

    (void)state;
    for (size_t i = 0; i < 65536; i++)
        block[i] = i % 64 ? 'x' : '\n';
    set_up(&f, SLACK_REPLY_POST, "1.1");
    for (int i = 0; i < 100; i++)
        say(&f, block);
    CHECK_INT(strlen(slack_reply_text(f.reply)), 96 * 1024, "bounded");
    free(block);
    tear_down(&f);
}

/* ---- going on after a restart ---- */

static void a_restarted_process_goes_on_in_the_same_message(void **state)
{
    static const enum slack_reply_mode modes[] = { SLACK_REPLY_AUTO, SLACK_REPLY_EDIT };

    (void)state;
    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        struct fixture f;
        AUTO_FREE char *before = NULL;

        set_up(&f, modes[m], "1.1");
        say(&f, "One.");
        run_for(&f, 2000);
        say(&f, " Two.");
        run_for(&f, 4000);
        before = xstrdup(f.state);
        make_reply(&f, modes[m], "1.1"); /* the old one is gone without an end */
        CHECK_INT(slack_reply_resume(f.reply, before, &f.err), 0, f.err.message);
        say(&f, "One. Two. Three.");
        run_for(&f, 4000);
        check_seen(&f, "One. Two. Three.", "rewritten");
        say(&f, " Four.");
        end(&f, "");
        check_seen(&f, "One. Two. Three. Four.", "");
        tear_down(&f);
    }
}

static void finished_messages_are_left_alone_after_a_restart(void **state)
{
    struct fixture f;
    AUTO_BUF struct buf text = { 0 };
    AUTO_FREE char *before = NULL;
    AUTO_FREE char *seen = NULL;
    const char *at;
    char line[32];

    (void)state;
    buf_init(&text, 1 << 20);
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    say(&f, "```py\n");
    buf_append_text(&text, "```py\n");
    for (int i = 0; i < 2000; i++) {
        snprintf(line, sizeof(line), "line%04d()\n", i);
        buf_append_text(&text, line);
        say(&f, line);
        if (i % 20 == 0)
            run_for(&f, 500);
    }
    before = xstrdup(f.state);
    make_reply(&f, SLACK_REPLY_AUTO, "1.1");
    CHECK_INT(slack_reply_resume(f.reply, before, &f.err), 0, f.err.message);
    for (size_t i = 0; i < text.len; i += 1000) {
        slack_reply_append(f.reply, text.data + i, text.len - i < 1000 ? text.len - i : 1000);
        run_for(&f, 200);
    }
    end(&f, "");
    seen = peer_transcript(f.peer, "|");
    at = seen;
    for (int i = 0; i < 2000; i++) {
        snprintf(line, sizeof(line), "line%04d()", i);
        at = strstr(at, line);
        CHECK_INT(at != NULL, true, line);
        CHECK_INT(strstr(at + 1, line) == NULL, true, "only once");
    }
    CHECK_INT(strstr(seen, "(open)") == NULL, true, "");
    tear_down(&f);
}

static void a_post_that_an_earlier_process_did_not_tell_is_found(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_EDIT, "");
    say(&f, "One.");
    run_for(&f, 2000);
    make_reply(&f, SLACK_REPLY_EDIT, "");
    CHECK_INT(slack_reply_resume(f.reply, "", &f.err), 0, f.err.message);
    say(&f, "One. Two.");
    run_for(&f, 4000);
    end(&f, "");
    check_seen(&f, "One. Two.", "not posted twice");
    make_reply(&f, SLACK_REPLY_EDIT, "1.1");
    slack_reply_resume(f.reply, "", &f.err);
    f.peer->messages[0].is_deleted = true;
    say(&f, "Three.");
    end(&f, "");
    check_seen(&f, "Three.", "nothing there: posted");
    tear_down(&f);
}

static void what_an_earlier_process_showed_is_cleared(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    CHECK_INT(slack_reply_resume(f.reply, "", &f.err), 0, f.err.message);
    say(&f, "It had ended.");
    end(&f, "");
    check_arg(&f, "agents.sessions.setStatus", 0, "status", "active");
    check_arg(&f, "assistant.threads.setStatus", 0, "status", "");
    tear_down(&f);
}

static void a_state_that_is_no_state_is_refused(void **state)
{
    static const char *const cases[] = {
        "x",
        "[]",
        "{}",
        "{\"version\":1}",
        "{\"version\":2,\"stream\":true,\"ts\":\"1.1\",\"start\":0,\"index\":0,\"fence\":\"\","
        "\"info\":\"\"}",
        "{\"version\":1,\"stream\":true,\"ts\":\"\",\"start\":0,\"index\":0,\"fence\":\"\","
        "\"info\":\"\"}",
        "{\"version\":1,\"stream\":true,\"ts\":\"1.1\",\"start\":-1,\"index\":0,\"fence\":\"\","
        "\"info\":\"\"}",
        "{\"version\":1,\"stream\":true,\"ts\":\"1.1\",\"start\":1e9,\"index\":0,\"fence\":"
        "\"\",\"info\":\"\"}",
        "{\"version\":1,\"stream\":true,\"ts\":\"1.1\",\"start\":999999999,\"index\":0,"
        "\"fence\":\"\",\"info\":\"\"}",
        "{\"version\":1,\"stream\":true,\"ts\":\"1.1\",\"start\":0,\"index\":-4,\"fence\":\"\","
        "\"info\":\"\"}",
    };
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(slack_reply_resume(f.reply, cases[i], &f.err), -1, cases[i]);
        CHECK_INT(f.err.kind, ERR_INPUT, cases[i]);
    }
    say(&f, "One.");
    end(&f, "");
    check_seen(&f, "One.", "and the reply is as new");
    tear_down(&f);
}

static void a_resumed_answer_that_became_shorter_still_ends(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, SLACK_REPLY_AUTO, "1.1");
    CHECK_INT(slack_reply_resume(f.reply,
                                 "{\"version\":1,\"stream\":false,\"ts\":\"1.1\",\"start\":500,"
                                 "\"index\":1,\"fence\":\"\",\"info\":\"\"}",
                                 &f.err),
              0, f.err.message);
    say(&f, "Short.");
    run_for(&f, 5000);
    end(&f, "_Note._");
    check_seen(&f, "_Note._", "");
    tear_down(&f);
}

static int start_http(void **state)
{
    struct err err;

    (void)state;
    return http_startup(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(steps_are_cards_in_their_place_between_the_text),
        TEST(a_card_begins_behind_blanks_that_wait),
        TEST(titles_of_cards_can_neither_notify_nor_break_a_line),
        TEST(a_card_that_still_runs_ends_with_its_message),
        TEST(no_card_tears_a_code_fence_apart),
        TEST(a_slack_without_cards_is_asked_once_and_gets_the_status_line),
        TEST(cards_never_fill_a_message),
        TEST(an_edited_message_has_the_status_as_its_last_line),
        TEST(a_stream_shows_status_then_text_then_closes),
        TEST(appends_are_coalesced_to_one_a_second),
        TEST(an_append_that_had_to_wait_keeps_its_second_to_the_next),
        TEST(status_is_refreshed_and_ends_with_the_text_that_follows),
        TEST(a_long_answer_rolls_over_with_fences_whole),
        TEST(a_fence_that_the_agent_left_open_is_closed_at_the_end),
        TEST(text_that_came_at_once_fills_several_messages),
        TEST(a_stream_that_slack_finds_full_goes_on_in_another),
        TEST(blanks_alone_are_never_sent),
        TEST(nothing_is_lost_or_repeated_over_many_messages),
        TEST(a_silent_stream_is_closed_before_slack_lets_it_die),
        TEST(a_stream_that_slack_closed_goes_on_in_the_same_message),
        TEST(an_append_of_unknown_fate_is_neither_lost_nor_doubled),
        TEST(a_final_stop_of_unknown_fate_is_neither_lost_nor_doubled),
        TEST(slacks_stop_button_is_reported_and_the_rest_still_arrives),
        TEST(a_stream_message_that_was_deleted_is_written_anew),
        TEST(streams_that_are_refused_become_posts_and_edits_and_it_is_remembered),
        TEST(edits_keep_three_seconds_apart),
        TEST(a_flat_answer_shows_its_status_in_the_message),
        TEST(a_placeholder_without_an_answer_disappears_or_becomes_the_note),
        TEST(post_mode_posts_whole_messages_at_the_end),
        TEST(a_message_that_cannot_be_edited_any_more_is_followed_by_another),
        TEST(a_message_that_is_too_long_for_slack_is_cut_smaller),
        TEST(an_outage_delays_text_and_loses_none),
        TEST(an_end_that_cannot_be_delivered_says_so_and_still_clears_the_status),
        TEST(a_cancelled_end_is_over_at_once_and_delivered_by_who_resumes),
        TEST(sessions_that_are_not_supported_are_asked_for_once),
        TEST(a_session_is_marked_only_while_there_is_room_to_unmark_it),
        TEST(a_session_becomes_active_although_slack_limits_the_call),
        TEST(broadcasts_and_tokens_are_defused_however_they_are_cut),
        TEST(garbage_bytes_become_clean_text),
        TEST(an_endless_answer_is_cut),
        TEST(a_restarted_process_goes_on_in_the_same_message),
        TEST(finished_messages_are_left_alone_after_a_restart),
        TEST(a_post_that_an_earlier_process_did_not_tell_is_found),
        TEST(what_an_earlier_process_showed_is_cleared),
        TEST(a_state_that_is_no_state_is_refused),
        TEST(a_resumed_answer_that_became_shorter_still_ends),
    };

    return cmocka_run_group_tests(tests, start_http, NULL);
}
