/*
 * fence_rules.h - which paths an agent may read, run and change.
 *
 *   read    the system's programs and a list of names in /etc; the installation of the agent's
 *           own command; the workspace, with the repository when it is a git worktree; the
 *           prompt and inbox/ of its run; git's settings; agent.fence_read
 *   change  outbox/ and tmp/ of its run, its slot and its conversation's chats; the workspace
 * in mode write; agent.fence_write; without a slot, where it keeps login and settings, which is
 * made when it is missing; with one, of that only the file of the login
 *
 * What is hidden - configuration, token files, the state directory - is never among them: where
 * an allowed directory holds a hidden path, its other entries are allowed one by one. A path
 * that is named itself and lies below a hidden directory is allowed (the home of the daemon's
 * user, with the agent in it, is the state directory), but not one that a link leads to; only
 * the agent's command and the workspace may be reached by links.
 *
 * The workspace may have been written by an earlier run, so nothing in it is believed: links
 * are not followed, and a `.git` file counts only when the repository points back.
 *
 * Owns:    its strings.
 * Threads: any.
 */
#ifndef AGENT_FENCE_RULES_H
#define AGENT_FENCE_RULES_H

#include <stddef.h>

struct agent_meta;

enum {
    FENCE_LIST = 1, /* the names in directories */
    FENCE_READ = 2,
    FENCE_EXECUTE = 4,
    FENCE_CHANGE = 8,   /* write, make, rename and remove, too */
    FENCE_APPEND = 16,  /* write to a file that is there */
    FENCE_DEVICE = 32,  /* read and write a device */
    FENCE_CONNECT = 64, /* to unix sockets below; where FENCE_CHANGE is, too */
    FENCE_ALL = FENCE_READ | FENCE_EXECUTE | FENCE_CHANGE,
};

struct fence_rule {
    char *path; /* without links in it: where one appears meanwhile, it counts for nothing */
    unsigned access;
};

struct fence_rules {
    struct fence_rule *items;
    size_t count;
};

/* Needs the agent's environment to be ours: HOME, PATH and the agent's own directories. */
void fence_rules_init(struct fence_rules *rules, const struct agent_meta *meta,
                      const char *run_dir);
void fence_rules_add(struct fence_rules *rules, const char *path, unsigned access);
void fence_rules_deinit(struct fence_rules *rules); /* safe on a zeroed struct, and twice */

#endif
