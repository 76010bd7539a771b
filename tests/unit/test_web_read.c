#include "slack/web.h"

#include "base/http.h"
#include "slack/call.h"
#include "slack/event.h"
#include "tests/test.h"
#include "tests/unit/slack_peer.h"

#define LONG_BODY_BYTES (2UL << 20) /* SLACK_BODY_MAX_BYTES is half of it */

struct fixture {
    struct slack_peer *peer;
    struct slack_limits *limits;
    struct slack_web *web;
    struct buf seen; /* "ts/thread_ts/kind " of each message */
    char cursor[SLACK_CURSOR_MAX_BYTES];
    struct err err;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    f->peer = peer_new();
    f->limits = slack_limits_new(NULL);
    f->web = slack_web_new(f->peer->url, "xoxb-test", f->limits);
    f->web->backoff_ms = 1;
    buf_init(&f->seen, 4096);
}

static void tear_down(struct fixture *f)
{
    buf_deinit(&f->seen);
    slack_web_free(f->web);
    slack_limits_free(f->limits);
    peer_free(f->peer);
}

static void see(void *context, struct slack_event *event)
{
    struct fixture *f = context;

    buf_printf(&f->seen, "%s/%s/%d/%s/%s/%s ", event->ts, event->thread_ts, (int)event->kind,
               event->team, event->channel, event->user_team);
    slack_event_deinit(event);
}

static int read_page(struct fixture *f, const char *thread_ts, const char *oldest)
{
    struct slack_reading reading = {
        .team = "T1", .channel = "C1", .thread_ts = thread_ts, .oldest = oldest
    };

    f->err = (struct err){ 0 };
    return slack_read_messages(f->web, &reading, f->cursor, see, f, &f->err);
}

static void messages_come_as_the_events_they_were(void **state)
{
    static const struct {
        const char *message;
        const char *want;
        const char *because;
    } cases[] = {
        { "{\"type\":\"message\",\"ts\":\"20.1\",\"user\":\"U1\",\"team\":\"T1\"}",
          "20.1//1/T1/C1/ ", "an ordinary one" },
        { "{\"type\":\"message\",\"ts\":\"20.1\",\"thread_ts\":\"10.1\",\"user\":\"U1\"}",
          "20.1/10.1/1/T1/C1/ ", "in a thread" },
        { "{\"type\":\"message\",\"ts\":\"20.1\",\"thread_ts\":\"20.1\",\"user\":\"U1\"}",
          "20.1//1/T1/C1/ ", "a root was said before it had a thread" },
        { "{\"type\":\"message\",\"ts\":\"20.1\",\"user\":\"U1\",\"team\":\"T2\"}",
          "20.1//1/T1/C1/T2 ", "of another organisation" },
        { "{\"type\":\"message\",\"ts\":\"20.1\",\"subtype\":\"channel_join\"}",
          "20.1//0/T1/C1/ ", "nothing that was said" },
        { "{\"type\":\"message\",\"ts\":\"15.0\",\"user\":\"U1\"}", "", "known" },
        { "{\"type\":\"message\",\"ts\":\"9.9\",\"user\":\"U1\"}", "", "older, if shorter" },
        { "{\"type\":\"message\",\"ts\":17,\"user\":\"U1\"}", "", "no ts that is one" },
        { "[7]", "", "no message" },
        { "null", "", "nothing" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        AUTO_FREE char *body = xasprintf("{\"ok\":true,\"messages\":[%s]}", cases[i].message);

        set_up(&f);
        peer_script(f.peer, "conversations.replies", 200, "", body, false);
        CHECK_INT(read_page(&f, "10.1", "15.0"), 0, f.err.message);
        CHECK_TEXT(buf_text(&f.seen), cases[i].want, cases[i].because);
        CHECK_TEXT(f.cursor, "", "the only page");
        tear_down(&f);
    }
}

static void the_cursor_leads_from_page_to_page(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    peer_script(
        f.peer, "conversations.history", 200, "",
        "{\"ok\":true,\"messages\":[],\"response_metadata\":{\"next_cursor\":\"a+b=\"}}",
        false);
    peer_script(f.peer, "conversations.history", 200, "",
                "{\"ok\":true,\"messages\":[],\"response_metadata\":{\"next_cursor\":\"\"}}",
                false);
    CHECK_INT(read_page(&f, "", "15.0"), 0, f.err.message);
    CHECK_TEXT(f.cursor, "a+b=", "as Slack gave it");
    CHECK_INT(read_page(&f, "", "15.0"), 0, f.err.message);
    CHECK_TEXT(peer_body(f.peer, "conversations.history", 1),
               "channel=C1&oldest=15.0&cursor=a%2Bb%3D&limit=200", "escaped");
    CHECK_TEXT(f.cursor, "", "the end");
    tear_down(&f);
}

static void a_page_that_is_too_long_is_asked_for_in_smaller_ones(void **state)
{
    struct fixture f;
    AUTO_FREE char *body = xcalloc(LONG_BODY_BYTES + 1, 1);

    (void)state;
    memset(body, ' ', LONG_BODY_BYTES);
    set_up(&f);
    peer_script(f.peer, "conversations.history", 200, "", body, false);
    peer_script(f.peer, "conversations.history", 200, "",
                "{\"ok\":true,\"messages\":[{\"type\":\"message\",\"ts\":\"20.1\"}]}", false);
    CHECK_INT(read_page(&f, "", "15.0"), 0, f.err.message);
    CHECK_TEXT(buf_text(&f.seen), "20.1//1/T1/C1/ ", "all the same");
    CHECK_HOLDS(peer_body(f.peer, "conversations.history", 1), "limit=20", "a tenth");
    CHECK_INT(peer_count(f.peer, "conversations.history"), 2, "each once");
    tear_down(&f);
}

static void nothing_is_called_back_when_it_fails(void **state)
{
    struct fixture f;
    AUTO_FREE char *cursor = xcalloc(SLACK_CURSOR_MAX_BYTES + 1, 1);
    AUTO_FREE char *body = NULL;

    (void)state;
    memset(cursor, 'c', SLACK_CURSOR_MAX_BYTES);
    body = xasprintf("{\"ok\":true,\"messages\":[{\"type\":\"message\",\"ts\":\"20.1\"}],"
                     "\"response_metadata\":{\"next_cursor\":\"%s\"}}",
                     cursor);
    set_up(&f);
    peer_refuse(f.peer, "conversations.history", "{\"ok\":false,\"error\":\"not_in_channel\"}");
    peer_script(f.peer, "conversations.history", 200, "", body, false);
    CHECK_INT(read_page(&f, "", "15.0"), -1, "refused");
    CHECK_INT(f.err.kind, ERR_INPUT, f.err.message);
    CHECK_TEXT(slack_web_error(f.web), "not_in_channel", "");
    CHECK_INT(read_page(&f, "", "15.0"), -1, "a cursor that is none");
    CHECK_INT(f.err.kind, ERR_REMOTE, f.err.message);
    CHECK_TEXT(buf_text(&f.seen), "", "");
    tear_down(&f);
}

static int start_http(void **state)
{
    (void)state;
    return http_startup(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_come_as_the_events_they_were),
        TEST(the_cursor_leads_from_page_to_page),
        TEST(a_page_that_is_too_long_is_asked_for_in_smaller_ones),
        TEST(nothing_is_called_back_when_it_fails),
    };

    return cmocka_run_group_tests(tests, start_http, NULL);
}
