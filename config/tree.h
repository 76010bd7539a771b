/*
 * tree.h - a YAML document as a small tree that knows where each value stands.
 *
 * Only what a configuration needs: maps, lists, scalars. Anchors, aliases, tags and further
 * documents are refused, depth and number of nodes are bounded, so no file can make the tree
 * much larger than itself.
 *
 * Owns:    its nodes and their text, all freed with the root.
 * Threads: any.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define TREE_DEPTH_MAX 8
#define TREE_NODES_MAX 20000

enum tree_kind {
    TREE_NONE, /* nothing written: `key:`, `~`, `null` */
    TREE_TEXT,
    TREE_LIST,
    TREE_MAP,
};

struct tree_node {
    enum tree_kind kind;
    size_t line; /* both count from 1 */
    size_t column;
    char *text;                /* TREE_TEXT */
    struct tree_node **keys;   /* TREE_MAP: `count` texts */
    struct tree_node **values; /* TREE_MAP and TREE_LIST: `count` nodes */
    size_t count;
};

struct tree_place {
    size_t line;
    size_t column;
};

/*
 * Parses `len` bytes. An empty document is a TREE_NONE root. On malformed text -1, ERR_INPUT,
 * and *ret_place says where.
 */
int tree_parse(const char *bytes, size_t len, struct tree_node **ret_root,
               struct tree_place *ret_place, struct err *err);
void tree_free(struct tree_node *node); /* NULL is fine */

/* Appends `text` as a YAML scalar that reads back as exactly that text. */
void tree_print_text(struct buf *out, const char *text);

#endif
