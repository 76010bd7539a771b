/*
 * archive_import.c - turns from outside, many in one commit, each once however often they come.
 *
 *   turn -> state of its key (last seq, what is there already) -> known? passed over
 *                                                               -> else the batch -> commit
 */
#include "memory/archive.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"
#include "base/random.h"
#include "memory/commit.h"
#include "memory/context.h"
#include "memory/pack.h"
#include "memory/rooms.h"

#define BATCH_TURNS     512
#define BATCH_BYTES     ((size_t)4 * 1024 * 1024)
#define STATES_MAX      65536
#define COMMIT_TRIES    5
#define KNOWN_MIN_SPACE 16

/* What was in a conversation before the import came to it, each turn as a hash. */
struct known {
    uint64_t *hashes; /* ascending */
    bool *is_used;    /* found again: the next turn alike is another one */
    size_t count;
    size_t left; /* not found again yet */
    size_t capacity;
};

struct state {
    UT_hash_handle hh;
    int64_t last_seq;
    struct known known;
    char key[];
};

struct archive_import {
    struct memory *memory;
    struct state *states; /* by key */
    uint64_t seed;
    struct store_mutation mutations[BATCH_TURNS];
    struct memory_turn turns[BATCH_TURNS];
    char *texts[BATCH_TURNS]; /* one allocation for a turn's strings and its key */
    size_t count;
    size_t bytes;
    int64_t added;
    int64_t skipped;
    bool has_failed; /* what is left is not committed at the end */
};

struct archive_import *memory_import_begin(struct memory *memory)
{
    struct archive_import *import = xcalloc(1, sizeof(*import));

    import->memory = memory;
    import->seed = random_below(UINT64_MAX);
    return import;
}

/* ---- what is there already --------------------------------------------------------------- */

/* The same turn, said again: Slack's ts where it has one, else its time; and all that it says.
 */
static uint64_t hash_turn(const struct archive_import *import, const struct memory_turn *turn)
{
    XXH3_state_t hash;
    int64_t numbers[2] = { turn->role, 0 };

    XXH3_INITSTATE(&hash);
    XXH3_64bits_reset_withSeed(&hash, import->seed);
    if (*turn->slack_ts) {
        XXH3_64bits_update(&hash, turn->slack_ts, strlen(turn->slack_ts) + 1);
    } else {
        numbers[1] = turn->at_wall_s;
        XXH3_64bits_update(&hash, turn->author, strlen(turn->author) + 1);
    }
    XXH3_64bits_update(&hash, numbers, sizeof(numbers));
    XXH3_64bits_update(&hash, turn->text, strlen(turn->text) + 1);
    return XXH3_64bits_digest(&hash);
}

struct reading {
    const struct archive_import *import;
    struct known *known;
};

static bool note_known(void *context, const struct memory_turn *turn)
{
    struct reading *reading = context;
    struct known *known = reading->known;

    if (known->count == known->capacity) {
        known->capacity = known->capacity ? known->capacity * 2 : KNOWN_MIN_SPACE;
        known->hashes = xrealloc(known->hashes, known->capacity, sizeof(*known->hashes));
    }
    known->hashes[known->count++] = hash_turn(reading->import, turn);
    return true;
}

static int compare_hashes(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return a < b ? -1 : a > b;
}

static void known_deinit(struct known *known)
{
    free(known->hashes);
    free(known->is_used);
    *known = (struct known){ 0 };
}

static bool known_take(struct known *known, uint64_t hash)
{
    size_t low = 0;
    size_t high = known->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (known->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < known->count && known->hashes[low] == hash && known->is_used[low])
        low++;
    if (low == known->count || known->hashes[low] != hash)
        return false;
    known->is_used[low] = true;
    if (--known->left == 0)
        known_deinit(known); /* the rest of the conversation is new */
    return true;
}

static void ignore_turn(void *context, const struct memory_turn *turn)
{
    (void)context;
    (void)turn;
}

static int read_last_seq(struct memory *memory, struct state *state, struct err *err)
{
    struct store_head head = { 0 };

    if (memory->store->ops->load(memory->store, state->key, 0, ignore_turn, NULL, &head, err) <
        0)
        return -1;
    state->last_seq = head.last_seq;
    return 0;
}

static int read_state(struct archive_import *import, struct state *state, struct err *err)
{
    struct store *store = import->memory->store;
    struct reading reading = { import, &state->known };
    struct store_range range = { 0 };
    struct known *known = &state->known;

    if (read_last_seq(import->memory, state, err) < 0)
        return -1;
    if (!state->last_seq)
        return 0;
    if (store->ops->history(store, state->key, &range, note_known, &reading, err) < 0)
        return -1;
    if (known->count)
        qsort(known->hashes, known->count, sizeof(*known->hashes), compare_hashes);
    known->is_used = xcalloc(known->count + 1, sizeof(*known->is_used));
    known->left = known->count;
    return 0;
}

static void free_state(struct archive_import *import, struct state *state)
{
    HASH_DEL(import->states, state); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
    known_deinit(&state->known);
    free(state);
}

static struct state *find_state(struct archive_import *import, const char *key, struct err *err)
{
    struct state *state = NULL;

    HASH_FIND_STR(import->states, key, state);
    if (state)
        return state;
    state = xcalloc(1, sizeof(*state) + strlen(key) + 1);
    memcpy(state->key, key, strlen(key) + 1);
    if (read_state(import, state, err) < 0) {
        known_deinit(&state->known);
        free(state);
        return NULL;
    }
    HASH_ADD_STR(import->states, key, state); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
    return state;
}

