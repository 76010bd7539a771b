/*
 * The dialects beside cursor, which has a test of its own: what their streams mean, wherever
 * they are cut, and how they are started.
 */
#include "agent/dialect.h"

#include "tests/test.h"

#include <stdlib.h>

#include "agent/chat.h"
#include "agent/outcome.h"
#include "base/buf.h"
#include "base/utf8.h"

/* ---- claude ---- */

#define C_INIT \
    "{\"type\":\"system\",\"subtype\":\"init\",\"model\":\"opus\",\"session_id\":\"5e55\"}\n"
#define C_EVENT(event) \
    "{\"type\":\"stream_event\",\"event\":" event ",\"parent_tool_use_id\":null}\n"
#define C_BEGIN(id) C_EVENT("{\"type\":\"message_start\",\"message\":{\"id\":\"" id "\"}}")
#define C_DELTA(text)                                                   \
    C_EVENT("{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{" \
            "\"type\":\"text_delta\",\"text\":\"" text "\"}}")
#define C_WHOLE(id, text)                                                                     \
    "{\"type\":\"assistant\",\"message\":{\"id\":\"" id "\",\"content\":[{\"type\":\"text\"," \
    "\"text\":\"" text "\"}]},\"parent_tool_use_id\":null}\n"
#define C_TOOL(id, name, input)                                                      \
    "{\"type\":\"assistant\",\"message\":{\"id\":\"" id "\",\"content\":[{\"type\":" \
    "\"tool_use\",\"id\":\"t1\",\"name\":\"" name "\",\"input\":" input "}]}}\n"
#define C_TOOL_DONE                                                           \
    "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\"," \
    "\"tool_use_id\":\"t1\",\"content\":\"SECRET\"}]},\"parent_tool_use_id\":null}\n"
#define C_RESULT                                                                        \
    "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"r\"," \
    "\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":30,"                     \
    "\"cache_creation_input_tokens\":7,\"output_tokens\":11}}\n"

/* ---- codex ---- */

#define X_INIT \
    "{\"type\":\"thread.started\",\"thread_id\":\"5e55\"}\n{\"type\":\"turn.started\"}\n"
#define X_ITEM(event, id, type, fields)                                                     \
    "{\"type\":\"item." event "\",\"item\":{\"id\":\"" id "\",\"type\":\"" type "\"" fields \
    "}}\n"
#define X_TEXT(event, id, text) X_ITEM(event, id, "agent_message", ",\"text\":\"" text "\"")
#define X_END                                                                                 \
    "{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":42,\"cached_input_tokens\":30," \
    "\"output_tokens\":11}}\n"

/* ---- gemini ---- */

#define G_INIT "{\"type\":\"init\",\"session_id\":\"5e55\",\"model\":\"pro\"}\n"
#define G_DELTA(text) \
    "{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"" text "\",\"delta\":true}\n"
#define G_WHOLE(text) "{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"" text "\"}\n"
#define G_TOOL(name, parameters)                   \
    "{\"type\":\"tool_use\",\"tool_name\":\"" name \
    "\",\"tool_id\":\"t1\",\"parameters\":" parameters "}\n"
#define G_TOOL_DONE "{\"type\":\"tool_result\",\"tool_id\":\"t1\",\"status\":\"success\"}\n"
#define G_END                                                                                \
    "{\"type\":\"result\",\"status\":\"success\",\"stats\":{\"input_tokens\":42,\"cached\":" \
    "30,"                                                                                    \
    "\"output_tokens\":11}}\n"

/* ---- opencode ---- */

#define O_EVENT(type, part) \
    "{\"type\":\"" type "\",\"sessionID\":\"5e55\",\"part\":{" part "}}\n"
#define O_STEP       O_EVENT("step_start", "")
#define O_TEXT(text) O_EVENT("text", "\"text\":\"" text "\"")
#define O_TOOL(name, state) \
    O_EVENT("tool_use", "\"tool\":\"" name "\",\"callID\":\"t1\",\"state\":{" state "}")
#define O_FINISH(reason)                                                                       \
    O_EVENT("step_finish",                                                                     \
            "\"reason\":\"" reason "\",\"tokens\":{\"input\":5,\"output\":10,\"reasoning\":1," \
            "\"cache\":{\"read\":30,\"write\":7}}")

