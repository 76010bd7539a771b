/* What the store costs: filling it, opening it, one conversation by key, a turn. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "memory/commit.h"
#include "memory/rooms.h"
#include "tests/bench/measure.h"
#include "tests/bench/memory_parts.h"
#include "tests/bench/report.h"

#define BATCH_CONVERSATIONS 100
#define BATCH_TURNS         ((size_t)BATCH_CONVERSATIONS * PARTS_TURNS)
#define OPENINGS            5
#define LOADS               2000
#define COMMITS             1500
#define GROUP               10
#define GROUP_COMMITS       200 /* of each person */
#define ROUNDS              7
#define BYTES_PER_MB        1048576.0
#define US_PER_MS           1000.0

/* ---- plain SQLite ------------------------------------------------------------------------ */

static const char plain_schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "CREATE TABLE turn(id INTEGER PRIMARY KEY, conversation TEXT, role INTEGER, author TEXT,"
    " text TEXT, ts TEXT, at INTEGER);"
    "CREATE INDEX turn_conversation ON turn(conversation, id);";

static sqlite3 *plain_open(const char *directory)
{
    AUTO_FREE char *path = xasprintf("%s/plain.db", directory);
    sqlite3 *handle = NULL;

    if (sqlite3_open(path, &handle) != SQLITE_OK)
        fprintf(stderr, "bench_memory: %s\n", sqlite3_errmsg(handle));
    return handle;
}

static void plain_insert(sqlite3_stmt *insert, int number)
{
    char key[PARTS_KEY_BYTES];

    parts_key(key, number);
    for (int i = 0; i < PARTS_TURNS; i++) {
        struct memory_turn turn = parts_turn(number, i);

        sqlite3_bind_text(insert, 1, key, -1, SQLITE_STATIC);
        sqlite3_bind_int(insert, 2, (int)turn.role);
        sqlite3_bind_text(insert, 3, turn.author, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 4, turn.text, -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 5, turn.slack_ts, -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 6, turn.at_wall_s);
        sqlite3_step(insert);
        sqlite3_reset(insert);
    }
}

/* Seconds. */
static double plain_fill(const struct bench_size *size)
{
    sqlite3 *handle = plain_open(size->directory);
    sqlite3_stmt *insert = NULL;
    int64_t before_us = clock_now_us();

    sqlite3_exec(handle, plain_schema, NULL, NULL, NULL);
    sqlite3_prepare_v2(handle,
                       "INSERT INTO turn(conversation, role, author, text, ts, at)"
                       " VALUES(?,?,?,?,?,?)",
                       -1, &insert, NULL);
    for (int i = 0; i < size->disk_conversations; i++) {
        if (i % BATCH_CONVERSATIONS == 0)
            sqlite3_exec(handle, i ? "COMMIT; BEGIN" : "BEGIN", NULL, NULL, NULL);
        plain_insert(insert, i);
    }
    sqlite3_exec(handle, "COMMIT", NULL, NULL, NULL);
    sqlite3_finalize(insert);
    sqlite3_close(handle);
    return (double)(clock_now_us() - before_us) / 1e6;
}

static int64_t plain_load_us(const struct bench_size *size)
{
    sqlite3 *handle = plain_open(size->directory);
    sqlite3_stmt *select = NULL;
    int64_t took_us[LOADS];
    uint32_t random = 815;
    char key[PARTS_KEY_BYTES];

    sqlite3_prepare_v2(handle,
                       "SELECT role, author, text, ts, at FROM turn WHERE conversation = ?"
                       " ORDER BY id DESC LIMIT 10",
                       -1, &select, NULL);
    for (int i = 0; i < LOADS; i++) {
        parts_key(key, (int)parts_random(&random, (uint32_t)size->disk_conversations));
        took_us[i] = clock_now_us();
        sqlite3_bind_text(select, 1, key, -1, SQLITE_STATIC);
        while (sqlite3_step(select) == SQLITE_ROW)
            free(xstrdup((const char *)sqlite3_column_text(select, 2)));
        sqlite3_reset(select);
        took_us[i] = clock_now_us() - took_us[i];
    }
    sqlite3_finalize(select);
    sqlite3_close(handle);
    return measure_quantile(took_us, LOADS, 500);
}

static double file_mb(const char *directory, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);
    struct stat info = { 0 };

    return stat(path, &info) == 0 ? (double)info.st_size / BYTES_PER_MB : -1;
}

/* ---- the store --------------------------------------------------------------------------- */

struct filling {
    struct store_mutation mutations[BATCH_TURNS];
    struct memory_turn turns[BATCH_TURNS];
    char texts[BATCH_TURNS][PARTS_TEXT_BYTES + 1];
    char ts[BATCH_TURNS][32];
    char authors[BATCH_TURNS][16];
    char keys[BATCH_CONVERSATIONS][PARTS_KEY_BYTES];
    size_t count;
};

