#include "agent/run_exit.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/meta.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"

#define EXIT_BYTES 256 /* reserved; blanks behind the JSON */

static const char *const by_names[] = {
    [RUN_EXIT_BY_ITSELF] = "itself",
    [RUN_EXIT_BY_REQUEST] = "request",
    [RUN_EXIT_BY_FIRST_OUTPUT] = "first_output",
    [RUN_EXIT_BY_IDLE] = "idle",
    [RUN_EXIT_BY_TIMEOUT] = "timeout",
    [RUN_EXIT_BY_DISK] = "disk",
    [RUN_EXIT_BY_OUTPUT] = "output",
};

int run_exit_reserve(const char *run_dir)
{
    AUTO_FREE char *path = xasprintf("%s/%s.tmp", run_dir, AGENT_FILE_EXIT);
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char blanks[EXIT_BYTES];

    memset(blanks, ' ', sizeof(blanks));
    if (fd < 0 || file_write_all(fd, blanks, sizeof(blanks)) != 0)
        return -1;
    return take_fd(&fd);
}

void run_exit_write(const char *run_dir, int reserved_fd, const struct run_exit *how)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, AGENT_FILE_EXIT);
    AUTO_FREE char *temporary = xasprintf("%s.tmp", path);
    char text[EXIT_BYTES];
    size_t len = (size_t)snprintf(
        text, sizeof(text),
        "{\"version\":1,\"has_status\":%s,\"code\":%d,\"status\":%d,\"by\":\"%s\","
        "\"is_over\":%s,\"left\":%zu,\"duration_ms\":%" PRId64 "}",
        how->has_status ? "true" : "false", how->code, how->status, by_names[how->by],
        how->is_over ? "true" : "false", how->left, how->duration_ms);

    if (reserved_fd < 0) {
        agent_meta_write_file(run_dir, AGENT_FILE_EXIT, text, len, NULL);
        return;
    }
    memset(text + len, ' ', sizeof(text) - len); /* over what an earlier one wrote */
    if (pwrite(reserved_fd, text, sizeof(text), 0) == (ssize_t)sizeof(text))
        rename(temporary, path); /* not there the second time, when it has its name already */
}

static bool read_small(const char *run_dir, const char *name, struct buf *out)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, name);

    buf_init(out, 4096);
    return access(path, F_OK) == 0 && file_read(path, out, NULL) == 0;
}

bool run_exit_read(const char *run_dir, struct run_exit *ret_how)
{
    AUTO_BUF struct buf bytes = { 0 };
    json_auto_t *root = NULL;
    struct run_exit how = { 0 };
    const char *by = NULL;
    json_int_t left = 0, duration_ms = 0;
    int has_status = 0, is_over = 0;

    if (!read_small(run_dir, AGENT_FILE_EXIT, &bytes))
        return false;
    root = json_loadb(buf_text(&bytes), bytes.len, 0, NULL);
    if (!root ||
        json_unpack(root, "{s:b, s:i, s:i, s:s, s:b, s:I, s:I}", "has_status", &has_status,
                    "code", &how.code, "status", &how.status, "by", &by, "is_over", &is_over,
                    "left", &left, "duration_ms", &duration_ms) != 0)
        return false;
    how.has_status = has_status;
    how.is_over = is_over;
    how.left = (size_t)left;
    how.duration_ms = duration_ms;
    for (size_t i = 0; i < ARRAY_LEN(by_names); i++) {
        if (strcmp(by_names[i], by) == 0)
            how.by = (enum run_exit_by)i;
    }
    *ret_how = how;
    return true;
}

void run_exit_note_verdict(const char *run_dir, enum agent_outcome verdict)
{
    const char *name = agent_outcome_name(verdict);

    agent_meta_write_file(run_dir, AGENT_FILE_VERDICT, name, strlen(name), NULL);
}

bool run_exit_read_verdict(const char *run_dir, enum agent_outcome *ret_verdict)
{
    AUTO_BUF struct buf name = { 0 };

    if (!read_small(run_dir, AGENT_FILE_VERDICT, &name))
        return false;
    for (int outcome = AGENT_OK; outcome <= AGENT_LOST; outcome++) {
        if (strcmp(agent_outcome_name((enum agent_outcome)outcome), buf_text(&name)) == 0) {
            *ret_verdict = (enum agent_outcome)outcome;
            return true;
        }
    }
    return false;
}
