#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/harness_inside.h"
#include "tests/scenario/scenario.h"

#define KEY           "U0ALICE:C0DEV:1790000000.000100"
#define QUESTIONS     1000
#define TEXT_MAX      (8 << 20)
#define ARGUMENTS_MAX 8

static void check_exit(struct program program, int status, const char *because)
{
    if (program.status != status)
        fail_msg("status %d, want %d: %s\n%s%s", program.status, status, because, program.out,
                 program.err);
}

/* `threadkeeper memory ...`, words separated by '|'. */
static struct program memory(struct harness *h, const char *input, const char *line)
{
    AUTO_FREE char *copy = xstrdup(line);
    const char *words[ARGUMENTS_MAX] = { NULL };
    char *rest = copy;
    size_t count = 0;

    for (char *word = strsep(&rest, "|"); word; word = strsep(&rest, "|")) {
        assert_true(count < ARGUMENTS_MAX);
        words[count++] = word;
    }
    return run_threadkeeper(h, input, "memory", words[0], words[1], words[2], words[3],
                            words[4], words[5], words[6], words[7], NULL);
}

static void check_out(struct harness *h, const char *line, const char *want)
{
    struct program program = memory(h, "", line);

    check_exit(program, 0, line);
    CHECK_TEXT(program.out, want, line);
}

/* What was said long ago is still of this session. */
static void remember_long(struct harness *h)
{
    harness_set(h, "memory", "retention: 3650d");
    harness_set(h, "memory", "session_ttl: 3650d");
}

static const char few_turns[] =
    "{\"key\":\"" KEY "\",\"role\":\"user\",\"author\":\"U0ALICE\",\"text\":\"we sign tokens "
    "with JWT\",\"at\":1790000000}\n"
    "{\"key\":\"" KEY
    "\",\"role\":\"assistant\",\"author\":\"\",\"text\":\"noted:\\n  \\\"JWT\\\" "
    "\xc3\xa9\\t\\u001B[31m\",\"at\":1790000005.25}\n"
    "{\"key\":\"D0BOB\",\"role\":\"system\",\"author\":\"\",\"text\":\"\",\"at\":1790000000."
    "1234567,"
    "\"slack_ts\":\"1790000000.000200\",\"run\":{\"id\":7,\"cost\":0.5},\"note\":\"kept\"}\n";

/* ---- nothing yet --------------------------------------------------------------------------
 */

static void check_nothing_is_read(struct harness *h)
{
    check_out(h, "get|K|f|--default|7", "7\n");
    check_out(h, "get-list|K|f", "[]\n");
    check_out(h, "list-length|K|f", "0\n");
    check_out(h, "count|K", "0\n");
    check_out(h, "list|--json", "[]\n");
    check_out(h, "search|word|--json", "[]\n");
    check_out(h, "export", "");
    check_exit(memory(h, "", "contains|K|f"), 1, "false");
    check_exit(memory(h, "", "context|K|which?"), 0, "an empty context");
    CHECK_HOLDS(memory(h, "", "stats|--json").out, "\"turns\":0", "zeros");
}

static void what_is_not_there_yet_reads_as_empty(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *db = xasprintf("%s/state/threadkeeper.db", harness_dir(h));
    AUTO_FREE char *fresh = xasprintf("files: { dir: %s/fresh }", harness_dir(h));
    AUTO_FREE char *wal = xasprintf("%s-wal", db);
    AUTO_FREE char *shm = xasprintf("%s-shm", db);

    remember_long(h);
    check_nothing_is_read(h);
    CHECK_INT(access(db, F_OK), -1, "reading makes nothing");
    check_exit(memory(h, "", "set|K|f|1"), 0, "writing makes it");
    assert_int_equal(truncate(db, 0), 0);
    unlink(wal);
    unlink(shm);
    check_nothing_is_read(h);
    check_exit(memory(h, "", "set|K|f|1"), 0, "and makes an empty file whole");
    check_out(h, "get|K|f", "1\n");
    harness_set(h, "memory", "store: files");
    harness_set(h, "memory", fresh);
    check_nothing_is_read(h);
    check_exit(memory(h, few_turns, "import"), 0, "into files");
    unlink(db);
    unlink(wal);
    unlink(shm);
    check_out(h, "count|" KEY, "2\n");
}

