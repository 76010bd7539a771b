/*
 * cmd_memory_fields.c - `threadkeeper memory get | set | append | ...`: a conversation as a
 * dictionary of JSON values, lists included, and as messages.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/cmd_memory.h"
#include "config/value.h"
#include "memory/fields.h"

/* Said on stderr, where a script reads it off the exit status. */
static int not_there(const struct memory_call *call, const char *what)
{
    fprintf(stderr, "threadkeeper memory %s: %s\n", call->verb, what);
    return CLI_FAILED;
}

static int put_value(struct memory_call *call, const struct buf *value)
{
    memory_put(call, buf_text(value));
    memory_put(call, "\n");
    return memory_out_end(call);
}

static int put_number(struct memory_call *call, int64_t number)
{
    memory_putf(call, "%" PRId64 "\n", number);
    return memory_out_end(call);
}

/* ---- fields -------------------------------------------------------------------------------
 */

int memory_get_verb(struct memory_call *call)
{
    AUTO_BUF struct buf value = { 0 };
    struct err err = { 0 };
    int rc;

    buf_init(&value, SIZE_MAX);
    rc = memory_field_get(call->memory, memory_word(call, 0), memory_word(call, 1),
                          call->args.fallback, &value, &err);
    if (rc < 0)
        return memory_say_failed(call, &err);
    if (rc == 0 && !call->args.fallback)
        return not_there(call, "there is no such field");
    return put_value(call, &value);
}

int memory_set_verb(struct memory_call *call)
{
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };
    const char *value = memory_word_or_stdin(call, 2, &text, &err);

    if (!value || memory_field_set(call->memory, memory_word(call, 0), memory_word(call, 1),
                                   value, call->args.ttl_ms, &err) < 0)
        return memory_say_failed(call, &err);
    return CLI_OK;
}

int memory_update_verb(struct memory_call *call)
{
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };
    const char *object = memory_word_or_stdin(call, 1, &text, &err);

    if (!object || memory_field_update(call->memory, memory_word(call, 0), object,
                                       call->args.ttl_ms, &err) < 0)
        return memory_say_failed(call, &err);
    return CLI_OK;
}

int memory_contains_verb(struct memory_call *call)
{
    struct err err = { 0 };
    int rc =
        memory_field_contains(call->memory, memory_word(call, 0), memory_word(call, 1), &err);
    int status;

    if (rc < 0)
        return memory_say_failed(call, &err);
    memory_put(call, rc ? "true\n" : "false\n");
    status = memory_out_end(call);
    return rc ? status : CLI_FAILED;
}

int memory_delete_verb(struct memory_call *call)
{
    struct err err = { 0 };
    int rc =
        memory_field_delete(call->memory, memory_word(call, 0), memory_word(call, 1), &err);

    if (rc < 0)
        return memory_say_failed(call, &err);
    return rc ? CLI_OK : not_there(call, "there is no such field");
}

/* ---- all of them --------------------------------------------------------------------------
 */

struct showing {
    struct memory_call *call;
    bool with_values;
    size_t count;
};

static bool show_field(void *context, const char *name, const char *value, int64_t expires)
{
    struct showing *showing = context;
    struct memory_call *call = showing->call;

    (void)expires;
    if (call->args.given & MEMORY_OPTION_JSON) {
        memory_put(call, showing->count ? ",\n " : showing->with_values ? "{" : "[");
        memory_put_json(call, memory_json_text(name));
        if (showing->with_values) {
            memory_put(call, ":");
            memory_put(call, value);
        }
    } else {
        memory_put(call, name);
        if (showing->with_values) {
            memory_put(call, "\t");
            memory_put(call, value);
        }
        memory_put(call, "\n");
    }
    showing->count++;
    return memory_out_is_open(call);
}

static int show_fields(struct memory_call *call, bool with_values)
{
    struct showing showing = { .call = call, .with_values = with_values };
    struct err err = { 0 };

    if (memory_fields_visit(call->memory, memory_word(call, 0), show_field, &showing, &err) < 0)
        return memory_say_failed(call, &err);
    if (call->args.given & MEMORY_OPTION_JSON) {
        if (!showing.count)
            memory_put(call, with_values ? "{" : "[");
        memory_put(call, with_values ? "}\n" : "]\n");
    }
    return memory_out_end(call);
}

int memory_keys_verb(struct memory_call *call)
{
    return show_fields(call, false);
}

int memory_items_verb(struct memory_call *call)
{
    return show_fields(call, true);
}

int memory_clear_verb(struct memory_call *call)
{
    struct err err = { 0 };
    int64_t count = memory_fields_clear(call->memory, memory_word(call, 0), &err);

    return count < 0 ? memory_say_failed(call, &err) : put_number(call, count);
}

