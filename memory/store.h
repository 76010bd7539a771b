/*
 * store.h - where conversations live outside RAM: one table of functions that every backend
 * fills in, with a batch of mutations as its unit, applied whole or not at all. Shaped so that
 * a key-value server can stand behind it as well: no SQL, no open cursors, no transactions in
 * the interface.
 *
 * What is kept:
 *   conversation   by key: turns (1, 2, ...), summaries (versions), fields (a dictionary)
 *   person         by user: items - preferences and profile facts, each by (kind, name)
 *   value          by key: bytes with an expiry; counters
 *
 * Two ways to be durable together with the ledger:
 *   joins_journal   the store is the journal's own database: apply() runs inside its
 *                   transaction, turn and ledger commit as one.
 *   otherwise       the ledger's database keeps the turns until apply(), called by the one who
 *                   waits, has succeeded (commit.h). A crash in between applies them again.
 * So every mutation may be applied twice with the effect of once, but for STORE_EDIT_FIELD and
 * STORE_ADD_VALUE, which are never part of a turn.
 *
 * Owns:    a store owns its connections and files.
 * Threads: reads from any thread; apply and upkeep on the journal thread when it joins the
 *          journal, else from any.
 * Errors:  ERR_TEMP try again, ERR_INPUT never fits or was continued elsewhere, ERR_SYSTEM the
 *          rest. A read that finds nothing is no error.
 */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/memory.h"

/* ---- what is written --------------------------------------------------------------------- */

/* How a list (or a missing field, which counts as an empty one) is changed in place. */
enum store_edit {
    STORE_EDIT_EXTEND, /* `value` is a JSON array; append is an array of one. `index` above 0:
                          the last so many stay */
    STORE_EDIT_INSERT, /* `value` before `index`; beyond the ends means at the end */
    STORE_EDIT_POP,    /* the last element, to `result`; nothing when the list is empty */
    STORE_EDIT_REMOVE, /* the first element equal to `value`; `count` says whether there was */
    STORE_EDIT_MERGE,  /* `value` is a JSON object laid over the field's object */
};

enum store_mutation_kind {
    /* key, turn (with seq, author): idempotent by (key, seq). Touches the conversation and
     * notes its author as one of its people. */
    STORE_APPEND_TURN,
    STORE_SET_WINDOW,  /* key, seq: turns below it are no longer injected; never goes back */
    STORE_TRIM_TURNS,  /* key, seq: turns below it are erased */
    STORE_ERASE_TURN,  /* key, seq */
    STORE_ERASE,       /* key: turns, summaries, fields, people, the conversation itself; with
                          seq only if no turn at or above it has come */
    STORE_SET_SUMMARY, /* key, summary: idempotent by (key, version) */
    STORE_DROP_SUMMARIES, /* key: all versions; `count` says how many */

    STORE_SET_FIELD,     /* key, name, value (JSON), expires */
    STORE_DELETE_FIELD,  /* key, name; `count` says whether it was there */
    STORE_CLEAR_FIELDS,  /* key; `count` */
    STORE_EXPIRE_FIELDS, /* key, expires: for each field there is; `count` */
    STORE_EDIT_FIELD,    /* key, name, edit, value, index; ERR_INPUT when it is of another type.
                            Keeps the expiry; sets `expires` when it creates the field */

    STORE_SET_ITEM,    /* item */
    STORE_DELETE_ITEM, /* user, item_kind, name ("" for all of that kind); `count` */

    STORE_SET_VALUE,    /* key, value, expires */
    STORE_DELETE_VALUE, /* key; `count` */
    STORE_EXPIRE_VALUE, /* key, expires; `count` says whether it is there */
    STORE_ADD_VALUE,    /* key, number: a decimal counter, absent is 0; `expires` only when this
                           creates it, in one step; the sum goes to `count` */
    STORE_DELETE_VALUES, /* key is a pattern; `count` */
};

#define STORE_SUMMARIES_MAX 16 /* versions of a conversation; older ones go */

