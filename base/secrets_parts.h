/*
 * secrets_parts.h - between the files of secrets.h only.
 *
 * Threads: any.
 */
#ifndef BASE_SECRETS_PARTS_H
#define BASE_SECRETS_PARTS_H

#include "base/secrets.h"

/* What is looked at. */
struct secrets_text {
    const char *bytes;
    size_t len;
    bool is_end; /* nothing follows */
};

enum secrets_class {
    SECRETS_UPPER_DIGIT, /* A-Z 0-9 */
    SECRETS_ALNUM,
    SECRETS_WORD,  /* and _ - */
    SECRETS_TOKEN, /* and . % ~ + / = */
    SECRETS_BASE64,
    SECRETS_VALUE, /* what a value without quotes is made of */
};
bool secrets_is_of(enum secrets_class class, unsigned char byte);

/* The first place from `at` on whose byte is not of the class, at most `limit`. */
size_t secrets_skip(const struct secrets_text *text, size_t at, enum secrets_class class,
                    size_t limit);

/* Whether `prefix` stands at `at`, small and capital letters alike with `any_case`. */
enum secrets_look secrets_at(const struct secrets_text *text, size_t at, const char *prefix,
                             bool any_case);

/* Those of the table whose prefix stands at the beginning (secrets.c). */
enum secrets_look secrets_look_known(const struct secrets_text *text,
                                     struct secrets_match *ret_match);

/* secrets_context.c */
enum secrets_look secrets_look_key_block(const struct secrets_text *text,
                                         struct secrets_match *ret_match);
enum secrets_look secrets_look_address(const struct secrets_text *text,
                                       struct secrets_match *ret_match);
enum secrets_look secrets_look_bearer(const struct secrets_text *text,
                                      struct secrets_match *ret_match);

/* secrets_value.c: a value behind "password =" and its like. */
enum secrets_look secrets_look_value(const struct secrets_text *text,
                                     struct secrets_match *ret_match);

#endif
