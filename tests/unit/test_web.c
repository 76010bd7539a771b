#include "slack/web.h"

#include <sched.h>

#include "base/clock.h"
#include "slack/call.h"
#include "tests/test.h"
#include "tests/unit/slack_peer.h"

struct fixture {
    struct slack_peer *peer;
    struct slack_limits *limits;
    struct slack_web *web;
    char ts[SLACK_TS_MAX_BYTES];
    struct err err;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    f->peer = peer_new();
    f->limits = slack_limits_new(NULL);
    f->web = slack_web_new(f->peer->url, "xoxb-test", f->limits);
    f->web->backoff_ms = 1;
}

static void tear_down(struct fixture *f)
{
    slack_web_free(f->web);
    slack_limits_free(f->limits);
    peer_free(f->peer);
}

static int post(struct fixture *f)
{
    f->err = (struct err){ 0 };
    return slack_post_markdown(f->web, "C1", "1.1", "**hi** <", "key/0", f->ts, &f->err);
}

static void posts_carry_token_markdown_metadata_and_no_unfurls(void **state)
{
    struct fixture f;
    json_auto_t *body = NULL;
    json_auto_t *want =
        json_pack("{s:s,s:s,s:s,s:b,s:b,s:{s:s,s:{s:s}}}", "channel", "C1", "thread_ts", "1.1",
                  "markdown_text", "**hi** <", "unfurl_links", 0, "unfurl_media", 0, "metadata",
                  "event_type", "threadkeeper_reply", "event_payload", "key", "key/0");

    (void)state;
    set_up(&f);
    CHECK_INT(post(&f), 0, f.err.message);
    CHECK_TEXT(f.ts, "1700000000.000001", "the ts that Slack gave");
    CHECK_TEXT(f.peer->calls[0].authorization, "Bearer xoxb-test", "");
    CHECK_TEXT(f.peer->calls[0].content_type, "application/json; charset=utf-8", "");
    body = json_loads(f.peer->calls[0].body, 0, NULL);
    CHECK_INT(json_equal(body, want), true, f.peer->calls[0].body);
    tear_down(&f);
}

static void one_connection_serves_many_calls(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (int i = 0; i < 4; i++)
        CHECK_INT(slack_add_reaction(f.web, "C1", "1.1", "eyes", &f.err), 0, f.err.message);
    CHECK_INT(f.peer->connections, 1, "keep-alive");
    tear_down(&f);
}

static void a_kept_connection_that_ended_meanwhile_is_no_failure(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    atomic_store(&f.peer->hangs_up, true);
    for (unsigned i = 0; i < 5; i++) {
        int64_t limit = clock_now_ms() + 5000;

        peer_refuse(f.peer, "chat.appendStream", "{\"ok\":true}");
        CHECK_INT(slack_append_stream(f.web, "C1", "1.1", "x", &f.err), 0, f.err.message);
        while (atomic_load(&f.peer->hung_up) <= i && clock_now_ms() < limit)
            sched_yield();
    }
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 5, "each once");
    tear_down(&f);
}

static void identity_comes_from_body_and_scopes_header(void **state)
{
    struct fixture f;
    struct slack_identity me;

    (void)state;
    set_up(&f);
    peer_script(f.peer, "auth.test", 200, "X-OAuth-Scopes: chat:write,users:read\r\n",
                "{\"ok\":true,\"team_id\":\"T1\",\"team\":\"Acme\",\"user_id\":\"U1\",\"bot_"
                "id\":\"B1\",\"user\":\"keeper\",\"url\":\"https://acme.example/\"}",
                false);
    CHECK_INT(slack_auth_test(f.web, &me, &f.err), 0, f.err.message);
    CHECK_TEXT(me.team_id, "T1", "");
    CHECK_TEXT(me.user_id, "U1", "");
    CHECK_TEXT(me.bot_id, "B1", "");
    CHECK_TEXT(me.scopes, "chat:write,users:read", "");
    CHECK_TEXT(f.peer->calls[0].content_type, "application/x-www-form-urlencoded", "a read");
    tear_down(&f);
}

