#include "base/patterns.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Nodes are numbered; 0 is the root, and as a child, a sibling or a fall "none". */
struct node {
    uint32_t child;   /* the first of those that go one byte further */
    uint32_t wide;    /* 1 + the number of its table, where it has many of them; else 0 */
    uint32_t sibling; /* the next child of the same parent */
    uint32_t fall;    /* the longest proper end of this text that is a beginning as well */
    uint32_t match;   /* the longest text that ends here */
    uint32_t open;    /* itself or the first fall from which a longer text goes on */
    uint32_t depth;
    uint32_t shortest; /* of the texts that begin so and are longer */
    unsigned char byte;
    bool is_text;
};

struct patterns {
    struct node *nodes;
    uint32_t count;
    uint32_t capacity;
    uint32_t first[256]; /* the root's children, which every byte asks for */
    uint32_t (*tables)[256];
    uint32_t tables_count;
};

#define WIDE_MIN 12 /* children; fewer are found sooner one after the other */

struct patterns *patterns_new(void)
{
    struct patterns *patterns = xcalloc(1, sizeof(*patterns));

    patterns->capacity = 64;
    patterns->nodes = xcalloc(patterns->capacity, sizeof(*patterns->nodes));
    patterns->count = 1;
    return patterns;
}

void patterns_free(struct patterns *patterns)
{
    if (!patterns)
        return;
    explicit_bzero(patterns->nodes, patterns->count * sizeof(*patterns->nodes));
    free(patterns->nodes);
    free(patterns->tables);
    free(patterns);
}

static uint32_t find_child(const struct patterns *patterns, uint32_t at, unsigned char byte)
{
    uint32_t child;

    if (!at)
        return patterns->first[byte];
    if (patterns->nodes[at].wide)
        return patterns->tables[patterns->nodes[at].wide - 1][byte];
    for (child = patterns->nodes[at].child; child; child = patterns->nodes[child].sibling) {
        if (patterns->nodes[child].byte == byte)
            return child;
    }
    return 0;
}

/* Not realloc(): it would leave the texts lying in memory that is not ours any more. */
static void grow(struct patterns *patterns)
{
    struct node *nodes = xcalloc((size_t)patterns->capacity * 2, sizeof(*nodes));

    memcpy(nodes, patterns->nodes, patterns->count * sizeof(*nodes));
    explicit_bzero(patterns->nodes, patterns->count * sizeof(*nodes));
    free(patterns->nodes);
    patterns->nodes = nodes;
    patterns->capacity *= 2;
}

static uint32_t add_child(struct patterns *patterns, uint32_t at, unsigned char byte)
{
    uint32_t child = patterns->count;

    if (patterns->count == patterns->capacity)
        grow(patterns);
    patterns->count++;
    patterns->nodes[child] =
        (struct node){ .byte = byte, .depth = patterns->nodes[at].depth + 1 };
    if (at) {
        patterns->nodes[child].sibling = patterns->nodes[at].child;
        patterns->nodes[at].child = child;
    } else {
        patterns->first[byte] = child;
    }
    return child;
}

bool patterns_add(struct patterns *patterns, const void *bytes, size_t len)
{
    const unsigned char *text = bytes;
    uint32_t at = 0;

    if (!len || len > PATTERNS_MAX_BYTES - patterns->count)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint32_t child = find_child(patterns, at, text[i]);
        struct node *node;

        at = child ? child : add_child(patterns, at, text[i]);
        node = &patterns->nodes[at];
        if (i + 1 < len && (!node->shortest || len < node->shortest))
            node->shortest = (uint32_t)len;
    }
    patterns->nodes[at].is_text = true;
    return true;
}

/* Where a byte leads that no child takes: to the children of ever shorter ends. */
static uint32_t fall_and_find(const struct patterns *patterns, uint32_t at, unsigned char byte)
{
    for (;;) {
        uint32_t child;

        at = patterns->nodes[at].fall;
        child = find_child(patterns, at, byte);
        if (child || !at)
            return child;
    }
}

static void seal_node(struct patterns *patterns, uint32_t at, uint32_t parent)
{
    struct node *node = &patterns->nodes[at];
    uint32_t fall = parent ? fall_and_find(patterns, parent, node->byte) : 0;

    node->fall = fall;
    node->match = node->is_text ? node->depth : patterns->nodes[fall].match;
    node->open = node->child ? at : patterns->nodes[fall].open;
}

static void widen(struct patterns *patterns, uint32_t at)
{
    struct node *node = &patterns->nodes[at];
    uint32_t(*table)[256];

    patterns->tables = xrealloc(patterns->tables, patterns->tables_count + 1, sizeof(*table));
    table = &patterns->tables[patterns->tables_count++];
    memset(table, 0, sizeof(*table));
    for (uint32_t child = node->child; child; child = patterns->nodes[child].sibling)
        (*table)[patterns->nodes[child].byte] = child;
    node->wide = patterns->tables_count;
}

/* Level by level, because a node's fall is shorter than the node. */
void patterns_seal(struct patterns *patterns)
{
    uint32_t *queue = xcalloc(patterns->count, sizeof(*queue));
    uint32_t tail = 0;

    for (size_t byte = 0; byte < ARRAY_LEN(patterns->first); byte++) {
        if (!patterns->first[byte])
            continue;
        seal_node(patterns, patterns->first[byte], 0);
        queue[tail++] = patterns->first[byte];
    }
    for (uint32_t head = 0; head < tail; head++) {
        uint32_t child = patterns->nodes[queue[head]].child;
        size_t children = 0;

        for (; child; child = patterns->nodes[child].sibling, children++) {
            seal_node(patterns, child, queue[head]);
            queue[tail++] = child;
        }
        if (children >= WIDE_MIN)
            widen(patterns, queue[head]);
    }
    free(queue);
}

uint32_t patterns_step(const struct patterns *patterns, uint32_t at, unsigned char byte)
{
    uint32_t child = find_child(patterns, at, byte);

    return child || !at ? child : fall_and_find(patterns, at, byte);
}

size_t patterns_match(const struct patterns *patterns, uint32_t at)
{
    return patterns->nodes[at].match;
}

size_t patterns_pending(const struct patterns *patterns, uint32_t at, size_t *ret_shortest)
{
    const struct node *node = &patterns->nodes[patterns->nodes[at].open];

    *ret_shortest = node->shortest;
    return node->depth;
}
