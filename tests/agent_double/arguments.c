#include "tests/agent_double/arguments.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

struct parsing {
    const struct option_row *options;
    const struct option_refusals *refusals;
    struct arguments *arguments;
};

static _Noreturn void refuse(const struct parsing *parsing, const char *format,
                             const char *what)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    dprintf(STDERR_FILENO, format, what);
#pragma GCC diagnostic pop
    dprintf(STDERR_FILENO, "\n");
    _exit(parsing->refusals->status);
}

static const struct option_row *find_option(const struct parsing *parsing, const char *word,
                                            size_t name_len)
{
    for (const struct option_row *row = parsing->options; row->name; row++) {
        if ((strlen(row->name) == name_len && strncmp(row->name, word, name_len) == 0) ||
            (row->short_name && strcmp(row->short_name, word) == 0))
            return row;
    }
    return NULL;
}

static void keep(struct arguments *arguments, const struct option_row *row, const char *value)
{
    char *member = (char *)arguments + row->member;

    if (row->member == OPTION_NOT_KEPT)
        return;
    if (row->value == NO_VALUE)
        *(bool *)(void *)member = true;
    else
        *(const char **)(void *)member = value;
}

/* Reads the option at argv[at]; returns the index of the last word it took. */
static int read_option(const struct parsing *parsing, int argc, char **argv, int at)
{
    const char *word = argv[at];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const struct option_row *row =
        find_option(parsing, word, equals ? (size_t)(equals - word) : strlen(word));
    const char *value = equals ? equals + 1 : NULL;

    if (!row)
        refuse(parsing, parsing->refusals->unknown, word);
    if (equals && row->value == NO_VALUE)
        refuse(parsing, parsing->refusals->unknown, word);
    if (row->value == NEEDS_VALUE && !value) {
        if (at + 1 >= argc)
            refuse(parsing, parsing->refusals->missing, row->name);
        value = argv[++at];
    }
    /* The trap: an optional value swallows the next word. */
    if (row->value == MAY_HAVE_VALUE && !value && at + 1 < argc && argv[at + 1][0] != '-')
        value = argv[++at];
    keep(parsing->arguments, row, value ? value : "");
    return at;
}

static void add_positional(struct arguments *arguments, const char *word)
{
    size_t len = strlen(arguments->prompt);

    if (!arguments->positional)
        arguments->positional = word;
    if (arguments->words_count < ARGUMENTS_WORDS_MAX)
        arguments->words[arguments->words_count++] = word;
    snprintf(arguments->prompt + len, sizeof(arguments->prompt) - len, "%s%s", len ? " " : "",
             word);
}

void arguments_parse(int argc, char **argv, const struct option_row *options,
                     const struct option_refusals *refusals, struct arguments *ret_arguments)
{
    const struct parsing parsing = { options, refusals, ret_arguments };
    static const char scenario[] = "--scenario=";
    bool is_ended = false;
    int at = 1;

    memset(ret_arguments, 0, sizeof(*ret_arguments));
    if (argc > 1 && strncmp(argv[1], scenario, strlen(scenario)) == 0) {
        ret_arguments->scenario = argv[1] + strlen(scenario);
        at = 2;
    }
    for (; at < argc; at++) {
        if (!is_ended && strcmp(argv[at], "--") == 0)
            is_ended = true;
        else if (!is_ended && argv[at][0] == '-' && argv[at][1])
            at = read_option(&parsing, argc, argv, at);
        else
            add_positional(ret_arguments, argv[at]);
    }
}
