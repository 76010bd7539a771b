#include "slack/event.h"

#include "tests/test.h"

/* Wraps the inner event as Slack does. */
#define ENVELOPE(payload)                                                     \
    "{\"envelope_id\":\"env-1\",\"type\":\"events_api\",\"retry_attempt\":2," \
    "\"accepts_response_payload\":false,\"payload\":" payload "}"
#define EVENT(inner)                                                               \
    ENVELOPE("{\"token\":\"x\",\"team_id\":\"T1\",\"api_app_id\":\"A1\",\"type\":" \
             "\"event_callback\",\"event_id\":\"Ev1\",\"event_time\":1763600000,"  \
             "\"is_ext_shared_channel\":true,\"event\":" inner "}")
#define CLICK(payload) \
    "{\"envelope_id\":\"env-1\",\"type\":\"interactive\",\"payload\":" payload "}"

static void parse(const char *json, struct slack_event *ret_event)
{
    struct err err = { 0 };

    if (slack_event_parse(json, strlen(json), ret_event, &err) < 0)
        fail_msg("%s: %s", json, err.message);
}

static void kinds_follow_type_and_subtype(void **state)
{
    static const struct {
        const char *json;
        enum slack_event_kind kind;
        const char *because;
    } cases[] = {
        { EVENT("{\"type\":\"message\",\"text\":\"a\"}"), SLACK_EVENT_MESSAGE, "plain" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"file_share\"}"), SLACK_EVENT_MESSAGE,
          "with files" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"thread_broadcast\"}"), SLACK_EVENT_MESSAGE,
          "also sent to the channel" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"me_message\"}"), SLACK_EVENT_MESSAGE,
          "/me" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"bot_message\"}"), SLACK_EVENT_OTHER,
          "other bots" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"channel_join\"}"), SLACK_EVENT_OTHER,
          "system" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"next_year\"}"), SLACK_EVENT_OTHER,
          "unknown" },
        { EVENT("{\"type\":\"message\",\"subtype\":7}"), SLACK_EVENT_MESSAGE,
          "a subtype that is no string is none" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"message_changed\"}"),
          SLACK_EVENT_MESSAGE_CHANGED, "an edit, even without its message" },
        { EVENT("{\"type\":\"message\",\"subtype\":\"message_deleted\"}"),
          SLACK_EVENT_MESSAGE_DELETED, "a deletion" },
        { EVENT("{\"type\":\"app_mention\"}"), SLACK_EVENT_MESSAGE, "a mention" },
        { EVENT("{\"type\":\"agent_session_stopped\"}"), SLACK_EVENT_SESSION_STOPPED, "Stop" },
        { EVENT("{\"type\":\"message_stream_stopped\"}"), SLACK_EVENT_SESSION_STOPPED,
          "its earlier name" },
        { EVENT("{\"type\":\"app_uninstalled\"}"), SLACK_EVENT_APP_UNINSTALLED, "gone" },
        { EVENT("{\"type\":\"tokens_revoked\",\"tokens\":{\"bot\":[\"U1\"]}}"),
          SLACK_EVENT_TOKENS_REVOKED, "ours" },
        { EVENT("{\"type\":\"tokens_revoked\",\"tokens\":{\"oauth\":[\"U1\"],\"bot\":[]}}"),
          SLACK_EVENT_OTHER, "a person's" },
        { EVENT("{\"type\":\"reaction_added\",\"item\":{\"type\":\"message\"}}"),
          SLACK_EVENT_REACTION, "to a message" },
        { EVENT("{\"type\":\"reaction_added\",\"item\":{\"type\":\"file\"}}"),
          SLACK_EVENT_OTHER, "to a file" },
        { EVENT("{\"type\":\"reaction_added\",\"item\":7}"), SLACK_EVENT_OTHER, "to nothing" },
        { EVENT("{\"type\":\"reaction_removed\",\"item\":{\"type\":\"message\"}}"),
          SLACK_EVENT_OTHER, "taken back" },
        { EVENT("{}"), SLACK_EVENT_OTHER, "no type" },
        { ENVELOPE("{\"type\":\"app_rate_limited\",\"minute_rate_limited\":1763600000}"),
          SLACK_EVENT_RATE_LIMITED, "has no inner event" },
        { ENVELOPE("{\"type\":\"event_callback\",\"event\":[1]}"), SLACK_EVENT_OTHER,
          "the event is a list" },
        { CLICK("{\"type\":\"block_actions\",\"actions\":[{\"action_id\":\"a\"}]}"),
          SLACK_EVENT_ACTION, "a button" },
        { CLICK("{\"type\":\"block_actions\",\"actions\":[]}"), SLACK_EVENT_OTHER,
          "no action in it" },
        { CLICK("{\"type\":\"view_submission\"}"), SLACK_EVENT_OTHER, "a modal" },
        { "{\"envelope_id\":\"env-1\",\"type\":\"slash_commands\",\"payload\":{}}",
          SLACK_EVENT_OTHER, "a slash command" },
        { "{\"envelope_id\":\"env-1\",\"type\":\"telepathy\"}", SLACK_EVENT_OTHER,
          "an envelope type of the future" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_event event;

        parse(cases[i].json, &event);
        CHECK_INT(event.kind, cases[i].kind, cases[i].because);
        CHECK_TEXT(event.envelope_id, "env-1", cases[i].because);
        slack_event_deinit(&event);
        slack_event_deinit(&event);
    }
}