struct store_summary {
    int64_t version;   /* 1, 2, ...; the newest is in force */
    int64_t first_seq; /* of the turns that it covers */
    int64_t last_seq;
    int64_t made_wall_s;
    int64_t tokens;
    const char *source; /* "agent" or "extract" */
    const char *text;
    const char *pinned; /* must-keep items that the text dropped, one a line; "" */
};

enum store_item_kind { STORE_ITEM_PREFERENCE, STORE_ITEM_FACT };

/* A preference (name "language", value JSON) or a fact (name "role" or "interest:c", value
 * JSON text) of a person. */
struct store_item {
    const char *user; /* with "team/" in front where several workspaces are served */
    enum store_item_kind kind;
    const char *name;
    const char *value; /* JSON */
    const char
        *conversation; /* what taught it: key and turn, "" and 0 when the person set it */
    int64_t seq;
    int64_t created_wall_s; /* kept from the first time */
    int64_t updated_wall_s;
};

#define STORE_NEVER INT64_C(0) /* expires: not at all */

struct store_mutation {
    enum store_mutation_kind kind;
    const char *key;
    const struct memory_turn *turn;
    const struct store_summary *summary;
    const struct store_item *item;
    int64_t seq;
    const char *name;
    const char *value;
    const char *user;
    enum store_item_kind item_kind;
    enum store_edit edit;
    int64_t index;
    int64_t number;
    int64_t expires_wall_ms; /* STORE_NEVER, or when it is gone */
    /* Results, valid when apply() has succeeded (and, joined, when the commit has). */
    int64_t count;
    struct buf *result; /* the caller's, or NULL; cleared before each attempt */
};

/* ---- what is read ------------------------------------------------------------------------ */

/* Each takes one of what is stored; strings are borrowed for the call. Where it returns bool,
 * false stops. */
typedef void (*store_turn_fn)(void *context, const struct memory_turn *turn);
typedef bool (*store_visit_turn_fn)(void *context, const struct memory_turn *turn);
typedef bool (*store_summary_fn)(void *context, const struct store_summary *summary);
typedef bool (*store_item_fn)(void *context, const struct store_item *item);
/* A field or a value; expires_wall_ms as in struct store_mutation. */
typedef bool (*store_value_fn)(void *context, const char *name, const char *value,
                               int64_t expires_wall_ms);

/* A conversation's head. */
struct store_head {
    int64_t last_seq;   /* 0 and window_seq 0: no such key */
    int64_t window_seq; /* turns below it are not injected */
};

/* Which turns, whatever the window: all of these must hold. */
struct store_range {
    int64_t since_wall_s; /* at or after */
    int64_t until_wall_s; /* before; 0: no end */
    int64_t from_seq;     /* at or above */
    int64_t before_seq;   /* below; 0: no end */
    size_t limit;         /* the newest so many, 0: all */
};

struct store_conversation {
    const char *key;
    int64_t turns;
    int64_t bytes;        /* of text */
    int64_t first_wall_s; /* when the first of them was said; imports come in any order */
    int64_t used_wall_s;
    int64_t last_seq;
    int64_t summaries;
    int64_t fields;
};
typedef bool (*store_conversation_fn)(void *context,
                                      const struct store_conversation *conversation);

/* Which conversations, in order of key. */
struct store_list {
    const char *user;    /* who said something in it, "" for anybody */
    const char *pattern; /* of the key: * and ?, as for file names; "" for all */
    const char *after;   /* the cursor: keys after this one; "" from the start */
    size_t limit;        /* at most, 0: all */
};

struct store_stats {
    int64_t conversations;
    int64_t turns;
    int64_t bytes; /* of turns' text */
    int64_t summaries;
    int64_t fields;
    int64_t people;
    int64_t items;
    int64_t values;
    int64_t disk_bytes; /* what it takes on the disk */
};

/* What sweeping took away. */
struct store_swept {
    int64_t conversations;
    int64_t turns;
    int64_t fields;
    int64_t values;
};

struct db;
struct readers;
struct vault;
struct store;
struct store_ops {
    const char *name;
    bool joins_journal;
    void (*free)(struct store *store); /* NULL is fine */

