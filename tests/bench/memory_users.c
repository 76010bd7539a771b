/* What people notice: the context of a turn, many at once, a snapshot beside them, a day. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "memory/commit.h"
#include "memory/context.h"
#include "memory/rooms.h"
#include "tests/bench/measure.h"
#include "tests/bench/memory_parts.h"
#include "tests/bench/report.h"

#define CONTEXT_MESSAGES 50
#define CONTEXTS         2000
#define OTHERS           200 /* conversations beside the one that is searched */
#define USERS            1000
#define USER_TURNS       3
#define USER_STACK       ((size_t)256 * 1024)
#define UNSAVED          20000
#define FILLERS          16
#define PACED            1500
#define CONTEXT_MAX      ((size_t)1 << 20)
#define US_PER_MS        1000.0
#define US_PER_S         1e6

/* ---- the context ------------------------------------------------------------------------- */

static int64_t context_us(struct memory *memory, int number, bool recalls, struct buf *out)
{
    struct memory_context_options options = { .budget_tokens = 2000,
                                              .max_messages = 50,
                                              .verbatim_messages = 6,
                                              .uses_summary = true,
                                              .uses_recall = recalls,
                                              .session_ttl_ms = INT64_C(86400000),
                                              .question = "which question 3 of conversation "
                                                          "was it, and what was the answer?",
                                              .user = "U1",
                                              .now_wall_s = 1790000000 + 3600 };
    struct memory_receipt *receipt = xcalloc(1, sizeof(*receipt));
    struct conversation *conversation = NULL;
    char key[PARTS_KEY_BYTES];
    int64_t before_us;

    parts_key(key, number);
    buf_clear(out);
    before_us = clock_now_us();
    if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, NULL) == 0)
        memory_build_context(memory, conversation, &options, out, NULL, receipt);
    memory_conversation_end(memory, conversation);
    before_us = clock_now_us() - before_us;
    memory_receipt_deinit(receipt);
    free(receipt);
    return out->len ? before_us : -1;
}

static int say_all(struct memory *memory)
{
    for (int i = 0; i < CONTEXT_MESSAGES / 2; i++) {
        if (parts_commit_us(memory, 1) < 0)
            return -1;
    }
    for (int i = 0; i < OTHERS; i++) {
        if (parts_commit_us(memory, 2 + i) < 0)
            return -1;
    }
    return 0;
}

static int measure_context(struct memory *memory, bool recalls, const char *figure,
                           double target_us)
{
    AUTO_FREE int64_t *took_us = xcalloc(CONTEXTS, sizeof(*took_us));
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, CONTEXT_MAX);
    for (int i = 0; i < CONTEXTS; i++) {
        took_us[i] = context_us(memory, 1, recalls, &out);
        if (took_us[i] < 0)
            return 1;
    }
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, CONTEXTS, 500),
                                     .goal = REPORT_AT_MOST,
                                     .target = target_us });
    return 0;
}

int bench_context(const struct bench_size *size)
{
    struct memory_options options = parts_options(size->directory);
    struct metrics *metrics = metrics_new();
    struct memory *memory = parts_open(&options, metrics);
    int rc = 1;

    if (memory && say_all(memory) == 0)
        rc = measure_context(memory, false, "its context without recall, p50", 50) |
             measure_context(memory, true, "its context with recall, p50", 1000);
    memory_close(memory);
    metrics_free(metrics);
    return rc;
}

/* ---- a thousand users -------------------------------------------------------------------- */

struct user {
    struct memory *memory;
    pthread_barrier_t *start;
    int number;
    int failures;
    int64_t took_us[USER_TURNS];
};

/* A turn as a worker does it, without the agent: the context, then question and answer. */
static void *use(void *context)
{
    struct user *user = context;
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, CONTEXT_MAX);
    pthread_barrier_wait(user->start);
    for (int i = 0; i < USER_TURNS; i++) {
        int64_t before_us = clock_now_us();

        context_us(user->memory, 1000 + user->number, true, &out);
        user->failures += parts_commit_us(user->memory, 1000 + user->number) < 0;
        user->took_us[i] = clock_now_us() - before_us;
    }
    return NULL;
}

static int64_t run_users(struct memory *memory, struct user *users)
{
    AUTO_FREE pthread_t *threads = xcalloc(USERS, sizeof(*threads));
    pthread_barrier_t start;
    pthread_attr_t attributes;
    int64_t before_us;

    pthread_barrier_init(&start, NULL, USERS + 1);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, USER_STACK);
    for (int i = 0; i < USERS; i++) {
        users[i] = (struct user){ .memory = memory, .start = &start, .number = i };
        if (pthread_create(&threads[i], &attributes, use, &users[i]) != 0)
            abort();
    }
    pthread_barrier_wait(&start);
    before_us = clock_now_us();
    for (int i = 0; i < USERS; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    pthread_barrier_destroy(&start);
    return clock_now_us() - before_us;
}

