/*
 * bench_tokens.c - what contexts save: conversations of 5, 10, 20 and 50 messages of 80 tokens,
 * a fact among the first that the question needs. Before: all of it. After: the context that
 * the default options give, with a summary of chosen sentences. Fails when a row saves less
 * than it should or loses the fact.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/metrics.h"
#include "memory/context.h"
#include "memory/summary.h"

#define MESSAGE_TOKENS  80
#define MESSAGE_BYTES   (MESSAGE_TOKENS * 4 - 8) /* with its name and newline 80 tokens */
#define FACT_AT         1
#define FACT            "6543"
#define FACT_TEXT       "By the way, the staging database listens on port " FACT ". "
#define QUESTION        "Which port does the staging database listen on?"
#define START_WALL_S    INT64_C(1790000000)
#define MINUTE_S        60
#define CONTEXT_MAX     ((size_t)1 << 20)
#define BUDGET_TOKENS   2000 /* the defaults of the configuration */
#define MAX_MESSAGES    10
#define VERBATIM        3
#define SUMMARIZE_AFTER 5

static const struct {
    int messages;
    double reduction; /* at least, in percent */
} rows[] = { { 5, 0 }, { 10, 37.5 }, { 20, 62.5 }, { 50, 80 } };

/* Talk about work, no two messages alike. */
static const char *const sentences[] = {
    "The review of the login page is done and waits for the release. ",
    "Could you look at the failing import of yesterday's invoices? ",
    "I moved the retry into the queue, so that a slow mail server blocks nobody. ",
    "The dashboard is slow because it asks for every order again. ",
    "Tests pass on my machine, but the build server runs out of disk. ",
    "We agreed to keep the old endpoint until the mobile team has moved. ",
    "The cache key lacks the tenant, which explains the mixed reports. ",
    "Please add a metric before we change the timeout. ",
    "The migration takes four minutes on a copy of the data. ",
    "Marketing asks for an export of the subscribers by Friday. ",
    "I would rather split that service later than now. ",
    "The certificate renews itself, only the reload was missing. ",
    "There is a race between the upload and the thumbnail. ",
};

static void write_message(int number, char *text)
{
    size_t len = 0;

    if (number == FACT_AT)
        len = (size_t)snprintf(text, MESSAGE_BYTES + 1, "%s", FACT_TEXT);
    for (int i = 0; len < MESSAGE_BYTES; i++) {
        const char *sentence = sentences[(number * 5 + i * 3) % (int)ARRAY_LEN(sentences)];
        size_t room = MESSAGE_BYTES - len;
        size_t size = strlen(sentence);

        memcpy(text + len, sentence, size < room ? size : room);
        len += size < room ? size : room;
    }
    text[len] = '\0';
    text[len - 1] = '.';
}

static int converse(struct memory *memory, struct conversation *conversation, int messages,
                    struct err *err)
{
    char text[MESSAGE_BYTES + 1];

    for (int i = 0; i < messages; i++) {
        struct memory_turn turn = { .role = i % 2 ? MEMORY_ROLE_ASSISTANT : MEMORY_ROLE_USER,
                                    .author = i % 2 ? "" : "U0123456789",
                                    .text = text,
                                    .slack_ts = "",
                                    .at_wall_s = START_WALL_S + (int64_t)i * MINUTE_S };

        write_message(i, text);
        turn.tokens = memory_estimate_tokens(text, strlen(text));
        if (memory_conversation_commit(memory, conversation, &turn, 1, NULL, 0, LEDGER_DONE,
                                       err) < 0)
            return -1;
    }
    return 0;
}

static int summarize(struct memory *memory, struct conversation *conversation, struct err *err)
{
    struct summary_work work = { 0 };
    int rc = 0;

    while (rc == 0 &&
           memory_summary_due(memory, conversation, VERBATIM, SUMMARIZE_AFTER, &work)) {
        AUTO_BUF struct buf text = { 0 };

        buf_init(&text, SUMMARY_TEXT_MAX_BYTES);
        summary_extract(&work, SUMMARY_TEXT_MAX_BYTES, &text);
        rc = memory_set_summary(memory, conversation, &work, buf_text(&text), "extract", err);
        summary_work_deinit(&work);
    }
    return rc;
}

struct measured {
    int64_t before;
    int64_t after;
    int64_t summary;
    bool holds_fact;
};

