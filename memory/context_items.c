#include "memory/context_items.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define DAY_PREFIX          "# "
#define CONVERSATION_PREFIX ", in "
#define SPEAKER_SUFFIX      ": "
#define INDENT              "\n  "

static struct memory_context_item *add(struct memory_context_items *items,
                                       enum memory_context_part part)
{
    struct memory_context_item *item;

    items->all = xrealloc(items->all, items->count + 1, sizeof(*items->all));
    item = &items->all[items->count++];
    *item = (struct memory_context_item){ .part = part };
    return item;
}

/* Without indents (which lines about a person do not have) and the newline at the end. */
static char *plain_text(enum memory_context_part part, const char *lines, size_t len)
{
    bool has_indents = part != MEMORY_CONTEXT_PERSON;
    char *text = xstrndup(lines, len);
    char *to = text;

    for (const char *from = text; *from;) {
        *to++ = *from;
        from += has_indents && strncmp(from, INDENT, strlen(INDENT)) == 0 ? strlen(INDENT) : 1;
    }
    while (to > text && to[-1] == '\n')
        to--;
    *to = '\0';
    return text;
}

void memory_context_items_add_text(struct memory_context_items *items,
                                   enum memory_context_part part, const char *lines, size_t len)
{
    add(items, part)->text = plain_text(part, lines, len);
}

/* "# 2026-11-20" or "# 2026-11-20, in U1:C1:17.2" */
static void read_day(struct memory_context_item *item, const char *line)
{
    const char *day = line + strlen(DAY_PREFIX);
    size_t len = strcspn(day, "\n");
    const char *in = memmem(day, len, CONVERSATION_PREFIX, strlen(CONVERSATION_PREFIX));

    item->day = xstrndup(day, in ? (size_t)(in - day) : len);
    if (in) {
        in += strlen(CONVERSATION_PREFIX);
        item->conversation = xstrndup(in, len - (size_t)(in - day));
    }
}

void memory_context_items_add_turn(struct memory_context_items *items,
                                   enum memory_context_part part, const char *day_line,
                                   const char *lines, size_t len)
{
    struct memory_context_item *item = add(items, part);
    /* No name holds a colon. */
    const char *text = memmem(lines, len, SPEAKER_SUFFIX, strlen(SPEAKER_SUFFIX));
    size_t before = text ? (size_t)(text - lines) : 0;
    size_t skipped = text ? before + strlen(SPEAKER_SUFFIX) : 0;

    read_day(item, day_line);
    item->speaker = xstrndup(lines, before);
    item->text = plain_text(part, lines + skipped, len - skipped);
}

void memory_context_items_deinit(struct memory_context_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->all[i].day);
        free(items->all[i].conversation);
        free(items->all[i].speaker);
        free(items->all[i].text);
    }
    free(items->all);
    *items = (struct memory_context_items){ 0 };
}
