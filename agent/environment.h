/*
 * environment.h - the environment of an agent: a short list of names, nothing else.
 *
 * Owns:    nothing.
 * Threads: any, as long as nobody changes the process's environment.
 */
#ifndef AGENT_ENVIRONMENT_H
#define AGENT_ENVIRONMENT_H

struct agent_environment {
    const char *const *names; /* agent.env, ended by NULL; NULL for none */
    const char *run_id;       /* the mark */
    const char *run_dir;      /* for TMPDIR and THREADKEEPER_OUTBOX; NULL: neither */
    const char *slot_dir;     /* see slot.h; NULL for none */
    const char *program; /* the agent's own: its directory goes before PATH; NULL for none */
};

/*
 * "NAME=value" strings ended by NULL: the run's mark; a fixed PATH; C.UTF-8, a dumb terminal;
 * the directories of run and slot; HOME, TZ, proxies and certificates from our own environment,
 * and so what agent.env names. SLACK_* is never handed on, whoever asks, nor is a value that
 * holds a token of Slack's by its looks, whatever its name. Freed by agent_environment_free().
 */
char **agent_environment_build(const struct agent_environment *wanted);
void agent_environment_free(char **environment);

/* The value of a variable of ours, or NULL. Borrowed. */
const char *agent_environment_get(const char *name);

/* The path that our PATH gives for a program, to be freed; NULL when it is not there. A name
 * with a slash in it is a path already. */
char *agent_environment_find(const char *name);

#endif
