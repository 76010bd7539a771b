#include "slack/socket.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <libwebsockets.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "slack/backoff.h"
#include "slack/link.h"
#include "slack/opener.h"

#define LOG_MODULE "slack.socket"
#include "base/log.h"

/* A link that was READY this long was no failed attempt, however it ends. */
#define HEALTHY_MS 60000
/* At start nobody waits longer than this for its predecessor to be READY. */
#define START_STAGGER_MS 5000
/* Planned replacements of different links keep this distance. */
#define BIRTH_DISTANCE_MS 30000
#define OPENER_BUSY_MS    1000
#define MS_PER_S          1000

/* A place for one serving link, and the attempt to put the next one into it. */
struct slot {
    struct slack_link *front;       /* READY; NULL when there is none */
    struct slack_link *next;        /* on its way; NULL when none is needed */
    enum slack_link_reason leaving; /* why `next` is to replace `front` */
    unsigned failures;
    int64_t ready_ms; /* the last birth */
};

struct slack_socket {
    struct lws_context *lws;
    struct slack_socket_options options; /* strings are the opener's */
    struct slack_socket_callbacks callbacks;
    struct slack_link_owner owner;
    struct slack_opener *opener;
    struct lws_vhost *direct; /* made when first needed; they end with the context */
    struct lws_vhost *proxied;
    struct lws_vhost *plain;
    struct slot *slots;
    unsigned started;          /* slots opened so far */
    struct slack_link **links; /* all that are not gone */
    size_t link_count;
    size_t link_capacity;
    uint64_t last_generation;
    struct slack_bucket bucket;
    int64_t not_before_ms; /* Retry-After of apps.connections.open, for all links */
    lws_sorted_usec_list_t stagger;
    unsigned ready;
    int64_t ghosts; /* as last warned */
    bool is_stopping;
    struct metric *links_ready;
    struct metric *frames_in;
    struct metric *acks_sent;
    struct metric *acks_dropped;
    struct metric *ack_queue;
    struct metric *slack_connections;
    struct metric *reconnects[SLACK_LINK_REASONS];
};

static void open_slot(struct slack_socket *socket, unsigned index, int64_t delay_ms);

/* --- links as a set --- */

static void remember_link(struct slack_socket *socket, struct slack_link *link)
{
    if (socket->link_count == socket->link_capacity) {
        socket->link_capacity = socket->link_capacity ? socket->link_capacity * 2 : 8;
        socket->links =
            xrealloc(socket->links, socket->link_capacity, sizeof(struct slack_link *));
    }
    socket->links[socket->link_count++] = link;
}

static void forget_link(struct slack_socket *socket, const struct slack_link *link)
{
    for (size_t i = 0; i < socket->link_count; i++) {
        if (socket->links[i] == link) {
            socket->links[i] = socket->links[--socket->link_count];
            return;
        }
    }
}

static struct slack_link *find_link(const struct slack_socket *socket, uint64_t generation)
{
    for (size_t i = 0; i < socket->link_count; i++) {
        if (slack_link_generation(socket->links[i]) == generation)
            return socket->links[i];
    }
    return NULL;
}

static struct slot *slot_of(struct slack_socket *socket, const struct slack_link *link,
                            unsigned *ret_index)
{
    struct slack_link_view view;

    slack_link_look(link, &view);
    *ret_index = view.slot;
    return &socket->slots[view.slot];
}

static void count_ready(struct slack_socket *socket)
{
    unsigned ready = 0;

    for (unsigned i = 0; i < socket->options.connections; i++) {
        const struct slack_link *front = socket->slots[i].front;

        ready += front && slack_link_state(front) == SLACK_LINK_READY;
    }
    if (ready == socket->ready)
        return;
    socket->ready = ready;
    metric_set(socket->links_ready, ready);
    if (socket->callbacks.on_ready_links)
        socket->callbacks.on_ready_links(socket->callbacks.context, ready,
                                         socket->options.connections);
}

/* --- opening --- */

static void open_further_slots(struct slack_socket *socket);

static void on_stagger(lws_sorted_usec_list_t *sul)
{
    open_further_slots(lws_container_of(sul, struct slack_socket, stagger));
}

/* One more slot, and a limit to how long the one after it waits. */
static void open_further_slots(struct slack_socket *socket)
{
    if (socket->is_stopping || socket->started >= socket->options.connections)
        return;
    open_slot(socket, socket->started++, 0);
    if (socket->started < socket->options.connections)
        lws_sul_schedule(socket->lws, 0, &socket->stagger, on_stagger,
                         (lws_usec_t)START_STAGGER_MS * LWS_US_PER_MS);
}

