/*
 * keep.c - what a summary must not lose: the exact things that nobody can guess back from a
 * paraphrase, found by their shape.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <uthash.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/summary.h"
#include "memory/summary_text.h"

#define ITEMS_MAX          512 /* that are looked at */
#define ITEM_MAX_BYTES     160
#define WORD_MAX_BYTES     256 /* a longer one is data, not a name */
#define TIMES_COUNTED      5
#define NAME_MIN_BYTES     3
#define SHORT_NUMBER_BYTES 3

/* In the order of what is asked for: the higher the sooner. */
enum keep_class {
    KEEP_NONE,
    KEEP_NAME,
    KEEP_NUMBER,
    KEEP_ACRONYM,
    KEEP_DATE,
    KEEP_QUANTITY,
    KEEP_VERSION,
    KEEP_SYMBOL,
    KEEP_ADDRESS, /* URL, e-mail */
    KEEP_PATH,
    KEEP_ERROR,
    KEEP_DECISION,
};

struct item {
    UT_hash_handle hh;
    char *text;
    enum keep_class class;
    size_t times;
    size_t order;
};

struct keeping {
    struct item *items;
    size_t count;
};

static void add_item(struct keeping *keeping, const char *text, size_t len,
                     enum keep_class class)
{
    size_t cut = utf8_cut(text, len, ITEM_MAX_BYTES);
    struct item *item = NULL;

    if (class == KEEP_NONE || !cut)
        return;
    HASH_FIND(hh, keeping->items, text, cut, item);
    if (item) {
        item->times++;
        item->class = class > item->class ? class : item->class;
        return;
    }
    if (keeping->count == ITEMS_MAX)
        return;
    item = xcalloc(1, sizeof(*item));
    item->text = xstrndup(text, cut);
    item->class = class;
    item->times = 1;
    item->order = keeping->count++;
    HASH_ADD_KEYPTR(hh, keeping->items, item->text, cut, item);
}

/* ---- the shape of a word ----------------------------------------------------------------- */

