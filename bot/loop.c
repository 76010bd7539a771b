#include "bot/loop.h"

#include <errno.h>
#include <libwebsockets.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "bot.loop"
#include "base/log.h"

#define FDS_MAX             256
#define LISTEN_PATIENCE_MS  2000
#define LISTEN_STEP_MS      50
#define HTTP_HEADERS_BYTES  1024
#define HTTP_PATH_MAX_BYTES 256
#define HTTP_BODY_MAX_BYTES (4U << 20)

struct post {
    loop_fn fn;
    void *context;
    void *item;
    int64_t posted_us;
};

struct timer {
    lws_sorted_usec_list_t sul; /* first: lws hands it back to on_timer() */
    struct post post;
    bool is_pending;
};

struct loop {
    struct lws_context *lws;
    struct loop_callbacks callbacks;
    struct lws_vhost *http;
    struct timer timers[LOOP_TIMERS_MAX];
    int signal_fd;
    bool is_quitting;
    pthread_mutex_t lock; /* guards the mailbox */
    struct post *posts;
    size_t posts_count;
    size_t posts_capacity;
    atomic_bool wake_pending; /* saves one lws_cancel_service() per post under load */
    struct lws_protocols client_protocols[4]; /* lws keeps pointers into the tables */
    struct metric *passes;
    struct histogram *lag;
};

/* ---- mailbox ------------------------------------------------------------------------------
 */

void loop_post(struct loop *loop, loop_fn fn, void *context, void *item)
{
    pthread_mutex_lock(&loop->lock);
    if (loop->posts_count == loop->posts_capacity) {
        loop->posts_capacity = loop->posts_capacity ? loop->posts_capacity * 2 : 64;
        loop->posts = xrealloc(loop->posts, loop->posts_capacity, sizeof(*loop->posts));
    }
    loop->posts[loop->posts_count++] = (struct post){ fn, context, item, clock_now_us() };
    pthread_mutex_unlock(&loop->lock);
    if (!atomic_exchange(&loop->wake_pending, true))
        lws_cancel_service(loop->lws);
}

static void run_posts(struct loop *loop)
{
    struct post *posts;
    size_t count;

    atomic_store(&loop->wake_pending, false);
    pthread_mutex_lock(&loop->lock);
    posts = loop->posts;
    count = loop->posts_count;
    loop->posts = NULL;
    loop->posts_count = 0;
    loop->posts_capacity = 0;
    pthread_mutex_unlock(&loop->lock);
    if (count)
        histogram_observe_us(loop->lag, clock_now_us() - posts[0].posted_us);
    for (size_t i = 0; i < count; i++)
        posts[i].fn(posts[i].context, posts[i].item);
    free(posts);
}

/* ---- timers -------------------------------------------------------------------------------
 */

static void on_timer(lws_sorted_usec_list_t *sul)
{
    struct timer *timer = lws_container_of(sul, struct timer, sul);

    timer->is_pending = false;
    timer->post.fn(timer->post.context, timer->post.item);
}

void loop_after(struct loop *loop, int64_t delay_ms, loop_fn fn, void *context, void *item)
{
    for (size_t i = 0; i < LOOP_TIMERS_MAX; i++) {
        struct timer *timer = &loop->timers[i];

        if (timer->is_pending)
            continue;
        timer->is_pending = true;
        timer->post = (struct post){ fn, context, item, 0 };
        lws_sul_schedule(loop->lws, 0, &timer->sul, on_timer, delay_ms * LWS_US_PER_MS);
        return;
    }
    log_err("no timer left: more than %d are pending", LOOP_TIMERS_MAX);
}

/* ---- signals ------------------------------------------------------------------------------
 */

static void read_signals(struct loop *loop)
{
    struct signalfd_siginfo info;

    while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        loop->callbacks.on_signal(loop->callbacks.context, (int)info.ssi_signo);
}

static int on_signals(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                      size_t len)
{
    struct loop *loop = lws_context_user(lws_get_context(wsi));

    (void)user;
    (void)in;
    (void)len;
    if (reason == LWS_CALLBACK_RAW_RX_FILE)
        read_signals(loop);
    return 0;
}

static int block_signals(struct loop *loop, struct err *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write over a file limit fails like one on a full disk */
    loop->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (loop->signal_fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "signalfd");
    return 0;
}

/* ---- the local HTTP listener --------------------------------------------------------------
 */

