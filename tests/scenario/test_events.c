#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "tests/scenario/scenario.h"

#define BURST_EVENTS   5000
#define BURST_CHANNELS 20

static json_t *say_with(struct harness *h, const char *channel, const char *text, json_t *extra)
{
    return lab_command(h, "say",
                       json_pack("{s:s, s:s, s:s, s:o}", "user", ALICE, "channel", channel,
                                 "text", text, "extra", extra));
}

/* One message of Alice's in #dev with `extra` in its event; its ts. */
static const char *say_extra(struct harness *h, const char *text, json_t *extra,
                             char ret_ts[static 32])
{
    json_auto_t *answer = say_with(h, DEV, text, extra);

    snprintf(ret_ts, 32, "%s", json_string_value(json_object_get(answer, "ts")));
    return ret_ts;
}

/* Whatever happened before it, the next message is answered, and nothing else was. */
static void check_only_answer(struct harness *h, const char *channel, size_t replies)
{
    AUTO_FREE char *text = xasprintf("@threadkeeper and %zu?", replies);
    AUTO_FREE char *want = xasprintf("Now you ask: \"and %zu?\"", replies);

    lab_wait_acked(h);
    lab_say(h, ALICE, channel, NULL, text);
    lab_wait_reply(h, channel, NULL, want);
    CHECK_INT(lab_count_replies(h, channel, NULL), replies, "replies there in all");
}

static void an_event_that_comes_again_is_answered_once(void **state)
{
    struct harness *h = *state;
    json_auto_t *said = NULL;
    const char *id;

    daemon_start(h);
    said = say_with(h, ALICE_DM, "hello", json_object());
    id = json_string_value(json_array_get(json_object_get(said, "event_ids"), 0));
    for (int i = 0; i < 3; i++) /* before and while it is answered */
        json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "event_id", id)));
    lab_wait_reply(h, ALICE_DM, NULL, "Now you ask: \"hello\"");
    json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "event_id", id)));
    check_only_answer(h, ALICE_DM, 2);
    daemon_restart(h);
    json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "event_id", id)));
    check_only_answer(h, ALICE_DM, 3);
    check_no_violations(h);
}

static void a_mention_and_its_message_are_one(void **state)
{
    static const char *const orders[] = { "mention", "message" };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        const char *thread;

        lab_set(h, "mention_order", json_string(orders[i]));
        thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper hello");
        lab_wait_reply(h, DEV, thread, "Now you ask: \"hello\"");
        json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "ts", thread)));
        lab_wait_acked(h);
        lab_say(h, ALICE, DEV, thread, "@threadkeeper more");
        lab_wait_reply(h, DEV, thread, "(1) \"hello\". Now you ask: \"more\"");
        CHECK_INT(lab_count_replies(h, DEV, thread), 2, orders[i]);
    }
    check_no_violations(h);
}

static void send_frame(struct harness *h, json_t *frame)
{
    json_decref(lab_command(h, "raw_frame", frame));
}

static json_int_t count_opened(struct harness *h)
{
    json_int_t newest = 0;
    size_t i;
    json_t *link;
    json_auto_t *answer = lab_command(h, "links", NULL);

    json_array_foreach(json_object_get(answer, "links"), i, link)
    {
        json_int_t number = json_integer_value(json_object_get(link, "link"));

        newest = number > newest ? number : newest;
    }
    return newest;
}

static void garbage_does_not_cost_the_link(void **state)
{
    static const char *const texts[] = {
        "not json",
        "{",
        "[]",
        "null",
        "123",
        "\"hello\"",
        "{}",
        "{\"type\":\"events_api\"}",
        "{\"type\":7}",
        "{\"type\":\"hello\"}",
        "{\"type\":\"disconnect\"",
        "{\"type\":\"events_api\",\"envelope_id\":7,\"payload\":{}}",
        "{\"type\":\"events_api\",\"envelope_id\":\"\",\"payload\":{}}",
        "{\"type\":\"events_api\",\"payload\":{\"event\":{\"type\":\"message\"}}}",
    };
    struct harness *h = *state;

    harness_set(h, "slack", "connections: 1");
    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        send_frame(h, json_pack("{s:s}", "text", texts[i]));
    send_frame(h, json_pack("{s:s, s:i}", "text", "[", "size", 200000)); /* nesting */
    send_frame(h, json_pack("{s:s, s:i}", "text", "{\"a\":", "size", 200000));
    send_frame(h, json_pack("{s:s, s:b}", "text", "{\"type\":\"binary\"}", "binary", 1));
    send_frame(h, json_pack("{s:b, s:i, s:b}", "random", 1, "size", 5000, "binary", 1));
    send_frame(h, json_pack("{s:b, s:i}", "random", 1, "size", 100000)); /* no UTF-8 */
    send_frame(h, json_pack("{s:i, s:i}", "size", 3000000, "fragments", 50));
    send_frame(h, json_pack("{s:s, s:i}", "text", "", "fragments", 1));
    check_only_answer(h, DEV, 1);
    CHECK_INT(count_opened(h), 1, "still the first link");
    check_no_violations(h);
}

