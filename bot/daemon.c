/*
 * daemon.c - `threadkeeper run`: the table of contents of the daemon's life.
 *
 *   main thread: configuration -> lock -> loop -> memory -> [starter thread] -> loop_run
 *   starter:     auth.test until Slack answers -> posts "identity known" to the loop
 *   loop:        identity known -> courier, desk, workers, waiting messages, Slack's links
 *   SIGTERM:     links closed -> loop ends -> workers leave their runs -> memory written ->
 * exit
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/fence_cgroup.h"
#include "agent/run.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/http.h"
#include "base/random.h"
#include "base/thread.h"
#include "bot/app.h"
#include "bot/catchup.h"
#include "bot/cli.h"
#include "bot/courier.h"
#include "bot/desk.h"
#include "bot/dispatch.h"
#include "bot/fencing.h"
#include "bot/guard.h"
#include "bot/intake.h"
#include "bot/loop.h"
#include "bot/notify.h"
#include "bot/people.h"
#include "bot/placard.h"
#include "bot/status.h"
#include "bot/summarizer.h"
#include "bot/sweeper.h"
#include "bot/twins.h"
#include "bot/wiring.h"
#include "bot/worker.h"
#include "slack/manifest.h"
#include "slack/socket.h"

#define LOG_MODULE "bot.daemon"
#include "base/log.h"

#define STOP_CHECK_MS      50
#define STOP_LINKS_MS      2500 /* then the loop ends whether or not every link has closed */
#define IDENTITY_BASE_MS   1000
#define IDENTITY_CAP_MS    60000
#define STATUS_MAX_BYTES   256
#define NAMES_MAX_BYTES    4096
#define PROBLEMS_MAX_BYTES 65536
#define MALLOC_ARENAS      2 /* more would cost idle memory and gain nothing at our rates */

struct daemon {
    struct app app;
    const struct cli *cli;
    pthread_t starter;
    bool has_starter;
    int lock_fd;
    int64_t stopping_since_ms;
};

struct config *app_config(struct app *app)
{
    struct config *config;

    pthread_mutex_lock(&app->config_lock);
    config = config_ref(app->config);
    pthread_mutex_unlock(&app->config_lock);
    return config;
}

/* ---- stopping -----------------------------------------------------------------------------
 */

static void check_stopped(void *context, void *item)
{
    struct daemon *daemon = context;
    bool links_gone = !daemon->app.socket || slack_socket_is_stopped(daemon->app.socket);

    (void)item;
    if (links_gone || clock_now_ms() - daemon->stopping_since_ms > STOP_LINKS_MS)
        loop_quit(daemon->app.loop);
    else
        loop_after(daemon->app.loop, STOP_CHECK_MS, check_stopped, daemon, NULL);
}

static void begin_stop(struct daemon *daemon, int exit_status)
{
    if (atomic_exchange(&daemon->app.is_stopping, true))
        return;
    daemon->app.exit_status = exit_status;
    daemon->stopping_since_ms = clock_now_ms();
    notify_send("STOPPING=1");
    dispatch_close(daemon->app.dispatch);
    if (daemon->app.socket)
        slack_socket_stop(daemon->app.socket);
    check_stopped(daemon, NULL);
}

/* ---- Slack's links ------------------------------------------------------------------------
 */

static void tell_status(struct daemon *daemon)
{
    AUTO_BUF struct buf line = { 0 };

    buf_init(&line, STATUS_MAX_BYTES);
    status_print_line(&daemon->app, &line);
    notify_send("STATUS=%s", buf_text(&line));
}

static void on_envelope(void *context, struct slack_socket_origin origin, const char *json,
                        size_t len)
{
    struct daemon *daemon = context;

    intake_envelope(daemon->app.intake, origin, json, len);
}

static void on_ready_links(void *context, unsigned ready, unsigned wanted)
{
    struct daemon *daemon = context;

    (void)wanted;
    atomic_store(&daemon->app.ready_links, ready);
    catchup_links(daemon->app.catchup, ready, clock_now_ms());
    tell_status(daemon);
}

static void on_fatal(void *context, const struct err *err)
{
    struct daemon *daemon = context;

    log_err("Slack refuses the tokens, stopping: %s", err->message);
    notify_send("STATUS=Slack refuses the tokens: %s", err->message);
    begin_stop(daemon, CLI_BAD_TOKENS);
}

