#include "base/file.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

static char directory[256];

static char *path_to(const char *name)
{
    return xasprintf("%s/%s", directory, name);
}

static void what_is_written_is_read_back_whole(void)
{
    AUTO_FREE char *path = path_to("a");
    AUTO_FREE char *big = xcalloc(100000, 1);
    AUTO_BUF struct buf bytes = { 0 };
    struct err err = { 0 };
    struct stat info;

    memset(big, 'x', 99999);
    big[5] = '\0';
    buf_init(&bytes, 1 << 20);
    CHECK_INT(file_write(path, big, 99999, 0640, &err), 0, err.message);
    CHECK_INT(file_read(path, &bytes, &err), 0, err.message);
    CHECK_INT(bytes.len, 99999, "all of it");
    CHECK_INT(memcmp(buf_text(&bytes), big, 99999), 0, "all of it");
    CHECK_INT(stat(path, &info), 0, "there");
    CHECK_INT(info.st_mode & 0777, 0640, "the mode asked for");

    buf_clear(&bytes);
    CHECK_INT(file_write(path, "b", 1, 0640, &err), 0, "over an existing one");
    CHECK_INT(file_read(path, &bytes, &err), 0, err.message);
    CHECK_TEXT(buf_text(&bytes), "b", "nothing of the old one is left");
}

static void a_file_over_the_limit_is_refused(void)
{
    AUTO_FREE char *path = path_to("long");
    AUTO_BUF struct buf bytes = { 0 };
    struct err err = { 0 };

    buf_init(&bytes, 4);
    CHECK_INT(file_write(path, "12345", 5, 0600, &err), 0, err.message);
    CHECK_INT(file_read(path, &bytes, &err), -1, "five into four");
    CHECK_INT(err.kind, ERR_INPUT, "not the system's fault");
    CHECK_HOLDS(err.message, "longer than 4 bytes", "says why");
}

static void what_cannot_be_is_said_with_its_reason(void)
{
    AUTO_FREE char *absent = path_to("absent/file");
    AUTO_FREE char *plain = path_to("plain");
    AUTO_FREE char *below = path_to("plain/below");
    AUTO_BUF struct buf bytes = { 0 };
    struct err err = { 0 };

    buf_init(&bytes, 10);
    CHECK_INT(file_read(absent, &bytes, &err), -1, "absent");
    CHECK_INT(err.kind, ERR_SYSTEM, "absent");
    CHECK_HOLDS(err.message, "No such file", "absent");
    CHECK_INT(file_read(directory, &bytes, &err), -1, "a directory");
    CHECK_INT(file_write(absent, "x", 1, 0600, &err), -1, "no such directory");
    CHECK_HOLDS(err.message, "No such file", "no such directory");
    CHECK_INT(file_write(plain, "x", 1, 0600, &err), 0, err.message);
    CHECK_INT(file_make_dirs(below, 0700, &err), -1, "a file is in the way");
    CHECK_INT(file_make_dirs(plain, 0700, &err), -1, "a file has that name");
    CHECK_HOLDS(err.message, "is not a directory", "a file has that name");
    CHECK_INT(file_make_dirs("", 0700, &err), -1, "no name at all");
}

static void what_is_no_plain_file_is_refused_and_not_waited_for(void)
{
    AUTO_FREE char *fifo = path_to("fifo");
    AUTO_FREE char *plain = path_to("target-of-link");
    AUTO_FREE char *name = path_to("link-to-plain");
    AUTO_BUF struct buf bytes = { 0 };
    struct err err = { 0 };

    buf_init(&bytes, 10);
    CHECK_INT(mkfifo(fifo, 0600), 0, "a FIFO");
    CHECK_INT(file_write(plain, "x", 1, 0600, &err), 0, err.message);
    CHECK_INT(symlink(plain, name), 0, "a link");
    alarm(10); /* a hang is a failure */
    CHECK_INT(file_read(fifo, &bytes, &err), -1, "nobody writes into it");
    CHECK_HOLDS(err.message, "not a plain file", "says why");
    CHECK_INT(file_read_no_link(fifo, &bytes, &err), -1, "nobody writes into it");
    alarm(0);
    CHECK_INT(file_read("/dev/null", &bytes, &err), -1, "a device");
    CHECK_INT(file_read_no_link(name, &bytes, &err), -1, "a link");
    CHECK_INT(file_read(name, &bytes, &err), 0, err.message);
    CHECK_INT(file_read_no_link(plain, &bytes, &err), 0, err.message);
    CHECK_INT(unlink(fifo), 0, "there");
}

static void a_failed_write_leaves_the_old_file_and_nothing_else(void)
{
    AUTO_FREE char *folder = path_to("busy");
    AUTO_FREE char *target = path_to("busy/target");
    AUTO_FREE char *inside = path_to("busy/target/inside");
    struct err err = { 0 };

    /* A directory that is not empty cannot be renamed over. */
    CHECK_INT(file_make_dirs(inside, 0700, &err), 0, err.message);
    CHECK_INT(file_write(target, "x", 1, 0600, &err), -1, "in the way");
    CHECK_INT(rmdir(inside), 0, "still there");
    CHECK_INT(rmdir(target), 0, "still there");
    CHECK_INT(rmdir(folder), 0, "no temporary file was left");
}