static void users_are_judged_by_what_slack_says(void **state)
{
    static const struct {
        const char *body;
        const char *name;
        bool bot;
        bool guest;
        bool deleted;
    } cases[] = {
        { "{\"ok\":true,\"user\":{\"name\":\"a\",\"real_name\":\"Ann "
          "B\",\"profile\":{\"display_name\":\"ann\"}}}",
          "ann", false, false, false },
        { "{\"ok\":true,\"user\":{\"name\":\"a\",\"is_restricted\":true,\"profile\":{"
          "\"display_name\":\"\",\"real_name\":\"Ann\"}}}",
          "Ann", false, true, false },
        { "{\"ok\":true,\"user\":{\"name\":\"a\",\"is_ultra_restricted\":true,\"deleted\":true,"
          "\"is_bot\":true}}",
          "a", true, true, true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct slack_user user;

        set_up(&f);
        peer_refuse(f.peer, "users.info", cases[i].body);
        CHECK_INT(slack_users_info(f.web, "U&1", &user, &f.err), 0, f.err.message);
        CHECK_TEXT(peer_body(f.peer, "users.info", 0), "user=U%261", "form-encoded");
        CHECK_TEXT(user.name, cases[i].name, cases[i].body);
        CHECK_INT(user.is_bot, cases[i].bot, cases[i].body);
        CHECK_INT(user.is_guest, cases[i].guest, cases[i].body);
        CHECK_INT(user.is_deleted, cases[i].deleted, cases[i].body);
        tear_down(&f);
    }
}

/* One row for every class of the retry table; for a post whose look-up finds nothing. */
static const struct {
    const char *because;
    int status;
    const char *headers;
    const char *body;
    int want_rc;
    enum err_kind kind;
    const char *message;
    unsigned posts;
    unsigned lookups;
} classes[] = {
    { "429 is waited out", 429, "Retry-After: 0\r\n", "", 0, ERR_NONE, "", 2, 0 },
    { "ratelimited by name", 200, "Retry-After: 0\r\n",
      "{\"ok\":false,\"error\":\"ratelimited\"}", 0, ERR_NONE, "", 2, 0 },
    { "503 was not executed", 503, "", "<html>", 0, ERR_NONE, "", 2, 0 },
    { "500 may have been", 500, "", "", 0, ERR_NONE, "", 2, 1 },
    { "502 may have been", 502, "", "<html>bad gateway</html>", 0, ERR_NONE, "", 2, 1 },
    { "no answer", 0, "", "", 0, ERR_NONE, "", 2, 1 },
    { "an answer that is no JSON", 200, "", "<!DOCTYPE html>", 0, ERR_NONE, "", 2, 1 },
    { "JSON without ok", 200, "", "{}", 0, ERR_NONE, "", 2, 1 },
    { "JSON with an odd ok", 200, "", "{\"ok\":\"yes\"}", 0, ERR_NONE, "", 2, 1 },
    { "internal_error", 200, "", "{\"ok\":false,\"error\":\"internal_error\"}", 0, ERR_NONE, "",
      2, 1 },
    { "permanent", 200, "", "{\"ok\":false,\"error\":\"channel_not_found\"}", -1, ERR_INPUT,
      "chat.postMessage: channel_not_found", 1, 0 },
    { "nameless error", 200, "", "{\"ok\":false}", -1, ERR_INPUT,
      "chat.postMessage: unknown_error", 1, 0 },
    { "a proxy's page", 403, "", "<html>", -1, ERR_REMOTE,
      "chat.postMessage: HTTP 403 with a body that is not Slack's", 1, 0 },
    { "the scope is named", 200, "",
      "{\"ok\":false,\"error\":\"missing_scope\",\"needed\":\"chat:write\",\"provided\":"
      "\"users:read\"}",
      -1, ERR_AUTH, "chat.postMessage: missing_scope (needs chat:write; has users:read)", 1,
      0 },
    { "dead token", 200, "", "{\"ok\":false,\"error\":\"token_revoked\"}", -1, ERR_AUTH,
      "chat.postMessage: token_revoked", 1, 0 },
    { "what is wrong with blocks is carried", 200, "",
      "{\"ok\":false,\"error\":\"invalid_blocks\",\"response_metadata\":{\"messages\":["
      "\"[ERROR] must be a string [json-pointer:/blocks/0/text]\"]}}",
      -1, ERR_INPUT,
      "chat.postMessage: invalid_blocks ([ERROR] must be a string "
      "[json-pointer:/blocks/0/text])",
      1, 0 },
};

static void each_answer_is_treated_as_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        struct fixture f;

        set_up(&f);
        peer_script(f.peer, "chat.postMessage", classes[i].status, classes[i].headers,
                    classes[i].body, false);
        CHECK_INT(post(&f), classes[i].want_rc, classes[i].because);
        CHECK_INT(f.err.kind, classes[i].kind, classes[i].because);
        CHECK_TEXT(f.err.message, classes[i].message, classes[i].because);
        CHECK_INT(peer_count(f.peer, "chat.postMessage"), classes[i].posts, classes[i].because);
        CHECK_INT(peer_count(f.peer, "conversations.replies"), classes[i].lookups,
                  classes[i].because);
        tear_down(&f);
    }
}

