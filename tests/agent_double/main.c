/*
 * A stand-in for coding agents: same command line, same output, no network and no model.
 * README.md lists what it can be told to do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "tests/agent_double/acts.h"
#include "tests/agent_double/arguments.h"
#include "tests/agent_double/chats.h"
#include "tests/agent_double/emit.h"
#include "tests/agent_double/history.h"
#include "tests/agent_double/personality.h"
#include "tests/agent_double/record.h"
#include "tests/agent_double/scenario.h"
#include "tests/agent_double/summary.h"

#define PROMPT_MAX_BYTES ((size_t)16 * 1024 * 1024)

/* True when the end of the input was seen. */
static bool read_input(struct buf *input)
{
    char chunk[65536];
    ssize_t got = 0;

    while ((got = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
        buf_append(input, chunk, (size_t)got);
    return got == 0;
}

static void enter_workspace(const struct arguments *arguments)
{
    if (arguments->workspace && chdir(arguments->workspace) != 0) {
        dprintf(STDERR_FILENO, "Error: workspace not found\n");
        _exit(1);
    }
}

/* What the turn is about, and for a run with a chat its part of that. */
static void open_chat(const char *prompt)
{
    struct history history;

    history_read(prompt, &history);
    chats_open(emit_session_id(), history.question);
    history_deinit(&history);
}

/* Plays the act; the exit status. */
static int run(const struct personality *self, const struct arguments *arguments,
               const struct scenario *scenario, const struct act *act, struct buf *input)
{
    struct stage stage = { .scenario = scenario, .arguments = arguments };
    AUTO_FREE char *both = NULL;
    const char *resume = arguments->resume;
    int status = resume && resume[0] && !chats_has(resume) ? self->refuse_chat(resume) : 0;

    if (status != 0)
        return status;
    stage.prompt = buf_text(input);
    if (arguments->positional && self->reads_stdin_too) {
        both = xasprintf("%s\n%s", arguments->prompt, buf_text(input));
        stage.prompt = both;
    } else if (arguments->positional) {
        stage.prompt = arguments->prompt;
    }
    if (!act->skips_prompt && stage.prompt[strspn(stage.prompt, " \t\r\n")] == '\0') {
        dprintf(STDERR_FILENO, "Error: No prompt provided\n");
        return 1;
    }
    if (summary_is_wanted(stage.prompt))
        act = &act_summary;
    emit_begin(arguments, stage.prompt);
    open_chat(stage.prompt);
    return act->play(&stage);
}

int main(int argc, char **argv)
{
    const struct personality *self = personality_choose(argv[0]);
    struct arguments arguments = { 0 };
    struct scenario scenario;
    const struct act *act = NULL;
    struct buf input;
    bool has_eof = false;
    int status = 0;

    arguments_parse(argc, argv, self->options, self->refusals, &arguments);
    scenario_choose(argv[0], &arguments, &scenario);
    status = self->run_subcommand(&arguments);
    if (status >= 0)
        _exit(status);
    act = act_find(scenario.name);
    if (!act) {
        dprintf(STDERR_FILENO, "agent double: unknown scenario '%s'\n", scenario.name);
        _exit(2);
    }
    buf_init(&input, PROMPT_MAX_BYTES);
    enter_workspace(&arguments);
    if (!act->skips_prompt && (!arguments.positional || self->reads_stdin_too))
        has_eof = read_input(&input);
    record_start(&scenario, argc, argv, buf_text(&input), input.len, has_eof);
    emit_begin(&arguments, "");
    status = self->check(&arguments, argc, argv);
    if (status != 0)
        _exit(status);
    status = run(self, &arguments, &scenario, act, &input);
    /* The trap: words on the command line and an open stdin, and the process never ends. */
    if (arguments.positional && !act->skips_prompt)
        read_input(&input);
    _exit(status);
}
