/* The chat commands that are about the person: !prefs and !profile. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/app.h"
#include "bot/desk_parts.h"
#include "memory/person.h"

#define LOG_MODULE "bot.desk"
#include "base/log.h"

#define DATE_LEN 10
#define PREFERENCES_HELP \
    "`!prefs set NAME VALUE` changes one, `!prefs forget NAME` takes it back."
#define PROFILE_HELP                                                                      \
    "`!profile set role VALUE` corrects it (or name, interests), `!profile forget role` " \
    "or `!profile forget all` takes it back."

static bool is_word(const char *word, const char *const *words)
{
    for (; *words; words++) {
        if (strcasecmp(word, *words) == 0)
            return true;
    }
    return false;
}

static bool means_set(const char *word)
{
    static const char *const words[] = { "set", "change", "add", NULL };

    return is_word(word, words);
}

static bool means_forget(const char *word)
{
    static const char *const words[] = { "forget", "delete", "remove", "unset",
                                         "reset",  "clear",  NULL };

    return is_word(word, words);
}

static bool means_show(const char *word)
{
    static const char *const words[] = { "show", "list", "get", NULL };

    return is_word(word, words);
}

/* What the person can mend is told to them, the rest goes to the log. */
static void say_failure(const struct command_call *call, const struct err *err, struct buf *out)
{
    if (err->kind == ERR_INPUT) {
        buf_printf(out, ":warning: %s.", err->message);
        return;
    }
    log_err("a command of user=%s failed: %s", call->entry->user, err->message);
    buf_append_text(out, ":warning: Sorry, that did not work; the people who run me find the "
                         "cause in the log.");
}

static void say_unknown(const char *command, const char *word, const char *help,
                        struct buf *out)
{
    buf_printf(out, ":warning: `!%s` does not know ", command);
    commands_append_quoted(out, word);
    buf_printf(out, ". %s", help);
}

static void append_value(struct buf *out, const char *json)
{
    json_auto_t *value = json_loads(json, JSON_DECODE_ANY, NULL);

    commands_append_quoted(out, json_is_null(value)     ? "none"
                                : json_is_string(value) ? json_string_value(value)
                                                        : json);
}

static void append_date(struct buf *out, int64_t wall_s)
{
    char iso[CLOCK_ISO_BYTES];

    buf_printf(out, "%.*s", DATE_LEN, clock_iso_utc(wall_s, iso));
}

/* NAME VALUE, NAME=VALUE and NAME: VALUE. False when one of them is missing. */
static bool take_assignment(const char **arguments, char **ret_name, char **ret_value)
{
    AUTO_FREE char *name = commands_take_word(arguments);
    AUTO_FREE char *value = NULL;
    const char *left = *arguments;
    char *mark = name ? strpbrk(name, "=:") : NULL;

    if (mark && mark[1]) {
        AUTO_FREE char *joined = xasprintf("%s%s%s", mark + 1, *left ? " " : "", left);

        left = joined;
        value = commands_take_rest(&left);
    } else {
        left += !mark && *left == '=';
        value = commands_take_rest(&left);
    }
    if (mark)
        *mark = '\0';
    if (!name || !*name || !*value)
        return false;
    *ret_name = take_ptr(&name);
    *ret_value = take_ptr(&value);
    return true;
}

/* ---- !prefs ------------------------------------------------------------------------------ */

static bool list_preference(void *context, const struct store_item *item)
{
    struct buf *out = context;

    buf_append_text(out, "- ");
    commands_append_quoted(out, item->name);
    buf_append_text(out, ": ");
    append_value(out, item->value);
    if (item->created_wall_s) {
        buf_append_text(out, ", set on ");
        append_date(out, item->updated_wall_s);
    } else {
        buf_append_text(out, " (default)");
    }
    buf_append_char(out, '\n');
    return true;
}

static void show_preferences(const struct command_call *call, struct buf *out)
{
    struct err err = { 0 };

    if (memory_visit_preferences(call->memory, call->entry->user, list_preference, out, &err) <
        0) {
        buf_clear(out);
        say_failure(call, &err, out);
        return;
    }
    buf_append_text(out, "\n" PREFERENCES_HELP);
}

struct wanted {
    const char *name;
    char *value; /* NULL: not there */
};