static void a_frame_over_the_cap_costs_only_its_link(void **state)
{
    struct harness *h = *state;
    int64_t mark;

    daemon_start(h);
    mark = lab_mark(h);
    send_frame(h, json_pack("{s:i}", "size", 6 * 1024 * 1024));
    json_decref(lab_wait_log(h, mark, "link_closed", NULL, NULL));
    check_only_answer(h, DEV, 1);
    json_decref(lab_wait_log(h, mark, "hello", NULL, NULL));
    CHECK_HOLDS(daemon_log(h), "oversized_message", "the log says why");
    check_no_violations(h);
}

static void fragmented_events_are_put_together(void **state)
{
    static const int pieces[] = { 2, 7, 300 };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        AUTO_FREE char *text = xasprintf("in %d pieces", pieces[i]);
        AUTO_FREE char *want = xasprintf("Now you ask: \"%s\"", text);

        json_decref(lab_command(h, "say",
                                json_pack("{s:s, s:s, s:s, s:i}", "user", ALICE, "channel",
                                          ALICE_DM, "text", text, "fragments", pieces[i])));
        lab_wait_reply(h, ALICE_DM, NULL, want);
    }
    lab_wait_acked(h);
    check_no_violations(h);
}

static bool has_envelope(const json_t *entry, const void *id)
{
    const char *own = json_string_value(json_object_get(entry, "envelope_id"));

    return own && strcmp(own, id) == 0;
}

static void check_acked(struct harness *h, int64_t mark)
{
    json_auto_t *sent = lab_wait_log(h, mark, "payload_sent", NULL, NULL);

    json_decref(lab_wait_log(h, mark, "ack", has_envelope,
                             json_string_value(json_object_get(sent, "envelope_id"))));
}

static void what_nobody_knows_is_acked(void **state)
{
    static const struct {
        const char *type;
        const char *payload;
    } cases[] = {
        { "weather_report", "{}" },
        { "weather_report", "{\"a\":[1,2,3]}" },
        { "slash_commands",
          "{\"command\":\"/nobody\",\"text\":\"x\",\"channel_id\":\"C0DEV\"}" },
        { "interactive", "{}" },
        { "interactive", "{\"type\":\"block_actions\",\"actions\":[]}" },
        { "interactive", "{\"type\":\"block_actions\",\"actions\":[{\"action_id\":7}]}" },
        { "interactive", "{\"type\":\"view_submission\",\"view\":null}" },
        { "events_api", "{}" },
        { "events_api", "{\"type\":\"event_callback\",\"event_id\":\"EvX1\"}" },
        { "events_api", "{\"type\":\"event_callback\",\"event\":null}" },
        { "events_api", "{\"type\":\"event_callback\",\"event\":\"message\"}" },
        { "events_api", "{\"event\":{\"type\":\"message\"},\"event_id\":\"EvX2\"}" },
        { "events_api", "{\"event\":{\"type\":\"app_mention\",\"channel\":7,\"ts\":{}}}" },
        { "events_api", "{\"event\":{\"type\":\"a_new_event\"},\"event_id\":\"EvX3\"}" },
        { "events_api", "{\"type\":\"app_rate_limited\",\"minute_rate_limited\":1}" },
    };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t mark = lab_mark(h);

        json_decref(lab_command(h, "raw_event",
                                json_pack("{s:s, s:o}", "type", cases[i].type, "payload",
                                          json_loads(cases[i].payload, 0, NULL))));
        check_acked(h, mark);
    }
    check_only_answer(h, DEV, 1);
    check_no_violations(h);
}

/* The lab knows nothing of an envelope that the test makes itself, and calls its ack unknown.
 */
static void wait_stray_ack(struct harness *h, int64_t mark, const char *envelope_id)
{
    json_decref(lab_wait_log(h, mark, "violation", has_envelope, envelope_id));
    json_decref(lab_command(h, "violations", json_object()));
}

