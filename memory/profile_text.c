/* The part of profile.h that finds the author's own words in a message. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <unicase.h>
#include <unictype.h>
#include <unistr.h>

#include "base/alloc.h"
#include "memory/profile_parts.h"

#define TOKENS_MAX    2048
#define WORD_MAX      60
#define CODE_INDENT   4
#define APOSTROPHE    0x2019
#define HEAD_LINE_MAX 60 /* "Bob Miller  10:02 AM", as Slack copies it */

struct reader {
    struct profile_text *out;
    size_t *offsets; /* of each token's text and folded text in out->bytes, which may move */
    const char *at;
    const char *end; /* of the line */
};

static void add_token(struct reader *reader, enum token_kind kind)
{
    struct profile_text *out = reader->out;

    /* The last place is for a STOP. */
    if (out->count + (kind != TOKEN_STOP) >= TOKENS_MAX)
        return;
    if (kind == TOKEN_STOP && (!out->count || out->tokens[out->count - 1].kind == TOKEN_STOP))
        return;
    out->tokens[out->count++] = (struct token){ .kind = kind };
}

static ucs4_t peek(const char *at, const char *end, size_t *ret_width)
{
    ucs4_t character = 0;

    *ret_width =
        at < end ? (size_t)u8_mbtouc(&character, (const uint8_t *)at, (size_t)(end - at)) : 0;
    return character;
}

static bool is_letter(ucs4_t c)
{
    return c < 0x80 ? isalpha((int)c) : uc_is_alpha(c) || uc_is_general_category(c, UC_MARK);
}

static bool is_digit(ucs4_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_apostrophe(ucs4_t c)
{
    return c == '\'' || c == APOSTROPHE || c == 0x02bc;
}

static bool is_blank(ucs4_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == 0xa0 || c == 0x202f || c == 0x3000;
}

/* ---- lines ------------------------------------------------------------------------------- */

static const char *line_end(const char *at)
{
    const char *newline = strchr(at, '\n');

    return newline ? newline : at + strlen(at);
}

static bool holds(const char *at, const char *end, const char *part)
{
    return memmem(at, (size_t)(end - at), part, strlen(part));
}

/* A log, a shell, a stack trace: not prose. */
static bool is_pasted(const char *at, const char *end)
{
    static const char *const marks[] = { "ERROR ",     "WARN ",  "INFO ",    "DEBUG ",
                                         "FATAL ",     "ERROR:", "WARNING:", "Traceback ",
                                         " at 0x",     "=\"",    "();",      "Exception",
                                         "diff --git", "</",     "\": " };
    size_t digits = strspn(at, "0123456789");

    if (*at == '[' && memchr(at, ']', (size_t)(end - at)) && isdigit((unsigned char)at[1]))
        return true;
    if ((digits >= 2 && strchr(":-/", at[digits]) && at[digits]) || strchr("$%|+{}", *at))
        return *at != '\0';
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (holds(at, end, marks[i]))
            return true;
    }
    return false;
}

/* What follows was written by somebody else: "Bob  10:02 AM", "On Monday Bob wrote:". */
static bool is_head_of_a_quotation(const char *at, const char *end)
{
    static const char *const verbs[] = {
        "wrote", "said", "says", "schrieb", "écrit", "escribió"
    };
    const char *last = end;

    while (last > at && strchr(" \r", last[-1]))
        last--;
    if (last > at && last[-1] == ':') {
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
            if (holds(at, last, verbs[i]))
                return true;
        }
    }
    if (last - at > 3 && (last[-1] == 'M' || last[-1] == 'm') && strchr("aApP", last[-2])) {
        last -= 2;
        while (last > at && last[-1] == ' ')
            last--;
    }
    return end - at < HEAD_LINE_MAX && last - at > 6 && isdigit((unsigned char)last[-1]) &&
           isdigit((unsigned char)last[-2]) && last[-3] == ':' &&
           isdigit((unsigned char)last[-4]);
}

/* ---- inside a line ----------------------------------------------------------------------- */

