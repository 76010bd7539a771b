/*
 * pick.h - which turns of a conversation an erasure means, and whose they are.
 *
 * Owns:    what is said at each struct.
 * Threads: any but the loop and the journal.
 */
#ifndef MEMORY_PICK_H
#define MEMORY_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/memory.h"
#include "memory/store.h"

/* Texts, owned. */
struct names {
    char **items;
    size_t count;
    size_t capacity;
};
const char *names_add(struct names *names,
                      const char *text); /* the copy, until names_clear() */
void names_add_once(struct names *names, const char *text);
bool names_hold(const struct names *names, const char *text);
void names_clear(struct names *names); /* safe on a zeroed struct, and twice */

/* All that are given must hold. */
struct pick {
    bool is_all;
    const char *user;      /* what this person said, and the answers that it has a part in */
    int64_t before_wall_s; /* and what came before, with the answers to nothing else */
    const char *slack_ts;  /* that message, and its answer when it was answered alone */
    bool takes_answer;     /* ... or in any case */
    const struct names *any_ts; /* those messages, the same */
};

struct picked_turn {
    int64_t seq;
    int64_t at_wall_s;
    enum memory_role role;
    bool is_users;
    bool is_picked;
    char *slack_ts;
};

struct picked {
    struct picked_turn *turns; /* all of the conversation, oldest first */
    size_t count;
    size_t capacity;
    size_t picked_count;
    int64_t first_seq;    /* the oldest that is picked */
    bool is_everything;   /* nobody else has said anything in it, and nothing is left */
    struct names authors; /* of what is picked */
    struct names all_authors;
};

/* Reads the conversation and picks. Fills a zeroed `ret_picked`, the caller's to deinit in any
 * case. */
int picked_read(struct store *store, const char *key, const struct pick *pick,
                struct picked *ret_picked, struct err *err);
bool picked_holds(const struct picked *picked, int64_t seq);
void picked_deinit(struct picked *picked); /* safe on a zeroed struct, and twice */

#endif
