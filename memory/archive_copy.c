/*
 * archive_copy.c - everything of one store into another, whatever keeps them. Begun again after
 * it was cut short, it goes on where it was: what is there already is passed over.
 */
#include "memory/archive.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/commit.h"
#include "memory/rooms.h"

#define BATCH_MUTATIONS 256
#define BATCH_BYTES     ((size_t)4 * 1024 * 1024)
#define STRINGS_MAX     8 /* that one mutation needs */

struct copying {
    struct memory *from;
    struct memory *to;
    bool is_dry_run;
    void (*progress)(void *context, int64_t done, int64_t total);
    void *context;
    int64_t done; /* turns looked at */
    int64_t total;
    struct store_stats copied;
    const char *key; /* the conversation under way */
    int64_t *there;  /* its seqs, versions in the target, ascending */
    size_t there_count;
    size_t there_space;
    bool is_there;
    struct store_mutation mutations[BATCH_MUTATIONS];
    union {
        struct memory_turn turn;
        struct store_summary summary;
        struct store_item item;
    } parts[BATCH_MUTATIONS];
    char *strings[BATCH_MUTATIONS * STRINGS_MAX];
    size_t count;
    size_t strings_count;
    size_t bytes;
    struct err err; /* what stopped a visit */
    bool has_failed;
};

/* ---- the batch --------------------------------------------------------------------------- */

static const char *keep(struct copying *copying, const char *text)
{
    char *copy = xstrdup(text ? text : "");

    copying->strings[copying->strings_count++] = copy;
    copying->bytes += strlen(copy);
    return copy;
}

static void clear_batch(struct copying *copying)
{
    for (size_t i = 0; i < copying->strings_count; i++)
        free(copying->strings[i]);
    copying->strings_count = 0;
    copying->count = 0;
    copying->bytes = 0;
}

static int flush(struct copying *copying)
{
    int rc = 0;

    if (copying->count)
        rc = commit_mutations(&copying->to->path, copying->mutations, copying->count,
                              &copying->err);
    clear_batch(copying);
    copying->has_failed = copying->has_failed || rc < 0;
    return rc;
}

/* Counts the mutation in as the next of the batch; false when it could not be written. */
static bool add(struct copying *copying, const struct store_mutation *mutation)
{
    if (copying->is_dry_run) {
        clear_batch(copying);
        return true;
    }
    copying->mutations[copying->count++] = *mutation;
    if (copying->count < BATCH_MUTATIONS && copying->bytes < BATCH_BYTES)
        return true;
    return flush(copying) == 0;
}

/* ---- what the target has ----------------------------------------------------------------- */

static void note_there(struct copying *copying, int64_t number)
{
    if (copying->there_count == copying->there_space) {
        copying->there_space = copying->there_space ? copying->there_space * 2 : 64;
        copying->there =
            xrealloc(copying->there, copying->there_space, sizeof(*copying->there));
    }
    copying->there[copying->there_count++] = number;
}

static bool note_turn(void *context, const struct memory_turn *turn)
{
    note_there(context, turn->seq);
    return true;
}

static bool note_summary(void *context, const struct store_summary *summary)
{
    note_there(context, summary->version);
    return true;
}

static int compare_numbers(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;

    return a < b ? -1 : a > b;
}

static void sort_there(struct copying *copying)
{
    if (copying->there_count)
        qsort(copying->there, copying->there_count, sizeof(*copying->there), compare_numbers);
}

static bool is_there(const struct copying *copying, int64_t number)
{
    return copying->there_count && bsearch(&number, copying->there, copying->there_count,
                                           sizeof(*copying->there), compare_numbers);
}

static bool see_value(void *context, const char *name, const char *value, int64_t expires)
{
    (void)name;
    (void)value;
    (void)expires;
    ((struct copying *)context)->is_there = true;
    return false;
}

/* ---- a conversation ---------------------------------------------------------------------- */

static bool copy_turn(void *context, const struct memory_turn *turn)
{
    struct copying *copying = context;
    struct memory_turn *copy = &copying->parts[copying->count].turn;

    copying->done++;
    if (is_there(copying, turn->seq))
        return true;
    copying->copied.turns++;
    copying->copied.bytes += (int64_t)strlen(turn->text);
    *copy = *turn;
    copy->author = keep(copying, turn->author);
    copy->text = keep(copying, turn->text);
    copy->slack_ts = keep(copying, turn->slack_ts);
    copy->metadata = keep(copying, turn->metadata);
    return add(copying, &(struct store_mutation){ .kind = STORE_APPEND_TURN,
                                                  .key = keep(copying, copying->key),
                                                  .turn = copy,
                                                  .seq = turn->seq });
}

static bool copy_summary(void *context, const struct store_summary *summary)
{
    struct copying *copying = context;
    struct store_summary *copy = &copying->parts[copying->count].summary;

    if (is_there(copying, summary->version))
        return true;
    copying->copied.summaries++;
    *copy = *summary;
    copy->source = keep(copying, summary->source);
    copy->text = keep(copying, summary->text);
    copy->pinned = keep(copying, summary->pinned);
    return add(copying, &(struct store_mutation){ .kind = STORE_SET_SUMMARY,
                                                  .key = keep(copying, copying->key),
                                                  .summary = copy });
}

static bool copy_field(void *context, const char *name, const char *value, int64_t expires)
{
    struct copying *copying = context;
    struct store *to = copying->to->store;

    copying->is_there = false;
    if (to->ops->fields(to, copying->key, name, see_value, copying, &copying->err) < 0) {
        copying->has_failed = true;
        return false;
    }
    if (copying->is_there)
        return true;
    copying->copied.fields++;
    return add(copying, &(struct store_mutation){ .kind = STORE_SET_FIELD,
                                                  .key = keep(copying, copying->key),
                                                  .name = keep(copying, name),
                                                  .value = keep(copying, value),
                                                  .expires_wall_ms = expires });
}

