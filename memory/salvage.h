/*
 * salvage.h - what can still be read in a damaged database, copied into a sound one. Rows are
 * taken one by one; where a page does not read, those around it are, from both sides.
 *
 * Owns:    nothing.
 * Threads: startup.
 */
#ifndef MEMORY_SALVAGE_H
#define MEMORY_SALVAGE_H

#include <stdint.h>

#include "base/err.h"

#define SALVAGE_HEAD ".head" /* behind to_path: a file that is there meanwhile */

/* What was saved, and whether there were places that did not read. */
struct salvaged {
    int64_t messages; /* of the ledger */
    int64_t pending;  /* of them: not answered yet */
    int64_t conversations;
    int64_t turns;
    int64_t holes;
};

/*
 * Makes a database at `to_path` (there must be none) of what reads in the one at `from_path`,
 * which is not changed. A file of which nothing reads is no failure: nothing was saved. -1 when
 * the new one cannot be written.
 */
int salvage_copy(const char *from_path, const char *to_path, struct salvaged *ret_salvaged,
                 struct err *err);

#endif