static void open_slot(struct slack_socket *socket, unsigned index, int64_t delay_ms)
{
    struct slack_link_options options = {
        .lws = socket->lws,
        .owner = &socket->owner,
        .slot = index,
        .generation = ++socket->last_generation,
        .ping_interval_ms = socket->options.ping_interval_ms,
        .ping_timeout_ms = socket->options.ping_timeout_ms,
    };
    struct slack_link *link = slack_link_new(&options);

    remember_link(socket, link);
    socket->slots[index].next = link;
    slack_link_wait(link, delay_ms);
}

static void on_due(void *context, struct slack_link *link)
{
    struct slack_socket *socket = context;
    int64_t now_ms = clock_now_ms();
    int64_t wait_ms = socket->not_before_ms - now_ms;

    if (wait_ms <= 0)
        wait_ms = slack_bucket_take(&socket->bucket, now_ms);
    if (wait_ms <= 0 && !slack_opener_ask(socket->opener, slack_link_generation(link)))
        wait_ms = OPENER_BUSY_MS;
    if (wait_ms > 0)
        slack_link_wait(link, wait_ms);
    else
        slack_link_expect_url(link);
}

static struct lws_vhost *make_vhost(struct slack_socket *socket, const char *name,
                                    bool uses_tls)
{
    struct lws_context_creation_info info = { 0 };
    struct lws_vhost *vhost;

    info.port = CONTEXT_PORT_NO_LISTEN;
    info.vhost_name = name;
    info.protocols = slack_socket_protocol();
    info.options = uses_tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0;
    /* Port 0 is "none". Without it lws would take http_proxy, which is not meant for TLS, and
     * for loopback too. */
    info.http_proxy_address = "127.0.0.1:0";
    vhost = lws_create_vhost(socket->lws, &info);
    if (!vhost)
        log_err("libwebsockets makes no vhost for %s: the TLS library or its certificates are "
                "broken",
                name);
    return vhost;
}

/* NULL when the connection cannot be made as the environment asks. */
static struct lws_vhost *vhost_for(struct slack_socket *socket, const struct slack_route *route)
{
    struct lws_vhost **vhost = &socket->plain;
    const char *name = "slack-on-loopback"; /* needs no trust store, which is most of a MB */

    if (route->proxy) {
        vhost = &socket->proxied;
        name = "slack-by-proxy";
    } else if (route->uses_tls) {
        vhost = &socket->direct;
        name = "slack";
    }
    if (!*vhost)
        *vhost = make_vhost(socket, name, vhost != &socket->plain);
    if (*vhost && route->proxy && lws_set_proxy(*vhost, route->proxy) != 0)
        return NULL;
    return *vhost;
}

static void fail_for_good(struct slack_socket *socket, const struct err *err)
{
    if (socket->is_stopping)
        return;
    log_err("%s", err->message);
    slack_socket_stop(socket);
    socket->callbacks.on_fatal(socket->callbacks.context, err);
}

static void take_answer(struct slack_socket *socket, struct slack_opener_answer *answer)
{
    struct slack_link *link = find_link(socket, answer->generation);
    int64_t not_before_ms = clock_now_ms() + answer->retry_after_ms;
    struct lws_vhost *vhost;

    if (answer->retry_after_ms > 0 && not_before_ms > socket->not_before_ms)
        socket->not_before_ms = not_before_ms;
    if (answer->result == SLACK_OPENING_FATAL) {
        fail_for_good(socket, &answer->err);
        return;
    }
    /* A link that gave up meanwhile is not there any more, or waits for another answer. */
    if (!link || slack_link_state(link) != SLACK_LINK_OPENING_URL)
        return;
    if (answer->result != SLACK_OPENING_OK) {
        slack_link_fail(link,
                        answer->result == SLACK_OPENING_LIMITED ? SLACK_LINK_LIMITED
                                                                : SLACK_LINK_NO_URL,
                        answer->err.message);
        return;
    }
    vhost = vhost_for(socket, &answer->route);
    if (vhost)
        slack_link_connect(link, &answer->route, vhost);
    else
        slack_link_fail(link, SLACK_LINK_REFUSED, "libwebsockets cannot use TLS or the proxy");
}