static void an_envelope_that_cannot_be_read_is_acked_by_its_id(void **state)
{
    static const char *const texts[] = {
        "{\"envelope_id\":\"e-1\",\"type\":\"events_api\",\"payload\":{bad",
        "{\"type\":\"events_api\",\"payload\":\"text\",\"envelope_id\":\"e-1\"}",
        "{\"envelope_id\":\"e-1\",\"type\":\"events_api\",\"payload\":[]}",
        "{\"envelope_id\" : \"e-1\",\"type\":\"events_api\",\"payload\":{\"a\":\"\\ud800\"}}",
        "{\"envelope_id\":\"e-1\"}",
        "{\"envelope_id\":\"e-1\",\"type\":null,\"payload\":null}",
    };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int64_t mark = lab_mark(h);

        send_frame(h, json_pack("{s:s}", "text", texts[i]));
        wait_stray_ack(h, mark, "e-1");
    }
    check_only_answer(h, DEV, 1);
    check_no_violations(h);
}

static void raw_message(struct harness *h, const char *channel, json_t *extra /* adopt */)
{
    static unsigned number;
    AUTO_FREE char *ts = xasprintf("1763600000.%06u", ++number);
    json_t *event =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "type", "message", "channel", channel,
                  "channel_type", *channel == 'D' ? "im" : "channel", "user", ALICE, "text",
                  "<@U0BOT> are you there?", "ts", ts, "event_ts", ts);

    json_object_update(event, extra);
    json_decref(extra);
    json_decref(lab_command(h, "raw_event", json_pack("{s:o}", "event", event)));
}

static void what_is_not_a_persons_message_is_left_alone(void **state)
{
    static const char *const extras[] = {
        "{\"user\":\"U0BOT\"}",
        "{\"user\":\"U0BOT\",\"bot_id\":\"B0BOT\"}",
        "{\"bot_id\":\"B0BOT\",\"subtype\":\"bot_message\"}",
        "{\"bot_id\":\"B0OTHER\"}",
        "{\"bot_id\":\"B0OTHER\",\"subtype\":\"bot_message\",\"user\":null}",
        "{\"app_id\":\"A0LAB\"}",
        "{\"user\":\"USLACKBOT\"}",
        "{\"user\":null}",
        "{\"subtype\":\"channel_join\"}",
        "{\"subtype\":\"channel_topic\"}",
        "{\"subtype\":\"pinned_item\"}",
        "{\"subtype\":\"message_replied\"}",
        "{\"subtype\":\"something_new\"}",
        ("{\"subtype\":\"message_changed\",\"message\":{\"type\":\"message\",\"user\":"
         "\"U0ALICE\",\"text\":\"<@U0BOT> x\",\"ts\":\"1763600001.000001\"}}"),
        "{\"subtype\":\"message_changed\"}",
        "{\"subtype\":\"message_deleted\"}",
        "{\"ts\":\"\"}",
    };
    static const char *const channels[] = { DEV, ALICE_DM };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        for (size_t j = 0; j < ARRAY_LEN(extras); j++)
            raw_message(h, channels[i], json_loads(extras[j], 0, NULL));
        check_only_answer(h, channels[i], 1);
    }
    check_no_violations(h);
}

static void an_edit_of_an_answered_message_starts_nothing(void **state)
{
    struct harness *h = *state;
    const char *thread;

    daemon_start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper helo");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"helo\"");
    json_decref(lab_command(h, "edit_message",
                            json_pack("{s:s, s:s, s:s}", "channel", DEV, "ts", thread, "text",
                                      "@threadkeeper hello")));
    lab_wait_acked(h);
    lab_say(h, ALICE, DEV, thread, "and?");
    lab_wait_reply(h, DEV, thread, "Now you ask: \"and?\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "none for the edit");
    check_no_violations(h);
}

static void messages_of_people_count_whatever_their_subtype(void **state)
{
    static const struct {
        const char *text;
        const char *extra;
        const char *want;
    } cases[] = {
        { "@threadkeeper look at this",
          "{\"subtype\":\"file_share\",\"files\":[{\"id\":\"F1\",\"name\":\"a.txt\"}]}",
          "Now you ask: \"look at this" },
        { "@threadkeeper to all", "{\"subtype\":\"thread_broadcast\"}",
          "Now you ask: \"to all" },
        { "@threadkeeper waves", "{\"subtype\":\"me_message\"}", "Now you ask: \"waves" },
        { "@threadkeeper edited at once",
          "{\"edited\":{\"user\":\"U0ALICE\",\"ts\":\"1763600000.000001\"}}",
          "Now you ask: \"edited at once" },
        { "@threadkeeper numbers", "{\"metadata\":{\"n\":123456789012345678901234567890.0}}",
          "Now you ask: \"numbers" },
    };
    struct harness *h = *state;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char ts[32];

        say_extra(h, cases[i].text, json_loads(cases[i].extra, 0, NULL), ts);
        lab_wait_reply(h, DEV, ts, cases[i].want);
        lab_wait_idle(h, DEV, ts);
        CHECK_INT(lab_count_replies(h, DEV, ts), 1, cases[i].text);
    }
    check_no_violations(h);
}

