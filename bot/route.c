#include "bot/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bot/commands.h"
#include "slack/text.h"

#define GUARD_SLOTS     256
#define GUARD_KEY_BYTES 160

static bool list_holds(const struct config_list *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], id) == 0)
            return true;
    }
    return false;
}

bool route_is_admin(const struct config *config, const char *user)
{
    return list_holds(&config->access.admins, user);
}

static bool same(const char *a, const char *b)
{
    return *a && strcmp(a, b) == 0;
}

/* Every loop guard of Slack's message events: ourselves, Slackbot, other bots, nobody. */
static const char *loop_guard(const struct slack_event *event,
                              const struct slack_identity *self, const struct config *config)
{
    if (same(event->bot_id, self->bot_id) || same(event->user, self->user_id) ||
        same(event->app_id, event->api_app_id))
        return "our own message";
    if (strcmp(event->user, "USLACKBOT") == 0 || strcmp(event->user, "USLACK") == 0)
        return "Slackbot";
    if (*event->bot_id && !list_holds(&config->access.allow_bots, event->bot_id) &&
        !list_holds(&config->access.allow_bots, event->user))
        return "another bot (not in access.allow_bots)";
    if (!*event->user && !*event->bot_id)
        return "no author";
    return NULL;
}

static const char *refusal(const struct slack_event *event, const struct slack_identity *self,
                           const struct config *config)
{
    const struct config_channel *channel = config_find_channel(config, event->channel);
    bool is_admin = route_is_admin(config, event->user);

    if (list_holds(&config->access.deny_users, event->user))
        return "you are on the list of people I do not answer";
    if (event->is_ext_shared ||
        (*event->user_team && *self->team_id && strcmp(event->user_team, self->team_id) != 0))
        return "I do not answer people of other organisations";
    if (config->access.allow_channels.count && event->channel_type != SLACK_CHANNEL_DIRECT &&
        !list_holds(&config->access.allow_channels, event->channel))
        return "I may not answer in this channel";
    if (is_admin || *event->bot_id)
        return NULL;
    if (channel && channel->allow_users.count)
        return list_holds(&channel->allow_users, event->user)
                   ? NULL
                   : "you are not on this channel's list of people I answer";
    if (config->access.allow_users.count &&
        !list_holds(&config->access.allow_users, event->user))
        return "you are not on the list of people I answer";
    return NULL;
}

static const char *author(const struct slack_event *event)
{
    return *event->user ? event->user : event->bot_id;
}

static char *conversation_key(const struct slack_event *event, const struct config *config,
                              const char *thread)
{
    switch ((enum config_scope)config->memory.scope) {
    case CONFIG_SCOPE_THREAD:
        return xasprintf("*:%s:%s", event->channel, thread);
    case CONFIG_SCOPE_CHANNEL:
        return xasprintf("*:%s:*", event->channel);
    case CONFIG_SCOPE_USER:
        return xasprintf("%s:*:*", author(event));
    case CONFIG_SCOPE_USER_THREAD:
        break;
    }
    return xasprintf("%s:%s:%s", author(event), event->channel, thread);
}

/* Which conversation a message belongs to, and where its answer goes. */
static void place(const struct slack_event *event, const struct config *config,
                  struct route *route)
{
    bool is_direct = event->channel_type == SLACK_CHANNEL_DIRECT;
    bool in_thread = *event->thread_ts != '\0';
    bool is_flat = is_direct && !in_thread &&
                   (config->slack.dm == CONFIG_DM_FLAT ||
                    (config->slack.dm == CONFIG_DM_AUTO && !event->is_agent_surface));
    const char *thread = in_thread ? event->thread_ts : event->ts;
    bool by_thread = config->memory.scope == CONFIG_SCOPE_USER_THREAD ||
                     config->memory.scope == CONFIG_SCOPE_THREAD;

    route->reply_thread = xstrdup(is_flat ? "" : thread);
    route->conversation = is_flat && by_thread ? xstrdup(event->channel)
                                               : conversation_key(event, config, thread);
    /* A thread under a flat direct message starts with what was said there up to that message.
     */
    if (is_direct && in_thread && by_thread && config->slack.dm != CONFIG_DM_THREADS) {
        route->parent = xstrdup(event->channel);
        route->parent_until = xstrdup(event->thread_ts);
    }
}

static void find_command(struct route *route, const struct slack_identity *self)
{
    AUTO_FREE char *line = commands_read(route->text, self->user_id);
    const char *arguments;
    const struct command *command = line ? commands_find(line, &arguments) : NULL;

    if (!command)
        return;
    route->verdict = ROUTE_COMMAND;
    route->argument = xasprintf("%s%s%s", command->word, *arguments ? " " : "", arguments);
}

static void ignore(struct route *route, const char *reason)
{
    route->verdict = ROUTE_IGNORE;
    route->reason = reason;
}

