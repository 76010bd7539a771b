/* What was said while the daemon was away and Slack did not tell it again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/scenario.h"

/* Said, but no event is sent for it: its deliveries are over. */
static const char *say_unheard(struct harness *h, const char *user, const char *channel,
                               const char *thread_ts, const char *text)
{
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:b}", "user", user, "channel", channel,
                             "thread_ts", thread_ts, "text", text, "tell", 0);
    json_auto_t *answer = lab_command(h, "say", body);
    const char *ts = json_string_value(json_object_get(answer, "ts"));
    static char kept[32];

    snprintf(kept, sizeof(kept), "%s", ts ? ts : "");
    return kept;
}

/* As a daemon leaves it that was stopped before it had asked for everything it missed. */
static void owe(struct harness *h)
{
    AUTO_FREE char *path = xasprintf("%s/catchup", harness_state_dir(h));
    AUTO_FREE char *text = xasprintf("%" PRId64 "\n", clock_wall_us());
    struct err err = { 0 };

    CHECK_INT(file_write(path, text, strlen(text), 0600, &err), 0, err.message);
}

static void answers_once_what_was_said_while_it_was_away(void **state)
{
    struct harness *h = *state;

    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "before, in private");
    const char *root = lab_say(h, BOB, DEV, NULL, "@threadkeeper before, in the thread");

    lab_wait_reply(h, ALICE_DM, NULL, "before, in private");
    lab_wait_reply(h, DEV, root, "before, in the thread");
    lab_wait_acked(h);
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    say_unheard(h, ALICE, ALICE_DM, "", "meanwhile, in private");
    say_unheard(h, BOB, DEV, root, "meanwhile, in the thread");
    say_unheard(h, BOB, DEV, "", "meanwhile, to nobody");
    owe(h);
    daemon_start(h);
    lab_wait_reply(h, ALICE_DM, NULL, "meanwhile, in private");
    lab_wait_reply(h, DEV, root, "meanwhile, in the thread");
    CHECK_INT(daemon_stop(h), 0, "a clean end");
    owe(h);
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "afterwards");
    lab_wait_reply(h, ALICE_DM, NULL, "afterwards");
    lab_wait_acked(h);
    CHECK_INT(lab_count_replies(h, ALICE_DM, NULL), 3, "one for each in private");
    CHECK_INT(lab_count_replies(h, DEV, NULL), 2, "one for each in the thread");
    check_no_violations(h);
}

SCENARIO_MAIN(SCENARIO(answers_once_what_was_said_while_it_was_away))
