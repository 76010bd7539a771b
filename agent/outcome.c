#include "agent/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"

/* As many bytes of stderr as the log gets. */
#define TAIL_MAX_BYTES 2048

/* In this order: a line may hold more than one of them, the first says most. */
static const struct pattern {
    const char *text;
    enum agent_outcome outcome;
} patterns[] = {
    { "Authentication required", AGENT_NOT_AUTHENTICATED },
    { "API key is invalid", AGENT_NOT_AUTHENTICATED },
    { "Not logged in", AGENT_NOT_AUTHENTICATED },
    { "Workspace Trust Required", AGENT_UNTRUSTED_WORKSPACE },
    { "Cannot use this model", AGENT_BAD_MODEL },
    { "unknown option", AGENT_BAD_OPTION },
    { "unknown command", AGENT_BAD_OPTION },
    { "hit your usage limit", AGENT_USAGE_LIMIT },
    { "resource_exhausted", AGENT_OVERLOADED },
    { "cli-config.json.tmp", AGENT_CONFIG_RACE },
    /* a chat to go on in */
    { "Failed to claim persistent session", AGENT_CHAT_GONE },
    { "is already in use", AGENT_CHAT_GONE },
    { "No conversation found with session ID", AGENT_CHAT_GONE },
    { "no rollout found", AGENT_CHAT_GONE },
    { "missing rollout path", AGENT_CHAT_GONE },
    { "Error resuming session", AGENT_CHAT_GONE },
    { "Invalid session identifier", AGENT_CHAT_GONE },
    { "Session not found", AGENT_CHAT_GONE },
    /* claude */
    { "Please run /login", AGENT_NOT_AUTHENTICATED },
    { "authentication_failed", AGENT_NOT_AUTHENTICATED },
    { "authentication_error", AGENT_NOT_AUTHENTICATED },
    { "Invalid API key", AGENT_NOT_AUTHENTICATED },
    { "usage limit reached", AGENT_USAGE_LIMIT },
    { "hit your limit", AGENT_USAGE_LIMIT },
    { "Credit balance is too low", AGENT_USAGE_LIMIT },
    { "issue with the selected model", AGENT_BAD_MODEL },
    { "overloaded_error", AGENT_OVERLOADED },
    { "rate_limit", AGENT_OVERLOADED },
    /* codex */
    { "401 Unauthorized", AGENT_NOT_AUTHENTICATED },
    { "insufficient_quota", AGENT_USAGE_LIMIT },
    { "exceeded your current quota", AGENT_USAGE_LIMIT },
    { "model_not_found", AGENT_BAD_MODEL },
    { "model is not supported", AGENT_BAD_MODEL },
    { "unexpected argument", AGENT_BAD_OPTION },
    { "429 Too Many Requests", AGENT_OVERLOADED },
    { "at capacity", AGENT_OVERLOADED },
    /* gemini */
    { "set an Auth method", AGENT_NOT_AUTHENTICATED },
    { "API key not valid", AGENT_NOT_AUTHENTICATED },
    { "exhausted your daily quota", AGENT_USAGE_LIMIT },
    { "exhausted your capacity", AGENT_USAGE_LIMIT },
    { "RESOURCE_EXHAUSTED", AGENT_OVERLOADED },
    { "UNAVAILABLE", AGENT_OVERLOADED },
    { "is not found for API version", AGENT_BAD_MODEL },
    { "Unknown argument", AGENT_BAD_OPTION },
    /* opencode */
    { "ProviderAuthError", AGENT_NOT_AUTHENTICATED },
    { "ProviderModelNotFoundError", AGENT_BAD_MODEL },
    { "Model not found", AGENT_BAD_MODEL },
    { "Overloaded", AGENT_OVERLOADED },
};

static const char *const sentences[] = {
    [AGENT_OK] = "",
    [AGENT_CANCELLED] = "Stopped.",
    [AGENT_NO_FIRST_OUTPUT] = "The agent did not start answering in time, so I stopped it. "
                              "Please try again.",
    [AGENT_IDLE_TIMEOUT] = "The agent went silent, so I stopped it. Please try again.",
    [AGENT_TIMEOUT] = "The agent took longer than it is allowed to, so I stopped it. "
                      "A smaller question may help.",
    [AGENT_OUTPUT_LIMIT] = "The agent produced more output than it is allowed to, so I stopped "
                           "it.",
    [AGENT_NOT_STARTED] = "The agent could not be started. Please tell the administrator of "
                          "this bot.",
    [AGENT_NOT_FENCED] = "The agent may work only within its fence, which this host cannot "
                         "build. Please tell the administrator of this bot.",
    [AGENT_NOT_AUTHENTICATED] = "The agent is not logged in. Please tell the administrator of "
                                "this bot.",
    [AGENT_UNTRUSTED_WORKSPACE] = "The agent refuses its workspace because it is not trusted. "
                                  "Please tell the administrator of this bot.",
    [AGENT_BAD_MODEL] = "The agent does not offer the configured model. Please tell the "
                        "administrator of this bot.",
    [AGENT_BAD_OPTION] = "The agent does not understand how it was started. Please tell the "
                         "administrator of this bot.",
    [AGENT_USAGE_LIMIT] = "The agent's account has reached its usage limit. Please tell the "
                          "administrator of this bot.",
    [AGENT_OVERLOADED] = "The agent is overloaded at the moment. Please try again in a minute.",
    [AGENT_CONFIG_RACE] =
        "The agent stumbled over another one that started at the same moment. "
        "Please try again.",
    [AGENT_CHAT_GONE] = "The agent does not find its notes of this conversation. Please try "
                        "again.",
    [AGENT_REPORTED_ERROR] = "The agent reported an error. Please try again.",
    [AGENT_NO_RESULT] = "The agent ended without finishing its answer. Please try again.",
    [AGENT_CRASHED] = "The agent crashed. Please try again.",
    [AGENT_LOST] = "The agent's run was lost in a restart. Please try again.",
};

