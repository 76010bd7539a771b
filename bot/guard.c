#include "bot/guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bot/guard_forms.h"
#include "bot/guard_parts.h"
#include "bot/guard_values.h"

#define LOG_MODULE "bot.guard"
#include "base/log.h"

#define READ_BYTES     65536
#define TEXT_MAX_BYTES (SIZE_MAX / 4) /* bounded by what is masked */

struct guard {
    pthread_mutex_t lock;
    struct guard_known *known;  /* guarded by lock */
    struct guard_values values; /* startup and loop only */
    struct metric *outgoing;
    struct metric *inbound;
};

/* ---- what is known ------------------------------------------------------------------------
 */

static struct guard_known *learn(const struct guard_values *values)
{
    struct guard_known *known = xcalloc(1, sizeof(*known));

    known->ref_count = 1;
    known->patterns = patterns_new();
    for (size_t i = 0; i < values->count; i++) {
        guard_forms_add(known->patterns, values->items[i].bytes, values->items[i].len);
        log_add_secret(values->items[i].bytes);
    }
    patterns_seal(known->patterns);
    return known;
}

struct guard_known *guard_known_ref(struct guard *guard)
{
    struct guard_known *known;

    pthread_mutex_lock(&guard->lock);
    known = guard->known;
    __atomic_add_fetch(&known->ref_count, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&guard->lock);
    return known;
}

void guard_known_unref(struct guard_known *known)
{
    if (!known || __atomic_sub_fetch(&known->ref_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    patterns_free(known->patterns);
    free(known);
}

static int copy_values(const struct guard_values *from, struct guard_values *to,
                       struct err *err)
{
    for (size_t i = 0; i < from->count; i++) {
        if (guard_values_add(to, from->items[i].bytes, from->items[i].len, err) < 0)
            return -1;
    }
    return 0;
}

int guard_reload(struct guard *guard, const struct config *config, struct err *err)
{
    struct guard_values values = { 0 };
    struct guard_known *fresh;
    struct guard_known *old;

    if (copy_values(&guard->values, &values, err) < 0 ||
        guard_values_read_config(&values, config, err) < 0) {
        guard_values_deinit(&values);
        return -1;
    }
    guard_values_deinit(&guard->values);
    guard->values = values;
    fresh = learn(&values);
    pthread_mutex_lock(&guard->lock);
    old = guard->known;
    guard->known = fresh;
    pthread_mutex_unlock(&guard->lock);
    guard_known_unref(old);
    return 0;
}

int guard_new(const struct config *config, struct metrics *metrics, struct guard **ret_guard,
              struct err *err)
{
    static const char help[] = "Secrets that were masked in messages.";
    struct guard *guard = xcalloc(1, sizeof(*guard));

    pthread_mutex_init(&guard->lock, NULL);
    guard->outgoing =
        metrics_counter(metrics, "guard_masked_total", "direction=\"outgoing\"", help);
    guard->inbound =
        metrics_counter(metrics, "guard_masked_total", "direction=\"inbound\"", help);
    if (guard_reload(guard, config, err) < 0) {
        guard_free(guard);
        return -1;
    }
    *ret_guard = guard;
    return 0;
}

void guard_free(struct guard *guard)
{
    if (!guard)
        return;
    guard_known_unref(guard->known);
    guard_values_deinit(&guard->values);
    pthread_mutex_destroy(&guard->lock);
    free(guard);
}

/* ---- counting -----------------------------------------------------------------------------
 */

void guard_count_masked(struct guard *guard, enum guard_direction direction, unsigned count)
{
    metric_add(direction == GUARD_OUTGOING ? guard->outgoing : guard->inbound, count);
}

void guard_print_kinds(const struct guard_tally *tally, struct buf *out)
{
    for (size_t i = 0; i < GUARD_KINDS_MAX && tally->kinds[i]; i++) {
        bool is_last = i + 1 == GUARD_KINDS_MAX || !tally->kinds[i + 1];

        buf_printf(out, "%s%s", !i ? "" : is_last ? " and " : ", ", tally->kinds[i]);
    }
}

void guard_print_notice(const struct guard_tally *tally, struct buf *out)
{
    buf_append_text(out, ":lock: Your message held what looks like ");
    guard_print_kinds(tally, out);
    buf_append_text(out, ". I removed it before storing your message or passing it on. It can "
                         "still be read where you wrote it: please delete the message there, "
                         "and replace the secret, as others may have seen it.");
}

char *guard_mask(struct guard *guard, enum guard_direction direction, const char *text,
                 struct guard_tally *ret_tally)
{
    AUTO_BUF struct buf out = { 0 };
    struct guard_stream *stream;

    if (ret_tally)
        *ret_tally = (struct guard_tally){ 0 };
    if (!guard)
        return xstrdup(text);
    buf_init(&out, TEXT_MAX_BYTES);
    stream = guard_stream_make(guard, direction, true);
    guard_stream_append(stream, text, strlen(text), &out);
    guard_stream_end(stream, &out);
    if (ret_tally)
        *ret_tally = *guard_stream_tally(stream);
    guard_stream_free(stream);
    return out.len ? buf_take(&out) : xstrdup("");
}

/* ---- files --------------------------------------------------------------------------------
 */

struct guard_scanner {
    struct guard_stream *stream;
    struct buf shown; /* of no interest */
};

struct guard_scanner *guard_scanner_new(struct guard *guard)
{
    struct guard_scanner *scanner = xcalloc(1, sizeof(*scanner));

    scanner->stream = guard_stream_make(guard, GUARD_OUTGOING, false);
    buf_init(&scanner->shown, TEXT_MAX_BYTES);
    return scanner;
}

void guard_scanner_free(struct guard_scanner *scanner)
{
    if (!scanner)
        return;
    guard_stream_free(scanner->stream);
    buf_deinit(&scanner->shown);
    free(scanner);
}

const char *guard_scanner_feed(struct guard_scanner *scanner, const void *bytes, size_t len)
{
    guard_stream_append(scanner->stream, bytes, len, &scanner->shown);
    buf_clear(&scanner->shown);
    return guard_stream_tally(scanner->stream)->kinds[0];
}

const char *guard_scanner_end(struct guard_scanner *scanner)
{
    guard_stream_end(scanner->stream, &scanner->shown);
    buf_clear(&scanner->shown);
    return guard_stream_tally(scanner->stream)->kinds[0];
}

int guard_scan_file(struct guard *guard, int fd, const char **ret_kind, struct err *err)
{
    struct guard_scanner *scanner = guard_scanner_new(guard);
    AUTO_FREE char *chunk = xcalloc(READ_BYTES, 1);
    const char *kind = NULL;
    ssize_t got = 0;

    while (!kind && (got = read(fd, chunk, READ_BYTES)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            kind = guard_scanner_feed(scanner, chunk, (size_t)got);
    }
    if (!kind && got == 0)
        kind = guard_scanner_end(scanner);
    guard_scanner_free(scanner);
    if (got < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot read what is to be sent");
    *ret_kind = kind;
    return 0;
}
