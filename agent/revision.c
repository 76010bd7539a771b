#include "agent/revision.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

#define LINKS_MAX     5 /* of symbolic refs to symbolic refs, as git */
#define PARENTS_MAX   64
#define GITDIR_PREFIX "gitdir: "
#define REF_PREFIX    "ref: "

/* NULL unless it is a regular file: an agent may have put anything there, a FIFO would block.
 */
static FILE *open_regular(const char *path)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat info;
    FILE *file;

    if (fd < 0 || fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
        return NULL;
    file = fdopen(fd, "r");
    if (file)
        (void)take_fd(&fd);
    return file;
}

static void cut_end(char *line)
{
    line[strcspn(line, "\r\n")] = '\0';
}

/* The first line; NULL when there is no such file. Caller frees. */
static char *read_line(const char *path)
{
    FILE *file = open_regular(path);
    char line[4096];
    bool is_read;

    if (!file)
        return NULL;
    is_read = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    if (!is_read)
        return NULL;
    cut_end(line);
    return xstrdup(line);
}

static char *join(const char *base, const char *path)
{
    return *path == '/' ? xstrdup(path) : xasprintf("%s/%s", base, path);
}

/* The directory behind DIR/.git, which is that directory or a file that names it. */
static char *git_dir_at(const char *directory)
{
    AUTO_FREE char *path = xasprintf("%s/.git", directory);
    AUTO_FREE char *line = NULL;
    struct stat info;

    if (stat(path, &info) < 0)
        return NULL;
    if (S_ISDIR(info.st_mode))
        return take_ptr(&path);
    line = read_line(path);
    if (!line || strncmp(line, GITDIR_PREFIX, strlen(GITDIR_PREFIX)) != 0)
        return NULL;
    return join(directory, line + strlen(GITDIR_PREFIX));
}

/* `ret_top`: the checkout that it belongs to; the caller frees it, set or not. */
static char *find_git_dir(const char *workspace, char **ret_top)
{
    AUTO_FREE char *directory = realpath(workspace, NULL);

    for (int i = 0; directory && i < PARENTS_MAX; i++) {
        char *found = git_dir_at(directory);
        char *slash = strrchr(directory, '/');

        if (found)
            *ret_top = take_ptr(&directory);
        if (found || !slash || slash == directory)
            return found;
        *slash = '\0';
    }
    return NULL;
}

static bool is_object_id(const char *text)
{
    size_t len = strspn(text, "0123456789abcdef");

    return text[len] == '\0' && (len == 40 || len == 64);
}

static bool is_ref_name(const char *name)
{
    return strncmp(name, "refs/", 5) == 0 && !strstr(name, "..");
}

/* "ID NAME", one a line. */
static char *find_packed(const char *common_dir, const char *name)
{
    AUTO_FREE char *path = xasprintf("%s/packed-refs", common_dir);
    FILE *file = open_regular(path);
    char *found = NULL;
    char *line = NULL;
    size_t capacity = 0;

    if (!file)
        return NULL;
    while (!found && getline(&line, &capacity, file) > 0) {
        char *blank = strchr(line, ' ');

        cut_end(line);
        if (*line == '#' || !blank || strcmp(blank + 1, name) != 0)
            continue;
        *blank = '\0';
        found = xstrdup(line);
    }
    free(line);
    fclose(file);
    return found;
}

/* What a ref holds: an id, or "ref: " and another one. A worktree's own come first. */
static char *read_ref(const char *git_dir, const char *common_dir, const char *name)
{
    AUTO_FREE char *own = xasprintf("%s/%s", git_dir, name);
    AUTO_FREE char *shared = xasprintf("%s/%s", common_dir, name);
    char *value = read_line(own);

    if (!value)
        value = read_line(shared);
    return value ? value : find_packed(common_dir, name);
}

static char *common_dir_of(const char *git_dir)
{
    AUTO_FREE char *path = xasprintf("%s/commondir", git_dir);
    AUTO_FREE char *line = read_line(path);

    return line ? join(git_dir, line) : xstrdup(git_dir);
}

bool agent_workspace_revision(const char *workspace, char ret_revision[AGENT_REVISION_BYTES])
{
    AUTO_FREE char *top = NULL;
    AUTO_FREE char *git_dir = find_git_dir(workspace, &top);
    AUTO_FREE char *common_dir = git_dir ? common_dir_of(git_dir) : NULL;
    AUTO_FREE char *value = git_dir ? read_ref(git_dir, common_dir, "HEAD") : NULL;

    for (int i = 0; value && i < LINKS_MAX; i++) {
        const char *name = value + strlen(REF_PREFIX);
        char *next;

        if (is_object_id(value)) {
            snprintf(ret_revision, AGENT_REVISION_BYTES, "%s", value);
            return true;
        }
        if (strncmp(value, REF_PREFIX, strlen(REF_PREFIX)) != 0 || !is_ref_name(name))
            return false;
        next = read_ref(git_dir, common_dir, name);
        free(value);
        value = next;
    }
    return false;
}

bool agent_repository_find(const char *workspace, struct agent_repository *ret_repository)
{
    AUTO_FREE char *top = NULL;
    AUTO_FREE char *git_dir = find_git_dir(workspace, &top);
    AUTO_FREE char *common_dir = git_dir ? common_dir_of(git_dir) : NULL;
    AUTO_FREE char *git_real = git_dir ? realpath(git_dir, NULL) : NULL;
    AUTO_FREE char *common_real = common_dir ? realpath(common_dir, NULL) : NULL;

    if (!git_real || !common_real)
        return false;
    *ret_repository = (struct agent_repository){ take_ptr(&top), take_ptr(&git_real),
                                                 take_ptr(&common_real) };
    return true;
}

void agent_repository_deinit(struct agent_repository *repository)
{
    free(repository->top);
    free(repository->git_dir);
    free(repository->common_dir);
    *repository = (struct agent_repository){ 0 };
}
