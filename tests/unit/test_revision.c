#include "agent/revision.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"

#define ID_A   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B   "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_64  "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define PACKED "# pack-refs with: peeled fully-peeled sorted \n"
#define BOTH   PACKED ID_A " refs/heads/ma\n" ID_B " refs/heads/main\n^" ID_A "\n"
#define OLDER  PACKED ID_A " refs/heads/main\n"

/* Files in a directory of their own, "path\0content" pairs ended by NULL. */
struct tree {
    char directory[64];
};

static void tree_write(const struct tree *tree, const char *path, const char *text)
{
    AUTO_FREE char *whole = xasprintf("%s/%s", tree->directory, path);
    AUTO_FREE char *parent = xstrdup(whole);
    struct err err = { 0 };

    *strrchr(parent, '/') = '\0';
    if (file_make_dirs(parent, 0700, &err) < 0 ||
        file_write(whole, text, strlen(text), 0600, &err) < 0)
        fail_msg("%s", err.message);
}

static void tree_make(struct tree *tree)
{
    snprintf(tree->directory, sizeof(tree->directory), "/tmp/revision-test-XXXXXX");
    assert_non_null(mkdtemp(tree->directory));
}

static void tree_remove(const struct tree *tree)
{
    assert_int_equal(file_remove_tree(tree->directory, NULL), 0);
}

static void check_revision(const struct tree *tree, const char *workspace, const char *want,
                           const char *because)
{
    AUTO_FREE char *path = xasprintf("%s/%s", tree->directory, workspace);
    char revision[AGENT_REVISION_BYTES] = "";

    CHECK_INT(agent_workspace_revision(path, revision), *want != '\0', because);
    CHECK_TEXT(revision, want, because);
}

static void a_commit_is_found_wherever_git_keeps_it(void)
{
    /* NOLINTBEGIN(bugprone-suspicious-missing-comma): a line is an id and its end */
    static const struct {
        const char *files[10]; /* path, content, ... */
        const char *workspace;
        const char *want;
        const char *because;
    } cases[] = {
        { { ".git/HEAD", ID_A "\n" }, "", ID_A, "a detached head" },
        { { ".git/HEAD", ID_64 "\n" }, "", ID_64, "a repository with SHA-256" },
        { { ".git/HEAD", "ref: refs/heads/main\n", ".git/refs/heads/main", ID_A "\n" },
          "",
          ID_A,
          "a loose ref" },
        { { ".git/HEAD", "ref: refs/heads/main\n", ".git/packed-refs", BOTH },
          "",
          ID_B,
          "a packed ref" },
        { { ".git/HEAD", "ref: refs/heads/main\n", ".git/packed-refs", OLDER,
            ".git/refs/heads/main", ID_B "\n" },
          "",
          ID_B,
          "the loose one is newer" },
        { { ".git/HEAD", "ref: refs/heads/a\n", ".git/refs/heads/a", "ref: refs/heads/b\n",
            ".git/refs/heads/b", ID_A "\n" },
          "",
          ID_A,
          "a ref to a ref" },
        { { ".git/HEAD", ID_A "\n", "src/lib/x.c", "" }, "src/lib", ID_A, "below the top" },
        { { "main/.git/HEAD", ID_A "\n", "main/.git/worktrees/w/HEAD", "ref: refs/heads/side\n",
            "main/.git/worktrees/w/commondir", "../..\n", "main/.git/refs/heads/side",
            ID_B "\n" },
          "main",
          ID_A,
          "the main worktree has its own head" },
        { { ".git/HEAD", "ref: refs/heads/main\n" }, "", "", "nothing committed yet" },
        { { ".git/HEAD", "ref: refs/heads/.invalid\n" }, "", "", "reftable" },
        { { ".git/HEAD", "ref: refs/../../x\n", "x", ID_A "\n" }, "", "", "a way out" },
        { { ".git/HEAD", "ref: refs/heads/a\n", ".git/refs/heads/a", "ref: refs/heads/a\n" },
          "",
          "",
          "a circle" },
        { { ".git/HEAD", "garbage\n" }, "", "", "no id" },
        { { ".git/HEAD", "" }, "", "", "an empty file" },
        { { ".git", "gitdir: nowhere\n" }, "", "", "leads nowhere" },
        { { ".git/index", "" }, "", "", "no head" },
        { { "README", "" }, "no-such-directory", "", "no workspace" },
    };
    /* NOLINTEND(bugprone-suspicious-missing-comma) */

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tree tree = { 0 };

        tree_make(&tree);
        for (size_t j = 0; cases[i].files[j]; j += 2)
            tree_write(&tree, cases[i].files[j], cases[i].files[j + 1]);
        check_revision(&tree, cases[i].workspace, cases[i].want, cases[i].because);
        tree_remove(&tree);
    }
}

static void a_worktree_names_its_repository(void)
{
    struct tree tree = { 0 };
    AUTO_FREE char *link = NULL;

    tree_make(&tree);
    tree_write(&tree, "main/.git/HEAD", ID_A "\n");
    tree_write(&tree, "main/.git/worktrees/w/HEAD", "ref: refs/heads/side\n");
    tree_write(&tree, "main/.git/worktrees/w/commondir", "../..\n");
    tree_write(&tree, "main/.git/packed-refs", ID_B " refs/heads/side\n");
    link = xasprintf("gitdir: %s/main/.git/worktrees/w\n", tree.directory);
    tree_write(&tree, "side/.git", link);
    check_revision(&tree, "side", ID_B, "a linked worktree");
    tree_write(&tree, "side/.git", "gitdir: ../main/.git/worktrees/w\n");
    check_revision(&tree, "side", ID_B, "by a relative path");
    tree_remove(&tree);
}

static void a_fifo_does_not_block(void)
{
    struct tree tree = { 0 };
    AUTO_FREE char *path = NULL;

    tree_make(&tree);
    tree_write(&tree, ".git/index", "");
    path = xasprintf("%s/.git/HEAD", tree.directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_revision(&tree, "", "", "not a regular file");
    tree_remove(&tree);
}

TEST_MAIN(TEST(a_commit_is_found_wherever_git_keeps_it), TEST(a_worktree_names_its_repository),
          TEST(a_fifo_does_not_block))