static void ignore_turn(void *context, const struct memory_turn *turn)
{
    (void)context;
    (void)turn;
}

static int copy_window(struct copying *copying)
{
    struct store *from = copying->from->store;
    struct store_head head = { 0 };

    if (from->ops->load(from, copying->key, 0, ignore_turn, NULL, &head, &copying->err) < 0)
        return -1;
    if (head.window_seq <= 1)
        return 0;
    return add(copying, &(struct store_mutation){ .kind = STORE_SET_WINDOW,
                                                  .key = keep(copying, copying->key),
                                                  .seq = head.window_seq })
               ? 0
               : -1;
}

static int copy_turns(struct copying *copying)
{
    struct store *from = copying->from->store;
    struct store *to = copying->to->store;
    struct store_range all = { 0 };

    copying->there_count = 0;
    if (to->ops->history(to, copying->key, &all, note_turn, copying, &copying->err) < 0)
        return -1;
    sort_there(copying);
    copying->copied.conversations += copying->there_count == 0;
    return from->ops->history(from, copying->key, &all, copy_turn, copying, &copying->err);
}

static int copy_summaries(struct copying *copying)
{
    struct store *from = copying->from->store;
    struct store *to = copying->to->store;

    copying->there_count = 0;
    if (to->ops->summaries(to, copying->key, note_summary, copying, &copying->err) < 0)
        return -1;
    sort_there(copying);
    return from->ops->summaries(from, copying->key, copy_summary, copying, &copying->err);
}

static bool copy_conversation(void *context, const struct store_conversation *conversation)
{
    struct copying *copying = context;
    struct store *from = copying->from->store;

    copying->key = conversation->key;
    if (copy_turns(copying) < 0 || copying->has_failed || copy_summaries(copying) < 0 ||
        copying->has_failed ||
        from->ops->fields(from, copying->key, NULL, copy_field, copying, &copying->err) < 0 ||
        copying->has_failed || copy_window(copying) < 0)
        copying->has_failed = true;
    if (copying->progress)
        copying->progress(copying->context, copying->done, copying->total);
    return !copying->has_failed;
}

/* ---- people and values ------------------------------------------------------------------- */

struct looking {
    const struct store_item *item;
    bool is_there;
};

static bool see_item(void *context, const struct store_item *item)
{
    struct looking *looking = context;

    looking->is_there = looking->is_there || strcmp(item->name, looking->item->name) == 0;
    return !looking->is_there;
}

static bool copy_item(void *context, const struct store_item *item)
{
    struct copying *copying = context;
    struct store *to = copying->to->store;
    struct store_item *copy = &copying->parts[copying->count].item;
    struct looking looking = { .item = item };

    if (to->ops->items(to, item->user, item->kind, see_item, &looking, &copying->err) < 0) {
        copying->has_failed = true;
        return false;
    }
    if (looking.is_there)
        return true;
    copying->copied.items++;
    *copy = *item;
    copy->user = keep(copying, item->user);
    copy->name = keep(copying, item->name);
    copy->value = keep(copying, item->value);
    copy->conversation = keep(copying, item->conversation);
    return add(copying, &(struct store_mutation){ .kind = STORE_SET_ITEM, .item = copy });
}

static bool copy_value(void *context, const char *name, const char *value, int64_t expires)
{
    struct copying *copying = context;
    struct store *to = copying->to->store;

    copying->is_there = false;
    if (to->ops->values(to, name, false, "", 0, see_value, copying, &copying->err) < 0) {
        copying->has_failed = true;
        return false;
    }
    if (copying->is_there)
        return true;
    copying->copied.values++;
    return add(copying, &(struct store_mutation){ .kind = STORE_SET_VALUE,
                                                  .key = keep(copying, name),
                                                  .value = keep(copying, value),
                                                  .expires_wall_ms = expires });
}

static int copy_people(struct copying *copying, enum store_item_kind kind)
{
    struct store *from = copying->from->store;

    return from->ops->items(from, NULL, kind, copy_item, copying, &copying->err) < 0 ||
                   copying->has_failed
               ? -1
               : 0;
}

static int copy_all(struct copying *copying)
{
    struct store_list everything = { .user = "", .pattern = "", .after = "" };
    struct store *from = copying->from->store;

    if (memory_list(copying->from, &everything, copy_conversation, copying, &copying->err) <
            0 ||
        copying->has_failed || copy_people(copying, STORE_ITEM_PREFERENCE) < 0 ||
        copy_people(copying, STORE_ITEM_FACT) < 0 ||
        from->ops->values(from, "*", true, "", 0, copy_value, copying, &copying->err) < 0 ||
        copying->has_failed)
        return -1;
    return flush(copying);
}

int memory_copy(struct memory *from, struct memory *to, bool is_dry_run,
                void (*progress)(void *context, int64_t done, int64_t total), void *context,
                struct store_stats *ret_copied, struct err *err)
{
    struct copying *copying = xcalloc(1, sizeof(*copying));
    struct store_stats stats = { 0 };
    int rc = memory_store_stats(from, &stats, err);

    copying->from = from;
    copying->to = to;
    copying->is_dry_run = is_dry_run;
    copying->progress = progress;
    copying->context = context;
    copying->total = stats.turns;
    if (rc == 0) {
        rc = copy_all(copying);
        if (rc < 0 && err)
            *err = copying->err;
        *ret_copied = copying->copied;
    }
    clear_batch(copying);
    free(copying->there);
    free(copying);
    return rc;
}
