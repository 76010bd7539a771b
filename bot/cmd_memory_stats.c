/*
 * cmd_memory_stats.c - `threadkeeper memory stats | size`: what the store holds, and what the
 * running daemon tells of its RAM.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/http.h"
#include "bot/cmd_memory.h"
#include "memory/fields.h"

#define ANSWER_MAX_BYTES (1U << 20)
#define TIMEOUT_MS       3000

static int no_conversation(const struct memory_call *call, const char *key)
{
    struct err err = { 0 };

    err_set(&err, ERR_INPUT, "there is no conversation %s", key);
    return memory_say_failed(call, &err);
}

static bool add_field(void *context, const char *name, const char *value, int64_t expires)
{
    (void)expires;
    *(int64_t *)context += (int64_t)(strlen(name) + strlen(value));
    return true;
}

static void put_figures(struct memory_call *call, const struct store_conversation *size,
                        int64_t field_bytes)
{
    char first[CLOCK_ISO_BYTES];
    char used[CLOCK_ISO_BYTES];

    memory_put(call, size->key);
    memory_putf(call,
                "\n  turns      %" PRId64 " (the last is #%" PRId64 "), %" PRId64
                " bytes\n  first      %s\n  last used  %s\n  summaries  %" PRId64
                "\n  fields     %" PRId64 ", %" PRId64 " bytes\n",
                size->turns, size->last_seq, size->bytes,
                size->turns ? clock_iso_utc(size->first_wall_s, first) : "-",
                clock_iso_utc(size->used_wall_s, used), size->summaries, size->fields,
                field_bytes);
}

int memory_size_verb(struct memory_call *call)
{
    const char *key = memory_word(call, 0);
    struct store_conversation size = { 0 };
    int64_t field_bytes = 0;
    struct err err = { 0 };

    if (memory_size(call->memory, key, &size, &err) < 0)
        return memory_say_failed(call, &err);
    if (!size.key)
        return no_conversation(call, key);
    if (memory_fields_visit(call->memory, key, add_field, &field_bytes, &err) < 0)
        return memory_say_failed(call, &err);
    if (call->args.given & MEMORY_OPTION_JSON) {
        json_t *figures = memory_figures_json(&size);

        json_object_set_new(figures, "field_bytes", json_integer(field_bytes));
        memory_put_json(call, figures);
        memory_put(call, "\n");
    } else {
        put_figures(call, &size, field_bytes);
    }
    return memory_out_end(call);
}

/* What the daemon's /status says of its memory; NULL when there is none. New. */
static json_t *ask_daemon(const struct config *config)
{
    AUTO_FREE char *url = xasprintf("http://%s/status", config->admin.listen);
    struct http_request request = {
        .method = "GET",
        .url = url,
        .max_response_bytes = ANSWER_MAX_BYTES,
        .connect_timeout_ms = TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
    };
    struct http_response response = { 0 };
    struct http *http;
    json_t *memory = NULL;
    struct err err = { 0 };

    if (!*config->admin.listen || http_startup(&err) < 0)
        return NULL;
    http = http_new();
    if (http_perform(http, &request, &response, &err) == 0 && response.status == 200) {
        json_auto_t *status = json_loads(buf_text(&response.body), 0, NULL);

        memory = json_incref(json_object_get(status, "memory"));
    }
    http_response_deinit(&response);
    http_free(http);
    http_cleanup();
    return memory;
}

static json_t *store_json(const struct store_stats *stats)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "conversations",
                     (json_int_t)stats->conversations, "turns", (json_int_t)stats->turns,
                     "bytes", (json_int_t)stats->bytes, "summaries",
                     (json_int_t)stats->summaries, "fields", (json_int_t)stats->fields,
                     "people", (json_int_t)stats->people, "items", (json_int_t)stats->items,
                     "values", (json_int_t)stats->values, "disk_bytes",
                     (json_int_t)stats->disk_bytes);
}

/* Names and figures as they come, what is inside of others indented: whatever the daemon
 * counts is shown. */
static void put_object(struct memory_call *call, json_t *object, int indent)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        AUTO_FREE char *text =
            json_is_string(value)
                ? xstrdup(json_string_value(value))
                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(4));

        if (json_is_object(value)) {
            memory_putf(call, "%*s%s\n", indent, "", name);
            put_object(call, value, indent + 2);
        } else {
            memory_putf(call, "%*s%-*s %s\n", indent, "", 24 - indent, name, text ? text : "");
        }
    }
}

int memory_stats_verb(struct memory_call *call)
{
    struct store_stats stats = { 0 };
    struct err err = { 0 };
    json_auto_t *root = NULL;
    json_t *daemon;

    if (memory_word(call, 0))
        return memory_size_verb(call);
    if (memory_store_stats(call->memory, &stats, &err) < 0)
        return memory_say_failed(call, &err);
    daemon = ask_daemon(call->config);
    root = json_pack("{s:o, s:o}", "store", store_json(&stats), "daemon",
                     daemon ? daemon : json_null());
    if (call->args.given & MEMORY_OPTION_JSON) {
        memory_put_json(call, json_incref(root));
        memory_put(call, "\n");
        return memory_out_end(call);
    }
    if (!daemon)
        json_object_del(root, "daemon");
    put_object(call, root, 0);
    if (!daemon)
        memory_put(call, "no daemon answers: figures of RAM are not to be had\n");
    return memory_out_end(call);
}
