#include "agent/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/environment.h"
#include "agent/permission.h"
#include "agent/process.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/random.h"

#define LOG_MODULE "agent.slot"
#include "base/log.h"

#define SLOTS_MAX     512 /* 64 workers, twice, after a restart, and then some */
#define NUMBER_DIGITS 3
#define UNUSABLE_MAX  8 /* a full disk, rather than what runs left */
#define ID_MAX_BYTES  64
#define BAD           ".bad-"

struct agent_slot {
    char *dir;
    char *chats; /* of the conversation; NULL for none */
    enum agent_mode mode;
    int lock_fd;
    char run_id[AGENT_RUN_ID_BYTES];
};

static void free_slot(struct agent_slot *slot)
{
    if (!slot)
        return;
    if (slot->lock_fd >= 0)
        close(slot->lock_fd);
    free(slot->dir);
    free(slot->chats);
    free(slot);
}

static bool is_id(const char *id)
{
    size_t len = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz-");

    return len > 0 && len <= ID_MAX_BYTES && id[len] == '\0' && id[0] != '-';
}

/* ---- the lock -----------------------------------------------------------------------------
 */

/* The run that the lock names, "" for none. */
static void read_run(int lock_fd, char run_id[AGENT_RUN_ID_BYTES])
{
    ssize_t got = pread(lock_fd, run_id, AGENT_RUN_ID_BYTES - 1, 0);

    run_id[got > 0 ? got : 0] = '\0';
    run_id[strcspn(run_id, "\n")] = '\0';
}

/* Whether the run has nothing left that could use the slot. */
static bool is_over(const char *run_id)
{
    return !*run_id || process_signal_run(run_id, 0, 0) == 0;
}

/* -1 when somebody has it. */
static int lock_slot(const char *path)
{
    AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    char run_id[AGENT_RUN_ID_BYTES];

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -1;
    read_run(fd, run_id);
    return is_over(run_id) ? take_fd(&fd) : -1;
}

/* Before the run exists, so that there is no instant in which it has no slot. */
static int write_run(struct agent_slot *slot, const char *run_id, struct err *err)
{
    size_t len = strlen(run_id);

    snprintf(slot->run_id, sizeof(slot->run_id), "%s", run_id);
    if (ftruncate(slot->lock_fd, 0) < 0 ||
        pwrite(slot->lock_fd, run_id, len, 0) != (ssize_t)len)
        return err_set_errno(err, ERR_SYSTEM, "write into the lock of %s", slot->dir);
    return 0;
}

static void forget_run(int lock_fd)
{
    if (ftruncate(lock_fd, 0) < 0)
        log_warn("a slot's lock cannot be emptied"); /* then /proc is asked next time */
}

/* ---- what is in it ------------------------------------------------------------------------
 */

static int link_chats(const struct agent_slot *slot, struct err *err)
{
    AUTO_FREE char *name = xasprintf("%s/config/chats", slot->dir);

    if (!slot->chats)
        return 0;
    if (file_make_dirs(slot->chats, 0700, err) < 0)
        return -1;
    /* Its time is when it was used last: what is inside is the agent's. */
    if (utimensat(AT_FDCWD, slot->chats, NULL, 0) < 0 || symlink(slot->chats, name) < 0)
        return err_set_errno(err, ERR_SYSTEM, "link %s to %s", name, slot->chats);
    return 0;
}

/* What cannot be removed goes aside, for agent_slots_clear(): it must not cost the slot. */
static int clear_away(const char *slot_dir, struct err *err)
{
    AUTO_FREE char *aside = NULL;
    char suffix[17];
    struct err why = { 0 };

    if (file_remove_tree(slot_dir, &why) == 0)
        return 0;
    random_hex(suffix, 8);
    aside = xasprintf("%s" BAD "%s", slot_dir, suffix);
    if (rename(slot_dir, aside) < 0)
        return err_set(err, why.kind, "%s", why.message);
    log_warn("what a run left in its slot cannot be removed and is put aside as %s: %s", aside,
             why.message);
    return 0;
}

