#include <string.h>

#include "tests/scenario/scenario.h"

/* A daemon whose agent says what it was told of the person. */
static void start(struct harness *h)
{
    set_scenario(h, "person");
    daemon_start(h);
}

static void a_wish_is_set_followed_and_taken_back(void **state)
{
    struct harness *h = *state;

    start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "hello");
    lab_wait_reply(h, ALICE_DM, NULL, "I was told nothing of you.");
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs");
    lab_wait_reply(h, ALICE_DM, NULL, "- `language`: `none` (default)");
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs set language de");
    lab_wait_reply(h, ALICE_DM, NULL, "`language` is `de` now.");
    lab_say(h, ALICE, ALICE_DM, NULL, "`!prefs set response_length = short`");
    lab_wait_reply(h, ALICE_DM, NULL, "`response_length` is `short` now.");
    lab_say(h, ALICE, ALICE_DM, NULL, "and now?");
    lab_wait_reply(h, ALICE_DM, NULL, "Their wishes: answer in German; keep answers short.");
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs show");
    lab_wait_reply(h, ALICE_DM, NULL, "- `language`: `de`, set on 20");
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs forget language");
    lab_wait_reply(h, ALICE_DM, NULL, "Forgotten: `language` is `none` now.");
    lab_say(h, ALICE, ALICE_DM, NULL, "after that?");
    lab_wait_reply(h, ALICE_DM, NULL, "Their wishes: keep answers short.");
    lab_say(h, ALICE, ALICE_DM, NULL, "!prefs forget all");
    lab_wait_reply(h, ALICE_DM, NULL, "1 preference forgotten.");
    check_no_violations(h);
}

static void mistakes_are_named_with_their_mend(void **state)
{
    static const struct {
        const char *said;
        const char *answer;
    } rows[] = {
        { "!prefs set language klingon!", "language cannot be klingon!: give a language" },
        { "!prefs set response_style rude", "give brief, normal or detailed" },
        { "!prefs set language", "That needs a name and a value" },
        { "!prefs forget", "Which one?" },
        { "!prefs forget shoes", "You have not set `shoes`" },
        { "!prefs dance", "`!prefs` does not know `dance`" },
        { "!profile dance", "`!profile` does not know `dance`" },
        { "!profile set age 7", "there is no age in a profile" },
        { "!profile set role", "That needs a name and a value" },
        { "!profile forget golf", "nothing of that in your profile" },
        { "!profile", "I know nothing of you yet" },
    };
    struct harness *h = *state;

    start(h);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        lab_say(h, ALICE, ALICE_DM, NULL, rows[i].said);
        lab_wait_reply(h, ALICE_DM, NULL, rows[i].answer);
    }
    check_no_violations(h);
}

static void a_profile_is_learnt_shown_corrected_and_forgotten(void **state)
{
    struct harness *h = *state;
    const char *text;

    start(h);
    lab_say(h, ALICE, ALICE_DM, NULL,
            "Hi, I'm Alice Liddell, a full stack developer. I work with React and Node.js");
    lab_wait_reply(h, ALICE_DM, NULL, "I was told nothing of you.");
    lab_say(h, ALICE, ALICE_DM, NULL, "do you remember me?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "About the person asking: name Alice Liddell; role full stack developer; "
                   "interests Node.js, React.");
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile");
    text = lab_wait_reply(h, ALICE_DM, NULL, "What I know of you:");
    CHECK_HOLDS(text, "- name: `Alice Liddell`, you said on 20", "when");
    CHECK_HOLDS(text, "/archives/D0ALICE/p", "and where");
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile set role \"queen of hearts\"");
    lab_wait_reply(h, ALICE_DM, NULL, "Noted: role `queen of hearts`.");
    lab_say(h, ALICE, ALICE_DM, NULL, "I'm a nurse");
    lab_wait_reply(h, ALICE_DM, NULL, "role queen of hearts; interests");
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile");
    lab_wait_reply(h, ALICE_DM, NULL, "- role: `queen of hearts`, set by you on 20");
    daemon_restart(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile forget role");
    lab_wait_reply(h, ALICE_DM, NULL, "1 thing forgotten.");
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile forget interest react");
    lab_wait_replies(h, ALICE_DM, NULL, 8);
    lab_say(h, ALICE, ALICE_DM, NULL, "who am I?");
    lab_wait_reply(h, ALICE_DM, NULL,
                   "About the person asking: name Alice Liddell; interests Node.js.");
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile forget all");
    lab_wait_reply(h, ALICE_DM, NULL, "2 things forgotten.");
    check_no_violations(h);
}

