/*
 * The scenario "files": says what lies in the run's inbox, and leaves in its outbox what it is
 * told to. README.md lists the parameters.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "tests/agent_double/acts.h"
#include "tests/agent_double/emit.h"

#define ANSWER_MAX_BYTES 65536
#define FIRST_BYTES      24

/* The run's directory is where the prompt lies. */
static void find_run_dir(char *out, size_t size)
{
    ssize_t len = readlink("/proc/self/fd/0", out, size - 1);
    char *slash;

    out[len > 0 ? len : 0] = '\0';
    slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
}

/* ---- the inbox ---- */

static void tell_file(const char *dir, const char *name, const char *prompt, struct buf *out)
{
    AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    char first[FIRST_BYTES + 1] = "";
    size_t got = file ? fread(first, 1, FIRST_BYTES, file) : 0;
    struct stat info = { 0 };

    for (size_t i = 0; i < got; i++) {
        if (first[i] < ' ' || first[i] > '~' || first[i] == '"')
            first[i] = '.';
    }
    if (file)
        fstat(fileno(file), &info);
    buf_printf(out, "%s %lld bytes '%s'%s; ", name, (long long)info.st_size, first,
               strstr(prompt, path) ? " named" : "");
    if (file)
        fclose(file);
}

static void tell_inbox(const char *run_dir, const char *prompt, struct buf *out)
{
    AUTO_FREE char *dir = xasprintf("%s/inbox", run_dir);
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, alphasort);

    buf_append_text(out, "In the inbox: ");
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            tell_file(dir, entries[i]->d_name, prompt, out);
        free(entries[i]);
    }
    free(entries);
    buf_append_text(out, count > 2 ? "that is all." : "nothing.");
}

/* ---- the outbox ---- */

static void make_parents(char *path)
{
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return;
    fputs(text, file);
    fclose(file);
}

static void write_zeros(const char *path, const char *size)
{
    write_file(path, "");
    if (truncate(path, strtoll(size, NULL, 10)) != 0)
        unlink(path);
}

static void link_to(const char *path, const char *target)
{
    if (symlink(target, path) != 0)
        write_file(path, "no link");
}

static void hard_link_to(const char *path, const char *target)
{
    if (link(target, path) != 0)
        write_file(path, "no hard link");
}

static void copy_from(const char *path, const char *source)
{
    AUTO_BUF struct buf bytes = { 0 };
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    buf_init(&bytes, (size_t)64 << 20);
    if (fd >= 0 && file_read(source, &bytes, NULL) == 0 &&
        file_write_all(fd, buf_text(&bytes), bytes.len) != 0)
        unlink(path);
}

static void make_pipe(const char *path, const char *nothing)
{
    (void)nothing;
    if (mkfifo(path, 0600) != 0)
        write_file(path, "no pipe");
}

/* "NAME:WHAT,NAME:WHAT" of one parameter. */
static void leave(const struct stage *stage, const char *outbox, const char *parameter,
                  void (*make)(const char *path, const char *what))
{
    AUTO_FREE char *list = xstrdup(scenario_text(stage->scenario, parameter, ""));
    char *rest = list;
    char *item;

    while ((item = strsep(&rest, ","))) {
        char *colon = strchr(item, ':');
        AUTO_FREE char *path = NULL;

        if (!*item)
            continue;
        if (colon)
            *colon = '\0';
        path = xasprintf("%s/%s", outbox, item);
        make_parents(path);
        make(path, colon ? colon + 1 : "");
    }
}

int act_files(const struct stage *stage)
{
    AUTO_BUF struct buf answer = { 0 };
    char run_dir[4096];
    AUTO_FREE char *outbox = NULL;
    const char *given = getenv("THREADKEEPER_OUTBOX"); /* NOLINT(concurrency-mt-unsafe) */
    int64_t count = scenario_number(stage->scenario, "count", 0);

    find_run_dir(run_dir, sizeof(run_dir));
    outbox = given ? xstrdup(given) : xasprintf("%s/outbox", run_dir);
    buf_init(&answer, ANSWER_MAX_BYTES);
    tell_inbox(run_dir, stage->prompt, &answer);
    emit_opening();
    emit_words(buf_text(&answer), 0);
    leave(stage, outbox, "write", write_file);
    leave(stage, outbox, "zeros", write_zeros);
    leave(stage, outbox, "copy", copy_from);
    leave(stage, outbox, "link", link_to);
    leave(stage, outbox, "hard", hard_link_to);
    leave(stage, outbox, "pipe", make_pipe);
    for (int64_t i = 0; i < count; i++) {
        AUTO_FREE char *path = xasprintf("%s/many-%03lld.txt", outbox, (long long)i);

        write_file(path, "one of many");
    }
    if (scenario_number(stage->scenario, "hang", 0))
        for (;;)
            pause();
    if (scenario_number(stage->scenario, "fail", 0))
        return 1;
    emit_result();
    return 0;
}
