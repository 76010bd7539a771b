#include "bot/leavings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"

struct box {
    char dir[64];
    char outbox[96];
};

static int set_up(void **state)
{
    struct box *box = xcalloc(1, sizeof(*box));

    snprintf(box->dir, sizeof(box->dir), "/tmp/leavings.XXXXXX");
    if (!mkdtemp(box->dir))
        return -1;
    snprintf(box->outbox, sizeof(box->outbox), "%s/outbox", box->dir);
    *state = box;
    return mkdir(box->outbox, 0700);
}

static int tear_down(void **state)
{
    struct box *box = *state;
    int rc = file_remove_tree(box->dir, NULL);

    free(box);
    return rc;
}

static char *path_of(const struct box *box, const char *name)
{
    return xasprintf("%s/%s", box->outbox, name);
}

static void put(const struct box *box, const char *name, const char *text)
{
    AUTO_FREE char *path = path_of(box, name);

    for (char *slash = path + strlen(box->outbox) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static struct leaving *find(struct leavings *leavings, const char *path)
{
    for (size_t i = 0; i < leavings->count; i++) {
        if (strcmp(leavings->items[i].path, path) == 0)
            return &leavings->items[i];
    }
    fail_msg("%s is not listed", path);
    return NULL;
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void everything_is_listed_as_what_it_is(void **state)
{
    static const struct {
        const char *path;
        const char *name;
        enum leaving_kind kind;
    } cases[] = {
        { ".env", ".env", LEAVING_HIDDEN },
        { ".git", ".git", LEAVING_HIDDEN },
        { "1/2/3/4", "1-2-3-4", LEAVING_OTHER },
        { "1/2/3/file.txt", "1-2-3-file.txt", LEAVING_FILE },
        { "charts/a.png", "charts-a.png", LEAVING_FILE },
        { "charts/up", "charts-up", LEAVING_LINK },
        { "empty", "empty", LEAVING_EMPTY },
        { "good.txt", "good.txt", LEAVING_FILE },
        { "hard", "hard", LEAVING_LINK },
        { "new\nline\x01.txt", "new line.txt", LEAVING_FILE },
        { "pipe", "pipe", LEAVING_OTHER },
        { "socket", "socket", LEAVING_OTHER },
        { "soft", "soft", LEAVING_LINK },
    };
    struct box *box = *state;
    AUTO_FREE char *elsewhere = xasprintf("%s/elsewhere", box->dir);
    AUTO_FREE char *hard = path_of(box, "hard");
    AUTO_FREE char *soft = path_of(box, "soft");
    AUTO_FREE char *up = path_of(box, "charts/up");
    AUTO_FREE char *pipe_path = path_of(box, "pipe");
    AUTO_FREE char *socket_path = path_of(box, "socket");
    struct leavings leavings;

    put(box, ".env", "x");
    put(box, ".git/config", "x");
    put(box, "1/2/3/4/deep", "x");
    put(box, "1/2/3/file.txt", "x");
    put(box, "charts/a.png", "x");
    put(box, "empty", "");
    put(box, "good.txt", "good");
    put(box, "new\nline\x01.txt", "x");
    assert_int_equal(file_write(elsewhere, "not yours", 9, 0600, NULL), 0);
    assert_int_equal(link(elsewhere, hard), 0);
    assert_int_equal(symlink("/etc/passwd", soft), 0);
    assert_int_equal(symlink("../..", up), 0);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    make_socket(socket_path);
    assert_int_equal(leavings_list(box->outbox, &leavings, NULL), 0);
    CHECK_INT((int)leavings.count, (int)ARRAY_LEN(cases), "nothing else");
    CHECK_INT((int)leavings.total, (int)ARRAY_LEN(cases), "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_TEXT(leavings.items[i].path, cases[i].path, "in order");
        CHECK_TEXT(leavings.items[i].name, cases[i].name, cases[i].path);
        CHECK_INT(leavings.items[i].kind, cases[i].kind, cases[i].path);
    }
    leavings_deinit(&leavings);
    leavings_deinit(&leavings);
}

static void no_outbox_is_an_empty_one(void **state)
{
    struct box *box = *state;
    AUTO_FREE char *missing = path_of(box, "missing");
    AUTO_FREE char *link_path = path_of(box, "link");
    struct leavings leavings;
    struct err err = { 0 };

    CHECK_INT(leavings_list(missing, &leavings, &err), 0, "");
    CHECK_INT((int)leavings.total, 0, "");
    assert_int_equal(symlink("/tmp", link_path), 0);
    CHECK_INT(leavings_list(link_path, &leavings, &err), -1, "a link is not read");
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
}

static void a_listed_file_opens_as_it_is_now(void **state)
{
    struct box *box = *state;
    struct leavings leavings;
    struct leaving *file;
    AUTO_FD int fd = -1;
    char text[16] = "";

    put(box, "charts/a.png", "one");
    assert_int_equal(leavings_list(box->outbox, &leavings, NULL), 0);
    put(box, "charts/a.png", "longer");
    file = find(&leavings, "charts/a.png");
    assert_int_equal(leaving_open(box->outbox, file, &fd, NULL), 0);
    CHECK_INT(file->size, 6, "the size of what was opened");
    CHECK_INT((int)read(fd, text, sizeof(text)), 6, "");
    CHECK_TEXT(text, "longer", "");
    leavings_deinit(&leavings);
}

/* Between the listing and the opening somebody puts something else there. */
static void what_became_something_else_does_not_open(void **state)
{
    struct box *box = *state;
    AUTO_FREE char *soft = path_of(box, "soft");
    AUTO_FREE char *hard = path_of(box, "hard");
    AUTO_FREE char *pipe_path = path_of(box, "pipe");
    AUTO_FREE char *charts = path_of(box, "charts");
    AUTO_FREE char *moved = xasprintf("%s/moved", box->dir);
    struct leavings leavings;

    put(box, "soft", "x");
    put(box, "hard", "x");
    put(box, "pipe", "x");
    put(box, "charts/a", "x");
    put(box, "gone", "x");
    assert_int_equal(leavings_list(box->outbox, &leavings, NULL), 0);
    assert_int_equal(unlink(soft) | symlink("/etc/passwd", soft), 0);
    assert_int_equal(link(hard, moved), 0);
    assert_int_equal(unlink(pipe_path) | mkfifo(pipe_path, 0600), 0);
    assert_int_equal(unlink(moved) | link(hard, moved), 0);
    {
        AUTO_FREE char *inside = path_of(box, "charts/a");
        AUTO_FREE char *gone = path_of(box, "gone");
        AUTO_FREE char *etc = xasprintf("%s/etc", box->dir);

        assert_int_equal(unlink(gone), 0);
        assert_int_equal(rename(charts, etc) | symlink(etc, charts), 0);
        (void)inside;
    }
    for (size_t i = 0; i < leavings.count; i++) {
        struct err err = { 0 };
        int fd = -1;

        CHECK_INT(leaving_open(box->outbox, &leavings.items[i], &fd, &err), -1,
                  leavings.items[i].path);
        CHECK_INT(err.kind, ERR_INPUT, err.message);
        CHECK_INT(fd, -1, "untouched");
    }
    leavings_deinit(&leavings);
}

static void a_thousand_are_listed_and_the_rest_is_counted(void **state)
{
    struct box *box = *state;
    struct leavings leavings;

    for (int i = 0; i < LEAVINGS_MAX + 5; i++) {
        AUTO_FREE char *path = xasprintf("%s/%05d", box->outbox, i);
        AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

        assert_true(fd >= 0);
    }
    assert_int_equal(leavings_list(box->outbox, &leavings, NULL), 0);
    CHECK_INT((int)leavings.count, LEAVINGS_MAX, "");
    CHECK_INT((int)leavings.total, LEAVINGS_MAX + 5, "");
    leavings_deinit(&leavings);
}

#define BOX(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

TEST_MAIN(BOX(everything_is_listed_as_what_it_is), BOX(no_outbox_is_an_empty_one),
          BOX(a_listed_file_opens_as_it_is_now), BOX(what_became_something_else_does_not_open),
          BOX(a_thousand_are_listed_and_the_rest_is_counted))