/* Every event in one line: texts as they are, "/" a segment, "[..]" a tool, "!" denied. */
static void render(struct agent_stream *stream, struct buf *out)
{
    static const char *const before[] = {
        [AGENT_EVENT_NONE] = "none", [AGENT_EVENT_STARTED] = "<",
        [AGENT_EVENT_TEXT] = "",     [AGENT_EVENT_SEGMENT] = "/",
        [AGENT_EVENT_TOOL] = "[",    [AGENT_EVENT_TOOL_DONE] = "]",
        [AGENT_EVENT_DENIED] = "!",  [AGENT_EVENT_ENDED] = "ended",
    };
    struct agent_event event;

    while (agent_stream_take(stream, &event)) {
        buf_append_text(out, before[event.kind]);
        if (event.kind != AGENT_EVENT_TOOL_DONE)
            buf_append(out, event.text, event.text_len);
        if (event.kind == AGENT_EVENT_STARTED)
            buf_append_char(out, '>');
        if (event.kind == AGENT_EVENT_TOOL)
            buf_append_char(out, ',');
        assert_true(utf8_is_valid(event.text, event.text_len));
    }
}

/* The bytes in two parts, cut at `cut`. */
static void feed(const struct dialect *dialect, const char *bytes, size_t cut, struct buf *out,
                 struct agent_summary *ret_summary)
{
    struct agent_stream *stream = agent_stream_new(dialect);

    agent_stream_feed(stream, bytes, cut);
    render(stream, out);
    agent_stream_feed(stream, bytes + cut, strlen(bytes) - cut);
    render(stream, out);
    agent_stream_finish(stream);
    render(stream, out);
    *ret_summary = *agent_stream_summary(stream);
    agent_stream_free(stream);
}

