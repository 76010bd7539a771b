#include "bot/activity.h"

#include "base/buf.h"
#include "base/clock.h"
#include "tests/test.h"

/* A surface that writes down what it is told: "status" or "#number state title". */
struct board {
    struct surface surface; /* first */
    struct buf seen;
};

static void set_status(struct surface *surface, const char *status, int64_t now_ms)
{
    struct board *board = (struct board *)surface;

    (void)now_ms;
    buf_printf(&board->seen, "%s%s", board->seen.len ? "|" : "", status);
}

static void show_step(struct surface *surface, const struct surface_step *step)
{
    static const char *const states[] = { "...", "ok", "failed" };
    struct board *board = (struct board *)surface;

    buf_printf(&board->seen, "%s#%u %s %s", board->seen.len ? "|" : "", step->number,
               states[step->state], step->title);
}

static const struct surface_ops board_ops = { .set_status = set_status,
                                              .show_step = show_step };

struct fixture {
    struct board board;
    struct activity activity;
    int64_t now_ms;
};

static void set_up(struct fixture *f)
{
    *f = (struct fixture){ .board.surface.ops = &board_ops, .now_ms = 1000 };
    buf_init(&f->board.seen, 1 << 16);
    activity_begin(&f->activity, &f->board.surface, f->now_ms);
}

static void check_seen(struct fixture *f, const char *want, const char *because)
{
    CHECK_TEXT(buf_text(&f->board.seen), want, because);
    buf_clear(&f->board.seen);
}

static void note(struct fixture *f, enum agent_event_kind kind, const char *text,
                 const char *id, enum agent_tool_end end)
{
    struct agent_event event = {
        .kind = kind, .text = text, .text_len = strlen(text), .tool_id = id, .tool_end = end
    };

    activity_note(&f->activity, &event, f->now_ms);
}

static void begin(struct fixture *f, const char *title, const char *id)
{
    note(f, AGENT_EVENT_TOOL, title, id, AGENT_TOOL_OK);
}

static void finish(struct fixture *f, const char *title, const char *id,
                   enum agent_tool_end end)
{
    note(f, AGENT_EVENT_TOOL_DONE, title, id, end);
}

static void say(struct fixture *f, const char *text)
{
    note(f, AGENT_EVENT_TEXT, text, NULL, AGENT_TOOL_OK);
}

/* Ticks second by second, as the turn does and oftener. */
static void pass(struct fixture *f, int64_t duration_ms)
{
    for (int64_t end = f->now_ms + duration_ms; f->now_ms < end;) {
        f->now_ms += 1000;
        activity_tick(&f->activity, f->now_ms);
    }
}

static void times_are_short_and_rounded_to_what_changes_next(void)
{
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        { -5, "" },
        { 0, "" },
        { 14999, "" },
        { 15000, "15 s" },
        { 59999, "45 s" },
        { 60000, "1 min" },
        { 80000, "1 min 20 s" },
        { 99000, "1 min 20 s" },
        { 299999, "4 min 40 s" },
        { 359000, "5 min" },
        { 3600000, "1 h 0 min" },
        { 7500000, "2 h 5 min" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[32];

        CHECK_TEXT(activity_time(cases[i].ms, out), cases[i].want, cases[i].want);
    }
}

static void a_tool_is_named_and_its_time_shown_from_15_s_on(void)
{
    struct fixture f;

    set_up(&f);
    check_seen(&f, "is thinking...", "life at once");
    begin(&f, "Reading auth.c", "a");
    check_seen(&f, "#1 ... Reading auth.c|is reading auth.c", "");
    pass(&f, 14000);
    check_seen(&f, "", "too soon for a time");
    pass(&f, 1000);
    check_seen(&f, "#1 ... Reading auth.c (15 s)|is reading auth.c (15 s)", "");
    pass(&f, 66000);
    check_seen(&f,
               "#1 ... Reading auth.c (30 s)|is reading auth.c (30 s)|"
               "#1 ... Reading auth.c (45 s)|is reading auth.c (45 s)|"
               "#1 ... Reading auth.c (1 min)|is reading auth.c (1 min)|"
               "#1 ... Reading auth.c (1 min 20 s)|is reading auth.c (1 min 20 s)",
               "and goes on");
    finish(&f, "Reading auth.c", "a", AGENT_TOOL_OK);
    check_seen(&f, "#1 ok Reading auth.c (1 min 20 s)|is thinking...", "");
    buf_deinit(&f.board.seen);
}

static void several_tools_are_told_apart_by_their_ids(void)
{
    struct fixture f;

    set_up(&f);
    buf_clear(&f.board.seen);
    begin(&f, "Reading a.c", "a");
    begin(&f, "Reading a.c", "b");
    begin(&f, "Running a command", "c");
    check_seen(&f,
               "#1 ... Reading a.c|is reading a.c|"
               "#2 ... Reading a.c|is reading a.c and reading a.c|"
               "#3 ... Running a command|is reading a.c, reading a.c and 1 more",
               "");
    finish(&f, "Reading a.c", "b", AGENT_TOOL_OK);
    check_seen(&f, "#2 ok Reading a.c|is reading a.c and running a command", "the second");
    finish(&f, "nobody began this", "z", AGENT_TOOL_OK);
    check_seen(&f, "", "an end without a beginning");
    finish(&f, "Running a command", "", AGENT_TOOL_OK);
    check_seen(&f, "#3 ok Running a command|is reading a.c", "without an id by its title");
    finish(&f, "another title", "", AGENT_TOOL_OK);
    check_seen(&f, "#1 ok Reading a.c|is thinking...", "else the oldest");
    buf_deinit(&f.board.seen);
}

