#define LOG_MODULE "test.log"

#include "base/log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "base/utf8.h"
#include "tests/test.h"

/* What the last log call wrote: stderr is a file in memory meanwhile. */
static char written[70000];

#define CAPTURE(statement)                                    \
    do {                                                      \
        int saved_ = dup(STDERR_FILENO);                      \
        int file_ = memfd_create("log", MFD_CLOEXEC);         \
        ssize_t len_;                                         \
        dup2(file_, STDERR_FILENO);                           \
        statement;                                            \
        dup2(saved_, STDERR_FILENO);                          \
        len_ = pread(file_, written, sizeof(written) - 1, 0); \
        written[len_ < 0 ? 0 : len_] = '\0';                  \
        close(file_);                                         \
        close(saved_);                                        \
    } while (0)

static void a_line_has_priority_module_and_message(void)
{
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    CAPTURE(log_err("gone code=%d", 7));
    CHECK_TEXT(written, "<3>error: test.log: gone code=7\n", "a human must act");
    CAPTURE(log_warn("slow"));
    CHECK_TEXT(written, "<4>warning: test.log: slow\n", "degraded");
    CAPTURE(log_info("ready"));
    CHECK_TEXT(written, "<6>test.log: ready\n", "life cycle");
    CAPTURE(log_debug("detail"));
    CHECK_TEXT(written, "<7>test.log: detail\n", "the rest");
}

static void what_is_below_the_level_is_not_written(void)
{
    log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    CAPTURE(log_info("x"); log_debug("y"));
    CHECK_TEXT(written, "", "below");
    CAPTURE(log_warn("z"));
    CHECK_HOLDS(written, "z", "at the level");
    CHECK_INT(log_enabled(LOG_LEVEL_ERR), 1, "above");
    CHECK_INT(log_enabled(LOG_LEVEL_INFO), 0, "below");
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
}

static void an_event_is_one_line_whatever_it_holds(void)
{
    CAPTURE(log_info("%s", "a\nb\x1b[31m\r\x7f"));
    CHECK_TEXT(written, "<6>test.log: a\\x0ab\\x1b[31m\\x0d\\x7f\n",
               "control characters escaped");
}

static void json_lines_are_json(void)
{
    static const char *const messages[] = { "plain", "\"quoted\" \\ back", "a\nb\x01",
                                            "gr\xc3\xbcn", "broken \xff\xc3" };

    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON);
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        json_t *line;

        CAPTURE(log_warn("%s", messages[i]));
        line = json_loads(written, 0, NULL);
        CHECK_INT(line != NULL, 1, written);
        CHECK_TEXT(json_string_value(json_object_get(line, "level")), "warning", written);
        CHECK_TEXT(json_string_value(json_object_get(line, "module")), "test.log", written);
        if (utf8_is_valid(messages[i], strlen(messages[i])))
            CHECK_TEXT(json_string_value(json_object_get(line, "message")), messages[i],
                       written);
        json_decref(line);
    }
    log_configure(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
}

static void secrets_are_masked_wherever_they_stand(void)
{
    static const struct {
        const char *text;
        const char *want;
        const char *because;
    } cases[] = {
        { "key=registered-secret!", "key=***!", "registered" },
        { "registered-secretregistered-secret", "******", "twice" },
        { "token xoxb-1-2-abc done", "token xoxb-*** done", "a bot token" },
        { "(xapp-1-A0-9.x_y)", "(xapp-***)", "an app token" },
        { "wss://x/?ticket=abc-d&app=1", "wss://x/?ticket=***&app=1", "a ticket" },
        { "xoxb-", "xoxb-", "a prefix alone tells nothing" },
        { "short is", "short is", "too short to be registered" },
        { "nothing here", "nothing here", "nothing" },
    };

    log_add_secret("registered-secret");
    log_add_secret("registered-secret");
    log_add_secret("short");
    log_add_secret(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[100];

        snprintf(text, sizeof(text), "%s", cases[i].text);
        log_mask_secrets(text);
        CHECK_TEXT(text, cases[i].want, cases[i].because);
    }
    CAPTURE(log_info("got %s", "registered-secret"));
    CHECK_TEXT(written, "<6>test.log: got ***\n", "in the log as well");
}

static void a_long_message_is_cut_but_shows_no_part_of_a_secret(void)
{
    AUTO_FREE char *text = xcalloc(20000, 1);

    memset(text, 'x', 19999);
    for (size_t i = 0; i < sizeof("registered-secret") - 1; i++)
        text[8192 - 10 + i] = "registered-secret"[i];
    CAPTURE(log_info("%s", text));
    CHECK_INT(strlen(written) < 8300, 1, "cut");
    CHECK_INT(strstr(written, "registered") == NULL, 1, "not even its beginning");
}

TEST_MAIN(TEST(a_line_has_priority_module_and_message),
          TEST(what_is_below_the_level_is_not_written),
          TEST(an_event_is_one_line_whatever_it_holds), TEST(json_lines_are_json),
          TEST(secrets_are_masked_wherever_they_stand),
          TEST(a_long_message_is_cut_but_shows_no_part_of_a_secret))
