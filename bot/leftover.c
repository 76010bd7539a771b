#include "bot/leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/run.h"
#include "base/alloc.h"
#include "bot/surface_terminal.h"

#define LOG_MODULE "bot.leftover"
#include "base/log.h"

#define PAGE 256

typedef void (*entry_fn)(void *context, const struct ledger_entry *entry);

static int each_pending(struct memory *memory, entry_fn fn, void *context, struct err *err)
{
    struct ledger_entry *page[PAGE];
    int64_t after_id = 0;
    size_t count = PAGE;

    while (count == PAGE) {
        if (memory_pending_messages(memory, after_id, page, PAGE, &count, err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++) {
            after_id = page[i]->id;
            fn(context, page[i]);
            ledger_entry_free(page[i]);
        }
    }
    return 0;
}

/* ---- chats --------------------------------------------------------------------------------
 */

static void end_run(const struct leftover *leftover, const char *run_id)
{
    struct agent_spec spec = { .runs_dir = leftover->runs_dir,
                               .kill_grace_ms = leftover->kill_grace_ms,
                               .cancel_fd = -1 };
    struct agent_run *run = NULL;
    struct err err = { 0 };

    if (agent_run_attach(&spec, run_id, &run, &err) == 0)
        agent_run_free(run, false);
    if (agent_run_remove(leftover->runs_dir, run_id, &err) < 0)
        log_warn("%s", err.message);
}

static void end_chat(void *context, const struct ledger_entry *entry)
{
    const struct leftover *leftover = context;
    struct err err = { 0 };

    if (strcmp(entry->channel, TERMINAL_CHANNEL) != 0)
        return;
    if (*entry->run_id)
        end_run(leftover, entry->run_id);
    if (memory_mark_messages(leftover->memory, &entry->id, 1, LEDGER_CANCELLED, &err) < 0)
        log_warn("message=%lld of a chat that died: %s", (long long)entry->id, err.message);
    else
        log_info("message=%lld of a chat that died is given up", (long long)entry->id);
}

static int open_lock(const struct leftover *leftover)
{
    AUTO_FREE char *path = xasprintf("%s/chat.lock", leftover->state_dir);

    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static void end_chats_alone(const struct leftover *leftover, int lock)
{
    struct err err = { 0 };

    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return; /* one lives, and whose is whose cannot be told */
    if (each_pending(leftover->memory, end_chat, (void *)leftover, &err) < 0)
        log_warn("what chats left is not looked for: %s", err.message);
}

void leftover_end_chats(const struct leftover *leftover)
{
    AUTO_FD int lock = open_lock(leftover);

    if (lock >= 0)
        end_chats_alone(leftover, lock);
}

int leftover_enter_chat(const struct leftover *leftover)
{
    AUTO_FD int lock = open_lock(leftover);

    if (lock < 0)
        return -1;
    end_chats_alone(leftover, lock);
    while (flock(lock, LOCK_SH) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return take_fd(&lock);
}

/* ---- runs ---------------------------------------------------------------------------------
 */

struct ids {
    char **items;
    size_t count;
};

static void add_id(void *context, const struct ledger_entry *entry)
{
    struct ids *ids = context;

    if (!*entry->run_id)
        return;
    ids->items = xrealloc(ids->items, ids->count + 2, sizeof(*ids->items));
    ids->items[ids->count++] = xstrdup(entry->run_id);
    ids->items[ids->count] = NULL;
}

int leftover_list_needed(void *context, char ***ret_ids, struct err *err)
{
    const struct leftover *leftover = context;
    struct ids ids = { 0 };
    int rc = each_pending(leftover->memory, add_id, &ids, err);

    *ret_ids = ids.items; /* on failure as well: the caller frees it */
    return rc;
}