void slack_socket_on_wake(struct slack_socket *socket)
{
    struct slack_opener_answer *answer;

    while ((answer = slack_opener_take(socket->opener)) != NULL) {
        take_answer(socket, answer);
        slack_opener_answer_free(answer);
    }
}

/* --- what links report --- */

static enum slack_retry retry_after_reason(enum slack_link_reason reason)
{
    if (reason == SLACK_LINK_DISABLED)
        return SLACK_RETRY_PATIENTLY;
    return reason == SLACK_LINK_TOO_MANY ? SLACK_RETRY_SLOWLY : SLACK_RETRY_SOON;
}

static bool is_refresh(enum slack_link_reason reason)
{
    return reason == SLACK_LINK_REFRESH || reason == SLACK_LINK_WARNING ||
           reason == SLACK_LINK_PLANNED;
}

/* A minute; less only where Slack announced a short life (its debug_reconnects does). */
static bool was_healthy(const struct slack_link_view *view)
{
    int64_t enough_ms = HEALTHY_MS;

    if (view->life_ms > 0 && view->life_ms / 2 < enough_ms)
        enough_ms = view->life_ms / 2;
    return view->ready_ms && clock_now_ms() - view->ready_ms >= enough_ms;
}

/*
 * When to try again after `link` ended or wants to end. Only a healthy life forgives earlier
 * failures; a first refresh is free of delay, but a Slack that refreshes at once, again and
 * again, is met with the same backoff as any other failure.
 */
static int64_t plan_delay(struct slot *slot, const struct slack_link *link,
                          enum slack_link_reason reason)
{
    enum slack_retry retry = retry_after_reason(reason);
    struct slack_link_view view;
    bool is_free;

    slack_link_look(link, &view);
    if (was_healthy(&view))
        slot->failures = 0;
    is_free = view.ready_ms && retry == SLACK_RETRY_SOON && slot->failures == 0 &&
              (is_refresh(reason) || was_healthy(&view));
    if (!is_free)
        return slack_backoff_delay_ms(retry, slot->failures++);
    slot->failures++;
    return 0;
}

static bool others_are_young(const struct slack_socket *socket, unsigned index)
{
    for (unsigned i = 0; i < socket->options.connections; i++) {
        const struct slot *slot = &socket->slots[i];

        if (i != index && (slot->next || clock_now_ms() - slot->ready_ms < BIRTH_DISTANCE_MS))
            return true;
    }
    return false;
}

static void on_leaving(void *context, struct slack_link *link, enum slack_link_reason reason)
{
    struct slack_socket *socket = context;
    unsigned index;
    struct slot *slot = slot_of(socket, link, &index);

    if (socket->is_stopping || slot->front != link)
        return;
    slot->leaving = reason;
    if (slot->next)
        return;
    if (reason == SLACK_LINK_PLANNED && others_are_young(socket, index)) {
        slack_link_ask_later(link, BIRTH_DISTANCE_MS);
        return;
    }
    metric_add(socket->reconnects[reason], 1);
    open_slot(socket, index, plan_delay(slot, link, reason));
}

static void on_lost(void *context, struct slack_link *link, enum slack_link_reason reason,
                    const char *detail)
{
    struct slack_socket *socket = context;
    unsigned index;
    struct slot *slot = slot_of(socket, link, &index);
    bool was_front = slot->front == link;
    int64_t delay_ms;

    if (!was_front && slot->next != link)
        return;
    if (was_front)
        slot->front = NULL;
    else
        slot->next = NULL;
    count_ready(socket);
    if (socket->is_stopping || slot->next)
        return;
    delay_ms = plan_delay(slot, link, reason);
    metric_add(socket->reconnects[reason], 1);
    if (reason == SLACK_LINK_DISABLED)
        log_err("link %u: Socket Mode is switched off in the app's settings; asking again in "
                "%lld s",
                index + 1, (long long)delay_ms / MS_PER_S);
    else if (delay_ms > 0)
        log_warn("link %u: %s (%s), trying again in %lld ms", index + 1,
                 slack_link_reason_name(reason), detail, (long long)delay_ms);
    open_slot(socket, index, delay_ms);
    open_further_slots(socket);
}

/* Links of ours that Slack may count: from the 101 to the last byte. */
static int64_t count_open(const struct slack_socket *socket)
{
    int64_t open = 0;

    for (size_t i = 0; i < socket->link_count; i++) {
        enum slack_link_state state = slack_link_state(socket->links[i]);

        open += state >= SLACK_LINK_UPGRADED && state <= SLACK_LINK_CLOSING;
    }
    return open;
}

