#include "agent/fence_git.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define LINE_MAX_BYTES 4352 /* a path and a word before it */
#define FILE_WORD      "gitdir: "
#define WORKTREES      "/worktrees/"

/* The first line of a small regular file, which is no link; "" when it is not that. */
static void read_line(const char *path, char line[LINE_MAX_BYTES])
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat info;
    ssize_t got = 0;

    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        got = read(fd, line, LINE_MAX_BYTES - 1);
    line[got > 0 ? got : 0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
}

static char *join_real(const char *directory, const char *path)
{
    AUTO_FREE char *joined =
        path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", directory, path);

    return realpath(joined, NULL);
}

/* Whether WORKTREE_DIR/gitdir names this very file. */
static bool points_back(const char *worktree_dir, const char *dot_git)
{
    char line[LINE_MAX_BYTES];
    AUTO_FREE char *back = xasprintf("%s/gitdir", worktree_dir);
    AUTO_FREE char *named = NULL;
    AUTO_FREE char *real = realpath(dot_git, NULL);

    read_line(back, line);
    named = line[0] ? join_real(worktree_dir, line) : NULL;
    return named && real && strcmp(named, real) == 0;
}

bool fence_git_find(const char *workspace, struct fence_git *ret_git)
{
    char line[LINE_MAX_BYTES];
    AUTO_FREE char *dot_git = xasprintf("%s/.git", workspace);
    AUTO_FREE char *worktree_dir = NULL;
    const char *worktrees = NULL;

    read_line(dot_git, line);
    if (strncmp(line, FILE_WORD, strlen(FILE_WORD)) != 0)
        return false;
    worktree_dir = join_real(workspace, line + strlen(FILE_WORD));
    worktrees = worktree_dir ? strstr(worktree_dir, WORKTREES) : NULL;
    for (const char *next = worktrees; next; next = strstr(next + 1, WORKTREES))
        worktrees = next;
    if (!worktrees || worktrees == worktree_dir || strchr(worktrees + strlen(WORKTREES), '/') ||
        !points_back(worktree_dir, dot_git))
        return false;
    ret_git->common_dir = xstrndup(worktree_dir, (size_t)(worktrees - worktree_dir));
    ret_git->worktree_dir = take_ptr(&worktree_dir);
    return true;
}

void fence_git_deinit(struct fence_git *git)
{
    free(git->common_dir);
    free(git->worktree_dir);
    *git = (struct fence_git){ 0 };
}