static void a_tool_that_is_told_twice_is_one_step(void)
{
    struct fixture f;

    set_up(&f);
    buf_clear(&f.board.seen);
    begin(&f, "Reading a.c", "a");
    begin(&f, "Reading a.c", "a");
    finish(&f, "Reading a.c", "a", AGENT_TOOL_OK);
    check_seen(&f, "#1 ... Reading a.c|is reading a.c|#1 ok Reading a.c|is thinking...", "one");
    CHECK_INT(f.activity.tools_count, 0, "none is left running");
    buf_deinit(&f.board.seen);
}

static void what_failed_or_was_not_allowed_shows(void)
{
    struct fixture f;

    set_up(&f);
    buf_clear(&f.board.seen);
    begin(&f, "Running a command", "a");
    finish(&f, "Running a command", "a", AGENT_TOOL_FAILED);
    check_seen(&f,
               "#1 ... Running a command|is running a command|"
               "#1 failed Running a command|is thinking, running a command failed",
               "");
    begin(&f, "Writing x", "b");
    finish(&f, "Writing x", "b", AGENT_TOOL_REJECTED);
    check_seen(&f,
               "#2 ... Writing x|is writing x|#2 failed Writing x: not allowed|is thinking...",
               "");
    begin(&f, "Reading y", "c");
    buf_clear(&f.board.seen);
    activity_end(&f.activity, false, f.now_ms);
    check_seen(&f, "#3 failed Reading y", "a run that fails leaves no step open");
    pass(&f, 300000);
    check_seen(&f, "", "and nothing comes after it");
    buf_deinit(&f.board.seen);
}

static void a_long_silence_is_a_thought(void)
{
    struct fixture f;

    set_up(&f);
    buf_clear(&f.board.seen);
    pass(&f, 14000);
    check_seen(&f, "", "");
    pass(&f, 16000);
    check_seen(&f,
               "#1 ... Thinking (15 s)|is thinking (15 s)|"
               "#1 ... Thinking (30 s)|is thinking (30 s)",
               "");
    say(&f, "Hello");
    check_seen(&f, "#1 ok Thought (30 s)", "text is its own sign of life");
    pass(&f, 10000);
    say(&f, " again");
    pass(&f, 14000);
    check_seen(&f, "", "it writes, with pauses");
    pass(&f, 1000);
    check_seen(&f, "#2 ... Thinking (15 s)|is thinking (15 s)", "but this one is long");
    say(&f, ".");
    check_seen(&f, "#2 ok Thought (15 s)", "");
    buf_deinit(&f.board.seen);
}

/* Slack drops a status after two minutes, a stream without news after some five. */
static void something_new_is_said_at_least_every_minute(void)
{
    struct fixture f;

    set_up(&f);
    for (int minute = 0; minute < 90; minute++) {
        buf_clear(&f.board.seen);
        pass(&f, 61000);
        CHECK_HOLDS(buf_text(&f.board.seen), "is thinking", "within a minute");
    }
    begin(&f, "Running a command", "a");
    for (int minute = 0; minute < 90; minute++) {
        buf_clear(&f.board.seen);
        pass(&f, 61000);
        CHECK_HOLDS(buf_text(&f.board.seen), "is running a command (", "within a minute");
    }
    CHECK_HOLDS(buf_text(&f.board.seen), "(1 h 31 min)", "");
    buf_deinit(&f.board.seen);
}

static void too_many_tools_and_endless_titles_do_no_harm(void)
{
    struct fixture f;
    char title[1000];
    char id[200];

    set_up(&f);
    memset(title, 'x', sizeof(title));
    memcpy(title, "Reading ", 8);
    memcpy(title + 94, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8);
    title[sizeof(title) - 1] = '\0';
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "%d", i);
        begin(&f, title, id);
    }
    CHECK_INT(f.activity.tools_count, ACTIVITY_TOOLS_MAX, "bounded");
    CHECK_HOLDS(f.activity.said, " and 14 more", "");
    pass(&f, 20000);
    CHECK_HOLDS(f.activity.said, "(15 s)", "the time is not cut off");
    for (int i = 99; i >= 0; i--) {
        snprintf(id, sizeof(id), "%d", i);
        finish(&f, title, id, AGENT_TOOL_OK);
    }
    CHECK_INT(f.activity.tools_count, 0, "all ended");
    CHECK_TEXT(f.activity.said, "is thinking...", "");
    buf_deinit(&f.board.seen);
}

TEST_MAIN(TEST(times_are_short_and_rounded_to_what_changes_next),
          TEST(a_tool_is_named_and_its_time_shown_from_15_s_on),
          TEST(several_tools_are_told_apart_by_their_ids),
          TEST(a_tool_that_is_told_twice_is_one_step),
          TEST(what_failed_or_was_not_allowed_shows), TEST(a_long_silence_is_a_thought),
          TEST(something_new_is_said_at_least_every_minute),
          TEST(too_many_tools_and_endless_titles_do_no_harm))
