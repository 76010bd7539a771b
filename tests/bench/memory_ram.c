/* Conversations in RAM: what they take, how fast they are found, and that the bound holds. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <uthash.h>

#include "base/alloc.h"
#include "base/metrics.h"
#include "memory/conversation.h"
#include "tests/bench/measure.h"
#include "tests/bench/memory_parts.h"
#include "tests/bench/report.h"

#define READS        1000000
#define BYTES_PER_MB 1048576.0
#define KB_PER_MB    1024.0
#define PLAIN_SHARE  10 /* plain uthash is measured with a tenth of the conversations */

static int empty_load(struct store *store, const char *key, size_t max_turns,
                      store_turn_fn on_turn, void *context, struct store_head *ret_head,
                      struct err *err)
{
    (void)store;
    (void)key;
    (void)max_turns;
    (void)on_turn;
    (void)context;
    (void)err;
    *ret_head = (struct store_head){ 0 };
    return 0;
}

static const struct store_ops empty_ops = { .name = "empty", .load = empty_load };
static struct store empty_store = { .ops = &empty_ops };

static struct conversations *new_set(struct metrics *metrics, int64_t max_bytes)
{
    struct conversation_limits limits = { .max_bytes = max_bytes,
                                          .cache_ttl_ms = 3600000,
                                          .max_turns = 500 };

    return conversations_new(&empty_store, &limits, metrics);
}

static void say(struct conversations *set, int number, int turn)
{
    struct memory_turn said = parts_turn(number, turn);
    struct conversation *conversation = NULL;
    char key[PARTS_KEY_BYTES];

    parts_key(key, number);
    if (conversations_pin(set, key, NULL, NULL, &conversation, NULL) < 0)
        abort();
    conversation_append(set, conversation, &said, 1, 0);
    conversations_unpin(set, conversation);
}

static double text_mb(int conversations)
{
    return (double)conversations * PARTS_TURNS * PARTS_TEXT_BYTES / BYTES_PER_MB;
}

static double resident_mb(void)
{
    return (double)measure_memory_kb(getpid(), "RssAnon") / KB_PER_MB;
}

static void count_turns(void *context, const struct pack *pack)
{
    size_t *bytes = context;
    struct memory_turn turn;
    size_t offset = 0;

    while (pack_next(pack, &offset, &turn))
        *bytes += strlen(turn.text);
}

/* Of the processor: who else it serves meanwhile is no matter here. */
static int64_t cpu_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Anywhere among all of them, so that no cache of the processor helps. */
static double read_us(struct conversations *set, int conversations)
{
    int64_t before_us;
    uint32_t random = 4711;
    size_t bytes = 0;
    double empty_us;

    before_us = cpu_us();
    for (int i = 0; i < READS; i++) {
        char key[PARTS_KEY_BYTES];

        parts_key(key, (int)parts_random(&random, (uint32_t)conversations));
        bytes += (unsigned char)key[5];
    }
    empty_us = (double)(cpu_us() - before_us);
    bytes = 0;
    before_us = cpu_us();
    for (int i = 0; i < READS; i++) {
        struct conversation *conversation = NULL;
        char key[PARTS_KEY_BYTES];

        parts_key(key, (int)parts_random(&random, (uint32_t)conversations));
        if (conversations_pin(set, key, NULL, NULL, &conversation, NULL) < 0)
            abort();
        conversation_visit(conversation, count_turns, &bytes);
        conversations_unpin(set, conversation);
    }
    if (bytes != (size_t)READS * PARTS_TURNS * PARTS_TEXT_BYTES)
        fprintf(stderr, "bench_memory: read %zu bytes\n", bytes);
    return ((double)(cpu_us() - before_us) - empty_us) / READS;
}

int bench_ram_packed(const struct bench_size *size)
{
    struct metrics *metrics = metrics_new();
    struct conversations *set = new_set(metrics, INT64_MAX);
    struct conversation_figures figures;
    double before_mb = resident_mb();
    char figure[64];

    /* A turn in each, then the next in each: as people talk, and the worst for the heap. */
    for (int turn = 0; turn < PARTS_TURNS; turn++) {
        for (int i = 0; i < size->conversations; i++)
            say(set, i, turn);
    }
    conversations_get_figures(set, &figures);
    snprintf(figure, sizeof(figure), "%d conversations x 10 x 100 B, resident",
             size->conversations);
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "MB",
                                     .value = resident_mb() - before_mb,
                                     .floor = text_mb(size->conversations),
                                     .goal = REPORT_AT_MOST,
                                     .target = 1.4,
                                     .is_ratio = true });
    report_row(&(struct report_row){ .figure = "of that counted against memory.max_bytes",
                                     .unit = "MB",
                                     .value = (double)figures.bytes / BYTES_PER_MB,
                                     .floor = text_mb(size->conversations) });
    report_row(&(struct report_row){ .figure = "ten turns found and read, among all of them",
                                     .unit = "us",
                                     .value = read_us(set, size->conversations),
                                     .goal = REPORT_AT_MOST,
                                     .target = 2 });
    conversations_free(set);
    metrics_free(metrics);
    return 0;
}