struct word {
    const char *text;
    size_t len;
    bool is_first;  /* of its sentence */
    bool is_quoted; /* in backticks */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_plain(char c)
{
    return is_digit(c) || is_upper(c) || is_lower(c);
}

/* How many bytes from `at` on fulfil the condition. */
static size_t run_of(struct word word, size_t at, bool (*holds)(char c))
{
    size_t len = 0;

    while (at + len < word.len && holds(word.text[at + len]))
        len++;
    return len;
}

static bool contains(struct word word, const char *part)
{
    return memmem(word.text, word.len, part, strlen(part)) != NULL;
}

static bool equals_any(struct word word, const char *words)
{
    for (const char *at = words; *at;) {
        size_t len = strcspn(at, "|");

        if (len == word.len && strncasecmp(at, word.text, len) == 0)
            return true;
        at += len + (at[len] == '|');
    }
    return false;
}

static bool is_address(struct word word)
{
    const char *at = memchr(word.text, '@', word.len);

    if (contains(word, "://"))
        return true;
    return at && at > word.text && memchr(at, '.', word.len - (size_t)(at - word.text));
}

static bool has_file_suffix(struct word word)
{
    static const char suffixes[] =
        "c|h|cc|cpp|hpp|cs|py|js|jsx|ts|tsx|mjs|go|rs|rb|java|kt|swift|php|pl|lua|sh|bash|sql|"
        "json|yaml|yml|toml|xml|html|css|scss|md|txt|csv|log|ini|cfg|conf|env|lock|proto|"
        "service|socket|timer|pem|key|crt|zip|gz|tar|tgz|db|sqlite|png|jpg|svg|pdf|tf|vue|mk|"
        "so";
    const char *dot = memrchr(word.text, '.', word.len);
    struct word suffix;

    if (!dot || dot == word.text || !is_plain(dot[-1]))
        return false;
    suffix = (struct word){ .text = dot + 1, .len = word.len - (size_t)(dot + 1 - word.text) };
    return equals_any(suffix, suffixes);
}

/* "and/or" is none; "src/auth", without a suffix, is one only when it goes deeper or starts at
 * a root. */
static bool is_path(struct word word)
{
    size_t slashes = 0;

    if (has_file_suffix(word) ||
        (word.len > 1 && equals_any(word, "Makefile|Dockerfile|Jenkinsfile")))
        return true;
    for (size_t i = 0; i < word.len; i++)
        slashes += word.text[i] == '/';
    if (!slashes || word.len < 4)
        return false;
    if (word.text[0] == '/' || strncmp(word.text, "./", 2) == 0 ||
        strncmp(word.text, "~/", 2) == 0 || strncmp(word.text, "../", 3) == 0)
        return is_plain(word.text[word.len - 1]) || word.text[word.len - 1] == '/';
    return slashes > 1 && !is_digit(word.text[0]);
}

/* foo_bar, foo(), ns::name, a->b, fooBar. */
static bool is_symbol(struct word word)
{
    bool has_inner_upper = false;
    bool has_inner_underscore = false;

    if (word.len < 4 || word.is_quoted)
        return word.is_quoted && word.len > 1;
    if (memcmp(word.text + word.len - 2, "()", 2) == 0 || contains(word, "::") ||
        contains(word, "->"))
        return true;
    for (size_t i = 1; i < word.len; i++) {
        char c = word.text[i];

        if (c == '_' && i + 1 < word.len && is_plain(word.text[i - 1]))
            has_inner_underscore = true;
        else if (!is_plain(c) && c != '.')
            return false;
        if (is_upper(c) && is_lower(word.text[i - 1]))
            has_inner_upper = true;
    }
    return has_inner_underscore || has_inner_upper;
}

/* ECONNREFUSED, SIGSEGV, E1234, TS2345, ORA-00942, CVE-2026-1234, 0x80070005, JIRA-12. */
static bool is_error(struct word word)
{
    static const char no_errors[] =
        "EACH|EITHER|ELSE|EMAIL|EMPTY|END|ENDS|ENV|ERROR|ERRORS|"
        "EU|EUR|EVEN|EVER|EVERY|EXACT|EXACTLY|EXCEPT|EXIT|EXTRA|"
        "ETCD|EXTERN|EXPORT|EXPLAIN|EASY|EARLY|ENUM|ECHO|EDIT|EVENT";
    size_t upper = run_of(word, 0, is_upper);
    size_t dash = upper < word.len && word.text[upper] == '-';
    size_t digits = run_of(word, upper + dash, is_digit);

    if (word.len > 3 && strncmp(word.text, "0x", 2) == 0)
        return run_of(word, 2, is_plain) + 2 == word.len;
    if (upper == word.len)
        return (upper > 3 && word.text[0] == 'E' && !equals_any(word, no_errors)) ||
               (upper > 4 && strncmp(word.text, "SIG", 3) == 0);
    if (!upper || digits < 2 || (upper < 2 && digits < 3))
        return false;
    return upper + dash + digits == word.len ||
           (dash && word.text[upper + dash + digits] == '-' &&
            is_digit(word.text[word.len - 1]));
}

static bool is_date(struct word word)
{
    size_t first = run_of(word, 0, is_digit);
    size_t second;
    char separator;

    if (!first || first == word.len)
        return false;
    separator = word.text[first];
    second = run_of(word, first + 1, is_digit);
    if (separator == ':' && first <= 2 && second == 2)
        return true;
    if (!strchr("-/.", separator) || !second || second > 2 ||
        first + 1 + second + 1 >= word.len || word.text[first + 1 + second] != separator)
        return false;
    if (separator == '.') /* else a version */
        return first <= 2 && run_of(word, first + second + 2, is_digit) == 4;
    return (first == 4 || first <= 2) && is_digit(word.text[word.len - 1]);
}

static bool is_version(struct word word)
{
    size_t at = word.text[0] == 'v' || word.text[0] == 'V';
    size_t dots = 0;

    if (!run_of(word, at, is_digit))
        return false;
    for (size_t i = at; i < word.len; i++) {
        if (word.text[i] == '.' && i + 1 < word.len && is_digit(word.text[i + 1]))
            dots++;
        else if (dots && (word.text[i] == '-' || word.text[i] == '+' || word.text[i] == ':'))
            break;
        else if (!is_digit(word.text[i]))
            return false;
    }
    return dots > 1 || at;
}

/* A number, with its signs around: $1,200 20% 3.5 #42. Returns the bytes up to its unit. */
static size_t number_length(struct word word)
{
    size_t at = 0;
    size_t digits = 0;

    while (at < word.len && strchr("$#~<>=+-", word.text[at]))
        at++;
    while (at < word.len &&
           (is_digit(word.text[at]) || word.text[at] == '.' || word.text[at] == ',')) {
        digits += is_digit(word.text[at]);
        at++;
    }
    return digits ? at : 0;
}

static bool is_unit(struct word word)
{
    static const char units[] =
        "%|ms|us|ns|s|sec|secs|second|seconds|m|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|"
        "day|days|week|weeks|month|months|year|years|b|kb|mb|gb|tb|kib|mib|gib|byte|bytes|bit|"
        "bits|px|em|rem|rpm|rps|qps|hz|khz|mhz|ghz|k|x|c|f|kg|km|cm|mm|users|people|requests|"
        "req/s|messages|tokens|turns|lines|rows|files|threads|workers|cores|retries|attempts|"
        "times|connections|percent|eur|usd|euro|euros|dollars|sekunden|minuten|stunden|tage|"
        "tagen|wochen|monate|monaten|jahre|jahren|prozent|personen|nutzer|€|£|¥|°c|°f";

    return equals_any(word, units);
}

static bool is_commit(struct word word)
{
    bool has_letter = false;
    bool has_digit = false;

    if (word.len < 7 || word.len > 64)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (!isxdigit((unsigned char)word.text[i]) || is_upper(word.text[i]))
            return false;
        has_digit = has_digit || is_digit(word.text[i]);
        has_letter = has_letter || is_lower(word.text[i]);
    }
    return has_letter && has_digit;
}

