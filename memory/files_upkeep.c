#include "memory/files_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "memory/files_dir_parts.h"

#define LOG_MODULE "memory.files"
#include "base/log.h"

#define PIECE_FILES   64 /* looked at in one piece */
#define PIECE_CHANGES 16 /* and changed, each for an fsync */

/* ---- sweeping ---------------------------------------------------------------------------- */

/* Of one file: what is too old in it. */
struct broom {
    int64_t before_wall_s;
    int64_t now_ms;
};

static bool is_old(const void *context, const json_t *turn)
{
    return files_number(turn, "stored") < ((const struct broom *)context)->before_wall_s;
}

static void erase_whole(json_t **root, struct store_swept *swept)
{
    swept->conversations++;
    swept->turns += (int64_t)json_array_size(json_object_get(*root, "turns"));
    swept->fields += (int64_t)json_array_size(json_object_get(*root, "fields"));
    json_decref(*root);
    *root = NULL;
}

/* A summary of what went would keep it; the next one is made from what is left. */
static void drop_outlived(json_t *root)
{
    const json_t *oldest = json_array_get(json_object_get(root, "turns"), 0);
    json_t *summaries = json_object_get(root, "summaries");

    for (size_t i = json_array_size(summaries); i-- > 0;) {
        int64_t first_seq = files_number(json_array_get(summaries, i), "first_seq");

        if (!oldest || first_seq < files_number(oldest, "seq"))
            json_array_remove(summaries, i);
    }
}

/* True when something went; *root is NULL when all of it did. */
static bool sweep_document(enum files_folder folder, json_t **root, const struct broom *broom,
                           struct store_swept *swept)
{
    int64_t turns;
    int64_t fields;

    if (folder == FILES_VALUES) {
        if (!files_has_expired(*root, broom->now_ms))
            return false;
        swept->values++;
        json_decref(*root);
        *root = NULL;
        return true;
    }
    if (files_number(*root, "touched") < broom->before_wall_s) {
        erase_whole(root, swept);
        return true;
    }
    turns = files_erase_turns(*root, is_old, broom);
    if (turns)
        drop_outlived(*root);
    fields = files_drop_expired(*root, broom->now_ms);
    swept->turns += turns;
    swept->fields += fields;
    return turns || fields;
}

/* Looks without the lock, and at what seems to be too old again with it. */
static int look_at(struct files_store *store, enum files_folder folder, const char *name,
                   const struct broom *broom, bool *ret_is_due, struct err *err)
{
    struct store_swept ignored = { 0 };
    json_t *root = NULL;
    int rc = files_read(store->dir, folder, name, &root, err);

    *ret_is_due = rc > 0 && sweep_document(folder, &root, broom, &ignored);
    json_decref(root);
    return rc < 0 ? -1 : 0;
}

static int sweep_due(struct files_store *store, struct files_change *changes, size_t count,
                     const struct broom *broom, struct store_swept *swept, struct err *err)
{
    json_t *roots[PIECE_CHANGES] = { NULL };
    struct files_change real[PIECE_CHANGES];
    struct store_swept piece = *swept;
    size_t changed = 0;
    int rc = files_lock(store->dir, err);

    if (rc < 0)
        return -1;
    for (size_t i = 0; rc >= 0 && i < count; i++) {
        rc = files_read_locked(store->dir, changes[i].folder, changes[i].name, &roots[i], err);
        if (rc > 0 && sweep_document(changes[i].folder, &roots[i], broom, &piece)) {
            real[changed] = changes[i];
            real[changed++].root = roots[i];
        }
    }
    if (rc >= 0)
        rc = files_commit(store->dir, real, changed, err);
    files_unlock(store->dir);
    for (size_t i = 0; i < count; i++)
        json_decref(roots[i]);
    if (rc == 0)
        *swept = piece;
    return rc;
}

static int begin_round(struct files_store *store, int64_t before_wall_s, struct err *err)
{
    int64_t removed;

    files_names_deinit(&store->left[FILES_CONVERSATIONS]);
    files_names_deinit(&store->left[FILES_VALUES]);
    if (files_names(store->dir, FILES_CONVERSATIONS, &store->left[FILES_CONVERSATIONS], err) <
            0 ||
        files_names(store->dir, FILES_VALUES, &store->left[FILES_VALUES], err) < 0 ||
        files_lock(store->dir, err) < 0)
        return -1;
    removed = files_remove_damaged(store->dir, NULL, 0, before_wall_s);
    files_unlock(store->dir);
    if (removed)
        log_info("damaged files that were put aside are older than the retention: removed=%lld",
                 (long long)removed);
    store->is_sweeping = true;
    return 0;
}

/* The names of one piece, taken from what is left of the round; each freed by the caller. */
static int choose(struct files_store *store, const struct broom *broom,
                  struct files_change *changes, size_t *ret_count, struct err *err)
{
    size_t count = 0;
    int rc = 0;

    for (size_t looked = 0; rc == 0 && looked < PIECE_FILES && count < PIECE_CHANGES;
         looked++) {
        enum files_folder folder =
            store->left[FILES_CONVERSATIONS].count ? FILES_CONVERSATIONS : FILES_VALUES;
        struct files_names *left = &store->left[folder];
        bool is_due = false;
        char *name;

        if (!left->count) {
            store->is_sweeping = false;
            break;
        }
        name = left->names[--left->count];
        rc = look_at(store, folder, name, broom, &is_due, err);
        if (is_due)
            changes[count++] = (struct files_change){ .folder = folder, .name = name };
        else
            free(name);
    }
    *ret_count = count;
    return rc;
}