int memory_ttl_verb(struct memory_call *call)
{
    const char *text = memory_word(call, 1);
    struct err err = { 0 };
    int64_t ttl_ms = -1;
    int64_t count;

    if (!memory_args_parse_ttl(text, &ttl_ms)) {
        err_set(&err, ERR_INPUT, "'%s' is no duration such as 90s 15m 24h 30d, nor never",
                text);
        memory_say_failed(call, &err);
        return CLI_USAGE;
    }
    count = memory_fields_set_ttl(call->memory, memory_word(call, 0), ttl_ms, &err);
    return count < 0 ? memory_say_failed(call, &err) : put_number(call, count);
}

/* ---- lists --------------------------------------------------------------------------------
 */

int memory_append_verb(struct memory_call *call)
{
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };
    const char *value = memory_word_or_stdin(call, 2, &text, &err);

    if (!value || memory_list_append(call->memory, memory_word(call, 0), memory_word(call, 1),
                                     value, call->args.keep, &err) < 0)
        return memory_say_failed(call, &err);
    return CLI_OK;
}

int memory_extend_verb(struct memory_call *call)
{
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };
    const char *array = memory_word_or_stdin(call, 2, &text, &err);

    if (!array || memory_list_extend(call->memory, memory_word(call, 0), memory_word(call, 1),
                                     array, call->args.keep, &err) < 0)
        return memory_say_failed(call, &err);
    return CLI_OK;
}

int memory_pop_verb(struct memory_call *call)
{
    AUTO_BUF struct buf value = { 0 };
    struct err err = { 0 };
    int rc;

    buf_init(&value, SIZE_MAX);
    rc =
        memory_list_pop(call->memory, memory_word(call, 0), memory_word(call, 1), &value, &err);
    if (rc < 0)
        return memory_say_failed(call, &err);
    return rc ? put_value(call, &value) : not_there(call, "the list is empty");
}

int memory_insert_verb(struct memory_call *call)
{
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };
    const char *value = memory_word_or_stdin(call, 3, &text, &err);
    int64_t index = 0;

    if (!value_parse_number(memory_word(call, 2), &index) || index < 0) {
        err_set(&err, ERR_INPUT, "INDEX is a number, 0 for the first, not '%s'",
                memory_word(call, 2));
        memory_say_failed(call, &err);
        return CLI_USAGE;
    }
    if (!value || memory_list_insert(call->memory, memory_word(call, 0), memory_word(call, 1),
                                     index, value, &err) < 0)
        return memory_say_failed(call, &err);
    return CLI_OK;
}

int memory_remove_verb(struct memory_call *call)
{
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };
    const char *value = memory_word_or_stdin(call, 2, &text, &err);
    int rc = value ? memory_list_remove(call->memory, memory_word(call, 0),
                                        memory_word(call, 1), value, &err)
                   : -1;

    if (rc < 0)
        return memory_say_failed(call, &err);
    return rc ? CLI_OK : not_there(call, "no element is equal to that");
}

int memory_get_list_verb(struct memory_call *call)
{
    AUTO_BUF struct buf value = { 0 };
    struct err err = { 0 };

    buf_init(&value, SIZE_MAX);
    if (memory_list_get(call->memory, memory_word(call, 0), memory_word(call, 1), &value,
                        &err) < 0)
        return memory_say_failed(call, &err);
    return put_value(call, &value);
}

int memory_list_length_verb(struct memory_call *call)
{
    struct err err = { 0 };
    int64_t length =
        memory_list_length(call->memory, memory_word(call, 0), memory_word(call, 1), &err);

    return length < 0 ? memory_say_failed(call, &err) : put_number(call, length);
}

/* ---- messages -----------------------------------------------------------------------------
 */

int memory_add_message_verb(struct memory_call *call)
{
    AUTO_BUF struct buf stdin_text = { 0 };
    struct err err = { 0 };
    struct memory_turn turn = { .author = call->args.author ? call->args.author : "",
                                .slack_ts = "",
                                .metadata = call->args.metadata,
                                .at_wall_s = call->args.at_wall_s };

    if (!memory_role_parse(memory_word(call, 1), &turn.role)) {
        err_set(&err, ERR_INPUT, "ROLE is user, assistant or system, not '%s'",
                memory_word(call, 1));
        memory_say_failed(call, &err);
        return CLI_USAGE;
    }
    turn.text = memory_word_or_stdin(call, 2, &stdin_text, &err);
    if (!turn.text || memory_message_add(call->memory, memory_word(call, 0), &turn, &err) < 0)
        return memory_say_failed(call, &err);
    return CLI_OK;
}

int memory_count_verb(struct memory_call *call)
{
    struct err err = { 0 };
    int64_t count = memory_message_count(call->memory, memory_word(call, 0), &err);

    return count < 0 ? memory_say_failed(call, &err) : put_number(call, count);
}
