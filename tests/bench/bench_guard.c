/*
 * bench_guard.c - what the leak guard costs: CPU time for each piece of a streamed answer, with
 * two hundred secrets known, over prose and over what gives it most to think about.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "bot/guard.h"
#include "tests/bench/report.h"

#define SECRETS      200
#define STREAM_BYTES ((size_t)4 << 20)
#define WORD_BYTES   6
#define LINE_BYTES   100

static int64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct config *make_config(void)
{
    char path[] = "/tmp/bench-guard-XXXXXX";
    AUTO_FD int fd = mkstemp(path);
    AUTO_FREE char *secrets = xasprintf("%s.secrets", path);
    struct config *config = NULL;
    AUTO_BUF struct buf problems = { 0 };
    struct err err = { 0 };
    FILE *file = fopen(secrets, "we");

    buf_init(&problems, 4096);
    for (int i = 0; file && i < SECRETS; i++)
        fprintf(file, "SECRET_%d=%08x%08x-%08x\n", i, (unsigned)i * 2654435761U,
                (unsigned)i * 40503U, (unsigned)i * 2246822519U);
    if (file)
        fclose(file);
    dprintf(fd, "guard: { secret_files: [%s] }\n", secrets);
    if (config_load(path, false, &config, &problems, &err) < 0)
        fprintf(stderr, "bench_guard: %s\n%s", err.message, buf_text(&problems));
    unlink(path);
    return config;
}

static void fill(struct buf *text, const char *unit)
{
    while (text->len + strlen(unit) < STREAM_BYTES)
        buf_append_text(text, unit);
}

/* CPU time for each piece; `guard` NULL: the floor, which copies. */
static double measure(struct guard *guard, const struct buf *text, size_t piece)
{
    struct guard_stream *stream = guard ? guard_stream_new(guard) : NULL;
    AUTO_BUF struct buf out = { 0 };
    int64_t before_ns = cpu_ns();
    size_t pieces = 0;

    buf_init(&out, STREAM_BYTES * 2);
    for (size_t at = 0; at + piece <= text->len; at += piece, pieces++) {
        if (guard)
            guard_stream_append(stream, text->data + at, piece, &out);
        else
            buf_append(&out, text->data + at, piece);
    }
    guard_stream_free(stream);
    return (double)(cpu_ns() - before_ns) / 1000.0 / (double)pieces;
}

static void row(struct guard *guard, const struct buf *text, size_t piece, const char *figure,
                double target_us)
{
    report_row(&(struct report_row){ .figure = figure,
                                     .unit = "us",
                                     .value = measure(guard, text, piece),
                                     .floor = measure(NULL, text, piece),
                                     .goal = REPORT_AT_MOST,
                                     .target = target_us });
}

int main(void)
{
    static const char prose[] =
        "The session key is read in `auth.c`, which asks the store for a token before it "
        "answers; see commit 8d3fe84aa1b2c3d4e5f60718293a4b5c6d7e8f90.\n";
    struct config *config = make_config();
    struct metrics *metrics = metrics_new();
    struct guard *guard = NULL;
    struct buf text;
    struct err err = { 0 };

    if (!config || guard_new(config, metrics, &guard, &err) < 0) {
        fprintf(stderr, "bench_guard: %s\n", err.message);
        return 1;
    }
    report_title("the leak guard, CPU for each piece of an answer");
    buf_init(&text, STREAM_BYTES * 2);
    fill(&text, prose);
    row(guard, &text, WORD_BYTES, "a word of prose", 3);
    row(guard, &text, LINE_BYTES, "a line of prose", 5);
    buf_clear(&text);
    fill(&text, "sk-");
    row(guard, &text, LINE_BYTES, "a line of what begins a key again and again", 20);
    report_note("%d secrets known, each in every form", SECRETS);
    buf_deinit(&text);
    guard_free(guard);
    metrics_free(metrics);
    config_unref(config);
    return 0;
}