static const struct {
    const struct dialect *dialect;
    const char *bytes, *want, *because;
} streams[] = {
    { &dialect_claude,
      C_INIT C_BEGIN("m1") C_DELTA("Hel") C_DELTA("lo") C_WHOLE("m1", "Hello") C_RESULT,
      "<opus>Hello", "the whole message comes again" },
    { &dialect_claude, C_INIT C_WHOLE("m1", "Hello") C_RESULT, "<opus>Hello",
      "no partial messages" },
    { &dialect_claude, C_INIT C_BEGIN("m1") C_DELTA("ha") C_DELTA("ha") C_WHOLE("m1", "haha"),
      "<opus>haha", "equal deltas are not duplicates" },
    { &dialect_claude,
      C_INIT C_BEGIN("m1") C_DELTA("one") C_WHOLE("m1", "one")
          C_TOOL("m1", "Read", "{\"file_path\":\"/srv/a.c\"}") C_TOOL_DONE C_BEGIN("m2")
              C_DELTA("two") C_WHOLE("m2", "two") C_RESULT,
      "<opus>one[Reading a.c,]/two", "two messages around a tool" },
    { &dialect_claude,
      C_INIT C_WHOLE("m1", "one") C_TOOL("m1", "Bash", "{\"command\":\"SECRET\"}")
          C_TOOL_DONE C_WHOLE("m2", "two"),
      "<opus>one[Running a command,]/two", "the same, whole messages only" },
    { &dialect_claude,
      C_INIT C_BEGIN("m1") C_DELTA("It is ") C_WHOLE("m1", "It is ") C_DELTA("so.")
          C_WHOLE("m1", "so."),
      "<opus>It is so.", "two blocks of one message are one paragraph" },
    { &dialect_claude, C_INIT C_TOOL("m1", "mcp__docs__look_up", "{}"), "<opus>[Using look_up,",
      "a server's tool" },
    { &dialect_claude,
      C_INIT
      "{\"type\":\"assistant\",\"message\":{\"id\":\"s\",\"content\":[{\"type\":\"text\","
      "\"text\":\"a subagent\"}]},\"parent_tool_use_id\":\"t1\"}\n"
      "{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"delta\":{"
      "\"type\":\"text_delta\",\"text\":\"too\"}},\"parent_tool_use_id\":\"t1\"}\n" C_WHOLE(
          "m1", "me"),
      "<opus>me", "a subagent's words are not the answer" },
    { &dialect_claude,
      C_INIT
      "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"x\","
      "\"permission_denials\":[{\"tool_name\":\"Bash\",\"tool_use_id\":\"t\",\"tool_input\":"
      "{\"command\":\"SECRET\"}}]}\n",
      "<opus>!Running a commandx", "what was denied; the text only in the result" },
    { &dialect_claude,
      C_INIT C_BEGIN("m1") C_DELTA("It ")
          C_DELTA("is ") "{\"type\":\"system\",\"subtype\":\"api_retry\"}\n" C_BEGIN("m2")
              C_DELTA("It ") C_DELTA("is so.") C_WHOLE("m2", "It is so."),
      "<opus>It is so.", "a retry says it once more" },
    { &dialect_claude,
      C_INIT C_EVENT("{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"thinking_delta\","
                     "\"thinking\":\"hm\"}}") C_DELTA("x"),
      "<opus>x", "thinking is not shown" },
    { &dialect_claude,
      C_INIT
      "{\"type\":\"assistant\",\"error\":\"authentication_failed\",\"message\":{\"id\":\"e\","
      "\"content\":[{\"type\":\"text\",\"text\":\"Invalid API key\"}]}}\n",
      "<opus>", "the program's own words are no answer" },

    { &dialect_codex, X_INIT X_TEXT("completed", "i0", "Hello") X_END, "<>Hello", "plain" },
    { &dialect_codex,
      X_INIT X_TEXT("started", "i0", "") X_TEXT("updated", "i0", "A draft")
          X_TEXT("completed", "i0", "Hello") X_END,
      "<>Hello", "an item replaces what it was" },
    { &dialect_codex,
      X_INIT X_TEXT("completed", "i0", "Hello") X_TEXT("completed", "i0", "Hello"), "<>Hello",
      "completed twice" },
    { &dialect_codex, X_INIT X_TEXT("updated", "i0", "Hello") X_END, "<>Hello",
      "the turn completes it" },
    { &dialect_codex, X_INIT X_TEXT("updated", "i0", "one") X_TEXT("completed", "i1", "two"),
      "<>one/two", "another message begins" },
    { &dialect_codex,
      X_INIT X_TEXT("completed", "i0", "one")
          X_ITEM("started", "i1", "command_execution", ",\"command\":\"SECRET\"")
              X_ITEM("completed", "i1", "command_execution", ",\"status\":\"declined\"")
                  X_TEXT("completed", "i2", "two"),
      "<>one[Running a command,!Running a command]/two", "a command that is declined" },
    { &dialect_codex,
      X_INIT X_ITEM("started", "i1", "file_change",
                    ",\"changes\":[{\"path\":\"/srv/x/a.c\",\"kind\":\"update\"}]")
          X_ITEM("started", "i2", "mcp_tool_call", ",\"server\":\"s\",\"tool\":\"find\"")
              X_ITEM("completed", "i3", "reasoning", ",\"text\":\"hm\""),
      "<>[Editing a.c,[Using find,", "files and servers; no reasoning" },

    { &dialect_gemini, G_INIT G_DELTA("Hel") G_DELTA("lo") G_END, "<pro>Hello", "deltas" },
    { &dialect_gemini, G_INIT G_DELTA("Hel") G_DELTA("lo") G_WHOLE("Hello") G_END, "<pro>Hello",
      "and the whole once more" },
    { &dialect_gemini, G_INIT G_WHOLE("Hello") G_END, "<pro>Hello", "whole only" },
    { &dialect_gemini,
      G_INIT "{\"type\":\"message\",\"role\":\"user\",\"content\":\"SECRET\"}\n" G_DELTA("x"),
      "<pro>x", "the echo of the prompt" },
    { &dialect_gemini,
      G_INIT G_DELTA("one") G_TOOL("read_file", "{\"file_path\":\"/srv/a.c\"}")
          G_TOOL_DONE G_DELTA("two") G_END,
      "<pro>one[Reading a.c,]/two", "two segments around a tool" },
    { &dialect_gemini,
      G_INIT G_TOOL("run_shell_command",
                    "{\"command\":\"SECRET\"}") "{\"type\":\"tool_result\",\"tool_id\":\"t1\","
                                                "\"status\":\"error\",\"error\":{\"type\":"
                                                "\"policy_violation\",\"message\":\"no\"}}\n",
      "<pro>[Running a command,!Running a command]", "a tool that is not allowed" },

    { &dialect_opencode, O_STEP O_TEXT("Hello") O_FINISH("stop"), "<>Hello", "plain" },
    { &dialect_opencode,
      O_STEP O_TEXT("one") O_TOOL("read", "\"status\":\"completed\",\"input\":{\"filePath\":"
                                          "\"/srv/a.c\"}") O_FINISH("tool-calls")
          O_STEP O_TEXT("two") O_FINISH("stop"),
      "<>one[Reading a.c,]/two", "two steps around a tool" },
    { &dialect_opencode,
      O_STEP O_TOOL("bash", "\"status\":\"error\",\"input\":{\"command\":\"SECRET\"},\"error\":"
                            "\"The user rejected permission to use this specific tool call.\""),
      "<>[Running a command,!Running a command]", "a command that is rejected" },
    { &dialect_opencode, O_STEP O_TOOL("bash", "\"status\":\"running\""),
      "<>[Running a command,", "a tool that still runs" },
};