static void a_post_that_did_arrive_is_found_and_not_repeated(void **state)
{
    static const struct {
        const char *thread_ts;
        const char *method;
    } cases[] = { { "1.1", "conversations.replies" }, { "", "conversations.history" } };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;

        set_up(&f);
        peer_script(f.peer, "chat.postMessage", 0, "", "", true);
        CHECK_INT(
            slack_post_markdown(f.web, "C1", cases[i].thread_ts, "hi", "key/0", f.ts, &f.err),
            0, f.err.message);
        CHECK_TEXT(f.ts, "1700000000.000001", "the ts of the first one");
        CHECK_INT(peer_count(f.peer, "chat.postMessage"), 1, cases[i].method);
        CHECK_INT(peer_count(f.peer, cases[i].method), 1, cases[i].method);
        CHECK_HOLDS(peer_body(f.peer, cases[i].method, 0), "include_all_metadata=true", "");
        tear_down(&f);
    }
}

static void another_post_of_ours_is_not_taken_for_it(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    CHECK_INT(post(&f), 0, f.err.message);
    peer_script(f.peer, "chat.postMessage", 500, "", "", false);
    CHECK_INT(slack_post_markdown(f.web, "C1", "1.1", "more", "key/1", f.ts, &f.err), 0,
              f.err.message);
    CHECK_INT(peer_count(f.peer, "chat.postMessage"), 3, "its key is not there: sent again");
    CHECK_TEXT(f.ts, "1700000000.000002", "");
    tear_down(&f);
}

static void a_refused_look_up_posts_again_rather_than_losing_the_answer(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    peer_script(f.peer, "chat.postMessage", 500, "", "", false);
    peer_refuse(f.peer, "conversations.replies",
                "{\"ok\":false,\"error\":\"missing_scope\",\"needed\":\"channels:history\"}");
    CHECK_INT(post(&f), 0, f.err.message);
    CHECK_INT(peer_count(f.peer, "chat.postMessage"), 2, "sent again");
    tear_down(&f);
}

static void some_errors_are_as_good_as_success(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    peer_refuse(f.peer, "reactions.add", "{\"ok\":false,\"error\":\"already_reacted\"}");
    peer_refuse(f.peer, "reactions.remove", "{\"ok\":false,\"error\":\"no_reaction\"}");
    CHECK_INT(slack_add_reaction(f.web, "C1", "1.1", "eyes", &f.err), 0, f.err.message);
    CHECK_INT(slack_remove_reaction(f.web, "C1", "1.1", "eyes", &f.err), 0, f.err.message);
    CHECK_INT(slack_delete_message(f.web, "C1", "7.7", &f.err), 0, "it is gone");
    CHECK_INT(slack_update_markdown(f.web, "C1", "7.7", "x", &f.err), -1, "but not here");
    CHECK_TEXT(slack_web_error(f.web), "message_not_found", "");
    peer_refuse(f.peer, "chat.stopStream",
                "{\"ok\":false,\"error\":\"message_not_in_streaming_state\"}");
    CHECK_INT(slack_stop_stream(f.web, "C1", "7.7", "x", &f.err), 0, f.err.message);
    CHECK_TEXT(slack_web_error(f.web), "message_not_in_streaming_state",
               "still told: its text may be missing");
    tear_down(&f);
}