/* ---- what one would write without thinking of bytes -------------------------------------- */

struct plain_message {
    struct plain_message *next;
    int role;
    int64_t at_wall_s;
    char *author;
    char *text;
    char *slack_ts;
};

struct plain_conversation {
    char *key;
    struct plain_message *first;
    struct plain_message **end;
    UT_hash_handle hh;
};

static void plain_say(struct plain_conversation **table, int number, int turn)
{
    struct memory_turn said = parts_turn(number, turn);
    struct plain_message *message = xcalloc(1, sizeof(*message));
    struct plain_conversation *found;
    char key[PARTS_KEY_BYTES];

    parts_key(key, number);
    HASH_FIND_STR(*table, key, found);
    if (!found) {
        found = xcalloc(1, sizeof(*found));
        found->key = xstrdup(key);
        found->end = &found->first;
        HASH_ADD_KEYPTR(hh, *table, found->key, strlen(found->key), found);
    }
    *message = (struct plain_message){ .role = (int)said.role,
                                       .at_wall_s = said.at_wall_s,
                                       .author = xstrdup(said.author),
                                       .text = xstrdup(said.text),
                                       .slack_ts = xstrdup(said.slack_ts) };
    *found->end = message;
    found->end = &message->next;
}

int bench_ram_plain(const struct bench_size *size)
{
    struct plain_conversation *table = NULL;
    int conversations = size->conversations / PLAIN_SHARE;
    double before_mb = resident_mb();
    uint32_t random = 4711;
    int64_t before_us;
    size_t bytes = 0;
    char figure[64];

    for (int turn = 0; turn < PARTS_TURNS; turn++) {
        for (int i = 0; i < conversations; i++)
            plain_say(&table, i, turn);
    }
    snprintf(figure, sizeof(figure), "plain uthash, strdup each: %d of them", conversations);
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "MB",
                                     .value = resident_mb() - before_mb,
                                     .floor = text_mb(conversations) });
    before_us = cpu_us();
    for (int i = 0; i < READS; i++) {
        struct plain_conversation *found;
        char key[PARTS_KEY_BYTES];

        parts_key(key, (int)parts_random(&random, (uint32_t)conversations));
        HASH_FIND_STR(table, key, found);
        for (struct plain_message *message = found->first; message; message = message->next)
            bytes += strlen(message->text);
    }
    report_row(&(struct report_row){ .figure = "plain uthash: ten turns found and read",
                                     .unit = "us",
                                     .value = (double)(cpu_us() - before_us) / READS });
    return bytes ? 0 : 1; /* the process ends: nobody frees a million pieces */
}

/* ---- the bound --------------------------------------------------------------------------- */

int bench_ram_bound(const struct bench_size *size)
{
    struct metrics *metrics = metrics_new();
    int64_t max_bytes = (int64_t)64 << 20;
    struct conversations *set = new_set(metrics, max_bytes);
    struct conversation_figures figures;
    double before_mb = resident_mb();
    int64_t most = 0;

    for (int i = 0; i < size->conversations; i++) {
        for (int turn = 0; turn < 2; turn++)
            say(set, i, turn);
        conversations_get_figures(set, &figures);
        most = figures.bytes > most ? figures.bytes : most;
    }
    report_row(
        &(struct report_row){ .figure = "max_bytes 64 MB, as many conversations: counted",
                              .unit = "MB",
                              .value = (double)most / BYTES_PER_MB,
                              .floor = (double)max_bytes / BYTES_PER_MB,
                              .goal = REPORT_AT_MOST,
                              .target = 1,
                              .is_ratio = true });
    report_row(
        &(struct report_row){ .figure = "max_bytes 64 MB, as many conversations: resident",
                              .unit = "MB",
                              .value = resident_mb() - before_mb,
                              .floor = (double)max_bytes / BYTES_PER_MB,
                              .goal = REPORT_AT_MOST,
                              .target = 1.1,
                              .is_ratio = true });
    conversations_free(set);
    metrics_free(metrics);
    return 0;
}
