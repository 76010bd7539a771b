#include "memory/preface.h"

#include <string.h>

#include "base/utf8.h"
#include "memory/conversation.h"
#include "memory/line.h"
#include "memory/pack.h"
#include "memory/person.h"
#include "memory/tokens.h"

#define LOG_MODULE "memory.preface"
#include "base/log.h"

#define TEXT_MAX_BYTES  (4 * PACK_TEXT_MAX_BYTES)
#define HEADING_SUMMARY "Summary"

static int64_t quarters_of(const struct buf *text)
{
    return memory_estimate_quarters(buf_text(text), text->len);
}

/* Cuts whole lines off the end until it is small enough. */
static void shorten_lines(struct buf *text, int64_t max_quarters)
{
    while (text->len && quarters_of(text) > max_quarters) {
        size_t len = text->len - 1;

        while (len > 0 && buf_text(text)[len - 1] != '\n')
            len--;
        buf_truncate(text, len);
    }
}

void preface_take_person(struct memory *memory, const char *user, int64_t max_quarters,
                         struct buf *out, struct memory_receipt *receipt)
{
    struct err err = { 0 };

    if (person_append_context(memory, user, out, &err) < 0) {
        log_warn("what is known of a person is left out of a context: %s", err.message);
        receipt->lacks_person = true;
        buf_clear(out);
        return;
    }
    if (out->len && buf_text(out)[out->len - 1] != '\n')
        buf_append_char(out, '\n');
    shorten_lines(out, max_quarters);
}

/* Cuts at the end of a sentence or a line: half of one says the wrong thing. */
static void shorten_text(struct buf *text, int64_t max_quarters)
{
    size_t cut = text->len;

    if (quarters_of(text) <= max_quarters)
        return;
    if (max_quarters <= 0)
        cut = 0;
    else if (cut > (size_t)max_quarters) /* a byte has a quarter at least, on the average */
        cut = utf8_cut(buf_text(text), text->len, (size_t)max_quarters);
    while (cut > 0 && memory_estimate_quarters(buf_text(text), cut) >= max_quarters)
        cut = utf8_cut(buf_text(text), text->len, cut - 1);
    while (cut > 0 && !strchr(".!?;\n", buf_text(text)[cut - 1]))
        cut--;
    buf_truncate(text, cut);
    if (cut > 0 && buf_text(text)[cut - 1] != '\n')
        buf_append_char(text, '\n');
}

struct taking {
    int64_t max_quarters;
    struct buf *out;
    struct memory_receipt *receipt;
};

/* What is pinned is kept before the text, and has its own share of a summary too long. */
static bool copy_summary(void *context, const struct store_summary *summary)
{
    struct taking *taking = context;
    int64_t most = taking->max_quarters;
    int64_t heading =
        memory_estimate_quarters("# " HEADING_SUMMARY "\n", sizeof("# " HEADING_SUMMARY));
    AUTO_BUF struct buf pinned = { 0 };
    AUTO_BUF struct buf text = { 0 };

    buf_init(&pinned, TEXT_MAX_BYTES);
    buf_init(&text, TEXT_MAX_BYTES);
    if (summary->pinned && *summary->pinned)
        line_append_text(&pinned, summary->pinned, strlen(summary->pinned));
    shorten_lines(&pinned, most / 2);
    line_append_text(&text, summary->text, strlen(summary->text));
    shorten_text(&text, most - heading - quarters_of(&pinned));
    if (!text.len && !pinned.len)
        return false;
    line_append_heading(taking->out, HEADING_SUMMARY);
    buf_append(taking->out, buf_text(&text), text.len);
    buf_append(taking->out, buf_text(&pinned), pinned.len);
    taking->receipt->summary_version = summary->version;
    taking->receipt->summary_first_seq = summary->first_seq;
    taking->receipt->summary_last_seq = summary->last_seq;
    return false;
}

void preface_take_summary(const struct conversation *conversation, int64_t max_quarters,
                          struct buf *out, struct memory_receipt *receipt)
{
    struct taking taking = { max_quarters, out, receipt };

    conversation_visit_summary(conversation, copy_summary, &taking);
}