static void appends_that_may_have_run_are_not_repeated(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    peer_script(f.peer, "chat.appendStream", 0, "", "", false);
    CHECK_INT(slack_append_stream(f.web, "C1", "1.2", "x", &f.err), -1, "unknown");
    CHECK_INT(f.err.kind, ERR_TEMP, "");
    CHECK_INT(f.web->fate, SLACK_FATE_MAYBE, "");
    CHECK_INT(peer_count(f.peer, "chat.appendStream"), 1, "");
    tear_down(&f);
}

static void retries_end_after_five_tries(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (int i = 0; i < 9; i++)
        peer_script(f.peer, "chat.update", 502, "", "", false);
    CHECK_INT(slack_update_markdown(f.web, "C1", "1.2", "x", &f.err), -1, "down");
    CHECK_INT(f.err.kind, ERR_TEMP, "");
    CHECK_INT(peer_count(f.peer, "chat.update"), 5, "");
    tear_down(&f);
}

static void a_dead_host_is_temporary_and_not_executed(void **state)
{
    struct fixture f;
    struct slack_web *web;

    (void)state;
    set_up(&f);
    web = slack_web_new("http://127.0.0.1:1/api/", "xoxb-test", f.limits);
    web->backoff_ms = 1;
    CHECK_INT(slack_append_stream(web, "C1", "1.2", "x", &f.err), -1, "refused");
    CHECK_INT(f.err.kind, ERR_TEMP, f.err.message);
    CHECK_INT(web->fate, SLACK_FATE_NOT_EXECUTED, f.err.message);
    slack_web_free(web);
    tear_down(&f);
}

static void a_wait_longer_than_the_deadline_is_not_begun(void **state)
{
    struct fixture f;
    int64_t before = clock_now_ms();

    (void)state;
    set_up(&f);
    slack_web_set_deadline(f.web, 5000);
    peer_script(f.peer, "chat.postMessage", 429, "Retry-After: 30\r\n", "", false);
    CHECK_INT(post(&f), -1, "no time");
    CHECK_INT(f.err.kind, ERR_TEMP, f.err.message);
    CHECK_TEXT(slack_web_error(f.web), "ratelimited", "");
    CHECK_INT(post(&f), -1, "the channel is frozen");
    CHECK_INT(peer_count(f.peer, "chat.postMessage"), 1, "so Slack is not asked again");
    CHECK_INT(slack_post_markdown(f.web, "C2", "", "x", "k", f.ts, &f.err), 0,
              "another channel is not frozen");
    CHECK_INT(clock_now_ms() - before < 4000, true, "at once");
    tear_down(&f);
}

static void *cancel_soon(void *context)
{
    struct timespec wait = { .tv_nsec = 50000000 };

    nanosleep(&wait, NULL);
    atomic_store((atomic_bool *)context, true);
    return NULL;
}

static void waits_end_when_cancelled(void **state)
{
    struct fixture f;
    atomic_bool cancelled = false;
    pthread_t thread;
    int64_t before = clock_now_ms();

    (void)state;
    set_up(&f);
    slack_web_set_cancel(f.web, &cancelled);
    peer_script(f.peer, "chat.postMessage", 429, "Retry-After: 30\r\n", "", false);
    pthread_create(&thread, NULL, cancel_soon, &cancelled);
    CHECK_INT(post(&f), -1, "cancelled");
    CHECK_TEXT(f.err.message, "chat.postMessage: cancelled", "");
    CHECK_INT(clock_now_ms() - before < 5000, true, "not after 30 s");
    pthread_join(thread, NULL);
    tear_down(&f);
}

