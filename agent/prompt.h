/*
 * prompt.h - the text that the agent reads on stdin: a fixed instruction first, what memory
 * knows marked untrusted under a delimiter that is new for each request, the question last.
 *
 *   <fixed instruction, naming the delimiter>
 *   <the admin's instructions>
 *   --- BEGIN CONVERSATION 5f0c... (data, oldest first) ---
 *   # Latest
 *   # 2026-11-20
 *   User: what was said
 *   --- END CONVERSATION 5f0c... ---
 *   --- BEGIN MESSAGE 5f0c... (from U1) ---
 *   the message
 *   --- END MESSAGE 5f0c... ---
 *
 * Threads: any.
 */
#ifndef AGENT_PROMPT_H
#define AGENT_PROMPT_H

#include <stddef.h>
#include <stdint.h>

#include "agent/run.h"
#include "base/buf.h"

struct agent_prompt_message {
    const char *author; /* user id */
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
    const char *instructions;              /* the admin's, "" for none */
    const char *context_lines;             /* from memory_build_context(), "" for none */
    const struct agent_prompt_file *files; /* that came with the messages */
    size_t files_count;
    const char *outbox; /* what the agent puts there is sent to the person; NULL for none */
    const struct agent_prompt_message
        *messages; /* what to answer, oldest first; at least one */
    size_t messages_count;
};

/* Appends the prompt: valid UTF-8 without control characters; user text cannot forge a
 * delimiter. */
void agent_prompt_build(const struct agent_prompt *prompt, struct buf *out);

/*
 * Appends what the prompt consists of, without the delimiter that is new each time: alike for
 * two prompts that say the same, and for no others, since each part stands behind its length.
 */
void agent_prompt_print_parts(const struct agent_prompt *prompt, struct buf *out);

#endif