static int answer_http(struct loop *loop, struct lws *wsi, const char *path)
{
    struct loop_http_answer answer = { .status = 404, .content_type = "text/plain" };
    unsigned char headers[LWS_PRE + HTTP_HEADERS_BYTES];
    unsigned char *start = headers + LWS_PRE;
    unsigned char *at = start;
    unsigned char *end = headers + sizeof(headers) - 1;
    AUTO_FREE unsigned char *body = NULL;

    buf_init(&answer.body, HTTP_BODY_MAX_BYTES);
    loop->callbacks.on_http(loop->callbacks.context, path,
                            lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0, &answer);
    body = xcalloc(1, LWS_PRE + answer.body.len + 1);
    memcpy(body + LWS_PRE, buf_text(&answer.body), answer.body.len);
    if (lws_add_http_common_headers(wsi, (unsigned)answer.status, answer.content_type,
                                    answer.body.len, &at, end) ||
        lws_finalize_write_http_header(wsi, start, &at, end)) {
        buf_deinit(&answer.body);
        return -1;
    }
    lws_write(wsi, body + LWS_PRE, answer.body.len, LWS_WRITE_HTTP_FINAL);
    buf_deinit(&answer.body);
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t len)
{
    struct loop *loop = lws_context_user(lws_get_context(wsi));
    char path[HTTP_PATH_MAX_BYTES];

    switch (reason) {
    case LWS_CALLBACK_HTTP:
        snprintf(path, sizeof(path), "%.*s", (int)len, (const char *)in);
        return answer_http(loop, wsi, path);
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        run_posts(loop);
        loop->callbacks.on_wake(loop->callbacks.context);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* "127.0.0.1:9464" -> host and port. */
static int split_listen(const char *listen, char *host, size_t size, int *ret_port,
                        struct err *err)
{
    const char *colon = strrchr(listen, ':');
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : -1;

    if (!colon || end == colon + 1 || *end || port < 0 || port > 65535 ||
        (size_t)(colon - listen) >= size)
        return err_set(err, ERR_INPUT, "admin.listen: \"%s\" is not ADDRESS:PORT", listen);
    snprintf(host, size, "%.*s", (int)(colon - listen), listen);
    *ret_port = (int)port;
    return 0;
}

/*
 * Killed while it was starting an agent, a daemon leaves its descriptors to that child for an
 * instant, the listening socket among them: patience before "somebody else listens there".
 */
static struct lws_vhost *listen_patiently(struct lws_context *lws,
                                          const struct lws_context_creation_info *info)
{
    struct lws_vhost *vhost = NULL;

    for (int left_ms = LISTEN_PATIENCE_MS; left_ms >= 0; left_ms -= LISTEN_STEP_MS) {
        errno = 0;
        vhost = lws_create_vhost(lws, info);
        if (vhost || errno != EADDRINUSE)
            break;
        poll(NULL, 0, LISTEN_STEP_MS);
    }
    return vhost;
}

static int start_listener(struct loop *loop, const char *listen,
                          const struct lws_protocols *protocols, struct err *err)
{
    struct lws_context_creation_info info = { 0 };
    char host[64];
    int port = 0;

    if (split_listen(listen, host, sizeof(host), &port, err) < 0)
        return -1;
    info.vhost_name = "admin";
    info.iface = host;
    info.port = port;
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
    info.keepalive_timeout = 5;
    loop->http = listen_patiently(loop->lws, &info);
    if (!loop->http)
        return err_set(err, ERR_SYSTEM,
                       "cannot listen on %s: is another threadkeeper running? Set admin.listen "
                       "to a free port, or to \"\"",
                       listen);
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------
 */

static void log_lws(int level, const char *line)
{
    size_t len = strcspn(line, "\n");

    if (level & LLL_ERR)
        log_debug("lws: %.*s", (int)len, line);
}

static int create_context(struct loop *loop, const struct lws_protocols *protocols,
                          struct err *err)
{
    struct lws_context_creation_info info = { 0 };

    lws_set_log_level(LLL_ERR, log_lws);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.user = loop;
    info.vhost_name = "slack";
    info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    info.fd_limit_per_thread = FDS_MAX; /* without it lws sizes its tables by RLIMIT_NOFILE */
    loop->lws = lws_create_context(&info);
    if (!loop->lws)
        return err_set(err, ERR_SYSTEM, "libwebsockets does not start");
    info.options = 0;
    if (!lws_create_vhost(loop->lws, &info))
        return err_set(err, ERR_SYSTEM, "libwebsockets does not start its client side");
    return 0;
}

static const struct lws_protocols http_protocols[] = {
    { .name = "http", .callback = on_http },
    { 0 },
};

static int adopt_signals(struct loop *loop, struct err *err)
{
    lws_sock_file_fd_type fd = { .filefd = loop->signal_fd };
    struct lws_vhost *vhost = lws_get_vhost_by_name(loop->lws, "slack");

    if (!lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC, fd, "signals", NULL))
        return err_set(err, ERR_SYSTEM, "libwebsockets does not take the signal descriptor");
    return 0;
}

int loop_new(const char *listen, const void *protocol, const struct loop_callbacks *callbacks,
             struct metrics *metrics, struct loop **ret_loop, struct err *err)
{
    struct loop *loop = xcalloc(1, sizeof(*loop));
    size_t count = 0;

    loop->callbacks = *callbacks;
    loop->signal_fd = -1;
    pthread_mutex_init(&loop->lock, NULL);
    loop->passes =
        metrics_counter(metrics, "loop_passes_total", "", "Passes of the event loop.");
    loop->lag = metrics_histogram(metrics, "loop_lag_seconds", "",
                                  "From another thread's post to the loop running it.");
    loop->client_protocols[count++] = http_protocols[0]; /* the first one gets the wake-ups */
    loop->client_protocols[count++] =
        (struct lws_protocols){ .name = "signals", .callback = on_signals };
    if (protocol)
        loop->client_protocols[count++] = *(const struct lws_protocols *)protocol;
    if (block_signals(loop, err) < 0 || create_context(loop, loop->client_protocols, err) < 0 ||
        adopt_signals(loop, err) < 0 ||
        (*listen && start_listener(loop, listen, http_protocols, err) < 0)) {
        loop_free(loop);
        return -1;
    }
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->lws)
        lws_context_destroy(loop->lws); /* closes the adopted descriptor */
    else if (loop->signal_fd >= 0)
        close(loop->signal_fd);
    pthread_mutex_destroy(&loop->lock);
    free(loop->posts);
    free(loop);
}

struct lws_context *loop_lws(struct loop *loop)
{
    return loop->lws;
}

int loop_http_port(const struct loop *loop)
{
    return loop->http ? lws_get_vhost_listen_port(loop->http) : 0;
}

void loop_run(struct loop *loop)
{
    while (!loop->is_quitting && lws_service(loop->lws, 0) >= 0)
        metric_add(loop->passes, 1);
}

void loop_quit(struct loop *loop)
{
    loop->is_quitting = true;
    lws_cancel_service(loop->lws);
}

void loop_drain(struct loop *loop)
{
    run_posts(loop);
}
