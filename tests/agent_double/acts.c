#include "tests/agent_double/acts.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "tests/agent_double/acts_leak.h"
#include "tests/agent_double/acts_stdin.h"
#include "tests/agent_double/acts_write.h"
#include "tests/agent_double/chats.h"
#include "tests/agent_double/context.h"
#include "tests/agent_double/emit.h"
#include "tests/agent_double/history.h"
#include "tests/agent_double/hostile.h"
#include "tests/agent_double/personality.h"
#include "tests/agent_double/record.h"
#include "tests/agent_double/summary.h"

static void complain(const char *text)
{
    dprintf(STDERR_FILENO, "%s", text);
}

static void wait_for_ever(void)
{
    for (;;)
        pause();
}

static int64_t number(const struct stage *stage, const char *key, int64_t otherwise)
{
    return scenario_number(stage->scenario, key, otherwise);
}

/* Much output, a little answer: what an agent does that reads files and ponders. */
static int play_ponder(const struct stage *stage)
{
    char thought[1001];

    memset(thought, 'z', sizeof(thought) - 1);
    thought[sizeof(thought) - 1] = '\0';
    emit_opening();
    for (int64_t left = number(stage, "bytes", 1000000); left > 0; left -= 1000) {
        emit_thinking(thought);
        emit_pause((int)number(stage, "pause_ms", 0));
    }
    emit_words("I have pondered it.", 0);
    emit_result();
    return 0;
}

/* --- refusals --------------------------------------------------------------------------- */

int act_refuse_trust(void)
{
    complain("\xe2\x9a\xa0 Workspace Trust Required\n\nPass --trust, --yolo, or -f to run "
             "without being asked.\n");
    return 1;
}

static int play_auth(const struct stage *stage)
{
    (void)stage;
    return personality()->refuse(REFUSAL_LOGIN);
}

static int play_badkey(const struct stage *stage)
{
    (void)stage;
    return personality()->refuse(REFUSAL_KEY);
}

static int play_trust(const struct stage *stage)
{
    (void)stage;
    return act_refuse_trust();
}

static int play_trust0(const struct stage *stage)
{
    (void)stage;
    act_refuse_trust();
    return 0;
}

static int play_trusthang(const struct stage *stage)
{
    (void)stage;
    act_refuse_trust();
    wait_for_ever();
    return 0;
}

static int play_badmodel(const struct stage *stage)
{
    (void)stage;
    return personality()->refuse(REFUSAL_MODEL);
}

static int play_badflag(const struct stage *stage)
{
    (void)stage;
    complain("error: unknown option '--stream-partial-output'\n(Did you mean "
             "--output-format?)\n");
    return 1;
}

static int play_limit(const struct stage *stage)
{
    if (number(stage, "init", 0))
        emit_opening();
    return personality()->refuse(REFUSAL_LIMIT);
}

static int play_exhausted(const struct stage *stage)
{
    if (number(stage, "init", 0))
        emit_opening();
    return personality()->refuse(REFUSAL_OVERLOAD);
}

/* Until somebody makes the file `file=` (default: `gate` beside it). */
static void wait_at_gate(const struct stage *stage)
{
    AUTO_FREE char *otherwise =
        xasprintf("%s/gate", stage->scenario->directory[0] ? stage->scenario->directory : ".");
    AUTO_FREE char *path = xstrdup(scenario_text(stage->scenario, "file", otherwise));

    while (access(path, F_OK) != 0)
        emit_pause(10);
}

static int play_race(const struct stage *stage)
{
    if (scenario_count(stage->scenario) < number(stage, "times", 1)) {
        complain("Error: ENOENT: no such file or directory, rename "
                 "'/home/x/.cursor/cli-config.json.tmp' -> "
                 "'/home/x/.cursor/cli-config.json'\n");
        return 1;
    }
    emit_opening();
    emit_words("Now it works.", 0);
    emit_result();
    return 0;
}

static int play_flaky(const struct stage *stage)
{
    if (scenario_count(stage->scenario) < number(stage, "times", 1)) {
        if (number(stage, "tool", 0)) {
            emit_opening();
            emit_tool("call-a", "readToolCall", "{\"path\":\"/srv/qa/src/auth.c\"}", NULL);
        }
        return personality()->refuse(REFUSAL_OVERLOAD);
    }
    if (number(stage, "gate", 0))
        wait_at_gate(stage);
    emit_opening();
    emit_words("Now it works.", 0);
    emit_result();
    return 0;
}

/* --- answers ---------------------------------------------------------------------------- */

