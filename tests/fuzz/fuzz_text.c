/* Text from Slack and from the agent: every function of slack/text.h on arbitrary bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "slack/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_at(bool holds, int line)
{
    if (holds)
        return;
    fprintf(stderr, "line %d does not hold\n", line);
    abort();
}

#define check(holds) check_at(holds, __LINE__)

static void defuse_in_two(const char *text, size_t size, struct buf *whole)
{
    AUTO_BUF struct buf halves = { 0 };
    AUTO_BUF struct buf clean = { 0 };
    size_t half;

    buf_init(&clean, size * 3 + 1);
    buf_init(&halves, size * 12 + 64);
    utf8_append_clean(&clean, text, size);
    half = clean.len / 2;
    half -= slack_text_unsafe_tail(buf_text(&clean), half);
    slack_text_append_safe(whole, buf_text(&clean), clean.len);
    slack_text_append_safe(&halves, buf_text(&clean), half);
    slack_text_append_safe(&halves, buf_text(&clean) + half, clean.len - half);
    check(strcmp(buf_text(whole), buf_text(&halves)) == 0);
    check(!strstr(buf_text(whole), "<!channel") && !strstr(buf_text(whole), "<@U"));
    check(utf8_is_valid(buf_text(whole), whole->len));
}

static void split_all(const char *text, size_t len, size_t limit)
{
    struct slack_split split = { 0 };
    size_t prefix = 0;

    while (len) {
        AUTO_BUF struct buf close = { 0 };
        AUTO_BUF struct buf reopen = { 0 };
        size_t cut;

        buf_init(&close, 256);
        buf_init(&reopen, 256);
        cut = slack_text_split(&split, text, len, limit - prefix, &close, &reopen);
        check(cut > 0 && cut <= len && prefix + cut + close.len <= limit);
        check(utf8_is_valid(text, cut));
        slack_split_advance(&split, text, cut);
        slack_split_break(&split);
        prefix = reopen.len;
        text += cut;
        len -= cut;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *plain = NULL;
    AUTO_BUF struct buf safe = { 0 };
    AUTO_BUF struct buf escaped = { 0 };
    size_t limit;

    if (!size)
        return 0;
    limit = 256 + data[0];
    text = xstrndup((const char *)data + 1, size - 1);
    plain = slack_text_to_plain(text, "U1");
    check(utf8_is_valid(plain, strlen(plain)));
    slack_text_mentions(text, "U1");
    slack_text_addresses_other(text, "U1");
    buf_init(&escaped, size * 5 + 1);
    slack_text_append_escaped(&escaped, text);
    check(!escaped.overflowed);
    buf_init(&safe, size * 12 + 64);
    defuse_in_two((const char *)data + 1, size - 1, &safe);
    check(!safe.overflowed);
    split_all(buf_text(&safe), safe.len, limit);
    return 0;
}