/* A word of no language: a URL, an address, a path, code. */
static bool is_opaque(const char *at, const char *end)
{
    const char *slash = memchr(at, '/', (size_t)(end - at));

    for (const char *c = at; c < end; c++) {
        if (strchr("@\\={}<>|$", *c))
            return true;
        if (*c == '_' && c > at && c + 1 < end && isalnum((unsigned char)c[-1]) &&
            isalnum((unsigned char)c[1]))
            return true;
        if (*c == ':' && c + 1 < end &&
            (c[1] == ':' || c[1] == '/' || isdigit((unsigned char)c[1])))
            return true;
    }
    return *at == '/' || *at == '~' || *at == '#' ||
           (end - at > 1 && at[0] == '-' && at[1] == '-') ||
           (slash &&
            memchr(slash, '.', (size_t)(end - slash - (end > slash && end[-1] == '.'))));
}

static const char *chunk_end(const char *at, const char *end)
{
    while (at < end && !strchr(" \t\r", *at))
        at++;
    return at;
}

/* Skips what is opaque but for the punctuation that ends it. True when it was. */
static bool skip_opaque(struct reader *reader)
{
    const char *end = chunk_end(reader->at, reader->end);
    bool is_emoji = end - reader->at > 2 && *reader->at == ':' && end[-1] == ':';

    if (is_emoji) { /* :wave: */
        add_token(reader, TOKEN_BREAK);
        reader->at = end;
        return true;
    }
    if (!is_opaque(reader->at, end))
        return false;
    while (end > reader->at + 1 && strchr(".,;:!?)", end[-1]))
        end--;
    add_token(reader, TOKEN_OTHER);
    reader->at = end;
    return true;
}

/* In quotes or in code: to its other half, or else to the end of the line. */
static bool skip_quotation(struct reader *reader, ucs4_t opening)
{
    static const struct {
        ucs4_t open;
        const char *closings[3];
    } quotes[] = {
        { '"', { "\"", "”", NULL } },   { '`', { "`", NULL, NULL } },
        { 0x201c, { "”", "“", "\"" } }, { 0x201d, { "”", "\"", NULL } },
        { 0x201e, { "“", "”", "\"" } }, { 0xab, { "»", NULL, NULL } },
        { 0xbb, { "«", NULL, NULL } },  { 0x300c, { "」", NULL, NULL } },
    };
    size_t width;

    for (size_t q = 0; q < ARRAY_LEN(quotes); q++) {
        const char *best = reader->end;

        if (quotes[q].open != opening)
            continue;
        peek(reader->at, reader->end, &width);
        reader->at += width;
        for (size_t c = 0; c < ARRAY_LEN(quotes[q].closings) && quotes[q].closings[c]; c++) {
            const char *found = memmem(reader->at, (size_t)(reader->end - reader->at),
                                       quotes[q].closings[c], strlen(quotes[q].closings[c]));

            if (found && found + strlen(quotes[q].closings[c]) < best + 1)
                best = found + strlen(quotes[q].closings[c]);
        }
        reader->at = best;
        add_token(reader, TOKEN_OTHER);
        return true;
    }
    return false;
}

/* 'I'm Bob' in single quotes: one that opens before a letter and one that closes a word. */
static bool skip_single_quotation(struct reader *reader)
{
    size_t width;
    size_t next;

    peek(reader->at, reader->end, &width);
    for (const char *at = reader->at + width; at < reader->end; at += next) {
        ucs4_t c = peek(at, reader->end, &next);
        size_t after;

        if (is_apostrophe(c) && !is_letter(peek(at + next, reader->end, &after)) &&
            !is_blank(peek(reader->at + width, reader->end, &after))) {
            reader->at = at + next;
            add_token(reader, TOKEN_OTHER);
            return true;
        }
    }
    return false;
}

/* What may stand inside a word when a letter or digit follows: O'Brien, Jean-Luc, Node.js. */
static bool is_joint(ucs4_t c)
{
    return is_apostrophe(c) || c == '-' || c == '.' || c == 0x2010 || c == 0x2011;
}

