#include "bot/catchup.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "bot/app.h"
#include "bot/catchup_run.h"
#include "bot/surface_terminal.h"

#define LOG_MODULE "bot.catchup"
#include "base/log.h"

#define ROUNDS_MAX      3 /* then it waits for the links to come back anew */
#define SLICE_MS        100
#define STATE_MAX_BYTES 64

struct catchup {
    struct app *app;
    struct catchup_options options;
    struct metric *runs;
    struct metric *messages;

    unsigned ready; /* loop, as the next three */
    bool was_ever_ready;
    int64_t gone_since_ms;
    bool has_thread;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the rest */
    bool is_running;
    bool is_start;    /* what is owed depends on what the disk says */
    int64_t owed_us;  /* what came before that (wall time) is known; 0: nothing is owed */
    int64_t owed2_us; /* a second gap, that came while the first was being paid */
};

static bool is_stopping(const struct catchup *catchup)
{
    return atomic_load(&catchup->app->is_stopping);
}

/* False when the daemon stops meanwhile. */
static bool wait_ms(const struct catchup *catchup, int64_t wait)
{
    int64_t until = clock_now_ms() + wait;

    while (!is_stopping(catchup)) {
        int64_t left = until - clock_now_ms();
        struct timespec slice = { 0 };

        if (left <= 0)
            return true;
        slice.tv_nsec = (left < SLICE_MS ? left : SLICE_MS) * 1000000;
        nanosleep(&slice, NULL);
    }
    return false;
}

/* ---- what is owed, on disk ----------------------------------------------------------------
 */

static char *state_path(const struct catchup *catchup)
{
    struct config *config = app_config(catchup->app);
    char *path = xasprintf("%s/catchup", config->state_dir);

    config_unref(config);
    return path;
}

static void save_owed(const struct catchup *catchup, int64_t owed_us)
{
    AUTO_FREE char *path = state_path(catchup);
    AUTO_FREE char *text = xasprintf("%" PRId64 "\n", owed_us);
    struct err err = { 0 };

    if (file_write(path, text, strlen(text), 0600, &err) < 0)
        log_warn("cannot note that messages are missing, a restart now would forget it: %s",
                 err.message);
}

static void forget_owed(const struct catchup *catchup)
{
    AUTO_FREE char *path = state_path(catchup);

    unlink(path);
}

/* What an earlier process owed; 0 for nothing, or nothing that could be read. */
static int64_t load_owed(const struct catchup *catchup)
{
    AUTO_FREE char *path = state_path(catchup);
    AUTO_BUF struct buf text = { 0 };
    int64_t owed_us;

    buf_init(&text, STATE_MAX_BYTES);
    if (file_read(path, &text, NULL) < 0)
        return 0;
    owed_us = strtoll(buf_text(&text), NULL, 10);
    return owed_us > 0 && owed_us < clock_wall_us() ? owed_us : 0;
}

/* At the start: what an earlier process owed, or else the gap since the last message. */
static int64_t owed_at_start(const struct catchup *catchup, int64_t now_us)
{
    int64_t owed_us = load_owed(catchup);
    int64_t last_us = 0;
    struct err err = { 0 };

    if (owed_us)
        return owed_us;
    if (memory_last_message(catchup->app->memory, TERMINAL_CHANNEL, now_us, &last_us, &err) <
        0) {
        log_err("cannot tell whether messages are missing: %s", err.message);
        return 0;
    }
    return last_us && now_us - last_us > catchup->options.gap_ms * 1000 ? now_us : 0;
}

/* ---- the thread ---------------------------------------------------------------------------
 */

/* True when what is owed since then is paid. */
static bool pay(struct catchup *catchup, int64_t owed_us)
{
    struct catchup_run *run =
        catchup_run_new(catchup->app, owed_us, catchup->options.pause_ms, catchup->messages);
    struct catchup_run_figures figures;
    struct err err = { 0 };
    int64_t began_ms = clock_now_ms();
    bool is_paid;
    char took[32];

    save_owed(catchup, owed_us);
    metric_add(catchup->runs, 1);
    for (unsigned round = 1; !(is_paid = catchup_run_round(run, &err) == 0); round++) {
        if (round == ROUNDS_MAX || is_stopping(catchup))
            break;
        log_info("catching up is interrupted, going on soon: %s", err.message);
        if (!wait_ms(catchup, catchup->options.retry_ms))
            break;
    }
    figures = catchup_run_get_figures(run);
    catchup_run_free(run);
    if (is_paid)
        log_info("caught up with what was said while Slack was away: places=%zu calls=%zu "
                 "messages=%zu refused=%zu cut=%zu took=%s",
                 figures.places, figures.calls, figures.found, figures.refused, figures.cut,
                 clock_human(clock_now_ms() - began_ms, took));
    else if (!is_stopping(catchup))
        log_warn("not caught up with what was said while Slack was away, going on when a link "
                 "is next back, or at the next start: %s",
                 err.message);
    if (is_paid)
        forget_owed(catchup);
    return is_paid;
}

