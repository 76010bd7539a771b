#include "tests/slack_lab/lab.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define DEFAULT_SCOPES                                                                   \
    "app_mentions:read,assistant:write,chat:write,commands,channels:history,"            \
    "channels:read,groups:history,groups:read,im:history,im:read,im:write,mpim:history," \
    "mpim:read,users:read,reactions:read,reactions:write,files:read,files:write"

void settings_init(struct settings *settings)
{
    *settings = (struct settings){
        .ack_timeout_ms = 3000,
        .redeliver_delays_ms = { 0, 60000, 300000 },
        .ping_interval_ms = 10000,
        .pong_timeout_ms = 60000,
        .connection_time_s = 18060,
        .refresh_close_ms = 10000,
        .ticket_life_ms = 60000,
        .max_links = 10,
        .stream_life_ms = 300000,
        .stream_cap_bytes = 10600,
        .status_life_ms = 120000,
        .hello = true,
        .echo = true,
        .streams = true,
        .cards = true,
        .sessions = true,
        .mention_order = "random",
        .scopes = DEFAULT_SCOPES,
    };
}

enum setting_type { SETTING_NUMBER, SETTING_BOOL, SETTING_TEXT };

struct setting_row {
    const char *name;
    enum setting_type type;
    size_t offset;
    size_t size; /* of a text */
};

#define NUMBER(field)                                               \
    {                                                               \
#field, SETTING_NUMBER, offsetof(struct settings, field), 0 \
    }
#define BOOL(field)                                               \
    {                                                             \
#field, SETTING_BOOL, offsetof(struct settings, field), 0 \
    }
#define TEXT(field)                                             \
    {                                                           \
#field, SETTING_TEXT, offsetof(struct settings, field), \
            sizeof(((struct settings *)NULL)->field)            \
    }

static const struct setting_row ROWS[] = {
    NUMBER(ack_timeout_ms),
    NUMBER(ping_interval_ms),
    NUMBER(pong_timeout_ms),
    NUMBER(connection_time_s),
    NUMBER(refresh_close_ms),
    NUMBER(ticket_life_ms),
    NUMBER(max_links),
    NUMBER(stream_life_ms),
    NUMBER(stream_cap_bytes),
    NUMBER(status_life_ms),
    NUMBER(post_interval_ms),
    NUMBER(clock_ahead_s),
    BOOL(hello),
    BOOL(echo),
    BOOL(streams),
    BOOL(cards),
    BOOL(sessions),
    BOOL(agent_surface),
    TEXT(mention_order),
    TEXT(scopes),
    TEXT(token_error),
    TEXT(app_token_error),
};

static bool set_delays(struct settings *settings, json_t *value)
{
    if (json_array_size(value) != LAB_RETRIES_MAX)
        return false;
    for (size_t i = 0; i < LAB_RETRIES_MAX; i++)
        settings->redeliver_delays_ms[i] = json_integer_value(json_array_get(value, i));
    return true;
}

static bool set_row(struct settings *settings, const struct setting_row *row, json_t *value)
{
    char *field = (char *)settings + row->offset;

    switch (row->type) {
    case SETTING_NUMBER:
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return false;
        *(int64_t *)(void *)field = json_integer_value(value);
        return true;
    case SETTING_BOOL:
        if (!json_is_boolean(value))
            return false;
        *(bool *)field = json_is_true(value);
        return true;
    case SETTING_TEXT:
        if (!json_is_string(value) || json_string_length(value) >= row->size)
            return false;
        snprintf(field, row->size, "%s", json_string_value(value));
        return true;
    }
    return false;
}

const char *settings_apply(struct settings *settings, json_t *changes)
{
    const char *key;
    json_t *value;

    json_object_foreach(changes, key, value)
    {
        bool done = false;

        if (strcmp(key, "redeliver_delays_ms") == 0)
            done = set_delays(settings, value);
        for (size_t i = 0; !done && i < ARRAY_LEN(ROWS); i++)
            done = strcmp(key, ROWS[i].name) == 0 && set_row(settings, &ROWS[i], value);
        if (!done)
            return key;
    }
    return NULL;
}

json_t *settings_json(const struct settings *settings)
{
    json_t *all = json_object();
    json_t *delays = json_array();

    for (size_t i = 0; i < LAB_RETRIES_MAX; i++)
        json_array_append_new(delays, json_integer(settings->redeliver_delays_ms[i]));
    json_object_set_new(all, "redeliver_delays_ms", delays);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        const char *field = (const char *)settings + ROWS[i].offset;
        json_t *value = NULL;

        switch (ROWS[i].type) {
        case SETTING_NUMBER:
            value = json_integer(*(const int64_t *)(const void *)field);
            break;
        case SETTING_BOOL:
            value = json_boolean(*(const bool *)field);
            break;
        case SETTING_TEXT:
            value = json_string(field);
            break;
        }
        json_object_set_new(all, ROWS[i].name, value);
    }
    return all;
}
