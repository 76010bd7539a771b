/*
 * pieces.h - all turns that a context can choose from, oldest first: the person's other
 * conversations, older turns of this one that RAM does not hold, its window.
 *
 * Owns:    copies of the turns; the conversation goes on meanwhile.
 * Threads: worker; holder of the pin.
 */
#ifndef MEMORY_PIECES_H
#define MEMORY_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/memory.h"
#include "memory/pack.h"

struct piece {
    struct memory_turn turn;  /* with its seq */
    const char *conversation; /* key, NULL: this one */
    size_t from;              /* the part of its text that goes into the context */
    size_t len;
    double score;
    bool is_chosen;
};

struct pieces_source {
    struct pack pack;
    char *conversation; /* NULL: this one */
};

struct pieces {
    struct piece *all;
    size_t count;
    size_t here;   /* from this one on they are of this conversation */
    size_t window; /* from this one on they were in RAM */
    struct pieces_source *sources;
    size_t sources_count;
    bool lacks_older; /* the store did not give them: logged */
    bool lacks_elsewhere;
};

struct pieces_wanted {
    bool older;            /* than RAM holds; never below the window */
    const char *elsewhere; /* whose other conversations are wanted ("team/user"), NULL: none */
};

void pieces_gather(struct memory *memory, const struct conversation *conversation,
                   const struct pieces_wanted *wanted, struct pieces *ret_pieces);
void pieces_deinit(struct pieces *pieces); /* safe on a zeroed struct, and twice */

#endif
