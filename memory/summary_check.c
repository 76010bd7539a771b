#include "memory/summary_check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/summary_text.h"

#define RAW_MAX_BYTES     ((size_t)64 * 1024) /* a longer one is no summary of anything */
#define ALWAYS_BYTES      ((size_t)400)       /* may be longer than the little that it tells */
#define REFUSAL_MAX_BYTES 160                 /* where a refusal says so */
#define RELATED_PER_MILLE 125
#define RELATED_FEW       4 /* terms: of so few one must be known */
#define KEEP_MAX_BYTES    ((size_t)8192)
#define TOLD_PER_CENT     60 /* of a long item's terms make it told */
#define NEW_PER_CENT      60 /* of the room is for what the new turns lost, the rest for older */
#define BARE_ITEM_BYTES   16 /* "4 years" alone says little: */
#define LEAD_WORDS        3  /* the words before it say of what */
#define LONG_ITEM_TERMS   4

/* ---- terms of a whole text --------------------------------------------------------------- */

struct terms {
    uint64_t *items; /* ascending, each once */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void deinit_terms(struct terms *terms)
{
    free(terms->items);
}

#define AUTO_TERMS __attribute__((cleanup(deinit_terms)))

static void add_terms(struct terms *terms, const char *text)
{
    struct summary_span span = { text, strlen(text) };
    size_t max = span.len / 2 + 1;
    size_t kept = 0;

    terms->items = xrealloc(terms->items, terms->count + max, sizeof(uint64_t));
    terms->count += summary_terms(span, terms->items + terms->count, max);
    qsort(terms->items, terms->count, sizeof(uint64_t), compare);
    for (size_t i = 0; i < terms->count; i++) {
        if (!kept || terms->items[kept - 1] != terms->items[i])
            terms->items[kept++] = terms->items[i];
    }
    terms->count = kept;
}

static size_t count_shared(const struct terms *some, const struct terms *all)
{
    size_t shared = 0;

    for (size_t i = 0; i < some->count; i++)
        shared += all->count && bsearch(&some->items[i], all->items, all->count,
                                        sizeof(uint64_t), compare) != NULL;
    return shared;
}

/* ---- what is no summary ------------------------------------------------------------------ */

static bool is_refusal(const char *text)
{
    static const char phrases[] =
        "i cannot|i can't|i can not|i can’t|i am unable|i'm unable|i’m unable|i am not able|"
        "i'm not able|as an ai|as a language model|i won't|i will not be able|"
        "unable to summarize|cannot summarize|ich kann nicht|ich kann das nicht|"
        "je ne peux pas|no puedo|nothing to summarize|no conversation provided|"
        "please provide the";
    struct summary_span rest = { text, strlen(text) };
    struct summary_span sentence;

    /* Whoever refuses does so at once; "you said I cannot log in" comes later. */
    if (!summary_take_sentence(&rest, &sentence))
        return false;
    if (sentence.len > REFUSAL_MAX_BYTES)
        sentence.len = utf8_cut(sentence.text, sentence.len, REFUSAL_MAX_BYTES);
    return !memchr(sentence.text, ':', sentence.len < 24 ? sentence.len : 24) &&
           summary_holds_any(sentence, phrases);
}

static bool is_echo(const char *text)
{
    return strstr(text, SUMMARY_PROMPT_LINE) || strstr(text, "--- BEGIN ") ||
           strstr(text, "--- END ");
}

static bool is_related(const struct summary_work *work, const char *text)
{
    AUTO_TERMS struct terms told = { 0 };
    AUTO_TERMS struct terms known = { 0 };
    size_t shared;

    add_terms(&told, text);
    add_terms(&known, buf_text(&work->turns));
    if (work->previous)
        add_terms(&known, work->previous);
    if (work->previous_pinned)
        add_terms(&known, work->previous_pinned);
    shared = count_shared(&told, &known);
    if (told.count <= RELATED_FEW)
        return shared > 0;
    return shared > 1 && shared * 1000 >= told.count * RELATED_PER_MILLE;
}

static size_t length_replaced(const struct summary_work *work)
{
    size_t len = work->turns.len + (work->previous ? strlen(work->previous) : 0);

    return len > ALWAYS_BYTES ? len : ALWAYS_BYTES;
}

/* ---- tidying ----------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static struct summary_span trim(struct summary_span text)
{
    while (text.len && is_blank(*text.text)) {
        text.text++;
        text.len--;
    }
    while (text.len && is_blank(text.text[text.len - 1]))
        text.len--;
    return text;
}

static struct summary_span without_prefix(struct summary_span text, const char *prefix)
{
    size_t len = strlen(prefix);

    if (text.len < len || strncasecmp(text.text, prefix, len) != 0)
        return text;
    return trim((struct summary_span){ text.text + len, text.len - len });
}

/* Fences and headings around the answer. */
static struct summary_span unwrap(struct summary_span text)
{
    text = trim(text);
    if (text.len > 6 && strncmp(text.text, "```", 3) == 0 &&
        strncmp(text.text + text.len - 3, "```", 3) == 0) {
        const char *newline = memchr(text.text, '\n', text.len);
        const char *end = text.text + text.len - 3;

        if (newline && newline < end)
            text = trim((struct summary_span){ newline, (size_t)(end - newline) });
    }
    text = without_prefix(text, "## Summary");
    text = without_prefix(text, "# Summary");
    text = without_prefix(text, "**Summary:**");
    text = without_prefix(text, "**Summary**");
    text = without_prefix(text, "Summary:");
    return text;
}

/* At the end of a sentence or line where there is one in the second half. */
static size_t cut_at_sentence(struct summary_span text, size_t max)
{
    size_t len = utf8_cut(text.text, text.len, max);

    if (len == text.len)
        return len;
    for (size_t at = len; at > max / 2; at--) {
        if (text.text[at - 1] == '\n' ||
            (strchr(".!?", text.text[at - 1]) && is_blank(text.text[at])))
            return at;
    }
    return len;
}

int summary_check(const struct summary_work *work, const char *text, struct buf *out,
                  struct err *err)
{
    size_t raw_len = strlen(text);
    AUTO_FREE char *clean = NULL;
    struct summary_span span;

