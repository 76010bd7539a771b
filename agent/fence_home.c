#include "agent/fence_home.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/environment.h"
#include "agent/meta.h"
#include "base/alloc.h"
#include "base/file.h"

/* Where agents keep login, settings and caches: below HOME, or named by a variable. The
 * installation itself is not among them: what a run changes there, the next one executes. */
static const struct own_state {
    const char *dialect;
    const char *directories[6]; /* below HOME */
    const char *file;           /* likewise */
    const char *variables[3];
} own_state[] = {
    { "cursor",
      { ".cursor", ".config/cursor", ".cache/cursor-compile-cache", ".cache/cursor" },
      NULL,
      { "CURSOR_CONFIG_DIR", "CURSOR_DATA_DIR" } },
    { "claude",
      { ".claude", ".config/claude", ".cache/claude", ".cache/claude-cli-nodejs" },
      ".claude.json",
      { "CLAUDE_CONFIG_DIR" } },
    { "codex", { ".codex", ".cache/codex" }, NULL, { "CODEX_HOME" } },
    { "gemini", { ".gemini", ".cache/gemini", ".config/gemini" }, NULL, { "GEMINI_CLI_HOME" } },
    { "opencode",
      { ".config/opencode", ".local/share/opencode", ".local/state/opencode",
        ".cache/opencode" },
      NULL,
      { "OPENCODE_CONFIG_DIR" } },
};

/* git's own below HOME; not `credentials`, which lies beside the latter. */
static const char *const git_settings[] = { ".gitconfig", ".config/git/config",
                                            ".config/git/ignore", ".config/git/attributes" };

static void want(struct fence_rules *wanted, const char *directory, const char *name,
                 unsigned access)
{
    AUTO_FREE char *path = xasprintf("%s/%s", directory, name);

    fence_rules_add(wanted, path, access);
}

static void want_beside_slot(struct fence_rules *wanted, const struct own_state *own,
                             const char *home)
{
    AUTO_FREE char *config = xasprintf("%s/.config", home);
    const char *named = agent_environment_get("XDG_CONFIG_HOME");
    const char *settings = named && named[0] == '/' ? named : config;

    for (size_t i = 0; own->directories[i]; i++)
        want(wanted, home, own->directories[i], FENCE_READ);
    want(wanted, settings, "cursor", FENCE_READ);
    want(wanted, settings, "cursor/auth.json", FENCE_READ | FENCE_APPEND);
}

/* Where a directory cannot be made the agent complains. */
static void want_made(struct fence_rules *wanted, const struct own_state *own, const char *home)
{
    for (size_t i = 0; own->directories[i]; i++) {
        AUTO_FREE char *path = xasprintf("%s/%s", home, own->directories[i]);

        file_make_dirs(path, 0700, NULL);
        fence_rules_add(wanted, path, FENCE_ALL);
    }
    if (own->file)
        want(wanted, home, own->file, FENCE_ALL);
}

/* In its slot a run may have put a link in the place of such a directory. */
static bool is_in_slot(const char *path, const char *slot_dir)
{
    size_t len = slot_dir ? strlen(slot_dir) : 0;

    return slot_dir && strncmp(path, slot_dir, len) == 0 &&
           (path[len] == '/' || path[len] == '\0');
}

static void want_named(struct fence_rules *wanted, const struct own_state *own,
                       const char *slot_dir)
{
    for (size_t i = 0; own->variables[i]; i++) {
        const char *path = agent_environment_get(own->variables[i]);

        if (path && !is_in_slot(path, slot_dir))
            fence_rules_add(wanted, path, FENCE_ALL);
    }
}

void fence_home_init(struct fence_rules *ret_wanted, const struct agent_meta *meta)
{
    const char *named = agent_environment_get("HOME");
    AUTO_FREE char *home = named && named[0] == '/' ? realpath(named, NULL) : NULL;

    *ret_wanted = (struct fence_rules){ 0 };
    for (size_t i = 0; home && i < ARRAY_LEN(git_settings); i++)
        want(ret_wanted, home, git_settings[i], FENCE_READ);
    for (size_t i = 0; i < ARRAY_LEN(own_state); i++) {
        const struct own_state *own = &own_state[i];

        if (strcmp(own->dialect, meta->dialect) != 0)
            continue;
        if (home && meta->fence.slot_dir)
            want_beside_slot(ret_wanted, own, home);
        else if (home)
            want_made(ret_wanted, own, home);
        want_named(ret_wanted, own, meta->fence.slot_dir);
    }
}
