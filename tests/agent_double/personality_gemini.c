/*
 * Gemini CLI without a terminal: messages with `delta`, a result with a status, and exit
 * statuses that mean something.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/agent_double/personality.h"

#define EXIT_LOGIN 41
#define EXIT_INPUT 42

static const struct option_row options[] = {
    { "--output-format", "-o", NEEDS_VALUE, OPTION_MEMBER(format) },
    { "--approval-mode", NULL, NEEDS_VALUE, OPTION_MEMBER(mode) },
    { "--yolo", "-y", NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--model", "-m", NEEDS_VALUE, OPTION_MEMBER(model) },
    { "--resume", "-r", MAY_HAVE_VALUE, OPTION_MEMBER(resume) },
    { "--prompt", "-p", NEEDS_VALUE, OPTION_MEMBER(positional) },
    { "--sandbox", "-s", NO_VALUE, OPTION_NOT_KEPT },
    { "--debug", "-d", NO_VALUE, OPTION_NOT_KEPT },
    { "--include-directories", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--allowed-tools", NULL, NEEDS_VALUE, OPTION_MEMBER(tools) },
    { "--extensions", "-e", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--version", "-v", NO_VALUE, OPTION_MEMBER(wants_version) },
    { "--help", "-h", NO_VALUE, OPTION_MEMBER(wants_help) },
    { NULL, NULL, NO_VALUE, 0 },
};

static const struct option_refusals refusals = {
    .unknown = "Unknown argument: %s",
    .missing = "Not enough arguments following: %s",
    .status = EXIT_INPUT,
};

static const char *const keys[] = { "GEMINI_API_KEY", NULL };

static int run_subcommand(struct arguments *arguments)
{
    if (arguments->wants_version)
        return dprintf(STDOUT_FILENO, "0.61.0\n") < 0;
    if (arguments->wants_help)
        return dprintf(STDOUT_FILENO, "Usage: gemini [options] [command]\n") < 0;
    if (arguments->positional)
        snprintf(arguments->prompt, sizeof(arguments->prompt), "%s", arguments->positional);
    return -1;
}

static int complain(const char *text, int status)
{
    dprintf(STDERR_FILENO, "%s\n", text);
    return status;
}

static int fail_run(const char *type, const char *text)
{
    emit_init();
    emit_line(json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:i}}", "type", "result", "status",
                        "error", "error", "type", type, "message", text, "stats",
                        "total_tokens", 0));
    return 1;
}

static int refuse(enum refusal refusal)
{
    switch (refusal) {
    case REFUSAL_LOGIN:
        return complain("Please set an Auth method in your settings.json or specify one of the "
                        "following environment variables before running: GEMINI_API_KEY",
                        EXIT_LOGIN);
    case REFUSAL_KEY:
        return fail_run("FatalAuthenticationError",
                        "API key not valid. Please pass a valid API key.");
    case REFUSAL_MODEL:
        return fail_run("Error", "models/nonsense is not found for API version v1beta");
    case REFUSAL_LIMIT:
        return fail_run("TerminalQuotaError",
                        "You have exhausted your daily quota on this model.");
    case REFUSAL_OVERLOAD:
        return fail_run("Error", "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}");
    }
    return 1;
}

static int check(const struct arguments *arguments, int argc, char **argv)
{
    static const char *const formats[] = { "text", "json", "stream-json", NULL };
    static const char *const modes[] = { "default", "auto_edit", "yolo", "plan", NULL };
    static const char *const models[] = { "gemini-2.5-pro", "gemini-2.5-flash", NULL };

    (void)argc;
    (void)argv;
    if (arguments->format && !personality_is_one_of(arguments->format, formats))
        return complain("Invalid values:\n  Argument: output-format", EXIT_INPUT);
    if (arguments->mode && !personality_is_one_of(arguments->mode, modes))
        return complain("Invalid values:\n  Argument: approval-mode", EXIT_INPUT);
    if (!arguments->format || strcmp(arguments->format, "stream-json") != 0)
        return complain("the double plays stream-json only", EXIT_INPUT);
    if (!personality_has_key(keys))
        return refuse(REFUSAL_LOGIN);
    if (arguments->model && !personality_is_one_of(arguments->model, models))
        return refuse(REFUSAL_MODEL);
    return 0;
}

static int refuse_chat(const char *id)
{
    dprintf(STDERR_FILENO, "Error resuming session: Invalid session identifier \"%s\".\n", id);
    return EXIT_INPUT;
}

/* --- events ------------------------------------------------------------------------------- */