static void a_message_keeps_its_fields(void **state)
{
    struct slack_event event;

    (void)state;
    parse(EVENT("{\"type\":\"message\",\"channel\":\"C1\",\"channel_type\":\"group\",\"user\":"
                "\"U1\",\"text\":\"hi &lt;\",\"ts\":\"1763600000.123459\",\"thread_ts\":"
                "\"1763599000.000100\",\"team\":\"T2\",\"bot_id\":\"B1\",\"bot_profile\":{"
                "\"app_id\":\"A9\"},\"files\":[{}],\"assistant_thread\":{\"action_token\":1}}"),
          &event);
    CHECK_TEXT(event.event_id, "Ev1", "for deduplication");
    CHECK_TEXT(event.team, "T1", "the workspace");
    CHECK_TEXT(event.api_app_id, "A1", "our app");
    CHECK_TEXT(event.channel, "C1", "where");
    CHECK_INT(event.channel_type, SLACK_CHANNEL_PRIVATE, "group in a C channel");
    CHECK_TEXT(event.user, "U1", "who");
    CHECK_TEXT(event.user_team, "T2", "from another workspace");
    CHECK_TEXT(event.text, "hi &lt;", "as Slack sent it");
    CHECK_TEXT(event.ts, "1763600000.123459", "no precision lost");
    CHECK_TEXT(event.thread_ts, "1763599000.000100", "the thread");
    CHECK_TEXT(event.bot_id, "B1", "a bot");
    CHECK_TEXT(event.app_id, "A9", "from bot_profile");
    CHECK_INT(event.retry_attempt, 2, "the retry");
    CHECK_INT(event.has_files, true, "files");
    CHECK_INT(event.is_agent_surface, true, "assistant_thread");
    CHECK_INT(event.is_ext_shared, true, "Slack Connect");
    CHECK_INT(event.is_mention_event, false, "message");
    slack_event_deinit(&event);
}

