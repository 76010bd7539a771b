#include "bot/route.h"

#include <stdlib.h>

#include "tests/test.h"

static const struct slack_identity self = { .team_id = "T1",
                                            .user_id = "UBOT",
                                            .bot_id = "BBOT" };

/* A message as a row of a table; NULL is "". */
struct message {
    const char *channel;
    enum slack_channel_type type;
    const char *user;
    const char *bot_id;
    const char *app_id;
    const char *user_team;
    const char *ts;
    const char *thread_ts;
    const char *text;
    bool is_mention_event;
    bool is_ext_shared;
    bool is_agent_surface;
};

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void event_of(const struct message *message, struct slack_event *event)
{
    *event = (struct slack_event){
        .kind = SLACK_EVENT_MESSAGE,
        .envelope_id = xstrdup("e"),
        .envelope_type = xstrdup("events_api"),
        .event_id = xstrdup("Ev1"),
        .team = xstrdup("T1"),
        .api_app_id = xstrdup("A1"),
        .event_type = xstrdup("message"),
        .subtype = xstrdup(""),
        .channel = xstrdup(message->channel),
        .channel_type = message->type,
        .user = xstrdup(or_empty(message->user)),
        .user_team = xstrdup(or_empty(message->user_team)),
        .bot_id = xstrdup(or_empty(message->bot_id)),
        .app_id = xstrdup(or_empty(message->app_id)),
        .ts = xstrdup(or_empty(message->ts)),
        .thread_ts = xstrdup(or_empty(message->thread_ts)),
        .text = xstrdup(or_empty(message->text)),
        .is_mention_event = message->is_mention_event,
        .is_ext_shared = message->is_ext_shared,
        .is_agent_surface = message->is_agent_surface,
        .action_id = xstrdup(""),
        .action_value = xstrdup(""),
        .action_ts = xstrdup(""),
        .trigger_id = xstrdup(""),
        .response_url = xstrdup(""),
        .reaction = xstrdup(""),
    };
}

static void route_of(const struct message *message, const struct config *config,
                     struct route *route)
{
    struct slack_event event;

    event_of(message, &event);
    route_event(&event, &self, config, route);
    slack_event_deinit(&event);
}

#define DIRECT  SLACK_CHANNEL_DIRECT
#define CHANNEL SLACK_CHANNEL_PUBLIC
#define MPIM    SLACK_CHANNEL_GROUP_DIRECT