static void start_links(struct daemon *daemon)
{
    const struct config *config = daemon->app.config;
    struct slack_socket_options options = {
        .api_url = config->slack.api_url,
        .app_token = config->slack.app_token,
        .connections = (unsigned)config->slack.connections,
        .ping_interval_ms = config->slack.ping_interval_ms,
        .ping_timeout_ms = config->slack.ping_timeout_ms,
    };
    struct slack_socket_callbacks callbacks = { on_envelope, on_ready_links, on_fatal, daemon };
    static const struct catchup_options catchup_options = CATCHUP_OPTIONS_DEFAULT;

    daemon->app.intake = intake_new(&daemon->app);
    daemon->app.catchup = catchup_new(&daemon->app, &catchup_options);
    daemon->app.socket =
        slack_socket_new(loop_lws(daemon->app.loop), &options, &callbacks, daemon->app.metrics);
    slack_socket_start(daemon->app.socket);
}

/* ---- the starter: who are we? -------------------------------------------------------------
 */

static void report_scopes(const struct slack_identity *self)
{
    AUTO_BUF struct buf missing = { 0 };

    buf_init(&missing, NAMES_MAX_BYTES);
    if (*self->scopes && slack_manifest_missing_scopes(self->scopes, &missing))
        log_err(
            "the bot token lacks scopes, what needs them will fail: %s. Add them to the app "
            "(threadkeeper manifest) and reinstall it to the workspace",
            buf_text(&missing));
}

/* On the loop: from here on everything runs. */
static void on_identity(void *context, void *item)
{
    struct daemon *daemon = context;
    struct app *app = &daemon->app;
    struct slack_identity *identity = item;

    app->self = *identity;
    free(identity);
    if (atomic_load(&app->is_stopping))
        return;
    log_info("this is %s (%s) in workspace %s (%s)", app->self.user, app->self.user_id,
             app->self.team, app->self.team_id);
    report_scopes(&app->self);
    app->courier = courier_new(app->config->slack.api_url, app->config->slack.bot_token,
                               app->limits, app->metrics);
    app->desk = desk_start(app);
    dispatch_hold_for_refill(app->dispatch); /* the workers begin with what the ledger holds */
    app->summarizer = summarizer_start(app);
    app->placard = placard_start(app);
    app->workers = workers_start(app);
    app->sweeper = sweeper_start(app);
    start_links(daemon);
}

static void on_identity_refused(void *context, void *item)
{
    struct err *err = item;

    on_fatal(context, err);
    free(err);
}

static void wait_before_retry(const struct app *app, unsigned attempt)
{
    int64_t until_ms =
        clock_now_ms() + random_backoff_ms(IDENTITY_BASE_MS, IDENTITY_CAP_MS, attempt);

    while (clock_now_ms() < until_ms && !atomic_load(&app->is_stopping))
        poll(NULL, 0, STOP_CHECK_MS);
}

static void *run_starter(void *context)
{
    struct daemon *daemon = context;
    struct app *app = &daemon->app;
    struct config *config = app_config(app);
    struct slack_web *web =
        slack_web_new(config->slack.api_url, config->slack.bot_token, app->limits);

    config_unref(config);
    slack_web_set_cancel(web, &app->is_stopping);
    for (unsigned attempt = 0; !atomic_load(&app->is_stopping); attempt++) {
        struct slack_identity *identity = xcalloc(1, sizeof(*identity));
        struct err err = { 0 };

        if (slack_auth_test(web, identity, &err) == 0) {
            loop_post(app->loop, on_identity, daemon, identity);
            break;
        }
        free(identity);
        if (err.kind == ERR_AUTH) {
            struct err *copy = xcalloc(1, sizeof(*copy));

            *copy = err;
            loop_post(app->loop, on_identity_refused, daemon, copy);
            break;
        }
        log_warn("Slack does not answer yet, trying again: %s", err.message);
        notify_send("STATUS=waiting for Slack: %s", err.message);
        wait_before_retry(app, attempt);
    }
    slack_web_free(web);
    return NULL;
}

/* ---- signals, reload, watchdog ------------------------------------------------------------
 */

