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

struct arguments {
    const char *scenario;   /* --scenario=NAME as the first argument, or NULL */
    const char *positional; /* the first positional word, or NULL */
    char prompt[4096];      /* positionals joined by spaces */
    const char *format;
    const char *model;
    const char *mode;
    const char *workspace;
    const char *resume;
    const char *api_key;
    bool is_print, is_partial, is_trusted, is_forced, wants_version, wants_models, wants_help;
};

/* Prints the refusal and exits 1 at what it does not know. */
void arguments_parse(int argc, char **argv, struct arguments *ret_arguments);

#endif
