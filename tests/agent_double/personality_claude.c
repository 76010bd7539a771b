/*
 * Claude Code: with partial messages each text as content_block_delta events, then the whole
 * message; a subagent's words between them, which are nobody's answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/agent_double/chats.h"
#include "tests/agent_double/personality.h"

static const struct option_row options[] = {
    { "--print", "-p", NO_VALUE, OPTION_MEMBER(is_print) },
    { "--output-format", NULL, NEEDS_VALUE, OPTION_MEMBER(format) },
    { "--input-format", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--verbose", NULL, NO_VALUE, OPTION_MEMBER(is_verbose) },
    { "--include-partial-messages", NULL, NO_VALUE, OPTION_MEMBER(is_partial) },
    { "--permission-mode", NULL, NEEDS_VALUE, OPTION_MEMBER(mode) },
    { "--allowedTools", NULL, NEEDS_VALUE, OPTION_MEMBER(tools) },
    { "--disallowedTools", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--strict-mcp-config", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--mcp-config", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--dangerously-skip-permissions", NULL, NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--append-system-prompt", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--add-dir", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--model", NULL, NEEDS_VALUE, OPTION_MEMBER(model) },
    { "--fallback-model", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--resume", "-r", MAY_HAVE_VALUE, OPTION_MEMBER(resume) },
    { "--session-id", NULL, NEEDS_VALUE, OPTION_MEMBER(new_session) },
    { "--continue", "-c", NO_VALUE, OPTION_NOT_KEPT },
    { "--fork-session", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--settings", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--max-turns", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--version", "-v", NO_VALUE, OPTION_MEMBER(wants_version) },
    { "--help", "-h", NO_VALUE, OPTION_MEMBER(wants_help) },
    { NULL, NULL, NO_VALUE, 0 },
};

static const struct option_refusals refusals = {
    .unknown = "error: unknown option '%s'",
    .missing = "error: option '%s <value>' argument missing",
    .status = 1,
};

static const char *const keys[] = { "ANTHROPIC_API_KEY", NULL };

static int run_subcommand(struct arguments *arguments)
{
    if (arguments->wants_version)
        return dprintf(STDOUT_FILENO, "2.1.329 (Claude Code)\n") < 0;
    if (arguments->wants_help)
        return dprintf(STDOUT_FILENO, "Usage: claude [options] [command] [prompt]\n") < 0;
    if (!arguments->is_print && arguments->words_count == 2 &&
        strcmp(arguments->words[0], "auth") == 0 &&
        strcmp(arguments->words[1], "status") == 0) {
        bool has_key = personality_has_key(keys);

        emit_raw_text(has_key ? "{\"loggedIn\":true,\"authMethod\":\"api_key\"}\n"
                              : "{\"loggedIn\":false,\"authMethod\":\"none\"}\n");
        return !has_key;
    }
    return -1;
}

/* The program's own words in place of an answer. */
static int say_failure(const char *error, const char *text)
{
    emit_init();
    emit_line(json_pack("{s:s, s:{s:s, s:s, s:[{s:s, s:s}]}, s:n, s:s, s:s}", "type",
                        "assistant", "message", "id", "msg_error", "role", "assistant",
                        "content", "type", "text", "text", text, "parent_tool_use_id",
                        "session_id", emit_session_id(), "error", error));
    emit_line(json_pack("{s:s, s:s, s:b, s:s, s:s}", "type", "result", "subtype", "success",
                        "is_error", 1, "result", text, "session_id", emit_session_id()));
    return 1;
}

static int refuse(enum refusal refusal)
{
    switch (refusal) {
    case REFUSAL_LOGIN:
    case REFUSAL_KEY:
        return say_failure("authentication_failed",
                           "Invalid API key \xc2\xb7 Please run /login");
    case REFUSAL_MODEL:
        return say_failure("invalid_request",
                           "There's an issue with the selected model (nonsense). It may not "
                           "exist or you may not have access to it.");
    case REFUSAL_LIMIT:
        return say_failure("billing_error", "Claude AI usage limit reached|1790000000");
    case REFUSAL_OVERLOAD:
        return say_failure("server_error", "API Error: 529 {\"type\":\"error\",\"error\":{"
                                           "\"type\":\"overloaded_error\"}}");
    }
    return 1;
}

