#include "tests/slack_lab/journal.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

struct entry {
    char *kind;
    char *json;
};

struct journal {
    int64_t started_us;
    int64_t count;         /* ever added: the newest entry's number */
    struct entry *entries; /* a ring: entry n is at (n - 1) % JOURNAL_MAX_ENTRIES */
    json_t *violations;
};

struct journal *journal_new(void)
{
    struct journal *journal = xcalloc(1, sizeof(*journal));

    journal->started_us = clock_now_us();
    journal->entries = xcalloc(JOURNAL_MAX_ENTRIES, sizeof(*journal->entries));
    journal->violations = json_array();
    return journal;
}

void journal_free(struct journal *journal)
{
    if (!journal)
        return;
    for (size_t i = 0; i < JOURNAL_MAX_ENTRIES; i++) {
        free(journal->entries[i].kind);
        free(journal->entries[i].json);
    }
    free(journal->entries);
    json_decref(journal->violations);
    free(journal);
}

int64_t journal_now_us(const struct journal *journal)
{
    return clock_now_us() - journal->started_us;
}

int64_t journal_last(const struct journal *journal)
{
    return journal->count;
}

void journal_add(struct journal *journal, const char *kind, json_t *fields)
{
    struct entry *entry = &journal->entries[journal->count % JOURNAL_MAX_ENTRIES];
    json_t *all = fields ? fields : json_object();

    journal->count++;
    json_object_set_new(all, "seq", json_integer(journal->count));
    json_object_set_new(all, "at_us", json_integer(journal_now_us(journal)));
    json_object_set_new(all, "kind", json_string(kind));
    free(entry->kind);
    free(entry->json);
    entry->kind = xstrdup(kind);
    entry->json = json_dumps(all, JSON_COMPACT);
    json_decref(all);
}

void journal_violation(struct journal *journal, const char *what, json_t *fields)
{
    json_t *all = fields ? fields : json_object();

    json_object_set_new(all, "what", json_string(what));
    json_array_append_new(journal->violations, json_deep_copy(all));
    journal_add(journal, "violation", all);
}

json_t *journal_violations(const struct journal *journal)
{
    return journal->violations;
}

void journal_forget_violations(struct journal *journal)
{
    json_array_clear(journal->violations);
}

static int64_t first_kept_after(const struct journal *journal, int64_t after)
{
    int64_t oldest =
        journal->count > JOURNAL_MAX_ENTRIES ? journal->count - JOURNAL_MAX_ENTRIES + 1 : 1;

    return after + 1 > oldest ? after + 1 : oldest;
}

static const struct entry *entry_at(const struct journal *journal, int64_t number)
{
    return &journal->entries[(number - 1) % JOURNAL_MAX_ENTRIES];
}

bool journal_has_after(const struct journal *journal, int64_t after, const char *kind)
{
    for (int64_t n = first_kept_after(journal, after); n <= journal->count; n++) {
        if (!*kind || strcmp(entry_at(journal, n)->kind, kind) == 0)
            return true;
    }
    return false;
}

void journal_print_after(const struct journal *journal, int64_t after, const char *kind,
                         size_t max, struct buf *out)
{
    int64_t last = after > journal->count ? journal->count : after;
    size_t printed = 0;

    buf_append_text(out, "{\"ok\":true,\"entries\":[");
    for (int64_t n = first_kept_after(journal, after); n <= journal->count && printed < max;
         n++) {
        const struct entry *entry = entry_at(journal, n);

        last = n;
        if (*kind && strcmp(entry->kind, kind) != 0)
            continue;
        if (printed++ > 0)
            buf_append_char(out, ',');
        buf_append_text(out, entry->json ? entry->json : "{}");
    }
    buf_printf(out, "],\"last\":%lld,\"now_us\":%lld}", (long long)last,
               (long long)journal_now_us(journal));
}