static void streams_mean_the_same_wherever_they_are_cut(void)
{
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        for (size_t cut = 0; cut <= strlen(streams[i].bytes); cut++) {
            struct buf out;
            struct agent_summary summary;

            buf_init(&out, 65536);
            feed(streams[i].dialect, streams[i].bytes, cut, &out, &summary);
            CHECK_TEXT(buf_text(&out), streams[i].want, streams[i].because);
            CHECK_TEXT(summary.chat_id, "5e55", streams[i].because);
            buf_deinit(&out);
        }
    }
}

/* What a run of these bytes was that ended with this exit status. */
static enum agent_outcome decide(const struct dialect *dialect, const char *bytes, int status,
                                 const char *errors, struct agent_result *ret_result)
{
    struct agent_summary summary;
    struct buf out;
    struct agent_evidence evidence = {
        .ends_by_exit = dialect->ends_by_exit,
        .needs_settled = dialect->needs_settled,
        .exits = dialect->exits,
        .has_status = true,
        .launch_step = "",
        .launch_text = "",
        .error_output = errors,
        .error_output_len = strlen(errors),
        .summary = &summary,
    };

    evidence.status.si_code = CLD_EXITED;
    evidence.status.si_status = status;
    if (status < 0) {
        evidence.has_verdict = true;
        evidence.verdict = AGENT_IDLE_TIMEOUT;
    }
    buf_init(&out, 65536);
    feed(dialect, bytes, 0, &out, &summary);
    buf_deinit(&out);
    agent_outcome_decide(&evidence, ret_result);
    return ret_result->outcome;
}