static void messages_go_where_they_belong(void **state)
{
    static const struct {
        struct message message;
        enum route_verdict want;
        bool only_if_engaged;
        const char *because;
    } cases[] = {
        { { .channel = "D1", .type = DIRECT, .user = "U1", .ts = "1.1", .text = "hi" },
          ROUTE_MESSAGE,
          false,
          "a direct message is always for us" },
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "hi all" },
          ROUTE_IGNORE,
          false,
          "channel chatter" },
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "<@UBOT> hi" },
          ROUTE_MESSAGE,
          false,
          "the message copy of a mention" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.1",
            .text = "hello",
            .is_mention_event = true },
          ROUTE_MESSAGE,
          false,
          "app_mention itself" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.2",
            .thread_ts = "1.1",
            .text = "and then?" },
          ROUTE_MESSAGE,
          true,
          "a thread reply counts if we are in that thread" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.2",
            .thread_ts = "1.1",
            .text = "<@U2> what do you think?" },
          ROUTE_IGNORE,
          false,
          "addressed to somebody else" },
        { { .channel = "G1", .type = MPIM, .user = "U1", .ts = "1.1", .text = "lunch?" },
          ROUTE_IGNORE,
          false,
          "a group direct message wants a mention" },
        { { .channel = "D1", .type = DIRECT, .user = "UBOT", .ts = "1.1", .text = "hi" },
          ROUTE_IGNORE,
          false,
          "our own user" },
        { { .channel = "D1", .type = DIRECT, .user = "U1", .bot_id = "BBOT", .ts = "1.1" },
          ROUTE_IGNORE,
          false,
          "our own bot id" },
        { { .channel = "D1", .type = DIRECT, .user = "U1", .app_id = "A1", .ts = "1.1" },
          ROUTE_IGNORE,
          false,
          "our own app" },
        { { .channel = "D1", .type = DIRECT, .user = "U9", .bot_id = "B9", .ts = "1.1" },
          ROUTE_IGNORE,
          false,
          "another bot" },
        { { .channel = "D1", .type = DIRECT, .user = "USLACKBOT", .ts = "1.1", .text = "hi" },
          ROUTE_IGNORE,
          false,
          "Slackbot" },
        { { .channel = "D1", .type = DIRECT, .ts = "1.1", .text = "hi" },
          ROUTE_IGNORE,
          false,
          "nobody" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .user_team = "T2",
            .ts = "1.1",
            .text = "<@UBOT> hi" },
          ROUTE_REFUSE,
          false,
          "another organisation" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.1",
            .text = "<@UBOT> hi",
            .is_ext_shared = true },
          ROUTE_REFUSE,
          false,
          "a channel shared with another organisation" },
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "<@UBOT>" },
          ROUTE_COMMAND,
          false,
          "a bare mention asks what we are" },
        { { .channel = "D1", .type = DIRECT, .user = "U1", .ts = "1.1", .text = " !Stop now" },
          ROUTE_COMMAND,
          false,
          "a command, whatever its case" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.1",
            .text = "<@UBOT> !status" },
          ROUTE_COMMAND,
          false,
          "a command behind a mention" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.2",
            .thread_ts = "1.1",
            .text = "!status" },
          ROUTE_COMMAND,
          false,
          "a command in a thread" },
        { { .channel = "D1", .type = DIRECT, .user = "U1", .ts = "1.1", .text = "!important" },
          ROUTE_MESSAGE,
          false,
          "no command of ours" },
    };
    struct config config = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route route;

        route_of(&cases[i].message, &config, &route);
        CHECK_INT(route.verdict, cases[i].want, cases[i].because);
        if (route.verdict == ROUTE_MESSAGE)
            CHECK_INT(route.only_if_engaged, cases[i].only_if_engaged, cases[i].because);
        route_deinit(&route);
    }
}

static void conversations_have_the_fixed_keys(void **state)
{
    static const struct {
        struct message message;
        enum config_dm dm;
        enum config_scope scope;
        const char *key;
        const char *thread;
        const char *parent;
        const char *because;
    } cases[] = {
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "<@UBOT> a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_USER_THREAD,
          "U1:C1:1.1",
          "1.1",
          "",
          "a root message becomes the thread" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U1",
            .ts = "1.2",
            .thread_ts = "1.1",
            .text = "<@UBOT> a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_USER_THREAD,
          "U1:C1:1.1",
          "1.1",
          "",
          "a reply in it" },
        { { .channel = "D1", .type = DIRECT, .user = "U1", .ts = "1.1", .text = "a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_USER_THREAD,
          "D1",
          "",
          "",
          "a direct message outside a thread: the channel alone, answered flat" },
        { { .channel = "D1",
            .type = DIRECT,
            .user = "U1",
            .ts = "1.1",
            .text = "a",
            .is_agent_surface = true },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_USER_THREAD,
          "U1:D1:1.1",
          "1.1",
          "",
          "Slack's agent view: each message is a session" },
        { { .channel = "D1",
            .type = DIRECT,
            .user = "U1",
            .ts = "1.1",
            .text = "a",
            .is_agent_surface = true },
          CONFIG_DM_FLAT,
          CONFIG_SCOPE_USER_THREAD,
          "D1",
          "",
          "",
          "flat was asked for" },
        { { .channel = "D1", .type = DIRECT, .user = "U1", .ts = "1.1", .text = "a" },
          CONFIG_DM_THREADS,
          CONFIG_SCOPE_USER_THREAD,
          "U1:D1:1.1",
          "1.1",
          "",
          "threads were asked for" },
        { { .channel = "D1",
            .type = DIRECT,
            .user = "U1",
            .ts = "1.2",
            .thread_ts = "1.1",
            .text = "a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_USER_THREAD,
          "U1:D1:1.1",
          "1.1",
          "D1",
          "a thread under a flat direct message starts with what was said there" },
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "<@UBOT> a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_THREAD,
          "*:C1:1.1",
          "1.1",
          "",
          "shared by the thread" },
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "<@UBOT> a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_CHANNEL,
          "*:C1:*",
          "1.1",
          "",
          "shared by the channel" },
        { { .channel = "C1", .type = CHANNEL, .user = "U1", .ts = "1.1", .text = "<@UBOT> a" },
          CONFIG_DM_AUTO,
          CONFIG_SCOPE_USER,
          "U1:*:*",
          "1.1",
          "",
          "wherever that person is" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config config = { .slack.dm = cases[i].dm, .memory.scope = cases[i].scope };
        struct route route;

        route_of(&cases[i].message, &config, &route);
        CHECK_TEXT(route.conversation, cases[i].key, cases[i].because);
        CHECK_TEXT(route.reply_thread, cases[i].thread, cases[i].because);
        CHECK_TEXT(route.parent, cases[i].parent, cases[i].because);
        route_deinit(&route);
    }
}