static int sweep_piece(struct files_store *store, int64_t before_wall_s,
                       struct store_swept *swept, struct err *err)
{
    struct broom broom = { before_wall_s, clock_wall_us() / 1000 };
    struct files_change changes[PIECE_CHANGES];
    size_t count = 0;
    int rc;

    if (!store->is_sweeping && begin_round(store, before_wall_s, err) < 0)
        return -1;
    rc = choose(store, &broom, changes, &count, err);
    if (rc == 0 && count)
        rc = sweep_due(store, changes, count, &broom, swept, err);
    for (size_t i = 0; i < count; i++)
        free((char *)changes[i].name);
    if (rc < 0)
        store->is_sweeping = false; /* the next round looks at all of them again */
    return rc < 0 ? -1 : store->is_sweeping;
}

int files_sweep(struct store *base, struct db *journal_db, int64_t before_wall_s,
                struct store_swept *swept, struct err *err)
{
    struct files_store *store = (struct files_store *)base;
    int rc;

    (void)journal_db;
    pthread_mutex_lock(&store->sweep_lock);
    rc = sweep_piece(store, before_wall_s, swept, err);
    pthread_mutex_unlock(&store->sweep_lock);
    return rc;
}

/* ---- backup ------------------------------------------------------------------------------ */

/* Files are whole at any time, so they are copied beside their writers; one that is erased
 * meanwhile is left out. */
static int copy_file(const struct files_store *store, enum files_folder folder,
                     const char *name, int to_fd, struct err *err)
{
    AUTO_BUF struct buf bytes = { 0 };
    AUTO_FD int fd = -1;
    size_t done = 0;
    int rc;

    buf_init(&bytes, FILES_MAX_BYTES);
    rc = files_read_bytes(store->dir, folder, name, &bytes, err);
    if (rc <= 0)
        return rc;
    fd = openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot create the copy of %s", name);
    while (done < bytes.len) {
        ssize_t wrote = write(fd, buf_text(&bytes) + done, bytes.len - done);

        if (wrote < 0 && errno != EINTR)
            return err_set_errno(err, ERR_SYSTEM, "cannot write the copy of %s", name);
        done += wrote < 0 ? 0 : (size_t)wrote;
    }
    return 0;
}

struct copying {
    struct files_names names[FILES_FOLDERS];
    int64_t done;
    int64_t total;
    void (*progress)(void *context, int64_t done, int64_t total);
    void *context;
};

static int copy_folder(const struct files_store *store, enum files_folder folder,
                       const char *path, struct copying *copying, struct err *err)
{
    AUTO_FREE char *own_path = xasprintf("%s/%s", path, files_folder_name(folder));
    const struct files_names *names = &copying->names[folder];
    AUTO_FD int fd = -1;

    if (file_make_dirs(own_path, 0700, err) < 0)
        return -1;
    fd = open(own_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", own_path);
    for (size_t i = 0; i < names->count; i++) {
        if (copy_file(store, folder, names->names[i], fd, err) < 0)
            return -1;
        copying->done++;
        if (copying->progress)
            copying->progress(copying->context, copying->done, copying->total);
    }
    /* One sync for all of the files, whichever they are. */
    return syncfs(fd) < 0 ? err_set_errno(err, ERR_SYSTEM, "cannot sync %s", own_path) : 0;
}

static int copy_all(struct files_store *store, const char *path, struct copying *copying,
                    struct err *err)
{
    int rc = 0;

    for (enum files_folder folder = FILES_CONVERSATIONS; rc == 0 && folder < FILES_FOLDERS;
         folder++) {
        rc = files_names(store->dir, folder, &copying->names[folder], err);
        copying->total += (int64_t)copying->names[folder].count;
    }
    for (enum files_folder folder = FILES_CONVERSATIONS; rc == 0 && folder < FILES_FOLDERS;
         folder++)
        rc = copy_folder(store, folder, path, copying, err);
    for (int folder = 0; folder < FILES_FOLDERS; folder++)
        files_names_deinit(&copying->names[folder]);
    return rc;
}

static int give_name(const char *partial, const char *path, struct err *err)
{
    AUTO_FD int fd = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || rename(partial, path) < 0 || syncfs(fd) < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot rename %s to %s", partial, path);
    return 0;
}

/* Written beside its place and renamed, so that what stands there is complete. */
int files_backup(struct store *base, const char *path,
                 void (*progress)(void *context, int64_t done, int64_t total), void *context,
                 struct err *err)
{
    struct files_store *store = (struct files_store *)base;
    struct copying copying = { .progress = progress, .context = context };
    AUTO_FREE char *partial = NULL;
    char random[9];

    if (access(path, F_OK) == 0)
        return err_set(err, ERR_INPUT, "%s exists already", path);
    random_hex(random, 4);
    partial = xasprintf("%s.%s.partial", path, random);
    if (copy_all(store, partial, &copying, err) == 0 && give_name(partial, path, err) == 0)
        return 0;
    file_remove_tree(partial, NULL);
    return -1;
}
