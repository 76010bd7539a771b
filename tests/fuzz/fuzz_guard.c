/* The leak guard: any text, in any pieces, with any two secrets. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bot/guard.h"
#include "bot/guard_values.h"

#define MASKED_MAX_BYTES ((size_t)1 << 22)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_at(bool holds, int line)
{
    if (holds)
        return;
    fprintf(stderr, "line %d does not hold\n", line);
    abort();
}

#define check(holds) check_at(holds, __LINE__)

/* In pieces of at most `piece` bytes, which grow and shrink; 0: whole. */
static char *mask(struct guard *guard, const uint8_t *text, size_t len, size_t piece)
{
    struct guard_stream *stream = guard_stream_new(guard);
    struct buf out;
    size_t turn = 0;

    buf_init(&out, MASKED_MAX_BYTES);
    for (size_t at = 0; at < len; turn++) {
        size_t take = piece ? 1 + turn * 7 % piece : len;

        take = take < len - at ? take : len - at;
        guard_stream_append(stream, (const char *)text + at, take, &out);
        at += take;
    }
    guard_stream_end(stream, &out);
    check(!guard_stream_holds(stream) && !out.overflowed);
    guard_stream_free(stream);
    return out.len ? buf_take(&out) : xstrdup("");
}

/* Whether masking cannot itself put it together. */
static bool is_apart_from_mark(const char *secret)
{
    return strlen(secret) >= GUARD_VALUE_MIN_BYTES && !strpbrk(secret, "[]") &&
           !strstr(GUARD_MARK, secret);
}

static void check_text(struct guard *guard, const struct config *config, const uint8_t *text,
                       size_t len)
{
    AUTO_FREE char *whole = mask(guard, text, len, 0);
    AUTO_FREE char *bytes = mask(guard, text, len, 1);
    AUTO_FREE char *pieces = mask(guard, text, len, 23);
    struct guard_scanner *scanner = guard_scanner_new(guard);

    check(strcmp(whole, bytes) == 0);
    check(strcmp(whole, pieces) == 0);
    if (is_apart_from_mark(config->slack.bot_token))
        check(!strstr(whole, config->slack.bot_token));
    if (is_apart_from_mark(config->slack.app_token))
        check(!strstr(whole, config->slack.app_token));
    guard_scanner_feed(scanner, text, len);
    guard_scanner_end(scanner);
    guard_scanner_free(scanner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t first = size ? data[0] % 40 : 0;
    size_t second = size > 1 ? data[1] % 40 : 0;
    struct config config = { 0 };
    struct metrics *metrics;
    struct guard *guard = NULL;

    if (size < 2 + first + second)
        return 0;
    data += 2;
    size -= 2 + first + second;
    config.slack.bot_token = xstrndup((const char *)data, first);
    config.slack.app_token = xstrndup((const char *)data + first, second);
    config.memory.encryption_key_file = (char *)"";
    metrics = metrics_new();
    check(guard_new(&config, metrics, &guard, NULL) == 0);
    check_text(guard, &config, data + first + second, size);
    guard_free(guard);
    metrics_free(metrics);
    free(config.slack.bot_token);
    free(config.slack.app_token);
    return 0;
}