static void endings_are_told_apart(void)
{
    static const struct {
        const struct dialect *dialect;
        const char *bytes;
        intptr_t status; /* -1: it went silent and was ended */
        const char *errors;
        enum agent_outcome want;
    } cases[] = {
        { &dialect_claude, C_INIT C_RESULT, 0, "", AGENT_OK },
        { &dialect_claude, C_INIT C_WHOLE("m", "x"), 0, "", AGENT_NO_RESULT },
        { &dialect_claude,
          C_INIT "{\"type\":\"result\",\"subtype\":\"error_max_turns\",\"is_error\":false}", 1,
          "", AGENT_REPORTED_ERROR },
        { &dialect_claude,
          C_INIT "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"errors\":["
                 "\"overloaded_error\"]}",
          1, "", AGENT_OVERLOADED },
        { &dialect_claude,
          C_INIT "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":"
                 "\"Invalid API key \xc2\xb7 Please run /login\"}",
          1, "", AGENT_NOT_AUTHENTICATED },
        { &dialect_claude,
          "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":"
          "\"Claude AI usage limit reached|1790000000\"}",
          1, "", AGENT_USAGE_LIMIT },
        { &dialect_claude, "", 1, "No conversation found with session ID: 1234",
          AGENT_CHAT_GONE },
        { &dialect_claude, "", 1, "Error: Session ID 1234 is already in use.",
          AGENT_CHAT_GONE },

        { &dialect_codex, X_INIT X_TEXT("completed", "i", "x") X_END, 0, "", AGENT_OK },
        { &dialect_codex, X_INIT X_TEXT("completed", "i", "x"), 0, "", AGENT_NO_RESULT },
        { &dialect_codex,
          X_INIT "{\"type\":\"turn.failed\",\"error\":{\"message\":\"bad luck\"}}", 0, "",
          AGENT_REPORTED_ERROR },
        { &dialect_codex, X_INIT "{\"type\":\"error\",\"message\":\"429 Too Many Requests\"}",
          1, "", AGENT_OVERLOADED },
        { &dialect_codex,
          X_INIT "{\"type\":\"error\",\"message\":\"Reconnecting... 1/5\"}\n" X_TEXT(
              "completed", "i", "x") X_END,
          0, "", AGENT_OK },
        { &dialect_codex, "", 1, "no rollout found for thread id 5e55", AGENT_CHAT_GONE },
        { &dialect_codex, "", 2, "error: unexpected argument '-s' found", AGENT_BAD_OPTION },

        { &dialect_gemini, G_INIT G_DELTA("x") G_END, 0, "", AGENT_OK },
        { &dialect_gemini, G_INIT G_DELTA("x"), 0, "", AGENT_NO_RESULT },
        { &dialect_gemini, G_INIT "{\"type\":\"result\",\"status\":\"error\"}", 1, "",
          AGENT_REPORTED_ERROR },
        { &dialect_gemini, G_INIT "{\"type\":\"result\",\"status\":\"error\"}", 41, "",
          AGENT_NOT_AUTHENTICATED },
        { &dialect_gemini, "", 41, "", AGENT_NOT_AUTHENTICATED },
        { &dialect_gemini, "", 42, "", AGENT_BAD_OPTION },
        { &dialect_gemini, "", 44, "", AGENT_NOT_STARTED },
        { &dialect_gemini, "", 52, "", AGENT_BAD_OPTION },
        { &dialect_gemini, "", 53, "", AGENT_REPORTED_ERROR },
        { &dialect_gemini, "", 55, "", AGENT_UNTRUSTED_WORKSPACE },
        { &dialect_gemini, "", 1, "", AGENT_NO_RESULT },
        { &dialect_gemini, "", 42, "Error resuming session: Invalid session identifier \"x\".",
          AGENT_CHAT_GONE },

        { &dialect_opencode, O_STEP O_TEXT("x") O_FINISH("stop"), 0, "", AGENT_OK },
        { &dialect_opencode, O_STEP O_TEXT("x") O_FINISH("stop"), 1, "", AGENT_NO_RESULT },
        { &dialect_opencode, O_STEP O_TEXT("x"), 0, "", AGENT_NO_RESULT },
        { &dialect_opencode, O_STEP O_TEXT("x") O_FINISH("tool-calls"), 0, "",
          AGENT_NO_RESULT },
        { &dialect_opencode, O_STEP O_TEXT("x") O_FINISH("stop") O_STEP, 0, "",
          AGENT_NO_RESULT },
        { &dialect_opencode, O_STEP O_FINISH("stop"), 0, "", AGENT_NO_RESULT },
        { &dialect_opencode, O_STEP O_TEXT("x") O_FINISH("stop"), -1, "", AGENT_OK },
        { &dialect_opencode, O_STEP O_TEXT("x") O_FINISH("tool-calls"), -1, "",
          AGENT_IDLE_TIMEOUT },
        { &dialect_opencode,
          O_STEP O_TEXT("x") "{\"type\":\"error\",\"error\":{\"name\":\"APIError\",\"data\":{"
                             "\"message\":\"Overloaded\"}}}\n" O_FINISH("stop"),
          0, "", AGENT_OVERLOADED },
        { &dialect_opencode, "{\"type\":\"error\",\"error\":{\"name\":\"ProviderAuthError\"}}",
          0, "", AGENT_NOT_AUTHENTICATED },
        { &dialect_opencode, "", 1, "Error: Session not found", AGENT_CHAT_GONE },
        { &dialect_text, "x", 0, "", AGENT_OK },
        { &dialect_text, "x", 1, "", AGENT_NO_RESULT },
        { &dialect_text, "x", -1, "", AGENT_IDLE_TIMEOUT },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_result result = { 0 };

        CHECK_INT(decide(cases[i].dialect, cases[i].bytes, (int)cases[i].status,
                         cases[i].errors, &result),
                  cases[i].want, cases[i].bytes[0] ? cases[i].bytes : cases[i].errors);
    }
}

