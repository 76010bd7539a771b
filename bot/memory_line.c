#include "bot/memory_line.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "bot/cmd_memory.h"
#include "bot/memory_args.h"

#define AT_MAX_S 253402300799.0 /* the year 9999 */

/* ---- writing ---------------------------------------------------------------------
 */

static const char *const own_names[] = { "key",      "role",     "author", "text",  "at",
                                         "slack_ts", "metadata", "seq",    "tokens" };

static bool is_own_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(own_names); i++) {
        if (strcmp(own_names[i], name) == 0)
            return true;
    }
    return false;
}

/* The time as it was written, when it was not in whole seconds; else NULL. */
static json_t *exact_time(json_t *metadata, int64_t at_wall_s)
{
    json_t *at = json_object_get(metadata, "at");

    /* Compared as numbers with a fraction: what somebody else wrote may be beyond any integer.
     */
    return json_is_real(at) && floor(json_real_value(at)) == (double)at_wall_s ? at : NULL;
}

/* Metadata stands beside the other fields; what would take one's place stays in "metadata". */
static void put_metadata(json_t *object, json_t *metadata)
{
    const char *name;
    json_t *value;
    json_t *rest = NULL;

    json_object_foreach(metadata, name, value)
    {
        if (!is_own_name(name)) {
            json_object_set(object, name, value);
            continue;
        }
        if (!rest)
            rest = json_object();
        json_object_set(rest, name, value);
    }
    if (rest)
        json_object_set_new(object, "metadata", rest);
}

json_t *memory_turn_json(const char *key, const struct memory_turn *turn)
{
    json_auto_t *metadata =
        turn->metadata && *turn->metadata ? json_loads(turn->metadata, 0, NULL) : NULL;
    json_t *at = exact_time(metadata, turn->at_wall_s);
    json_t *object =
        json_pack("{s:o, s:s, s:o, s:o, s:o}", "key", memory_json_text(key), "role",
                  memory_role_name(turn->role), "author", memory_json_text(turn->author),
                  "text", memory_json_text(turn->text), "at",
                  at ? json_incref(at) : json_integer(turn->at_wall_s));

    if (at)
        json_object_del(metadata, "at");
    if (*turn->slack_ts)
        json_object_set_new(object, "slack_ts", memory_json_text(turn->slack_ts));
    put_metadata(object, metadata);
    return object;
}

/* ---- reading ----------------------------------------------------------------------------- */

void memory_line_deinit(struct memory_line *line)
{
    json_decref(line->object);
    free(line->metadata);
    *line = (struct memory_line){ 0 };
}

static const char *take_text(json_t *object, const char *name, bool is_needed, struct err *err)
{
    json_t *value = json_object_get(object, name);

    if (json_is_string(value))
        return json_string_value(value);
    if (value && !json_is_null(value))
        err_set(err, ERR_INPUT, "\"%s\" is no string", name);
    else if (is_needed)
        err_set(err, ERR_INPUT, "\"%s\" is missing", name);
    return is_needed || err->kind != ERR_NONE ? NULL : "";
}

static int take_time(json_t *object, int64_t *ret_wall_s, struct err *err)
{
    json_t *at = json_object_get(object, "at");
    double seconds = json_number_value(at);
    int64_t wall_s;

    if (json_is_string(at)) {
        if (memory_args_parse_time(json_string_value(at), clock_wall_s(), &wall_s, err) < 0)
            return -1;
        seconds = (double)wall_s;
    } else if (!json_is_number(at)) {
        return err_set(err, ERR_INPUT,
                       at ? "\"at\" is no number of seconds since 1970" : "\"at\" is missing");
    }
    if (!(seconds >= 0 && seconds <= AT_MAX_S))
        return err_set(err, ERR_INPUT, "\"at\" is not between the years 1970 and 9999");
    *ret_wall_s = (int64_t)floor(seconds);
    return 0;
}

/* What is no field of ours, as the turn's metadata; NULL when there is nothing. */
static char *take_metadata(json_t *object)
{
    json_t *given = json_object_get(object, "metadata");
    json_auto_t *metadata = json_is_object(given) ? json_copy(given) : json_object();
    json_t *at = json_object_get(object, "at");
    const char *name;
    json_t *value;

    if (given && !json_is_object(given) && !json_is_null(given))
        json_object_set(metadata, "metadata", given);
    json_object_foreach(object, name, value)
    {
        if (!is_own_name(name))
            json_object_set(metadata, name, value);
    }
    if (json_is_real(at))
        json_object_set(metadata, "at", at);
    return json_object_size(metadata) ? json_dumps(metadata, JSON_COMPACT) : NULL;
}

int memory_line_read(const char *text, size_t len, struct memory_line *ret_line,
                     struct err *err)
{
    json_error_t why;
    struct memory_line line = { .object = json_loadb(text, len, 0, &why) };
    const char *role;
    int rc = -1;

    if (!json_is_object(line.object)) {
        err_set(err, ERR_INPUT, "that is no JSON object%s%s", line.object ? "" : ": ",
                line.object ? "" : why.text);
        goto out;
    }
    line.key = take_text(line.object, "key", true, err);
    role = line.key ? take_text(line.object, "role", true, err) : NULL;
    line.turn.author = role ? take_text(line.object, "author", false, err) : NULL;
    line.turn.text = line.turn.author ? take_text(line.object, "text", true, err) : NULL;
    line.turn.slack_ts = line.turn.text ? take_text(line.object, "slack_ts", false, err) : NULL;
    if (!line.turn.slack_ts || take_time(line.object, &line.turn.at_wall_s, err) < 0)
        goto out;
    if (!memory_role_parse(role, &line.turn.role)) {
        err_set(err, ERR_INPUT, "\"role\" is '%s', not user, assistant or system", role);
        goto out;
    }
    line.metadata = take_metadata(line.object);
    line.turn.metadata = line.metadata;
    rc = 0;
out:
    if (rc < 0)
        memory_line_deinit(&line);
    else
        *ret_line = line;
    return rc;
}
