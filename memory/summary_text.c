#include "memory/summary_text.h"

#include <string.h>
#include <strings.h>
#include <unicase.h>
#include <unictype.h>
#include <unistr.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"

#define SPEAKER_MAX_BYTES 48
#define INDENT            "  "
#define HEADING           "# "
#define FENCE             "```"
#define DECISION_TERMS    4 /* at least */
#define TERM_CHARACTERS   6 /* of a word: what is behind them is mostly inflection */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct summary_span trimmed(const char *text, size_t len)
{
    while (len && is_blank(*text)) {
        text++;
        len--;
    }
    while (len && is_blank(text[len - 1]))
        len--;
    return (struct summary_span){ text, len };
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool begins_with(struct summary_span text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text.len >= len && memcmp(text.text, prefix, len) == 0;
}

/* ---- lines ------------------------------------------------------------------------------- */

void summary_reader_init(struct summary_reader *reader, const char *text, size_t len)
{
    *reader = (struct summary_reader){ .at = text, .end = text + len, .speaker = { text, 0 } };
}

/* "NAME: ": no blank in the name, so that prose with a colon is nobody's. */
static size_t speaker_length(struct summary_span line)
{
    size_t max = line.len < SPEAKER_MAX_BYTES ? line.len : SPEAKER_MAX_BYTES;

    for (size_t i = 0; i + 1 < max; i++) {
        if (is_blank(line.text[i]))
            return 0;
        if (line.text[i] == ':' && line.text[i + 1] == ' ')
            return i;
    }
    return 0;
}

static void read_turn(struct summary_reader *reader, struct summary_span line,
                      struct summary_line *ret_line)
{
    size_t name = speaker_length(line);

    reader->speaker = (struct summary_span){ line.text, name };
    reader->is_fenced = false;
    ret_line->begins_turn = true;
    ret_line->body = name ? trimmed(line.text + name + 1, line.len - name - 1)
                          : trimmed(line.text, line.len);
}

bool summary_reader_next(struct summary_reader *reader, struct summary_line *ret_line)
{
    struct summary_span line = { reader->at, 0 };
    const char *newline;

    if (reader->at == reader->end)
        return false;
    newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    line.len = (size_t)((newline ? newline : reader->end) - reader->at);
    reader->at = newline ? newline + 1 : reader->end;
    *ret_line = (struct summary_line){ 0 };
    if (begins_with(line, INDENT)) {
        ret_line->body = trimmed(line.text, line.len);
    } else if (begins_with(line, HEADING)) {
        ret_line->is_heading = true;
        ret_line->body = line;
        return true;
    } else {
        read_turn(reader, line, ret_line);
    }
    ret_line->speaker = reader->speaker;
    ret_line->is_code = reader->is_fenced;
    if (begins_with(ret_line->body, FENCE)) {
        reader->is_fenced = !reader->is_fenced;
        ret_line->is_code = true;
    }
    return true;
}

/* ---- sentences --------------------------------------------------------------------------- */

/* Marks that end a sentence wherever they stand: the scripts that have them leave no blank. */
static bool ends_anywhere(ucs4_t c)
{
    switch (c) {
    case 0x3002: /* ideographic full stop */
    case 0xff0e:
    case 0xff01:
    case 0xff1f:
    case 0x0964: /* danda, and its double */
    case 0x0965:
    case 0x06d4: /* Arabic */
    case 0x061f:
    case 0x0589: /* Armenian */
    case 0x104b: /* Myanmar */
    case 0x1362: /* Ethiopic */
    case 0x1367:
    case 0x17d4: /* Khmer */
        return true;
    default:
        return false;
    }
}

static bool is_question_mark(ucs4_t c)
{
    return c == '?' || c == 0xff1f || c == 0x061f || c == 0x037e || c == 0x1367;
}

/* A full stop after one letter or inside an abbreviation ("J.", "e.g.", "z.B.") ends nothing.
 */
static bool is_abbreviation(const char *begin, const char *stop)
{
    const char *word = stop;
    size_t letters = 0;

    while (word > begin && !is_blank(word[-1])) {
        word--;
        if (*word == '.')
            return letters <= 1 && is_letter(word[1]);
        if ((unsigned char)*word >= 0x80)
            return false;
        letters++;
    }
    return letters == 1 && is_letter(*word);
}

/* What may close a sentence behind its mark: quotes and brackets, more marks. */
static const char *skip_closers(const char *at, const char *end)
{
    while (at < end && (*at == '"' || *at == '\'' || *at == ')' || *at == ']' || *at == '.' ||
                        *at == '!' || *at == '?'))
        at++;
    return at;
}

/* True when the mark at `stop` ends the sentence that began at `begin`. */
static bool ends_here(const char *begin, const char *stop, const char *after, const char *end)
{
    if (after < end && !is_blank(*after))
        return false;
    if (*stop != '.')
        return true;
    if (is_abbreviation(begin, stop))
        return false;
    while (after < end && is_blank(*after))
        after++;
    return after == end || *after < 'a' || *after > 'z';
}

bool summary_take_sentence(struct summary_span *rest, struct summary_span *ret_sentence)
{
    struct summary_span text = trimmed(rest->text, rest->len);
    const char *end = text.text + text.len;
    const char *at = text.text;

    if (!text.len)
        return false;
    while (at < end) {
        ucs4_t c;
        const char *mark = at;

        at += u8_mbtouc(&c, (const uint8_t *)at, (size_t)(end - at));
        if (ends_anywhere(c))
            break;
        if (c == '.' || c == '!' || c == '?' || c == 0x2026) {
            const char *after = skip_closers(at, end);

            if (ends_here(text.text, mark, after, end)) {
                at = after;
                break;
            }
        }
    }
    *ret_sentence = trimmed(text.text, (size_t)(at - text.text));
    *rest = (struct summary_span){ at, (size_t)(end - at) };
    return true;
}

bool summary_is_question(struct summary_span sentence)
{
    const uint8_t *begin = (const uint8_t *)sentence.text;
    const uint8_t *at = begin + sentence.len;
    ucs4_t c = 0;

    while (at > begin && (at[-1] == ')' || at[-1] == '"'))
        at--;
    return at > begin && u8_prev(&c, at, begin) && is_question_mark(c);
}

/* ---- terms ------------------------------------------------------------------------------- */

/* Scripts that are written without blanks between words. */
static bool is_unspaced(ucs4_t c)
{
    return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) ||
           (c >= 0x0e01 && c <= 0x0eff) || (c >= 0x1000 && c <= 0x109f && c != 0x104b) ||
           (c >= 0x1780 && c <= 0x17d3) || (c >= 0xf900 && c <= 0xfaff) ||
           (c >= 0x20000 && c <= 0x3ffff);
}