static const char *keep(char *place, size_t size, const char *text)
{
    snprintf(place, size, "%s", text);
    return place;
}

static void add_conversation(struct filling *filling, int number)
{
    char *key = filling->keys[filling->count / PARTS_TURNS];

    parts_key(key, number);
    for (int i = 0; i < PARTS_TURNS; i++) {
        size_t at = filling->count++;
        struct memory_turn *turn = &filling->turns[at];

        *turn = parts_turn(number, i);
        turn->text = keep(filling->texts[at], sizeof(filling->texts[at]), turn->text);
        turn->slack_ts = keep(filling->ts[at], sizeof(filling->ts[at]), turn->slack_ts);
        turn->author = keep(filling->authors[at], sizeof(filling->authors[at]), turn->author);
        filling->mutations[at] = (struct store_mutation){
            .kind = STORE_APPEND_TURN, .key = key, .turn = turn, .seq = turn->seq
        };
    }
}

/* Seconds, -1 when it fails. */
static double fill(struct memory *memory, const struct bench_size *size)
{
    struct filling *filling = xcalloc(1, sizeof(*filling));
    int64_t before_us = clock_now_us();
    struct err err = { 0 };
    int rc = 0;

    for (int i = 0; i < size->disk_conversations && rc == 0; i++) {
        add_conversation(filling, i);
        if (filling->count < BATCH_TURNS && i + 1 < size->disk_conversations)
            continue;
        rc = commit_mutations(&memory->path, filling->mutations, filling->count, &err);
        filling->count = 0;
    }
    free(filling);
    if (rc < 0)
        fprintf(stderr, "bench_memory: %s\n", err.message);
    return rc < 0 ? -1 : (double)(clock_now_us() - before_us) / 1e6;
}

static int measure_opening(const struct memory_options *options, struct metrics *metrics)
{
    int64_t took_us[OPENINGS];

    for (int i = 0; i < OPENINGS; i++) {
        struct memory *memory;

        took_us[i] = clock_now_us();
        memory = parts_open(options, metrics);
        took_us[i] = clock_now_us() - took_us[i];
        if (!memory)
            return 1;
        memory_close(memory);
    }
    report_row(&(struct report_row){ .figure = "ready to serve after a start",
                                     .unit = "ms",
                                     .value = (double)measure_quantile(took_us, OPENINGS, 500) /
                                              US_PER_MS,
                                     .goal = REPORT_AT_MOST,
                                     .target = 250 });
    return 0;
}

static int measure_loading(struct memory *memory, const struct bench_size *size)
{
    int64_t floor_us = plain_load_us(size);
    int64_t took_us[LOADS];
    uint32_t random = 815;
    size_t turns = 0;

    for (int i = 0; i < LOADS; i++) {
        struct conversation *conversation = NULL;
        char key[PARTS_KEY_BYTES];

        parts_key(key, (int)parts_random(&random, (uint32_t)size->disk_conversations));
        took_us[i] = clock_now_us();
        if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, NULL) < 0)
            return 1;
        took_us[i] = clock_now_us() - took_us[i];
        turns += memory_conversation_turns(conversation);
        memory_conversation_end(memory, conversation);
    }
    report_row(&(struct report_row){ .figure = "a conversation loaded by key, p50",
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, LOADS, 500),
                                     .floor = (double)floor_us,
                                     .goal = REPORT_AT_MOST,
                                     .target = 200 });
    report_row(&(struct report_row){ .figure = "a conversation loaded by key, p99",
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, LOADS, 990) });
    return turns == (size_t)LOADS * PARTS_TURNS ? 0 : 1;
}

static void print_filling(const struct bench_size *size, double seconds, double plain_seconds)
{
    double turns = (double)size->disk_conversations * PARTS_TURNS;
    double text_mb = turns * PARTS_TEXT_BYTES / BYTES_PER_MB;
    double plain_mb = file_mb(size->directory, "plain.db");

    report_note("%.0f turns, %.0f MB of text", turns, text_mb);
    report_row(&(struct report_row){ .figure = "imported, 1,000 turns a batch",
                                     .unit = "/s",
                                     .value = turns / seconds,
                                     .floor = turns / plain_seconds });
    report_row(&(struct report_row){ .figure = "database with its indexes",
                                     .unit = "MB",
                                     .value = file_mb(size->directory, "threadkeeper.db"),
                                     .floor = plain_mb });
}