static bool find_preference(void *context, const struct store_item *item)
{
    struct wanted *wanted = context;

    if (strcmp(item->name, wanted->name) != 0)
        return true;
    wanted->value = xstrdup(item->value);
    return false;
}

/* "`language` is `German` now." - as it is kept, which may be another spelling. */
static void say_preference(const struct command_call *call, const char *name, const char *said,
                           struct buf *out)
{
    struct wanted wanted = { .name = name };
    struct err err = { 0 };

    if (memory_visit_preferences(call->memory, call->entry->user, find_preference, &wanted,
                                 &err) < 0)
        log_warn("a preference of user=%s cannot be shown: %s", call->entry->user, err.message);
    commands_append_quoted(out, name);
    if (wanted.value) {
        buf_append_text(out, " is ");
        append_value(out, wanted.value);
        buf_append_text(out, " now.");
    } else {
        buf_append_text(out, said);
    }
    free(wanted.value);
}

/* As it is kept. */
static void spell_name(char *name)
{
    profile_fold(name);
    for (char *c = name; *c; c++) {
        if (*c == '-')
            *c = '_';
    }
}

static void set_preference(const struct command_call *call, const char *arguments,
                           struct buf *out)
{
    AUTO_FREE char *name = NULL;
    AUTO_FREE char *value = NULL;
    struct err err = { 0 };

    if (!take_assignment(&arguments, &name, &value)) {
        buf_append_text(out, ":warning: That needs a name and a value: `!prefs set language "
                             "de`.");
        return;
    }
    if (memory_set_preference(call->memory, call->entry->user, name, value, &err) < 0) {
        say_failure(call, &err, out);
        return;
    }
    spell_name(name);
    say_preference(call, name, " is set.", out);
}

static void forget_preference(const struct command_call *call, const char *arguments,
                              struct buf *out)
{
    AUTO_FREE char *name = commands_take_word(&arguments);
    bool is_all = name && strcasecmp(name, "all") == 0;
    struct err err = { 0 };
    int count;

    if (!name) {
        buf_append_text(out, ":warning: Which one? `!prefs forget language`, or `!prefs forget "
                             "all`.");
        return;
    }
    spell_name(name);
    count = memory_delete_preference(call->memory, call->entry->user, is_all ? "" : name, &err);
    if (count < 0) {
        say_failure(call, &err, out);
    } else if (is_all) {
        buf_printf(out, "%d preference%s forgotten.", count, count == 1 ? "" : "s");
    } else if (count) {
        buf_append_text(out, "Forgotten: ");
        say_preference(call, name, " is not set any more.", out);
    } else {
        buf_append_text(out, "You have not set ");
        commands_append_quoted(out, name);
        buf_append_char(out, '.');
    }
}

void desk_say_prefs(const struct command_call *call, struct buf *out)
{
    const char *arguments = call->arguments;
    AUTO_FREE char *word = commands_take_word(&arguments);

    if (!word || means_show(word))
        show_preferences(call, out);
    else if (means_set(word))
        set_preference(call, arguments, out);
    else if (means_forget(word))
        forget_preference(call, arguments, out);
    else
        say_unknown("prefs", word, PREFERENCES_HELP, out);
}

/* ---- !profile ---------------------------------------------------------------------------- */

struct listing {
    const struct command_call *call;
    struct buf *out;
    size_t count;
};

/* The channel of a conversation's key: "user:channel:thread", or the channel alone; "" for one
 * that is spread over many. */
static char *channel_of(const char *conversation)
{
    const char *team_end = strrchr(conversation, '/');
    const char *first = strchr(team_end ? team_end : conversation, ':');
    const char *channel = first ? first + 1 : team_end ? team_end + 1 : conversation;

    return *channel == '*' ? xstrdup("") : xstrndup(channel, strcspn(channel, ":"));
}

/* "https://acme.slack.com/archives/C1/p1700000000000100"; nothing where there is no Slack. */
static void append_link(const struct listing *listing, const struct store_item *fact)
{
    const struct app *app = listing->call->app;
    AUTO_FREE char *channel = channel_of(fact->conversation);
    AUTO_FREE char *ts = NULL;
    struct err err = { 0 };

    if (!app || !*app->self.url || !*channel)
        return;
    if (memory_find_fact_source(listing->call->memory, fact, &ts, &err) < 0) {
        log_warn("where user=%s said something cannot be shown: %s", listing->call->entry->user,
                 err.message);
        return;
    }
    if (!*ts)
        return;
    buf_printf(listing->out, " ([message](%sarchives/%s/p", app->self.url, channel);
    for (const char *c = ts; *c; c++) {
        if (*c != '.')
            buf_append_char(listing->out, *c);
    }
    buf_append_text(listing->out, "))");
}