static void watch_ghosts(struct slack_socket *socket, const struct slack_link *link)
{
    struct slack_link_view view;
    int64_t open = count_open(socket);
    int64_t ghosts;

    slack_link_look(link, &view);
    metric_set(socket->slack_connections, view.num_connections);
    ghosts = view.num_connections > open ? view.num_connections - open : 0;
    if (ghosts && ghosts != socket->ghosts)
        log_warn(
            "Slack counts %lld connections of this app, we have %lld: until they are gone, "
            "Slack sends part of the events to leftovers of an earlier process or to "
            "another program with the same app token",
            (long long)view.num_connections, (long long)open);
    socket->ghosts = ghosts;
}

static void on_ready(void *context, struct slack_link *link)
{
    struct slack_socket *socket = context;
    unsigned index;
    struct slot *slot = slot_of(socket, link, &index);
    struct slack_link *old = slot->front;

    slot->front = link;
    slot->next = NULL;
    slot->ready_ms = clock_now_ms();
    if (old)
        slack_link_drain(old, slack_link_reason_name(slot->leaving));
    watch_ghosts(socket, link);
    count_ready(socket);
    open_further_slots(socket);
}

static void on_message(void *context, struct slack_link *link, const char *json, size_t len)
{
    struct slack_socket *socket = context;
    unsigned index;
    struct slack_socket_origin origin = { .generation = slack_link_generation(link) };

    slot_of(socket, link, &index);
    origin.link = index;
    metric_add(socket->frames_in, 1);
    socket->callbacks.on_envelope(socket->callbacks.context, origin, json, len);
}

static void on_acks_sent(void *context, size_t count)
{
    struct slack_socket *socket = context;

    metric_add(socket->acks_sent, (int64_t)count);
    metric_add(socket->ack_queue, -(int64_t)count);
}

/* --- acks --- */

/* The best link for an ack that has lost its own; NULL when none is open. */
static struct slack_link *any_open_link(const struct slack_socket *socket)
{
    struct slack_link *found = NULL;

    for (size_t i = 0; i < socket->link_count; i++) {
        struct slack_link *link = socket->links[i];

        if (!slack_link_can_send(link))
            continue;
        if (slack_link_state(link) == SLACK_LINK_READY)
            return link;
        found = link;
    }
    return found;
}

static void send_or_drop(struct slack_socket *socket, struct slack_link *link,
                         struct slack_frame *frame)
{
    if (!link || !slack_link_can_send(link))
        link = any_open_link(socket);
    if (link && slack_link_send(link, frame)) {
        metric_add(socket->ack_queue, 1);
        return;
    }
    if (!link)
        slack_frame_free(frame);
    metric_add(socket->acks_dropped, 1);
}

static void on_gone(void *context, struct slack_link *link, struct slack_outbox *unsent)
{
    struct slack_socket *socket = context;
    unsigned index;
    struct slot *slot = slot_of(socket, link, &index);
    struct slack_frame *frame;

    forget_link(socket, link);
    if (slot->front == link)
        slot->front = NULL;
    if (slot->next == link)
        slot->next = NULL;
    count_ready(socket);
    while ((frame = slack_outbox_pop(unsent)) != NULL) {
        metric_add(socket->ack_queue, -1);
        send_or_drop(socket, NULL, frame);
    }
}

void slack_socket_ack(struct slack_socket *socket, struct slack_socket_origin origin,
                      const char *envelope_id, const char *payload_json)
{
    struct slack_frame *frame = slack_frame_new_ack(envelope_id, payload_json);

    if (!frame) {
        log_warn("an envelope_id of %zu bytes cannot be acked", strlen(envelope_id));
        metric_add(socket->acks_dropped, 1);
        return;
    }
    send_or_drop(socket, find_link(socket, origin.generation), frame);
}

/* --- life --- */

static void wake_loop(void *context)
{
    lws_cancel_service(context);
}

