/*
 * outcome.h - from what was seen of a run to what it was: an outcome, a sentence for the
 * person, a cause for the log.
 *
 * Threads: any.
 */
#ifndef AGENT_OUTCOME_H
#define AGENT_OUTCOME_H

#include <signal.h>
#include <stdbool.h>

#include "agent/run.h"
#include "agent/stream.h"
#include "base/buf.h"

/* An exit status that says more than "failed". */
struct agent_exit {
    int status;
    enum agent_outcome outcome;
};

struct agent_evidence {
    bool has_verdict; /* run.c ended it (limit, cancel) or lost it: `verdict` says how */
    enum agent_outcome verdict;
    bool ends_by_exit;              /* of the dialect */
    bool needs_settled;             /* of the dialect */
    const struct agent_exit *exits; /* of the dialect; NULL for none */
    bool has_status;                /* `status` is set: we were the parent */
    siginfo_t status;
    const char *launch_step; /* the failed step of the launcher, "" for none */
    const char *launch_text;
    const char *error_output; /* the tail of stderr */
    size_t error_output_len;
    const struct agent_summary *summary;
};

/* Sets outcome, sentence, cause, is_partial, the token counts and skipped_lines. */
void agent_outcome_decide(const struct agent_evidence *evidence, struct agent_result *result);

/* Appends text without terminal control sequences. */
void agent_outcome_strip_ansi(struct buf *out, const char *text, size_t len);

/* What the error output of a failed run says; AGENT_NO_RESULT when it says nothing known. */
enum agent_outcome agent_outcome_classify(const char *plain_text);

#endif
