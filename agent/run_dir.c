#include "agent/run_dir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/meta.h"
#include "agent/run.h"
#include "base/alloc.h"
#include "base/file.h"

bool run_dir_is_id(const char *run_id)
{
    size_t len = strlen(run_id);

    if (len == 0 || len >= AGENT_RUN_ID_BYTES)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)run_id[i]) && run_id[i] != '-' && run_id[i] != '_')
            return false;
    }
    return true;
}

bool run_dir_is_unstarted(const char *runs_dir, const char *run_id)
{
    AUTO_FREE char *path = xasprintf("%s/%s", runs_dir, run_id);
    AUTO_FREE char *meta = xasprintf("%s/%s", path, AGENT_FILE_META);

    return run_dir_is_id(run_id) && access(path, F_OK) == 0 && access(meta, F_OK) != 0 &&
           errno == ENOENT;
}

int run_dir_make(const char *runs_dir, const char *run_id, struct err *err)
{
    AUTO_FREE char *path = NULL;

    if (!run_dir_is_id(run_id))
        return err_set(err, ERR_INPUT, "bad run id");
    if (file_make_dirs(runs_dir, 0700, err) != 0)
        return -1;
    path = xasprintf("%s/%s", runs_dir, run_id);
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return err_set_errno(err, ERR_SYSTEM, "make %s", path);
    if (!run_dir_is_unstarted(runs_dir, run_id))
        return err_set(err, ERR_INPUT, "%s is of another run", path);
    return 0;
}

unsigned run_dir_note_attempt(const char *runs_dir, const char *run_id)
{
    AUTO_FREE char *path = xasprintf("%s/%s/%s", runs_dir, run_id, RUN_DIR_ATTEMPTS);
    AUTO_FD int fd = -1;
    struct stat info;

    if (!run_dir_is_id(run_id))
        return 1;
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &info) != 0)
        return 1;
    return (unsigned)info.st_size;
}

void run_dir_forget_attempts(const char *runs_dir, const char *run_id)
{
    AUTO_FREE char *path = xasprintf("%s/%s/%s", runs_dir, run_id, RUN_DIR_ATTEMPTS);

    if (run_dir_is_id(run_id))
        unlink(path);
}