static int complain(const char *format, const char *what)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    dprintf(STDERR_FILENO, format, what);
#pragma GCC diagnostic pop
    return 1;
}

static int check(const struct arguments *arguments, int argc, char **argv)
{
    static const char *const formats[] = { "text", "json", "stream-json", NULL };
    static const char *const modes[] = { "default", "acceptEdits",       "plan",
                                         "dontAsk", "bypassPermissions", NULL };
    static const char *const models[] = { "sonnet", "opus", "haiku", "claude-sonnet-4-5",
                                          NULL };
    const char *id = arguments->new_session;

    (void)argc;
    (void)argv;
    if (arguments->format && !personality_is_one_of(arguments->format, formats))
        return complain("error: option '--output-format' argument '%s' is invalid\n",
                        arguments->format);
    if (arguments->mode && !personality_is_one_of(arguments->mode, modes))
        return complain("error: option '--permission-mode' argument '%s' is invalid\n",
                        arguments->mode);
    if (!arguments->is_print || !arguments->format ||
        strcmp(arguments->format, "stream-json") != 0)
        return complain("the double plays %s only\n", "--print --output-format stream-json");
    if (!arguments->is_verbose)
        return complain("Error: When using --print, %s requires --verbose\n",
                        "--output-format=stream-json");
    if (id && !personality_is_uuid(id))
        return complain("Error: Invalid session ID \"%s\". Must be a valid UUID.\n", id);
    if (id && chats_has(id))
        return complain("Error: Session ID %s is already in use.\n", id);
    if (!personality_has_key(keys))
        return refuse(REFUSAL_LOGIN);
    if (arguments->model && !personality_is_one_of(arguments->model, models))
        return refuse(REFUSAL_MODEL);
    return 0;
}

static int refuse_chat(const char *id)
{
    return complain("No conversation found with session ID: %s\n", id);
}

/* --- events ------------------------------------------------------------------------------- */

/* Adds the fields that every event has. */
static void print_event(const struct emit_turn *turn, json_t *event)
{
    json_object_set_new(event, "parent_tool_use_id", json_null());
    json_object_set_new(event, "session_id", json_string(turn->session_id));
    json_object_set_new(event, "uuid", json_string(turn->request_id));
    emit_line(event);
}

static void say_init(const struct emit_turn *turn)
{
    const char *model = turn->arguments->model ? turn->arguments->model : "claude-sonnet-4-5";

    print_event(turn, json_pack("{s:s, s:s, s:s, s:[s, s, s], s:[], s:s, s:s}", "type",
                                "system", "subtype", "init", "model", model, "tools", "Read",
                                "Grep", "Glob", "mcp_servers", "permissionMode",
                                turn->arguments->mode ? turn->arguments->mode : "default",
                                "apiKeySource", "ANTHROPIC_API_KEY"));
}

static void print_partial(const struct emit_turn *turn, json_t *event)
{
    if (turn->arguments->is_partial)
        print_event(turn, json_pack("{s:s, s:o}", "type", "stream_event", "event", event));
    else
        json_decref(event);
}

static void say_thinking(const struct emit_turn *turn, const char *text)
{
    print_partial(turn,
                  json_pack("{s:s, s:i, s:{s:s, s:s}}", "type", "content_block_delta", "index",
                            0, "delta", "type", "thinking_delta", "thinking", text));
    print_event(turn, json_pack("{s:s, s:s, s:i}", "type", "system", "subtype",
                                "rate_limit_event", "utilization", 12));
}

static void say_delta(const struct emit_turn *turn, const char *text)
{
    if (turn->segment.len == strlen(text)) /* the first of its message */
        print_partial(turn, json_pack("{s:s, s:{s:o, s:s}}", "type", "message_start", "message",
                                      "id", json_sprintf("msg_%d", turn->model_calls), "role",
                                      "assistant"));
    print_partial(turn, json_pack("{s:s, s:i, s:{s:s, s:s}}", "type", "content_block_delta",
                                  "index", 1, "delta", "type", "text_delta", "text", text));
}

