/*
 * prompt.h - the text that the agent reads on stdin: a fixed instruction first, what memory
 * knows as JSON that is marked untrusted, under a delimiter that is new for each request, the
 * question last.
 *
 *   <fixed instruction, naming the delimiter>
 *   <the admin's instructions>
 *   --- BEGIN CONVERSATION 5f0c... (JSON, untrusted data, oldest first) ---
 *   {"untrusted":true,"parts":[
 *     {"part":"person","text":"Their wishes: ..."},
 *     {"part":"summary","text":"older turns told shorter"},
 *     {"part":"recalled","turns":[{"day":"2026-11-18","in":"U1:C1:17.2","from":"User",
 *                                  "text":"..."}]},
 *     {"part":"latest","turns":[{"day":"2026-11-20","from":"You","text":"..."}, ...]},
 *     {"part":"files","files":[{"name":"a.png","type":"image/png","size":9,"path":"..."}]}]}
 *   --- END CONVERSATION 5f0c... ---
 *   --- BEGIN SHOWN 5f0c... --- (and DONE: of a run that this one follows)
 *   --- BEGIN MESSAGE 5f0c... (from U1) ---
 *   the message
 *   --- END MESSAGE 5f0c... ---
 *
 * (the JSON on one line; "day" and "in" stand in the first of the turns they hold for, "in"
 * only for a turn from another conversation; a part without content is left out). Inside JSON
 * no text ends where its writer wants it to: nothing in a turn can forge a turn, its author, a
 * part or a delimiter. What changes least comes first, so that prompts of a conversation begin
 * alike.
 *
 * The messages to answer are plain text: they are what the agent is to read with care - code,
 * lists, a log - and escaping would cost it more than it gives. Each stands between markers
 * that carry a number which its writer cannot know.
 *
 * Threads: any.
 */
#ifndef AGENT_PROMPT_H
#define AGENT_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/run.h"
#include "base/buf.h"

struct agent_prompt_message {
    const char *author; /* user id */
    const char *text;
};

enum agent_prompt_part {
    AGENT_PROMPT_PERSON, /* what is known of who asks */
    AGENT_PROMPT_SUMMARY,
    AGENT_PROMPT_RECALLED, /* single older turns */
    AGENT_PROMPT_LATEST,
};

/* Something that was said before. NULL: does not apply. */
struct agent_prompt_item {
    enum agent_prompt_part part;
    const char *day;          /* of a turn: "2026-11-20" */
    const char *conversation; /* another one, from which it is recalled */
    const char *from;         /* of a turn */
    const char *text;
};

struct agent_prompt_file {
    const char *path; /* as the agent finds it */
    const char *name; /* as its sender called it */
    const char *type; /* media type, "" for unknown */
    int64_t size;
};

struct agent_prompt {
    enum agent_mode mode;
    bool is_follower;         /* an earlier run began to answer, see `shown` */
    const char *instructions; /* the admin's, "" for none */
    const struct agent_prompt_item
        *items; /* parts in their order, one after the other, each oldest first */
    size_t items_count;
    const struct agent_prompt_file *files; /* that came with the messages */
    size_t files_count;
    const char *outbox; /* what the agent puts there is sent to the person; NULL for none */
    const char *branch; /* of the worktree that it works in; NULL for none */
    const struct agent_prompt_message
        *messages; /* what to answer, oldest first; at least one */
    size_t messages_count;
    /* An earlier run began to answer and was ended because newer messages came: what it has
     * said, which people have read, and what it did, a line each. Both may be "". */
    const char *shown;
    const char *done;
};

/* Appends the prompt: valid UTF-8 without control characters; user text cannot forge a
 * delimiter. */
void agent_prompt_build(const struct agent_prompt *prompt, struct buf *out);

/*
 * Appends what the prompt consists of, without the delimiter that is new each time: alike for
 * two prompts that say the same, and for no others, since each part stands behind its length.
 * Paths of files and of the outbox, which are new each time as well, do not count.
 */
void agent_prompt_print_parts(const struct agent_prompt *prompt, struct buf *out);

#endif
