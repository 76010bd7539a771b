/*
 * secrets.h - what passwords, keys and tokens look like: the shapes of well-known ones, key
 * blocks, credentials in addresses, and values behind words such as "password:".
 *
 * One table for whatever leaves by the log and whatever goes to or comes from people. It is
 * made so that commits, UUIDs, checksums, pictures in base64 and ordinary code pass; a secret
 * without any shape is known by its value only (bot/guard.h).
 *
 * Owns:    nothing; the tables are constant.
 * Threads: any.
 */
#ifndef BASE_SECRETS_H
#define BASE_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

/* secrets_look() has decided when it has seen so many bytes. */
#define SECRETS_LOOK_MAX_BYTES 1024

enum secrets_look { SECRETS_NO, SECRETS_FOUND, SECRETS_WANTS_MORE };

/* What goes on behind a match that was longer than what was looked at. */
enum secrets_run {
    SECRETS_RUN_NONE,
    SECRETS_RUN_WORD,  /* letters, digits, _ and - */
    SECRETS_RUN_TOKEN, /* also . % ~ + / = */
    SECRETS_RUN_VALUE, /* to a blank, a quote or what ends a value */
    SECRETS_RUN_KEY,   /* the lines of a key block, to its END */
};

struct secrets_match {
    size_t skip;          /* bytes that may be shown, before ... */
    size_t len;           /* ... those that must not */
    size_t prefix;        /* so many of these tell no more than what it is: "xoxb-" */
    enum secrets_run run; /* more of it may follow: see secrets_run_on() */
    const char *kind;     /* "a Slack token"; constant */
    bool is_guess;        /* known by what stands before it, not by its own shape */
};

/* A quick look, with the arguments of secrets_look(): false when nothing begins here. */
bool secrets_may_begin(unsigned char before, const char *text, size_t len);

/*
 * Whether a secret begins with the first of `len` > 0 bytes. `before` is the byte in front of
 * them, 0 for none. SECRETS_WANTS_MORE: more bytes decide it; never when `is_end`, which says
 * that there are none.
 */
enum secrets_look secrets_look(unsigned char before, const char *text, size_t len, bool is_end,
                               struct secrets_match *ret_match);

/*
 * How many of the bytes behind a match with `run` belong to it still. *ret_run is
 * SECRETS_RUN_NONE when it ends there; else all further bytes are wanted (a few may be left
 * over, which must be given again in front of them).
 */
size_t secrets_run_on(enum secrets_run run, const char *text, size_t len, bool is_end,
                      enum secrets_run *ret_run);

#endif