static void route_message(const struct slack_event *event, const struct slack_identity *self,
                          const struct config *config, struct route *route)
{
    const char *guard = loop_guard(event, self, config);
    bool is_mention =
        event->is_mention_event || slack_text_mentions(event->text, self->user_id);
    bool is_addressed = is_mention || event->channel_type == SLACK_CHANNEL_DIRECT;

    if (guard || !*event->ts || !*event->channel) {
        ignore(route, guard ? guard : "no channel or ts");
        return;
    }
    if (!is_addressed && !*event->thread_ts) {
        ignore(route, "not addressed to us");
        return;
    }
    if (!is_addressed && slack_text_addresses_other(event->text, self->user_id)) {
        ignore(route, "addressed to somebody else");
        return;
    }
    route->reason = refusal(event, self, config);
    route->verdict = route->reason ? ROUTE_REFUSE : ROUTE_MESSAGE;
    if (route->reason && !is_addressed)
        route->verdict = ROUTE_IGNORE;
    route->only_if_engaged = !is_addressed;
    route->engages = is_addressed;
    route->is_from_bot = *event->bot_id != '\0';
    place(event, config, route);
    route->text = slack_text_to_plain(event->text, self->user_id);
    if (route->verdict == ROUTE_MESSAGE)
        find_command(route, self);
    if (route->verdict == ROUTE_MESSAGE && !*route->text && !event->has_files) {
        route->verdict = ROUTE_COMMAND; /* a bare mention asks what we are */
        route->argument = xstrdup("help");
    }
}

static void route_action(const struct slack_event *event, const struct slack_identity *self,
                         const struct config *config, struct route *route)
{
    route->reason = refusal(event, self, config);
    if (strcmp(event->action_id, ROUTE_RETRY_ACTION) != 0)
        ignore(route, "not one of our buttons");
    else if (route->reason)
        route->verdict = ROUTE_REFUSE;
    else
        route->verdict = ROUTE_RETRY;
    route->argument = xstrdup(event->action_value);
    route->reply_thread = xstrdup(event->thread_ts);
}

/* :octagonal_sign: is Slack's name of the stop sign; the others are what people take for it. */
static void route_reaction(const struct slack_event *event, const struct slack_identity *self,
                           struct route *route)
{
    static const char *const signs[] = { "octagonal_sign", "stop_sign",
                                         "black_square_for_stop" };

    ignore(route, "not a stop sign");
    if (!*event->user || same(event->user, self->user_id) || !*event->ts)
        return;
    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        if (strcmp(event->reaction, signs[i]) == 0)
            route->verdict = ROUTE_STOP_SIGN;
    }
}

void route_event(const struct slack_event *event, const struct slack_identity *self,
                 const struct config *config, struct route *ret_route)
{
    struct route *route = ret_route;

    *route = (struct route){ .reason = "" };
    switch (event->kind) {
    case SLACK_EVENT_MESSAGE:
        route_message(event, self, config, route);
        break;
    case SLACK_EVENT_SESSION_STOPPED:
        route->verdict = ROUTE_STOP;
        break;
    case SLACK_EVENT_REACTION:
        route_reaction(event, self, route);
        break;
    case SLACK_EVENT_ACTION:
        route_action(event, self, config, route);
        break;
    case SLACK_EVENT_MESSAGE_DELETED:
        route->verdict = ROUTE_DELETED;
        break;
    case SLACK_EVENT_APP_UNINSTALLED:
    case SLACK_EVENT_TOKENS_REVOKED:
        route->verdict = ROUTE_DEAD;
        break;
    case SLACK_EVENT_MESSAGE_CHANGED:
    case SLACK_EVENT_RATE_LIMITED:
    case SLACK_EVENT_OTHER:
        ignore(route, "nothing to do");
        break;
    }
    if (!route->conversation)
        route->conversation = xstrdup("");
    if (!route->reply_thread)
        route->reply_thread = xstrdup("");
    if (!route->parent)
        route->parent = xstrdup("");
    if (!route->parent_until)
        route->parent_until = xstrdup("");
    if (!route->text)
        route->text = xstrdup("");
    if (!route->argument)
        route->argument = xstrdup("");
}

void route_deinit(struct route *route)
{
    free(route->conversation);
    free(route->reply_thread);
    free(route->parent);
    free(route->parent_until);
    free(route->text);
    free(route->argument);
    *route = (struct route){ .reason = "" };
}

/* ---- the cap on bots in a row -------------------------------------------------------------
 */

struct guard_slot {
    char conversation[GUARD_KEY_BYTES];
    unsigned turns;
};

struct route_guard {
    struct guard_slot
        slots[GUARD_SLOTS]; /* by hash; a collision forgets, which only allows more */
};

struct route_guard *route_guard_new(void)
{
    return xcalloc(1, sizeof(struct route_guard));
}

void route_guard_free(struct route_guard *guard)
{
    free(guard);
}

static size_t slot_of(const char *text)
{
    size_t hash = 5381;

    for (; *text; text++)
        hash = hash * 33 + (unsigned char)*text;
    return hash % GUARD_SLOTS;
}

bool route_guard_allows(struct route_guard *guard, const char *conversation, bool is_from_bot)
{
    /* By channel and thread, whoever speaks: the key without its user. */
    const char *place_key =
        strchr(conversation, ':') ? strchr(conversation, ':') : conversation;
    struct guard_slot *slot = &guard->slots[slot_of(place_key)];

    if (strncmp(slot->conversation, place_key, GUARD_KEY_BYTES - 1) != 0) {
        *slot = (struct guard_slot){ 0 };
        memcpy(slot->conversation, place_key, strnlen(place_key, GUARD_KEY_BYTES - 1));
    }
    if (!is_from_bot)
        slot->turns = 0;
    else
        slot->turns++;
    return slot->turns <= ROUTE_BOT_TURNS_MAX;
}