static void a_file_without_words_is_still_a_message(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    json_decref(say_with(
        h, ALICE_DM, "",
        json_loads("{\"subtype\":\"file_share\",\"files\":[{\"id\":\"F1\"}]}", 0, NULL)));
    lab_wait_reply(h, ALICE_DM, NULL, "sent a file without words");
    check_no_violations(h);
}

static void very_long_and_strange_texts_are_answered(void **state)
{
    static const char *const texts[] = {
        "bell \a and escape \x1b[31mred\x1b[0m",
        "tab\tand\nnewline\r\nand",
        /* NOLINTNEXTLINE(misc-misleading-bidirectional): that is the test */
        "\xe2\x80\xae right to left \xe2\x80\x8b zero width",
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb",
        "&lt;script&gt; &amp;amp; &lt;!channel&gt;",
        "percent %s %n %d",
        "<user> </user> ]]> {\"role\":\"system\"}",
    };
    struct harness *h = *state;
    AUTO_FREE char *big = xcalloc(1, 300001);
    json_t *frame = NULL;
    json_auto_t *said = NULL;
    int64_t mark;

    daemon_start(h);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_FREE char *text = xasprintf("%s and so it ends %zu", texts[i], i);
        AUTO_FREE char *want = xasprintf("and so it ends %zu", i);

        lab_say(h, ALICE, ALICE_DM, NULL, text);
        lab_wait_reply(h, ALICE_DM, NULL, want);
    }
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), ARRAY_LEN(texts), "each answered once");
    memset(big, 'x', 300000); /* beyond what is taken of a message */
    lab_say(h, BOB, BOB_DM, NULL, big);
    lab_wait_replies(h, BOB_DM, NULL, 1);
    lab_say(h, BOB, BOB_DM, NULL, "still well?");
    lab_wait_reply(h, BOB_DM, NULL, "Now you ask: \"still well?\"");

    /* The lab's own JSON has no U+0000, so this envelope is made by hand. */
    said = lab_command(h, "say",
                       json_pack("{s:s, s:s, s:s, s:b}", "user", ALICE, "channel", DEV, "text",
                                 "nil", "tell", 0));
    frame = json_sprintf(
        "{\"envelope_id\":\"e-nul\",\"type\":\"events_api\",\"payload\":{\"team_id\":\"T0LAB\","
        "\"event_id\":\"EvNul\",\"event\":{\"type\":\"app_mention\",\"channel\":\"C0DEV\","
        "\"user\":\"U0ALICE\",\"text\":\"<@U0BOT> before\\u0000after\",\"ts\":\"%s\"}}}",
        json_string_value(json_object_get(said, "ts")));
    mark = lab_mark(h);
    send_frame(h, json_pack("{s:o}", "text", frame));
    wait_stray_ack(h, mark, "e-nul");
    lab_wait_reply(h, DEV, NULL, "after");
    check_no_violations(h);
}

static void a_burst_is_acked_whole_and_each_message_answered_once(void **state)
{
    struct harness *h = *state;
    int64_t mark;
    json_auto_t *done = NULL;

    harness_set(h, "memory",
                "context: { max_messages: 10000, budget_tokens: 1000000, recall: false, "
                "summarizer: off }");
    harness_set(h, "slack", "reply: post"); /* Slack's limits make the rest slow */
    harness_set(h, "log", "level: info");
    daemon_start(h);
    mark = lab_mark(h);
    json_decref(lab_command(h, "load",
                            json_pack("{s:i, s:i, s:i, s:s}", "events", BURST_EVENTS, "window",
                                      BURST_EVENTS, "channels", BURST_CHANNELS, "text",
                                      "one of many")));
    done = lab_wait_log(h, mark, "load_done", NULL, NULL);
    CHECK_INT(json_integer_value(json_object_get(done, "acked")), BURST_EVENTS, "all of them");
    CHECK_INT(json_integer_value(json_object_get(done, "acked_twice")), 0, "each once");
    for (int i = 0; i < BURST_CHANNELS; i++) {
        AUTO_FREE char *user = xasprintf("U0LOAD%d", i);
        AUTO_FREE char *channel = xasprintf("D0LOAD%d", i);
        AUTO_FREE char *want =
            xasprintf("You have told me %d things before", BURST_EVENTS / BURST_CHANNELS);

        lab_say(h, user, channel, NULL, "how many?");
        lab_wait_text(h, channel, NULL, "how many?");
        if (!strstr(lab_wait_reply(h, channel, NULL, "how many?"), want)) {
            lab_say(h, user, channel, NULL,
                    "and now?"); /* it was answered with the last ones */
            free(want);
            want = xasprintf("You have told me %d things before",
                             BURST_EVENTS / BURST_CHANNELS + 1);
            lab_wait_reply(h, channel, NULL, want);
        }
    }
    check_no_violations(h);
}

