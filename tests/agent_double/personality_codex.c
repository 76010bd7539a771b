/*
 * `codex exec --json`: whole items and no deltas; an item comes several times under one id, and
 * each time replaces what it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tests/agent_double/personality.h"

static const struct option_row options[] = {
    { "--json", NULL, NO_VALUE, OPTION_MEMBER(is_json) },
    { "--experimental-json", NULL, NO_VALUE, OPTION_MEMBER(is_json) },
    { "--skip-git-repo-check", NULL, NO_VALUE, OPTION_MEMBER(is_trusted) },
    { "--sandbox", "-s", NEEDS_VALUE, OPTION_MEMBER(sandbox) },
    { "--config", "-c", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--cd", "-C", NEEDS_VALUE, OPTION_MEMBER(workspace) },
    { "--model", "-m", NEEDS_VALUE, OPTION_MEMBER(model) },
    { "--add-dir", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--image", "-i", NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--output-schema", NULL, NEEDS_VALUE, OPTION_NOT_KEPT },
    { "--full-auto", NULL, NO_VALUE, OPTION_NOT_KEPT },
    { "--dangerously-bypass-approvals-and-sandbox", NULL, NO_VALUE, OPTION_MEMBER(is_forced) },
    { "--version", "-V", NO_VALUE, OPTION_MEMBER(wants_version) },
    { "--help", "-h", NO_VALUE, OPTION_MEMBER(wants_help) },
    { NULL, NULL, NO_VALUE, 0 },
};

static const struct option_refusals refusals = {
    .unknown = "error: unexpected argument '%s' found",
    .missing = "error: a value is required for '%s <VALUE>' but none was supplied",
    .status = 2,
};

static const char *const keys[] = { "CODEX_API_KEY", "OPENAI_API_KEY", NULL };

static bool is_word(const struct arguments *arguments, size_t at, const char *word)
{
    return at < arguments->words_count && strcmp(arguments->words[at], word) == 0;
}

/* exec [resume ID] [PROMPT | -] */
static void take_words(struct arguments *arguments)
{
    size_t at = 1;

    if (is_word(arguments, at, "resume") && at + 1 < arguments->words_count) {
        arguments->resume = arguments->words[at + 1];
        at += 2;
    }
    arguments->positional = at < arguments->words_count ? arguments->words[at] : NULL;
    if (arguments->positional && strcmp(arguments->positional, "-") == 0)
        arguments->positional = NULL;
    if (arguments->positional)
        snprintf(arguments->prompt, sizeof(arguments->prompt), "%s", arguments->positional);
}

static int run_subcommand(struct arguments *arguments)
{
    if (arguments->wants_version)
        return dprintf(STDOUT_FILENO, "codex-cli 0.169.0\n") < 0;
    if (arguments->wants_help)
        return dprintf(STDOUT_FILENO, "Usage: codex [OPTIONS] [PROMPT]\n") < 0;
    if (is_word(arguments, 0, "login") && is_word(arguments, 1, "status")) {
        bool has_key = personality_has_key(keys);

        dprintf(STDERR_FILENO, has_key ? "Logged in using an API key\n" : "Not logged in\n");
        return !has_key;
    }
    if (!is_word(arguments, 0, "exec")) {
        dprintf(STDERR_FILENO, "Error: stdin is not a terminal\n");
        return 1;
    }
    take_words(arguments);
    return -1;
}

static int fail_turn(const char *text)
{
    emit_init();
    emit_line(json_pack("{s:s, s:s}", "type", "error", "message", text));
    emit_line(json_pack("{s:s, s:{s:s}}", "type", "turn.failed", "error", "message", text));
    return 1;
}

static int refuse(enum refusal refusal)
{
    switch (refusal) {
    case REFUSAL_LOGIN:
    case REFUSAL_KEY:
        return fail_turn("unexpected status 401 Unauthorized: Missing bearer or basic "
                         "authentication in header");
    case REFUSAL_MODEL:
        return fail_turn("{\"detail\":\"The 'nonsense' model is not supported when using Codex "
                         "with an API key.\"}");
    case REFUSAL_LIMIT:
        return fail_turn("You've hit your usage limit. Try again in 3 hours.");
    case REFUSAL_OVERLOAD:
        return fail_turn("exceeded retry limit, last status: 429 Too Many Requests");
    }
    return 1;
}

static int complain(const char *text, int status)
{
    dprintf(STDERR_FILENO, "%s\n", text);
    return status;
}

/* Options behind `resume` are others than before it. */
static bool has_sandbox_behind_resume(int argc, char **argv)
{
    bool is_behind = false;

    for (int i = 1; i < argc; i++) {
        if (is_behind && (strcmp(argv[i], "-s") == 0 || strcmp(argv[i], "--sandbox") == 0))
            return true;
        is_behind = is_behind || strcmp(argv[i], "resume") == 0;
    }
    return false;
}