static bool list_fact(void *context, const struct store_item *fact)
{
    struct listing *listing = context;
    struct buf *out = listing->out;
    bool is_interest = strncmp(fact->name, "interest:", 9) == 0;

    buf_printf(out, "%s- %s: ", listing->count++ ? "" : "What I know of you:\n",
               is_interest ? "interest" : fact->name);
    append_value(out, fact->value);
    buf_append_text(out, *fact->conversation ? ", you said on " : ", set by you on ");
    append_date(out, fact->updated_wall_s);
    if (*fact->conversation)
        append_link(listing, fact);
    buf_append_char(out, '\n');
    return true;
}

static void show_profile(const struct command_call *call, struct buf *out)
{
    struct listing listing = { .call = call, .out = out };
    struct err err = { 0 };

    if (memory_visit_facts(call->memory, call->entry->user, list_fact, &listing, &err) < 0) {
        buf_clear(out);
        say_failure(call, &err, out);
        return;
    }
    if (!listing.count)
        buf_append_text(out, "I know nothing of you yet: name, role and interests, when you "
                             "speak of them, or as you tell me here.\n");
    buf_append_text(out, "\n" PROFILE_HELP);
}

static void set_fact(const struct command_call *call, const char *arguments, struct buf *out)
{
    AUTO_FREE char *name = NULL;
    AUTO_FREE char *value = NULL;
    struct err err = { 0 };
    bool is_one;

    if (!take_assignment(&arguments, &name, &value)) {
        buf_append_text(out, ":warning: That needs a name and a value: `!profile set role "
                             "developer`.");
        return;
    }
    profile_fold(name);
    is_one = strcmp(name, "interest") == 0;
    if (memory_set_fact(call->memory, call->entry->user, is_one ? "interest:" : name, value,
                        &err) < 0) {
        say_failure(call, &err, out);
        return;
    }
    buf_append_text(out, "Noted: ");
    buf_printf(out, "%s ", name);
    commands_append_quoted(out, value);
    buf_append_char(out, '.');
}

/* "role", "interests", "all", "interest chess", or just "chess". */
static char *fact_named(const char *word, const char *more)
{
    static const char *const plain[] = { "name", "role", "interests", NULL };
    AUTO_FREE char *name = NULL;

    if (strcasecmp(word, "all") == 0 || strcasecmp(word, "everything") == 0)
        return xstrdup("");
    if (is_word(word, plain) && !*more)
        name = xstrdup(word);
    else if (strcasecmp(word, "interest") == 0 && *more)
        name = xasprintf("interest:%s", more);
    else
        name = xasprintf("interest:%s%s%s", word, *more ? " " : "", more);
    profile_fold(name);
    return take_ptr(&name);
}

static void forget_fact(const struct command_call *call, const char *arguments, struct buf *out)
{
    AUTO_FREE char *word = commands_take_word(&arguments);
    AUTO_FREE char *more = commands_take_rest(&arguments);
    AUTO_FREE char *name = NULL;
    struct err err = { 0 };
    int count;

    if (!word) {
        buf_append_text(out, ":warning: What? `!profile forget role` (or name, interests, one "
                             "interest), or `!profile forget all`.");
        return;
    }
    name = fact_named(word, more);
    count = memory_delete_fact(call->memory, call->entry->user, name, &err);
    if (count < 0) {
        say_failure(call, &err, out);
        return;
    }
    if (!count) {
        buf_append_text(out, "There is nothing of that in your profile.");
        return;
    }
    buf_printf(out, "%d thing%s forgotten. What you say from now on may teach me again.", count,
               count == 1 ? "" : "s");
}

void desk_say_profile(const struct command_call *call, struct buf *out)
{
    const char *arguments = call->arguments;
    AUTO_FREE char *word = commands_take_word(&arguments);

    if (!word || means_show(word))
        show_profile(call, out);
    else if (means_set(word))
        set_fact(call, arguments, out);
    else if (means_forget(word))
        forget_fact(call, arguments, out);
    else
        say_unknown("profile", word, PROFILE_HELP, out);
}