int bench_disk(const struct bench_size *size)
{
    struct memory_options options = parts_options(size->directory);
    struct metrics *metrics = metrics_new();
    struct memory *memory = parts_open(&options, metrics);
    double seconds = memory ? fill(memory, size) : -1;
    int rc;

    memory_close(memory);
    if (seconds < 0)
        return 1;
    print_filling(size, seconds, plain_fill(size));
    rc = measure_opening(&options, metrics);
    memory = parts_open(&options, metrics);
    if (!memory)
        return 1;
    rc |= measure_loading(memory, size);
    memory_close(memory);
    metrics_free(metrics);
    return rc;
}

/* ---- a turn ------------------------------------------------------------------------------ */

struct talker {
    struct memory *memory;
    int number;
    int commits;
    int failures;
};

static void *talk(void *context)
{
    struct talker *talker = context;

    for (int i = 0; i < talker->commits; i++)
        talker->failures +=
            parts_commit_us(talker->memory, talker->number * 1000 + i % 100) < 0;
    return NULL;
}

/* Turns a second of `count` people at once; 0 when one fails. */
static double rate(struct memory *memory, int count, int commits)
{
    struct talker talkers[2 * GROUP];
    pthread_t threads[2 * GROUP];
    int64_t before_us = clock_now_us();
    int failures = 0;

    for (int i = 0; i < count; i++) {
        talkers[i] = (struct talker){ .memory = memory, .number = 100 + i, .commits = commits };
        pthread_create(&threads[i], NULL, talk, &talkers[i]);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        failures += talkers[i].failures;
    }
    return failures ? 0 : count * commits * 1e6 / (double)(clock_now_us() - before_us);
}

/* Before and after: the disk of a shared machine changes its mind. */
static int measure_single(struct memory *memory, const char *directory)
{
    int64_t took_us[COMMITS];
    int64_t before_us = measure_append_us(directory);
    double floor_us;

    for (int i = 0; i < COMMITS; i++) {
        took_us[i] = parts_commit_us(memory, i % 50);
        if (took_us[i] < 0)
            return 1;
    }
    floor_us = (double)(before_us + measure_append_us(directory)) / 2;
    report_row(&(struct report_row){ .figure = "question and answer committed, p50",
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, COMMITS, 500),
                                     .floor = floor_us,
                                     .goal = REPORT_AT_MOST,
                                     .target = 1.5,
                                     .is_ratio = true });
    report_row(&(struct report_row){ .figure = "question and answer committed, p99",
                                     .unit = "us",
                                     .value = (double)measure_quantile(took_us, COMMITS, 990),
                                     .floor = floor_us });
    return 0;
}

/* Twenty people make ten turns a commit: while one batch is being written, the next
 * one forms. Several times, for the disk of a shared machine changes its mind. */
static void measure_group(struct memory *memory, struct metrics *metrics)
{
    struct metric *commits = metrics_counter(metrics, "journal_commits_total", "", "");
    int64_t alone[ROUNDS];
    int64_t ten[ROUNDS];
    int64_t grouped[ROUNDS];
    int64_t before = 0;
    int64_t in_commits = 0;

    for (int i = 0; i < ROUNDS; i++) {
        alone[i] = (int64_t)rate(memory, 1, GROUP_COMMITS);
        ten[i] = (int64_t)rate(memory, GROUP, GROUP_COMMITS);
        before = metric_value(commits);
        grouped[i] = (int64_t)rate(memory, 2 * GROUP, GROUP_COMMITS);
        in_commits += metric_value(commits) - before;
    }
    report_row(&(struct report_row){ .figure = "turns a second, of ten people (floor: of one)",
                                     .unit = "/s",
                                     .value = (double)measure_quantile(ten, ROUNDS, 500),
                                     .floor = (double)measure_quantile(alone, ROUNDS, 500) });
    report_row(&(struct report_row){ .figure = "turns a second, ten a commit (floor: one)",
                                     .unit = "/s",
                                     .value = (double)measure_quantile(grouped, ROUNDS, 500),
                                     .floor = (double)measure_quantile(alone, ROUNDS, 500),
                                     .goal = REPORT_AT_LEAST,
                                     .target = 5,
                                     .is_ratio = true });
    report_note("of twenty people: %.1f turns in a commit",
                2.0 * GROUP * GROUP_COMMITS * ROUNDS / (double)in_commits);
}

int bench_commit(const struct bench_size *size)
{
    struct memory_options options = parts_options(size->directory);
    struct metrics *metrics = metrics_new();
    struct memory *memory = parts_open(&options, metrics);
    int rc;

    if (!memory)
        return 1;
    rc = measure_single(memory, size->directory);
    measure_group(memory, metrics);
    memory_close(memory);
    metrics_free(metrics);
    return rc;
}