int bench_users(const struct bench_size *size)
{
    struct memory_options options = parts_options(size->directory);
    struct metrics *metrics = metrics_new();
    struct memory *memory = parts_open(&options, metrics);
    AUTO_FREE struct user *users = xcalloc(USERS, sizeof(*users));
    AUTO_FREE int64_t *took_us = xcalloc((size_t)USERS * USER_TURNS, sizeof(*took_us));
    int64_t floor_us = measure_append_us(size->directory);
    size_t count = (size_t)USERS * USER_TURNS;
    int failures = 0;
    int64_t total_us;

    if (!memory)
        return 1;
    total_us = run_users(memory, users);
    for (int i = 0; i < USERS; i++) {
        failures += users[i].failures;
        memcpy(&took_us[(size_t)i * USER_TURNS], users[i].took_us, sizeof(users[i].took_us));
    }
    /* Two figures: the time until all are served is no user's latency. */
    report_row(&(struct report_row){ .figure = "all of them served, three turns each",
                                     .unit = "ms",
                                     .value = (double)total_us / US_PER_MS,
                                     .floor = (double)floor_us * (double)count / US_PER_MS });
    report_row(&(struct report_row){ .figure = "turns a second",
                                     .unit = "/s",
                                     .value = (double)count * US_PER_S / (double)total_us,
                                     .floor = US_PER_S / (double)floor_us });
    report_row(&(struct report_row){ .figure = "a user waits for a turn, p50",
                                     .unit = "ms",
                                     .value = (double)measure_quantile(took_us, count, 500) /
                                              US_PER_MS });
    report_row(&(struct report_row){ .figure = "a user waits for a turn, p99",
                                     .unit = "ms",
                                     .value = (double)measure_quantile(took_us, count, 990) /
                                              US_PER_MS });
    memory_close(memory);
    metrics_free(metrics);
    return failures ? 1 : 0;
}

/* ---- a snapshot beside the turns --------------------------------------------------------- */

struct filler {
    struct memory *memory;
    int first;
    int failures;
};

static void *fill_some(void *context)
{
    struct filler *filler = context;

    for (int i = 0; i < UNSAVED / FILLERS; i++)
        filler->failures += parts_commit_us(filler->memory, filler->first + i) < 0;
    return NULL;
}

static int fill_unsaved(struct memory *memory)
{
    struct filler fillers[FILLERS];
    pthread_t threads[FILLERS];
    int failures = 0;

    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = (struct filler){ .memory = memory, .first = i * (UNSAVED / FILLERS) };
        pthread_create(&threads[i], NULL, fill_some, &fillers[i]);
    }
    for (int i = 0; i < FILLERS; i++) {
        pthread_join(threads[i], NULL);
        failures += fillers[i].failures;
    }
    return failures;
}

struct flush {
    struct memory *memory;
    _Atomic bool is_over;
    int64_t took_us;
};

static void *flush(void *context)
{
    struct flush *job = context;
    struct err err = { 0 };

    job->took_us = clock_now_us();
    if (commit_flush(&job->memory->path, &err) < 0)
        fprintf(stderr, "bench_memory: %s\n", err.message);
    job->took_us = clock_now_us() - job->took_us;
    atomic_store(&job->is_over, true);
    return NULL;
}

/* Commits until `job` is over (or PACED times); fills in how long each commit and each pin of
 * another conversation took. Returns how many, 0 on failure. */
static size_t talk_beside(struct memory *memory, struct flush *job, int64_t *commit_us,
                          int64_t *pin_us, size_t max)
{
    size_t count = 0;

    while (count < max && (job ? !atomic_load(&job->is_over) : count < PACED)) {
        struct conversation *conversation = NULL;
        char key[PARTS_KEY_BYTES];

        parts_key(key, (int)(count * 37 % UNSAVED));
        pin_us[count] = clock_now_us();
        if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, NULL) < 0)
            return 0;
        pin_us[count] = clock_now_us() - pin_us[count];
        memory_conversation_end(memory, conversation);
        commit_us[count] = parts_commit_us(memory, UNSAVED + (int)count % 100);
        if (commit_us[count++] < 0)
            return 0;
    }
    return count;
}

static void print_beside(int64_t *took_us, size_t count, const char *what, double alone_us)
{
    char figure[64];

    snprintf(figure, sizeof(figure), "%s beside a snapshot, p99", what);
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, count, 990) });
    snprintf(figure, sizeof(figure), "%s beside a snapshot, longest", what);
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, count, 1000),
                                     .floor = alone_us + COMMIT_SNAPSHOT_STEP_US,
                                     .goal = REPORT_AT_MOST,
                                     .target = 3,
                                     .is_ratio = true });
}