static void measure(struct memory *memory, const struct conversation *conversation,
                    int messages, struct measured *ret)
{
    struct memory_context_options all = { .budget_tokens = 1000000,
                                          .max_messages = messages,
                                          .user = "U0123456789" };
    struct memory_context_options defaults = {
        .budget_tokens = BUDGET_TOKENS,
        .max_messages = MAX_MESSAGES,
        .verbatim_messages = VERBATIM,
        .uses_summary = true,
        .uses_recall = true,
        .uses_profile = true,
        .session_ttl_ms = INT64_C(86400000),
        .question = QUESTION,
        .user = "U0123456789",
        .now_wall_s = START_WALL_S + (int64_t)messages * MINUTE_S,
    };
    struct memory_receipt before = { 0 };
    struct memory_receipt after = { 0 };
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, CONTEXT_MAX);
    memory_build_context(memory, conversation, &all, &out, NULL, &before);
    buf_clear(&out);
    memory_build_context(memory, conversation, &defaults, &out, NULL, &after);
    *ret = (struct measured){ before.tokens, after.tokens, after.tokens_summary,
                              strstr(buf_text(&out), FACT) != NULL };
    memory_receipt_deinit(&before);
    memory_receipt_deinit(&after);
}

/* 1: as it should be, 0: not, -1: it could not be measured. */
static int run_row(struct memory *memory, size_t row, struct err *err)
{
    AUTO_FREE char *key = xasprintf("U0123456789:C0123456789:%d", rows[row].messages);
    struct conversation *conversation = NULL;
    struct measured got = { 0 };
    double reduction;
    bool is_good;
    int rc = memory_conversation_begin(memory, key, NULL, NULL, &conversation, err);

    if (rc == 0)
        rc = converse(memory, conversation, rows[row].messages, err);
    if (rc == 0)
        rc = summarize(memory, conversation, err);
    if (rc == 0)
        measure(memory, conversation, rows[row].messages, &got);
    memory_conversation_end(memory, conversation);
    if (rc < 0)
        return -1;
    reduction = 100 * (1 - (double)got.after / (double)got.before);
    is_good = reduction >= rows[row].reduction && got.holds_fact;
    printf("%8d %8" PRId64 " %8" PRId64 " %8" PRId64 " %9.1f%% %9.1f%%   %-5s %s\n",
           rows[row].messages, got.before, got.after, got.summary, reduction,
           rows[row].reduction, got.holds_fact ? "there" : "LOST", is_good ? "" : "MISSED");
    return is_good;
}

static int run(const char *directory, struct metrics *metrics, struct err *err)
{
    struct memory_options options = { .state_dir = directory,
                                      .store = MEMORY_STORE_SQLITE,
                                      .durability = MEMORY_DURABILITY_TURN,
                                      .snapshot_interval_ms = INT64_C(3600000),
                                      .max_bytes = INT64_C(64) << 20,
                                      .cache_ttl_ms = INT64_C(3600000),
                                      .max_turns = 500,
                                      .session_ttl_ms = INT64_C(86400000),
                                      .retention_ms = INT64_C(36500) * 86400000,
                                      .files_dir = "",
                                      .encryption_key_file = "" };
    struct memory *memory = NULL;
    bool all_good = true;
    int rc = memory_open(&options, metrics, &memory, err);

    if (rc < 0)
        return -1;
    printf("messages   before    after  summary  reduction   at least   fact\n");
    for (size_t i = 0; rc >= 0 && i < ARRAY_LEN(rows); i++) {
        rc = run_row(memory, i, err);
        all_good = all_good && rc > 0;
    }
    memory_close(memory);
    return rc < 0 ? -1 : all_good;
}

int main(void)
{
    char directory[] = "/tmp/bench-tokens-XXXXXX";
    struct metrics *metrics = metrics_new();
    struct err err = { 0 };
    int rc = mkdtemp(directory) ? run(directory, metrics, &err)
                                : err_set_errno(&err, ERR_SYSTEM, "%s", directory);

    metrics_free(metrics);
    if (rc < 0)
        fprintf(stderr, "bench_tokens: %s\n", err.message);
    if (file_remove_tree(directory, NULL) < 0)
        fprintf(stderr, "bench_tokens: %s stays behind\n", directory);
    return rc > 0 ? 0 : 1;
}
