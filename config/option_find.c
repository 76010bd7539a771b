/* option.h: finding a row, and the one that was probably meant. */
#include "config/option.h"

#include <string.h>

#include "base/alloc.h"

const struct option *option_find(const struct option *table, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].key, key) == 0)
            return &table[i];
    }
    return NULL;
}

const struct option_section *option_find_section(const char *key)
{
    for (size_t i = 0; i < option_sections_count; i++) {
        if (strcmp(option_sections[i].key, key) == 0)
            return &option_sections[i];
    }
    return NULL;
}

#define NAME_MAX_BYTES 64

/* How many characters must be added, dropped or changed (Levenshtein); long texts are cut. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t a_len = strnlen(a, NAME_MAX_BYTES);
    size_t b_len = strnlen(b, NAME_MAX_BYTES);
    size_t row[NAME_MAX_BYTES + 1];

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

/* The right name in the wrong section is nearer than a similar one in the right section. */
static size_t key_distance(const char *key, const char *known)
{
    size_t whole = edit_distance(key, known);

    return strcmp(last_part(key), last_part(known)) == 0 && whole > 2 ? 2 : whole;
}

const char *option_find_nearest(const struct option *table, size_t count, const char *key)
{
    const char *nearest = table[0].key;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < count; i++) {
        size_t distance = key_distance(key, table[i].key);

        if (distance < best) {
            best = distance;
            nearest = table[i].key;
        }
    }
    if (table != option_table)
        return nearest;
    for (size_t i = 0; i < option_sections_count; i++) {
        size_t distance = key_distance(key, option_sections[i].key);

        if (distance < best) {
            best = distance;
            nearest = option_sections[i].key;
        }
    }
    return key_distance(key, "channels") < best ? "channels" : nearest;
}