static void access_lists_decide(void **state)
{
    char ann_id[] = "UANN";
    char general_id[] = "C1";
    char bot_id[] = "B9";
    char *ann[] = { ann_id };
    char *general[] = { general_id };
    char *bots[] = { bot_id };
    struct config config = {
        .access.allow_users = { ann, 1 },
        .access.allow_channels = { general, 1 },
        .access.allow_bots = { bots, 1 },
    };
    const struct {
        struct message message;
        enum route_verdict want;
        const char *because;
    } cases[] = {
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "UANN",
            .ts = "1.1",
            .text = "<@UBOT> a" },
          ROUTE_MESSAGE,
          "listed" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "UBOB",
            .ts = "1.1",
            .text = "<@UBOT> a" },
          ROUTE_REFUSE,
          "not in allow_users" },
        { { .channel = "C2",
            .type = CHANNEL,
            .user = "UANN",
            .ts = "1.1",
            .text = "<@UBOT> a" },
          ROUTE_REFUSE,
          "not in allow_channels" },
        { { .channel = "D1", .type = DIRECT, .user = "UANN", .ts = "1.1", .text = "a" },
          ROUTE_MESSAGE,
          "a direct message is not a channel" },
        { { .channel = "C1",
            .type = CHANNEL,
            .user = "U9",
            .bot_id = "B9",
            .ts = "1.1",
            .text = "<@UBOT> a" },
          ROUTE_MESSAGE,
          "an allowed bot" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route route;

        route_of(&cases[i].message, &config, &route);
        CHECK_INT(route.verdict, cases[i].want, cases[i].because);
        route_deinit(&route);
    }
}

static void bots_cannot_talk_for_ever(void **state)
{
    struct route_guard *guard = route_guard_new();

    (void)state;
    for (int i = 0; i < ROUTE_BOT_TURNS_MAX; i++)
        CHECK_INT(route_guard_allows(guard, "U9:C1:1.1", true), 1, "within the share");
    CHECK_INT(route_guard_allows(guard, "U8:C1:1.1", true), 0, "one too many, by any bot");
    CHECK_INT(route_guard_allows(guard, "U9:C1:2.2", true), 1, "another thread");
    CHECK_INT(route_guard_allows(guard, "U1:C1:1.1", false), 1, "a person speaks");
    CHECK_INT(route_guard_allows(guard, "U9:C1:1.1", true), 1, "so bots may again");
    route_guard_free(guard);
}

