/*
 * demo.c - `make demo`: a conversation in a Slack on this machine, played by a script and
 * printed as it goes: a follow-up that knows the first turn, a restart in the middle, two
 * people kept apart, a stop. With a terminal the lab's page stays up afterwards.
 *
 *   demo [--real-agent]     the answers are not ours then, so only their arrival is waited for
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/scenario/harness.h"

#define WRAP_COLUMNS 74

struct demo {
    struct harness *harness;
    int64_t started_ms;
    bool is_real; /* a real cursor-agent */
    bool has_colours;
};

static void print_wrapped(const char *text, const char *indent)
{
    size_t column = 0;

    for (const char *word = text; *word;) {
        size_t len = strcspn(word, " \n");

        if (column && column + len > WRAP_COLUMNS) {
            printf("\n%s", indent);
            column = 0;
        }
        printf("%.*s", (int)len, word);
        column += len;
        word += len;
        if (*word == '\n') {
            printf("\n%s", indent);
            column = 0;
        } else if (*word) {
            putchar(' ');
            column++;
        }
        word += *word != '\0';
    }
    putchar('\n');
}

static void print_line(const struct demo *demo, const char *colour, const char *who,
                       const char *text)
{
    int64_t at_ms = clock_now_ms() - demo->started_ms;

    printf("%5lld.%01lld s  %s%-13s%s ", (long long)(at_ms / 1000),
           (long long)(at_ms % 1000 / 100), demo->has_colours ? colour : "", who,
           demo->has_colours ? "\033[0m" : "");
    print_wrapped(text, "                       ");
    fflush(stdout);
}

static void note(const struct demo *demo, const char *text)
{
    print_line(demo, "\033[33m", "--", text);
}

static const char *say(const struct demo *demo, const char *user, const char *who,
                       const char *thread, const char *text)
{
    print_line(demo, "\033[1;36m", who, text);
    return lab_say(demo->harness, user, DEV, thread, text);
}

/* Waits for the next answer in the thread and prints it; `part` is what the double's must hold.
 */
static void hear(const struct demo *demo, const char *thread, size_t count, const char *part)
{
    json_t *messages;
    size_t index;
    const json_t *message;
    const char *last = "";

    lab_wait_replies(demo->harness, DEV, thread, count);
    if (!demo->is_real)
        lab_wait_reply(demo->harness, DEV, thread, part);
    lab_wait_idle(demo->harness, DEV, thread);
    messages = lab_messages(demo->harness, DEV, thread);
    json_array_foreach(messages, index, message)
    {
        if (json_is_true(json_object_get(message, "is_app")))
            last = json_string_value(json_object_get(message, "text"));
    }
    print_line(demo, "\033[1;32m", "threadkeeper", last);
    json_decref(messages);
}

static void play_follow_up(const struct demo *demo, const char **ret_thread)
{
    const char *thread = say(demo, ALICE, "Alice", NULL,
                             "@threadkeeper We are building an auth system. It signs JWT with "
                             "RS256.");

    hear(demo, thread, 1, "You have not told me anything before");
    say(demo, ALICE, "Alice", thread, "Which algorithm did I say it signs with?");
    hear(demo, thread, 2, "We are building an auth system. It signs JWT with RS256.");
    *ret_thread = thread;
}

static void play_restart(const struct demo *demo, const char *thread)
{
    note(demo, "the daemon is stopped and started again (systemctl restart)");
    daemon_restart(demo->harness);
    say(demo, ALICE, "Alice", thread, "And after a restart, do you still know?");
    hear(demo, thread, 3, "It signs JWT with RS256.");
    say(demo, BOB, "Bob", thread, "@threadkeeper What did I tell you?");
    hear(demo, thread, 4, "You have not told me anything before");
}

static void play_stop(const struct demo *demo)
{
    const char *thread;

    set_scenario(demo->harness, "slow seconds=60");
    thread =
        say(demo, ALICE, "Alice", NULL, "@threadkeeper Count the words of every file, slowly.");
    if (demo->is_real)
        lab_wait_text(demo->harness, DEV, thread, "");
    else
        lab_wait_text(demo->harness, DEV, thread, "word3");
    note(demo, "Alice presses Slack's Stop button while the answer streams");
    lab_press_stop(demo->harness, DEV, thread);
    hear(demo, thread, 1, "Stopped.");
    set_scenario(demo->harness, "ok");
}

/* The page stays up as long as somebody sits at the terminal. */
static void leave_page_up(const struct demo *demo)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return;
    printf("\nTalk to it yourself: open %s in a browser. Enter ends the demo.\n",
           harness_lab_url(demo->harness));
    fflush(stdout);
    poll(&input, 1, -1);
}

int main(int argc, char **argv)
{
    struct demo demo = {
        .started_ms = clock_now_ms(),
        .is_real = argc > 1 && strcmp(argv[1], "--real-agent") == 0,
        .has_colours = isatty(STDOUT_FILENO),
    };
    const char *thread = NULL;

    demo.harness = harness_new();
    if (!demo.harness)
        return 1;
    note(&demo, demo.is_real
                    ? "a Slack on this machine, the daemon, and cursor-agent"
                    : "a Slack on this machine, the daemon, and a stand-in for the agent "
                      "that says what it was told before");
    daemon_start(demo.harness);
    note(&demo, "connected; this is #dev");
    play_follow_up(&demo, &thread);
    play_restart(&demo, thread);
    play_stop(&demo);
    check_no_violations(demo.harness);
    note(&demo, "no call of the daemon broke a rule of Slack's");
    leave_page_up(&demo);
    if (daemon_stop(demo.harness) != 0) {
        fputs("demo: the daemon did not end cleanly\n", stderr);
        harness_free(demo.harness);
        return 1;
    }
    note(&demo, "done");
    harness_free(demo.harness);
    return 0;
}