    if (raw_len > RAW_MAX_BYTES)
        return err_set(err, ERR_INPUT, "it is %zu bytes long", raw_len);
    clean = utf8_clean_copy(text, raw_len, RAW_MAX_BYTES);
    span = unwrap((struct summary_span){ clean, strlen(clean) });
    clean[span.text + span.len - clean] = '\0';
    if (!span.len)
        return err_set(err, ERR_INPUT, "it is empty");
    if (span.len > length_replaced(work))
        return err_set(err, ERR_INPUT, "it has %zu bytes, longer than what it is to replace",
                       span.len);
    if (is_echo(span.text))
        return err_set(err, ERR_INPUT, "it repeats what was asked");
    if (is_refusal(span.text))
        return err_set(err, ERR_INPUT, "it refuses");
    if (!is_related(work, span.text))
        return err_set(err, ERR_INPUT, "it has nothing to do with the conversation");
    span.len = cut_at_sentence(span, SUMMARY_TEXT_MAX_BYTES);
    span = trim(span);
    buf_append(out, span.text, span.len);
    return buf_finish(out, err);
}

/* ---- what it lost ------------------------------------------------------------------------ */

/* True when the text has it: word for word or, for a sentence, most of its words. */
static bool is_told(const char *text, const struct terms *told, const char *item)
{
    AUTO_TERMS struct terms terms = { 0 };

    if (strcasestr(text, item))
        return true;
    add_terms(&terms, item);
    return terms.count >= LONG_ITEM_TERMS &&
           count_shared(&terms, told) * 100 >= terms.count * TOLD_PER_CENT;
}

/* How many bytes before `item` in `source` say what it is about. */
static size_t lead_of(const char *source, const char *item)
{
    size_t words = 0;
    size_t lead = 0;

    while (item - lead > source && words < LEAD_WORDS) {
        const char *before = item - lead - 1;

        if (*before == '\n' || (lead && strchr(".:;,!?", *before)))
            break;
        lead++;
        words += *before == ' ' && lead > 1;
    }
    while (lead && is_blank(*(item - lead)))
        lead--;
    return lead;
}

static void pin_item(const char *source, const char *item, size_t len, size_t max_bytes,
                     struct buf *out)
{
    const char *at =
        len <= BARE_ITEM_BYTES && strpbrk(item, "0123456789") && !strpbrk(item, "/._")
            ? strstr(source, item)
            : NULL;
    size_t lead = at ? lead_of(source, at) : 0;

    if (out->len + lead + len + 1 > max_bytes)
        return;
    if (lead)
        buf_append(out, at - lead, lead);
    buf_append(out, item, len);
    buf_append_char(out, '\n');
}

/* `source` is the text that the lines were found in. */
static void pin_lines(const char *lines, const char *source, const char *text,
                      const struct terms *told, size_t max_bytes, struct buf *out)
{
    for (const char *at = lines; *at;) {
        size_t len = strcspn(at, "\n");
        AUTO_FREE char *item = xstrndup(at, len);

        at += len + (at[len] == '\n');
        if (len && !is_told(text, told, item) && !strcasestr(buf_text(out), item))
            pin_item(source, item, len, max_bytes, out);
    }
}

void summary_pin(const struct summary_work *work, const char *text, struct buf *out)
{
    AUTO_TERMS struct terms told = { 0 };
    AUTO_BUF struct buf items = { 0 };
    AUTO_BUF struct buf earlier = { 0 };
    const char *turns = buf_text(&work->turns);

    buf_init(&items, KEEP_MAX_BYTES);
    buf_init(&earlier, KEEP_MAX_BYTES);
    add_terms(&told, text);
    summary_must_keep(turns, &items);
    if (work->previous)
        summary_must_keep(work->previous, &earlier);
    pin_lines(buf_text(&items), turns, text, &told, out->max_bytes * NEW_PER_CENT / 100, out);
    if (work->previous_pinned)
        pin_lines(work->previous_pinned, "", text, &told, out->max_bytes, out);
    if (work->previous)
        pin_lines(buf_text(&earlier), work->previous, text, &told, out->max_bytes, out);
    pin_lines(buf_text(&items), turns, text, &told, out->max_bytes, out);
}