static void channel_types_come_from_the_event_or_the_id(void **state)
{
    static const struct {
        const char *json;
        enum slack_channel_type type;
    } cases[] = {
        { EVENT("{\"type\":\"message\",\"channel\":\"D1\",\"channel_type\":\"im\"}"),
          SLACK_CHANNEL_DIRECT },
        { EVENT("{\"type\":\"message\",\"channel\":\"G1\",\"channel_type\":\"mpim\"}"),
          SLACK_CHANNEL_GROUP_DIRECT },
        { EVENT("{\"type\":\"app_mention\",\"channel\":\"C1\"}"), SLACK_CHANNEL_PUBLIC },
        { EVENT("{\"type\":\"app_mention\",\"channel\":\"G1\"}"), SLACK_CHANNEL_PRIVATE },
        { EVENT("{\"type\":\"app_mention\",\"channel\":\"D1\"}"), SLACK_CHANNEL_DIRECT },
        { EVENT("{\"type\":\"app_mention\",\"channel\":{}}"), SLACK_CHANNEL_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_event event;

        parse(cases[i].json, &event);
        CHECK_INT(event.channel_type, cases[i].type, cases[i].json);
        slack_event_deinit(&event);
    }
}

static void edits_and_deletions_name_the_message_they_are_about(void **state)
{
    struct slack_event event;

    (void)state;
    parse(
        EVENT("{\"type\":\"message\",\"subtype\":\"message_changed\",\"channel\":\"C1\",\"ts\":"
              "\"9.9\",\"message\":{\"user\":\"U1\",\"text\":\"new\",\"ts\":\"1.1\","
              "\"thread_ts\":\"0.5\"},\"previous_message\":{\"text\":\"old\"}}"),
        &event);
    CHECK_TEXT(event.ts, "1.1", "the message's own");
    CHECK_TEXT(event.text, "new", "as it is now");
    CHECK_TEXT(event.user, "U1", "its author");
    CHECK_TEXT(event.thread_ts, "0.5", "its thread");
    slack_event_deinit(&event);
    parse(
        EVENT("{\"type\":\"message\",\"subtype\":\"message_deleted\",\"channel\":\"C1\",\"ts\":"
              "\"9.9\",\"deleted_ts\":\"1.1\",\"previous_message\":{\"user\":\"U1\","
              "\"thread_ts\":\"0.5\"}}"),
        &event);
    CHECK_TEXT(event.ts, "1.1", "deleted_ts");
    CHECK_TEXT(event.user, "U1", "from the previous message");
    CHECK_TEXT(event.thread_ts, "0.5", "from the previous message");
    slack_event_deinit(&event);
    parse(
        EVENT("{\"type\":\"message\",\"subtype\":\"message_changed\",\"channel\":\"C1\",\"ts\":"
              "\"9.9\",\"message\":{\"subtype\":\"tombstone\",\"user\":\"USLACKBOT\",\"text\":"
              "\"This message was deleted.\",\"ts\":\"1.1\",\"thread_ts\":\"1.1\"},"
              "\"previous_message\":{\"user\":\"U1\",\"ts\":\"1.1\",\"thread_ts\":\"1.1\"}}"),
        &event);
    CHECK_INT(event.kind, SLACK_EVENT_MESSAGE_DELETED, "the root of a thread stays as a stone");
    CHECK_TEXT(event.ts, "1.1", "the message's own");
    CHECK_TEXT(event.user, "U1", "who wrote it, not Slackbot");
    CHECK_TEXT(event.thread_ts, "1.1", "its thread");
    slack_event_deinit(&event);
}

static void a_click_finds_its_thread(void **state)
{
    static const struct {
        const char *json;
        const char *thread_ts;
        const char *because;
    } cases[] = {
        { CLICK(
              "{\"type\":\"block_actions\",\"message\":{\"ts\":\"1.1\",\"thread_ts\":\"0.5\"},"
              "\"container\":{\"thread_ts\":\"0.6\"},\"actions\":[{}]}"),
          "0.5", "the message's thread first" },
        { CLICK("{\"type\":\"block_actions\",\"message\":{\"ts\":\"1.1\"},\"container\":{"
                "\"thread_ts\":\"0.6\"},\"actions\":[{}]}"),
          "0.6", "then the container's" },
        { CLICK("{\"type\":\"block_actions\",\"message\":{\"ts\":\"1.1\"},\"actions\":[{}]}"),
          "1.1", "then the message itself" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_event event;

        parse(cases[i].json, &event);
        CHECK_TEXT(event.thread_ts, cases[i].thread_ts, cases[i].because);
        slack_event_deinit(&event);
    }
}

static void a_click_keeps_its_fields(void **state)
{
    struct slack_event event;

    (void)state;
    parse(
        CLICK("{\"type\":\"block_actions\",\"team\":null,\"user\":{\"id\":\"U1\",\"team_id\":"
              "\"T1\"},\"container\":{\"channel_id\":\"C1\",\"message_ts\":\"1.1\"},"
              "\"response_url\":\"https://hooks.example/x\",\"trigger_id\":\"t\",\"actions\":["
              "{\"action_id\":\"stop\",\"value\":\"run-1\",\"action_ts\":\"2.2\"},{}]}"),
        &event);
    CHECK_TEXT(event.team, "T1", "the user's when `team` is null");
    CHECK_TEXT(event.user, "U1", "who");
    CHECK_TEXT(event.channel, "C1", "from the container");
    CHECK_TEXT(event.ts, "1.1", "an ephemeral message is only in the container");
    CHECK_TEXT(event.action_id, "stop", "the first action");
    CHECK_TEXT(event.action_value, "run-1", "its value");
    CHECK_TEXT(event.action_ts, "2.2", "its time");
    CHECK_TEXT(event.trigger_id, "t", "for views");
    CHECK_TEXT(event.response_url, "https://hooks.example/x", "for answers");
    slack_event_deinit(&event);
}

static void what_cannot_be_understood_still_gives_its_id(void **state)
{
    static const struct {
        const char *json;
        const char *id;
        const char *because;
    } cases[] = {
        { "{\"envelope_id\":\"abc-1\",\"payload\":{", "abc-1", "cut off" },
        { "{\"envelope_id\" : \"abc-1\" oops", "abc-1", "broken behind it" },
        { "{\"envelope_id\":\"abc-1", "", "the id itself is cut off" },
        { "{\"envelope_id\":\"a\\\"b\",", "", "not an id that could be trusted" },
        { "{\"envelope_id\":", "", "nothing behind it" },
        { "{\"envelope_id\"", "", "nothing at all" },
        { "{\"envelope_id\":\"abc-1\",\"type\":\"events_api\",\"payload\":7}", "abc-1",
          "no payload object" },
        { "{\"type\":\"events_api\",\"payload\":{}}", "", "no id" },
        { "{\"envelope_id\":7,\"type\":\"events_api\",\"payload\":{}}", "", "a number" },
        { "[]", "", "a list" },
        { "", "", "nothing" },
        { "hello", "", "no JSON" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_event event;
        struct err err = { 0 };

        CHECK_INT(slack_event_parse(cases[i].json, strlen(cases[i].json), &event, &err), -1,
                  cases[i].because);
        CHECK_INT(err.kind, ERR_INPUT, cases[i].because);
        CHECK_TEXT(event.envelope_id, cases[i].id, cases[i].because);
        slack_event_deinit(&event);
    }
}

static void hostile_bytes_do_no_harm(void **state)
{
    static const struct {
        const char *text; /* inside the JSON string */
        const char *want;
        const char *because;
    } cases[] = {
        { "a\\u0000b", "ab", "an escaped NUL" },
        { "a\xff"
          "b",
          "a\xef\xbf\xbd"
          "b",
          "bad UTF-8 is scrubbed" },
        { "\\ud83d\\ude00", "\xf0\x9f\x98\x80", "a surrogate pair" },
        { "x\",\"text\":\"y", "y", "a duplicate key: the last one" },
        { "x\",\"n\":123456789012345678901234567890,\"m\":\"", "x", "a huge number" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *json = xasprintf(
            EVENT("{\"type\":\"message\",\"channel\":\"C1\",\"text\":\"%s\"}"), cases[i].text);
        struct slack_event event;

        parse(json, &event);
        CHECK_TEXT(event.text, cases[i].want, cases[i].because);
        CHECK_INT(event.retry_attempt, 2, "numbers survive the second reading");
        slack_event_deinit(&event);
    }
}

static void a_depth_bomb_is_acked_and_forgotten(void **state)
{
    enum { DEPTH = 200000 };
    static const char head[] = "{\"envelope_id\":\"deep\",\"payload\":";
    char *json = xcalloc(1, sizeof(head) + DEPTH);
    struct slack_event event;
    struct err err = { 0 };

    (void)state;
    memcpy(json, head, sizeof(head) - 1);
    memset(json + sizeof(head) - 1, '[', DEPTH);
    CHECK_INT(slack_event_parse(json, strlen(json), &event, &err), -1, "too deep");
    CHECK_TEXT(event.envelope_id, "deep", "but can be acked");
    slack_event_deinit(&event);
    free(json);
}

static void a_reaction_names_who_to_what_and_how(void **state)
{
    struct slack_event event = { 0 };

    (void)state;
    parse(EVENT("{\"type\":\"reaction_added\",\"user\":\"U1\",\"reaction\":\"stop_sign\","
                "\"item_user\":\"U2\",\"item\":{\"type\":\"message\",\"channel\":\"D1\","
                "\"ts\":\"17.1\"},\"event_ts\":\"17.2\"}"),
          &event);
    CHECK_TEXT(event.user, "U1", "who reacted, not who wrote");
    CHECK_TEXT(event.channel, "D1", "of the message");
    CHECK_TEXT(event.ts, "17.1", "the message's, not the reaction's");
    CHECK_TEXT(event.reaction, "stop_sign", "without colons");
    CHECK_INT(event.channel_type, SLACK_CHANNEL_DIRECT, "by its id");
    slack_event_deinit(&event);
}

TEST_MAIN(TEST(kinds_follow_type_and_subtype), TEST(a_message_keeps_its_fields),
          TEST(a_reaction_names_who_to_what_and_how),
          TEST(channel_types_come_from_the_event_or_the_id),
          TEST(edits_and_deletions_name_the_message_they_are_about),
          TEST(a_click_finds_its_thread), TEST(a_click_keeps_its_fields),
          TEST(what_cannot_be_understood_still_gives_its_id), TEST(hostile_bytes_do_no_harm),
          TEST(a_depth_bomb_is_acked_and_forgotten))