static int check(const struct arguments *arguments, int argc, char **argv)
{
    static const char *const sandboxes[] = { "read-only", "workspace-write",
                                             "danger-full-access", NULL };
    static const char *const models[] = { "gpt-5", "gpt-5-codex", NULL };

    if (has_sandbox_behind_resume(argc, argv))
        return complain("error: unexpected argument '-s' found", 2);
    if (arguments->sandbox && !personality_is_one_of(arguments->sandbox, sandboxes))
        return complain("error: invalid value for '--sandbox <SANDBOX_MODE>'", 2);
    if (!arguments->is_json)
        return complain("the double plays --json only", 2);
    if (!arguments->is_trusted)
        return complain("Not inside a trusted directory and --skip-git-repo-check was not "
                        "specified.",
                        1);
    if (!personality_has_key(keys))
        return refuse(REFUSAL_LOGIN);
    if (arguments->model && !personality_is_one_of(arguments->model, models))
        return refuse(REFUSAL_MODEL);
    return 0;
}

static int refuse_chat(const char *id)
{
    dprintf(STDERR_FILENO,
            "Error: thread/resume: thread/resume failed: no rollout found for thread id %s "
            "(code -32600)\n",
            id);
    return 1;
}

/* --- events ------------------------------------------------------------------------------- */

static int items; /* how many there were */

static void say_init(const struct emit_turn *turn)
{
    emit_line(json_pack("{s:s, s:s}", "type", "thread.started", "thread_id", turn->session_id));
    emit_line(json_pack("{s:s}", "type", "turn.started"));
}

static void say_item(const char *event, json_t *id, const char *type, json_t *fields)
{
    json_object_set_new(fields, "id", id);
    json_object_set_new(fields, "type", json_string(type));
    emit_line(json_pack("{s:s, s:o}", "type", event, "item", fields));
}

static json_t *number_item(void)
{
    return json_sprintf("item_%d", items);
}

static void say_thinking(const struct emit_turn *turn, const char *text)
{
    (void)turn;
    say_item("item.completed", number_item(), "reasoning", json_pack("{s:s}", "text", text));
    items++;
}

/* First as something else: what comes later replaces it. */
static void say_segment(const struct emit_turn *turn, const char *text, bool is_before_tool)
{
    (void)turn;
    (void)is_before_tool;
    say_item("item.started", number_item(), "agent_message", json_pack("{s:s}", "text", ""));
    say_item("item.updated", number_item(), "agent_message",
             json_pack("{s:s}", "text", "A FIRST DRAFT"));
    say_item("item.completed", number_item(), "agent_message",
             json_pack("{s:s}", "text", text));
    items++;
}

static const struct tool_name names[] = {
    { "readToolCall", "file_change" },
    { "grepToolCall", "web_search" },
    { "shellToolCall", "command_execution" },
    { NULL, NULL },
};

static void say_tool(const struct emit_turn *turn, const char *id, const char *kind,
                     json_t *arguments, json_t *result)
{
    const char *status = !result                               ? "in_progress"
                         : json_object_get(result, "rejected") ? "declined"
                                                               : "completed";
    json_t *fields = json_pack("{s:s}", "status", status);

    (void)turn;
    if (strcmp(kind, "readToolCall") == 0)
        json_object_set_new(fields, "changes",
                            json_pack("[{s:O, s:s}]", "path",
                                      json_object_get(arguments, "path"), "kind", "update"));
    if (json_object_get(arguments, "command"))
        json_object_set(fields, "command", json_object_get(arguments, "command"));
    say_item(result ? "item.completed" : "item.started", json_string(id),
             personality_name_tool(names, kind), fields);
}

static void say_connection(const struct emit_turn *turn, const char *type, const char *subtype,
                           int attempt)
{
    (void)turn;
    (void)type;
    (void)subtype;
    emit_line(json_pack("{s:s, s:o}", "type", "error", "message",
                        json_sprintf("Reconnecting... %d/5", attempt)));
}

static void say_result(const struct emit_turn *turn, bool is_error, const char *text)
{
    if (turn->segment.len > 0)
        say_segment(turn, buf_text(&turn->segment), false);
    if (is_error)
        emit_line(json_pack("{s:s, s:{s:s}}", "type", "turn.failed", "error", "message", text));
    else
        emit_line(json_pack("{s:s, s:{s:i, s:i, s:i, s:i}}", "type", "turn.completed", "usage",
                            "input_tokens", 14000, "cached_input_tokens", 9000, "output_tokens",
                            42, "reasoning_output_tokens", 7));
}

static const struct voice voice = {
    .init = say_init,
    .thinking = say_thinking,
    .segment = say_segment,
    .tool = say_tool,
    .connection = say_connection,
    .result = say_result,
};

const struct personality personality_codex = {
    .name = "codex",
    .options = options,
    .refusals = &refusals,
    .store_variable = "CODEX_HOME",
    .voice = &voice,
    .run_subcommand = run_subcommand,
    .check = check,
    .refuse = refuse,
    .refuse_chat = refuse_chat,
};