static void register_metrics(struct slack_socket *socket, struct metrics *metrics)
{
    socket->links_ready =
        metrics_gauge(metrics, "socket_links_ready", "", "Socket Mode links that are ready");
    socket->slack_connections =
        metrics_gauge(metrics, "socket_slack_connections", "",
                      "Connections of this app as Slack counted them at the last hello");
    socket->frames_in = metrics_counter(metrics, "socket_messages_total", "",
                                        "Messages received, hello and disconnect excluded");
    socket->acks_sent =
        metrics_counter(metrics, "socket_acks_total", "result=\"sent\"", "Envelopes acked");
    socket->acks_dropped =
        metrics_counter(metrics, "socket_acks_total", "result=\"dropped\"", "Envelopes acked");
    socket->ack_queue =
        metrics_gauge(metrics, "socket_ack_queue", "", "Acks waiting to be written");
    for (int i = 0; i < SLACK_LINK_REASONS; i++) {
        AUTO_FREE char *labels =
            xasprintf("reason=\"%s\"", slack_link_reason_name((enum slack_link_reason)i));

        socket->reconnects[i] = metrics_counter(metrics, "socket_reconnects_total", labels,
                                                "New connection attempts by what caused them");
    }
}

struct slack_socket *slack_socket_new(struct lws_context *lws,
                                      const struct slack_socket_options *options,
                                      const struct slack_socket_callbacks *callbacks,
                                      struct metrics *metrics)
{
    struct slack_socket *socket = xcalloc(1, sizeof(*socket));
    struct slack_opener_options opener = {
        .api_url = options->api_url,
        .app_token = options->app_token,
        .debug_reconnects = options->debug_reconnects,
        .wake = wake_loop,
        .context = lws,
    };

    socket->lws = lws;
    socket->options = *options;
    socket->options.api_url = NULL; /* the opener has its copy */
    socket->options.app_token = NULL;
    socket->callbacks = *callbacks;
    socket->slots = xcalloc(options->connections, sizeof(socket->slots[0]));
    socket->owner = (struct slack_link_owner){
        .on_due = on_due,
        .on_ready = on_ready,
        .on_message = on_message,
        .on_leaving = on_leaving,
        .on_lost = on_lost,
        .on_acks_sent = on_acks_sent,
        .on_gone = on_gone,
        .context = socket,
    };
    slack_bucket_init(&socket->bucket, clock_now_ms());
    register_metrics(socket, metrics);
    socket->opener = slack_opener_new(&opener);
    return socket;
}

void slack_socket_free(struct slack_socket *socket)
{
    if (!socket)
        return;
    socket->is_stopping = true;
    lws_sul_cancel(&socket->stagger);
    while (socket->link_count > 0)
        slack_link_fail(socket->links[0], SLACK_LINK_STOPPED, "freed");
    slack_opener_free(socket->opener);
    free(socket->links);
    free(socket->slots);
    free(socket);
}

void slack_socket_start(struct slack_socket *socket)
{
    open_further_slots(socket);
}

void slack_socket_stop(struct slack_socket *socket)
{
    if (socket->is_stopping)
        return;
    socket->is_stopping = true;
    lws_sul_cancel(&socket->stagger);
    /* Closing one may take it off the list, where the last one then takes its place. */
    for (size_t i = socket->link_count; i > 0; i--)
        slack_link_close(socket->links[i - 1], "stop");
    count_ready(socket);
}

bool slack_socket_is_stopped(const struct slack_socket *socket)
{
    return socket->is_stopping && socket->link_count == 0;
}

unsigned slack_socket_ready_links(const struct slack_socket *socket)
{
    return socket->ready;
}

static json_t *describe(const struct slack_link *link, int64_t now_ms)
{
    struct slack_link_view view;

    slack_link_look(link, &view);
    return json_pack("{s:i, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "link",
                     (int)view.slot + 1, "state", slack_link_state_name(view.state),
                     "generation", (json_int_t)view.generation, "host", view.host, "age_s",
                     (json_int_t)(view.born_ms ? (now_ms - view.born_ms) / MS_PER_S : 0),
                     "last_frame_ms_ago",
                     (json_int_t)(view.last_frame_ms ? now_ms - view.last_frame_ms : -1),
                     "messages_in", (json_int_t)view.frames_in, "acks_sent",
                     (json_int_t)view.acks_sent, "acks_waiting", (json_int_t)view.unsent,
                     "num_connections", (json_int_t)view.num_connections);
}

void slack_socket_print_status(const struct slack_socket *socket, struct buf *out_json_array)
{
    json_t *array = json_array();
    int64_t now_ms = clock_now_ms();
    AUTO_FREE char *text = NULL;

    for (size_t i = 0; i < socket->link_count; i++)
        json_array_append_new(array, describe(socket->links[i], now_ms));
    text = json_dumps(array, JSON_COMPACT);
    buf_append_text(out_json_array, text ? text : "[]");
    json_decref(array);
}

const void *slack_socket_protocol(void)
{
    return slack_link_protocol();
}