int bench_snapshot(const struct bench_size *size)
{
    enum { MAX = 100000 };
    struct memory_options options = parts_options(size->directory);
    struct metrics *metrics = metrics_new();
    AUTO_FREE int64_t *commit_us = xcalloc(MAX, sizeof(*commit_us));
    AUTO_FREE int64_t *pin_us = xcalloc(MAX, sizeof(*pin_us));
    struct flush job = { 0 };
    struct memory *memory;
    pthread_t thread;
    size_t count;
    double alone_us[2];

    options.durability = MEMORY_DURABILITY_INTERVAL;
    memory = parts_open(&options, metrics);
    if (!memory || fill_unsaved(memory) != 0)
        return 1;
    count = talk_beside(memory, NULL, commit_us, pin_us, MAX);
    alone_us[0] = (double)measure_quantile(commit_us, count, 1000);
    alone_us[1] = (double)measure_quantile(pin_us, count, 1000);
    job.memory = memory;
    pthread_create(&thread, NULL, flush, &job);
    count = talk_beside(memory, &job, commit_us, pin_us, MAX);
    pthread_join(thread, NULL);
    report_note("durability interval: %d conversations unsaved, saved in %.1f s; %zu turns "
                "beside it; floor: without it, and one piece of a snapshot",
                UNSAVED, (double)job.took_us / US_PER_S, count);
    print_beside(commit_us, count, "a turn", alone_us[0]);
    print_beside(pin_us, count, "a conversation found", alone_us[1]);
    memory_close(memory);
    metrics_free(metrics);
    return count ? 0 : 1;
}

/* ---- a day ------------------------------------------------------------------------------- */

#define PEOPLE         500
#define DAY_MS         6000 /* an hour is a quarter of a second */
#define HOUR_MS        (DAY_MS / 24.0)
#define THREADS_A_DAY  6  /* conversations that a person begins */
#define TALK_MESSAGES  8  /* until it is enough, on average */
#define RETURN_PERCENT 25 /* of the conversations are taken up again hours later */

struct message {
    double at_ms;
    int conversation;
};

static double uniform(uint32_t *random)
{
    return ((double)parts_random(random, 1000000) + 1) / 1000001.0;
}

/* Minutes between two messages: mostly two or three, at times half an hour or two. */
static double gap_ms(uint32_t *random)
{
    double normal = sqrt(-2 * log(uniform(random))) * cos(6.283185307 * uniform(random));

    return HOUR_MS / 60 * 2.5 * exp(1.2 * normal);
}

static size_t plan_talk(struct message *messages, size_t count, size_t max, double at_ms,
                        int conversation, uint32_t *random)
{
    do {
        messages[count++] = (struct message){ at_ms, conversation };
        at_ms += gap_ms(random);
    } while (count < max && at_ms < DAY_MS && parts_random(random, TALK_MESSAGES) > 0);
    return count;
}

static int by_time(const void *a, const void *b)
{
    double left = ((const struct message *)a)->at_ms;
    double right = ((const struct message *)b)->at_ms;

    return (left > right) - (left < right);
}

/* Working hours from 8 to 18. */
static size_t plan_day(struct message *messages, size_t max)
{
    uint32_t random = 271828;
    size_t count = 0;

    for (int i = 0; i < PEOPLE * THREADS_A_DAY && count < max; i++) {
        double at_ms = (8 + 10 * uniform(&random)) * HOUR_MS;

        count = plan_talk(messages, count, max, at_ms, i, &random);
        at_ms += (1.5 + 6 * uniform(&random)) * HOUR_MS;
        if (parts_random(&random, 100) < RETURN_PERCENT && at_ms < DAY_MS && count < max)
            count = plan_talk(messages, count, max, at_ms, i, &random);
    }
    qsort(messages, count, sizeof(messages[0]), by_time);
    return count;
}

static int live_day(struct memory *memory, const struct message *messages, size_t count)
{
    int64_t start_ms = clock_now_ms();

    for (size_t i = 0; i < count; i++) {
        struct conversation *conversation = NULL;
        char key[PARTS_KEY_BYTES];
        int64_t early_ms = start_ms + (int64_t)messages[i].at_ms - clock_now_ms();

        if (early_ms > 0)
            usleep((useconds_t)early_ms * 1000);
        parts_key(key, messages[i].conversation);
        if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, NULL) < 0)
            return -1;
        memory_conversation_end(memory, conversation);
    }
    return 0;
}

int bench_day(const struct bench_size *size)
{
    enum { MAX = 100000 };
    struct memory_options options = parts_options(size->directory);
    struct metrics *metrics = metrics_new();
    AUTO_FREE struct message *messages = xcalloc(MAX, sizeof(*messages));
    size_t count = plan_day(messages, MAX);
    struct memory_stats stats;
    struct memory *memory;
    double known;

    options.cache_ttl_ms = (int64_t)HOUR_MS;
    memory = parts_open(&options, metrics);
    if (!memory || live_day(memory, messages, count) < 0)
        return 1;
    memory_get_stats(memory, &stats);
    /* What was never said before can be in no cache. */
    known = (double)count - PEOPLE * THREADS_A_DAY;
    report_note("%zu messages in %d conversations; cache_ttl 1 h; floor: nothing ever leaves",
                count, PEOPLE * THREADS_A_DAY);
    report_row(&(struct report_row){ .figure = "conversations that were in RAM when wanted",
                                     .unit = "%",
                                     .value = 100.0 * (double)stats.hits / (double)count,
                                     .floor = 100 * known / (double)count });
    report_row(&(struct report_row){ .figure = "the same, of those that had begun",
                                     .unit = "%",
                                     .value = 100.0 * (double)stats.hits / known,
                                     .floor = 100 });
    memory_close(memory);
    metrics_free(metrics);
    return 0;
}
