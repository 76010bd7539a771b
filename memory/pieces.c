#include "memory/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/conversation.h"
#include "memory/rooms.h"
#include "memory/store.h"

#define LOG_MODULE "memory.pieces"
#include "base/log.h"

#define OLDER_MAX_TURNS 5000
#define OLDER_MAX_BYTES ((size_t)4 << 20)
#define ELSEWHERE_MAX   20 /* conversations, the newest */
#define ELSEWHERE_TURNS 200
#define ELSEWHERE_BYTES ((size_t)512 << 10) /* of all of them */
#define LISTED_MAX      10000               /* of a person's conversations are looked at */
#define SOURCES_MAX     (ELSEWHERE_MAX + 2)

/* ---- this conversation --------------------------------------------------------------------
 */

/* A copy, so that nothing is done under the shard's lock that takes long. */
static void copy_window(void *context, const struct pack *pack)
{
    struct pack *copy = context;

    *copy = *pack;
    copy->bytes = NULL;
    if (pack->len) {
        copy->bytes = xrealloc(NULL, pack->len, 1);
        memcpy(copy->bytes, pack->bytes, pack->len);
        copy->capacity = pack->len;
    }
}

struct filling {
    struct pack *pack;
    size_t max_bytes;
};

static bool fill_turn(void *context, const struct memory_turn *turn)
{
    struct filling *filling = context;

    return filling->pack->len < filling->max_bytes &&
           pack_append(filling->pack, turn, NULL) == 0;
}

static void fill_turn_on(void *context, const struct memory_turn *turn)
{
    fill_turn(context, turn);
}

static void pass_over(void *context, const struct memory_turn *turn)
{
    (void)context;
    (void)turn;
}

/* RAM holds the newest max_turns; an import may have brought more. */
static void gather_older(struct memory *memory, const struct conversation *conversation,
                         int64_t first_seq, struct pieces *pieces)
{
    struct pieces_source *source = &pieces->sources[pieces->sources_count];
    struct filling filling = { &source->pack, OLDER_MAX_BYTES };
    const struct store_ops *ops = memory->store->ops;
    const char *key = conversation_key(conversation);
    struct store_range range = { .before_seq = first_seq, .limit = OLDER_MAX_TURNS };
    struct store_head head = { 0 };
    struct err err = { 0 };

    if (first_seq <= 1)
        return;
    if (ops->load(memory->store, key, 1, pass_over, NULL, &head, &err) < 0) {
        log_warn("older turns are left out of a context: %s", err.message);
        pieces->lacks_older = true;
        return;
    }
    range.from_seq = head.window_seq;
    if (range.from_seq < first_seq &&
        ops->history(memory->store, key, &range, fill_turn, &filling, &err) < 0) {
        log_warn("older turns are left out of a context: %s", err.message);
        pieces->lacks_older = true;
    }
    pieces->sources_count++;
}

/* ---- the person's other conversations -----------------------------------------------------
 */

struct found {
    char *key;
    int64_t used_wall_s;
};

struct looking {
    const char *except;
    struct found newest[ELSEWHERE_MAX]; /* the newest last */
    size_t count;
};

static bool note_conversation(void *context, const struct store_conversation *conversation)
{
    struct looking *looking = context;
    size_t at;

    if (strcmp(conversation->key, looking->except) == 0)
        return true;
    if (looking->count == ELSEWHERE_MAX) {
        if (conversation->used_wall_s <= looking->newest[0].used_wall_s)
            return true;
        free(looking->newest[0].key);
        memmove(looking->newest, looking->newest + 1,
                (ELSEWHERE_MAX - 1) * sizeof(looking->newest[0]));
        looking->count--;
    }
    for (at = looking->count;
         at > 0 && looking->newest[at - 1].used_wall_s > conversation->used_wall_s; at--)
        looking->newest[at] = looking->newest[at - 1];
    looking->newest[at] =
        (struct found){ xstrdup(conversation->key), conversation->used_wall_s };
    looking->count++;
    return true;
}

