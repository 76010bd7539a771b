/*
 * run.h - one run of the agent: a directory, a process group, and the events read from its
 * output.
 *
 * state_dir/runs/<run_id>/ holds `prompt`, `out.ndjson`, `err.log`, `meta.json` and more (see
 * run_dir.h). The agent's stdin is the prompt file, stdout and stderr are files opened for
 * append, so there are no pipes to deadlock, nobody waits for an EOF that a grandchild holds
 * back, and the run outlives the daemon: agent_run_attach() finds it again and reads it from
 * the start. Our child is the run's supervisor (supervise.h), the agent is its child.
 *
 *   RUNNING -> ENDING (the supervisor is asked to end it all; if it does not: KILL by group, by
 *                      mark, by descent) -> DRAINING -> ENDED
 *
 * Only success is a parsed `result` without error (cursor), or exit status 0 with output
 * (text).
 *
 * Owns:    the supervisor's process (reaped here), its descriptors, never the directory.
 * Threads: worker; agent_reap_first_orphans() on the loop.
 */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define AGENT_RUN_ID_BYTES  40 /* with the NUL */
#define AGENT_CHAT_ID_BYTES 80

/* In the order of enum config_dialect, and so are the next two of theirs. */
enum agent_dialect {
    AGENT_DIALECT_CURSOR,
    AGENT_DIALECT_CLAUDE,
    AGENT_DIALECT_CODEX,
    AGENT_DIALECT_GEMINI,
    AGENT_DIALECT_OPENCODE,
    AGENT_DIALECT_TEXT,
};
enum agent_fence { AGENT_FENCE_AUTO, AGENT_FENCE_ON, AGENT_FENCE_OFF };
enum agent_mode { AGENT_MODE_ASK, AGENT_MODE_PLAN, AGENT_MODE_WRITE };

struct agent_spec {
    const char *launcher;       /* path of the supervisor's program, see launch.h */
    const char *runs_dir;       /* state_dir/runs */
    const char *const *command; /* argv of the agent, ended by NULL; no shell */
    enum agent_dialect dialect;
    enum agent_mode mode;
    const char *model;            /* "" for none */
    const char *workspace;        /* the working directory */
    const char *const *env_names; /* variables handed on from our environment, ended by NULL */
    const char *prompt;
    size_t prompt_len;
    int64_t first_output_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t timeout_ms; /* all of the run; holds across a restart of the daemon */
    int64_t kill_grace_ms;
    int64_t max_output_bytes; /* of out.ndjson */
    enum agent_fence fence;
    const char *const *fence_read; /* further paths, ended by NULL; NULL for none */
    const char *const *fence_write;
    const char *const *fence_hidden; /* never, wherever they lie: our own secrets */
    const char *const *fence_denied; /* ADDRESS:PORT of our own services */
    int64_t max_memory_bytes;
    int64_t max_processes;
    const char *slot_dir; /* the slot's private config and data, see slot.h; NULL for none */
    const char
        *chats_dir;      /* its conversation's chats, which the slot links to; NULL for none */
    const char *chat_id; /* the agent's own chat to go on in, NULL for none */
    bool is_new_chat;    /* chat_id is to be made */
    int cancel_fd;       /* an eventfd of the caller's: readable ends the run; -1 for none */
};

enum agent_event_kind {
    AGENT_EVENT_NONE,    /* nothing until the deadline */
    AGENT_EVENT_STARTED, /* the first line came: text is the model's display name or "" */
    AGENT_EVENT_TEXT,    /* more of the answer */
    AGENT_EVENT_SEGMENT, /* a tool boundary: what follows is a new paragraph */
    AGENT_EVENT_TOOL,    /* text: what it is doing, short and safe to show ("Reading a.txt") */
    AGENT_EVENT_TOOL_DONE,
    AGENT_EVENT_DENIED, /* a tool call was rejected; text: which */
    AGENT_EVENT_ENDED,  /* the last one: agent_run_result() is set, no process is left */
};

/* How a tool call ended, as far as the agent says it. */
enum agent_tool_end { AGENT_TOOL_OK, AGENT_TOOL_FAILED, AGENT_TOOL_REJECTED };

struct agent_event {
    enum agent_event_kind kind;
    const char *text; /* borrowed until the next call */
    size_t text_len;
    /* TOOL, TOOL_DONE, DENIED: the agent's own id of the call, by which an end finds its
     * beginning where several run at once; "" where it gives none. Borrowed as text is. */
    const char *tool_id;
    enum agent_tool_end tool_end; /* TOOL_DONE */
};