/* Whatever the agent counts apart: a cache's share is a part of the input. */
static void tokens_are_counted_alike(void)
{
    static const struct {
        const struct dialect *dialect;
        const char *bytes;
        int64_t cache_write;
    } cases[] = {
        { &dialect_claude, C_INIT C_RESULT, 7 },
        { &dialect_codex, X_INIT X_END, -1 },
        { &dialect_gemini, G_INIT G_END, -1 },
        { &dialect_opencode, O_STEP O_FINISH("stop"), 7 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent_result result = { 0 };

        decide(cases[i].dialect, cases[i].bytes, 0, "", &result);
        CHECK_INT(result.input_tokens, 42, cases[i].bytes);
        CHECK_INT(result.cache_read_tokens, 30, cases[i].bytes);
        CHECK_INT(result.cache_write_tokens, cases[i].cache_write, cases[i].bytes);
        CHECK_INT(result.output_tokens, 11, cases[i].bytes);
        CHECK_TEXT(result.chat_id, "5e55", cases[i].bytes);
    }
}

static void steps_add_up(void)
{
    struct agent_result result = { 0 };

    decide(&dialect_opencode, O_STEP O_FINISH("tool-calls") O_STEP O_TEXT("x") O_FINISH("stop"),
           0, "", &result);
    CHECK_INT(result.input_tokens, 84, "two requests");
    CHECK_INT(result.output_tokens, 22, "two requests");
}

static void garbage_is_skipped_by_all(void)
{
    static const struct dialect *const all[] = { &dialect_cursor, &dialect_claude,
                                                 &dialect_codex, &dialect_gemini,
                                                 &dialect_opencode };
    static const char bytes[] =
        "banner\n{broken\n[]\n{}\n{\"type\":5}\n\xff\xfe\n"
        "{\"type\":\"new\",\"item\":[],\"part\":7,\"event\":\"x\"}\n"
        "{\"type\":\"assistant\",\"message\":[1]}\n"
        "{\"type\":\"text\"}\n{\"type\":\"item.completed\"}\n"
        "{\"type\":\"message\",\"content\":5,\"role\":\"assistant\"}\n"
        "{\"type\":\"tool_use\"}\n{\"type\":\"step_finish\",\"part\":[]}\n"
        "{\"type\":\"user\",\"message\":{\"content\":[1,null]}}\n";

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct agent_summary summary;
        struct buf out;

        buf_init(&out, 65536);
        feed(all[i], bytes, 10, &out, &summary);
        CHECK_INT(summary.skipped_lines, 6, all[i]->name);
        CHECK_INT(summary.has_text, 0, all[i]->name);
        CHECK_INT(summary.has_result, 0, all[i]->name);
        buf_deinit(&out);
    }
}

/* The arguments with a blank before each. */
static void check_arguments(enum agent_dialect dialect, const struct agent_spec *spec,
                            const char *want)
{
    struct dialect_argv argv = { 0 };
    struct buf out;

    buf_init(&out, 4096);
    dialect_get(dialect)->append_arguments(spec, &argv);
    for (size_t i = 0; i < argv.count; i++) {
        buf_printf(&out, " %s", argv.items[i]);
        free(argv.items[i]);
    }
    free(argv.items);
    CHECK_TEXT(buf_text(&out), want, dialect_get(dialect)->name);
    buf_deinit(&out);
}

