#include "tests/agent_double/arguments.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

enum value { NO_VALUE, NEEDS_VALUE, MAY_HAVE_VALUE };

#define TEXT(member) offsetof(struct arguments, member)
#define NOT_KEPT     ((size_t)-1)

static const struct option_row {
    const char *name;
    const char *short_name;
    enum value value;
    size_t member; /* of struct arguments: const char * with a value, bool without */
} options[] = {
    { "--print", "-p", NO_VALUE, TEXT(is_print) },
    { "--output-format", NULL, NEEDS_VALUE, TEXT(format) },
    { "--stream-partial-output", NULL, NO_VALUE, TEXT(is_partial) },
    { "--model", NULL, NEEDS_VALUE, TEXT(model) },
    { "--list-models", NULL, NO_VALUE, TEXT(wants_models) },
    { "--mode", NULL, NEEDS_VALUE, TEXT(mode) },
    { "--plan", NULL, NO_VALUE, NOT_KEPT },
    { "--force", "-f", NO_VALUE, TEXT(is_forced) },
    { "--yolo", NULL, NO_VALUE, TEXT(is_forced) },
    { "--auto-review", NULL, NO_VALUE, NOT_KEPT },
    { "--sandbox", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--approve-mcps", NULL, NO_VALUE, NOT_KEPT },
    { "--trust", NULL, NO_VALUE, TEXT(is_trusted) },
    { "--workspace", NULL, NEEDS_VALUE, TEXT(workspace) },
    { "--add-dir", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--plugin-dir", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--image", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--resume", NULL, MAY_HAVE_VALUE, TEXT(resume) },
    { "--continue", NULL, NO_VALUE, NOT_KEPT },
    { "--worktree", "-w", MAY_HAVE_VALUE, NOT_KEPT },
    { "--worktree-base", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--skip-worktree-setup", NULL, NO_VALUE, NOT_KEPT },
    { "--name", "-n", NEEDS_VALUE, NOT_KEPT },
    { "--header", "-H", NEEDS_VALUE, NOT_KEPT },
    { "--cloud", "-c", NO_VALUE, NOT_KEPT },
    { "--background", "-b", NO_VALUE, NOT_KEPT },
    { "--api-key", NULL, NEEDS_VALUE, TEXT(api_key) },
    { "--auth-token", NULL, NEEDS_VALUE, TEXT(api_key) },
    { "--endpoint", "-e", NEEDS_VALUE, NOT_KEPT },
    { "--insecure", "-k", NO_VALUE, NOT_KEPT },
    { "--version", "-v", NO_VALUE, TEXT(wants_version) },
    { "--help", "-h", NO_VALUE, TEXT(wants_help) },
    { "--new-session-id", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--allowed-tools", NULL, NEEDS_VALUE, NOT_KEPT },
    { "--single-turn", NULL, NO_VALUE, NOT_KEPT },
    { "--background-shell-timeout", NULL, NEEDS_VALUE, NOT_KEPT },
};

static _Noreturn void refuse(const char *format, const char *what)
{
    dprintf(STDERR_FILENO, "error: ");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    dprintf(STDERR_FILENO, format, what);
#pragma GCC diagnostic pop
    dprintf(STDERR_FILENO, "\n");
    _exit(1);
}

static const struct option_row *find_option(const char *word, size_t name_len)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if ((strlen(options[i].name) == name_len &&
             strncmp(options[i].name, word, name_len) == 0) ||
            (options[i].short_name && strcmp(options[i].short_name, word) == 0))
            return &options[i];
    }
    return NULL;
}

static void keep(struct arguments *arguments, const struct option_row *row, const char *value)
{
    char *member = (char *)arguments + row->member;

    if (row->member == NOT_KEPT)
        return;
    if (row->value == NO_VALUE)
        *(bool *)(void *)member = true;
    else
        *(const char **)(void *)member = value;
}

/* Reads the option at argv[at]; returns the index of the last word it took. */
static int read_option(int argc, char **argv, int at, struct arguments *arguments)
{
    const char *word = argv[at];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const struct option_row *row =
        find_option(word, equals ? (size_t)(equals - word) : strlen(word));
    const char *value = equals ? equals + 1 : NULL;

    if (!row)
        refuse("unknown option '%s'", word);
    if (equals && row->value == NO_VALUE)
        refuse("unknown option '%s'", word);
    if (row->value == NEEDS_VALUE && !value) {
        if (at + 1 >= argc)
            refuse("option '%s <value>' argument missing", row->name);
        value = argv[++at];
    }
    /* The trap: an optional value swallows the next word. */
    if (row->value == MAY_HAVE_VALUE && !value && at + 1 < argc && argv[at + 1][0] != '-')
        value = argv[++at];
    keep(arguments, row, value ? value : "");
    return at;
}

static void add_positional(struct arguments *arguments, const char *word)
{
    size_t len = strlen(arguments->prompt);

    if (!arguments->positional)
        arguments->positional = word;
    snprintf(arguments->prompt + len, sizeof(arguments->prompt) - len, "%s%s", len ? " " : "",
             word);
}

void arguments_parse(int argc, char **argv, struct arguments *ret_arguments)
{
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
            at = read_option(argc, argv, at, ret_arguments);
        else
            add_positional(ret_arguments, argv[at]);
    }
}
