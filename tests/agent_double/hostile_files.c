#include "tests/agent_double/hostile_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static int open_for(const char *path, int flags)
{
    AUTO_FD int fd = open(path, flags | O_CLOEXEC, 0600);
    char byte = 0;

    if (fd < 0)
        return errno;
    if ((flags & O_ACCMODE) == O_RDONLY && read(fd, &byte, 1) < 0 && errno != EISDIR)
        return errno;
    return 0;
}

static int make_in(const char *directory, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);
    int errnum = open_for(path, O_WRONLY | O_CREAT | O_EXCL);

    if (errnum == 0)
        unlink(path);
    return errnum;
}

const char *hostile_tmp(void)
{
    const char *path = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */

    return path ? path : "/nowhere";
}

/* Reads through a link of our own. */
static int read_by_link(const char *directory, const char *to)
{
    AUTO_FREE char *path = xasprintf("%s/hostile-link", directory);
    int errnum = hostile_result(symlink(to, path));

    if (errnum != 0)
        return errnum;
    errnum = open_for(path, O_RDONLY);
    unlink(path);
    return errnum;
}

int hostile_config(void)
{
    return open_for(hostile_target.config, O_RDONLY);
}

int hostile_config_by_root(void)
{
    AUTO_FREE char *path = xasprintf("/proc/self/root%s", hostile_target.config);

    return open_for(path, O_RDONLY);
}

int hostile_token(void)
{
    return open_for(hostile_target.token, O_RDONLY);
}

int hostile_database(void)
{
    return open_for(hostile_target.database, O_RDONLY);
}

int hostile_other_prompt(void)
{
    return open_for(hostile_target.prompt, O_RDONLY);
}

int hostile_tmp_link(void)
{
    return read_by_link(hostile_tmp(), hostile_target.config);
}

int hostile_outbox_link(void)
{
    AUTO_FREE char *outbox = xasprintf("%s/outbox", hostile_target.run_dir);

    return read_by_link(outbox, hostile_target.config);
}

int hostile_workspace_link(void) /* which the test has put there */
{
    return open_for("link-to-config", O_RDONLY);
}

int hostile_meta_read(void)
{
    AUTO_FREE char *path = xasprintf("%s/meta.json", hostile_target.run_dir);

    return open_for(path, O_RDONLY);
}

int hostile_meta_write(void)
{
    AUTO_FREE char *path = xasprintf("%s/meta.json", hostile_target.run_dir);

    return open_for(path, O_WRONLY);
}

int hostile_run_dir_write(void)
{
    return make_in(hostile_target.run_dir, "exit.json.hostile");
}

int hostile_loose_permissions(void) /* as an earlier attempt left them */
{
    const char *config = getenv("CURSOR_CONFIG_DIR"); /* NOLINT(concurrency-mt-unsafe) */
    AUTO_FREE char *path = xasprintf("%s/cli-config.json", config ? config : "/nowhere");
    struct stat info;

    if (stat(path, &info) != 0)
        return errno;
    return info.st_size <= 2 ? 0 : EACCES;
}

int hostile_workspace_write(void)
{
    return make_in(hostile_target.workspace, "hostile-file");
}

int hostile_outside_write(void)
{
    return make_in(hostile_target.outside, "hostile-file");
}

int hostile_etc_write(void)
{
    return make_in("/etc", "threadkeeper-hostile");
}

int hostile_home_write(void)
{
    const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): one thread */

    return make_in(home ? home : "/nowhere", "hostile-file");
}

int hostile_shadow(void)
{
    return open_for("/etc/shadow", O_RDONLY);
}

int hostile_victim_truncate(void)
{
    return hostile_result(truncate(hostile_target.victim, 0));
}

int hostile_victim_cut_by_open(void)
{
    return open_for(hostile_target.victim, O_RDONLY | O_TRUNC);
}

int hostile_victim_link(void)
{
    AUTO_FREE char *path = xasprintf("%s/hard-link", hostile_tmp());
    int errnum = hostile_result(link(hostile_target.victim, path));

    if (errnum == 0)
        unlink(path);
    return errnum;
}

int hostile_victim_move(void)
{
    AUTO_FREE char *path = xasprintf("%s/moved", hostile_tmp());
    int errnum = hostile_result(rename(hostile_target.victim, path));

    if (errnum == 0)
        errnum = hostile_result(rename(path, hostile_target.victim));
    return errnum;
}

int hostile_victim_remove(void)
{
    return hostile_result(unlink(hostile_target.victim));
}

int hostile_device(void)
{
    AUTO_FREE char *path = xasprintf("%s/device", hostile_tmp());

    return hostile_result(mknod(path, S_IFBLK | 0600, 0x100));
}

/* What must go, or nothing works. */
int hostile_own_tmp(void)
{
    return make_in(hostile_tmp(), "fine");
}

int hostile_own_outbox(void)
{
    AUTO_FREE char *outbox = xasprintf("%s/outbox", hostile_target.run_dir);

    return make_in(outbox, "fine");
}

int hostile_own_workspace(void)
{
    return open_for(".", O_RDONLY | O_DIRECTORY);
}

int hostile_own_stderr(void)
{
    return open_for("/dev/stderr", O_WRONLY);
}

int hostile_own_exec(void)
{
    return WEXITSTATUS(system("exit 0")); /* NOLINT: a shell is what is tried */
}

/* One file larger than any may be. */
int hostile_large_file(void)
{
    AUTO_FREE char *path = xasprintf("%s/large", hostile_tmp());
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int errnum = 0;

    signal(SIGXFSZ, SIG_IGN);
    errnum = fd < 0 ? errno : hostile_result(ftruncate(fd, (off_t)1 << 40));
    signal(SIGXFSZ, SIG_DFL);
    unlink(path);
    return errnum;
}