static void swap_config(struct daemon *daemon, struct config *fresh)
{
    struct app *app = &daemon->app;
    struct config *old;

    pthread_mutex_lock(&app->config_lock);
    old = app->config;
    app->config = fresh;
    pthread_mutex_unlock(&app->config_lock);
    config_unref(old);
}

static void apply_config(struct daemon *daemon, struct config *fresh)
{
    AUTO_BUF struct buf applied = { 0 };
    AUTO_BUF struct buf needs_restart = { 0 };
    struct memory_options options = wiring_memory_options(fresh);

    buf_init(&applied, NAMES_MAX_BYTES);
    buf_init(&needs_restart, NAMES_MAX_BYTES);
    config_compare(daemon->app.config, fresh, &applied, &needs_restart);
    log_info("configuration reloaded, in force now: %s",
             applied.len ? buf_text(&applied) : "no change");
    if (needs_restart.len)
        log_warn("changed, but only a restart brings it into force: %s",
                 buf_text(&needs_restart));
    log_configure(daemon->cli->is_verbose ? LOG_LEVEL_DEBUG : (enum log_level)fresh->log.level,
                  (enum log_format)fresh->log.format);
    memory_reconfigure(daemon->app.memory, &options);
    dispatch_set_busy(daemon->app.dispatch, (enum dispatch_busy)fresh->agent.busy);
    swap_config(daemon, fresh);
}

static void reload(struct daemon *daemon)
{
    struct config *fresh = NULL;
    AUTO_BUF struct buf problems = { 0 };
    struct err err = { 0 };

    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_now_us());
    buf_init(&problems, PROBLEMS_MAX_BYTES);
    if (config_load(daemon->cli->config_path, true, &fresh, &problems, &err) < 0 ||
        guard_reload(daemon->app.guard, fresh, &err) < 0) {
        config_unref(fresh);
        log_err("configuration not reloaded, the old one stays in force: %s", err.message);
        for (const char *line = buf_text(&problems); *line;) {
            size_t len = strcspn(line, "\n");

            log_err("%.*s", (int)len, line);
            line += line[len] ? len + 1 : len;
        }
    } else {
        apply_config(daemon, fresh);
    }
    notify_send("READY=1");
    tell_status(daemon);
}

static void on_signal(void *context, int signal_number)
{
    struct daemon *daemon = context;

    switch (signal_number) {
    case SIGTERM:
    case SIGINT:
        log_info("stopping: running agents go on, the next start takes them up");
        begin_stop(daemon, CLI_OK);
        break;
    case SIGHUP:
        reload(daemon);
        break;
    case SIGCHLD:
        agent_reap_first_orphans();
        break;
    default:
        break;
    }
}

static void on_wake(void *context)
{
    struct daemon *daemon = context;

    if (daemon->app.socket)
        slack_socket_on_wake(daemon->app.socket);
}

static void on_http(void *context, const char *path, bool is_post,
                    struct loop_http_answer *answer)
{
    struct daemon *daemon = context;

    status_answer_http(&daemon->app, path, is_post, answer);
}

static void feed_watchdog(void *context, void *item)
{
    struct daemon *daemon = context;

    (void)item;
    notify_send("WATCHDOG=1");
    loop_after(daemon->app.loop, notify_watchdog_ms(), feed_watchdog, daemon, NULL);
}

static void on_loop_running(void *context, void *item)
{
    struct daemon *daemon = context;

    (void)item;
    notify_send("READY=1\nSTATUS=connecting to Slack");
    if (notify_watchdog_ms())
        feed_watchdog(daemon, NULL);
    log_info("threadkeeper " TK_VERSION " runs, pid=%d state_dir=%s admin_port=%d",
             (int)getpid(), daemon->app.config->state_dir, loop_http_port(daemon->app.loop));
}

/* ---- start and end ------------------------------------------------------------------------
 */

/*
 * One daemon for a state directory: two would answer everything twice. A record lock ends with
 * its process; a flock() would live on in a child that the daemon was just starting when it
 * was killed, and refuse the next daemon.
 */
