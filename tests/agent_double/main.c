/*
 * A stand-in for cursor-agent: same command line, same output, no network and no model.
 * README.md lists what it can be told to do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/random.h"
#include "tests/agent_double/acts.h"
#include "tests/agent_double/arguments.h"
#include "tests/agent_double/emit.h"
#include "tests/agent_double/record.h"
#include "tests/agent_double/scenario.h"
#include "tests/agent_double/summary.h"

#define VERSION_TEXT     "2026.10.01-e373342"
#define PROMPT_MAX_BYTES ((size_t)16 * 1024 * 1024)

static const char *const models[] = { "auto",       "composer-1", "gpt-5",
                                      "gpt-5-high", "sonnet-4.5", "sonnet-4.5-thinking",
                                      "opus-4.1" };

static bool is_one_of(const char *value, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], value) == 0)
            return true;
    }
    return false;
}

static const char *key_of(const struct arguments *arguments)
{
    const char *key = arguments->api_key;

    if (!key)
        key = getenv("CURSOR_API_KEY"); /* NOLINT(concurrency-mt-unsafe): one thread */
    if (!key || !key[0])
        key = getenv("CURSOR_AUTH_TOKEN"); /* NOLINT(concurrency-mt-unsafe): one thread */
    return key ? key : "";
}

static int list_models(const struct arguments *arguments)
{
    if (strcmp(key_of(arguments), "bad") == 0)
        return act_refuse_key();
    if (!key_of(arguments)[0]) {
        dprintf(STDERR_FILENO, "Error: Authentication required. Run 'agent login', pass "
                               "--api-key/--auth-token, or set "
                               "CURSOR_API_KEY/CURSOR_AUTH_TOKEN.\n");
        return 1;
    }
    emit_raw_text("Available models\n\n");
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        dprintf(STDOUT_FILENO, "%s - %s%s\n", models[i], models[i], i ? "" : " (default)");
    emit_raw_text("\nTip: use --model <id> to choose one.\n");
    return 0;
}

/* The status of a subcommand, or -1 when the words are a prompt. */
static int run_subcommand(const struct arguments *arguments)
{
    const char *word = arguments->positional ? arguments->positional : "";
    char id[RANDOM_UUID_BYTES];

    if (arguments->wants_version)
        return dprintf(STDOUT_FILENO, VERSION_TEXT "\n") > 0 ? 0 : 1;
    if (arguments->wants_help)
        return dprintf(STDOUT_FILENO, "Usage: agent [options] [command] [prompt...]\n") > 0 ? 0
                                                                                            : 1;
    if (arguments->wants_models || (!arguments->is_print && strcmp(word, "models") == 0))
        return list_models(arguments);
    if (arguments->is_print)
        return -1;
    if (strcmp(word, "status") == 0 || strcmp(word, "whoami") == 0) {
        emit_raw_text("Not logged in\n"); /* also with a key that works */
        return 0;
    }
    if (strcmp(word, "about") == 0)
        return dprintf(STDOUT_FILENO, "CLI Version  " VERSION_TEXT "\n") > 0 ? 0 : 1;
    if (strcmp(word, "create-chat") == 0) {
        random_uuid(id);
        return dprintf(STDOUT_FILENO, "%s\n", id) > 0 ? 0 : 1;
    }
    if (strcmp(word, "mcp") == 0)
        return dprintf(STDOUT_FILENO, "No MCP servers configured\n") > 0 ? 0 : 1;
    if (strcmp(word, "ls") == 0) {
        dprintf(STDERR_FILENO,
                "ERROR Raw mode is not supported on the current process.stdin\n");
        return 1;
    }
    return -1;
}

static bool is_uuid(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    if (strlen(text) != strlen(shape))
        return false;
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
            return false;
    }
    return true;
}

/* In the order of the original: login, trust, format, model. The status, or 0 to go on. */
static int check(const struct arguments *arguments)
{
    static const char *const formats[] = { "text", "json", "stream-json" };
    static const char *const modes[] = { "plan", "ask" };

    if (!key_of(arguments)[0])
        return act_refuse_login();
    if (strcmp(key_of(arguments), "bad") == 0)
        return act_refuse_key();
    if (!arguments->is_trusted && !arguments->is_forced)
        return act_refuse_trust();
    if (arguments->format && !is_one_of(arguments->format, formats, ARRAY_LEN(formats)))
        return dprintf(STDERR_FILENO, "error: invalid output format '%s'\n",
                       arguments->format) > 0;
    if (arguments->mode && !is_one_of(arguments->mode, modes, ARRAY_LEN(modes)))
        return dprintf(STDERR_FILENO, "error: invalid mode '%s'\n", arguments->mode) > 0;
    if (arguments->model && !is_one_of(arguments->model, models, ARRAY_LEN(models)))
        return act_refuse_model(arguments->model);
    if (arguments->resume && arguments->resume[0] && !is_uuid(arguments->resume))
        return dprintf(STDERR_FILENO,
                       "Failed to claim persistent session for chat \"%s\": "
                       "Persistent-session chat ID must be a UUID\n",
                       arguments->resume) > 0;
    return 0;
}

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

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct scenario scenario;
    const struct act *act = NULL;
    struct stage stage;
    struct buf input;
    bool has_eof = false;
    int status = 0;

    arguments_parse(argc, argv, &arguments);
    scenario_choose(argv[0], &arguments, &scenario);
    status = run_subcommand(&arguments);
    if (status >= 0)
        _exit(status);
    act = act_find(scenario.name);
    if (!act) {
        dprintf(STDERR_FILENO, "agent double: unknown scenario '%s'\n", scenario.name);
        _exit(2);
    }
    buf_init(&input, PROMPT_MAX_BYTES);
    enter_workspace(&arguments);
    if (!act->skips_prompt && !arguments.positional)
        has_eof = read_input(&input);
    record_start(&scenario, argc, argv, buf_text(&input), input.len, has_eof);
    status = check(&arguments);
    if (status != 0)
        _exit(status);
    if (!act->skips_prompt && !arguments.positional &&
        strspn(buf_text(&input), " \t\r\n") == input.len) {
        dprintf(STDERR_FILENO, "Error: No prompt provided\n");
        _exit(1);
    }
    stage =
        (struct stage){ .scenario = &scenario,
                        .arguments = &arguments,
                        .prompt = arguments.positional ? arguments.prompt : buf_text(&input) };
    if (summary_is_wanted(stage.prompt))
        act = &act_summary;
    emit_begin(&arguments, stage.prompt);
    status = act->play(&stage);
    /* The trap: words on the command line and an open stdin, and the process never ends. */
    if (arguments.positional && !act->skips_prompt)
        read_input(&input);
    _exit(status);
}
