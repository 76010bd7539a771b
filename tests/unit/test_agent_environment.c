#include "agent/environment.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

/* The value of a variable in a list, or NULL. */
static const char *value_in(char **list, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; list[i]; i++) {
        if (strncmp(list[i], name, len) == 0 && list[i][len] == '=')
            return list[i] + len + 1;
    }
    return NULL;
}

static const char *const asked_for[] = { "CURSOR_API_KEY",
                                         "AWS_PROFILE",
                                         "SLACK_BOT_TOKEN",
                                         "HARMLESS",
                                         "MISSING",
                                         "BAD=NAME",
                                         "",
                                         "PATH",
                                         "THREADKEEPER_RUN",
                                         "SLACK_WEBHOOK",
                                         NULL };

static void the_environment_is_a_list_of_names(void)
{
    static const struct {
        const char *name, *ours; /* in our environment */
        const char *want;        /* in the agent's; NULL: not there */
    } cases[] = {
        { "PATH", "/evil:/usr/bin", "/opt/agent/bin:/usr/local/bin:/usr/bin:/bin" },
        { "LANG", "de_DE.UTF-8", "C.UTF-8" },
        { "LC_ALL", "POSIX", "C.UTF-8" },
        { "TERM", "xterm", "dumb" },
        { "NO_COLOR", NULL, "1" },
        { "HOME", "/home/bot", "/home/bot" },
        { "TZ", "UTC", "UTC" },
        { "TMPDIR", "/tmp", "/state/runs/one/tmp" },
        { "GOCACHE", "/home/bot/.cache/go-build", "/state/runs/one/tmp/go-build" },
        { "THREADKEEPER_OUTBOX", NULL, "/state/runs/one/outbox" },
        { "THREADKEEPER_RUN", "forged", "one" },
        { "HTTPS_PROXY", "http://proxy:3128", "http://proxy:3128" },
        { "NODE_EXTRA_CA_CERTS", "/etc/ca.pem", "/etc/ca.pem" },
        { "CURSOR_API_KEY", "key", "key" },
        { "AWS_PROFILE", "named", "named" }, /* agent.env says so */
        { "AWS_SECRET_ACCESS_KEY", "x", NULL },
        { "SLACK_BOT_TOKEN", "x", NULL }, /* whoever says so */
        { "SLACK_WEBHOOK", "https://hooks.example", NULL },
        { "HARMLESS", "prefix xoxb-123-abc", NULL }, /* by its looks */
        { "no_proxy", "xapp-1-A1", NULL },
        { "LD_PRELOAD", "/evil.so", NULL },
        { "LD_LIBRARY_PATH", "/evil", NULL },
        { "NODE_OPTIONS", "--require /evil", NULL },
        { "BASH_ENV", "/evil", NULL },
        { "NOTIFY_SOCKET", "/run/x", NULL },
        { "LISTEN_FDS", "3", NULL },
        { "SSH_AUTH_SOCK", "/run/y", NULL },
        { "GITHUB_TOKEN", "z", NULL },
        { "CREDENTIALS_DIRECTORY", "/run/credentials/x", NULL },
        { "DBUS_SESSION_BUS_ADDRESS", "unix:", NULL },
        { "MISSING", NULL, NULL },
    };
    const struct agent_environment wanted = { .names = asked_for,
                                              .run_id = "one",
                                              .run_dir = "/state/runs/one",
                                              .program = "/opt/agent/bin/agent" };
    char **list = NULL;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (cases[i].ours)
            setenv(cases[i].name, cases[i].ours, 1);
        else
            unsetenv(cases[i].name);
    }
    list = agent_environment_build(&wanted);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_TEXT(value_in(list, cases[i].name), cases[i].want, cases[i].name);
    for (size_t i = 0; list[i]; i++) {
        for (size_t k = 0; k < i; k++)
            CHECK_INT(strncmp(list[i], list[k], strcspn(list[i], "=") + 1) == 0, 0, list[i]);
    }
    agent_environment_free(list);
}

static void without_a_run_or_a_program_there_is_less(void)
{
    const struct agent_environment wanted = { .run_id = "one" };
    char **list = agent_environment_build(&wanted);

    CHECK_TEXT(value_in(list, "PATH"), "/usr/local/bin:/usr/bin:/bin", "the system's");
    CHECK_TEXT(value_in(list, "TMPDIR"), NULL, "of no run");
    CHECK_TEXT(value_in(list, "THREADKEEPER_OUTBOX"), NULL, "of no run");
    agent_environment_free(list);
}

static void programs_are_found_as_a_shell_would(void)
{
    AUTO_FREE char *found = NULL;
    AUTO_FREE char *by_path = agent_environment_find("/bin/sh");
    AUTO_FREE char *directory = agent_environment_find("/bin");
    AUTO_FREE char *missing = NULL;

    setenv("PATH", "relative:/not/there:/usr/bin:/bin", 1);
    found = agent_environment_find("sh");
    missing = agent_environment_find("no-such-program");
    CHECK_INT(found && found[0] == '/', 1, "by PATH");
    CHECK_TEXT(by_path, "/bin/sh", "a path is one already");
    CHECK_TEXT(directory, NULL, "a directory is no program");
    CHECK_TEXT(missing, NULL, "not there");
}

TEST_MAIN(TEST(the_environment_is_a_list_of_names),
          TEST(without_a_run_or_a_program_there_is_less),
          TEST(programs_are_found_as_a_shell_would))
