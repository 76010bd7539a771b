/*
 * bench_memory.c - the memory room beside plain SQLite, plain uthash and the raw bytes, all
 * measured in this run.
 *
 *   bench_memory [CONVERSATIONS [PART]]     default: 1000000, all parts
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "tests/bench/memory_parts.h"
#include "tests/bench/report.h"

#define DISK_SHARE 10 /* a million stored turns for a million conversations */

static const struct {
    const char *name;
    const char *title; /* NULL: goes on with the table above */
    int (*run)(const struct bench_size *size);
} parts[] = {
    { "packed", "Conversations in RAM (floor: their text)", bench_ram_packed },
    { "plain", NULL, bench_ram_plain },
    { "bound", NULL, bench_ram_bound },
    { "disk", "The store (floor: plain SQLite)", bench_disk },
    { "commit", "A turn (floor: append + fdatasync)", bench_commit },
    { "snapshot", NULL, bench_snapshot },
    { "context", "Context of a conversation with 50 messages", bench_context },
    { "users", "1,000 users at once (floor: append + fdatasync)", bench_users },
    { "day", "A day of 500 people, an hour in a quarter second", bench_day },
};

/* In a process of its own and a directory of its own. */
static int run_part(size_t part, struct bench_size size)
{
    char directory[] = "/tmp/bench-memory-XXXXXX";
    int status = 1;
    pid_t pid;

    if (!mkdtemp(directory)) {
        perror(directory);
        return 1;
    }
    size.directory = directory;
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        exit(parts[part].run(&size));
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        perror("bench_memory");
    file_remove_tree(directory, NULL);
    if (status != 0)
        fprintf(stderr, "bench_memory: %s failed\n", parts[part].name);
    return status != 0;
}

int main(int argc, char **argv)
{
    long conversations = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    struct bench_size size = { .conversations = (int)conversations,
                               .disk_conversations = (int)conversations / DISK_SHARE };
    int rc = 0;

    if (conversations < 1000 || conversations > 10000000) {
        fprintf(stderr, "usage: bench_memory [1000 to 10000000 [PART]]\n");
        return 2;
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (argc > 2 && strcmp(argv[2], parts[i].name) != 0)
            continue;
        if (parts[i].title || argc > 2)
            report_title(parts[i].title ? parts[i].title : "");
        rc |= run_part(i, size);
    }
    return rc;
}