static void small_slips_are_understood_or_named(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *marked = xasprintf("\xef\xbb\xbf%s", few_turns);
    struct program program;

    remember_long(h);
    program = memory(h, marked, "import");
    check_exit(program, 0, "a byte order mark");
    CHECK_TEXT(program.out, "3 turns imported, 0 were there already\n", "all lines");
    CHECK_TEXT(program.err, "", "nothing about its own start");
    program = memory(h, "\xef\xbb\xbfwhich?\n", "context|" KEY "|-");
    CHECK_HOLDS(program.out, "{\"question\":\"which?\"", "in a question");
    check_exit(memory(h, "", "set|K|f|1|--ttl|7200"), 0, "seconds");
    check_out(h, "ttl|K|1800", "1\n");
    check_exit(memory(h, "", "ttl|K|0"), 2, "no time at all");
    check_exit(memory(h, "", "ttl|K|9223372036854775807"), 2, "too long");
    check_exit(memory(h, "", "list|--pattern="), 2, "empty");
    check_exit(memory(h, "", "forget|--conversation="), 2, "empty");
    program = memory(h, "", "forget|--user=|--yes");
    check_exit(program, 2, "not everybody");
    CHECK_HOLDS(program.err, "--user wants a value", "named");
}

/* ---- in and out ---------------------------------------------------------------------------
 */

static void what_is_imported_is_exported(void **state)
{
    struct harness *h = *state;
    struct program program;
    const char *second;
    const char *third;

    remember_long(h);
    program = memory(h, few_turns, "import");
    check_exit(program, 0, "from stdin");
    CHECK_TEXT(program.out, "3 turns imported, 0 were there already\n", "counted");
    CHECK_TEXT(memory(h, few_turns, "import|-").out, "0 turns imported, 3 were there already\n",
               "again");
    program = memory(h, "", "export");
    check_exit(program, 0, "by key");
    second = strchr(few_turns, '\n') + 1;
    third = strchr(second, '\n') + 1;
    CHECK_INT(strncmp(program.out, third, strlen(third)), 0, "D0BOB comes first");
    CHECK_INT(strncmp(program.out + strlen(third), few_turns, (size_t)(third - few_turns)), 0,
              "byte for byte");
    program = memory(h, "", "export|" KEY);
    CHECK_INT(strlen(program.out), third - few_turns, "one conversation");
    check_exit(memory(h, "", "export|nobody"), 1, "no such conversation");
    program = memory(h, "", "export|--user|U0ALICE");
    CHECK_INT(strlen(program.out), third - few_turns, "by person");
    program = memory(h, "", "export|--pattern|D*");
    CHECK_TEXT(program.out, third, "by pattern");
}

static void what_was_imported_can_be_looked_at(void **state)
{
    struct harness *h = *state;
    struct program program;
    json_auto_t *list = NULL;
    json_auto_t *shown = NULL;
    json_auto_t *hits = NULL;

    remember_long(h);
    check_exit(memory(h, few_turns, "import"), 0, "import");
    program = memory(h, "", "list");
    CHECK_HOLDS(program.out, KEY, "by key");
    CHECK_HOLDS(program.out, "2 turns", "its size");
    program = memory(h, "", "list|--limit|1|--json");
    list = json_loads(program.out, 0, NULL);
    CHECK_INT(json_array_size(list), 1, "a page");
    CHECK_HOLDS(program.err, "more: --after 'D0BOB'", "the cursor");
    CHECK_HOLDS(memory(h, "", "list|--after|D0BOB").out, KEY, "the next page");
    CHECK_TEXT(memory(h, "", "list|--pattern|X*|--json").out, "[]\n", "nothing fits");
    program = memory(h, "", "show|" KEY);
    CHECK_HOLDS(program.out, "#1  user U0ALICE: we sign tokens with JWT\n", "a turn");
    CHECK_HOLDS(program.out, "\n      \"JWT\"", "further lines are indented");
    program = memory(h, "", "show|" KEY "|--json|--summaries");
    shown = json_loads(program.out, 0, NULL);
    CHECK_INT(json_array_size(json_object_get(shown, "turns")), 2, "turns");
    CHECK_INT(json_is_array(json_object_get(shown, "summaries")), 1, "summaries");
    program = memory(h, "", "show|" KEY "|--since|2026-09-21T14:13:25Z");
    CHECK_HOLDS(program.out, "#2", "what was said since");
    CHECK_INT(strstr(program.out, "#1") == NULL, 1, "not what was said before");
    CHECK_HOLDS(memory(h, "", "search|token").out, "we sign tokens", "found");
    program = memory(h, "", "search|jwt token|--json");
    hits = json_loads(program.out, 0, NULL);
    CHECK_TEXT(json_string_value(json_object_get(json_array_get(hits, 0), "key")), KEY, "best");
    CHECK_HOLDS(memory(h, "", "context|" KEY "|which tokens?").out, "we sign tokens with JWT",
                "what the agent would be told");
    CHECK_HOLDS(memory(h, "", "stats").out, "turns                  3", "figures");
    CHECK_HOLDS(memory(h, "", "stats|" KEY).out, "turns      2", "of one");
    check_exit(memory(h, "", "show|nobody"), 1, "no such conversation");
}

