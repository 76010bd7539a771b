#include "bot/surface_guarded.h"

#include <stdlib.h>

#include "base/buf.h"
#include "tests/test.h"

#define SECRET "xoxb-1-a-token-of-ours"

/* A surface that writes down what it is told. */
struct notebook {
    struct surface surface; /* first */
    struct buf told;
    struct buf text;
    int failures_left; /* of end() */
};

static struct notebook *from(struct surface *surface)
{
    return (struct notebook *)surface;
}

static void begin(struct surface *surface, int64_t now_ms)
{
    buf_printf(&from(surface)->told, "begin %lld;", (long long)now_ms);
}

static int resume(struct surface *surface, const char *state, struct err *err)
{
    buf_printf(&from(surface)->told, "resume %s;", state);
    return err_set(err, ERR_INPUT, "no such state");
}

static void set_status(struct surface *surface, const char *status, int64_t now_ms)
{
    buf_printf(&from(surface)->told, "status %s %lld;", status, (long long)now_ms);
}

static void show_step(struct surface *surface, const struct surface_step *step)
{
    buf_printf(&from(surface)->told, "step %u %s %d;", step->number, step->title,
               (int)step->state);
}

static void append(struct surface *surface, const char *text, size_t len)
{
    buf_append(&from(surface)->text, text, len);
}

static int64_t tick(struct surface *surface, int64_t now_ms, bool *ret_stopped)
{
    (void)surface;
    *ret_stopped = true;
    return now_ms + 5;
}

static const char *answer(const struct surface *surface)
{
    return buf_text(&((const struct notebook *)surface)->text);
}

static int end(struct surface *surface, const char *note, struct err *err)
{
    struct notebook *notebook = from(surface);

    buf_printf(&notebook->told, "end %s;", note);
    if (notebook->failures_left-- > 0)
        return err_set(err, ERR_TEMP, "not now");
    return 0;
}

static int failed(struct surface *surface, const char *sentence, const char *retry,
                  struct err *err)
{
    (void)err;
    buf_printf(&from(surface)->told, "failed %s %s;", sentence, retry);
    return 0;
}

static void free_notebook(struct surface *surface)
{
    buf_deinit(&from(surface)->told);
    buf_deinit(&from(surface)->text);
}

static const struct surface_ops notebook_ops = {
    .begin = begin,
    .resume = resume,
    .set_status = set_status,
    .show_step = show_step,
    .append = append,
    .tick = tick,
    .answer = answer,
    .end = end,
    .failed = failed,
    .free = free_notebook,
};

struct fixture {
    struct notebook notebook;
    struct metrics *metrics;
    struct guard *guard;
    struct surface *surface;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct config config = { .slack.bot_token = (char *)SECRET,
                             .memory.encryption_key_file = (char *)"" };

    f->notebook.surface.ops = &notebook_ops;
    buf_init(&f->notebook.told, 10000);
    buf_init(&f->notebook.text, 10000);
    f->metrics = metrics_new();
    if (guard_new(&config, f->metrics, &f->guard, NULL) < 0)
        return -1;
    f->surface = surface_guarded_new(&f->notebook.surface, f->guard, "here");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    f->surface->ops->free(f->surface);
    guard_free(f->guard);
    metrics_free(f->metrics);
    free(f);
    return 0;
}

#define GUARDED_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

static void say(struct fixture *f, const char *text)
{
    f->surface->ops->append(f->surface, text, strlen(text));
}

static void whatever_is_shown_passes_the_guard(void **state)
{
    struct fixture *f = *state;
    const struct surface_ops *ops = f->surface->ops;
    struct surface_step step = { 3, "Reading " SECRET, SURFACE_STEP_DONE };
    bool is_stopped = false;
    struct err err = { 0 };

    ops->begin(f->surface, 7);
    CHECK_INT(ops->resume(f->surface, "{}", &err), -1, "what became of it comes back");
    ops->set_status(f->surface, "is reading " SECRET, 8);
    ops->show_step(f->surface, &step);
    CHECK_INT(ops->tick(f->surface, 10, &is_stopped), 15, "as the inner one says");
    CHECK_INT(is_stopped, 1, "that too");
    CHECK_INT(ops->failed(f->surface, "No " SECRET, "1,2", &err), 0, "told");
    CHECK_INT(ops->end(f->surface, "_" SECRET "_", &err), 0, "told");
    CHECK_TEXT(buf_text(&f->notebook.told),
               "begin 7;resume {};status is reading [secret removed] 8;step 3 Reading "
               "[secret removed] 1;failed No [secret removed] 1,2;end _[secret removed]_;",
               "everything, masked");
}

static void the_answer_waits_only_for_what_may_be_a_secret(void **state)
{
    struct fixture *f = *state;
    const struct surface_ops *ops = f->surface->ops;
    struct err err = { 0 };

    CHECK_TEXT(ops->answer(f->surface), "", "nothing yet");
    say(f, "xoxb-1-a-to");
    CHECK_TEXT(buf_text(&f->notebook.text), "", "kept back");
    CHECK_TEXT(ops->answer(f->surface), "...", "but the answer is not empty");
    say(f, "ken-of-ours is it, ");
    CHECK_TEXT(ops->answer(f->surface), "[secret removed] is it, ", "masked");
    say(f, "xoxb-1-a");
    f->notebook.failures_left = 1;
    CHECK_INT(ops->end(f->surface, "", &err), -1, "not delivered");
    CHECK_TEXT(ops->answer(f->surface), "[secret removed] is it, xoxb-1-a", "nothing is lost");
    CHECK_INT(ops->end(f->surface, "", &err), 0, "tried again");
    CHECK_TEXT(ops->answer(f->surface), "[secret removed] is it, xoxb-1-a", "nor doubled");
}

static void what_is_dropped_later_hides_no_secret(void **state)
{
    struct fixture *f = *state;
    struct err err = { 0 };

    say(f, "a xoxb-1-a-\x01token-of-\r");
    say(f, "ours b \xc3");
    say(f, "\xa9");
    CHECK_INT(f->surface->ops->end(f->surface, "", &err), 0, "ended");
    CHECK_TEXT(buf_text(&f->notebook.text), "a [secret removed] b \xc3\xa9",
               "control characters go first, cut characters are joined");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARDED_TEST(whatever_is_shown_passes_the_guard),
        GUARDED_TEST(the_answer_waits_only_for_what_may_be_a_secret),
        GUARDED_TEST(what_is_dropped_later_hides_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
