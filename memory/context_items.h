/*
 * context_items.h - a context once more, taken apart: for who passes it on in a form of its own
 * instead of as lines (line.h).
 *
 * The texts are those of the lines, without indents and headings: valid UTF-8, no control
 * characters but newline and tab.
 *
 * Owns:    copies of all texts.
 * Threads: any.
 */
#ifndef MEMORY_CONTEXT_ITEMS_H
#define MEMORY_CONTEXT_ITEMS_H

#include <stddef.h>

enum memory_context_part {
    MEMORY_CONTEXT_PERSON, /* what is known of who asks; one item at most, as the next */
    MEMORY_CONTEXT_SUMMARY,
    MEMORY_CONTEXT_RECALLED, /* an item a turn, oldest first */
    MEMORY_CONTEXT_LATEST,
};

struct memory_context_item {
    enum memory_context_part part;
    char *day;          /* of a turn: "2026-11-20"; else NULL */
    char *conversation; /* key, of a turn from another conversation; else NULL */
    char *speaker;      /* of a turn, as in its line: "User", "You", "System", a user's id */
    char *text;
};

/* In the order of the context. */
struct memory_context_items {
    struct memory_context_item *all;
    size_t count;
};

/* The text of lines below a heading, or below none. */
void memory_context_items_add_text(struct memory_context_items *items,
                                   enum memory_context_part part, const char *lines,
                                   size_t len);

/* A turn's line with its further lines, and the day's line above it or above earlier turns. */
void memory_context_items_add_turn(struct memory_context_items *items,
                                   enum memory_context_part part, const char *day_line,
                                   const char *lines, size_t len);

/* Safe on a zeroed struct, and twice. */
void memory_context_items_deinit(struct memory_context_items *items);

#endif