static bool is_acronym(struct word word)
{
    size_t upper = run_of(word, 0, is_upper);

    return upper >= 2 && word.len <= 8 && upper + run_of(word, upper, is_digit) == word.len &&
           !equals_any(word, "OK|AM|PM|AND|OR|NOT|THE|IT|IS|TO|NO|YES|WE|SO|BUT|ALL|IN|ON");
}

static bool is_name(struct word word)
{
    static const char common[] =
        "the|this|that|these|those|and|but|for|with|what|when|where|which|who|why|how|yes|not|"
        "can|could|should|would|will|you|your|they|our|his|her|its|let|please|thanks|hello|"
        "okay|also|then|here|there|i'm|i'll|i've|we're|we'll|it's|don't|der|die|das|und|ich|"
        "wir|sie|ein|eine|ist|nicht|wie|was|wer|bitte|danke|monday|note";
    size_t letters = 1;

    if (word.is_first || word.len < NAME_MIN_BYTES || !is_upper(word.text[0]) ||
        equals_any(word, common))
        return false;
    while (letters < word.len && (is_lower(word.text[letters]) || word.text[letters] == '-' ||
                                  (unsigned char)word.text[letters] >= 0x80))
        letters++;
    return letters == word.len;
}

static enum keep_class class_of(struct word word)
{
    size_t number = number_length(word);
    struct word unit = { .text = word.text + number, .len = word.len - number };

    if (is_address(word))
        return KEEP_ADDRESS;
    if (is_date(word))
        return KEEP_DATE;
    if (is_error(word))
        return KEEP_ERROR;
    if (is_version(word))
        return KEEP_VERSION;
    if (number)
        return unit.len && is_unit(unit) ? KEEP_QUANTITY
               : !unit.len && (number > SHORT_NUMBER_BYTES - 1 || !is_digit(word.text[0]))
                   ? KEEP_NUMBER
               : is_commit(word) ? KEEP_SYMBOL
                                 : KEEP_NONE;
    if (is_path(word))
        return KEEP_PATH;
    if (is_symbol(word) || is_commit(word))
        return KEEP_SYMBOL;
    if (is_acronym(word))
        return KEEP_ACRONYM;
    return is_name(word) ? KEEP_NAME : KEEP_NONE;
}

/* ---- words in their order ---------------------------------------------------------------- */

static bool ends_in_call(struct word word)
{
    return word.len > 2 && memcmp(word.text + word.len - 2, "()", 2) == 0;
}

/* The next word without what surrounds it; what stands in backticks is one. */
static bool take_word(struct summary_span *rest, struct word *ret_word)
{
    static const char before[] = " \t\r\n([{<\"'*,;|";
    static const char behind[] = ".,;:!?)]}>\"'*`|";
    const char *at = rest->text;
    const char *end = at + rest->len;
    const char *stop;

    while (at < end && strchr(before, *at))
        at++;
    if (at == end)
        return false;
    *ret_word = (struct word){ .text = at };
    stop = *at == '`' ? memchr(at + 1, '`', (size_t)(end - at - 1)) : NULL;
    if (stop && stop - at <= ITEM_MAX_BYTES) {
        *ret_word = (struct word){ .text = at + 1, .len = (size_t)(stop - at - 1) };
        ret_word->is_quoted = true;
        stop++;
    } else {
        for (stop = at; stop < end && !strchr(" \t\r\n", *stop); stop++)
            ret_word->len++;
        while (ret_word->len && strchr(behind, ret_word->text[ret_word->len - 1]) &&
               !ends_in_call(*ret_word))
            ret_word->len--;
    }
    *rest = (struct summary_span){ stop, (size_t)(end - stop) };
    return true;
}

/* Two words that say something only together: "HTTP 503", "Python 3.11", "30 seconds",
 * "5 March". */