const char *agent_outcome_name(enum agent_outcome outcome)
{
    static const char *const names[] = {
        [AGENT_OK] = "ok",
        [AGENT_CANCELLED] = "cancelled",
        [AGENT_NO_FIRST_OUTPUT] = "no_first_output",
        [AGENT_IDLE_TIMEOUT] = "idle_timeout",
        [AGENT_TIMEOUT] = "timeout",
        [AGENT_OUTPUT_LIMIT] = "output_limit",
        [AGENT_NOT_STARTED] = "not_started",
        [AGENT_NOT_FENCED] = "not_fenced",
        [AGENT_NOT_AUTHENTICATED] = "not_authenticated",
        [AGENT_UNTRUSTED_WORKSPACE] = "untrusted_workspace",
        [AGENT_BAD_MODEL] = "bad_model",
        [AGENT_BAD_OPTION] = "bad_option",
        [AGENT_USAGE_LIMIT] = "usage_limit",
        [AGENT_OVERLOADED] = "overloaded",
        [AGENT_CONFIG_RACE] = "config_race",
        [AGENT_CHAT_GONE] = "chat_gone",
        [AGENT_REPORTED_ERROR] = "reported_error",
        [AGENT_NO_RESULT] = "no_result",
        [AGENT_CRASHED] = "crashed",
        [AGENT_LOST] = "lost",
    };

    return names[outcome];
}

/* The length of the control sequence at `text`, which begins with ESC. */
static size_t sequence_length(const char *text, size_t len)
{
    size_t at = 2;

    if (len < 2)
        return len;
    if (text[1] == '[') { /* CSI: up to a final byte */
        while (at < len && !(text[at] >= '@' && text[at] <= '~'))
            at++;
        return at < len ? at + 1 : len;
    }
    if (text[1] == ']') { /* OSC: up to BEL or ESC \ */
        for (; at < len; at++) {
            if (text[at] == '\a')
                return at + 1;
            if (text[at] == '\033' && at + 1 < len && text[at + 1] == '\\')
                return at + 2;
        }
        return len;
    }
    return 2;
}

void agent_outcome_strip_ansi(struct buf *out, const char *text, size_t len)
{
    while (len > 0) {
        const char *escape = memchr(text, '\033', len);
        size_t plain = escape ? (size_t)(escape - text) : len;
        size_t sequence = escape ? sequence_length(escape, len - plain) : 0;

        buf_append(out, text, plain);
        text += plain + sequence;
        len -= plain + sequence;
    }
}

enum agent_outcome agent_outcome_classify(const char *plain_text)
{
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        if (strstr(plain_text, patterns[i].text))
            return patterns[i].outcome;
    }
    return AGENT_NO_RESULT;
}

static bool was_killed_by_signal(const struct agent_evidence *evidence)
{
    return evidence->has_status && evidence->status.si_code != CLD_EXITED;
}

/* What the exit status says in this dialect; AGENT_NO_RESULT when nothing. */
static enum agent_outcome read_exit(const struct agent_evidence *evidence)
{
    const struct agent_exit *row = evidence->exits;

    if (!row || !evidence->has_status || evidence->status.si_code != CLD_EXITED)
        return AGENT_NO_RESULT;
    while (row->status != 0 && row->status != evidence->status.si_status)
        row++;
    return row->status != 0 ? row->outcome : AGENT_NO_RESULT;
}

/* The agent itself said that it failed; its words, then its exit status say how. */
static enum agent_outcome classify_report(const struct agent_evidence *evidence)
{
    enum agent_outcome said = agent_outcome_classify(evidence->summary->error_text);

    if (said == AGENT_NO_RESULT)
        said = read_exit(evidence);
    return said != AGENT_NO_RESULT ? said : AGENT_REPORTED_ERROR;
}

