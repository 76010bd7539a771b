/*
 * dialect_kit.h - what the dialects that speak JSON lines have in common: reading a line,
 * telling repeated text from new text, saying what a tool does.
 *
 * Owns:    nothing but the texts inside a struct kit_answer.
 * Threads: any, one at a time per stream.
 */
#ifndef AGENT_DIALECT_KIT_H
#define AGENT_DIALECT_KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "agent/stream.h"
#include "base/buf.h"

/* --- lines ------------------------------------------------------------------------------- */

/*
 * The line as an object with a `type`, new; NULL for anything else, which is counted as
 * skipped. What a second look can mend (broken UTF-8, raw control characters) is mended;
 * integers become reals, so that one beyond 64 bits does not cost the line.
 */
json_t *kit_parse_line(struct agent_stream *stream, const char *line, size_t len);

const char *kit_text(const json_t *object, const char *key); /* "" when it is no text */
bool kit_says(const json_t *object, const char *key, const char *value);
int64_t kit_count(const json_t *object, const char *key); /* -1 when it is no count */
int64_t kit_add_counts(int64_t a, int64_t b);             /* -1 is unknown, not a number */

/* --- what the run is ---------------------------------------------------------------------- */

/* AGENT_EVENT_STARTED, the first time. */
void kit_start(struct agent_stream *stream, const char *model);

/* Notes the agent's own id of the chat, the first one that may stand on a command line. */
void kit_note_chat(struct agent_stream *stream, const char *chat_id);

/* What the agent says went wrong, "name: text" or the one that there is, cut to the summary's
 * room; the last one that says anything stays. */
void kit_note_error(struct agent_stream *stream, const char *name, const char *text);

/* --- text --------------------------------------------------------------------------------- */

/*
 * An answer in segments, where text may come as deltas and then whole once more:
 *
 *   delta, delta, ..., whole   the whole adds only what the deltas did not say
 *   whole                      new text
 *
 * Deltas are never compared with one another: "ha" twice is "haha".
 */
struct kit_answer {
    struct buf segment;     /* deltas since the last whole */
    struct buf flushed;     /* the segment that was closed last */
    bool has_boundary;      /* the next text opens a new paragraph */
    bool is_flush_repeated; /* nothing but wholes came since the last one */
    bool is_replaying;      /* after a retry: the segment may be said once more */
    size_t replayed;        /* as far as that has come */
};

void kit_answer_init(struct kit_answer *answer);
void kit_answer_deinit(struct kit_answer *answer);
void kit_answer_delta(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                      size_t len);
void kit_answer_whole(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                      size_t len);
/* The agent tries again: what it has said of this segment it may say once more. */
void kit_answer_retry(struct kit_answer *answer);
/* What follows is a segment of its own, although no whole closed this one. */
void kit_answer_end_segment(struct kit_answer *answer);
/* Text that comes once only. */
void kit_answer_add(struct kit_answer *answer, struct agent_stream *stream, const char *text,
                    size_t len);

/* --- tools -------------------------------------------------------------------------------- */

/* What a person reads while a tool runs. Arguments may hold secrets or whole files, so only
 * the last part of a path or a tool's own name ever follows. */
struct kit_tool {
    const char *name; /* as the agent calls it */
    const char *title;
    const char *target; /* the argument whose last path component is shown; NULL for none */
};

/*
 * The title of a tool: of its row, or "Using NAME" with a harmless form of `name`. The rows
 * end with a NULL name. Appends to `out`.
 */
void kit_append_title(struct buf *out, const struct kit_tool *rows, const char *name,
                      const json_t *arguments);

/* Titles by the id of their call, for agents whose results name only that; the newest ones. */
#define KIT_CALLS_KEPT 16
struct kit_calls {
    struct {
        char id[128];
        char title[128];
    } kept[KIT_CALLS_KEPT];
    size_t next;
};
void kit_calls_note(struct kit_calls *calls, const char *id, const char *title);
const char *kit_calls_find(const struct kit_calls *calls,
                           const char *id); /* or "Using a tool" */

#endif