static const char *word_end(const struct reader *reader)
{
    const char *at = reader->at;
    size_t width;
    size_t next;

    for (;;) {
        ucs4_t c = peek(at, reader->end, &width);

        if (!width)
            return at;
        if (is_joint(c)) {
            ucs4_t after = peek(at + width, reader->end, &next);

            if (!next || (!is_letter(after) && !is_digit(after)))
                return at;
        } else if ((c == '+' || c == '#') && at - reader->at <= 2) {
            /* C++, C#, F# */
        } else if (!is_letter(c) && !is_digit(c)) {
            return at;
        }
        at += width;
    }
}

static void append_folded(struct buf *bytes, ucs4_t c)
{
    uint8_t encoded[6];
    int width;

    if (c < 0x80) {
        buf_append_char(bytes, (char)tolower((int)c));
        return;
    }
    width = u8_uctomb(encoded, uc_tolower(c), sizeof(encoded));

    buf_append(bytes, encoded, width > 0 ? (size_t)width : 0);
}

static void describe(struct token *word, const char *at, const char *end)
{
    size_t letters = 0;
    size_t capitals = 0;
    size_t width;

    word->is_plain = true;
    for (const char *c = at; c < end; c += width) {
        ucs4_t character = peek(c, end, &width);
        bool is_ascii = character < 0x80;
        bool is_cased =
            is_ascii ? isalpha((int)character) : uc_toupper(character) != uc_tolower(character);
        bool is_capital = is_ascii
                              ? isupper((int)character)
                              : is_letter(character) &&
                                    (is_cased ? uc_tolower(character) != character
                                              : !uc_is_general_category(character, UC_MARK));

        if (c == at)
            word->is_capital = is_capital;
        letters += is_letter(character);
        capitals += is_capital && is_cased;
        word->is_plain = word->is_plain &&
                         (is_letter(character) || is_apostrophe(character) || character == '-');
    }
    word->is_shouted = letters >= 2 && capitals == letters;
}

static void read_word(struct reader *reader)
{
    struct profile_text *out = reader->out;
    const char *end = word_end(reader);
    size_t index = out->count;
    size_t width;

    add_token(reader, end - reader->at > WORD_MAX ? TOKEN_OTHER : TOKEN_WORD);
    if (out->count == index || end - reader->at > WORD_MAX) {
        reader->at = end;
        return;
    }
    describe(&out->tokens[index], reader->at, end);
    reader->offsets[2 * index] = out->bytes.len;
    for (const char *at = reader->at; at < end; at += width)
        if (is_apostrophe(peek(at, end, &width)))
            buf_append_char(&out->bytes, '\'');
        else
            buf_append(&out->bytes, at, width);
    buf_append_char(&out->bytes, '\0');
    reader->offsets[2 * index + 1] = out->bytes.len;
    for (const char *at = reader->at; at < end; at += width) {
        ucs4_t c = peek(at, end, &width);

        append_folded(&out->bytes, is_apostrophe(c) ? '\'' : c);
    }
    buf_append_char(&out->bytes, '\0');
    reader->at = end;
}

/* "Sr. Engineer", "John F. Kennedy": the point behind a short form, or behind a single capital,
 * ends no sentence. */
static bool is_short_form(const struct reader *reader)
{
    static const char *const forms[] = { "sr", "jr", "dr", "mr", "mrs", "ms", "prof", "st" };
    const struct profile_text *out = reader->out;
    size_t index = out->count - 1;
    const char *word;
    size_t width;
    size_t len;

    if (out->count && out->tokens[index].kind == TOKEN_WORD) {
        word = out->bytes.data + reader->offsets[2 * index + 1];
        for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
            if (strcmp(word, forms[i]) == 0)
                return true;
        }
    }
    if (out->count < 2 || out->tokens[index].kind != TOKEN_WORD ||
        !out->tokens[index].is_capital || out->tokens[index - 1].kind != TOKEN_WORD ||
        !out->tokens[index - 1].is_capital)
        return false;
    word = out->bytes.data + reader->offsets[2 * index];
    len = strlen(word);
    peek(word, word + len, &width);
    return width == len;
}