static void directories_are_made_with_their_parents(void)
{
    AUTO_FREE char *path = path_to("one/two/three");
    AUTO_FREE char *middle = path_to("one/two");
    struct err err = { 0 };
    struct stat info;

    CHECK_INT(file_make_dirs(path, 0700, &err), 0, err.message);
    CHECK_INT(file_make_dirs(path, 0700, &err), 0, "again is fine");
    CHECK_INT(stat(middle, &info), 0, "there");
    CHECK_INT(info.st_mode & 0777, 0700, "each with the mode");
}

static void removing_a_tree_never_follows_a_link(void)
{
    AUTO_FREE char *tree = path_to("tree");
    AUTO_FREE char *deep = path_to("tree/a/b");
    AUTO_FREE char *link_path = path_to("tree/a/link");
    AUTO_FREE char *outside = path_to("outside");
    AUTO_FREE char *kept = path_to("outside/kept");
    struct err err = { 0 };

    CHECK_INT(file_make_dirs(deep, 0700, &err), 0, err.message);
    CHECK_INT(file_make_dirs(outside, 0700, &err), 0, err.message);
    CHECK_INT(file_write(kept, "x", 1, 0600, &err), 0, err.message);
    CHECK_INT(symlink(outside, link_path), 0, "a way out");
    CHECK_INT(file_remove_tree(tree, &err), 0, err.message);
    CHECK_INT(access(tree, F_OK), -1, "gone");
    CHECK_INT(access(kept, F_OK), 0, "what the link points to is not");
    CHECK_INT(file_remove_tree(tree, &err), 0, "absent is fine");
    CHECK_INT(file_remove_tree(kept, &err), 0, "one file is a tree, too");
    CHECK_INT(access(kept, F_OK), -1, "gone");
}

/* As a user whom modes bind; the exit status says whether all went well. */
static int as_ordinary_user(const char *where, int (*act)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0 && chdir(where) < 0)
        _exit(98);
    if (pid == 0)
        _exit(geteuid() != 0 ||
                      (setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
                       setresuid(65534, 65534, 65534) == 0)
                  ? act()
                  : 99);
    CHECK_INT(waitpid(pid, &status, 0), pid, "ended");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static int remove_what_is_locked(void)
{
    static const mode_t modes[] = { 0, 0500, 0300, 0400, 0100 };
    AUTO_FREE char *tree = xstrdup("locked"); /* the way here may not be everybody's */
    struct err err = { 0 };
    struct stat info;

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        AUTO_FREE char *inner = xasprintf("%s/%zu/inner", tree, i);
        AUTO_FREE char *outer = xasprintf("%s/%zu", tree, i);
        AUTO_FREE char *leaf = xasprintf("%s/leaf", inner);

        if (file_make_dirs(inner, 0700, &err) < 0 || file_write(leaf, "x", 1, 0, &err) < 0 ||
            chmod(inner, modes[i]) < 0 || chmod(outer, modes[i]) < 0)
            return 1;
    }
    if (chmod(tree, 0) < 0)
        return 2;
    return file_remove_tree(tree, &err) == 0 && lstat(tree, &info) < 0 ? 0 : 3;
}

static void a_tree_that_its_owner_locked_is_removed(void)
{
    AUTO_FREE char *open_to_all = path_to("open");

    CHECK_INT(mkdir(open_to_all, 0777), 0, "anybody's");
    CHECK_INT(as_ordinary_user(open_to_all, remove_what_is_locked), 0, "locked directories");
}

/* Below a descriptor, as the whole path is longer than the kernel takes. */
static void a_tree_deeper_than_any_path_is_removed(void)
{
    AUTO_FREE char *tree = path_to("deep");
    AUTO_FREE char *outside = path_to("outside-of-deep");
    AUTO_FREE char *name = xcalloc(201, 1);
    struct err err = { 0 };
    struct stat info;
    int fd;

    memset(name, 'd', 200);
    CHECK_INT(mkdir(outside, 0700), 0, "outside");
    CHECK_INT(mkdir(tree, 0700), 0, "its root");
    fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 300; i++) {
        int below;

        CHECK_INT(mkdirat(fd, name, 0700), 0, "one level more");
        CHECK_INT(symlinkat(outside, fd, "way out"), 0, "a link on each");
        below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK_INT(fchmod(fd, 0500), 0, "locked");
        close(fd);
        fd = below;
    }
    close(fd);
    CHECK_INT(file_remove_tree(tree, &err), 0, err.message);
    CHECK_INT(lstat(tree, &info), -1, "gone");
    CHECK_INT(stat(outside, &info), 0, "what the links point to is not");
    CHECK_INT(info.st_mode & 0777, 0700, "nor was it touched");
}

static int make_directory(void **state)
{
    const char *parent = getenv("TMPDIR");

    (void)state;
    umask(0);
    snprintf(directory, sizeof(directory), "%s/threadkeeper-file.XXXXXX",
             parent ? parent : "/tmp");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    return file_remove_tree(directory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_written_is_read_back_whole),
        TEST(a_file_over_the_limit_is_refused),
        TEST(what_cannot_be_is_said_with_its_reason),
        TEST(what_is_no_plain_file_is_refused_and_not_waited_for),
        TEST(a_failed_write_leaves_the_old_file_and_nothing_else),
        TEST(directories_are_made_with_their_parents),
        TEST(removing_a_tree_never_follows_a_link),
        TEST(a_tree_that_its_owner_locked_is_removed),
        TEST(a_tree_deeper_than_any_path_is_removed),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
