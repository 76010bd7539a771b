/*
 * `opencode run --format json`: whole parts in steps, no terminal event, exit status 0 behind
 * most errors. It reads stdin to its end whatever stands on the command line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/random.h"
#include "tests/agent_double/personality.h"

static const struct option_row options[] = {
    { "--format", NULL, NEEDS_VALUE, OPTION_MEMBER(format) },
    { "--dir", NULL, NEEDS_VALUE, OPTION_MEMBER(workspace) },
    { "--agent", NULL, NEEDS_VALUE, OPTION_MEMBER(agent) },
    { "--model", "-m", NEEDS_VALUE, OPTION_MEMBER(model) },
    { "--variant", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--session", "-s", NEEDS_VALUE, OPTION_MEMBER(resume) },
    { "--continue", "-c", NO_VALUE, OPTION_NOT_KEPT },
    { "--fork", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--file", "-f", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--title", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--auto", NULL, NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--dangerously-skip-permissions", NULL, NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--print-logs", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--log-level", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--version", "-v", NO_VALUE, OPTION_MEMBER(wants_version) },
    { "--help", "-h", NO_VALUE, OPTION_MEMBER(wants_help) },
    { NULL, NULL, NO_VALUE, 0 },
};

static const struct option_refusals refusals = {
    .unknown = "Unknown argument: %s",
    .missing = "Not enough arguments following: %s",
    .status = 1,
};

static const char *const keys[] = { "OPENCODE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY",
                                    NULL };

/* run [message..] */
static int run_subcommand(struct arguments *arguments)
{
    if (arguments->wants_version)
        return dprintf(STDOUT_FILENO, "1.18.33\n") < 0;
    if (arguments->wants_help || arguments->words_count == 0 ||
        strcmp(arguments->words[0], "run") != 0)
        return dprintf(STDOUT_FILENO, "opencode run [message..]\n") < 0;
    arguments->positional = arguments->words_count > 1 ? arguments->words[1] : NULL;
    snprintf(arguments->prompt, sizeof(arguments->prompt), "%s",
             arguments->positional ? arguments->positional : "");
    return -1;
}

static int complain(const char *text)
{
    dprintf(STDERR_FILENO, "%s\n", text);
    return 1;
}

/* Exit status 0: only the stream tells. */
static int say_error(const char *name, const char *text)
{
    emit_line(json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "type", "error", "sessionID",
                        emit_session_id(), "error", "name", name, "data", "message", text));
    return 0;
}

static int refuse(enum refusal refusal)
{
    switch (refusal) {
    case REFUSAL_LOGIN:
    case REFUSAL_KEY:
        return say_error("ProviderAuthError", "Authentication failed for provider anthropic");
    case REFUSAL_MODEL:
        return say_error("ProviderModelNotFoundError", "Model not found: anthropic/nonsense.");
    case REFUSAL_LIMIT:
        return say_error("APIError",
                         "You exceeded your current quota, please check your plan.");
    case REFUSAL_OVERLOAD:
        return say_error("APIError", "Overloaded");
    }
    return 1;
}

static int check(const struct arguments *arguments, int argc, char **argv)
{
    static const char *const models[] = { "anthropic/claude-sonnet-4-5", "openai/gpt-5", NULL };
    static const char *const agents[] = { "build", "plan", NULL };

    (void)argc;
    (void)argv;
    if (!arguments->format || strcmp(arguments->format, "json") != 0)
        return complain("the double plays --format json only");
    if (arguments->agent && !personality_is_one_of(arguments->agent, agents))
        return complain("agent not found");
    if (!personality_has_key(keys)) {
        refuse(REFUSAL_LOGIN);
        _exit(0);
    }
    if (arguments->model && !personality_is_one_of(arguments->model, models)) {
        refuse(REFUSAL_MODEL);
        _exit(0);
    }
    return 0;
}

static int refuse_chat(const char *id)
{
    (void)id;
    return complain("Error: Session not found");
}

/* --- events ------------------------------------------------------------------------------- */

static bool is_in_step;

static void new_session_id(char *id, size_t size)
{
    char hex[17];

    random_hex(hex, 8);
    snprintf(id, size, "ses_%s", hex);
}

static void print_event(const char *type, json_t *part)
{
    emit_line(json_pack("{s:s, s:I, s:s, s:o}", "type", type, "timestamp",
                        (json_int_t)1790000000000, "sessionID", emit_session_id(), "part",
                        part));
}

static void begin_step(void)
{
    if (!is_in_step)
        print_event("step_start", json_pack("{s:s}", "type", "step-start"));
    is_in_step = true;
}

static void finish_step(const char *reason)
{
    print_event("step_finish", json_pack("{s:s, s:s, s:f, s:{s:i, s:i, s:i, s:{s:i, s:i}}}",
                                         "type", "step-finish", "reason", reason, "cost", 0.01,
                                         "tokens", "input", 1000, "output", 20, "reasoning", 1,
                                         "cache", "read", 9000, "write", 100));
    is_in_step = false;
}

static void say_init(const struct emit_turn *turn)
{
    (void)turn;
    begin_step();
}

static void say_segment(const struct emit_turn *turn, const char *text, bool is_before_tool)
{
    (void)turn;
    (void)is_before_tool;
    begin_step();
    print_event("text", json_pack("{s:s, s:s}", "type", "text", "text", text));
}

static const struct tool_name names[] = {
    { "readToolCall", "read" },
    { "grepToolCall", "grep" },
    { "shellToolCall", "bash" },
    { NULL, NULL },
};

/* It tells of a tool when it has ended. */
static void say_tool(const struct emit_turn *turn, const char *id, const char *kind,
                     json_t *arguments, json_t *result)
{
    json_auto_t *input = json_deep_copy(arguments);
    json_t *state = NULL;

    (void)turn;
    if (!result)
        return;
    begin_step();
    if (strcmp(kind, "readToolCall") == 0)
        json_object_set(input, "filePath", json_object_get(arguments, "path"));
    if (json_object_get(result, "rejected"))
        state = json_pack("{s:s, s:O, s:s}", "status", "error", "input", input, "error",
                          "The user rejected permission to use this specific tool call.");
    else
        state = json_pack("{s:s, s:O, s:s}", "status", "completed", "input", input, "output",
                          "fine");
    print_event("tool_use",
                json_pack("{s:s, s:s, s:s, s:o}", "type", "tool", "tool",
                          personality_name_tool(names, kind), "callID", id, "state", state));
    finish_step("tool-calls");
}

static void say_result(const struct emit_turn *turn, bool is_error, const char *text)
{
    if (turn->segment.len > 0)
        say_segment(turn, buf_text(&turn->segment), false);
    if (is_error) {
        say_error("UnknownError", text);
        return;
    }
    begin_step();
    finish_step("stop");
}

static const struct voice voice = {
    .new_session_id = new_session_id,
    .init = say_init,
    .segment = say_segment,
    .tool = say_tool,
    .result = say_result,
};

const struct personality personality_opencode = {
    .name = "opencode",
    .options = options,
    .refusals = &refusals,
    .store_variable = "XDG_DATA_HOME",
    .reads_stdin_too = true,
    .voice = &voice,
    .run_subcommand = run_subcommand,
    .check = check,
    .refuse = refuse,
    .refuse_chat = refuse_chat,
};