static void bad_lines_are_named(void **state)
{
    static const struct {
        const char *line;
        const char *says;
    } cases[] = {
        { "{\"key\":\"A\"", "stdin:2: that is no JSON object: " },
        { "[1]", "stdin:2: that is no JSON object" },
        { "{\"role\":\"user\",\"text\":\"a\",\"at\":1}", "stdin:2: \"key\" is missing" },
        { "{\"key\":7,\"role\":\"user\",\"text\":\"a\",\"at\":1}", "\"key\" is no string" },
        { "{\"key\":\"A\",\"role\":\"bot\",\"text\":\"a\",\"at\":1}",
          "\"role\" is 'bot', not user, assistant or system" },
        { "{\"key\":\"A\",\"role\":\"user\",\"at\":1}", "\"text\" is missing" },
        { "{\"key\":\"A\",\"role\":\"user\",\"text\":\"a\"}", "\"at\" is missing" },
        { "{\"key\":\"A\",\"role\":\"user\",\"text\":\"a\",\"at\":\"soon\"}",
          "'soon' is no time" },
        { "{\"key\":\"A\",\"role\":\"user\",\"text\":\"a\",\"at\":-1}",
          "\"at\" is not between" },
        { "{\"key\":\"A\",\"role\":\"user\",\"text\":\"\\u0000\",\"at\":1}", "stdin:2: " },
        { "{\"key\":\"A\",\"role\":\"user\",\"text\":\"\xff\",\"at\":1}", "stdin:2: " },
        { "{\"key\":\"\",\"role\":\"user\",\"text\":\"a\",\"at\":1}",
          "a key has 1 to 1024 bytes" },
    };
    static const char good[] =
        "{\"key\":\"A\",\"role\":\"user\",\"text\":\"good %s\",\"at\":1790000000}";
    struct harness *h = *state;

    remember_long(h);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *first = xasprintf(good, "first");
        AUTO_FREE char *last = xasprintf(good, "last");
        AUTO_FREE char *input = xasprintf("%s\n%s\n\n%s", first, cases[i].line, last);
        struct program program = memory(h, input, "import");

        check_exit(program, 1, cases[i].line);
        CHECK_HOLDS(program.err, cases[i].says, cases[i].line);
        if (i)
            continue;
        CHECK_TEXT(memory(h, "", "count|A").out, "1\n", "what came before it is there");
        program = memory(h, input, "import|--skip-bad");
        check_exit(program, 0, "passed over");
        CHECK_HOLDS(program.out, "1 turn imported, 1 was there already, 1 bad line passed",
                    "counted");
        CHECK_HOLDS(program.err, cases[i].says, "and named");
    }
    CHECK_TEXT(memory(h, "", "count|A").out, "2\n", "both good ones");
    check_exit(memory(h, "", "import|/nowhere/at/all"), 1, "no such file");
}

