#include "memory/words.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libstemmer.h>
#include <unicase.h>
#include <unictype.h>
#include <unistr.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"

#define WORD_MAX_BYTES  64 /* of a part; the rest is not looked at */
#define WHOLE_MAX_BYTES 256
#define PIECES_MAX      16 /* of one camelCase part */
#define STUMP_BYTES     5
#define SLOTS           8192 /* a power of two */
#define CHARACTER_BYTES 6    /* of UTF-8, at most */
#define STUMP_SEED      1
#define FIRST_NON_ASCII 0x80
#define RIGHT_QUOTE     0x2019

/* In order of strcmp(). */
static const char *const stop_words[] = {
    "a",          "about",   "after",     "again",    "all",      "also",    "am",
    "an",         "and",     "any",       "are",      "aren't",   "as",      "at",
    "be",         "because", "been",      "before",   "being",    "but",     "by",
    "can",        "can't",   "could",     "couldn't", "did",      "didn't",  "do",
    "does",       "doesn't", "doing",     "don't",    "down",     "during",  "each",
    "either",     "else",    "ever",      "for",      "from",     "get",     "gets",
    "getting",    "got",     "had",       "hadn't",   "has",      "hasn't",  "have",
    "haven't",    "having",  "he",        "he's",     "her",      "here",    "hers",
    "herself",    "him",     "himself",   "his",      "how",      "i",       "i'd",
    "i'll",       "i'm",     "i've",      "if",       "in",       "into",    "is",
    "isn't",      "it",      "it's",      "its",      "itself",   "just",    "let",
    "like",       "many",    "may",       "me",       "might",    "more",    "most",
    "much",       "my",      "myself",    "no",       "not",      "now",     "of",
    "off",        "on",      "once",      "only",     "or",       "other",   "our",
    "ours",       "out",     "over",      "own",      "please",   "same",    "she",
    "she's",      "should",  "shouldn't", "so",       "some",     "such",    "tell",
    "than",       "that",    "that's",    "the",      "their",    "theirs",  "them",
    "themselves", "then",    "there",     "these",    "they",     "they're", "this",
    "those",      "through", "to",        "too",      "under",    "until",   "up",
    "us",         "very",    "was",       "wasn't",   "we",       "we're",   "we've",
    "were",       "weren't", "what",      "what's",   "when",     "where",   "which",
    "while",      "who",     "whom",      "whose",    "why",      "will",    "with",
    "won't",      "would",   "wouldn't",  "yes",      "you",      "you'd",   "you'll",
    "you're",     "you've",  "your",      "yours",    "yourself",
};

static const char *const time_words[] = {
    "afternoon", "ago",     "april",     "august",   "autumn",   "day",      "days",
    "december",  "evening", "fall",      "february", "friday",   "january",  "july",
    "june",      "last",    "march",     "monday",   "month",    "months",   "morning",
    "next",      "night",   "november",  "october",  "recently", "saturday", "september",
    "since",     "spring",  "summer",    "sunday",   "thursday", "today",    "tomorrow",
    "tonight",   "tuesday", "wednesday", "week",     "weekend",  "weeks",    "winter",
    "year",      "years",   "yesterday",
};

static const char *const first_person_words[] = {
    "i",      "i'd", "i'll", "i'm", "i've", "me",    "mine",  "my",
    "myself", "our", "us",   "we",  "we'd", "we'll", "we're", "we've",
};

/* ---- from a word to its stem --------------------------------------------------------------
 */

struct slot {
    uint64_t key; /* hash of the folded word, 0: empty */
    struct word word;
};

struct lexicon {
    struct sb_stemmer *stemmer; /* NULL: without memory for one, words are their own stems */
    struct slot slots[SLOTS];
};

static pthread_once_t lexicon_once = PTHREAD_ONCE_INIT;
static pthread_key_t lexicon_key;
static bool has_key;

static void lexicon_free(void *context)
{
    struct lexicon *lexicon = context;

    sb_stemmer_delete(lexicon->stemmer);
    free(lexicon);
}

static void make_key(void)
{
    if (pthread_key_create(&lexicon_key, lexicon_free) != 0)
        abort();
    has_key = true;
}

/* Threads give theirs back as they end; the one that leaves main() does not end. */
__attribute__((destructor)) static void free_at_exit(void)
{
    struct lexicon *lexicon = has_key ? pthread_getspecific(lexicon_key) : NULL;

    if (!lexicon)
        return;
    pthread_setspecific(lexicon_key, NULL);
    lexicon_free(lexicon);
}

static struct lexicon *lexicon_of_thread(void)
{
    struct lexicon *lexicon;

    pthread_once(&lexicon_once, make_key);
    lexicon = pthread_getspecific(lexicon_key);
    if (!lexicon) {
        lexicon = xcalloc(1, sizeof(*lexicon));
        lexicon->stemmer = sb_stemmer_new("english", "UTF_8");
        pthread_setspecific(lexicon_key, lexicon);
    }
    return lexicon;
}

