/*
 * value.h - the formats that option values are written in: numbers, durations, sizes, and the
 * checks for text that has a form (URLs, paths, Slack ids, tokens).
 *
 * A check returns NULL for good text, else what is wrong with it as the end of a sentence
 * ("is not an absolute path"); constant text, never the value itself.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* What `threadkeeper config --effective` shows instead of a secret. */
#define VALUE_MASK "***"

/* Each tells whether `text` has the form; *ret_value is set only then. */
bool value_parse_number(const char *text, int64_t *ret_value);
bool value_parse_duration_ms(const char *text, int64_t *ret_value); /* 500ms 30s 15m 24h 30d */
bool value_parse_size(const char *text, int64_t *ret_value);        /* 512B 4KiB 64MiB 1GiB */

/* The same way back, in the largest unit that divides the value. */
void value_print_duration(struct buf *out, int64_t ms);
void value_print_size(struct buf *out, int64_t bytes);

typedef const char *(*value_check_fn)(const char *text);

const char *value_check_url(const char *text);  /* https, or http to loopback */
const char *value_check_path(const char *text); /* absolute */
const char *value_check_media_type(const char *text);
const char *value_check_optional_path(const char *text); /* absolute, or nothing */
const char *value_check_user(const char *text);          /* U... or W... */
const char *value_check_channel(const char *text);       /* C..., D... or G... */
const char *value_check_bot(const char *text);           /* B..., A..., U... or W... */
const char *value_check_variable(const char *text);  /* the name of an environment variable */
const char *value_check_listen(const char *text);    /* "" or ADDRESS:PORT */
const char *value_check_model(const char *text);     /* one word that is no option */
const char *value_check_argument(const char *text);  /* not empty */
const char *value_check_app_token(const char *text); /* xapp-... */
const char *value_check_bot_token(const char *text); /* xoxb-... */

#endif
