#include "config/environment.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"

static void variables_and_their_escape_are_expanded(void)
{
    static const struct {
        const char *text;
        const char *want; /* NULL: refused */
        enum err_kind kind;
        const char *because;
    } cases[] = {
        { "", "", ERR_NONE, "nothing" },
        { "plain", "plain", ERR_NONE, "no variable" },
        { "${TK_A}", "one", ERR_NONE, "a variable" },
        { "x${TK_A}y${TK_A}z", "xoneyonez", ERR_NONE, "twice" },
        { "${TK_EMPTY}", "", ERR_NONE, "set, but empty" },
        { "$TK_A $ $$", "$TK_A $ $$", ERR_NONE, "only ${ begins a variable" },
        { "$${TK_A}", "${TK_A}", ERR_NONE, "escaped" },
        { "$$${TK_A}", "$${TK_A}", ERR_NONE, "a dollar before an escape" },
        { "${TK_REF}", "${TK_A}", ERR_NONE, "a value is not expanded again" },
        { "${TK_NONE}", NULL, ERR_TEMP, "not set" },
        { "${", NULL, ERR_INPUT, "cut off" },
        { "${TK_A", NULL, ERR_INPUT, "cut off" },
        { "${}", NULL, ERR_INPUT, "no name" },
        { "${1A}", NULL, ERR_INPUT, "begins with a digit" },
        { "${TK-A}", NULL, ERR_INPUT, "no name" },
    };

    setenv("TK_A", "one", 1);
    setenv("TK_EMPTY", "", 1);
    setenv("TK_REF", "${TK_A}", 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };
        struct err err = { 0 };
        int rc;

        buf_init(&out, 1000);
        rc = environment_expand(cases[i].text, false, &out, &err);
        CHECK_INT(rc, cases[i].want ? 0 : -1, cases[i].because);
        CHECK_INT(err.kind, cases[i].kind, cases[i].because);
        if (cases[i].want)
            CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].because);
    }
}

static void what_is_escaped_expands_to_itself(void)
{
    static const char *const texts[] = {
        "", "a", "$", "${", "${A}", "$${", "$$${A}$", "a$b${"
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_BUF struct buf escaped = { 0 };
        AUTO_BUF struct buf again = { 0 };
        struct err err = { 0 };

        buf_init(&escaped, 100);
        buf_init(&again, 100);
        environment_escape(texts[i], &escaped);
        CHECK_INT(environment_expand(buf_text(&escaped), false, &again, &err), 0, texts[i]);
        CHECK_TEXT(buf_text(&again), texts[i], "the same text");
    }
}

static bool process_shows(const char *part)
{
    AUTO_BUF struct buf bytes = { 0 };
    struct err err = { 0 };

    buf_init(&bytes, 1 << 20);
    if (file_read("/proc/self/environ", &bytes, &err) < 0)
        fail_msg("%s", err.message);
    return memmem(buf_text(&bytes), bytes.len, part, strlen(part)) != NULL;
}

static void hidden_secrets_leave_the_process_and_stay_known_here(void)
{
    AUTO_BUF struct buf out = { 0 };
    struct err err = { 0 };

    buf_init(&out, 1000);
    CHECK_INT(environment_expand("${TK_TEST_USED}", true, &out, &err), 0, "a secret");
    CHECK_INT(environment_is_secret("TK_TEST_USED"), 1, "used for a secret");
    CHECK_INT(environment_is_secret("TK_A"), 0, "used for something else");
    CHECK_INT(process_shows("hide-me"), 1, "there at first");
    CHECK_INT(process_shows("xoxb-unused"), 1, "there at first");

    environment_hide_secrets();
    CHECK_INT(process_shows("hide-me"), 0, "used by the file");
    CHECK_INT(process_shows("xoxb-unused"), 0, "a token that no option uses");
    CHECK_INT(process_shows("left-alone"), 1, "not a secret");
    CHECK_INT(getenv("TK_TEST_USED") == NULL, 1, "no child inherits it");
    CHECK_INT(getenv("TK_TEST_UNUSED") == NULL, 1, "no child inherits it");
    CHECK_TEXT(environment_get("TK_TEST_USED"), "hide-me", "a reload finds it");
    CHECK_TEXT(environment_get("TK_TEST_UNUSED"), "xoxb-unused", "a reload finds it");

    environment_hide_secrets();
    CHECK_TEXT(environment_get("TK_TEST_USED"), "hide-me", "hiding twice loses nothing");
}

/* What /proc/self/environ shows are the bytes that a process was started with, so the program
 * starts itself again with the variables of the last test. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(variables_and_their_escape_are_expanded),
        TEST(what_is_escaped_expands_to_itself),
        TEST(hidden_secrets_leave_the_process_and_stay_known_here),
    };

    (void)argc;
    if (!getenv("TK_TEST_USED")) {
        setenv("TK_TEST_USED", "hide-me", 1);
        setenv("TK_TEST_UNUSED", "xoxb-unused", 1);
        setenv("TK_TEST_OTHER", "left-alone", 1);
        execv(argv[0], argv);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