static void backups_and_copies_hold_everything(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *backup_dir = xasprintf("%s/backup", harness_dir(h));
    AUTO_FREE char *backup = xasprintf("backup|%s/threadkeeper.db", backup_dir);
    AUTO_FREE char *copy_back = xasprintf("copy|sqlite:%s|--dry-run", backup_dir);
    AUTO_FREE char *copy_itself = xasprintf("copy|sqlite:%s/./", harness_state_dir(h));
    AUTO_FREE char *to_files = xasprintf("copy|files:%s/files", harness_dir(h));
    AUTO_FREE char *files = xasprintf("files: { dir: %s/files }", harness_dir(h));
    struct program before;
    struct program program;

    remember_long(h);
    check_exit(memory(h, few_turns, "import"), 0, "import");
    check_exit(memory(h, "", "set|D0BOB|a|1|--ttl|never"), 0, "a field");
    before = memory(h, "", "export");
    assert_int_equal(mkdir(backup_dir, 0700), 0);
    check_exit(memory(h, "", backup), 0, "backup");
    program = memory(h, "", copy_back);
    check_exit(program, 0, "the backup opens");
    CHECK_HOLDS(program.out, "would be copied: 0 turns", "all is in it");
    program = memory(h, "", to_files);
    check_exit(program, 0, "into files");
    CHECK_HOLDS(program.out, "copied: 3 turns in 2 new conversations", "counted");
    CHECK_HOLDS(program.out, "1 fields", "counted");
    check_exit(memory(h, "", "copy|sqlite"), 1, "into itself");
    check_exit(memory(h, "", copy_itself), 1, "by whatever path");
    check_exit(memory(h, "", "copy|redis"), 1, "no such store");
    check_exit(memory(h, "", "copy"), 2, "where to?");
    harness_set(h, "memory", "store: files");
    harness_set(h, "memory", files);
    CHECK_TEXT(memory(h, "", "export").out, before.out, "the same from the other store");
    check_out(h, "get|D0BOB|a", "1\n");
}

/* ---- the context --------------------------------------------------------------------------
 */

static void a_thousand_questions_take_one_process(void **state)
{
    struct harness *h = *state;
    struct buf input;
    struct buf turns;
    struct program program;
    int64_t begun_ms;
    json_auto_t *answer = NULL;
    size_t lines = 0;

    remember_long(h);
    buf_init(&input, TEXT_MAX);
    buf_init(&turns, TEXT_MAX);
    for (int i = 0; i < 400; i++)
        buf_printf(
            &turns,
            "{\"key\":\"A:B:\\\"odd|\\u00e9\",\"role\":\"user\",\"author\":\"A\",\"text\":"
            "\"fact number %d is about subject %d\",\"at\":%d}\n",
            i, i * 7, 1790000000 + i);
    check_exit(memory(h, buf_text(&turns), "import"), 0, "import");
    for (int i = 0; i < QUESTIONS; i++)
        buf_printf(&input, "what about subject %d?\n", i % 2800);
    begun_ms = clock_now_ms();
    program = run_threadkeeper(h, buf_text(&input), "memory", "context", "A:B:\"odd|\xc3\xa9",
                               "-", "--budget", "300", NULL);
    check_exit(program, 0, "all answered");
    CHECK_INT(clock_now_ms() - begun_ms < harness_limit_ms(10000), 1, "quickly");
    for (const char *c = program.out; *c; c++)
        lines += *c == '\n';
    CHECK_INT(lines, QUESTIONS, "an answer each");
    answer = json_loads(program.out, JSON_DISABLE_EOF_CHECK, NULL);
    CHECK_TEXT(json_string_value(json_object_get(answer, "question")), "what about subject 0?",
               "its question");
    CHECK_INT(json_integer_value(json_object_get(answer, "tokens")) > 0, 1, "its tokens");
    CHECK_INT(json_integer_value(json_object_get(answer, "tokens")) <= 300, 1, "in the budget");
    CHECK_INT(json_is_object(json_object_get(answer, "receipt")), 1, "its receipt");
    CHECK_HOLDS(json_string_value(json_object_get(answer, "context")), "fact number",
                "its context");
    buf_deinit(&input);
    buf_deinit(&turns);
}

/* ---- beside the daemon --------------------------------------------------------------------
 */

static const char *only_key(struct harness *h)
{
    struct program program = memory(h, "", "list|--json");
    json_auto_t *list = json_loads(program.out, 0, NULL);
    static char key[256];

    CHECK_INT(json_array_size(list), 1, "one conversation");
    snprintf(key, sizeof(key), "%s",
             json_string_value(json_object_get(json_array_get(list, 0), "key")));
    return key;
}