static enum keep_class class_of_pair(struct word first, struct word second)
{
    static const char faults[] = "http|error|code|status|exit|errno|signal|fehler|erreur|rc";
    static const char things[] =
        "port|line|pr|issue|ticket|version|room|step|rfc|chapter|build|"
        "release|node|zeile|raum";
    static const char months[] =
        "january|february|march|april|may|june|july|august|september|october|november|december|"
        "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|januar|februar|märz|mai|juni|juli|"
        "oktober|dezember";
    bool is_number = number_length(second) == second.len && second.len;

    if (is_number && equals_any(first, faults))
        return KEEP_ERROR;
    if (number_length(first) && ((equals_any(second, months) && is_upper(second.text[0])) ||
                                 equals_any(second, "am|pm|uhr")))
        return KEEP_DATE;
    if (is_number && equals_any(first, months) && is_upper(first.text[0]))
        return KEEP_DATE;
    if (number_length(first) == first.len && first.len && is_unit(second))
        return KEEP_QUANTITY;
    if (is_number && equals_any(first, things))
        return KEEP_QUANTITY;
    if ((is_number || is_version(second)) && is_upper(first.text[0]) && first.len > 2 &&
        !first.is_first)
        return KEEP_VERSION;
    return KEEP_NONE;
}

/* From the beginning of one word to the end of a later one. */
static void add_span(struct keeping *keeping, struct word first, struct word last,
                     enum keep_class class)
{
    add_item(keeping, first.text, (size_t)(last.text + last.len - first.text), class);
}

/* A name of several words, under way. */
struct naming {
    struct word first;
    struct word last;
};

static void end_name(struct keeping *keeping, struct naming *naming)
{
    if (naming->first.len)
        add_span(keeping, naming->first, naming->last, KEEP_NAME);
    *naming = (struct naming){ 0 };
}

static bool follows(struct word before, struct word word)
{
    return before.len && before.text + before.len + 1 == word.text;
}

static void read_sentence(struct keeping *keeping, struct summary_span sentence)
{
    struct naming naming = { 0 };
    struct word before = { 0 };
    struct word word;
    bool is_first = true;

    while (take_word(&sentence, &word)) {
        enum keep_class class = KEEP_NONE;
        enum keep_class pair = KEEP_NONE;

        word.is_first = is_first;
        is_first = false;
        if (word.len > WORD_MAX_BYTES)
            word.len = 0;
        if (word.len)
            class = class_of(word);
        if (follows(before, word))
            pair = class_of_pair(before, word);
        if (class != KEEP_NAME || pair != KEEP_NONE || !follows(naming.last, word))
            end_name(keeping, &naming);
        if (pair != KEEP_NONE) {
            add_span(keeping, before, word, pair);
        } else if (class == KEEP_NAME) {
            naming.first = naming.first.len ? naming.first : word;
            naming.last = word;
        } else if (word.len) {
            add_item(keeping, word.text, word.len, class);
        }
        before = word;
    }
    end_name(keeping, &naming);
}

/* A decision is kept in its own words. */
static void read_decision(struct keeping *keeping, struct summary_span sentence)
{
    size_t len = utf8_cut(sentence.text, sentence.len, ITEM_MAX_BYTES);

    while (len < sentence.len && len > ITEM_MAX_BYTES / 2 && sentence.text[len] != ' ')
        len--;
    len = utf8_cut(sentence.text, sentence.len, len);
    if (summary_is_decision(sentence))
        add_item(keeping, sentence.text, len, KEEP_DECISION);
}

static int compare_items(const struct item *a, const struct item *b)
{
    size_t times_a = a->times < TIMES_COUNTED ? a->times : TIMES_COUNTED;
    size_t times_b = b->times < TIMES_COUNTED ? b->times : TIMES_COUNTED;
    int rank_a = (int)a->class * 2 + (int)times_a;
    int rank_b = (int)b->class * 2 + (int)times_b;

    if (rank_a != rank_b)
        return rank_b - rank_a;
    return a->order < b->order ? -1 : 1;
}

void summary_must_keep(const char *turns, struct buf *out)
{
    struct keeping keeping = { 0 };
    struct summary_reader reader;
    struct summary_line line;
    struct item *item;
    struct item *next;

    summary_reader_init(&reader, turns, strlen(turns));
    while (summary_reader_next(&reader, &line)) {
        struct summary_span sentence;

        while (!line.is_heading && summary_take_sentence(&line.body, &sentence)) {
            if (!line.is_code)
                read_decision(&keeping, sentence);
            read_sentence(&keeping, sentence);
        }
    }
    HASH_SORT(keeping.items, compare_items);
    HASH_ITER(hh, keeping.items, item, next)
    {
        HASH_DEL(keeping.items, item); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        if (out->len + strlen(item->text) + 1 <= out->max_bytes)
            buf_printf(out, "%s\n", item->text);
        free(item->text);
        free(item);
    }
}
