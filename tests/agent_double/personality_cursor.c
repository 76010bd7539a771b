/*
 * cursor-agent: with partial output every segment as deltas and once more whole, without it
 * whole only; `text` and `json` say less.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/agent_double/acts.h"
#include "tests/agent_double/personality.h"

#define VERSION_TEXT "2026.10.01-e373342"

static const struct option_row options[] = {
    { "--print", "-p", NO_VALUE, OPTION_MEMBER(is_print) },
    { "--output-format", NULL, NEEDS_VALUE, OPTION_MEMBER(format) },
    { "--stream-partial-output", NULL, NO_VALUE, OPTION_MEMBER(is_partial) },
    { "--model", NULL, NEEDS_VALUE, OPTION_MEMBER(model) },
    { "--list-models", NULL, NO_VALUE, OPTION_MEMBER(wants_models) },
    { "--mode", NULL, NEEDS_VALUE, OPTION_MEMBER(mode) },
    { "--plan", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--force", "-f", NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--yolo", NULL, NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--auto-review", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--sandbox", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--approve-mcps", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--trust", NULL, NO_VALUE, OPTION_MEMBER(is_trusted) },
    { "--workspace", NULL, NEEDS_VALUE, OPTION_MEMBER(workspace) },
    { "--add-dir", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--plugin-dir", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--image", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--resume", NULL, MAY_HAVE_VALUE, OPTION_MEMBER(resume) },
    { "--continue", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--worktree", "-w", MAY_HAVE_VALUE, OPTION_NOT_KEPT },
    { "--worktree-base", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--skip-worktree-setup", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--name", "-n", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--header", "-H", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--cloud", "-c", NO_VALUE, OPTION_NOT_KEPT },
    { "--background", "-b", NO_VALUE, OPTION_NOT_KEPT },
    { "--api-key", NULL, NEEDS_VALUE, OPTION_MEMBER(api_key) },
    { "--auth-token", NULL, NEEDS_VALUE, OPTION_MEMBER(api_key) },
    { "--endpoint", "-e", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--insecure", "-k", NO_VALUE, OPTION_NOT_KEPT },
    { "--version", "-v", NO_VALUE, OPTION_MEMBER(wants_version) },
    { "--help", "-h", NO_VALUE, OPTION_MEMBER(wants_help) },
    { "--new-session-id", NULL, NEEDS_VALUE, OPTION_MEMBER(new_session) },
    { "--allowed-tools", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--single-turn", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--background-shell-timeout", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { NULL, NULL, NO_VALUE, 0 },
};

static const struct option_refusals refusals = {
    .unknown = "error: unknown option '%s'",
    .missing = "error: option '%s <value>' argument missing",
    .status = 1,
};

static const char *const models[] = { "auto",       "composer-1", "gpt-5",
                                      "gpt-5-high", "sonnet-4.5", "sonnet-4.5-thinking",
                                      "opus-4.1",   NULL };

static void complain(const char *text)
{
    dprintf(STDERR_FILENO, "%s", text);
}

static int refuse_login(void)
{
    complain("Error: Authentication required. Please run 'agent login' first, or set "
             "CURSOR_API_KEY environment variable.\n");
    return 1;
}

static int refuse_key(void)
{
    complain("\033[33m\xe2\x9a\xa0 Warning: The provided API key is invalid.\033[39m\n");
    return 1;
}

static int refuse_model(const char *model)
{
    dprintf(STDERR_FILENO, "Cannot use this model: %s. Available models: auto", model);
    for (int i = 0; i < 240; i++)
        dprintf(STDERR_FILENO, ", invented-model-%03d-high", i);
    complain("\n");
    return 1;
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
        return refuse_key();
    if (!key_of(arguments)[0]) {
        dprintf(STDERR_FILENO, "Error: Authentication required. Run 'agent login', pass "
                               "--api-key/--auth-token, or set "
                               "CURSOR_API_KEY/CURSOR_AUTH_TOKEN.\n");
        return 1;
    }
    emit_raw_text("Available models\n\n");
    for (size_t i = 0; i < ARRAY_LEN(models) - 1; i++)
        dprintf(STDOUT_FILENO, "%s - %s%s\n", models[i], models[i], i ? "" : " (default)");
    emit_raw_text("\nTip: use --model <id> to choose one.\n");
    return 0;
}

/* The status of a subcommand, or -1 when the words are a prompt. */
static int run_subcommand(struct arguments *arguments)
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