/* As it would be loaded, so that nothing below its window comes back here either. */
static void gather_one(struct memory *memory, struct found *found, size_t *left_bytes,
                       struct pieces *pieces)
{
    struct pieces_source *source = &pieces->sources[pieces->sources_count];
    struct filling filling = { &source->pack, *left_bytes };
    struct store_head head;
    struct err err = { 0 };

    if (memory->store->ops->load(memory->store, found->key, ELSEWHERE_TURNS, fill_turn_on,
                                 &filling, &head, &err) < 0) {
        log_warn("a conversation is left out of a context: %s", err.message);
        pieces->lacks_elsewhere = true;
        pack_deinit(&source->pack);
        return;
    }
    *left_bytes -= source->pack.len < *left_bytes ? source->pack.len : *left_bytes;
    source->conversation = take_ptr(&found->key);
    pieces->sources_count++;
}

static void gather_elsewhere(struct memory *memory, const char *user, const char *except,
                             struct pieces *pieces)
{
    struct looking looking = { .except = except };
    const char *slash = strchr(user, '/');
    AUTO_FREE char *pattern =
        xasprintf("%.*s*", slash ? (int)(slash + 1 - user) : 0, user); /* of this team */
    struct store_list list = { .user = slash ? slash + 1 : user,
                               .pattern = slash ? pattern : "",
                               .after = "",
                               .limit = LISTED_MAX };
    size_t left_bytes = ELSEWHERE_BYTES;
    struct err err = { 0 };

    if (memory->store->ops->list(memory->store, &list, note_conversation, &looking, &err) < 0) {
        log_warn("other conversations are left out of a context: %s", err.message);
        pieces->lacks_elsewhere = true;
    }
    for (size_t i = looking.count; i-- > 0;) { /* when bytes end, the newest are there */
        if (left_bytes)
            gather_one(memory, &looking.newest[i], &left_bytes, pieces);
        free(looking.newest[i].key);
    }
}

/* ---- together -----------------------------------------------------------------------------
 */

static void note_piece(struct piece *piece, const char *conversation)
{
    piece->conversation = conversation;
    piece->len = strlen(piece->turn.text);
}

static void list_pieces(struct pieces *pieces)
{
    size_t count = 0;

    for (size_t i = 0; i < pieces->sources_count; i++)
        count += pieces->sources[i].pack.count;
    pieces->all = xcalloc(count ? count : 1, sizeof(*pieces->all));
    for (size_t i = 0; i < pieces->sources_count; i++) {
        const struct pieces_source *source = &pieces->sources[i];
        size_t offset = 0;

        pieces->window = pieces->count; /* it comes last */
        while (pieces->count < count &&
               pack_next(&source->pack, &offset, &pieces->all[pieces->count].turn))
            note_piece(&pieces->all[pieces->count++], source->conversation);
        if (source->conversation)
            pieces->here = pieces->count;
    }
}

void pieces_gather(struct memory *memory, const struct conversation *conversation,
                   const struct pieces_wanted *wanted, struct pieces *ret_pieces)
{
    struct pack window = { 0 };
    struct memory_turn first = { 0 };
    size_t offset = 0;

    *ret_pieces = (struct pieces){ 0 };
    ret_pieces->sources = xcalloc(SOURCES_MAX, sizeof(*ret_pieces->sources));
    if (wanted->elsewhere)
        gather_elsewhere(memory, wanted->elsewhere, conversation_key(conversation), ret_pieces);
    conversation_visit(conversation, copy_window, &window);
    if (wanted->older && pack_next(&window, &offset, &first))
        gather_older(memory, conversation, first.seq, ret_pieces);
    ret_pieces->sources[ret_pieces->sources_count++].pack = window;
    list_pieces(ret_pieces);
}

void pieces_deinit(struct pieces *pieces)
{
    for (size_t i = 0; i < pieces->sources_count; i++) {
        pack_deinit(&pieces->sources[i].pack);
        free(pieces->sources[i].conversation);
    }
    free(pieces->sources);
    free(pieces->all);
    *pieces = (struct pieces){ 0 };
}