static void answer_history(const struct stage *stage, int pause_ms)
{
    struct history history;
    AUTO_FREE char *answer = NULL;
    AUTO_FREE char *given = NULL;
    AUTO_FREE char *notes = chats_answer();

    history_read(stage->prompt, &history);
    answer = history_answer(&history);
    history_deinit(&history);
    emit_words(answer, pause_ms);
    given = summary_given(stage->prompt);
    if (given) {
        emit_words(" A summary was there as well: ", pause_ms);
        emit_words(given, pause_ms);
    }
    if (notes)
        emit_words(notes, pause_ms);
}

static int play_ok(const struct stage *stage)
{
    emit_opening();
    answer_history(stage, (int)number(stage, "pause_ms", 0));
    emit_result();
    return 0;
}

static int play_echo(const struct stage *stage)
{
    struct history history;

    emit_opening();
    history_read(stage->prompt, &history);
    emit_words(history.question, 0);
    history_deinit(&history);
    emit_result();
    return 0;
}

/* What the prompt says of the person who asks. */
static int play_person(const struct stage *stage)
{
    struct context context;
    AUTO_FREE char *text = NULL;

    context_read(stage->prompt, &context);
    text = xstrdup_or_null(context.fault ? context.fault : context_text(&context, "person"));
    context_deinit(&context);
    for (char *c = text ? strchr(text, '\n') : NULL; c; c = strchr(c, '\n'))
        *c = ' ';
    emit_opening();
    emit_words(text ? text : "I was told nothing of you.", 0);
    emit_result();
    return 0;
}

/* Words for `seconds`, then the usual answer. */
static int play_slow(const struct stage *stage)
{
    int64_t end_ms = clock_now_ms() + number(stage, "seconds", 5) * 1000;
    int pause_ms = (int)number(stage, "pause_ms", 200);

    emit_opening();
    for (int i = 1; clock_now_ms() < end_ms; i++) {
        char word[32];

        snprintf(word, sizeof(word), "word%d ", i);
        emit_delta(word);
        emit_pause(pause_ms);
    }
    answer_history(stage, 0);
    emit_result();
    return 0;
}

static int play_gate(const struct stage *stage)
{
    emit_opening();
    emit_words("The gate is closed. ", 0);
    wait_at_gate(stage);
    emit_words("The gate is open. ", 0);
    answer_history(stage, 0);
    emit_result();
    return 0;
}

static int play_markup(const struct stage *stage)
{
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, (size_t)256 * 1024);
    buf_append_text(&text, "<!channel> <!here> <@U123> <!subteam^S1|x> & < > *bold* _it_\n\n"
                           "```c\nint main(void) { return 0; }\n```\n\n");
    while (text.len < (size_t)number(stage, "bytes", 50000))
        buf_printf(&text, "Line %zu of a long answer with `code` in it.\n", text.len);
    emit_opening();
    emit_words(buf_text(&text), 0);
    emit_result();
    return 0;
}

static int play_tools(const struct stage *stage)
{
    int pause_ms = (int)number(stage, "pause_ms", 20);
    static const char read_args[] = "{\"path\":\"/srv/qa/src/auth.c\"}";
    static const char shell_args[] =
        "{\"command\":\"curl -H 'Authorization: Bearer SECRET' https://x\"}";

    emit_opening();
    if (!number(stage, "silent", 0)) {
        emit_words("First I look at the files.", 0);
        emit_flush_before_tool();
    }
    emit_tool("call-a\nfc_a", "readToolCall", read_args, NULL);
    emit_pause(pause_ms);
    emit_tool("call-b", "grepToolCall", "{\"pattern\":\"jwt\",\"path\":\"/srv/qa\"}", NULL);
    emit_pause(pause_ms);
    if (number(stage, "gate", 0))
        wait_at_gate(stage);
    emit_tool("call-a\nfc_a", "readToolCall", read_args,
              "{\"success\":{\"content\":\"int x;\\n\",\"isEmpty\":false,\"totalLines\":1}}");
    emit_tool("call-b", "grepToolCall", "{\"pattern\":\"jwt\",\"path\":\"/srv/qa\"}",
              "{\"success\":{\"pattern\":\"jwt\"}}");
    emit_words("Then I try a command.", 0);
    emit_flush_before_tool();
    emit_tool("call-c", "shellToolCall", shell_args, NULL);
    emit_pause(pause_ms);
    emit_tool("call-c", "shellToolCall", shell_args,
              "{\"rejected\":{\"command\":\"curl\",\"reason\":\"not allowed\"}}");
    answer_history(stage, 0);
    emit_result();
    return 0;
}