int agent_slot_fill(const struct agent_slot *slot, struct err *err)
{
    AUTO_FREE char *config = xasprintf("%s/config", slot->dir);
    AUTO_FREE char *data = xasprintf("%s/data", slot->dir);

    if (clear_away(slot->dir, err) < 0 || file_make_dirs(config, 0700, err) < 0 ||
        file_make_dirs(data, 0700, err) < 0 ||
        agent_permission_write(config, slot->mode, err) < 0)
        return -1;
    return link_chats(slot, err);
}

static void empty(const char *slot_dir)
{
    struct err err = { 0 };

    if (file_remove_tree(slot_dir, &err) < 0)
        log_warn("what a run left in its slot stays there: %s", err.message);
}

/* ---- taking and letting go ----------------------------------------------------------------
 */

/* NULL: somebody has it. */
static struct agent_slot *try_slot(const char *root, int number,
                                   const struct agent_slot_wanted *wanted)
{
    AUTO_FREE char *lock = xasprintf("%s/slots/%d.lock", root, number);
    int fd = lock_slot(lock);
    struct agent_slot *slot = NULL;

    if (fd < 0)
        return NULL;
    slot = xcalloc(1, sizeof(*slot));
    slot->lock_fd = fd;
    slot->mode = wanted->mode;
    slot->dir = xasprintf("%s/slots/%d", root, number);
    slot->chats = wanted->chats_id ? xasprintf("%s/chats/%s", root, wanted->chats_id) : NULL;
    return slot;
}

/* What a run made unremovable costs its slot, not the next run. */
static int take_any(const char *root, const struct agent_slot_wanted *wanted,
                    struct agent_slot **ret_slot, struct err *err)
{
    struct err why = { .kind = ERR_TEMP, .message = "all slots for agents are taken" };

    int unusable = 0;

    for (int number = 0; number < SLOTS_MAX && unusable < UNUSABLE_MAX; number++) {
        struct agent_slot *slot = try_slot(root, number, wanted);

        if (!slot)
            continue;
        if (write_run(slot, wanted->run_id, &why) == 0 && agent_slot_fill(slot, &why) == 0) {
            *ret_slot = slot;
            return 0;
        }
        forget_run(slot->lock_fd);
        free_slot(slot);
        unusable++;
        log_debug("slot %d is of no use: %s", number, why.message);
    }
    return err_set(err, why.kind, "%s", why.message);
}

int agent_slot_take(const struct agent_slot_wanted *wanted, struct agent_slot **ret_slot,
                    struct err *err)
{
    AUTO_FREE char *slots = xasprintf("%s/slots", wanted->state_dir);
    AUTO_FREE char *root = NULL;

    if (wanted->chats_id && !is_id(wanted->chats_id))
        return err_set(err, ERR_INPUT, "bad id of a conversation's chats");
    if (file_make_dirs(slots, 0700, err) < 0)
        return -1;
    root = realpath(wanted->state_dir, NULL); /* the agent has another working directory */
    if (!root)
        return err_set_errno(err, ERR_SYSTEM, "find %s", wanted->state_dir);
    if (access(slots, W_OK | X_OK) < 0) /* else every one of them would be tried */
        return err_set_errno(err, ERR_SYSTEM, "write into %s", slots);
    return take_any(root, wanted, ret_slot, err);
}

const char *agent_slot_dir(const struct agent_slot *slot)
{
    return slot->dir;
}

const char *agent_slot_chats(const struct agent_slot *slot)
{
    return slot->chats;
}

void agent_slot_release(struct agent_slot *slot, bool keep_running)
{
    AUTO_FREE char *config = slot ? xasprintf("%s/config", slot->dir) : NULL;

    if (slot && !keep_running) {
        if (!agent_permission_holds(config, slot->mode))
            log_warn("run=%s: the agent's permission file was changed while it ran; the next "
                     "run gets its own",
                     slot->run_id);
        empty(slot->dir);
        forget_run(slot->lock_fd);
    }
    free_slot(slot);
}

