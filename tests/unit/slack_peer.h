/*
 * slack_peer.h - a little Slack on loopback for unit tests: answers as scripted, keeps the
 * messages that result, and records every call.
 *
 * Threads: the server is one thread inside; everything else belongs to the test.
 */
#ifndef TESTS_UNIT_SLACK_PEER_H
#define TESTS_UNIT_SLACK_PEER_H

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"

#define PEER_CALLS_MAX    512
#define PEER_RULES_MAX    64
#define PEER_MESSAGES_MAX 64

struct peer_call {
    char method[64];
    char *body;
    char authorization[128];
    char content_type[128];
};

/* The next call of `method` gets this instead of the ordinary answer. */
struct peer_rule {
    const char *method;
    int status;          /* 0: the connection is closed without an answer */
    const char *headers; /* "Name: value\r\n"..., or "" */
    const char *body;
    bool executes; /* the call has its effect all the same */
    bool is_used;
};

struct peer_message {
    char ts[32];
    char thread_ts[32];
    struct buf text;
    char key[64];
    bool is_stream; /* and still open */
    bool is_deleted;
};

struct slack_peer {
    int fd;
    char url[64];
    pthread_t thread;
    atomic_bool stops;
    atomic_bool hangs_up; /* after each answer, without saying so */
    atomic_uint hung_up;  /* connections closed so far */
    pthread_mutex_t lock; /* guards all below */
    struct peer_call calls[PEER_CALLS_MAX];
    size_t calls_count;
    struct peer_rule rules[PEER_RULES_MAX];
    size_t rules_count;
    struct peer_message messages[PEER_MESSAGES_MAX];
    size_t messages_count;
    unsigned connections;
};

static inline const char *peer_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static inline struct peer_message *peer_find_locked(struct slack_peer *peer, const char *ts)
{
    for (size_t i = 0; i < peer->messages_count; i++) {
        if (strcmp(peer->messages[i].ts, ts) == 0 && !peer->messages[i].is_deleted)
            return &peer->messages[i];
    }
    return NULL;
}

/* What a body adds to its message: text, and "[id status title]" for each card of a stream. */
static inline void peer_append_content(struct buf *out, const json_t *body)
{
    const json_t *blocks = json_object_get(body, "blocks");
    const json_t *chunk;
    size_t i;

    if (json_is_array(blocks))
        buf_append_text(out, peer_text(json_array_get(blocks, 0), "text"));
    else
        buf_append_text(out, peer_text(body, "markdown_text"));
    json_array_foreach(json_object_get(body, "chunks"), i, chunk)
    {
        if (strcmp(peer_text(chunk, "type"), "task_update") == 0)
            buf_printf(out, "[%s %s %s]", peer_text(chunk, "id"), peer_text(chunk, "status"),
                       peer_text(chunk, "title"));
        else
            buf_append_text(out, peer_text(chunk, "text"));
    }
}

static inline const char *peer_new_locked(struct slack_peer *peer, const json_t *body,
                                          bool is_stream)
{
    struct peer_message *message = &peer->messages[peer->messages_count++];
    const json_t *payload = json_object_get(json_object_get(body, "metadata"), "event_payload");

    snprintf(message->ts, sizeof(message->ts), "1700000000.%06zu", peer->messages_count);
    snprintf(message->thread_ts, sizeof(message->thread_ts), "%s",
             peer_text(body, "thread_ts"));
    snprintf(message->key, sizeof(message->key), "%s", peer_text(payload, "key"));
    buf_init(&message->text, 1 << 20);
    peer_append_content(&message->text, body);
    message->is_stream = is_stream;
    return message->ts;
}

/* What Slack would do; NULL for no error, else its name. `*ret_ts` is the message. */
static inline const char *peer_execute_locked(struct slack_peer *peer, const char *method,
                                              const json_t *body, const char **ret_ts)
{
    struct peer_message *message = peer_find_locked(peer, peer_text(body, "ts"));

    *ret_ts = peer_text(body, "ts");
    if (strcmp(method, "chat.postMessage") == 0 || strcmp(method, "chat.startStream") == 0) {
        *ret_ts = peer_new_locked(peer, body, method[5] == 's');
        return NULL;
    }
    if (strncmp(method, "chat.", 5) != 0 || strcmp(method, "chat.postEphemeral") == 0)
        return NULL;
    if (!message)
        return "message_not_found";
    if (strstr(method, "Stream") && !message->is_stream)
        return "message_not_in_streaming_state";
    if (strcmp(method, "chat.update") == 0) {
        if (message->is_stream)
            return "streaming_state_conflict";
        buf_clear(&message->text);
    }
    if (strcmp(method, "chat.delete") == 0)
        message->is_deleted = true;
    if (strcmp(method, "chat.stopStream") == 0)
        message->is_stream = false;
    peer_append_content(&message->text, body);
    return NULL;
}