static void read_mark(struct reader *reader, ucs4_t c, size_t width)
{
    reader->at += width;
    if (c == '*' || c == '~' || c == '_' || c == 0x200b)
        return; /* bold, struck out: as if it were not there */
    if (c == '.' && is_short_form(reader))
        return;
    if (c == '.' || c == '!' || c == '?' || c == ';' || c == 0x2026 || c == 0x3002 ||
        c == 0xff01 || c == 0xff1f) {
        add_token(reader, TOKEN_STOP);
        if (reader->out->count)
            reader->out->tokens[reader->out->count - 1].is_question = c == '?' || c == 0xff1f;
    } else if (c == ':') {
        add_token(reader, TOKEN_COLON);
    } else {
        add_token(reader, TOKEN_BREAK);
    }
}

static void read_line(struct reader *reader)
{
    bool begins = true; /* a chunk: a blank is before it, or an opening bracket */

    while (reader->at < reader->end) {
        size_t width;
        ucs4_t c = peek(reader->at, reader->end, &width);

        if (is_blank(c)) {
            reader->at += width;
            begins = true;
            continue;
        }
        if (begins && skip_opaque(reader))
            continue;
        if (skip_quotation(reader, c))
            continue;
        if (begins && (is_apostrophe(c) || c == 0x2018) && skip_single_quotation(reader))
            continue;
        begins = c == '(' || c == '*' || c == '~' || c == '_';
        if (is_letter(c) || is_digit(c))
            read_word(reader);
        else
            read_mark(reader, c, width);
    }
    add_token(reader, TOKEN_STOP);
}

/* The whole of a message but for fences, quotations and what was pasted. */
static void read_lines(struct reader *reader, const char *text)
{
    bool in_fence = false;

    for (const char *at = text;; at = reader->end + 1) {
        const char *end = line_end(at);
        size_t indent = strspn(at, " ");
        const char *fence = memmem(at, (size_t)(end - at), "```", 3);

        reader->at = at + indent;
        reader->end = end;
        if (fence) { /* what stands before and behind it on its line is code as well */
            const char *again = memmem(fence + 3, (size_t)(end - fence - 3), "```", 3);

            in_fence = again ? in_fence : !in_fence;
        } else if (is_head_of_a_quotation(reader->at, end)) {
            break;
        } else if (!in_fence && at[indent] != '>' && at[indent] != '\t' &&
                   indent < CODE_INDENT && !is_pasted(reader->at, end)) {
            read_line(reader);
        }
        add_token(reader, TOKEN_STOP);
        if (!*end)
            break;
    }
}

void profile_read(const char *text, struct profile_text *ret_text)
{
    struct profile_text *out = ret_text;
    size_t len = strnlen(text, PROFILE_READ_MAX_BYTES);
    AUTO_FREE char *part = NULL;
    AUTO_FREE size_t *offsets = NULL;
    size_t most;

    while (len && len == PROFILE_READ_MAX_BYTES && (text[len] & 0xc0) == 0x80)
        len--;
    part = xstrndup(text, len);
    most = len + 2 < TOKENS_MAX ? len + 2 : TOKENS_MAX;
    *out = (struct profile_text){ .tokens = xcalloc(most + 1, sizeof(out->tokens[0])) };
    offsets = xcalloc(2 * (most + 1), sizeof(offsets[0]));
    buf_init(&out->bytes, 8 * len + 64); /* lower case may be longer */
    read_lines(&(struct reader){ .out = out, .offsets = offsets }, part);
    for (size_t i = 0; i < out->count; i++) {
        struct token *token = &out->tokens[i];

        if (token->kind != TOKEN_WORD)
            continue;
        token->text = buf_text(&out->bytes) + offsets[2 * i];
        token->folded = buf_text(&out->bytes) + offsets[2 * i + 1];
    }
}

void profile_text_deinit(struct profile_text *text)
{
    free(text->tokens);
    buf_deinit(&text->bytes);
    *text = (struct profile_text){ 0 };
}