static void arguments_follow_mode_model_and_chat(void)
{
    static const struct {
        enum agent_dialect dialect;
        const char *ask, *plan, *write; /* the last goes on in chat 5e55 with a model */
    } cases[] = {
        { AGENT_DIALECT_CURSOR,
          " -p --output-format stream-json --trust --stream-partial-output --workspace /w "
          "--mode "
          "ask",
          " -p --output-format stream-json --trust --stream-partial-output --workspace /w "
          "--mode "
          "plan",
          " -p --output-format stream-json --trust --stream-partial-output --workspace /w "
          "--force "
          "--model m --resume=5e55" },
        { AGENT_DIALECT_CLAUDE,
          " -p --output-format stream-json --verbose --include-partial-messages "
          "--permission-mode "
          "dontAsk --allowedTools Read,Grep,Glob --strict-mcp-config",
          " -p --output-format stream-json --verbose --include-partial-messages "
          "--permission-mode "
          "plan --allowedTools Read,Grep,Glob --strict-mcp-config",
          " -p --output-format stream-json --verbose --include-partial-messages "
          "--permission-mode "
          "acceptEdits --allowedTools Bash,Edit,Write,NotebookEdit,Read,Grep,Glob,WebFetch,"
          "WebSearch,TodoWrite,Task --model m --resume 5e55" },
        { AGENT_DIALECT_CODEX,
          " exec --json --skip-git-repo-check -s read-only -c sandbox_mode=\"read-only\" -C /w "
          "-",
          " exec --json --skip-git-repo-check -s read-only -c sandbox_mode=\"read-only\" -C /w "
          "-",
          " exec --json --skip-git-repo-check -s workspace-write -c "
          "sandbox_mode=\"workspace-write\" -C /w -m m resume 5e55 -" },
        { AGENT_DIALECT_GEMINI, " --output-format stream-json --approval-mode default",
          " --output-format stream-json --approval-mode default",
          " --output-format stream-json --approval-mode yolo --model m --resume 5e55" },
        { AGENT_DIALECT_OPENCODE, " run --format json --dir /w --agent plan",
          " run --format json --dir /w --agent plan",
          " run --format json --dir /w --agent build --model m --session 5e55" },
        { AGENT_DIALECT_TEXT, "", "", "" },
    };
    struct agent_spec spec = { .workspace = "/w", .model = "" };
    struct agent_spec write = {
        .workspace = "/w", .model = "m", .mode = AGENT_MODE_WRITE, .chat_id = "5e55"
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        spec.mode = AGENT_MODE_ASK;
        check_arguments(cases[i].dialect, &spec, cases[i].ask);
        spec.mode = AGENT_MODE_PLAN;
        check_arguments(cases[i].dialect, &spec, cases[i].plan);
        check_arguments(cases[i].dialect, &write, cases[i].write);
    }
}

static void a_new_chat_gets_its_id_where_that_can_be_chosen(void)
{
    struct agent_spec spec = {
        .workspace = "/w", .model = "", .chat_id = "5e55", .is_new_chat = true
    };

    check_arguments(
        AGENT_DIALECT_CLAUDE, &spec,
        " -p --output-format stream-json --verbose --include-partial-messages "
        "--permission-mode dontAsk --allowedTools Read,Grep,Glob --strict-mcp-config "
        "--session-id 5e55");
    check_arguments(AGENT_DIALECT_GEMINI, &spec,
                    " --output-format stream-json --approval-mode default");
}

static void only_harmless_ids_of_chats_are_taken(void)
{
    static const struct {
        const char *id;
        bool want;
    } cases[] = {
        { "0b6c7f8e-1111-4222-8333-444455556666", true },
        { "ses_0de6816dd6e04c36", true },
        { "", false },
        { "-p", false },
        { "--force", false },
        { "a b", false },
        { "a/../b", false },
        { "a\nb", false },
        { "0123456789012345678901234567890123456789012345678901234567890123456789012345678",
          true },
        { "01234567890123456789012345678901234567890123456789012345678901234567890123456789",
          false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(agent_chat_is_id(cases[i].id), cases[i].want, cases[i].id);
}

TEST_MAIN(TEST(streams_mean_the_same_wherever_they_are_cut), TEST(endings_are_told_apart),
          TEST(tokens_are_counted_alike), TEST(steps_add_up), TEST(garbage_is_skipped_by_all),
          TEST(arguments_follow_mode_model_and_chat),
          TEST(a_new_chat_gets_its_id_where_that_can_be_chosen),
          TEST(only_harmless_ids_of_chats_are_taken))
