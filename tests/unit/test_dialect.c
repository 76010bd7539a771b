#include "agent/dialect.h"

#include "tests/test.h"

#include <stdlib.h>

#include "agent/outcome.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/utf8.h"

#define DELTA(text)                                                              \
    "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":[{" \
    "\"type\":\"text\",\"text\":\"" text "\"}]},\"session_id\":\"s\",\"timestamp_ms\":1}\n"
#define FLUSH(text)                                                              \
    "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":[{" \
    "\"type\":\"text\",\"text\":\"" text                                         \
    "\"}]},\"timestamp_ms\":1,\"model_call_id\":\"mc\"}\n"
#define FINAL(text)                                                              \
    "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":[{" \
    "\"type\":\"text\",\"text\":\"" text "\"}]}}\n"
#define INIT "{\"type\":\"system\",\"subtype\":\"init\",\"model\":\"Auto\"}\n"
#define STARTED(kind, args)                                                  \
    "{\"type\":\"tool_call\",\"subtype\":\"started\",\"call_id\":\"c\\nd\"," \
    "\"tool_call\":{\"hookAdditionalContexts\":[],\"" kind "\":{\"args\":" args "}}}\n"
#define DONE(kind, args, result)                                               \
    "{\"type\":\"tool_call\",\"subtype\":\"completed\",\"call_id\":\"c\\nd\"," \
    "\"tool_call\":{\"" kind "\":{\"args\":" args ",\"result\":" result "}}}\n"
#define RESULT                                                                       \
    "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":"    \
    "\"all\",\"usage\":{\"inputTokens\":5,\"outputTokens\":6,\"cacheReadTokens\":7," \
    "\"cacheWriteTokens\":8}}\n"
#define RETRY                                                                \
    "{\"type\":\"connection\",\"subtype\":\"reconnecting\",\"attempt\":1}\n" \
    "{\"type\":\"retry\",\"subtype\":\"starting\",\"attempt\":1,\"is_resume\":true}\n"
#define QUERY(answer)                                                                  \
    "{\"type\":\"interaction_query\",\"subtype\":\"response\",\"query_type\":"         \
    "\"shellRequestQuery\",\"response\":{\"id\":0,\"shellRequestResponse\":{\"" answer \
    "\":{}}}}\n"
#define TOOL STARTED("readToolCall", "{\"path\":\"/x/a.txt\"}")

/* Every event in one line: texts as they are, "/" a segment, "[..]" a tool. */
static void render(struct agent_stream *stream, struct buf *out)
{
    static const char *const formats[] = {
        [AGENT_EVENT_NONE] = "none",     [AGENT_EVENT_STARTED] = "<%s>",
        [AGENT_EVENT_TEXT] = "%s",       [AGENT_EVENT_SEGMENT] = "%s/",
        [AGENT_EVENT_TOOL] = "[%s",      [AGENT_EVENT_TOOL_DONE] = "]",
        [AGENT_EVENT_DENIED] = "denied", [AGENT_EVENT_ENDED] = "ended",
    };
    struct agent_event event;

    while (agent_stream_take(stream, &event)) {
        const char *format = formats[event.kind];
        const char *at = strstr(format, "%s");

        buf_append(out, format, at ? (size_t)(at - format) : strlen(format));
        if (at) {
            buf_append(out, event.text, event.text_len);
            buf_append_text(out, at + 2);
        }
        assert_true(utf8_is_valid(event.text, event.text_len));
    }
}

/* The bytes in two parts, cut at `cut`. */
static void feed(const struct dialect *dialect, const char *bytes, size_t len, size_t cut,
                 struct buf *out, struct agent_summary *ret_summary)
{
    struct agent_stream *stream = agent_stream_new(dialect);

    agent_stream_feed(stream, bytes, cut);
    render(stream, out);
    agent_stream_feed(stream, bytes + cut, len - cut);
    render(stream, out);
    agent_stream_finish(stream);
    render(stream, out);
    *ret_summary = *agent_stream_summary(stream);
    agent_stream_free(stream);
}

static const struct {
    const char *bytes, *want, *because;
} streams[] = {
    { INIT DELTA("Hel") DELTA("lo") FINAL("Hello") RESULT, "<Auto>Hello", "plain" },
    { INIT DELTA("ha") DELTA("ha") FINAL("haha") RESULT, "<Auto>haha",
      "equal deltas are not duplicates" },
    { INIT DELTA("one") FLUSH("one") TOOL DONE("readToolCall", "{}", "{\"success\":{}}")
          DELTA("two") FINAL("two") RESULT,
      "<Auto>one[Reading a.txt]/two", "two segments around a tool" },
    { INIT DELTA("one") FLUSH("one") FLUSH("one") TOOL TOOL DELTA("two") FINAL("two"),
      "<Auto>one[Reading a.txt[Reading a.txt/two", "one flush before each of two tools" },
    { INIT DELTA("one") FINAL("one more"), "<Auto>one more", "the flush goes further" },
    { INIT DELTA("one") FINAL("other"), "<Auto>one/other", "the flush differs" },
    { INIT DELTA("one ") FINAL("one"), "<Auto>one ", "the flush is trimmed" },
    { INIT DELTA("\\n\\none") FINAL("one"), "<Auto>\n\none", "the flush is trimmed" },
    { INIT FINAL("whole"), "<Auto>whole", "no deltas at all" },
    { INIT TOOL DONE("readToolCall", "{}", "{}") DELTA("first"), "<Auto>[Reading a.txt]first",
      "no empty paragraph before the first text" },
    { INIT DELTA("a") FLUSH("a") TOOL DELTA("a") FINAL("a"), "<Auto>a[Reading a.txt/a",
      "the same text twice is two segments" },
    { INIT DELTA("one") TOOL DELTA("two") FINAL("two"), "<Auto>one[Reading a.txt/two",
      "a flush that never came" },
    { INIT RESULT, "<Auto>all", "only the result holds text" },
    { RESULT, "<>all", "no init" },
    { INIT DELTA("a") FINAL("a") RESULT DELTA("late") RESULT, "<Auto>a",
      "nothing after the result" },
    { INIT DELTA("a\\u0000\\u001b[31mb\\ud83d\\ude00\\/"), "<Auto>a[31mb\xf0\x9f\x98\x80/",
      "escapes; control characters go" },
    { INIT DELTA("caf\xc3\xa9 \xf0\x9f\x98\x80"), "<Auto>caf\xc3\xa9 \xf0\x9f\x98\x80",
      "UTF-8 cut anywhere" },
    { INIT DELTA("a\xff") DELTA("b"),
      "<Auto>a\xef\xbf\xbd"
      "b",
      "broken UTF-8" },
    { "\xef\xbb\xbf" INIT DELTA("a") "\r\n\n  \n", "<Auto>a", "BOM and blank lines" },
    { "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"secret\"}"
      "]}}\n"
      "{\"type\":\"thinking\",\"subtype\":\"delta\",\"text\":\"hm\"}\n" DELTA("a"),
      "<>a", "the echo and the thoughts are not shown" },
    { INIT DELTA("a") "{\"type\":\"assistant\",\"message\":{\"ro", "<Auto>a", "cut short" },
    { INIT "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":"
           "\"x\"}]},\"timestamp_ms\":1}",
      "<Auto>x", "a last line without a newline" },
    { INIT "{\"type\":\"assistant\",\"type\":\"thinking\"}\n{\"type\":\"new\",\"n\":"
           "[9007199254740993,123456789012345678901234567890,1e400]}\n" DELTA("a"),
      "<Auto>a", "double keys, numbers without end" },
    { INIT DELTA("It ") DELTA("is ") RETRY DELTA("It") DELTA(" is so.") FINAL("It is so."),
      "<Auto>It is so.", "a retry says it once more" },
    { INIT DELTA("It ") RETRY DELTA("is so.") FINAL("It is so."), "<Auto>It is so.",
      "a retry goes on" },
    { INIT DELTA("Is it") RETRY DELTA("Is ") DELTA("not") FINAL("Is not"), "<Auto>Is it/Is not",
      "a retry says something else" },
    { INIT DELTA("ha") RETRY DELTA("ha") FINAL("haha"), "<Auto>haha",
      "what was swallowed comes with the flush" },
    { INIT QUERY("approved"), "<Auto>", "a question that was answered with yes" },
    { INIT QUERY("rejected") RESULT, "<Auto>deniedall", "and one with no" },
    { INIT QUERY("rejected") DONE("shellToolCall", "{}", "{\"rejected\":{}}") RESULT,
      "<Auto>denied]all", "the tool says so too: told once" },
    { INIT QUERY("rejected") QUERY("rejected") RESULT, "<Auto>denieddeniedall", "two of them" },
};

static void streams_mean_the_same_wherever_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        size_t len = strlen(streams[i].bytes);

        for (size_t cut = 0; cut <= len; cut++) {
            struct buf out;
            struct agent_summary summary;

            buf_init(&out, 65536);
            feed(&dialect_cursor, streams[i].bytes, len, cut, &out, &summary);
            CHECK_TEXT(buf_text(&out), streams[i].want, streams[i].because);
            buf_deinit(&out);
        }
    }
}

static void tools_have_short_and_harmless_titles(void **state)
{
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        { STARTED("readToolCall", "{\"path\":\"/srv/qa/a.txt\"}"), "Reading a.txt" },
        { STARTED("readToolCall", "{\"path\":\"/\"}"), "Reading /" },
        { STARTED("readToolCall", "{}"), "Reading a file" },
        { STARTED("editToolCall", "{\"path\":\"b.c\",\"streamContent\":\"SECRET\"}"),
          "Editing b.c" },
        { STARTED("lsToolCall", "{\"path\":\"/srv/qa/\"}"), "Listing qa" },
        { STARTED("readToolCall", "{\"path\":\"/x/<!channel>\\n`&.txt\"}"),
          "Reading ?!channel? ??.txt" },
        { STARTED("shellToolCall", "{\"command\":\"echo SECRET\"}"), "Running a command" },
        { STARTED("mcpToolCall", "{\"toolName\":\"search_docs\",\"args\":{\"k\":\"SECRET\"}}"),
          "Using search_docs" },
        { STARTED("mcpToolCall", "{}"), "Using a tool" },
        { STARTED("brandNewToolCall", "{\"path\":\"SECRET\"}"), "Using a tool" },
        { "{\"type\":\"tool_call\",\"subtype\":\"started\",\"tool_call\":{\"function\":{"
          "\"name\":\"lookup\",\"arguments\":\"SECRET\"}}}\n",
          "Using lookup" },
        { "{\"type\":\"tool_call\",\"subtype\":\"started\",\"tool_call\":[1]}\n",
          "Using a tool" },
        { STARTED(
              "readToolCall",
              "{\"path\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"),
          "Reading aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
        /* Of a secret that is cut nothing would be left to know it by. */
        { STARTED("readToolCall", "{\"path\":\"half-of/a-secret-with-a-slash\"}"),
          "Reading ???" },
        { STARTED("readToolCall", "{\"path\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
                                  "half-of/a-secret-with-a-slash\"}"),
          "Reading aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ???" },
    };

    (void)state;
    log_add_secret("half-of/a-secret-with-a-slash");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out, want;
        struct agent_summary summary;

        buf_init(&out, 65536);
        buf_init(&want, 65536);
        buf_printf(&want, "<>[%s", cases[i].want);
        feed(&dialect_cursor, cases[i].bytes, strlen(cases[i].bytes), 0, &out, &summary);
        CHECK_TEXT(buf_text(&out), buf_text(&want), cases[i].bytes);
        buf_deinit(&out);
        buf_deinit(&want);
    }
}

static void a_rejected_tool_is_told(void **state)
{
    struct buf out;
    struct agent_summary summary;
    static const char bytes[] =
        DONE("shellToolCall", "{\"command\":\"id\"}", "{\"rejected\":{\"reason\":\"no\"}}");

    (void)state;
    buf_init(&out, 4096);
    feed(&dialect_cursor, bytes, strlen(bytes), 0, &out, &summary);
    CHECK_TEXT(buf_text(&out), "<>denied]", "denied, then done");
    buf_deinit(&out);
}

static void the_result_decides_and_counts(void **state)
{
    static const struct {
        const char *bytes;
        bool has_result, is_error;
        int64_t input_tokens, cache_write_tokens;
        size_t skipped;
    } cases[] = {
        { RESULT, true, false, 5, 8, 0 },
        { "{\"type\":\"result\",\"is_error\":false,\"usage\":{\"inputTokens\":-1}}", true,
          false, -1, -1, 0 },
        { "{\"type\":\"result\",\"is_error\":true,\"result\":\"bad\"}", true, true, -1, -1, 0 },
        { "{\"type\":\"result\",\"subtype\":\"error\"}", true, true, -1, -1, 0 },
        { "banner\n{broken\n[]\n{}\nstdout: {\"type\":\"result\"}\n", false, false, -1, -1, 5 },
        { INIT, false, false, -1, -1, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        struct agent_summary summary;

        buf_init(&out, 65536);
        feed(&dialect_cursor, cases[i].bytes, strlen(cases[i].bytes), 0, &out, &summary);
        CHECK_INT(summary.has_result, cases[i].has_result, cases[i].bytes);
        CHECK_INT(summary.is_error, cases[i].is_error, cases[i].bytes);
        CHECK_INT(summary.input_tokens, cases[i].input_tokens, cases[i].bytes);
        CHECK_INT(summary.cache_write_tokens, cases[i].cache_write_tokens, cases[i].bytes);
        CHECK_INT(summary.skipped_lines, cases[i].skipped, cases[i].bytes);
        buf_deinit(&out);
    }
}

static void a_line_without_end_is_skipped(void **state)
{
    struct agent_stream *stream = agent_stream_new(&dialect_cursor);
    struct buf out;
    char *block = calloc(1, 65536);

    (void)state;
    memset(block, 'x', 65536);
    buf_init(&out, 65536);
    agent_stream_feed(stream, "{\"type\":\"", 9);
    for (size_t fed = 0; fed <= AGENT_LINE_MAX_BYTES * 2; fed += 65536)
        agent_stream_feed(stream, block, 65536);
    agent_stream_feed(stream, "\"}\n" INIT DELTA("a"), strlen("\"}\n" INIT DELTA("a")));
    render(stream, &out);
    CHECK_TEXT(buf_text(&out), "<Auto>a", "the lines after it count");
    CHECK_INT(agent_stream_summary(stream)->skipped_lines, 1, "and it is counted");
    agent_stream_free(stream);
    buf_deinit(&out);
    free(block);
}

static void deep_nesting_is_only_a_bad_line(void **state)
{
    struct agent_stream *stream = agent_stream_new(&dialect_cursor);
    struct buf out;

    (void)state;
    buf_init(&out, 65536);
    agent_stream_feed(stream, "{\"type\":", 8);
    for (int i = 0; i < 100000; i++)
        agent_stream_feed(stream, "[", 1);
    agent_stream_feed(stream, "\n" DELTA("a"), strlen("\n" DELTA("a")));
    render(stream, &out);
    CHECK_TEXT(buf_text(&out), "<>a", "the lines after it count");
    agent_stream_free(stream);
    buf_deinit(&out);
}

static void events_can_be_taken_in_any_rhythm(void **state)
{
    struct agent_stream *stream = agent_stream_new(&dialect_cursor);
    struct buf out;
    struct agent_event event;

    (void)state;
    buf_init(&out, (size_t)1024 * 1024);
    for (int i = 0; i < 200; i++) {
        agent_stream_feed(stream, TOOL DELTA("x"), strlen(TOOL DELTA("x")));
        if (i % 3 == 0 && agent_stream_take(stream, &event))
            buf_append_char(&out, '.');
    }
    render(stream, &out);
    CHECK_INT(out.len > 200, 1, "nothing is lost");
    agent_stream_free(stream);
    buf_deinit(&out);
}

static void text_is_passed_on_whole_characters_at_a_time(void **state)
{
    static const char bytes[] = "a \xf0\x9f\x98\x80 caf\xc3\xa9\n\xff.";
    struct agent_summary summary;

    (void)state;
    for (size_t cut = 0; cut < sizeof(bytes); cut++) {
        struct buf out;

        buf_init(&out, 4096);
        feed(&dialect_text, bytes, sizeof(bytes) - 1, cut, &out, &summary);
        CHECK_TEXT(buf_text(&out), "<>a \xf0\x9f\x98\x80 caf\xc3\xa9\n\xef\xbf\xbd.",
                   "wherever it is cut");
        CHECK_INT(summary.has_text, 1, "there is text");
        buf_deinit(&out);
    }
}

static void dialects_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(dialect_find("cursor"), &dialect_cursor);
    assert_ptr_equal(dialect_find("text"), &dialect_text);
    assert_ptr_equal(dialect_get(AGENT_DIALECT_TEXT), &dialect_text);
    assert_null(dialect_find("nonsense"));
}

static void error_output_is_classified(void **state)
{
    static const struct {
        const char *text;
        enum agent_outcome want;
    } cases[] = {
        { "Error: Authentication required. Please run 'agent login' first",
          AGENT_NOT_AUTHENTICATED },
        { "\xe2\x9a\xa0 Warning: The provided API key is invalid.", AGENT_NOT_AUTHENTICATED },
        { "\xe2\x9a\xa0 Workspace Trust Required", AGENT_UNTRUSTED_WORKSPACE },
        { "Cannot use this model: x. Available models: a", AGENT_BAD_MODEL },
        { "error: unknown option '--x'", AGENT_BAD_OPTION },
        { "You've hit your usage limit {\"x\":\"[resource_exhausted]\"}", AGENT_USAGE_LIMIT },
        { "RetriableError: [resource_exhausted]", AGENT_OVERLOADED },
        { "ENOENT: rename 'cli-config.json.tmp'", AGENT_CONFIG_RACE },
        { "Segmentation fault", AGENT_NO_RESULT },
        { "", AGENT_NO_RESULT },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(agent_outcome_classify(cases[i].text), cases[i].want, cases[i].text);
}

static void terminal_sequences_are_stripped(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "\033[33mwarn\033[0m", "warn" },
        { "a\033]0;title\ab", "ab" },
        { "a\033]8;;x\033\\b", "ab" },
        { "a\033(Bb", "aBb" },
        { "a\033", "a" },
        { "a\033[", "a" },
        { "a\033[12", "a" },
        { "a\033]12", "a" },
        { "plain", "plain" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;

        buf_init(&out, 4096);
        agent_outcome_strip_ansi(&out, cases[i].text, strlen(cases[i].text));
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].text);
        buf_deinit(&out);
    }
}

static void a_cause_is_short_and_holds_no_secret(void **state)
{
    struct agent_summary summary = { .input_tokens = -1 };
    struct agent_evidence evidence = { .launch_step = "", .launch_text = "" };
    struct agent_result result = { 0 };
    static const char secrets[] = " a-very-secret-key xoxb-1234-5678-abcdef ";
    char *errors = calloc(1, 9000);

    (void)state;
    log_add_secret("a-very-secret-key");
    memset(errors, 'e', 8000);
    memcpy(errors + 7900, secrets, sizeof(secrets) - 1);
    evidence.summary = &summary;
    evidence.error_output = errors;
    evidence.error_output_len = strlen(errors);
    evidence.has_status = true;
    evidence.status.si_code = CLD_EXITED;
    evidence.status.si_status = 1;
    agent_outcome_decide(&evidence, &result);
    CHECK_INT(result.outcome, AGENT_NO_RESULT, "nothing known");
    CHECK_HOLDS(result.cause, "exit status 1", "the status");
    CHECK_INT(strstr(result.cause, "a-very-secret-key") == NULL, 1, "masked");
    CHECK_INT(strstr(result.cause, "1234-5678") == NULL, 1, "masked");
    CHECK_INT(strlen(result.cause) < 2200, 1, "only a tail");
    free(errors);
}

TEST_MAIN(TEST(streams_mean_the_same_wherever_they_are_cut),
          TEST(tools_have_short_and_harmless_titles), TEST(a_rejected_tool_is_told),
          TEST(the_result_decides_and_counts), TEST(a_line_without_end_is_skipped),
          TEST(deep_nesting_is_only_a_bad_line), TEST(events_can_be_taken_in_any_rhythm),
          TEST(text_is_passed_on_whole_characters_at_a_time), TEST(dialects_are_found_by_name),
          TEST(error_output_is_classified), TEST(terminal_sequences_are_stripped),
          TEST(a_cause_is_short_and_holds_no_secret))