static void the_daemon_is_looked_at_and_not_disturbed(void **state)
{
    struct harness *h = *state;
    struct program program;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the number is 4711");
    lab_wait_reply(h, ALICE_DM, NULL, "the number is 4711");
    lab_wait_idle(h, ALICE_DM, NULL);
    CHECK_TEXT(only_key(h), ALICE_DM, "its key");
    CHECK_HOLDS(memory(h, "", "show|" ALICE_DM).out, "the number is 4711", "what was said");
    CHECK_HOLDS(memory(h, "", "search|4711").out, ALICE_DM, "found");
    CHECK_HOLDS(memory(h, "", "context|" ALICE_DM "|which number?").out, "4711", "its context");
    program = memory(h, "", "stats");
    CHECK_HOLDS(program.out, "daemon\n", "what the daemon tells");
    CHECK_HOLDS(program.out, "hits", "of its RAM");
    lab_say(h, ALICE, ALICE_DM, NULL, "which number?");
    lab_wait_reply(h, ALICE_DM, NULL, "\"the number is 4711\"");
    lab_wait_idle(h, ALICE_DM, NULL);
    program = memory(h, "", "add-message|" ALICE_DM "|user|the other is 4712|--author|" ALICE);
    check_exit(program, 0, "a message of an admin's");
    lab_say(h, ALICE, ALICE_DM, NULL, "and the other?");
    lab_wait_reply(h, ALICE_DM, NULL, "the other is 4712");
    check_no_violations(h);
}

static void erase_beside_the_daemon(struct harness *h)
{
    struct program program;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "the number is 4711");
    lab_wait_reply(h, ALICE_DM, NULL, "the number is 4711");
    lab_wait_idle(h, ALICE_DM, NULL);
    check_exit(memory(h, "", "forget"), 2, "what?");
    check_exit(memory(h, "", "forget|--conversation|" ALICE_DM), 2, "nobody to ask");
    program = memory(h, "", "forget|--conversation|" ALICE_DM "|--dry-run");
    check_exit(program, 0, "only counted");
    CHECK_HOLDS(program.out, "would forget: ", "only counted");
    CHECK_HOLDS(memory(h, "", "show|" ALICE_DM).out, "4711", "still there");
    program = memory(h, "", "forget|--conversation|" ALICE_DM "|--yes");
    check_exit(program, 0, "erased");
    CHECK_HOLDS(program.out, "forgotten: 1 conversation, 2 turns", "the receipt");
    check_exit(memory(h, "", "show|" ALICE_DM), 1, "gone");
    lab_say(h, ALICE, ALICE_DM, NULL, "which number?");
    lab_wait_reply(h, ALICE_DM, NULL, "You have not told me anything before");
    check_no_violations(h);
}

static void what_an_admin_erases_the_daemon_forgets(void **state)
{
    erase_beside_the_daemon(*state);
}

static void it_forgets_with_files_and_snapshots_too(void **state)
{
    harness_set(*state, "memory", "store: files");
    harness_set(*state, "memory", "durability: interval");
    erase_beside_the_daemon(*state);
}

/* ---- a conversation as a dictionary -------------------------------------------------------
 */

static void a_conversation_is_a_dictionary(void **state)
{
    struct harness *h = *state;
    struct program program;

    check_exit(memory(h, "", "set|c1|user_id|\"user_123\""), 0, "a string");
    check_exit(memory(h, "{\"language\":\"en\", \"theme\":\"dark\"}\n",
                      "set|c1|preferences|-|--ttl|2h"),
               0, "an object from stdin");
    check_out(h, "get|c1|user_id", "\"user_123\"\n");
    check_out(h, "get|c1|preferences|--default|{}",
              "{\"language\":\"en\",\"theme\":\"dark\"}\n");
    check_exit(memory(h, "", "update|c1|{\"last_activity\":1790000000.5,\"session_count\":1}"),
               0, "two at once");
    check_out(h, "contains|c1|preferences", "true\n");
    program = memory(h, "", "contains|c1|nothing");
    check_exit(program, 1, "for a script");
    CHECK_TEXT(program.out, "false\n", "for a person");
    check_out(h, "keys|c1", "last_activity\npreferences\nsession_count\nuser_id\n");
    check_out(h, "items|c1|--json",
              "{\"last_activity\":1790000000.5,\n "
              "\"preferences\":{\"language\":\"en\",\"theme\":\"dark\"},\n "
              "\"session_count\":1,\n \"user_id\":\"user_123\"}\n");
    check_out(h,
              "get|c1|user_preferences|--default|"
              "{\"language\":null,\"response_style\":\"detailed\"}",
              "{\"language\":null,\"response_style\":\"detailed\"}\n");
    check_exit(memory(h, "", "get|c1|required_key"), 1, "not there: told apart from a failure");
    check_exit(memory(h, "", "set|c1|required_key|\"initial_value\""), 0, "made when missing");
    check_exit(memory(h, "", "delete|c1|required_key"), 0, "there");
    check_exit(memory(h, "", "delete|c1|required_key"), 1, "not any more");
    check_out(h, "ttl|c1|30m", "4\n");
    check_out(h, "clear|c1", "4\n");
    check_out(h, "keys|c1|--json", "[]\n");
    check_exit(memory(h, "", "set|c1|a|{"), 1, "no JSON");
    check_exit(memory(h, "", "set|c1|a|1|--ttl|soon"), 2, "no duration");
    check_exit(memory(h, "", "set|--|--c1|-f|-5"), 0, "behind -- nothing is an option");
    check_out(h, "get|--|--c1|-f", "-5\n");
}

