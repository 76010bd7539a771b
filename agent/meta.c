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
    fence_spec_deinit(&meta->fence);
    free(meta->dialect);
    free(meta->workspace);
    memset(meta, 0, sizeof(*meta));
}

int agent_meta_write_file(const char *run_dir, const char *name, const void *bytes, size_t len,
                          struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, name);
    AUTO_FREE char *temporary = xasprintf("%s.tmp", path);
    AUTO_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "create %s", temporary);
    if (file_write_all(fd, bytes, len) != 0 || rename(temporary, path) != 0) {
        err_set_errno(err, ERR_SYSTEM, "write %s", path);
        unlink(temporary);
        return -1;
    }
    return 0;
}

/* A new array; NULL when a string is not UTF-8. */
static json_t *pack_list(char *const *list)
{
    json_t *array = json_array();

    for (size_t i = 0; list[i]; i++) {
        if (json_array_append_new(array, json_string(list[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* Start ticks travel as text: a JSON number may not hold 64 bits. */
static int put_ticks(json_t *root, const char *key, uint64_t ticks)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, ticks);
    return json_object_set_new(root, key, json_string(text));
}

static json_t *pack(const struct agent_meta *meta, struct err *err)
{
    json_t *root =
        json_pack("{s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:s, s:b, s:i}",
                  "dialect", meta->dialect, "workspace", meta->workspace, "argv",
                  pack_list(meta->argv), "max_output_bytes", (json_int_t)meta->max_output_bytes,
                  "started_wall_s", (json_int_t)meta->started_wall_s, "first_output_timeout_ms",
                  (json_int_t)meta->first_output_timeout_ms, "idle_timeout_ms",
                  (json_int_t)meta->idle_timeout_ms, "timeout_ms", (json_int_t)meta->timeout_ms,
                  "kill_grace_ms", (json_int_t)meta->kill_grace_ms, "pid", (int)meta->pid,
                  "boot_id", meta->boot_id, "is_supervised", (int)meta->is_supervised,
                  "agent_pid", (int)meta->agent_pid);

    if (!root || put_ticks(root, "start_ticks", meta->start_ticks) != 0 ||
        put_ticks(root, "agent_ticks", meta->agent_ticks) != 0)
        err_set(err, ERR_INPUT, "an argument or a path of the agent is not UTF-8");
    else if (fence_spec_pack(&meta->fence, root, err) == 0)
        return root;
    json_decref(root);
    return NULL;
}

int agent_meta_write(const char *run_dir, const struct agent_meta *meta, bool is_durable,
                     struct err *err)
{
    json_auto_t *root = pack(meta, err);
    AUTO_FREE char *path = xasprintf("%s/%s", run_dir, AGENT_FILE_META);
    AUTO_FREE char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (!root)
        return -1;
    if (is_durable)
        return file_write(path, text, strlen(text), 0600, err);
    return agent_meta_write_file(run_dir, AGENT_FILE_META, text, strlen(text), err);
}

static int unpack_argv(const json_t *array, char ***ret_argv, struct err *err)
{
    if (json_array_size(array) == 0)
        return err_set(err, ERR_INPUT, "no argv");
    *ret_argv = xcalloc(json_array_size(array) + 1, sizeof(**ret_argv));
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));

        if (!text)
            return err_set(err, ERR_INPUT, "argument %zu is not a string", i);
        (*ret_argv)[i] = xstrdup(text);
    }
    return 0;
}

static int64_t read_int(const json_t *root, const char *key)
{
    return json_integer_value(json_object_get(root, key));
}

static uint64_t read_ticks(const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));

    return text ? strtoull(text, NULL, 10) : 0;
}

static void unpack_identity(const json_t *root, struct agent_meta *meta)
{
    const char *boot_id = json_string_value(json_object_get(root, "boot_id"));

    meta->pid = (pid_t)read_int(root, "pid");
    meta->start_ticks = read_ticks(root, "start_ticks");
    snprintf(meta->boot_id, sizeof(meta->boot_id), "%s", boot_id ? boot_id : "");
    meta->is_supervised = json_is_true(json_object_get(root, "is_supervised"));
    meta->agent_pid = (pid_t)read_int(root, "agent_pid");
    meta->agent_ticks = read_ticks(root, "agent_ticks");
}

static int unpack(const json_t *root, struct agent_meta *meta, struct err *err)
{
    const char *dialect = NULL, *workspace = NULL;
    json_error_t why;

    if (json_unpack_ex((json_t *)root, &why, 0, "{s:s, s:s}", "dialect", &dialect, "workspace",
                       &workspace) != 0)
        return err_set(err, ERR_INPUT, "%s", why.text);
    meta->dialect = xstrdup(dialect);
    meta->workspace = xstrdup(workspace);
    meta->max_output_bytes = read_int(root, "max_output_bytes");
    meta->started_wall_s = read_int(root, "started_wall_s");
    meta->first_output_timeout_ms = read_int(root, "first_output_timeout_ms");
    meta->idle_timeout_ms = read_int(root, "idle_timeout_ms");
    meta->timeout_ms = read_int(root, "timeout_ms");
    meta->kill_grace_ms = read_int(root, "kill_grace_ms");
    unpack_identity(root, meta);
    if (unpack_argv(json_object_get(root, "argv"), &meta->argv, err) != 0)
        return -1;
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