static void set_file_limit(struct harness *h, rlim_t bytes)
{
    struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

    if (prlimit(daemon_pid(h), RLIMIT_FSIZE, &limit, NULL) < 0)
        harness_fail(h, "cannot limit the daemon's files");
}

static void a_disk_that_refuses_means_no_ack_and_no_loss(void **state)
{
    struct harness *h = *state;
    const char *thread;
    const char *body = "";
    json_auto_t *links = NULL;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "all well?");
    lab_wait_reply(h, ALICE_DM, NULL, "all well?");
    set_file_limit(h, 512);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper on a full disk");
    daemon_wait_metric(h, "events_not_durable_total", 1);
    links = lab_command(h, "links", NULL);
    CHECK_INT(json_integer_value(json_object_get(links, "pending")) > 0, 1, "not acked");
    CHECK_INT(daemon_get(h, "/healthz", &body), 200, "the daemon lives");
    CHECK_INT(lab_count_replies(h, DEV, NULL), 0, "what is not stored is not answered");
    set_file_limit(h, RLIM_INFINITY);
    json_decref(lab_command(h, "redeliver", json_pack("{s:s}", "ts", thread)));
    lab_wait_reply(h, DEV, thread, "Now you ask: \"on a full disk\"");
    lab_wait_acked(h);
    lab_say(h, ALICE, DEV, thread, "and?");
    lab_wait_reply(h, DEV, thread, "(1) \"on a full disk\". Now you ask: \"and?\"");
    CHECK_INT(lab_count_replies(h, DEV, thread), 2, "answered once");
    lab_wait_idle(h, DEV, thread);
}

/* Slack deals events out to several links, so the reply may come before the mention. */
static void a_reply_that_overtakes_its_mention_is_not_lost(void **state)
{
    struct harness *h = *state;
    json_t *said;
    const char *thread;

    daemon_start(h);
    said = lab_command(h, "say",
                       json_pack("{s:s, s:s, s:s, s:b}", "user", ALICE, "channel", DEV, "text",
                                 "<@U0BOT> first", "tell", 0));
    thread = json_string_value(json_object_get(said, "ts"));
    lab_say(h, ALICE, DEV, thread, "second");
    json_decref(lab_command(h, "raw_event",
                            json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "event", "type",
                                      "app_mention", "user", ALICE, "text", "<@U0BOT> first",
                                      "ts", thread, "channel", DEV, "event_ts", thread)));
    lab_wait_acked(h);
    lab_wait_reply(h, DEV, thread, "\"second\""); /* else one turn may answer both */
    lab_say(h, ALICE, DEV, thread, "third");
    lab_wait_reply(h, DEV, thread, "(1) \"first\" (2) \"second\". Now you ask: \"third\"");
    json_decref(said);
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(a_reply_that_overtakes_its_mention_is_not_lost),
              SCENARIO(an_event_that_comes_again_is_answered_once),
              SCENARIO(a_mention_and_its_message_are_one),
              SCENARIO(garbage_does_not_cost_the_link),
              SCENARIO(a_frame_over_the_cap_costs_only_its_link),
              SCENARIO(fragmented_events_are_put_together),
              SCENARIO(what_nobody_knows_is_acked),
              SCENARIO(an_envelope_that_cannot_be_read_is_acked_by_its_id),
              SCENARIO(what_is_not_a_persons_message_is_left_alone),
              SCENARIO(an_edit_of_an_answered_message_starts_nothing),
              SCENARIO(messages_of_people_count_whatever_their_subtype),
              SCENARIO(a_file_without_words_is_still_a_message),
              SCENARIO(very_long_and_strange_texts_are_answered),
              SCENARIO(a_burst_is_acked_whole_and_each_message_answered_once),
              SCENARIO(a_disk_that_refuses_means_no_ack_and_no_loss))