    /* The last `max_turns` turns at or above the window, oldest first. */
    int (*load)(struct store *store, const char *key, size_t max_turns, store_turn_fn on_turn,
                void *context, struct store_head *ret_head, struct err *err);
    /* Turns in a range, oldest first; with metadata. */
    int (*history)(struct store *store, const char *key, const struct store_range *range,
                   store_visit_turn_fn visit, void *context, struct err *err);
    /* The newest version first. */
    int (*summaries)(struct store *store, const char *key, store_summary_fn visit,
                     void *context, struct err *err);
    int (*list)(struct store *store, const struct store_list *list, store_conversation_fn visit,
                void *context, struct err *err);
    /* One conversation's figures; ret->key is NULL when there is none, else `key`. */
    int (*size)(struct store *store, const char *key, struct store_conversation *ret,
                struct err *err);
    /* One field (name) or all (name NULL), by name; expired ones are not there. */
    int (*fields)(struct store *store, const char *key, const char *name, store_value_fn visit,
                  void *context, struct err *err);
    /* A person's items of one kind by name; with `user` NULL everybody's, by user. */
    int (*items)(struct store *store, const char *user, enum store_item_kind kind,
                 store_item_fn visit, void *context, struct err *err);
    /* Values by exact key, or, with `is_pattern`, by pattern in order of key, after `after`
     * (""), at most `limit` (0: all). Expired ones are not there. */
    int (*values)(struct store *store, const char *key, bool is_pattern, const char *after,
                  size_t limit, store_value_fn visit, void *context, struct err *err);
    int (*stats)(struct store *store, struct store_stats *ret_stats, struct err *err);

    /*
     * All or nothing: with joins_journal `journal_db` is the journal's connection in a
     * transaction, which the caller rolls back on -1; else NULL. ERR_INPUT: another turn stands
     * at that seq already (somebody else continued the conversation), or it cannot be stored.
     */
    int (*apply)(struct store *store, struct db *journal_db, struct store_mutation *mutations,
                 size_t count, struct err *err);

    /*
     * Erases what was stored before `before_wall_s` (whole conversations that nobody has used
     * since, and turns, with the summaries that tell them) and what has expired, a bounded
     * piece; 1: there may be more, 0: done. Transactions are its own.
     */
    int (*sweep)(struct store *store, struct db *journal_db, int64_t before_wall_s,
                 struct store_swept *swept, struct err *err);
    /* Gives erased bytes back to the file system and leaves none behind (WAL, free pages). */
    int (*scrub)(struct store *store, struct db *journal_db, struct err *err);
    /* A copy of everything at `path` (a file or a directory of the backend's own form), while
     * others read and write. */
    int (*backup)(struct store *store, const char *path,
                  void (*progress)(void *context, int64_t done, int64_t total), void *context,
                  struct err *err);
    /* Changes when another process has written: what RAM holds must be read again. */
    int64_t (*foreign_version)(struct store *store, struct db *journal_db);
};

struct store {
    const struct store_ops *ops;
};

/* `vault` seals texts at rest; NULL leaves them plain. Borrowed. */
struct store *store_none_new(int64_t max_bytes,
                             struct err *err); /* RAM, gone with the process */
/* From the next write on. Any thread. */
void store_none_set_limit(struct store *store, int64_t max_bytes);
struct store *store_sqlite_new(struct readers *readers, struct vault *vault); /* borrows both */
/* `announces`: this process is a visitor, so its writes change the owner's foreign_version. */
struct store *store_files_new(const char *dir, struct vault *vault, bool announces,
                              struct err *err);

/* True when `key` fits `pattern` (* and ?; "" fits all). */
bool store_pattern_matches(const char *pattern, const char *key);

/*
 * The edit of a field, for backends without lists of their own: `old` is the JSON there is
 * (NULL for none), *ret_new the JSON there shall be (NULL: unchanged; caller frees). Fills
 * mutation->count and ->result.
 */
int store_edit_json(struct store_mutation *mutation, const char *old, char **ret_new,
                    struct err *err);

#endif
