#include "memory/files_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/random.h"
#include "memory/files_dir_parts.h"
#include "memory/files_doc.h"

#define LOG_MODULE "memory.files"
#include "base/log.h"

/* Creates `name` with the JSON in it, durable but for its name. */
static int write_document(const struct files_dir *dir, enum files_folder folder,
                          const char *name, const json_t *root, struct err *err)
{
    AUTO_FD int fd = -1;
    AUTO_BUF struct buf bytes = { 0 };

    buf_init(&bytes, FILES_MAX_BYTES);
    files_doc_print(root, &bytes);
    if (buf_finish(&bytes, err) < 0)
        return -1;
    fd = openat(dir->fds[folder], name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return files_fail(dir, folder, "create", name, err);
    if (file_write_all(fd, buf_text(&bytes), bytes.len) < 0 || fsync(fd) < 0) {
        files_fail(dir, folder, "write", name, err);
        unlinkat(dir->fds[folder], name, 0);
        return -1;
    }
    return 0;
}

/* The new file under another name for now, in *ret_temporary. */
static int prepare(const struct files_dir *dir, enum files_folder folder, const json_t *root,
                   char **ret_temporary, struct err *err)
{
    AUTO_FREE char *temporary = NULL;
    char random[9];

    random_hex(random, 4);
    temporary = xasprintf(".%s" FILES_TEMPORARY, random);
    if (write_document(dir, folder, temporary, root, err) < 0)
        return -1;
    *ret_temporary = take_ptr(&temporary);
    return 0;
}

/* `temporary` NULL: the file goes. What is done already is no error. */
static int move_in_place(const struct files_dir *dir, enum files_folder folder,
                         const char *temporary, const char *name, struct err *err)
{
    int fd = dir->fds[folder];
    int rc = temporary ? renameat(fd, temporary, fd, name) : unlinkat(fd, name, 0);

    return rc < 0 && errno != ENOENT ? files_fail(dir, folder, "replace", name, err) : 0;
}

static int sync_folder(const struct files_dir *dir, enum files_folder folder, struct err *err)
{
    return fsync(dir->fds[folder]) < 0 ? files_fail(dir, folder, "sync", "", err) : 0;
}

/* `batch` is what .batch holds. May be done twice. */
static int carry_out(const struct files_dir *dir, const json_t *batch, struct err *err)
{
    const json_t *change;
    size_t i;

    json_array_foreach(json_object_get(batch, "changes"), i, change)
    {
        const char *name = json_string_value(json_object_get(change, "name"));
        json_int_t folder = json_integer_value(json_object_get(change, "folder"));

        if (!name || folder < 0 || folder >= FILES_FOLDERS)
            return err_set(err, ERR_SYSTEM, "%s/" FILES_BATCH " is damaged", dir->path);
        if (move_in_place(dir, (enum files_folder)folder,
                          json_string_value(json_object_get(change, "temporary")), name,
                          err) < 0)
            return -1;
    }
    for (int folder = 0; folder < FILES_FOLDERS; folder++) {
        if (sync_folder(dir, (enum files_folder)folder, err) < 0)
            return -1;
    }
    /* Durably gone: carried out again later, it would undo what followed. */
    if (move_in_place(dir, FILES_CONVERSATIONS, NULL, FILES_BATCH, err) < 0)
        return -1;
    return sync_folder(dir, FILES_CONVERSATIONS, err);
}

int files_carry_out_leftover(struct files_dir *dir, struct err *err)
{
    AUTO_BUF struct buf bytes = { 0 };
    json_error_t error;
    json_t *batch;
    struct err why = { 0 };
    int rc;

    if (faccessat(dir->fds[FILES_CONVERSATIONS], FILES_BATCH, F_OK, 0) < 0)
        return 0;
    buf_init(&bytes, FILES_MAX_BYTES);
    if (files_read_bytes(dir, FILES_CONVERSATIONS, FILES_BATCH, &bytes, err) <= 0)
        return -1;
    batch = json_loadb(buf_text(&bytes), bytes.len, 0, &error);
    if (!batch) {
        err_set(&why, ERR_INPUT, "line %d: %s", error.line, error.text);
        return files_put_aside(dir, FILES_CONVERSATIONS, FILES_BATCH, &why, err);
    }
    log_info("a change that was cut short is carried out: files=%zu",
             json_array_size(json_object_get(batch, "changes")));
    rc = carry_out(dir, batch, err);
    json_decref(batch);
    return rc;
}

/* Before the change can be seen: who notices waits for the lock, and so for the change. */
static int announce(const struct files_dir *dir, struct err *err)
{
    AUTO_FREE char *digits = xasprintf("%020lld", (long long)files_read_visits(dir) + 1);

    return pwrite(dir->visited_fd, digits, FILES_COUNTER, 0) == FILES_COUNTER
               ? 0
               : files_fail(dir, FILES_CONVERSATIONS, "write", FILES_VISITED, err);
}

static int commit_one(struct files_dir *dir, const struct files_change *change, struct err *err)
{
    AUTO_FREE char *temporary = NULL;

    if (change->root && prepare(dir, change->folder, change->root, &temporary, err) < 0)
        return -1;
    if ((!dir->announces || announce(dir, err) == 0) &&
        move_in_place(dir, change->folder, temporary, change->name, err) == 0)
        return sync_folder(dir, change->folder, err);
    if (temporary)
        unlinkat(dir->fds[change->folder], temporary, 0);
    return -1;
}

/* Every new file durable under its temporary name; *ret_batch tells what is to follow. */
static int prepare_all(const struct files_dir *dir, const struct files_change *changes,
                       size_t count, json_t *list, struct err *err)
{
    bool touched[FILES_FOLDERS] = { false };

    for (size_t i = 0; i < count; i++) {
        AUTO_FREE char *temporary = NULL;

        if (changes[i].root &&
            prepare(dir, changes[i].folder, changes[i].root, &temporary, err) < 0)
            return -1;
        json_array_append_new(list,
                              json_pack("{s:i, s:s, s:s*}", "folder", (int)changes[i].folder,
                                        "name", changes[i].name, "temporary", temporary));
        touched[changes[i].folder] = temporary != NULL || touched[changes[i].folder];
    }
    for (int folder = 0; folder < FILES_FOLDERS; folder++) {
        if (touched[folder] && sync_folder(dir, (enum files_folder)folder, err) < 0)
            return -1;
    }
    return 0;
}

static void remove_prepared(const struct files_dir *dir, const json_t *list)
{
    const json_t *change;
    size_t i;

    json_array_foreach(list, i, change)
    {
        const char *temporary = json_string_value(json_object_get(change, "temporary"));

        if (temporary)
            unlinkat(dir->fds[json_integer_value(json_object_get(change, "folder"))], temporary,
                     0);
    }
}

static int commit_many(struct files_dir *dir, const struct files_change *changes, size_t count,
                       struct err *err)
{
    json_auto_t *batch = json_pack("{s:[]}", "changes");
    json_t *list = json_object_get(batch, "changes");
    AUTO_FREE char *temporary = NULL;
    int fd = dir->fds[FILES_CONVERSATIONS];

    if (prepare_all(dir, changes, count, list, err) == 0 &&
        prepare(dir, FILES_CONVERSATIONS, batch, &temporary, err) == 0 &&
        (!dir->announces || announce(dir, err) == 0)) {
        if (renameat(fd, temporary, fd, FILES_BATCH) == 0) {
            /* Seen by everybody, so it must not be taken back any more. */
            return sync_folder(dir, FILES_CONVERSATIONS, err) < 0 ? -1
                                                                  : carry_out(dir, batch, err);
        }
        files_fail(dir, FILES_CONVERSATIONS, "replace", FILES_BATCH, err);
    }
    if (temporary)
        unlinkat(fd, temporary, 0);
    remove_prepared(dir, list);
    return -1;
}

int files_commit(struct files_dir *dir, const struct files_change *changes, size_t count,
                 struct err *err)
{
    if (count == 0)
        return 0;
    return count == 1 ? commit_one(dir, changes, err) : commit_many(dir, changes, count, err);
}
