/*
 * line.h - the form in which turns stand in a context:
 *
 *   # Recalled                       a part of it
 *   # 2026-11-20                     the day of the turns below
 *   # 2026-11-20, in U1:C1:17.2      the same, from another conversation
 *   User: what was said              by the one who asks
 *     its second line
 *   You: what the agent answered
 *   U2: what somebody else said
 *
 * No text can pass for another line: what begins a line is a name of ours or one that cannot be
 * taken for it, and the further lines of a text are indented.
 *
 * Threads: any. Pure.
 */
#ifndef MEMORY_LINE_H
#define MEMORY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "memory/memory.h"

#define LINE_USER      "User"
#define LINE_ASSISTANT "You"
#define LINE_SYSTEM    "System"
#define LINE_CUT_MARK  " [... cut]"
#define LINE_SKIP_MARK "[...] "

struct line_names {
    const char *asker; /* user id, "" when nobody in particular asks */
    bool name_asker;   /* in shared scopes "User" could be anybody */
};

/* One turn as a line with its newline; of its text the first `text_len` bytes, and
 * LINE_CUT_MARK when that is not all. */
void line_append_turn(struct buf *out, const struct memory_turn *turn,
                      const struct line_names *names, size_t text_len);

/* The same with `len` bytes of its text from `from` on, LINE_SKIP_MARK before them. */
void line_append_part(struct buf *out, const struct memory_turn *turn,
                      const struct line_names *names, size_t from, size_t len);

/* "# TITLE" */
void line_append_heading(struct buf *out, const char *title);

/* "# 2026-11-20"; `conversation` NULL when it is this one. */
void line_append_day(struct buf *out, int64_t at_wall_s, const char *conversation);

/* Text of several lines, all but the first indented, each valid UTF-8 without control
 * characters; ends in a newline. */
void line_append_text(struct buf *out, const char *text, size_t len);

#endif
