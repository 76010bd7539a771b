#include "agent/worktree_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/file.h"

#define FILE_MAX_BYTES 65536

static const char *const state_names[] = { "none", "making", "ready", "removing" };

void worktree_record_deinit(struct worktree_record *record)
{
    free(record->repository);
    free(record->git_dir);
    *record = (struct worktree_record){ 0 };
}

static char *path_of(const char *root, const char *id, const char *suffix)
{
    return xasprintf("%s/%s.%s", root, id, suffix);
}

static enum worktree_state state_of(const char *name)
{
    for (size_t i = WORKTREE_MAKING; i < ARRAY_LEN(state_names); i++) {
        if (strcmp(state_names[i], name) == 0)
            return (enum worktree_state)i;
    }
    return WORKTREE_NONE;
}

int worktree_record_read(const char *root, const char *id, struct worktree_record *ret_record,
                         struct err *err)
{
    AUTO_FREE char *path = path_of(root, id, "json");
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *object = NULL;
    const char *state = "";
    const char *repository = "";
    const char *git_dir = "";
    int is_told = 0;

    if (access(path, F_OK) < 0 && errno == ENOENT) {
        *ret_record = (struct worktree_record){ 0 };
        return 0;
    }
    buf_init(&text, FILE_MAX_BYTES);
    if (file_read(path, &text, err) < 0)
        return -1;
    object = json_loadb(buf_text(&text), text.len, 0, NULL);
    if (json_unpack(object, "{s:s, s:s, s:s, s:b}", "state", &state, "repository", &repository,
                    "git_dir", &git_dir, "told", &is_told) < 0 ||
        state_of(state) == WORKTREE_NONE || *repository != '/')
        return err_set(err, ERR_INPUT,
                       "%s is damaged; mend: look into the directory beside it, move it away "
                       "and remove the file",
                       path);
    *ret_record = (struct worktree_record){ state_of(state), xstrdup(repository),
                                            xstrdup(git_dir), is_told };
    return 0;
}

int worktree_record_write(const char *root, const char *id,
                          const struct worktree_record *record, struct err *err)
{
    AUTO_FREE char *path = path_of(root, id, "json");
    json_auto_t *object =
        json_pack("{s:s, s:s, s:s, s:b}", "state", state_names[record->state], "repository",
                  record->repository, "git_dir", record->git_dir ? record->git_dir : "", "told",
                  (int)record->is_told);
    AUTO_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    if (!text)
        return err_set(err, ERR_INPUT, "the path %s is not UTF-8", record->repository);
    return file_write(path, text, strlen(text), 0600, err);
}

void worktree_record_touch(const char *root, const char *id)
{
    AUTO_FREE char *path = path_of(root, id, "json");

    if (utimensat(AT_FDCWD, path, NULL, 0) < 0)
        return; /* it counts as older than it is, and no run lasts that long */
}

int worktree_lock(const char *root, const char *id, struct err *err)
{
    AUTO_FREE char *path = path_of(root, id, "lock");

    for (;;) {
        AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat info = { 0 };

        if (fd < 0)
            return err_set_errno(err, ERR_SYSTEM, "open %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
            return err_set_errno(err, ERR_TEMP, "lock %s", path);
        if (fstat(fd, &info) == 0 && info.st_nlink > 0) /* not removed while we waited */
            return take_fd(&fd);
    }
}

void worktree_record_remove(const char *root, const char *id)
{
    AUTO_FREE char *path = path_of(root, id, "json");

    unlink(path);
}

void worktree_lock_remove(const char *root, const char *id)
{
    AUTO_FREE char *path = path_of(root, id, "lock");

    unlink(path);
}
