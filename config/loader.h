/*
 * loader.h - fills a struct config from a YAML tree and from the environment, and collects
 * everything that is wrong on the way.
 *
 * Owns:    its record of where each option stands, until loader_deinit().
 * Threads: startup or loop.
 */
#ifndef CONFIG_LOADER_H
#define CONFIG_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/tree.h"

/* What the file says about one option. */
struct loader_seen {
    struct tree_place place; /* line 0: nothing */
    bool is_refused;         /* a problem has been told */
};

struct loader {
    const char *path; /* for messages */
    bool needs_slack;
    struct config *config;
    struct buf *problems;
    size_t problems_count;
    struct loader_seen *seen; /* for each row of option_table */
};

void loader_init(struct loader *loader, const char *path, bool needs_slack,
                 struct config *config, struct buf *problems);
void loader_deinit(struct loader *loader);

/* Gives every option its default. */
void loader_apply_presets(struct loader *loader);
/* Then what the file says, then the variables that override it. */
void loader_apply_tree(struct loader *loader, const struct tree_node *root);
void loader_apply_environment(struct loader *loader);
/* Adds "path:line:column: key: what" to the problems; line 0 leaves the place out. */
void loader_problem(struct loader *loader, struct tree_place place, const char *key,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