static void its_values_may_be_lists(void **state)
{
    struct harness *h = *state;

    check_exit(memory(h, "", "set|c1|activity_log|[]"), 0, "an empty one");
    check_exit(memory(h, "", "append|c1|activity_log|{\"action\":\"login\",\"timestamp\":1}"),
               0, "one");
    check_exit(memory(h, "", "extend|c1|activity_log|[{\"action\":\"view_page\"},\"click\"]"),
               0, "two");
    check_out(h, "list-length|c1|activity_log", "3\n");
    check_out(h, "pop|c1|activity_log", "\"click\"\n");
    check_exit(memory(h, "", "insert|c1|activity_log|0|{\"action\":\"session_start\"}"), 0,
               "the first");
    check_out(h, "get-list|c1|activity_log",
              "[{\"action\":\"session_start\"},{\"action\":\"login\",\"timestamp\":1},"
              "{\"action\":\"view_page\"}]\n");
    check_exit(memory(h, "", "remove|c1|activity_log|{\"action\":\"view_page\"}"), 0, "one");
    check_exit(memory(h, "", "remove|c1|activity_log|{\"action\":\"view_page\"}"), 1,
               "none left");
    check_exit(memory(h, "", "append|c1|activity_log|3|--keep|1"), 0, "rotated");
    check_out(h, "get-list|c1|activity_log", "[3]\n");
    check_exit(memory(h, "", "pop|c1|my_list"), 1, "an empty list gives nothing");
    check_out(h, "get-list|c1|my_list", "[]\n");
    check_out(h, "list-length|c1|my_list", "0\n");
}

static void it_has_messages_and_a_size(void **state)
{
    struct harness *h = *state;
    struct program program;
    json_auto_t *messages = NULL;
    json_auto_t *size = NULL;

    check_exit(memory(h, "",
                      "add-message|sms|user|Hello|--author|U1|--metadata|"
                      "{\"message_id\":\"m1\"}"),
               0, "a question");
    check_exit(memory(h, "Hi!\nHow can I help?\n", "add-message|sms|assistant|-"), 0,
               "an answer");
    check_out(h, "count|sms", "2\n");
    program = memory(h, "", "messages|sms|--json");
    messages = json_loads(program.out, 0, NULL);
    CHECK_INT(json_array_size(messages), 2, "all");
    CHECK_TEXT(json_string_value(json_object_get(json_array_get(messages, 0), "message_id")),
               "m1", "with metadata");
    program = memory(h, "", "messages|sms|--limit|1");
    CHECK_HOLDS(program.out, "assistant: Hi!\n    How can I help?", "the newest");
    CHECK_INT(strstr(program.out, "Hello") == NULL, 1, "alone");
    check_exit(memory(h, "", "set|sms|user_preferences|{\"response_length\":\"medium\"}"), 0,
               "set");
    program = memory(h, "", "size|sms|--json");
    size = json_loads(program.out, 0, NULL);
    CHECK_INT(json_integer_value(json_object_get(size, "turns")), 2, "messages");
    CHECK_INT(json_integer_value(json_object_get(size, "fields")), 1, "fields");
    CHECK_INT(json_integer_value(json_object_get(size, "bytes")), 24, "bytes");
    CHECK_INT(json_integer_value(json_object_get(size, "field_bytes")), 44, "name and value");
    check_exit(memory(h, "", "add-message|sms|robot|x"), 2, "no such role");
    check_exit(memory(h, "", "sweep"), 0, "what is past its time");
    check_exit(memory(h, "", "forget|--conversation|sms|--yes|--json"), 0, "ended by hand");
    check_out(h, "count|sms", "0\n");
}

