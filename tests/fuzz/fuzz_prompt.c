/*
 * What a prompt tells of earlier turns: whatever bytes these hold, it parses back to exactly
 * those turns, and no line of it but the prompt's own carries the delimiter.
 *
 * Input: items, each a byte (part, whether there is a conversation), then four texts that each
 * end with a NUL; the last bytes are the message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "agent/prompt_data.h"
#include "base/alloc.h"
#include "base/utf8.h"

#define ITEMS_MAX        32
#define PROMPT_MAX_BYTES ((size_t)8 << 20)
#define NAME_MAX_BYTES   256
#define OWN_LINES        4 /* two pairs of markers */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool is_so)
{
    if (!is_so)
        abort();
}

/* The next text; the rest of the input counts as one. */
static char *take(const uint8_t **data, size_t *size)
{
    const uint8_t *nul = *size ? memchr(*data, 0, *size) : NULL;
    size_t len = nul ? (size_t)(nul - *data) : *size;
    char *text = xstrndup(len ? (const char *)*data : "", len);

    *data += len + (nul != NULL);
    *size -= len + (nul != NULL);
    return text;
}

struct told {
    struct agent_prompt_item items[ITEMS_MAX];
    size_t count;
    char *message;
};

/* Parts come in their order, those that stand in for turns once. */
static void read_input(struct told *told, const uint8_t *data, size_t size)
{
    enum agent_prompt_part least = AGENT_PROMPT_PERSON;

    while (size > 0 && told->count < ITEMS_MAX) {
        uint8_t kind = *data;
        enum agent_prompt_part part = (enum agent_prompt_part)(kind % 4);
        struct agent_prompt_item *item = &told->items[told->count];

        data++;
        size--;
        if (part < least)
            part = least;
        if (part == AGENT_PROMPT_SUMMARY && told->count &&
            told->items[told->count - 1].part == part)
            part = AGENT_PROMPT_RECALLED;
        if (part == AGENT_PROMPT_PERSON && told->count)
            part = AGENT_PROMPT_SUMMARY;
        least = part;
        *item = (struct agent_prompt_item){ .part = part, .text = take(&data, &size) };
        told->count++;
        if (part < AGENT_PROMPT_RECALLED)
            continue;
        item->day = take(&data, &size);
        item->from = take(&data, &size);
        item->conversation = kind & 4 ? take(&data, &size) : NULL;
    }
    told->message = take(&data, &size);
}

static void check_text(const json_t *object, const char *key, const char *text, size_t most)
{
    AUTO_FREE char *clean = utf8_clean_copy(text, strlen(text), most);
    const char *found = json_string_value(json_object_get(object, key));

    want(found && strcmp(found, clean) == 0);
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_turn(const json_t *turn, const struct agent_prompt_item *item,
                       const struct agent_prompt_item *above)
{
    size_t members = 2;

    check_text(turn, "from", item->from, NAME_MAX_BYTES);
    check_text(turn, "text", item->text, PROMPT_TURN_MAX_BYTES);
    if (!above || !is_same(above->day, item->day) ||
        !is_same(above->conversation, item->conversation)) {
        check_text(turn, "day", item->day, NAME_MAX_BYTES);
        members++;
        if (item->conversation) {
            check_text(turn, "in", item->conversation, NAME_MAX_BYTES);
            members++;
        }
    }
    want(json_object_size(turn) == members);
}

static void check_data(const json_t *root, const struct told *told)
{
    const json_t *parts = json_object_get(root, "parts");
    size_t at = 0;
    size_t i;
    const json_t *part;

    want(json_is_true(json_object_get(root, "untrusted")) && json_object_size(root) == 2);
    json_array_foreach(parts, i, part)
    {
        const json_t *turns = json_object_get(part, "turns");
        size_t k;
        const json_t *turn;

        want(json_object_size(part) == 2 && at < told->count);
        if (!turns) {
            check_text(part, "text", told->items[at++].text, PROMPT_TURN_MAX_BYTES);
            continue;
        }
        json_array_foreach(turns, k, turn)
        {
            want(at < told->count);
            check_turn(turn, &told->items[at], k ? &told->items[at - 1] : NULL);
            at++;
        }
    }
    want(at == told->count);
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        found++;
    return found;
}

static void check_prompt(const char *text, const struct told *told)
{
    const char *announced = strstr(text, "\"BEGIN MESSAGE ");
    AUTO_FREE char *key =
        xstrndup(announced + strlen("\"BEGIN MESSAGE "), strcspn(announced + 15, "\""));
    AUTO_FREE char *begin = xasprintf("\n--- BEGIN CONVERSATION %s", key);
    AUTO_FREE char *end = xasprintf("\n--- END CONVERSATION %s ---\n", key);
    AUTO_FREE char *marked = xasprintf(" %s ", key);
    const char *at = strstr(text, begin);
    const char *stop = strstr(text, end);

    want(utf8_is_valid(text, strlen(text)));
    want(count(strchr(text, '\n'), marked) == 1 + (told->count ? OWN_LINES : OWN_LINES / 2));
    want(!at == !told->count && !stop == !told->count);
    if (told->count) {
        json_auto_t *root = NULL;

        at = strchr(at + 1, '\n') + 1;
        root = json_loadb(at, (size_t)(stop - at), JSON_REJECT_DUPLICATES, NULL);
        want(root != NULL);
        check_data(root, told);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct told told = { .count = 0 };
    struct agent_prompt_message message = { .author = "U1" };
    struct agent_prompt prompt = {
        .mode = AGENT_MODE_ASK, .items = told.items, .messages = &message, .messages_count = 1
    };
    AUTO_BUF struct buf out = { 0 };

    if (size > PROMPT_DATA_MAX_BYTES / 2) /* else the oldest turns go */
        return 0;
    buf_init(&out, PROMPT_MAX_BYTES);
    read_input(&told, data, size);
    message.text = told.message;
    prompt.items_count = told.count;
    agent_prompt_build(&prompt, &out);
    want(buf_finish(&out, NULL) == 0);
    check_prompt(buf_text(&out), &told);
    for (size_t i = 0; i < told.count; i++) {
        free((char *)told.items[i].text);
        free((char *)told.items[i].day);
        free((char *)told.items[i].from);
        free((char *)told.items[i].conversation);
    }
    free(told.message);
    return 0;
}
