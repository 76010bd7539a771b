/*
 * environment.h - the environment of an agent: a short list of names, nothing else.
 *
 * Owns:    nothing.
 * Threads: any, as long as nobody changes the process's environment.
 */
#ifndef AGENT_ENVIRONMENT_H
#define AGENT_ENVIRONMENT_H

/*
 * "NAME=value" strings ended by NULL: the fixed names of this module, `names` (ended by NULL)
 * from our own environment, the run's mark, and what its slot (NULL for none) says. SLACK_* is
 * never handed on, whoever asks. Freed by agent_environment_free().
 */
char **agent_environment_build(const char *const *names, const char *run_id,
                               const char *slot_dir);
void agent_environment_free(char **environment);

/* The value of a variable of ours, or NULL. Borrowed. */
const char *agent_environment_get(const char *name);

#endif