/* Legal, and easily read wrongly: each paragraph is one trap of the partial output. */
static int play_variants(const struct stage *stage)
{
    static const char args[] = "{\"path\":\"a.txt\"}";

    (void)stage;
    emit_opening();
    emit_delta("ha");
    emit_delta("ha");
    emit_flush_as("haha", true);
    emit_tool("call-1", "readToolCall", args, NULL);
    emit_raw_text("{\"type\":\"brand_new\",\"numbers\":[9007199254740993,1e300,"
                  "123456789012345678901234567890]}\n\n");
    emit_tool("call-1", "readToolCall", args, "{\"success\":{\"contentBlobId\":\"b1\"}}");
    emit_delta("extended");
    emit_flush_as("extended further", true);
    emit_tool("call-2", "readToolCall", args, NULL);
    emit_tool("call-2", "readToolCall", args, "{\"success\":{}}");
    emit_raw_text("{\"timestamp_ms\":1,\"message\":{\"content\":[{\"text\":\"caf\\u00e9 "
                  "\\ud83d\\ude00 a\\/b\",\"type\":\"text\"}],\"role\":\"assistant\"},"
                  "\"type\":\"assistant\"}\n");
    emit_raw_text("{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":"
                  "[{\"type\":\"text\",\"text\":\"caf\\u00e9 \\ud83d\\ude00 a/b\"}]}}\n");
    emit_result_with(false, "");
    return 0;
}

/* --- endings that go wrong -------------------------------------------------------------- */

static int play_noresult1(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_words("A partial answer", 0);
    for (int i = 1; i <= 3; i++) {
        emit_connection("connection", "reconnecting", i);
        emit_connection("retry", "starting", i);
    }
    complain("Error: Connection failed repeatedly\n");
    return 1;
}

static int play_noresult0(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_words("A partial answer", 0);
    return 0;
}

static int play_iserror(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_result_with(true, "the model refused");
    return 0;
}

static int play_empty0(const struct stage *stage)
{
    (void)stage;
    return 0;
}

static int play_hang0(const struct stage *stage)
{
    (void)stage;
    wait_for_ever();
    return 0;
}

static int play_hangmid(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_words("A partial answer", 0);
    wait_for_ever();
    return 0;
}

static int play_hangend(const struct stage *stage)
{
    play_ok(stage);
    wait_for_ever();
    return 0;
}

static int play_chatter(const struct stage *stage)
{
    emit_init();
    for (int i = 1;; i++) {
        emit_connection("connection", "reconnecting", i);
        emit_pause((int)number(stage, "pause_ms", 10));
    }
    return 0;
}

static int play_crashmid(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_words("A partial answer", 0);
    emit_raw_text("{\"type\":\"assistant\",\"message\":{\"role\":\"ass");
    abort();
}

static int play_fastexit(const struct stage *stage)
{
    (void)stage;
    complain("Error: something unheard of\n");
    return 1;
}

static int play_igterm(const struct stage *stage)
{
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    return play_hangmid(stage);
}

static int play_termclean(const struct stage *stage)
{
    sigset_t wanted;
    int got = 0;

    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    pthread_sigmask(SIG_BLOCK, &wanted, NULL);
    emit_opening();
    emit_words("A partial answer", 0);
    sigwait(&wanted, &got);
    record_signal(stage->scenario, got);
    complain("Aborting operation...\n");
    return 128 + got;
}

static int play_stopped(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    raise(SIGSTOP);
    wait_for_ever();
    return 0;
}

static int play_closeout(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_words("A partial answer", 0);
    close(STDOUT_FILENO);
    wait_for_ever();
    return 0;
}

/* --- bytes that are not what they should be ----------------------------------------------- */

static int play_nonl(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_words("No newline at the end.", 0);
    emit_raw_text(
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":"
        "\"No newline at the end.\",\"usage\":{\"inputTokens\":1,\"outputTokens\":2}}");
    return 0;
}

static int play_garbage(const struct stage *stage)
{
    static const char binary[] = "\x00\x01\xff\xfe\x80 binary\n";

    emit_raw_text("Welcome to a banner\n\033[31mcoloured\033[0m\n");
    emit_raw(binary, sizeof(binary) - 1);
    emit_raw_text("stdout: {\"type\":\"result\"}\n{\"type\":\n[1,2]\n{}\n\"text\"\n");
    return play_ok(stage);
}