static inline json_t *peer_list_locked(struct slack_peer *peer)
{
    json_t *list = json_array();

    for (size_t i = 0; i < peer->messages_count; i++) {
        const struct peer_message *message = &peer->messages[i];

        if (!message->is_deleted)
            json_array_append_new(list,
                                  json_pack("{s:s,s:{s:s,s:{s:s}}}", "ts", message->ts,
                                            "metadata", "event_type", "threadkeeper_reply",
                                            "event_payload", "key", message->key));
    }
    return json_pack("{s:b,s:o}", "ok", 1, "messages", list);
}

static inline char *peer_ordinary_locked(struct slack_peer *peer, const char *method,
                                         const char *body)
{
    json_auto_t *root = json_loads(body, 0, NULL);
    json_auto_t *answer = NULL;
    const char *ts = "";
    const char *error;

    if (strncmp(method, "conversations.", 14) == 0) {
        answer = peer_list_locked(peer);
    } else {
        error = peer_execute_locked(peer, method, root, &ts);
        answer = error ? json_pack("{s:b,s:s}", "ok", 0, "error", error)
                       : json_pack("{s:b,s:s}", "ok", 1, "ts", ts);
    }
    return json_dumps(answer, JSON_COMPACT);
}

static inline struct peer_rule *peer_next_rule_locked(struct slack_peer *peer,
                                                      const char *method)
{
    for (size_t i = 0; i < peer->rules_count; i++) {
        struct peer_rule *rule = &peer->rules[i];

        if (!rule->is_used && strcmp(rule->method, method) == 0) {
            rule->is_used = true;
            return rule;
        }
    }
    return NULL;
}

static inline void peer_copy_header(const char *head, const char *name, char *out, size_t size)
{
    const char *at = strcasestr(head, name);

    out[0] = '\0';
    if (at)
        snprintf(out, size, "%.*s", (int)strcspn(at + strlen(name), "\r\n"), at + strlen(name));
}

/* Records the call and answers it; false when the connection is to be closed. */
static inline bool peer_answer(struct slack_peer *peer, int fd, const char *head,
                               const char *body)
{
    AUTO_BUF struct buf out;
    struct peer_call *call;
    struct peer_rule *rule;
    AUTO_FREE char *ordinary = NULL;
    const char *content;
    bool closes = false;

    buf_init(&out, 8 << 20);
    pthread_mutex_lock(&peer->lock);
    call = &peer->calls[peer->calls_count++ % PEER_CALLS_MAX];
    snprintf(call->method, sizeof(call->method), "%.*s", (int)strcspn(head + 10, " "),
             head + 10); /* "POST /api/" */
    peer_copy_header(head, "\nAuthorization: ", call->authorization,
                     sizeof(call->authorization));
    peer_copy_header(head, "\nContent-Type: ", call->content_type, sizeof(call->content_type));
    free(call->body);
    call->body = xstrdup(body);
    rule = peer_next_rule_locked(peer, call->method);
    if (!rule || rule->executes)
        ordinary = peer_ordinary_locked(peer, call->method, body);
    closes = rule && !rule->status;
    content = rule ? rule->body : ordinary;
    if (!closes)
        buf_printf(&out,
                   "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%s"
                   "Content-Length: %zu\r\n\r\n%s",
                   rule ? rule->status : 200, rule ? rule->headers : "", strlen(content),
                   content);
    pthread_mutex_unlock(&peer->lock);
    for (size_t at = 0; at < out.len;) {
        ssize_t n = send(fd, out.data + at, out.len - at, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return !closes;
}

static inline bool peer_is_readable(const struct slack_peer *peer, int fd)
{
    while (!atomic_load(&peer->stops)) {
        struct pollfd poller = { .fd = fd, .events = POLLIN };

        if (poll(&poller, 1, 20) > 0)
            return true;
    }
    return false;
}

static inline void peer_serve(struct slack_peer *peer, int fd)
{
    AUTO_BUF struct buf in;

    buf_init(&in, 4 << 20);
    while (peer_is_readable(peer, fd)) {
        char bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        char *end;
        char length[32];
        size_t head_len;
        size_t body_len;

        if (n <= 0)
            return;
        buf_append(&in, bytes, (size_t)n);
        end = strstr(in.data, "\r\n\r\n");
        if (!end)
            continue;
        peer_copy_header(in.data, "\nContent-Length: ", length, sizeof(length));
        head_len = (size_t)(end - in.data) + 4;
        body_len = strtoul(length, NULL, 10);
        if (in.len < head_len + body_len)
            continue;
        end[2] = '\0';
        if (!peer_answer(peer, fd, in.data, in.data + head_len))
            return;
        if (atomic_load(&peer->hangs_up))
            return;
        buf_clear(&in);
    }
}

static inline void *peer_run(void *context)
{
    struct slack_peer *peer = context;

    while (peer_is_readable(peer, peer->fd)) {
        int fd = accept(peer->fd, NULL, NULL);

        if (fd < 0)
            continue;
        pthread_mutex_lock(&peer->lock);
        peer->connections++;
        pthread_mutex_unlock(&peer->lock);
        peer_serve(peer, fd);
        close(fd);
        atomic_fetch_add(&peer->hung_up, 1);
    }
    return NULL;
}

static inline struct slack_peer *peer_new(void)
{
    struct slack_peer *peer = xcalloc(1, sizeof(*peer));
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);

    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(peer->fd, (struct sockaddr *)&address, len) < 0 || listen(peer->fd, 8) < 0 ||
        getsockname(peer->fd, (struct sockaddr *)&address, &len) < 0)
        abort();
    snprintf(peer->url, sizeof(peer->url), "http://127.0.0.1:%u/api/",
             (unsigned)ntohs(address.sin_port));
    pthread_mutex_init(&peer->lock, NULL);
    pthread_create(&peer->thread, NULL, peer_run, peer);
    return peer;
}