/* What to pay next, 0 for nothing: then the thread counts as ended. */
static int64_t next_owed(struct catchup *catchup)
{
    int64_t owed_us;
    bool is_start;

    pthread_mutex_lock(&catchup->lock);
    owed_us = catchup->owed_us;
    is_start = catchup->is_start;
    catchup->is_start = false;
    pthread_mutex_unlock(&catchup->lock);
    if (is_start)
        owed_us = owed_at_start(catchup, owed_us);
    pthread_mutex_lock(&catchup->lock);
    if (!owed_us) {
        owed_us = catchup->owed2_us;
        catchup->owed2_us = 0;
    }
    catchup->owed_us = owed_us;
    catchup->is_running = owed_us != 0;
    pthread_mutex_unlock(&catchup->lock);
    return owed_us;
}

static void settle_owed(struct catchup *catchup, bool is_paid)
{
    pthread_mutex_lock(&catchup->lock);
    if (is_paid)
        catchup->owed_us = catchup->owed2_us;
    catchup->owed2_us = 0; /* an older gap that is still owed covers the newer one */
    catchup->is_running = is_paid;
    pthread_mutex_unlock(&catchup->lock);
}

static void *run_thread(void *context)
{
    struct catchup *catchup = context;
    bool is_paid = true;
    int64_t owed_us;

    pthread_setname_np(pthread_self(), "catchup");
    while (is_paid && (owed_us = next_owed(catchup)) != 0) {
        is_paid = pay(catchup, owed_us);
        settle_owed(catchup, is_paid);
    }
    return NULL;
}

/* ---- the links ----------------------------------------------------------------------------
 */

struct catchup *catchup_new(struct app *app, const struct catchup_options *options)
{
    struct catchup *catchup = xcalloc(1, sizeof(*catchup));

    catchup->app = app;
    catchup->options = *options;
    pthread_mutex_init(&catchup->lock, NULL);
    catchup->runs = metrics_counter(app->metrics, "catchups_total", "",
                                    "Times that missed messages were asked for.");
    catchup->messages = metrics_counter(app->metrics, "catchup_messages_total", "",
                                        "Messages for us that were found so.");
    return catchup;
}

/* Notes what is owed; true when a thread is to be started for it. */
static bool note_owed(struct catchup *catchup, bool is_start, bool is_long_gap)
{
    int64_t now_us = clock_wall_us();
    bool starts;

    pthread_mutex_lock(&catchup->lock);
    catchup->is_start = catchup->is_start || is_start;
    if (is_long_gap && catchup->is_running)
        catchup->owed2_us = catchup->owed2_us ? catchup->owed2_us : now_us;
    else if (is_long_gap && !catchup->owed_us)
        catchup->owed_us = now_us;
    starts = catchup->owed_us && !catchup->is_running;
    catchup->is_running = catchup->is_running || starts;
    pthread_mutex_unlock(&catchup->lock);
    return starts;
}

void catchup_links(struct catchup *catchup, unsigned ready, int64_t now_ms)
{
    bool is_back = ready && !catchup->ready;
    bool is_start = is_back && !catchup->was_ever_ready;
    bool is_long_gap = is_start || now_ms - catchup->gone_since_ms > catchup->options.gap_ms;

    if (!ready && catchup->ready)
        catchup->gone_since_ms = now_ms;
    catchup->ready = ready;
    catchup->was_ever_ready = catchup->was_ever_ready || is_back;
    if (!is_back || is_stopping(catchup) || !note_owed(catchup, is_start, is_long_gap))
        return;
    catchup_join(catchup); /* of an earlier one, which has ended */
    catchup->has_thread = pthread_create(&catchup->thread, NULL, run_thread, catchup) == 0;
    if (!catchup->has_thread) {
        log_err("no thread to catch up with, trying again when a link is next back");
        settle_owed(catchup, false);
    }
}

void catchup_join(struct catchup *catchup)
{
    if (!catchup || !catchup->has_thread)
        return;
    pthread_join(catchup->thread, NULL);
    catchup->has_thread = false;
}

void catchup_free(struct catchup *catchup)
{
    if (!catchup)
        return;
    pthread_mutex_destroy(&catchup->lock);
    free(catchup);
}