struct term {
    ucs4_t characters[TERM_CHARACTERS];
    size_t count;
};

static uint64_t hash_of(const ucs4_t *characters, size_t count)
{
    return XXH3_64bits(characters, count * sizeof(*characters));
}

/* Ends a word; single letters say nothing, single digits may. */
static size_t end_word(struct term *word, uint64_t *terms, size_t count, size_t max)
{
    bool says_something = word->count > 1 || (word->count == 1 && word->characters[0] >= '0' &&
                                              word->characters[0] <= '9');

    if (says_something && count < max)
        terms[count++] = hash_of(word->characters, word->count);
    word->count = 0;
    return count;
}

size_t summary_terms(struct summary_span text, uint64_t *ret_terms, size_t max)
{
    const uint8_t *at = (const uint8_t *)text.text;
    const uint8_t *end = at + text.len;
    struct term word = { 0 };
    ucs4_t before = 0; /* the neighbour in a script without blanks */
    size_t count = 0;

    while (at < end && count < max) {
        ucs4_t c;

        at += u8_mbtouc(&c, at, (size_t)(end - at));
        if (is_unspaced(c)) {
            const ucs4_t pair[2] = { before, c };

            count = end_word(&word, ret_terms, count, max);
            if (before && count < max)
                ret_terms[count++] = hash_of(pair, 2);
            before = c;
            continue;
        }
        before = 0;
        if (c == '_' || (c < 0x80 ? uc_is_alnum(c) : uc_is_property_alphabetic(c))) {
            if (word.count < TERM_CHARACTERS)
                word.characters[word.count++] = uc_tolower(c);
        } else {
            count = end_word(&word, ret_terms, count, max);
        }
    }
    return end_word(&word, ret_terms, count, max);
}

/* ---- what a sentence does ---------------------------------------------------------------- */

static bool is_in_word(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

/* Where the phrase begins with a letter, no word may run into it; likewise at its end. */
static bool holds_phrase(struct summary_span text, const char *phrase, size_t len)
{
    for (size_t i = 0; i + len <= text.len; i++) {
        if (strncasecmp(text.text + i, phrase, len) != 0)
            continue;
        if (i && is_in_word(text.text[i - 1]) && is_in_word(phrase[0]))
            continue;
        if (i + len < text.len && is_in_word(text.text[i + len]) && is_in_word(phrase[len - 1]))
            continue;
        return true;
    }
    return false;
}

bool summary_holds_any(struct summary_span text, const char *phrases)
{
    for (const char *at = phrases; *at;) {
        size_t len = strcspn(at, "|");

        if (holds_phrase(text, at, len))
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

bool summary_is_decision(struct summary_span sentence)
{
    static const char phrases[] =
        "decided|decide to|decision|agreed|we agree|let's use|let us use|let's go with|"
        "let's keep|let's stick|let's take|go with|going with|we'll use|we will use|"
        "we'll go|settled on|we chose|chosen|we use|will be using|instead of|from now on|"
        "must not|approved|the plan is|entschieden|entscheidung|beschlossen|vereinbart|"
        "geeinigt|wir nehmen|wir verwenden|wir bleiben bei|wir nutzen|stattdessen|décidé|"
        "convenu|nous utilisons|on utilise|decidimos|decidido|acordamos|usaremos|"
        "vamos a usar|vamos usar|abbiamo deciso|useremo|решили|決め|決定|决定";

    uint64_t terms[DECISION_TERMS];

    /* "Agreed!" alone decides nothing that anybody could keep. */
    return summary_terms(sentence, terms, DECISION_TERMS) == DECISION_TERMS &&
           !summary_is_question(sentence) && summary_holds_any(sentence, phrases);
}

bool summary_is_introduction(struct summary_span sentence)
{
    static const char phrases[] =
        "my name is|i'm|i am|i work|we work|we are building|we're building|our team|"
        "our project|is called|is named|stands for|lives in|is located|runs on|"
        "is based on|consists of|responsible for|remember|note that|important|deadline|"
        "ich bin|ich heiße|mein name|wir bauen|unser projekt|heißt|wichtig|je m'appelle|"
        "je suis|notre projet|me llamo|soy|nuestro proyecto";

    return summary_holds_any(sentence, phrases);
}