/* ---- usage --------------------------------------------------------------------------------
 */

static void wrong_usage_ends_with_2(void **state)
{
    static const char *const lines[] = {
        "dance",        "show",           "show|a|b",          "list|--limit|0",
        "list|--limit", "list|--bogus",   "show|a|--since|xx", "list|--json=1",
        "get|a",        "context|a",      "list|--dry-run",    "context|a|b|--budget|x",
        "backup",       "insert|a|b|x|1", "export|a|--user|b",
    };
    struct harness *h = *state;
    struct program program;

    check_exit(memory(h, few_turns, "import"), 0, "something is there");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        program = memory(h, "", lines[i]);
        check_exit(program, 2, lines[i]);
        CHECK_INT(*program.err != '\0', 1, "and says why");
        CHECK_TEXT(program.out, "", "not on stdout");
    }
    check_exit(run_threadkeeper(h, "", "memory", NULL), 2, "no verb");
    program = run_threadkeeper(h, "", "memory", "--help", NULL);
    check_exit(program, 0, "asked for");
    CHECK_HOLDS(program.out, "\n  context ", "the verbs");
    program = memory(h, "", "show|--help");
    check_exit(program, 0, "asked for");
    CHECK_HOLDS(program.out, "--since T", "its options");
    harness_set(h, "memory", "store: none");
    program = memory(h, "", "list");
    check_exit(program, 1, "nothing to look at");
    CHECK_HOLDS(program.err, "memory.store is none", "said plainly");
    harness_set(h, "memory", "max_turns: many");
    check_exit(memory(h, "", "list"), 78, "a bad configuration");
}

/* `threadkeeper memory export` into that descriptor; its exit status. */
static int export_into(struct harness *h, int out, int errors)
{
    AUTO_FREE char *wrap = NULL;
    const char *args[32];
    size_t count = harness_begin_args(&wrap, args, ARRAY_LEN(args) / 2);
    int status = 0;
    pid_t pid;

    args[count++] = "-c";
    args[count++] = harness_config_path(h);
    args[count++] = "memory";
    args[count++] = "export";
    args[count] = NULL;
    pid = harness_spawn(args, STDIN_FILENO, out, errors);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return harness_exit_status(status);
}

static void a_full_disk_is_told_and_a_closed_pipe_is_not(void **state)
{
    struct harness *h = *state;
    AUTO_FREE char *path = xasprintf("%s/export.err", harness_dir(h));
    AUTO_FD int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    AUTO_FD int errors = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    AUTO_BUF struct buf said = { 0 };
    struct err err = { 0 };
    int ends[2];

    check_exit(memory(h, few_turns, "import"), 0, "something is there");
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    CHECK_INT(export_into(h, ends[1], errors), 0, "whoever closes it has what they wanted");
    close(ends[1]);
    buf_init(&said, TEXT_MAX);
    assert_int_equal(file_read(path, &said, &err), 0);
    CHECK_TEXT(buf_text(&said), "", "nothing to say");
    CHECK_INT(export_into(h, full, errors), 1, "a full disk");
    assert_int_equal(file_read(path, &said, &err), 0);
    CHECK_HOLDS(buf_text(&said), "cannot write: No space left on device", "said plainly");
}

SCENARIO_MAIN(SCENARIO(small_slips_are_understood_or_named),
              SCENARIO(what_is_not_there_yet_reads_as_empty),
              SCENARIO(what_is_imported_is_exported),
              SCENARIO(what_was_imported_can_be_looked_at), SCENARIO(bad_lines_are_named),
              SCENARIO(backups_and_copies_hold_everything),
              SCENARIO(a_thousand_questions_take_one_process),
              SCENARIO(the_daemon_is_looked_at_and_not_disturbed),
              SCENARIO(what_an_admin_erases_the_daemon_forgets),
              SCENARIO(it_forgets_with_files_and_snapshots_too),
              SCENARIO(a_conversation_is_a_dictionary), SCENARIO(its_values_may_be_lists),
              SCENARIO(it_has_messages_and_a_size), SCENARIO(wrong_usage_ends_with_2),
              SCENARIO(a_full_disk_is_told_and_a_closed_pipe_is_not))