static int play_badutf8(const struct stage *stage)
{
    (void)stage;
    emit_opening();
    emit_raw_text("{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":"
                  "[{\"type\":\"text\",\"text\":\"a\xff\xc3z\"}]},\"timestamp_ms\":1}\n");
    emit_result_with(false, "");
    return 0;
}

static int play_nul(const struct stage *stage)
{
    static const char line[] =
        "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"be\0fo\\u0000re\"}]},\"timestamp_ms\":1}\n";

    (void)stage;
    emit_opening();
    emit_raw(line, sizeof(line) - 1);
    emit_result_with(false, "");
    return 0;
}

static int play_crlf(const struct stage *stage)
{
    (void)stage;
    emit_raw_text("{\"type\":\"system\",\"subtype\":\"init\",\"model\":\"Auto\"}\r\n\r\n"
                  "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":"
                  "[{\"type\":\"text\",\"text\":\"one\\r\\ntwo\"}]},\"timestamp_ms\":1}\r\n"
                  "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}\r\n");
    return 0;
}

static int play_bom(const struct stage *stage)
{
    emit_raw_text("\xef\xbb\xbf");
    return play_ok(stage);
}

static int play_splitutf8(const struct stage *stage)
{
    static const char line[] =
        "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"\xf0\x9f\x98\x80 "
        "caf\xc3\xa9\"}]},\"timestamp_ms\":1}\n";
    const char *at = strstr(line, "\xf0") + 2;
    int pause_ms = (int)number(stage, "pause_ms", 30);

    emit_opening();
    emit_raw(line, (size_t)(at - line));
    emit_pause(pause_ms);
    emit_raw_text(at);
    emit_result_with(false, "");
    return 0;
}

/* One byte at a time. */
static int play_slowdrip(const struct stage *stage)
{
    static const char lines[] =
        "{\"type\":\"system\",\"subtype\":\"init\",\"model\":\"Auto\"}\n"
        "{\"type\":\"assistant\",\"message\":{\"role\":\"assistant\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"drip\"}]},\"timestamp_ms\":1}\n"
        "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}\n";
    int pause_ms = (int)number(stage, "pause_ms", 2);

    for (const char *at = lines; *at; at++) {
        emit_raw(at, 1);
        emit_pause(pause_ms);
    }
    return 0;
}

static void emit_filler(int64_t bytes)
{
    char filler[65536];

    memset(filler, 'x', sizeof(filler));
    for (; bytes > 0; bytes -= (int64_t)sizeof(filler))
        emit_raw(filler, sizeof(filler));
}

static int play_longline(const struct stage *stage)
{
    emit_opening();
    emit_raw_text("{\"type\":\"tool_call\",\"x\":\"");
    emit_filler(number(stage, "bytes", (int64_t)40 * 1024 * 1024));
    emit_raw_text("\"}\n");
    emit_words("After the long line.", 0);
    emit_result();
    return 0;
}

static int play_flood(const struct stage *stage)
{
    AUTO_FREE char *word = xcalloc(1, 4001);

    memset(word, 'y', 4000);
    emit_opening();
    for (int64_t left = number(stage, "bytes", (int64_t)1024 * 1024 * 1024); left > 0;
         left -= 4000)
        emit_delta(word);
    emit_result();
    return 0;
}

static int play_errflood(const struct stage *stage)
{
    emit_opening();
    for (int64_t left = number(stage, "bytes", (int64_t)100 * 1024 * 1024); left > 0;
         left -= 64) {
        complain("noise noise noise noise noise noise noise noise noise noise 63\n");
        if (left % (1 << 18) < 64)
            emit_pause(1); /* so that a reader can keep up */
    }
    complain("the end of the noise\n");
    return play_ok(stage);
}

/* --- what is left behind ------------------------------------------------------------------ */

/* A process that stays, in the group `group` (0: its own; -1: ours). */
static pid_t start_sleeper(const char *program, const char *option, pid_t group)
{
    char *words[] = { (char *)program, (char *)"sleep", (char *)"infinity", NULL, NULL };
    posix_spawnattr_t attributes;
    pid_t child = 0;

    if (option) { /* setsid -f sleep infinity */
        words[1] = (char *)option;
        words[2] = (char *)"sleep";
        words[3] = (char *)"infinity";
    }
    posix_spawnattr_init(&attributes);
    if (group >= 0) {
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
        posix_spawnattr_setpgroup(&attributes, group);
    }
    if (posix_spawnp(&child, program, NULL, &attributes, words, environ) != 0)
        _exit(3);
    posix_spawnattr_destroy(&attributes);
    return child;
}

