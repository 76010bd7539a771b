/*
 * bench_conversations.c - what remembered conversations cost in resident memory: the memory
 * room alone, in this process, with its database on disk, before and after.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/metrics.h"
#include "memory/memory.h"
#include "tests/bench/measure.h"
#include "tests/bench/report.h"

#define CONVERSATIONS 10000
#define MAX_BYTES     ((int64_t)256 << 20)
#define KB_PER_MB     1024.0
#define BYTES_PER_MB  1048576.0

static int add_conversation(struct memory *memory, int number, struct err *err)
{
    static const struct memory_turn turns[] = {
        { .role = MEMORY_ROLE_USER,
          .author = "U0123456789",
          .text = "which auth system do we use?",
          .slack_ts = "1790000000.000100",
          .at_wall_s = 1790000000 },
        { .role = MEMORY_ROLE_ASSISTANT,
          .author = "",
          .text = "JWT, signed by the gateway and valid for 15 minutes. The refresh token is "
                  "kept in an httpOnly cookie; services check the signature with the key that "
                  "the gateway publishes, so none of them asks it for every request.",
          .slack_ts = "1790000005.000100",
          .at_wall_s = 1790000005 },
    };
    AUTO_FREE char *key = xasprintf("U0123456789:C%09d:1790000000.000100", number);
    struct conversation *conversation = NULL;
    int rc;

    if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, err) < 0)
        return -1;
    rc = memory_conversation_commit(memory, conversation, turns, ARRAY_LEN(turns), NULL, 0,
                                    LEDGER_DONE, err);
    memory_conversation_end(memory, conversation);
    return rc;
}

static void print_rows(int64_t before_kb, int64_t after_kb, const struct memory_stats *stats)
{
    double grown_kb = (double)(after_kb - before_kb);

    report_title("Memory");
    report_row(&(struct report_row){ .figure = "10,000 conversations add, resident",
                                     .unit = "MB",
                                     .value = grown_kb / KB_PER_MB });
    report_row(&(struct report_row){ .figure = "of that counted against memory.max_bytes",
                                     .unit = "MB",
                                     .value = (double)stats->bytes / BYTES_PER_MB });
}

static int measure(const char *directory, struct metrics *metrics, struct err *err)
{
    struct memory_options options = { .state_dir = directory,
                                      .store = MEMORY_STORE_SQLITE,
                                      .durability = MEMORY_DURABILITY_TURN,
                                      .snapshot_interval_ms = 30000,
                                      .max_bytes = MAX_BYTES,
                                      .cache_ttl_ms = 3600000,
                                      .max_turns = 500 };
    struct memory *memory = NULL;
    struct memory_stats stats;
    int64_t before_kb;
    int rc = 0;

    if (memory_open(&options, metrics, &memory, err) < 0)
        return -1;
    before_kb = measure_memory_kb(getpid(), "VmRSS");
    for (int i = 0; i < CONVERSATIONS && rc == 0; i++)
        rc = add_conversation(memory, i, err);
    memory_get_stats(memory, &stats);
    if (rc == 0)
        print_rows(before_kb, measure_memory_kb(getpid(), "VmRSS"), &stats);
    memory_close(memory);
    return rc;
}

int main(void)
{
    char directory[] = "/tmp/bench-conversations-XXXXXX";
    struct metrics *metrics = metrics_new();
    struct err err = { 0 };
    int rc;

    if (!mkdtemp(directory)) {
        perror(directory);
        return 1;
    }
    rc = measure(directory, metrics, &err);
    if (rc < 0)
        fprintf(stderr, "bench_conversations: %s\n", err.message);
    metrics_free(metrics);
    file_remove_tree(directory, NULL);
    return rc < 0 ? 1 : 0;
}