/* What was put aside may be removable by now. */
static void clear_aside(const char *state_dir)
{
    AUTO_FREE char *slots = xasprintf("%s/slots", state_dir);
    DIR *directory = opendir(slots);
    const struct dirent *entry;
    struct err err = { 0 };

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): own DIR */
    while (directory && (entry = readdir(directory)) != NULL) {
        AUTO_FREE char *path = xasprintf("%s/%s", slots, entry->d_name);

        if (strstr(entry->d_name, BAD) && file_remove_tree(path, &err) < 0)
            log_debug("%s", err.message);
    }
    if (directory)
        closedir(directory);
}

void agent_slots_clear(const char *state_dir)
{
    clear_aside(state_dir);
    for (int number = 0; number < SLOTS_MAX; number++) {
        AUTO_FREE char *dir = xasprintf("%s/slots/%d", state_dir, number);
        AUTO_FREE char *lock = xasprintf("%s.lock", dir);
        AUTO_FD int fd = -1;

        if (access(dir, F_OK) < 0) /* empty already, or never used */
            continue;
        fd = lock_slot(lock);
        if (fd < 0)
            continue;
        empty(dir);
        forget_run(fd);
    }
}

bool agent_slot_path_is_long(const char *state_dir)
{
    AUTO_FREE char *root = realpath(state_dir, NULL);

    return strlen(root ? root : state_dir) + strlen("/slots/") + NUMBER_DIGITS +
               strlen("/data") >
           AGENT_SLOT_DATA_MAX_BYTES;
}

/* ---- what the run's other parts need to know ----------------------------------------------
 */

/* A list ended by NULL and its strings in one block. */
static char **make_list(char *const *items, size_t count)
{
    size_t size = (count + 1) * sizeof(char *);
    char **list;
    char *at;

    for (size_t i = 0; i < count; i++)
        size += strlen(items[i]) + 1;
    list = xcalloc(1, size);
    at = (char *)&list[count + 1];
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strlen(items[i]) + 1;

        memcpy(at, items[i], bytes);
        list[i] = at;
        at += bytes;
    }
    return list;
}

static bool is_named(const char *const *env_names, const char *name)
{
    for (size_t i = 0; env_names && env_names[i]; i++) {
        if (strcmp(env_names[i], name) == 0)
            return agent_environment_get(name) != NULL;
    }
    return false;
}

char **agent_slot_environment(const char *slot_dir, const char *const *env_names)
{
    static const struct {
        const char *name;
        const char *directory;
    } variables[] = {
        { "CURSOR_CONFIG_DIR", "config" },
        { "CURSOR_DATA_DIR", "data" },
    };
    char *items[ARRAY_LEN(variables)] = { 0 };
    size_t count = 0;
    char **list;

    for (size_t i = 0; slot_dir && i < ARRAY_LEN(variables); i++) {
        if (!is_named(env_names, variables[i].name))
            items[count++] =
                xasprintf("%s=%s/%s", variables[i].name, slot_dir, variables[i].directory);
    }
    list = make_list(items, count);
    while (count > 0)
        free(items[--count]);
    return list;
}

/* ---- chats --------------------------------------------------------------------------------
 */

int agent_chats_forget(const char *state_dir, const char *chats_id, struct err *err)
{
    AUTO_FREE char *path = NULL;

    if (!is_id(chats_id))
        return err_set(err, ERR_INPUT, "bad id of a conversation's chats");
    path = xasprintf("%s/chats/%s", state_dir, chats_id);
    return file_remove_tree(path, err);
}

int agent_chats_sweep(const char *state_dir, int64_t before_wall_s, size_t *ret_removed,
                      struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/chats", state_dir);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    size_t removed = 0;
    int rc = 0;

    if (!directory && errno != ENOENT)
        return err_set_errno(err, ERR_SYSTEM, "read %s", path);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): own DIR */
    while (directory && rc == 0 && (entry = readdir(directory)) != NULL) {
        struct stat info;

        if (!is_id(entry->d_name) || fstatat(dirfd(directory), entry->d_name, &info, 0) < 0 ||
            info.st_mtim.tv_sec >= before_wall_s)
            continue;
        rc = agent_chats_forget(state_dir, entry->d_name, err);
        removed += rc == 0;
    }
    if (directory)
        closedir(directory);
    if (rc == 0)
        *ret_removed = removed;
    return rc;
}
