#include "slack/control.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

#define CONTROL_MAX_BYTES 4096                 /* real ones have some 250 */
#define LIFETIME_MAX_S    (INT64_C(7) * 86400) /* a longer promise is no reason to overflow */

static bool holds(const char *json, size_t len, const char *word)
{
    return memmem(json, len, word, strlen(word)) != NULL;
}

static void copy_text(char *out, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    size_t len = text ? utf8_cut(text, strlen(text), SLACK_CONTROL_TEXT_BYTES - 1) : 0;

    memcpy(out, text ? text : "", len);
    out[len] = '\0';
}

/* A number in [0, max]; 0 for anything else. */
static int64_t bounded(const json_t *object, const char *key, int64_t max)
{
    double number = json_number_value(json_object_get(object, key));

    if (!(number > 0))
        return 0;
    return number > (double)max ? max : (int64_t)number;
}

static void read_object(const json_t *root, struct slack_control *control)
{
    const char *type = json_string_value(json_object_get(root, "type"));
    const json_t *debug = json_object_get(root, "debug_info");

    /* Slack never puts an envelope_id into these: what has one is somebody's text. */
    if (!type || json_object_get(root, "envelope_id"))
        return;
    if (strcmp(type, "hello") == 0)
        control->kind = SLACK_CONTROL_HELLO;
    else if (strcmp(type, "disconnect") == 0)
        control->kind = SLACK_CONTROL_DISCONNECT;
    copy_text(control->host, debug, "host");
    copy_text(control->reason, root, "reason");
    control->num_connections = bounded(root, "num_connections", 1000000);
    control->lifetime_s = bounded(debug, "approximate_connection_time", LIFETIME_MAX_S);
}

void slack_control_parse(const char *json, size_t len, struct slack_control *ret_control)
{
    json_t *root;

    *ret_control = (struct slack_control){ .kind = SLACK_CONTROL_NONE };
    if (len > CONTROL_MAX_BYTES ||
        (!holds(json, len, "\"hello\"") && !holds(json, len, "\"disconnect\"")))
        return;
    root = json_loadb(json, len, 0, NULL);
    if (json_is_object(root))
        read_object(root, ret_control);
    json_decref(root);
}
