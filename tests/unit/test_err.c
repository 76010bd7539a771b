#include "base/err.h"

#include <errno.h>

#include "tests/test.h"

static void an_error_gains_context_on_its_way_up(void)
{
    struct err err = { 0 };

    CHECK_INT(err.kind, ERR_NONE, "zeroed means none");
    CHECK_INT(err_set(&err, ERR_TEMP, "no answer after %d s", 3), -1, "so it can be returned");
    CHECK_INT(err.kind, ERR_TEMP, "as given");
    CHECK_TEXT(err.message, "no answer after 3 s", "as given");
    CHECK_INT(err_wrap(&err, "post to %s", "C1"), -1, "so it can be returned");
    CHECK_TEXT(err.message, "post to C1: no answer after 3 s", "outermost first");
    CHECK_INT(err.kind, ERR_TEMP, "the kind stays");
}

static void the_reason_of_the_system_is_read_first(void)
{
    struct err err = { 0 };

    errno = ENOENT;
    CHECK_INT(err_set_errno(&err, ERR_SYSTEM, "cannot read %s", "x"), -1,
              "so it can be returned");
    CHECK_TEXT(err.message, "cannot read x: No such file or directory", "with its reason");
}

static void a_message_may_be_built_from_itself(void)
{
    struct err err = { 0 };

    err_set(&err, ERR_INPUT, "inner");
    err_set(&err, ERR_REMOTE, "outer (%s)", err.message);
    CHECK_TEXT(err.message, "outer (inner)", "formatted aside");
}

static void a_long_message_is_cut_and_still_ended(void)
{
    struct err err = { 0 };
    char text[2 * ERR_MESSAGE_MAX_BYTES];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&err, ERR_INPUT, "%s", text);
    CHECK_INT(strlen(err.message), ERR_MESSAGE_MAX_BYTES - 1, "cut to fit");
    err_wrap(&err, "%s", text);
    CHECK_INT(strlen(err.message), ERR_MESSAGE_MAX_BYTES - 1, "cut to fit");
}

static void nobody_has_to_listen(void)
{
    CHECK_INT(err_set(NULL, ERR_INPUT, "x"), -1, "NULL is fine");
    CHECK_INT(err_set_errno(NULL, ERR_INPUT, "x"), -1, "NULL is fine");
    CHECK_INT(err_wrap(NULL, "x"), -1, "NULL is fine");
}

static void every_kind_has_a_name_of_its_own(void)
{
    for (int a = ERR_NONE; a <= ERR_SYSTEM; a++) {
        CHECK_INT(strcmp(err_kind_name((enum err_kind)a), "unknown") != 0, 1, "has a name");
        for (int b = ERR_NONE; b < a; b++)
            CHECK_INT(
                strcmp(err_kind_name((enum err_kind)a), err_kind_name((enum err_kind)b)) != 0,
                1, "its own");
    }
}

TEST_MAIN(TEST(an_error_gains_context_on_its_way_up),
          TEST(the_reason_of_the_system_is_read_first),
          TEST(a_message_may_be_built_from_itself), TEST(a_long_message_is_cut_and_still_ended),
          TEST(nobody_has_to_listen), TEST(every_kind_has_a_name_of_its_own))