static inline void peer_free(struct slack_peer *peer)
{
    atomic_store(&peer->stops, true);
    pthread_join(peer->thread, NULL);
    close(peer->fd);
    for (size_t i = 0; i < PEER_CALLS_MAX; i++)
        free(peer->calls[i].body);
    for (size_t i = 0; i < peer->messages_count; i++)
        buf_deinit(&peer->messages[i].text);
    pthread_mutex_destroy(&peer->lock);
    free(peer);
}

/* ---- what tests use ---- */

static inline void peer_script(struct slack_peer *peer, const char *method, int status,
                               const char *headers, const char *body, bool executes)
{
    pthread_mutex_lock(&peer->lock);
    peer->rules[peer->rules_count++] = (struct peer_rule){ .method = method,
                                                           .status = status,
                                                           .headers = headers,
                                                           .body = body,
                                                           .executes = executes };
    pthread_mutex_unlock(&peer->lock);
}

/* The next call of `method` is refused with `error_body`. */
static inline void peer_refuse(struct slack_peer *peer, const char *method,
                               const char *error_body)
{
    peer_script(peer, method, 200, "", error_body, false);
}

static inline unsigned peer_count(struct slack_peer *peer, const char *method)
{
    unsigned count = 0;

    pthread_mutex_lock(&peer->lock);
    for (size_t i = 0; i < peer->calls_count; i++)
        count += strcmp(peer->calls[i].method, method) == 0;
    pthread_mutex_unlock(&peer->lock);
    return count;
}

/* The body of the `n`th call of `method`, counted from 0, or NULL. Borrowed. */
static inline const char *peer_body(struct slack_peer *peer, const char *method, unsigned n)
{
    const char *body = NULL;

    pthread_mutex_lock(&peer->lock);
    for (size_t i = 0; i < peer->calls_count && !body; i++) {
        if (strcmp(peer->calls[i].method, method) == 0 && n-- == 0)
            body = peer->calls[i].body;
    }
    pthread_mutex_unlock(&peer->lock);
    return body;
}

/* All methods called so far, " "-separated; the caller frees. */
static inline char *peer_methods(struct slack_peer *peer)
{
    AUTO_BUF struct buf out;

    buf_init(&out, 1 << 20);
    pthread_mutex_lock(&peer->lock);
    for (size_t i = 0; i < peer->calls_count; i++)
        buf_printf(&out, "%s%s", i ? " " : "", peer->calls[i].method);
    pthread_mutex_unlock(&peer->lock);
    return buf_take(&out);
}

/* What a reader sees: the messages one after the other, with `between`; the caller frees. */
static inline char *peer_transcript(struct slack_peer *peer, const char *between)
{
    AUTO_BUF struct buf out;

    buf_init(&out, 4 << 20);
    pthread_mutex_lock(&peer->lock);
    for (size_t i = 0; i < peer->messages_count; i++) {
        if (!peer->messages[i].is_deleted)
            buf_printf(&out, "%s%s%s", out.len ? between : "",
                       peer->messages[i].is_stream ? "(open)" : "",
                       buf_text(&peer->messages[i].text));
    }
    pthread_mutex_unlock(&peer->lock);
    return buf_take(&out);
}

#endif