static void endless_bodies_are_cut_off(void **state)
{
    struct fixture f;
    char *body = xcalloc(SLACK_BODY_MAX_BYTES + 2, 1);

    (void)state;
    memset(body, ' ', SLACK_BODY_MAX_BYTES + 1);
    set_up(&f);
    for (int i = 0; i < 5; i++)
        peer_script(f.peer, "auth.test", 200, "", body, false);
    {
        struct slack_identity me;

        CHECK_INT(slack_auth_test(f.web, &me, &f.err), -1, "over a mebibyte");
    }
    CHECK_HOLDS(f.err.message, "longer than 1048576 bytes", "");
    tear_down(&f);
    free(body);
}

static void a_workspace_without_markdown_text_gets_blocks(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    peer_refuse(f.peer, "chat.postMessage", "{\"ok\":false,\"error\":\"invalid_arguments\"}");
    CHECK_INT(post(&f), 0, f.err.message);
    CHECK_INT(post(&f), 0, f.err.message);
    CHECK_INT(peer_count(f.peer, "chat.postMessage"), 3, "and it is remembered");
    for (unsigned n = 1; n < 3; n++) {
        json_auto_t *body = json_loads(peer_body(f.peer, "chat.postMessage", n), 0, NULL);
        AUTO_BUF struct buf content = { 0 };

        CHECK_TEXT(peer_text(body, "text"), "**hi** &lt;", "the fallback is escaped");
        buf_init(&content, 1000);
        peer_append_content(&content, body);
        CHECK_TEXT(buf_text(&content), "**hi** <", "as it was written");
        CHECK_INT(json_object_get(body, "markdown_text") == NULL, true, "never both");
    }
    tear_down(&f);
}

static void buttons_carry_text_for_notifications_too(void **state)
{
    struct fixture f;
    json_auto_t *body = NULL;
    const json_t *button;

    (void)state;
    set_up(&f);
    CHECK_INT(slack_post_button(f.web, "C1", "", "It failed.", "Retry", "retry", "turn7", "k",
                                f.ts, &f.err),
              0, f.err.message);
    body = json_loads(peer_body(f.peer, "chat.postMessage", 0), 0, NULL);
    CHECK_TEXT(peer_text(body, "text"), "It failed.", "");
    button = json_array_get(
        json_object_get(json_array_get(json_object_get(body, "blocks"), 1), "elements"), 0);
    CHECK_TEXT(peer_text(button, "action_id"), "retry", "");
    CHECK_TEXT(peer_text(button, "value"), "turn7", "");
    CHECK_INT(json_object_get(body, "thread_ts") == NULL, true, "flat");
    tear_down(&f);
}

static void plain_http_is_for_loopback_only(void **state)
{
    static const struct {
        const char *url;
        bool allowed;
    } cases[] = {
        { "https://slack.com/api/", true },
        { "http://127.0.0.1:80/api/", true },
        { "http://127.9.9.9/api/", true },
        { "http://localhost/api/", true },
        { "http://[::1]:8080/api/", true },
        { "http://slack.com/api/", false },
        { "http://127.0.0.1.evil.example/api/", false },
        { "http://localhost.evil.example/", false },
        { "http://localhost@evil.example/", false },
        { "http://localhost:x@evil.example/", false },
        { "http://128.0.0.1/", false },
        { "http://[::2]/", false },
        { "http://", false },
        { "ftp://localhost/", false },
        { "", false },
    };
    struct slack_limits *limits = slack_limits_new(NULL);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_web *web = slack_web_new(cases[i].url, "xoxb-test", limits);
        struct err err = { 0 };

        CHECK_INT(web->is_url_allowed, cases[i].allowed, cases[i].url);
        if (!cases[i].allowed) {
            CHECK_INT(slack_delete_message(web, "C1", "1.1", &err), -1, cases[i].url);
            CHECK_INT(err.kind, ERR_INPUT, cases[i].url);
        }
        slack_web_free(web);
    }
    slack_limits_free(limits);
}

/* ---- pacing ---- */

