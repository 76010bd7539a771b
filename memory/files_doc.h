/*
 * files_doc.h - what stands in one file of the files store, as JSON that a person can read and
 * that one line of grep finds its way in:
 *
 *   conversation  key last_seq window_seq used touched people[] turns[] summaries[] fields[]
 *     turn        seq role author text slack_ts at stored tokens metadata
 *     summary     version first_seq last_seq made tokens source text pinned
 *     field       name value expires_ms
 *   person        key items[]: kind name value conversation seq created updated
 *   value         key value expires_ms
 *
 * Times are seconds since 1970, expires_ms milliseconds. "at" and "used" are when something was
 * said, "stored" and "touched" when it was written here, which is what retention counts from.
 * Where a member is JSON (a field's value) it stands as it is, or as text in NAME_text when it
 * would not come back letter for letter. With a vault texts and values are sealed, each by
 * itself; names, ids and times stay readable.
 *
 * Owns:    nothing.
 * Threads: any; a document belongs to one.
 * Errors:  ERR_INPUT for what cannot be stored (no UTF-8) or opened (sealed by another key).
 */
#ifndef MEMORY_FILES_DOC_H
#define MEMORY_FILES_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "memory/files_dir.h"
#include "memory/store.h"
#include "memory/vault.h"

/* A document that holds nothing yet. ERR_INPUT when the key is no UTF-8. */
int files_doc_new(enum files_folder folder, const char *key, json_t **ret_root,
                  struct err *err);

/* 0, or -1 with the reason when it is not of the form above or not the file of its key. */
int files_doc_check(enum files_folder folder, const char *name, const json_t *root,
                    struct err *why);

/* Each element of a list on a line of its own. */
void files_doc_print(const json_t *root, struct buf *out);

/* ---- members ----------------------------------------------------------------------------- */

/* "" and 0 when there is none. */
const char *files_text(const json_t *object, const char *name);
int64_t files_number(const json_t *object, const char *name);
void files_set_number(json_t *object, const char *name, int64_t number);

/* A member that is sealed where there is a vault. */
void files_seal_text(json_t *object, const char *name, const struct vault *vault,
                     const char *text);
int files_open_text(const json_t *object, const char *name, const struct vault *vault,
                    char **ret_text, struct err *err);

/* A member that is JSON; *ret_json is NULL when there is none. */
void files_seal_json(json_t *object, const char *name, const struct vault *vault,
                     const char *json_text);
int files_open_json(const json_t *object, const char *name, const struct vault *vault,
                    char **ret_json, struct err *err);

bool files_has_expired(const json_t *object, int64_t now_ms);

/* ---- turns, summaries, items ------------------------------------------------------------- */

json_t *files_turn_new(const struct memory_turn *turn, const struct vault *vault,
                       int64_t stored_wall_s);
json_t *files_summary_new(const struct store_summary *summary, const struct vault *vault);

/* What was opened, with the texts that it borrows; deinit frees those. */
struct files_turn {
    struct memory_turn turn;
    char *text;
    char *metadata;
};
int files_turn_open(const json_t *object, const struct vault *vault, struct files_turn *ret,
                    struct err *err);
void files_turn_deinit(struct files_turn *turn); /* safe on a zeroed struct, and twice */

const char *files_item_kind_name(enum store_item_kind kind);

#endif