static int compare_words(const void *key, const void *entry)
{
    return strcmp(key, *(const char *const *)entry);
}

static bool is_among(const char *word, const char *const *words, size_t count)
{
    return bsearch(word, words, count, sizeof(*words), compare_words) != NULL;
}

static uint64_t hash_bytes(const char *bytes, size_t len, uint64_t seed)
{
    uint64_t hash = XXH3_64bits_withSeed(bytes, len, seed);

    return hash ? hash : 1;
}

static unsigned flags_of(const char *word, size_t len)
{
    unsigned flags = 0;

    if ((len == 1 && (unsigned char)*word < FIRST_NON_ASCII) ||
        is_among(word, stop_words, ARRAY_LEN(stop_words)))
        flags |= WORD_STOP;
    if (is_among(word, time_words, ARRAY_LEN(time_words)))
        flags |= WORD_TIME;
    if (is_among(word, first_person_words, ARRAY_LEN(first_person_words)))
        flags |= WORD_FIRST_PERSON;
    return flags;
}

static struct word make_word(const struct lexicon *lexicon, const char *folded, size_t len)
{
    char word[WORD_MAX_BYTES + 1];
    struct word made = { 0 };
    const char *stem = word;
    size_t stem_len;

    memcpy(word, folded, len);
    word[len] = '\0';
    made.flags = flags_of(word, len);
    if (len > 2 && word[len - 2] == '\'' && word[len - 1] == 's')
        len -= 2;
    stem_len = len;
    if (lexicon->stemmer) {
        const sb_symbol *found =
            sb_stemmer_stem(lexicon->stemmer, (const sb_symbol *)word, (int)len);

        if (found) {
            stem = (const char *)found;
            stem_len = (size_t)sb_stemmer_length(lexicon->stemmer);
        }
    }
    made.stem = hash_bytes(stem, stem_len, 0);
    if (stem_len >= STUMP_BYTES)
        made.stump = hash_bytes(stem, STUMP_BYTES, STUMP_SEED);
    return made;
}

static const struct word *find_word(struct lexicon *lexicon, const char *folded, size_t len)
{
    uint64_t key = hash_bytes(folded, len, 0);
    struct slot *slot = &lexicon->slots[key & (SLOTS - 1)];

    if (slot->key != key)
        *slot = (struct slot){ .key = key, .word = make_word(lexicon, folded, len) };
    return &slot->word;
}

/* ---- from a text to its words -------------------------------------------------------------
 */

struct scan {
    const uint8_t *text;
    size_t len;
    size_t at;
    struct lexicon *lexicon;
    words_visit_fn visit;
    void *context;
    char part[WORD_MAX_BYTES]; /* folded */
    size_t part_len;
    char whole[WHOLE_MAX_BYTES]; /* parts and what joins them */
    size_t whole_len;
    size_t cuts[PIECES_MAX]; /* where pieces of the part begin, but the first */
    size_t cuts_count;
};

enum sort { SORT_OTHER, SORT_LOWER, SORT_UPPER, SORT_DIGIT, SORT_JOINER, SORT_IDEOGRAPH };

/* One character: its sort, code point and size. */
struct character {
    enum sort sort;
    ucs4_t code;
    size_t size;
};

static bool is_ideograph(ucs4_t code)
{
    return (code >= 0x3040 && code <= 0x30ff) || (code >= 0x3400 && code <= 0x9fff) ||
           (code >= 0xac00 && code <= 0xd7af) || (code >= 0x20000 && code <= 0x3ffff);
}

static const uint8_t ascii_sorts[FIRST_NON_ASCII] = {
    ['a' ... 'z'] = SORT_LOWER, ['A' ... 'Z'] = SORT_UPPER, ['0' ... '9'] = SORT_DIGIT,
    ['_'] = SORT_JOINER,        ['.'] = SORT_JOINER,        ['/'] = SORT_JOINER,
    ['-'] = SORT_JOINER,        [':'] = SORT_JOINER,        ['@'] = SORT_JOINER,
    ['#'] = SORT_JOINER,
};

static enum sort sort_of(ucs4_t code)
{
    if (is_ideograph(code))
        return SORT_IDEOGRAPH;
    if (uc_is_upper(code))
        return SORT_UPPER;
    return uc_is_property_alphabetic(code) || uc_combining_class(code) || uc_is_alnum(code)
               ? SORT_LOWER
               : SORT_OTHER;
}

static inline struct character look(const struct scan *scan, size_t at)
{
    struct character found = { SORT_OTHER, 0, 0 };

    if (at >= scan->len)
        return found;
    found.code = scan->text[at];
    found.size = 1;
    if (found.code < FIRST_NON_ASCII) {
        found.sort = (enum sort)ascii_sorts[found.code];
        return found;
    }
    found.size = (size_t)u8_mbtouc(&found.code, scan->text + at, scan->len - at);
    found.sort = sort_of(found.code);
    return found;
}

static bool is_letter(enum sort sort)
{
    return sort == SORT_LOWER || sort == SORT_UPPER || sort == SORT_DIGIT;
}

