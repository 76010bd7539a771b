#include "agent/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"

#define META_MAX_BYTES ((size_t)1024 * 1024)

void agent_meta_deinit(struct agent_meta *meta)
{
    for (size_t i = 0; meta->argv && meta->argv[i]; i++)
        free(meta->argv[i]);
    free(meta->argv);
    free(meta->dialect);
    free(meta->workspace);
    fence_spec_deinit(&meta->fence);
    memset(meta, 0, sizeof(*meta));
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t put = write(fd, bytes, len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        bytes += put;
        len -= (size_t)put;
    }
    return 0;
}

int agent_meta_write_file(const char *run_dir, const char *name, const void *bytes, size_t len,
                          struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, name);
    AUTO_FREE char *temporary = xasprintf("%s.tmp", path);
    AUTO_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "create %s", temporary);
    if (write_all(fd, bytes, len) != 0 || rename(temporary, path) != 0) {
        err_set_errno(err, ERR_SYSTEM, "write %s", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

int agent_meta_write(const char *run_dir, const struct agent_meta *meta, struct err *err)
{
    json_auto_t *argv = json_array();
    json_auto_t *root = NULL;
    AUTO_FREE char *text = NULL;
    char ticks[32]; /* as text: a JSON number may not hold 64 bits */

    for (size_t i = 0; meta->argv[i]; i++) {
        if (json_array_append_new(argv, json_string(meta->argv[i])) != 0)
            return err_set(err, ERR_INPUT, "argument %zu of the agent is not UTF-8", i);
    }
    snprintf(ticks, sizeof(ticks), "%" PRIu64, meta->start_ticks);
    root = json_pack("{s:s, s:s, s:O, s:I, s:I, s:i, s:s, s:s}", "dialect", meta->dialect,
                     "workspace", meta->workspace, "argv", argv, "max_output_bytes",
                     (json_int_t)meta->max_output_bytes, "started_wall_s",
                     (json_int_t)meta->started_wall_s, "pid", (int)meta->pid, "start_ticks",
                     ticks, "boot_id", meta->boot_id);
    if (!root)
        return err_set(err, ERR_INPUT, "the workspace's path is not UTF-8");
    if (fence_spec_pack(&meta->fence, root, err) != 0)
        return -1;
    text = json_dumps(root, JSON_COMPACT);
    return agent_meta_write_file(run_dir, AGENT_FILE_META, text, strlen(text), err);
}

static int unpack(const json_t *root, struct agent_meta *meta, struct err *err)
{
    const char *dialect = NULL, *workspace = NULL, *ticks = NULL, *boot_id = NULL;
    json_t *argv = NULL;
    json_int_t max_output = 0, started = 0;
    int pid = 0;
    json_error_t why;

    if (json_unpack_ex((json_t *)root, &why, 0, "{s:s, s:s, s:o, s:I, s:I, s:i, s:s, s:s}",
                       "dialect", &dialect, "workspace", &workspace, "argv", &argv,
                       "max_output_bytes", &max_output, "started_wall_s", &started, "pid", &pid,
                       "start_ticks", &ticks, "boot_id", &boot_id) != 0)
        return err_set(err, ERR_INPUT, "%s", why.text);
    if (json_array_size(argv) == 0)
        return err_set(err, ERR_INPUT, "no argv");
    meta->argv = xcalloc(json_array_size(argv) + 1, sizeof(*meta->argv));
    for (size_t i = 0; i < json_array_size(argv); i++) {
        const char *text = json_string_value(json_array_get(argv, i));

        if (!text)
            return err_set(err, ERR_INPUT, "argument %zu is not a string", i);
        meta->argv[i] = xstrdup(text);
    }
    meta->dialect = xstrdup(dialect);
    meta->workspace = xstrdup(workspace);
    meta->max_output_bytes = max_output;
    meta->started_wall_s = started;
    meta->pid = (pid_t)pid;
    meta->start_ticks = strtoull(ticks, NULL, 10);
    snprintf(meta->boot_id, sizeof(meta->boot_id), "%s", boot_id);
    return fence_spec_unpack(root, &meta->fence, err);
}

int agent_meta_read(const char *run_dir, struct agent_meta *ret_meta, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, AGENT_FILE_META);
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *root = NULL;
    json_error_t why;
    struct agent_meta meta = { 0 };

    /* Only what is not there may be started anew; what cannot be read may well be running. */
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return err_set(err, ERR_INPUT, "%s does not exist", path);
    buf_init(&text, META_MAX_BYTES);
    if (file_read(path, &text, err) != 0)
        return -1;
    root = json_loadb(buf_text(&text), text.len, 0, &why);
    if (!root)
        return err_set(err, ERR_INPUT, "%s: %s", path, why.text);
    if (unpack(root, &meta, err) != 0) {
        agent_meta_deinit(&meta);
        return err_wrap(err, "%s", path);
    }
    *ret_meta = meta;
    return 0;
}