static int take_lock(struct daemon *daemon, struct err *err)
{
    const char *state_dir = daemon->app.config->state_dir;
    AUTO_FREE char *path = xasprintf("%s/daemon.lock", state_dir);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (file_make_dirs(state_dir, 0700, err) < 0)
        return -1;
    daemon->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (daemon->lock_fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", path);
    if (fcntl(daemon->lock_fd, F_SETLK, &lock) < 0)
        return err_set(err, ERR_SYSTEM,
                       "another threadkeeper runs with state_dir %s; stop it first", state_dir);
    return 0;
}

static int open_parts(struct daemon *daemon, struct err *err)
{
    struct app *app = &daemon->app;
    struct memory_options options = wiring_memory_options(app->config);
    struct loop_callbacks callbacks = { on_signal, on_wake, on_http, daemon };

    app->metrics = metrics_new();
    app->limits = slack_limits_new(app->metrics);
    app->features = slack_features_new();
    app->people = people_new();
    app->twins = twins_new();
    if (guard_new(app->config, app->metrics, &app->guard, err) < 0)
        return -1;
    app->dispatch = dispatch_new(app->metrics);
    dispatch_set_busy(app->dispatch, (enum dispatch_busy)app->config->agent.busy);
    app->launcher = wiring_launcher();
    app->runs_dir = xasprintf("%s/runs", app->config->state_dir);
    if (take_lock(daemon, err) < 0 || file_make_dirs(app->runs_dir, 0700, err) < 0 ||
        agent_become_subreaper(err) < 0 || http_startup(err) < 0 ||
        loop_new(app->config->admin.listen, slack_socket_protocol(), &callbacks, app->metrics,
                 &app->loop, err) < 0 ||
        memory_open(&options, app->metrics, &app->memory, err) < 0)
        return -1;
    fencing_begin(app->config);
    return 0;
}

static void close_parts(struct daemon *daemon)
{
    struct app *app = &daemon->app;

    if (daemon->has_starter)
        pthread_join(daemon->starter, NULL);
    placard_join(app->placard);
    workers_join(app->workers);
    placard_free(app->placard);
    catchup_join(app->catchup);
    desk_join(app->desk);
    summarizer_join(app->summarizer);
    sweeper_join(app->sweeper);
    memory_close(app->memory); /* its last callbacks still reach desk, courier and dispatcher */
    if (app->loop)
        loop_drain(app->loop);
    slack_socket_free(app->socket);
    catchup_free(app->catchup);
    intake_free(app->intake);
    desk_free(app->desk);
    courier_free(app->courier);
    loop_free(app->loop);
    dispatch_free(app->dispatch);
    twins_free(app->twins);
    people_free(app->people);
    guard_free(app->guard);
    slack_features_free(app->features);
    slack_limits_free(app->limits);
    metrics_free(app->metrics);
    fence_cgroup_end();
    http_cleanup();
    free(app->launcher);
    free(app->runs_dir);
    config_unref(app->config);
    if (daemon->lock_fd >= 0)
        close(daemon->lock_fd);
}

static void protect_process(void)
{
    mallopt(M_ARENA_MAX, MALLOC_ARENAS); /* NOLINT(concurrency-mt-unsafe): before threads */
    cli_hide_secrets();
}

int command_run(const struct cli *cli)
{
    struct daemon daemon = { .cli = cli, .lock_fd = -1 };
    struct err err = { 0 };
    int status = CLI_FAILED;

    if (cli->argc) {
        fputs("threadkeeper run takes no arguments\n", stderr);
        return CLI_USAGE;
    }
    notify_init();
    daemon.app.config = cli_load_config(cli, true, &status);
    if (!daemon.app.config)
        return status;
    if (cli_become_owner(daemon.app.config, &err) < 0) {
        log_err("cannot start: %s", err.message);
        config_unref(daemon.app.config);
        return CLI_FAILED;
    }
    protect_process();
    pthread_mutex_init(&daemon.app.config_lock, NULL);
    daemon.app.started_ms = clock_now_ms();
    daemon.app.started_wall_s = clock_wall_s();
    if (open_parts(&daemon, &err) < 0) {
        log_err("cannot start: %s", err.message);
        status = CLI_FAILED;
    } else {
        loop_post(daemon.app.loop, on_loop_running, &daemon, NULL);
        thread_start(&daemon.starter, "starter", run_starter, &daemon);
        daemon.has_starter = true;
        loop_run(daemon.app.loop);
        status = daemon.app.exit_status;
    }
    atomic_store(&daemon.app.is_stopping, true);
    close_parts(&daemon);
    log_info("stopped");
    return status;
}
