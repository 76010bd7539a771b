/*
 * environment.h - the environment of an agent: a short list of names, nothing else.
 *
 * Owns:    nothing.
 * Threads: any, as long as nobody changes the process's environment.
 */
#ifndef AGENT_ENVIRONMENT_H
#define AGENT_ENVIRONMENT_H

/*
 * "NAME=value" strings ended by NULL: the run's mark; a fixed PATH with the directory of
 * `program` (a path; NULL for none) before it; C.UTF-8, a dumb terminal; TMPDIR and
 * THREADKEEPER_OUTBOX in `run_dir` (NULL: neither); HOME, TZ, proxies and certificates from our
 * own environment; and so `names` (ended by NULL). SLACK_* is never handed on, whoever asks,
 * nor is a value that looks like a token of Slack's, whatever its name. Freed by
 * agent_environment_free().
 */
char **agent_environment_build(const char *const *names, const char *run_id,
                               const char *run_dir, const char *program);
void agent_environment_free(char **environment);

/* The value of a variable of ours, or NULL. Borrowed. */
const char *agent_environment_get(const char *name);

/* The path that our PATH gives for a program, to be freed; NULL when it is not there. A name
 * with a slash in it is a path already. */
char *agent_environment_find(const char *name);

#endif