static int leave_child(const struct stage *stage, bool leaves_session)
{
    play_ok(stage);
    if (leaves_session)
        waitpid(start_sleeper("setsid", "-f", -1), NULL, 0);
    else
        start_sleeper("env", NULL, -1);
    return 0;
}

static int play_orphan(const struct stage *stage)
{
    return leave_child(stage, false);
}

static int play_orphansid(const struct stage *stage)
{
    return leave_child(stage, true);
}

/* A shell in a group of its own, on which the result waits. */
static int play_bgshell(const struct stage *stage)
{
    pid_t child = start_sleeper("env", NULL, 0);

    (void)stage;
    emit_opening();
    emit_tool("call-bg", "shellToolCall", "{\"command\":\"sleep 1000\",\"isBackground\":true}",
              NULL);
    waitpid(child, NULL, 0);
    emit_result();
    return 0;
}

static int play_forkbomb(const struct stage *stage)
{
    for (int64_t i = number(stage, "children", 200); i > 0; i--)
        start_sleeper("env", NULL, -1);
    return play_ok(stage);
}

static const struct act acts[] = {
    { "ok", false, play_ok },
    { "echo", false, play_echo },
    { "leak", false, play_leak },
    { "ponder", false, play_ponder },
    { "person", false, play_person },
    { "slow", false, play_slow },
    { "write", false, play_write },
    { "gate", false, play_gate },
    { "markup", false, play_markup },
    { "tools", false, play_tools },
    { "variants", false, play_variants },
    { "auth", true, play_auth },
    { "badkey", true, play_badkey },
    { "trust", true, play_trust },
    { "trust0", true, play_trust0 },
    { "trusthang", true, play_trusthang },
    { "badmodel", true, play_badmodel },
    { "badflag", true, play_badflag },
    { "limit", false, play_limit },
    { "exhausted", false, play_exhausted },
    { "race", false, play_race },
    { "flaky", false, play_flaky },
    { "noresult1", false, play_noresult1 },
    { "noresult0", false, play_noresult0 },
    { "iserror", false, play_iserror },
    { "empty0", true, play_empty0 },
    { "hang0", true, play_hang0 },
    { "hangmid", false, play_hangmid },
    { "hangend", false, play_hangend },
    { "chatter", false, play_chatter },
    { "crashmid", false, play_crashmid },
    { "fastexit", true, play_fastexit },
    { "igterm", false, play_igterm },
    { "termclean", false, play_termclean },
    { "stopped", false, play_stopped },
    { "closeout", false, play_closeout },
    { "nostdin", true, play_ok },
    { "outfirst", true, play_outfirst },
    { "closestdin", true, play_closestdin },
    { "nonl", false, play_nonl },
    { "garbage", false, play_garbage },
    { "badutf8", false, play_badutf8 },
    { "nul", false, play_nul },
    { "crlf", false, play_crlf },
    { "bom", false, play_bom },
    { "splitutf8", false, play_splitutf8 },
    { "slowdrip", false, play_slowdrip },
    { "longline", false, play_longline },
    { "flood", false, play_flood },
    { "errflood", false, play_errflood },
    { "orphan", false, play_orphan },
    { "orphansid", false, play_orphansid },
    { "bgshell", false, play_bgshell },
    { "forkbomb-lite", false, play_forkbomb },
    { "hostile", false, hostile_play },
    { "files", false, act_files },
};

/* Whatever the scenario does with turns: its parameter "summary" says what is done with this.
 */
static int play_summary(const struct stage *stage)
{
    const char *how = scenario_text(stage->scenario, "summary", "ok");
    AUTO_FREE char *answer = summary_answer(stage->prompt);

    emit_opening();
    if (strcmp(how, "hang") == 0)
        wait_for_ever();
    if (strcmp(how, "fail") == 0) {
        complain("Error: Connection failed repeatedly\n");
        return 1;
    }
    if (strcmp(how, "refuse") == 0)
        emit_words("I cannot summarize this conversation.", 0);
    else if (strcmp(how, "echo") == 0)
        emit_words(stage->prompt, 0);
    else if (strcmp(how, "unrelated") == 0)
        emit_words("Bees gather nectar while clouds drift over distant mountains.", 0);
    else if (strcmp(how, "long") == 0)
        for (int i = 0; i < 2000; i++)
            emit_words(answer, 0);
    else if (strcmp(how, "empty") != 0)
        emit_words(answer, 0);
    emit_result();
    return 0;
}

const struct act act_summary = { "summary", false, play_summary };

const struct act *act_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        if (strcmp(acts[i].name, name) == 0)
            return &acts[i];
    }
    return NULL;
}
