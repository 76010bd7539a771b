/*
 * recall.h - which turns matter to a question, by their words alone: BM25 over turns, each
 * turn's score carried over to its neighbours of the same session, with what else tells in a
 * dialogue - who was asked about, the day, a question before its answer.
 *
 * Owns:    nothing.
 * Threads: any. Pure: the same turns and question give the same scores.
 */
#ifndef MEMORY_RECALL_H
#define MEMORY_RECALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Turns with a longer silence between them belong to different sessions. */
#define RECALL_SESSION_GAP_S (INT64_C(4) * 3600)

struct recall_turn {
    const char *text;
    const char *author; /* name or user id, "" for none */
    int64_t at_wall_s;
};

struct recall_question {
    const char *text;
    const char *asker; /* the author who says "I", "" for none */
    int64_t now_wall_s;
};

/*
 * Gives each of the turns, oldest first, a score: the best has 1, 0 means that it has nothing
 * to do with the question. Returns false, with all scores 0, when no turn has.
 */
bool recall_rank(const struct recall_turn *turns, size_t count,
                 const struct recall_question *question, double *ret_scores);

/* What a score is worth per byte, for filling a budget: long turns cost more. */
double recall_worth(double score, size_t bytes);

#endif