static void two_people_are_kept_apart(void **state)
{
    struct harness *h = *state;
    const char *thread;
    json_t *messages;
    const char *reader;

    start(h);
    thread = lab_say(h, ALICE, DEV, NULL, "@threadkeeper I'm Alice");
    lab_wait_reply(h, DEV, thread, "I was told nothing of you.");
    lab_say(h, BOB, DEV, thread, "@threadkeeper !prefs set language fr");
    lab_wait_reply(h, DEV, thread, "`language` is `fr` now.");
    lab_say(h, BOB, DEV, thread, "@threadkeeper and me?");
    lab_wait_reply(h, DEV, thread, "Their wishes: answer in French.");
    lab_say(h, ALICE, DEV, thread, "@threadkeeper and me?");
    lab_wait_reply(h, DEV, thread, "About the person asking: name Alice.");
    lab_say(h, ALICE, DEV, thread, "!profile");
    lab_wait_reply(h, DEV, thread, "- name: `Alice`");
    messages = lab_messages(h, DEV, thread);
    reader = json_string_value(json_object_get(
        json_array_get(messages, json_array_size(messages) - 1), "ephemeral_user"));
    CHECK_TEXT(reader, ALICE, "nobody else sees it");
    json_decref(messages);
    check_no_violations(h);
}

static void interval_durability_learns_as_well(void **state)
{
    struct harness *h = *state;

    harness_set(h, "memory", "durability: interval");
    start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "I'm Alice");
    lab_wait_reply(h, ALICE_DM, NULL, "I was told nothing of you.");
    lab_wait_idle(h, ALICE_DM, NULL);
    daemon_kill(h);
    daemon_start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "who am I?");
    lab_wait_reply(h, ALICE_DM, NULL, "About the person asking: name Alice.");
    check_no_violations(h);
}

static void nothing_is_learnt_nor_told_when_that_is_off(void **state)
{
    struct harness *h = *state;

    harness_set(h, "memory", "context: { profile: false }");
    start(h);
    lab_say(h, ALICE, ALICE_DM, NULL, "I'm Alice");
    lab_wait_replies(h, ALICE_DM, NULL, 1);
    lab_say(h, ALICE, ALICE_DM, NULL, "who am I?");
    lab_wait_replies(h, ALICE_DM, NULL, 2);
    lab_say(h, ALICE, ALICE_DM, NULL, "!profile");
    lab_wait_reply(h, ALICE_DM, NULL, "I know nothing of you yet");
    check_no_violations(h);
}

static void the_terminal_has_them_too(void **state)
{
    struct harness *h = *state;
    struct program chat = run_threadkeeper(
        h, "!prefs set language de\n!prefs\n!profile set role nurse\n!profile\n!help", "chat",
        NULL);

    CHECK_INT(chat.status, 0, chat.err);
    CHECK_HOLDS(chat.out, "`language` is `de` now.", "set");
    CHECK_HOLDS(chat.out, "- role: `nurse`, set by you on 20", "shown");
    CHECK_HOLDS(chat.out, "`!prefs [set NAME VALUE | forget NAME]`", "in the help");
}

SCENARIO_MAIN(SCENARIO(a_wish_is_set_followed_and_taken_back),
              SCENARIO(mistakes_are_named_with_their_mend),
              SCENARIO(a_profile_is_learnt_shown_corrected_and_forgotten),
              SCENARIO(two_people_are_kept_apart), SCENARIO(interval_durability_learns_as_well),
              SCENARIO(nothing_is_learnt_nor_told_when_that_is_off),
              SCENARIO(the_terminal_has_them_too))