static void a_command_keeps_its_arguments(void **state)
{
    static const struct {
        const char *text;
        const char *argument; /* "" is a message for the agent */
        const char *because;
    } cases[] = {
        { "!status", "status", "a word alone" },
        { "!Status  now  please ", "status now  please", "the word's case, blanks around" },
        { "<@UBOT> !status of x", "status of x", "behind a mention" },
        { "!status of x <@UBOT>", "status of x", "before a mention" },
        { "!status <@U2>", "status @U2", "another's mention is an argument" },
        { "`!status of x`", "status of x", "all of it as code" },
        { "```!status of x```", "status of x", "a block of code" },
        { "```\n!status of x\n```", "status of x", "on its own lines" },
        { "`!status` of `x`", "status of `x`", "the word as code" },
        { "*_!status of x_*", "status of x", "bold and italic" },
        { "*!status of* x", "status of* x", "half of it bold" },
        { "!status\xc2\xa0of\xe2\x80\x8b x", "status of x", "blanks of a phone" },
        { "!status\nof\tx", "status of x", "lines and tabs" },
        { "!status \xe2\x80\x9cof x\xe2\x80\x9d", "status \xe2\x80\x9cof x\xe2\x80\x9d",
          "quotes stay for whoever reads the arguments" },
        { "!status Jörg O’Brien", "status Jörg O’Brien", "letters of all kinds" },
        { "!status <http://x.y|x.y>", "status x.y", "a link that Slack made" },
        { "!status <https://x.y/?a=1&amp;b=2>", "status https://x.y/?a=1&b=2", "a link" },
        { "!status &lt;x&gt;", "status <x>", "entities" },
        { "!stop!!", "stop", "with feeling" },
        { "!stop, please", "stop please", "a comma" },
        { "\xef\xbc\x81stop", "stop", "a full-width mark" },
        { "! stop", "", "no word behind the mark" },
        { "!stopwatch", "", "a longer word" },
        { "!new-feature", "", "a compound" },
        { "!new_feature", "", "a compound" },
        { "!neu\xc3\xa9", "", "another word" },
        { "!new\xc3\xa9", "", "a longer word in another language" },
        { "don't !stop", "", "not at the start" },
        { "!!stop", "", "two marks" },
        { "!=", "", "code" },
        { "`````````!stop", "", "too much around it" },
    };
    struct config config = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message message = {
            .channel = "D1", .type = DIRECT, .user = "U1", .ts = "1.1", .text = cases[i].text
        };
        struct route route;

        route_of(&message, &config, &route);
        CHECK_TEXT(route.argument, cases[i].argument, cases[i].because);
        CHECK_INT(route.verdict, *cases[i].argument ? ROUTE_COMMAND : ROUTE_MESSAGE,
                  cases[i].because);
        route_deinit(&route);
    }
}

static void a_stop_sign_is_a_stop_and_other_reactions_are_nothing(void **state)
{
    static const struct {
        const char *user;
        const char *reaction;
        enum route_verdict want;
    } cases[] = {
        { "U1", "octagonal_sign", ROUTE_STOP_SIGN },
        { "U1", "stop_sign", ROUTE_STOP_SIGN },
        { "U1", "black_square_for_stop", ROUTE_STOP_SIGN },
        { "U1", "+1", ROUTE_IGNORE },
        { "U1", "eyes", ROUTE_IGNORE },
        { "U1", "", ROUTE_IGNORE },
        { "UBOT", "octagonal_sign", ROUTE_IGNORE },
        { "", "octagonal_sign", ROUTE_IGNORE },
    };
    const struct config config = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct message message = { .channel = "C1", .user = cases[i].user, .ts = "1.1" };
        struct slack_event event;
        struct route route;

        event_of(&message, &event);
        event.kind = SLACK_EVENT_REACTION;
        free(event.reaction);
        event.reaction = xstrdup(cases[i].reaction);
        route_event(&event, &self, &config, &route);
        CHECK_INT(route.verdict, cases[i].want, cases[i].reaction);
        route_deinit(&route);
        slack_event_deinit(&event);
    }
}

TEST_MAIN(TEST(messages_go_where_they_belong),
          TEST(a_stop_sign_is_a_stop_and_other_reactions_are_nothing),
          TEST(a_command_keeps_its_arguments), TEST(conversations_have_the_fixed_keys),
          TEST(access_lists_decide), TEST(bots_cannot_talk_for_ever))