static void print_message(const struct emit_turn *turn, json_t *part, bool is_before_tool)
{
    int number = turn->model_calls - is_before_tool;

    print_event(turn, json_pack("{s:s, s:{s:o, s:s, s:[o]}}", "type", "assistant", "message",
                                "id", json_sprintf("msg_%d", number), "role", "assistant",
                                "content", part));
}

static void say_segment(const struct emit_turn *turn, const char *text, bool is_before_tool)
{
    print_message(turn, json_pack("{s:s, s:s}", "type", "text", "text", text), is_before_tool);
}

/* What a subagent says while it works. */
static void say_aside(const char *tool_id)
{
    emit_line(json_pack("{s:s, s:{s:s, s:s, s:[{s:s, s:s}]}, s:s, s:s}", "type", "assistant",
                        "message", "id", "msg_sub", "role", "assistant", "content", "type",
                        "text", "text", "WORDS OF A SUBAGENT", "parent_tool_use_id", tool_id,
                        "session_id", emit_session_id()));
}

static const struct tool_name names[] = {
    { "readToolCall", "Read" },
    { "grepToolCall", "Grep" },
    { "shellToolCall", "Bash" },
    { NULL, NULL },
};

static json_t *denials; /* for the result */

static void say_tool(const struct emit_turn *turn, const char *id, const char *kind,
                     json_t *arguments, json_t *result)
{
    const char *name = personality_name_tool(names, kind);
    bool is_rejected = json_object_get(result, "rejected");
    json_auto_t *input = json_deep_copy(arguments);

    if (strcmp(name, "Read") == 0)
        json_object_set(input, "file_path", json_object_get(arguments, "path"));
    if (!result) {
        print_message(turn,
                      json_pack("{s:s, s:s, s:s, s:O}", "type", "tool_use", "id", id, "name",
                                name, "input", input),
                      true);
        say_aside(id);
        return;
    }
    print_event(turn,
                json_pack("{s:s, s:{s:s, s:[{s:s, s:s, s:s, s:b}]}}", "type", "user", "message",
                          "role", "user", "content", "type", "tool_result", "tool_use_id", id,
                          "content", is_rejected ? "not allowed" : "fine", "is_error",
                          (int)is_rejected));
    if (is_rejected) {
        denials = denials ? denials : json_array();
        json_array_append_new(denials, json_pack("{s:s, s:s, s:O}", "tool_name", name,
                                                 "tool_use_id", id, "tool_input", input));
    }
}

static void say_connection(const struct emit_turn *turn, const char *type, const char *subtype,
                           int attempt)
{
    (void)type;
    (void)subtype;
    print_event(turn, json_pack("{s:s, s:s, s:i}", "type", "system", "subtype", "api_retry",
                                "attempt", attempt));
}

static void say_result(const struct emit_turn *turn, bool is_error, const char *text)
{
    json_t *result = json_pack(
        "{s:s, s:s, s:b, s:I, s:i, s:f, s:{s:i, s:i, s:i, s:i}}", "type", "result", "subtype",
        is_error ? "error_during_execution" : "success", "is_error", (int)is_error,
        "duration_ms", (json_int_t)(clock_now_ms() - turn->started_ms), "num_turns", 1,
        "total_cost_usd", 0.01, "usage", "input_tokens", 1000, "cache_read_input_tokens", 9000,
        "cache_creation_input_tokens", 200, "output_tokens", 42);

    if (turn->segment.len > 0)
        say_segment(turn, buf_text(&turn->segment), false);
    if (is_error)
        json_object_set_new(result, "errors", json_pack("[s]", text));
    else
        json_object_set_new(result, "result", json_string(text));
    json_object_set_new(result, "permission_denials", denials ? denials : json_array());
    print_event(turn, result);
}

static const struct voice voice = {
    .init = say_init,
    .thinking = say_thinking,
    .delta = say_delta,
    .segment = say_segment,
    .tool = say_tool,
    .connection = say_connection,
    .result = say_result,
};

const struct personality personality_claude = {
    .name = "claude",
    .options = options,
    .refusals = &refusals,
    .store_variable = "CLAUDE_CONFIG_DIR",
    .voice = &voice,
    .run_subcommand = run_subcommand,
    .check = check,
    .refuse = refuse,
    .refuse_chat = refuse_chat,
};
