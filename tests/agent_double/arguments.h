/*
 * arguments.h - the command line of the double, parsed as strictly as cursor-agent does it.
 *
 * Owns:    nothing: every string is borrowed from argv.
 * Threads: single-threaded program.
 */
#ifndef DOUBLE_ARGUMENTS_H
#define DOUBLE_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_WORDS_MAX 8

struct arguments {
    const char *scenario;                   /* --scenario=NAME as the first argument, or NULL */
    const char *words[ARGUMENTS_WORDS_MAX]; /* what is no option */
    size_t words_count;
    const char *positional; /* the first of them, or NULL */
    char prompt[4096];      /* all of them, joined by spaces */
    const char *format;
    const char *model;
    const char *mode; /* of working, of permission or of approval */
    const char *workspace;
    const char *resume;      /* a chat to go on in */
    const char *new_session; /* the id that a new chat shall have */
    const char *api_key;
    const char *tools;   /* those that are allowed */
    const char *sandbox; /* codex */
    const char *agent;   /* opencode */
    bool is_print, is_partial, is_trusted, is_forced, is_verbose, is_json, wants_version,
        wants_models, wants_help;
};

/* One option of a personality's command line. */
enum option_value { NO_VALUE, NEEDS_VALUE, MAY_HAVE_VALUE };
struct option_row {
    const char *name; /* NULL ends the table */
    const char *short_name;
    enum option_value value;
    size_t member; /* of struct arguments: const char * with a value, bool without */
};
#define OPTION_MEMBER(name) offsetof(struct arguments, name)
#define OPTION_NOT_KEPT     ((size_t)-1)

/* How it refuses: printf formats with one %s, and the exit status. */
struct option_refusals {
    const char *unknown;
    const char *missing;
    int status;
};

/* Prints the refusal and exits at what it does not know. */
void arguments_parse(int argc, char **argv, const struct option_row *options,
                     const struct option_refusals *refusals, struct arguments *ret_arguments);

#endif