/* In the order of the original: login, trust, format, model. The status, or 0 to go on. */
static int check(const struct arguments *arguments, int argc, char **argv)
{
    static const char *const formats[] = { "text", "json", "stream-json", NULL };
    static const char *const modes[] = { "plan", "ask", NULL };

    (void)argc;
    (void)argv;
    if (!key_of(arguments)[0])
        return refuse_login();
    if (strcmp(key_of(arguments), "bad") == 0)
        return refuse_key();
    if (!arguments->is_trusted && !arguments->is_forced)
        return act_refuse_trust();
    if (arguments->format && !personality_is_one_of(arguments->format, formats))
        return dprintf(STDERR_FILENO, "error: invalid output format '%s'\n",
                       arguments->format) > 0;
    if (arguments->mode && !personality_is_one_of(arguments->mode, modes))
        return dprintf(STDERR_FILENO, "error: invalid mode '%s'\n", arguments->mode) > 0;
    if (arguments->model && !personality_is_one_of(arguments->model, models))
        return refuse_model(arguments->model);
    if (arguments->resume && arguments->resume[0] && !personality_is_uuid(arguments->resume))
        return dprintf(STDERR_FILENO,
                       "Failed to claim persistent session for chat \"%s\": "
                       "Persistent-session chat ID must be a UUID\n",
                       arguments->resume) > 0;
    return 0;
}

static int refuse(enum refusal refusal)
{
    switch (refusal) {
    case REFUSAL_LOGIN:
        return refuse_login();
    case REFUSAL_KEY:
        return refuse_key();
    case REFUSAL_MODEL:
        return refuse_model("nonsense");
    case REFUSAL_LIMIT:
        complain("Error: You've hit your usage limit {\"fallbackModel\":\"auto\","
                 "\"spendLimitHit\":true,\"chatMessage\":\"Upgrade\",\"spendLimits\":[]}\n");
        break;
    case REFUSAL_OVERLOAD:
        complain("RetriableError: [resource_exhausted] Error\n");
        break;
    }
    return 1;
}

/* The trap: it begins an empty chat under the id, without a word. */
static int refuse_chat(const char *id)
{
    (void)id;
    return 0;
}

/* --- events ------------------------------------------------------------------------------- */

static bool is_stream(const struct emit_turn *turn)
{
    return turn->arguments->format && strcmp(turn->arguments->format, "stream-json") == 0;
}

/* Adds the fields that every event has. */
static void print_event(const struct emit_turn *turn, json_t *event, bool has_timestamp)
{
    json_object_set_new(event, "session_id", json_string(turn->session_id));
    if (has_timestamp)
        json_object_set_new(event, "timestamp_ms", json_integer(clock_wall_us() / 1000));
    if (is_stream(turn))
        emit_line(event);
    else
        json_decref(event);
}

/* The model is shown by its display name. */
static void say_init(const struct emit_turn *turn)
{
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    const char *model =
        turn->arguments->model && turn->arguments->model[0] ? turn->arguments->model : "Auto";

    print_event(turn,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", "system", "subtype", "init",
                          "apiKeySource", "env", "cwd", cwd ? cwd : "/", "model", model,
                          "permissionMode", "default"),
                false);
}

static json_t *message(const char *role, const char *text)
{
    return json_pack("{s:s, s:[{s:s, s:s}]}", "role", role, "content", "type", "text", "text",
                     text);
}

static void say_prompt(const struct emit_turn *turn, const char *text)
{
    print_event(turn, json_pack("{s:s, s:o}", "type", "user", "message", message("user", text)),
                false);
}

