/*
 * journal.h - everything that happened in the lab, in order, and every offence of the client.
 *
 * Entries are numbered from 1 and stamped with microseconds since the lab began. The newest
 * JOURNAL_MAX_ENTRIES are kept.
 */
#ifndef SLACK_LAB_JOURNAL_H
#define SLACK_LAB_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define JOURNAL_MAX_ENTRIES 200000

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal *journal);

/* Adds an entry of that kind; `fields` is adopted, NULL is fine. */
void journal_add(struct journal *journal, const char *kind, json_t *fields);

/* The client broke the protocol: noted in the journal and in the list of violations. */
void journal_violation(struct journal *journal, const char *what, json_t *fields);
json_t *journal_violations(const struct journal *journal); /* borrowed: an array */
void journal_forget_violations(struct journal *journal);

int64_t journal_last(const struct journal *journal);
int64_t journal_now_us(const struct journal *journal);

/* True when an entry after `after` is of `kind` ("" is any). */
bool journal_has_after(const struct journal *journal, int64_t after, const char *kind);

/*
 * Appends {"entries":[...],"last":N,"now_us":T}: up to `max` entries after `after`; `last` is
 * where to go on, `now_us` the time on the clock of the entries' "at_us".
 */
void journal_print_after(const struct journal *journal, int64_t after, const char *kind,
                         size_t max, struct buf *out);

#endif
