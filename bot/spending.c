#include "bot/spending.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/figures.h"
#include "bot/route.h"
#include "memory/person.h"
#include "memory/values.h"

#define LOG_MODULE "bot.spending"
#include "base/log.h"

#define DAY_S      INT64_C(86400)
#define KEPT_MS    (2 * DAY_S * 1000) /* from the first run of a day */
#define DATE_CHARS 10

enum figure { RUNS, INPUT, OUTPUT, CACHE_READ, DURATION, FIGURES };

static const char *const names[FIGURES] = { "runs", "input", "output", "cache_read", "ms" };

static char *key_of(const char *user, int64_t now_wall_s, const char *name)
{
    char iso[CLOCK_ISO_BYTES];

    return xasprintf("usage:%s:%.*s:%s", user, DATE_CHARS, clock_iso_utc(now_wall_s, iso),
                     name);
}

int spending_count(struct memory *memory, const char *user, const struct usage *usage,
                   int64_t now_wall_s, struct err *err)
{
    const int64_t numbers[FIGURES] = {
        [RUNS] = 1,
        [INPUT] = usage->input_tokens,
        [OUTPUT] = usage->output_tokens,
        [CACHE_READ] = usage->cache_read_tokens > 0 ? usage->cache_read_tokens : 0,
        [DURATION] = usage->duration_ms,
    };
    struct value_addition additions[FIGURES];
    char *keys[FIGURES];
    int rc;

    for (size_t i = 0; i < FIGURES; i++) {
        keys[i] = key_of(user, now_wall_s, names[i]);
        additions[i] = (struct value_addition){ .key = keys[i], .number = numbers[i] };
    }
    rc = memory_values_add(memory, additions, FIGURES, KEPT_MS, err);
    for (size_t i = 0; i < FIGURES; i++)
        free(keys[i]);
    return rc;
}

static int read_figure(struct memory *memory, const char *user, int64_t now_wall_s,
                       enum figure figure, int64_t *ret_number, struct err *err)
{
    AUTO_FREE char *key = key_of(user, now_wall_s, names[figure]);
    AUTO_BUF struct buf value = { 0 };

    buf_init(&value, 64);
    if (memory_value_get(memory, key, &value, err) < 0)
        return -1;
    *ret_number = strtoll(buf_text(&value), NULL, 10);
    return 0;
}

int spending_get_day(struct memory *memory, const char *user, int64_t now_wall_s,
                     struct spending_day *ret_day, struct err *err)
{
    int64_t numbers[FIGURES];

    for (size_t i = 0; i < FIGURES; i++) {
        if (read_figure(memory, user, now_wall_s, (enum figure)i, &numbers[i], err) < 0)
            return -1;
    }
    *ret_day = (struct spending_day){ .runs = numbers[RUNS],
                                      .input_tokens = numbers[INPUT],
                                      .output_tokens = numbers[OUTPUT],
                                      .cache_read_tokens = numbers[CACHE_READ],
                                      .duration_ms = numbers[DURATION] };
    return 0;
}

int64_t spending_tokens(const struct spending_day *day)
{
    return day->input_tokens + day->output_tokens;
}

/* Only what the limit counts. */
static int read_tokens(struct memory *memory, const char *user, int64_t now_wall_s,
                       int64_t *ret_tokens, struct err *err)
{
    int64_t input = 0;
    int64_t output = 0;

    if (read_figure(memory, user, now_wall_s, INPUT, &input, err) < 0 ||
        read_figure(memory, user, now_wall_s, OUTPUT, &output, err) < 0)
        return -1;
    *ret_tokens = input + output;
    return 0;
}

static bool has_limit(const struct config *config, const char *user)
{
    return config->agent.spending.user_day_tokens > 0 && !route_is_admin(config, user);
}

void spending_print_reset(int64_t now_wall_s, struct buf *out)
{
    char left[32];

    buf_printf(out, "at midnight UTC, in %s",
               clock_human((DAY_S - now_wall_s % DAY_S) * 1000, left));
}

int spending_refuses(struct memory *memory, const struct config *config, const char *user,
                     int64_t now_wall_s, struct buf *out, struct err *err)
{
    int64_t limit = config->agent.spending.user_day_tokens;
    int64_t used = 0;

    if (!has_limit(config, user))
        return 0;
    if (read_tokens(memory, user, now_wall_s, &used, err) < 0)
        return -1;
    if (used < limit)
        return 0;
    buf_append_text(out, "Sorry, you have used ");
    usage_print_number(used, out);
    buf_append_text(out, " tokens today, and ");
    usage_print_number(limit, out);
    buf_append_text(out, " is what one person may use in a day, so I leave this unanswered. "
                         "The count begins anew ");
    spending_print_reset(now_wall_s, out);
    buf_append_text(out, "; please ask again then. `!usage` shows it.");
    return 1;
}

/* The first one today who asks: the mark is a counter, set and read in one step. */
static bool is_first_warning(struct memory *memory, const char *user, int64_t now_wall_s)
{
    AUTO_FREE char *key = key_of(user, now_wall_s, "warned");
    struct err err = { 0 };
    int64_t times = 0;

    if (memory_value_add(memory, key, 1, KEPT_MS, &times, &err) < 0) {
        log_warn("whether user=%s was warned today is not known: %s", user, err.message);
        return false;
    }
    return times == 1;
}

static void warn_of_day(struct memory *memory, const struct config *config, const char *user,
                        const struct usage *usage, int64_t now_wall_s, struct buf *out)
{
    int64_t limit = config->agent.spending.user_day_tokens;
    struct err err = { 0 };
    int64_t used = 0;

    if (!has_limit(config, user))
        return;
    if (read_tokens(memory, user, now_wall_s, &used, &err) < 0) {
        log_warn("what user=%s has used today is not known: %s", user, err.message);
        return;
    }
    used += usage_tokens(usage);
    if (used * 100 < limit * config->agent.spending.warn_percent ||
        !is_first_warning(memory, user, now_wall_s))
        return;
    buf_printf(out, "_You have used %d %% of today's ", figures_percent(used, limit));
    usage_print_number(limit, out);
    buf_append_text(out, " tokens; they begin anew ");
    spending_print_reset(now_wall_s, out);
    buf_append_text(out, "._\n");
}

void spending_print_warnings(struct memory *memory, const struct config *config,
                             const char *user, const struct usage *usage, int64_t now_wall_s,
                             struct buf *out)
{
    int64_t limit = config->agent.spending.run_tokens;

    if (limit > 0 && usage_tokens(usage) > limit) {
        buf_append_text(out, "_This answer took ");
        usage_print_number(usage_tokens(usage), out);
        buf_append_text(out, " tokens, more than the ");
        usage_print_number(limit, out);
        buf_append_text(out, " that one should._\n");
    }
    warn_of_day(memory, config, user, usage, now_wall_s, out);
}

static bool find_wish(void *context, const struct store_item *item)
{
    bool *wants_footer = context;

    if (strcmp(item->name, SPENDING_PREFERENCE) == 0)
        *wants_footer = strcmp(item->value, "true") == 0;
    return true;
}

bool spending_wants_footer(struct memory *memory, const char *user)
{
    struct err err = { 0 };
    bool wants_footer = false;

    if (memory_visit_preferences(memory, user, find_wish, &wants_footer, &err) < 0)
        log_warn("preferences of user=%s: %s", user, err.message);
    return wants_footer;
}