static void emit(struct scan *scan, const char *folded, size_t len, unsigned flags)
{
    struct word word;

    if (!len)
        return;
    word = *find_word(scan->lexicon, folded, len);
    word.flags |= flags;
    scan->visit(scan->context, &word);
}

static void put(char *to, size_t *len, size_t max, const uint8_t *bytes, size_t count)
{
    if (*len + count > max)
        return;
    memcpy(to + *len, bytes, count);
    *len += count;
}

static void put_folded(struct scan *scan, const struct character *character)
{
    uint8_t bytes[CHARACTER_BYTES];
    int size = 1;

    bytes[0] = (uint8_t)character->code;
    if (character->code >= FIRST_NON_ASCII)
        size = u8_uctomb(bytes, uc_tolower(character->code), sizeof(bytes));
    else if (character->sort == SORT_UPPER)
        bytes[0] = (uint8_t)(character->code | 0x20);
    if (size <= 0)
        return;
    put(scan->part, &scan->part_len, sizeof(scan->part), bytes, (size_t)size);
    put(scan->whole, &scan->whole_len, sizeof(scan->whole), bytes, (size_t)size);
}

/* "getUser": before U. "JSONFile": before F. */
static bool begins_piece(enum sort before, enum sort after)
{
    return before == SORT_LOWER || (before == SORT_UPPER && after == SORT_LOWER);
}

/* An apostrophe between letters belongs to the word: "I'm", "don't". */
static size_t apostrophe_size(const struct scan *scan, const struct character *character)
{
    if ((character->code != '\'' && character->code != RIGHT_QUOTE) || !character->size)
        return 0;
    return is_letter(look(scan, scan->at + character->size).sort) ? character->size : 0;
}

/* A run of letters and digits, to `part`; notes where its pieces begin. */
static void read_part(struct scan *scan)
{
    static const struct character quote = { SORT_OTHER, '\'', 1 };
    enum sort before = SORT_OTHER;

    scan->part_len = 0;
    scan->cuts_count = 0;
    for (;;) {
        struct character here = look(scan, scan->at);
        size_t quote_size = apostrophe_size(scan, &here);

        if (quote_size) {
            put_folded(scan, &quote);
            scan->at += quote_size;
            before = SORT_OTHER;
            continue;
        }
        if (!is_letter(here.sort))
            return;
        if (here.sort == SORT_UPPER && scan->cuts_count < PIECES_MAX &&
            begins_piece(before, look(scan, scan->at + here.size).sort))
            scan->cuts[scan->cuts_count++] = scan->part_len;
        put_folded(scan, &here);
        scan->at += here.size;
        before = here.sort;
    }
}

static void emit_part(struct scan *scan)
{
    size_t from = 0;

    for (size_t i = 0; i < scan->cuts_count; i++) {
        emit(scan, scan->part + from, scan->cuts[i] - from, 0);
        from = scan->cuts[i];
    }
    emit(scan, scan->part + from, scan->part_len - from, 0);
    if (scan->cuts_count)
        emit(scan, scan->part, scan->part_len, WORD_WHOLE);
}

/* Parts that are joined without a blank: a path, an identifier, an address. */
static void read_joined(struct scan *scan)
{
    size_t parts = 0;

    scan->whole_len = 0;
    for (;;) {
        struct character joiner;

        read_part(scan);
        emit_part(scan);
        parts++;
        joiner = look(scan, scan->at);
        if (joiner.sort != SORT_JOINER || !is_letter(look(scan, scan->at + 1).sort))
            break;
        put(scan->whole, &scan->whole_len, sizeof(scan->whole), scan->text + scan->at, 1);
        scan->at++;
    }
    if (parts > 1)
        emit(scan, scan->whole,
             scan->whole_len < WORD_MAX_BYTES ? scan->whole_len : WORD_MAX_BYTES, WORD_WHOLE);
}

static void read_ideographs(struct scan *scan)
{
    size_t before = scan->at;
    size_t count = 0;

    for (;;) {
        struct character here = look(scan, scan->at);

        if (here.sort != SORT_IDEOGRAPH)
            break;
        if (count++)
            emit(scan, (const char *)scan->text + before, scan->at + here.size - before, 0);
        before = scan->at;
        scan->at += here.size;
    }
    if (count == 1)
        emit(scan, (const char *)scan->text + before, scan->at - before, 0);
}

void words_visit(const char *text, size_t len, words_visit_fn visit, void *context)
{
    struct scan scan;

    scan.text = (const uint8_t *)text;
    scan.len = len;
    scan.at = 0;
    scan.lexicon = lexicon_of_thread();
    scan.visit = visit;
    scan.context = context;
    while (scan.at < len) {
        struct character here = look(&scan, scan.at);

        if (is_letter(here.sort))
            read_joined(&scan);
        else if (here.sort == SORT_IDEOGRAPH)
            read_ideographs(&scan);
        else
            scan.at += here.size;
    }
}
