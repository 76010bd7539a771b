#include "slack/notice.h"

#include "slack/reply_parts.h"
#include "tests/test.h"
#include "tests/unit/slack_peer.h"

struct fixture {
    struct slack_peer *peer;
    struct slack_limits *limits;
    struct slack_web *web;
    struct slack_features *features;
    struct slack_notice notice;
    struct err err;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    f->peer = peer_new();
    f->limits = slack_limits_new(NULL);
    f->web = slack_web_new(f->peer->url, "xoxb-test", f->limits);
    f->web->backoff_ms = 1;
    f->features = slack_features_new();
}

static void tear_down(struct fixture *f)
{
    slack_features_free(f->features);
    slack_web_free(f->web);
    slack_limits_free(f->limits);
    peer_free(f->peer);
}

static struct slack_notice_place place_in(const char *thread_ts)
{
    return (struct slack_notice_place){ .channel = "C1", .thread_ts = thread_ts, .key = "7-1" };
}

static int show(struct fixture *f, const struct slack_notice_place *place, const char *text)
{
    return slack_notice_show(f->web, f->features, place, text, &f->notice, &f->err);
}

static const char *shown(struct fixture *f, size_t message)
{
    const struct peer_message *found = &f->peer->messages[message];

    return message >= f->peer->messages_count || found->is_deleted ? "none"
                                                                   : buf_text(&found->text);
}

static void in_a_thread_it_is_the_status_line(void **state)
{
    struct fixture f;
    struct slack_notice_place place = place_in("1.1");
    AUTO_FREE char *given = NULL;

    (void)state;
    set_up(&f);
    CHECK_INT(show(&f, &place, "1 ahead of you"), 0, "shown");
    CHECK_HOLDS(peer_body(f.peer, "assistant.threads.setStatus", 0),
                "\"status\":\"is busy: 1 ahead of you\"", "behind our name");
    CHECK_INT(f.peer->messages_count, 0, "no message");
    given = slack_notice_state(&f.notice);
    CHECK_TEXT(given, "", "no message to go on in");
    CHECK_INT(slack_notice_clear(f.web, &place, &f.notice, &f.err), 0, "cleared");
    CHECK_HOLDS(peer_body(f.peer, "assistant.threads.setStatus", 1), "\"status\":\"\"",
                "empty");
    CHECK_INT(slack_notice_clear(f.web, &place, &f.notice, &f.err), 0, "twice");
    CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 2, "costs nothing");
    tear_down(&f);
}

static void elsewhere_it_is_a_message_that_changes_and_goes(void **state)
{
    struct fixture f;
    struct slack_notice_place place = place_in("");

    (void)state;
    set_up(&f);
    CHECK_INT(show(&f, &place, "1 ahead of you"), 0, "posted");
    CHECK_TEXT(f.peer->messages[0].key, "7-1/0", "found again by the answer's key");
    CHECK_TEXT(shown(&f, 0), "_I am busy: 1 ahead of you._", "posted");
    CHECK_INT(show(&f, &place, "you are next"), 0, "changed");
    CHECK_TEXT(shown(&f, 0), "_I am busy: you are next._", "in place");
    CHECK_INT(f.peer->messages_count, 1, "one message");
    CHECK_INT(slack_notice_clear(f.web, &place, &f.notice, &f.err), 0, "gone");
    CHECK_TEXT(shown(&f, 0), "none", "gone");
    tear_down(&f);
}

static void the_answer_takes_the_message_over(void **state)
{
    struct fixture f;
    struct slack_notice_place place = place_in("");
    struct slack_reply_target target = { .channel = "C1", .thread_ts = "", .key = "7-1" };
    struct slack_reply_options options = { .mode = SLACK_REPLY_AUTO };
    struct slack_reply *reply;
    AUTO_FREE char *given = NULL;
    char ts[SLACK_TS_MAX_BYTES] = "";

    (void)state;
    set_up(&f);
    show(&f, &place, "1 ahead of you");
    given = slack_notice_state(&f.notice);
    CHECK_INT(slack_reply_state_message(given, ts), 1, "names a message");
    CHECK_TEXT(ts, f.notice.ts, "this one");
    reply = slack_reply_new(f.web, &target, &options);
    CHECK_INT(slack_reply_resume(reply, given, &f.err), 0, "is such a state");
    slack_reply_append(reply, "the answer", 10);
    CHECK_INT(slack_reply_end(reply, "", &f.err), 0, "delivered");
    CHECK_TEXT(shown(&f, 0), "the answer", "in the same message");
    CHECK_INT(f.peer->messages_count, 1, "one message");
    slack_reply_free(reply);
    tear_down(&f);
}

static void without_an_answer_the_message_goes(void **state)
{
    struct fixture f;
    struct slack_notice_place place = place_in("");
    struct slack_reply_target target = { .channel = "C1", .thread_ts = "", .key = "7-1" };
    struct slack_reply_options options = { .mode = SLACK_REPLY_AUTO };
    struct slack_reply *reply;
    AUTO_FREE char *given = NULL;

    (void)state;
    set_up(&f);
    show(&f, &place, "1 ahead of you");
    given = slack_notice_state(&f.notice);
    reply = slack_reply_new(f.web, &target, &options);
    slack_reply_resume(reply, given, &f.err);
    CHECK_INT(slack_reply_end(reply, "", &f.err), 0, "ended without a word");
    CHECK_TEXT(shown(&f, 0), "none", "no leftover");
    slack_reply_free(reply);
    tear_down(&f);
}

static void where_slack_takes_no_status_it_is_a_message_at_once(void **state)
{
    static const struct {
        const char *error;
        bool for_all;
    } cases[] = {
        { "{\"ok\":false,\"error\":\"feature_not_enabled\"}", true },
        { "{\"ok\":false,\"error\":\"channel_not_found\"}", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct slack_notice_place place = place_in("1.1");

        set_up(&f);
        peer_refuse(f.peer, "assistant.threads.setStatus", cases[i].error);
        CHECK_INT(show(&f, &place, "you are next"), 0, cases[i].error);
        CHECK_TEXT(shown(&f, 0), "_I am busy: you are next._", cases[i].error);
        CHECK_TEXT(f.peer->messages[0].thread_ts, "1.1", "in the thread");
        CHECK_INT(atomic_load(&f.features->no_status), cases[i].for_all, cases[i].error);
        CHECK_INT(slack_notice_clear(f.web, &place, &f.notice, &f.err), 0, "gone");
        CHECK_INT(peer_count(f.peer, "assistant.threads.setStatus"), 1, "not asked again");
        tear_down(&f);
    }
}

static void what_an_earlier_process_posted_is_found(void **state)
{
    struct fixture f;
    struct slack_notice_place place = place_in("");

    (void)state;
    set_up(&f);
    show(&f, &place, "2 ahead of you");
    f.notice = (struct slack_notice){ .ts = "" }; /* it died before it noted the ts */
    place.looks_first = true;
    CHECK_INT(show(&f, &place, "1 ahead of you"), 0, "shown");
    CHECK_TEXT(shown(&f, 0), "_I am busy: 1 ahead of you._", "in the old message");
    CHECK_INT(f.peer->messages_count, 1, "not posted twice");
    tear_down(&f);
}

TEST_MAIN(TEST(in_a_thread_it_is_the_status_line),
          TEST(elsewhere_it_is_a_message_that_changes_and_goes),
          TEST(the_answer_takes_the_message_over), TEST(without_an_answer_the_message_goes),
          TEST(where_slack_takes_no_status_it_is_a_message_at_once),
          TEST(what_an_earlier_process_posted_is_found))