static void say_thinking(const struct emit_turn *turn, const char *text)
{
    print_event(
        turn,
        json_pack("{s:s, s:s, s:s}", "type", "thinking", "subtype", "delta", "text", text),
        true);
    print_event(turn, json_pack("{s:s, s:s}", "type", "thinking", "subtype", "completed"),
                true);
}

static void say_assistant(const struct emit_turn *turn, const char *text, bool has_timestamp,
                          bool has_model_call)
{
    json_t *event =
        json_pack("{s:s, s:o}", "type", "assistant", "message", message("assistant", text));

    if (has_model_call)
        json_object_set_new(event, "model_call_id", json_sprintf("mc-%d", turn->model_calls));
    print_event(turn, event, has_timestamp);
}

static void say_delta(const struct emit_turn *turn, const char *text)
{
    if (turn->arguments->is_partial)
        say_assistant(turn, text, true, false);
}

static void say_segment(const struct emit_turn *turn, const char *text, bool is_before_tool)
{
    say_assistant(turn, text, is_before_tool, is_before_tool);
}

static void say_tool(const struct emit_turn *turn, const char *id, const char *kind,
                     json_t *arguments, json_t *result)
{
    json_t *call = json_pack("{s:O, s:O*}", "args", arguments, "result", result);

    print_event(turn,
                json_pack("{s:s, s:s, s:s, s:{s:o, s:[], s:s, s:s}, s:o}", "type", "tool_call",
                          "subtype", result ? "completed" : "started", "call_id", id,
                          "tool_call", kind, call, "hookAdditionalContexts", "toolCallId", id,
                          "startedAtMs", "1790000001600", "model_call_id",
                          json_sprintf("mc-%d", turn->model_calls)),
                true);
}

static void say_connection(const struct emit_turn *turn, const char *type, const char *subtype,
                           int attempt)
{
    print_event(turn,
                json_pack("{s:s, s:s, s:i, s:s}", "type", type, "subtype", subtype, "attempt",
                          attempt, "endpoint_url", "https://api2.cursor.sh"),
                true);
}

static void say_result(const struct emit_turn *turn, bool is_error, const char *text)
{
    const char *format = turn->arguments->format ? turn->arguments->format : "text";
    json_int_t duration = clock_now_ms() - turn->started_ms;
    json_t *result = json_pack(
        "{s:s, s:s, s:I, s:I, s:b, s:s, s:s, s:s, s:{s:I, s:i, s:i, s:i}}", "type", "result",
        "subtype", is_error ? "error" : "success", "duration_ms", duration, "duration_api_ms",
        duration, "is_error", (int)is_error, "result", text, "session_id", turn->session_id,
        "request_id", turn->request_id, "usage", "inputTokens",
        (json_int_t)14210 + (json_int_t)(strlen(turn->prompt) / 4), "outputTokens",
        (int)(strlen(text) / 4 + 1), "cacheReadTokens", 9216, "cacheWriteTokens", 0);

    if (strcmp(format, "text") == 0) {
        emit_raw_text(turn->segment.len ? buf_text(&turn->segment) : text);
        emit_raw_text("\n");
        json_decref(result);
        return;
    }
    if (turn->segment.len > 0)
        say_segment(turn, buf_text(&turn->segment), false);
    emit_line(result);
}

static const struct voice voice = {
    .init = say_init,
    .prompt = say_prompt,
    .thinking = say_thinking,
    .delta = say_delta,
    .segment = say_segment,
    .tool = say_tool,
    .connection = say_connection,
    .result = say_result,
};

const struct personality personality_cursor = {
    .name = "cursor-agent",
    .options = options,
    .refusals = &refusals,
    .store_variable = "CURSOR_CONFIG_DIR",
    .voice = &voice,
    .run_subcommand = run_subcommand,
    .check = check,
    .refuse = refuse,
    .refuse_chat = refuse_chat,
};