static void a_reply_of_ordinary_size_is_never_slowed(void **state)
{
    struct slack_limits *limits = slack_limits_new(NULL);

    (void)state;
    CHECK_INT(slack_limits_take(limits, "reactions.add", "C1", 0), 0, "");
    CHECK_INT(slack_limits_take(limits, "chat.startStream", "C1", 0), 0, "");
    for (int64_t now = 0; now < 60000; now += 1000)
        CHECK_INT(slack_limits_take(limits, "chat.appendStream", "C1", now), 0, "1 a second");
    CHECK_INT(slack_limits_take(limits, "chat.stopStream", "C1", 60000), 0, "");
    slack_limits_free(limits);
}

static void posts_to_one_channel_settle_at_one_a_second(void **state)
{
    struct slack_limits *limits = slack_limits_new(NULL);

    (void)state;
    for (int i = 0; i < 5; i++)
        CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 0), 0, "the burst");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 0), 1000,
              "then one a second");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C2", 0), 0, "another channel");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 400), 600, "refused is free");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 1000), 0, "");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 1000), 1000, "");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 60000), 0, "full again");
    slack_limits_free(limits);
}

static void a_429_freezes_the_channel_first_and_the_method_second(void **state)
{
    struct slack_limits *limits = slack_limits_new(NULL);

    (void)state;
    slack_limits_freeze(limits, "chat.postMessage", "C1", 0, 9000);
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C1", 0) >= 9000, true, "frozen");
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C2", 0), 0, "not frozen");
    CHECK_INT(slack_limits_take(limits, "chat.update", "C1", 0), 0, "another method");
    slack_limits_freeze(limits, "chat.postMessage", "C2", 0, 5000);
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "C3", 0) >= 5000, true,
              "two channels refused: it is the workspace");
    slack_limits_freeze(limits, "chat.update", "C1", 0, 7000);
    CHECK_INT(slack_limits_take(limits, "chat.update", "C9", 0) >= 7000, true, "by method");
    CHECK_INT(slack_limits_take(limits, "chat.update", "C9", 7000), 0, "thawed");
    slack_limits_free(limits);
}

static void more_channels_than_slots_forget_the_longest_idle(void **state)
{
    struct slack_limits *limits = slack_limits_new(NULL);
    char channel[16];

    (void)state;
    slack_limits_freeze(limits, "chat.postMessage", "CF", 0, 1000000000);
    for (int i = 0; i < 1000; i++) {
        snprintf(channel, sizeof(channel), "C%d", i);
        CHECK_INT(slack_limits_take(limits, "chat.postMessage", channel, (int64_t)i * 1000), 0,
                  channel);
    }
    CHECK_INT(slack_limits_take(limits, "chat.postMessage", "CF", 1000000) > 0, true,
              "a frozen channel is kept");
    slack_limits_free(limits);
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
        TEST(posts_carry_token_markdown_metadata_and_no_unfurls),
        TEST(one_connection_serves_many_calls),
        TEST(a_kept_connection_that_ended_meanwhile_is_no_failure),
        TEST(identity_comes_from_body_and_scopes_header),
        TEST(users_are_judged_by_what_slack_says),
        TEST(each_answer_is_treated_as_its_class),
        TEST(a_post_that_did_arrive_is_found_and_not_repeated),
        TEST(another_post_of_ours_is_not_taken_for_it),
        TEST(a_refused_look_up_posts_again_rather_than_losing_the_answer),
        TEST(some_errors_are_as_good_as_success),
        TEST(appends_that_may_have_run_are_not_repeated),
        TEST(retries_end_after_five_tries),
        TEST(a_dead_host_is_temporary_and_not_executed),
        TEST(a_wait_longer_than_the_deadline_is_not_begun),
        TEST(waits_end_when_cancelled),
        TEST(endless_bodies_are_cut_off),
        TEST(a_workspace_without_markdown_text_gets_blocks),
        TEST(buttons_carry_text_for_notifications_too),
        TEST(plain_http_is_for_loopback_only),
        TEST(a_reply_of_ordinary_size_is_never_slowed),
        TEST(posts_to_one_channel_settle_at_one_a_second),
        TEST(a_429_freezes_the_channel_first_and_the_method_second),
        TEST(more_channels_than_slots_forget_the_longest_idle),
    };

    return cmocka_run_group_tests(tests, start_http, NULL);
}