/* For an agent without a terminal event. One that says that its answer is whole and then does
 * not go is as good as one that goes. */
static bool has_ended_well(const struct agent_evidence *evidence)
{
    const struct agent_summary *summary = evidence->summary;

    if (!evidence->ends_by_exit || !summary->has_text || summary->is_error)
        return false;
    if (evidence->needs_settled && !summary->is_settled)
        return false;
    if (evidence->has_verdict && evidence->verdict != AGENT_LOST)
        return evidence->needs_settled && evidence->verdict == AGENT_IDLE_TIMEOUT;
    return evidence->has_status && evidence->status.si_code == CLD_EXITED &&
           evidence->status.si_status == 0;
}

static enum agent_outcome classify_failure(const struct agent_evidence *evidence,
                                           const char *errors)
{
    enum agent_outcome said = agent_outcome_classify(errors);

    if (said == AGENT_NO_RESULT)
        said = read_exit(evidence);
    if (said == AGENT_NO_RESULT)
        said = agent_outcome_classify(evidence->summary->error_text);
    return said;
}

static enum agent_outcome decide(const struct agent_evidence *evidence, const char *errors)
{
    const struct agent_summary *summary = evidence->summary;
    bool has_verdict = evidence->has_verdict && evidence->verdict != AGENT_LOST;
    enum agent_outcome said = AGENT_NO_RESULT;

    if (evidence->launch_step[0])
        return strcmp(evidence->launch_step, "fence") == 0 ? AGENT_NOT_FENCED
                                                           : AGENT_NOT_STARTED;
    if (summary->has_result)
        return summary->is_error ? classify_report(evidence) : AGENT_OK;
    if (has_ended_well(evidence))
        return AGENT_OK;
    if (summary->is_error && !(has_verdict && evidence->verdict == AGENT_CANCELLED))
        return classify_report(evidence);
    if (has_verdict)
        return evidence->verdict;
    if (was_killed_by_signal(evidence) && evidence->status.si_status == SIGXFSZ)
        return AGENT_OUTPUT_LIMIT;
    said = classify_failure(evidence, errors);
    if (said != AGENT_NO_RESULT)
        return said;
    if (was_killed_by_signal(evidence))
        return AGENT_CRASHED;
    return evidence->has_verdict ? evidence->verdict : AGENT_NO_RESULT;
}

static void append_status(struct buf *out, const struct agent_evidence *evidence)
{
    if (evidence->launch_step[0])
        buf_printf(out, "launch step=%s: %s", evidence->launch_step, evidence->launch_text);
    else if (!evidence->has_status)
        buf_append_text(out, "exit status unknown");
    else if (evidence->status.si_code == CLD_EXITED)
        buf_printf(out, "exit status %d", evidence->status.si_status);
    else
        buf_printf(out, "killed by signal %d", evidence->status.si_status);
    if (evidence->summary->error_text[0])
        buf_printf(out, ", reported: %s", evidence->summary->error_text);
}

static void write_cause(const struct agent_evidence *evidence, const char *errors,
                        struct agent_result *result)
{
    AUTO_BUF struct buf cause = { 0 };
    size_t len = strlen(errors);
    const char *tail = errors;

    buf_init(&cause, sizeof(result->cause) - 1);
    append_status(&cause, evidence);
    if (len > TAIL_MAX_BYTES) {
        tail = errors + len - TAIL_MAX_BYTES;
        while (((unsigned char)*tail & 0xc0) == 0x80)
            tail++;
    }
    if (tail[0] && result->outcome != AGENT_OK)
        buf_printf(&cause, ", stderr: %s", tail);
    snprintf(result->cause, sizeof(result->cause), "%s", buf_text(&cause));
    log_mask_secrets(result->cause);
}

void agent_outcome_decide(const struct agent_evidence *evidence, struct agent_result *result)
{
    const struct agent_summary *summary = evidence->summary;
    AUTO_BUF struct buf plain = { 0 };
    AUTO_FREE char *errors = NULL;

    buf_init(&plain, evidence->error_output_len + 1);
    agent_outcome_strip_ansi(&plain, evidence->error_output, evidence->error_output_len);
    errors = utf8_clean_copy(buf_text(&plain), plain.len, plain.len * 3 + 1);

    result->outcome = decide(evidence, errors);
    snprintf(result->sentence, sizeof(result->sentence), "%s", sentences[result->outcome]);
    write_cause(evidence, errors, result);
    result->is_partial = result->outcome != AGENT_OK && summary->has_text;
    result->input_tokens = summary->input_tokens;
    result->output_tokens = summary->output_tokens;
    result->cache_read_tokens = summary->cache_read_tokens;
    result->cache_write_tokens = summary->cache_write_tokens;
    result->skipped_lines = summary->skipped_lines;
    memcpy(result->chat_id, summary->chat_id, sizeof(result->chat_id));
}