enum agent_outcome {
    AGENT_OK,
    AGENT_CANCELLED,       /* through cancel_fd */
    AGENT_NO_FIRST_OUTPUT, /* the time limits */
    AGENT_IDLE_TIMEOUT,
    AGENT_TIMEOUT,
    AGENT_OUTPUT_LIMIT,
    AGENT_NOT_STARTED, /* missing binary, not executable, bad workspace, ... */
    AGENT_NOT_FENCED,  /* agent.fence is on, and this host cannot build it */
    AGENT_NOT_AUTHENTICATED,
    AGENT_UNTRUSTED_WORKSPACE,
    AGENT_BAD_MODEL,
    AGENT_BAD_OPTION, /* the command line is not what this agent takes */
    AGENT_USAGE_LIMIT,
    AGENT_OVERLOADED,     /* resource_exhausted: passing */
    AGENT_CONFIG_RACE,    /* two starts met in the agent's own configuration: passing */
    AGENT_CHAT_GONE,      /* the chat to go on in is not there, or is not to be had */
    AGENT_REPORTED_ERROR, /* a result with is_error */
    AGENT_NO_RESULT,      /* exited without a result, whatever its status */
    AGENT_CRASHED,        /* by a signal */
    AGENT_LOST,           /* after a restart: neither a process nor a result */
};

struct agent_result {
    enum agent_outcome outcome;
    char sentence[256]; /* for the person: plain, no paths, no stderr */
    char cause[2560];   /* for the log: exit status, signal, tail of stderr, masked */
    bool is_partial;    /* text was seen before it failed */
    /* -1 unknown. What was read from the cache is a part of the input. */
    int64_t input_tokens, output_tokens, cache_read_tokens, cache_write_tokens;
    int64_t duration_ms;
    size_t skipped_lines;              /* garbage among the output */
    char chat_id[AGENT_CHAT_ID_BYTES]; /* the agent's own chat, "" when it told none */
};

/* "ok", "cancelled", ... for logs and metrics. */
const char *agent_outcome_name(enum agent_outcome outcome);

struct agent_run;

/*
 * Writes the directory and starts `threadkeeper launch` in it by posix_spawn. The run id is
 * chosen by the caller (agent_run_new_id) and stored by it before this call; the directory may
 * be there already, with files of the caller's own, but without a run. -1 when nothing was
 * started; the directory is gone then.
 */
void agent_run_new_id(char out[AGENT_RUN_ID_BYTES]);
int agent_run_start(const struct agent_spec *spec, const char *run_id,
                    struct agent_run **ret_run, struct err *err);

/*
 * Takes up a run of an earlier process by its directory (spec: launcher, runs_dir, cancel_fd
 * and the time limits are read; the rest comes from meta.json). All its events come again from
 * the start; an ended one ends after them. ERR_INPUT when there is no such run.
 */
int agent_run_attach(const struct agent_spec *spec, const char *run_id,
                     struct agent_run **ret_run, struct err *err);

/* The next event, waiting until `deadline_ms` (monotonic). Never fails: trouble is an outcome.
 */
void agent_run_next(struct agent_run *run, int64_t deadline_ms, struct agent_event *ret_event);

/* Whether the agent has said how it ended: what is left is its exit. */
bool agent_run_has_result(const struct agent_run *run);

/* After AGENT_EVENT_ENDED. Borrowed. */
const struct agent_result *agent_run_result(const struct agent_run *run);

const char *agent_run_id(const struct agent_run *run);

/* The mode that it was started in, perhaps by an earlier process. */
enum agent_mode agent_run_mode(const struct agent_run *run);

/* The agent's own chat, "" as long as it has not told which. Borrowed. */
const char *agent_run_chat_id(const struct agent_run *run);

/*
 * After AGENT_EVENT_ENDED: whether it failed by something that passes, so that it is worth
 * another attempt after *ret_wait_ms. False when the attempts are used up, when text was seen,
 * and for a run that an earlier process started. In mode write only two starts that met are
 * worth it, when nothing was printed by an agent that prints while it works.
 */
bool agent_run_may_repeat(const struct agent_run *run, int64_t *ret_wait_ms);

/*
 * Starts an ended run once more in its directory, command and prompt as they were; what it
 * printed is forgotten and its events begin anew. -1: it stays ended, with its result.
 */
int agent_run_again(struct agent_run *run, struct err *err);

/*
 * Frees the struct. `keep_running` leaves a live process alone (the daemon stops, the run goes
 * on); otherwise it is killed and reaped first.
 */
void agent_run_free(struct agent_run *run, bool keep_running);

/* Removes the directory of a run whose turn is done. */
int agent_run_remove(const char *runs_dir, const char *run_id, struct err *err);

/*
 * Reap children that no run waits for: orphans of agents come to us, the daemon is their
 * subreaper. The first is for SIGCHLD on the loop: a few system calls, never a wait; it stops,
 * false, at a zombie that a run waits for. The second goes on behind it, which takes a look at
 * every process of the machine; each run does so at its end. Any but the loop.
 */
bool agent_reap_first_orphans(void);
void agent_reap_orphans(void);
int agent_become_subreaper(struct err *err); /* startup */

/* How the agent's own check went, for `threadkeeper check`. */
enum agent_check {
    AGENT_CHECK_OK,
    AGENT_CHECK_NOT_FOUND,
    AGENT_CHECK_NOT_LOGGED_IN,
    AGENT_CHECK_FAILED
};
enum agent_check agent_check_command(const char *const *command, enum agent_dialect dialect,
                                     const char *const *env_names, struct buf *ret_detail);

#endif