/* Conversations come one after the other, or mixed: the oldest states are read again if they
 * must be. Only between batches, whose turns are in the store then. */
static void drop_old_states(struct archive_import *import)
{
    struct state *state;
    struct state *next;

    if (HASH_COUNT(import->states) < STATES_MAX)
        return;
    HASH_ITER(hh, import->states, state, next)
    {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed was unlinked first */
        if (HASH_COUNT(import->states) < STATES_MAX / 2)
            break;
        free_state(import, state);
    }
}

/* ---- batches ----------------------------------------------------------------------------- */

static char *put(char **at, const char *text)
{
    char *begin = *at;
    size_t size = strlen(text) + 1;

    memcpy(begin, text, size);
    *at += size;
    return begin;
}

static void add_to_batch(struct archive_import *import, const char *key,
                         const struct memory_turn *turn, int64_t seq)
{
    const char *metadata = turn->metadata ? turn->metadata : "";
    size_t size = strlen(key) + strlen(turn->author) + strlen(turn->text) +
                  strlen(turn->slack_ts) + strlen(metadata) + 5;
    struct memory_turn *copy = &import->turns[import->count];
    char *at = xcalloc(1, size);

    import->texts[import->count] = at;
    *copy = *turn;
    copy->seq = seq;
    copy->author = put(&at, turn->author);
    copy->text = put(&at, turn->text);
    copy->slack_ts = put(&at, turn->slack_ts);
    copy->metadata = put(&at, metadata);
    if (!copy->tokens)
        copy->tokens = memory_estimate_tokens(turn->text, strlen(turn->text));
    import->mutations[import->count] = (struct store_mutation){
        .kind = STORE_APPEND_TURN, .key = put(&at, key), .turn = copy, .seq = seq
    };
    import->count++;
    import->bytes += size;
}

static void clear_batch(struct archive_import *import)
{
    for (size_t i = 0; i < import->count; i++)
        free(import->texts[i]);
    import->count = 0;
    import->bytes = 0;
}

/* Somebody has continued one of the conversations meanwhile: our turns go behind theirs. */
static int number_anew(struct archive_import *import, struct err *err)
{
    struct state *state;
    struct state *next;

    HASH_ITER(hh, import->states, state, next)
    {
        state->last_seq = -1;
    }
    for (size_t i = 0; i < import->count; i++) {
        HASH_FIND_STR(import->states, import->mutations[i].key, state);
        if (!state)
            return err_set(err, ERR_SYSTEM, "an import lost its place");
        if (state->last_seq < 0 && read_last_seq(import->memory, state, err) < 0)
            return -1;
        import->turns[i].seq = ++state->last_seq;
        import->mutations[i].seq = state->last_seq;
    }
    HASH_ITER(hh, import->states, state, next)
    {
        if (state->last_seq < 0 && read_last_seq(import->memory, state, err) < 0)
            return -1;
    }
    return 0;
}

static int commit_batch(struct archive_import *import, struct err *err)
{
    struct err local = { 0 };
    int rc = 0;

    if (!import->count)
        return 0;
    for (int i = 0; i < COMMIT_TRIES; i++) {
        rc = commit_mutations(&import->memory->path, import->mutations, import->count, &local);
        if (rc == 0 || local.kind != ERR_INPUT || number_anew(import, &local) < 0)
            break;
    }
    if (rc < 0) {
        import->has_failed = true;
        if (err)
            *err = local;
        return -1;
    }
    import->added += (int64_t)import->count;
    clear_batch(import);
    drop_old_states(import);
    return 0;
}

static int check(const char *key, const struct memory_turn *turn, struct err *err)
{
    if (!*key || strlen(key) > ARCHIVE_KEY_MAX)
        return err_set(err, ERR_INPUT, "a key has 1 to %d bytes, not %zu", ARCHIVE_KEY_MAX,
                       strlen(key));
    if (strlen(turn->text) > PACK_TEXT_MAX_BYTES)
        return err_set(err, ERR_INPUT, "a turn of %zu bytes is too long to keep, at most %zu",
                       strlen(turn->text), PACK_TEXT_MAX_BYTES);
    return 0;
}

int memory_import_turn(struct archive_import *import, const char *key,
                       const struct memory_turn *turn, struct err *err)
{
    struct state *state;

    if (check(key, turn, err) < 0)
        return -1;
    state = find_state(import, key, err);
    if (!state) {
        import->has_failed = true;
        return -1;
    }
    if (state->known.left && known_take(&state->known, hash_turn(import, turn))) {
        import->skipped++;
        return 0;
    }
    add_to_batch(import, key, turn, ++state->last_seq);
    if (import->count < BATCH_TURNS && import->bytes < BATCH_BYTES)
        return 0;
    return commit_batch(import, err);
}

int memory_import_end(struct archive_import *import, int64_t *ret_turns, int64_t *ret_skipped,
                      struct err *err)
{
    struct state *state;
    struct state *next;
    int rc = import->has_failed ? 0 : commit_batch(import, err);

    *ret_turns = import->added;
    *ret_skipped = import->skipped;
    clear_batch(import);
    HASH_ITER(hh, import->states, state, next)
    {
        free_state(import, state);
    }
    free(import);
    return rc;
}
