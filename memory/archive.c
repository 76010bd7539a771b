#include "memory/archive.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/journal.h"
#include "memory/rooms.h"
#include "memory/upkeep.h"

#define PAGE_CONVERSATIONS 256

/* ---- listing ------------------------------------------------------------------------------
 */

struct page {
    struct store_conversation items[PAGE_CONVERSATIONS];
    char *keys[PAGE_CONVERSATIONS];
    size_t count;
    size_t max;
};

static bool take_conversation(void *context, const struct store_conversation *conversation)
{
    struct page *page = context;

    page->keys[page->count] = xstrdup(conversation->key);
    page->items[page->count] = *conversation;
    page->items[page->count].key = page->keys[page->count];
    page->count++;
    return page->count < page->max;
}

static void clear_page(struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        free(page->keys[i]);
    page->count = 0;
}

/* Visits what a page holds; false when the visitor has had enough. */
static bool visit_page(const struct page *page, store_conversation_fn visit, void *context)
{
    for (size_t i = 0; i < page->count; i++) {
        if (!visit(context, &page->items[i]))
            return false;
    }
    return true;
}

/* Page by page, each copied first: a visit holds no reader and may take its time. */
int memory_list(struct memory *memory, const struct store_list *list,
                store_conversation_fn visit, void *context, struct err *err)
{
    struct store *store = memory->store;
    struct page *page = xcalloc(1, sizeof(*page));
    AUTO_FREE char *after = xstrdup(list->after ? list->after : "");
    size_t left = list->limit ? list->limit : SIZE_MAX;
    bool goes_on = true;
    int rc = 0;

    while (goes_on && left && rc == 0) {
        struct store_list some = { .user = list->user ? list->user : "",
                                   .pattern = list->pattern ? list->pattern : "",
                                   .after = after };

        page->max = left < PAGE_CONVERSATIONS ? left : PAGE_CONVERSATIONS;
        some.limit = page->max;
        rc = store->ops->list(store, &some, take_conversation, page, err);
        if (rc < 0)
            break;
        goes_on = visit_page(page, visit, context) && page->count == page->max;
        left -= page->count;
        if (page->count) {
            free(after);
            after = xstrdup(page->keys[page->count - 1]);
        }
        clear_page(page);
    }
    clear_page(page);
    free(page);
    return rc;
}

int memory_history(struct memory *memory, const char *key, const struct store_range *range,
                   store_visit_turn_fn visit, void *context, struct err *err)
{
    return memory->store->ops->history(memory->store, key, range, visit, context, err);
}

int memory_summaries(struct memory *memory, const char *key, store_summary_fn visit,
                     void *context, struct err *err)
{
    return memory->store->ops->summaries(memory->store, key, visit, context, err);
}

int memory_store_stats(struct memory *memory, struct store_stats *ret_stats, struct err *err)
{
    struct store_stats stats = { 0 };

    if (memory->store->ops->stats(memory->store, &stats, err) < 0)
        return -1;
    *ret_stats = stats;
    return 0;
}

int memory_backup(struct memory *memory, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err)
{
    return memory->store->ops->backup(memory->store, path, progress, context, err);
}

int memory_sweep(struct memory *memory, struct store_swept *ret_swept, struct err *err)
{
    return upkeep_sweep(memory, atomic_load(&memory->retention_ms), ret_swept, err);
}