static void say_init(const struct emit_turn *turn)
{
    emit_line(json_pack("{s:s, s:s, s:s, s:s}", "type", "init", "timestamp",
                        "2026-11-20T10:00:00.000Z", "session_id", turn->session_id, "model",
                        turn->arguments->model ? turn->arguments->model : "gemini-2.5-pro"));
}

static void say_prompt(const struct emit_turn *turn, const char *text)
{
    (void)turn;
    emit_line(json_pack("{s:s, s:s, s:s}", "type", "message", "role", "user", "content", text));
}

static void say_delta(const struct emit_turn *turn, const char *text)
{
    (void)turn;
    emit_line(json_pack("{s:s, s:s, s:s, s:b}", "type", "message", "role", "assistant",
                        "content", text, "delta", 1));
}

/* It was all deltas. */
static void say_segment(const struct emit_turn *turn, const char *text, bool is_before_tool)
{
    (void)turn;
    (void)text;
    (void)is_before_tool;
}

static const struct tool_name names[] = {
    { "readToolCall", "read_file" },
    { "grepToolCall", "grep_search" },
    { "shellToolCall", "run_shell_command" },
    { NULL, NULL },
};

static void say_tool(const struct emit_turn *turn, const char *id, const char *kind,
                     json_t *arguments, json_t *result)
{
    json_auto_t *parameters = json_deep_copy(arguments);

    (void)turn;
    if (strcmp(kind, "readToolCall") == 0)
        json_object_set(parameters, "file_path", json_object_get(arguments, "path"));
    if (!result)
        emit_line(json_pack("{s:s, s:s, s:s, s:O}", "type", "tool_use", "tool_name",
                            personality_name_tool(names, kind), "tool_id", id, "parameters",
                            parameters));
    else if (json_object_get(result, "rejected"))
        emit_line(json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "type", "tool_result", "tool_id",
                            id, "status", "error", "error", "type", "policy_violation",
                            "message", "Tool execution denied by policy."));
    else
        emit_line(json_pack("{s:s, s:s, s:s, s:s}", "type", "tool_result", "tool_id", id,
                            "status", "success", "output", "fine"));
}

static void say_connection(const struct emit_turn *turn, const char *type, const char *subtype,
                           int attempt)
{
    (void)turn;
    (void)type;
    (void)subtype;
    emit_line(json_pack("{s:s, s:s, s:o}", "type", "error", "severity", "warning", "message",
                        json_sprintf("Attempt %d failed, retrying", attempt)));
}

static void say_result(const struct emit_turn *turn, bool is_error, const char *text)
{
    json_t *result =
        json_pack("{s:s, s:s, s:{s:i, s:i, s:i, s:i, s:I, s:i}}", "type", "result", "status",
                  is_error ? "error" : "success", "stats", "total_tokens", 14042,
                  "input_tokens", 14000, "output_tokens", 42, "cached", 9000, "duration_ms",
                  (json_int_t)(clock_now_ms() - turn->started_ms), "tool_calls", 0);

    if (is_error)
        json_object_set_new(result, "error",
                            json_pack("{s:s, s:s}", "type", "Error", "message", text));
    emit_line(result);
}

static const struct voice voice = {
    .init = say_init,
    .prompt = say_prompt,
    .delta = say_delta,
    .segment = say_segment,
    .tool = say_tool,
    .connection = say_connection,
    .result = say_result,
};

const struct personality personality_gemini = {
    .name = "gemini",
    .options = options,
    .refusals = &refusals,
    .store_variable = "GEMINI_CLI_HOME",
    .voice = &voice,
    .run_subcommand = run_subcommand,
    .check = check,
    .refuse = refuse,
    .refuse_chat = refuse_chat,
};
