/*
 * ws_peer.h - the other end of Socket Mode for one test: apps.connections.open and websockets
 * on loopback, and every way to misbehave. It has no thread: the test calls peer_step() in turn
 * with the loop, so what happens when is the test's to say.
 *
 * Owns:    its sockets, until peer_deinit().
 */
#ifndef TESTS_WS_PEER_H
#define TESTS_WS_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libwebsockets.h>

#include "base/buf.h"
#include "tests/test.h"

#define PEER_CONNECTIONS_MAX 64

enum peer_opcode {
    PEER_CONTINUATION = 0,
    PEER_TEXT = 1,
    PEER_BINARY = 2,
    PEER_CLOSE = 8,
    PEER_PING = 9,
    PEER_PONG = 10,
};

struct peer_connection {
    int fd; /* -1: closed by the other end or by us */
    bool is_websocket;
    struct buf in;
    unsigned pings;      /* of the client */
    unsigned pongs;      /* of the client */
    unsigned texts;      /* whole frames */
    unsigned fragments;  /* frames without FIN, or continuations */
    unsigned close_code; /* 0: no close frame came */
    struct buf last_text;
};

struct peer {
    int listen_fd;
    unsigned port;
    /* How it behaves; a test may change it at any time. */
    unsigned open_status;     /* of apps.connections.open */
    const char *open_error;   /* "ok":false with this error */
    const char *open_headers; /* more header lines of that answer */
    unsigned open_failures;   /* the next so many are answered as above, then well */
    unsigned upgrade_status;  /* 101, or what refuses the next upgrades */
    bool says_hello;
    const char *hello; /* instead of the usual one */
    bool is_deaf;      /* answers no pings */
    bool keeps_tcp;    /* does not answer a close frame */
    /* What it saw. */
    unsigned opens;
    unsigned upgrades;
    char last_request[4096]; /* of apps.connections.open */
    char last_upgrade[4096];
    struct peer_connection connections[PEER_CONNECTIONS_MAX];
    unsigned connection_count;
};

#define PEER_HELLO                                                                       \
    "{\"type\":\"hello\",\"num_connections\":1,\"connection_info\":{\"app_id\":\"A1\"}," \
    "\"debug_info\":{\"host\":\"applink-1\",\"approximate_connection_time\":18060}}"

static inline void peer_init(struct peer *peer)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof(at);
    int on = 1;

    memset(peer, 0, sizeof(*peer));
    peer->open_status = 200;
    peer->upgrade_status = 101;
    peer->says_hello = true;
    peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(peer->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(peer->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(peer->listen_fd, 64), 0);
    assert_int_equal(getsockname(peer->listen_fd, (struct sockaddr *)&at, &len), 0);
    peer->port = ntohs(at.sin_port);
}

static inline void peer_hang_up(struct peer_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

/* As a host that lost its power and came back: the other end sees a reset. */
static inline void peer_reset(struct peer_connection *connection)
{
    struct linger now = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    peer_hang_up(connection);
}

static inline void peer_deinit(struct peer *peer)
{
    for (unsigned i = 0; i < peer->connection_count; i++) {
        peer_hang_up(&peer->connections[i]);
        buf_deinit(&peer->connections[i].in);
        buf_deinit(&peer->connections[i].last_text);
    }
    close(peer->listen_fd);
}

static inline void peer_write(struct peer_connection *connection, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0 && connection->fd >= 0) {
        ssize_t n = send(connection->fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = { .fd = connection->fd, .events = POLLOUT };

            if (poll(&wait, 1, 10) == 0)
                return; /* the test's loop has to read first: only small frames get here */
        } else if (n < 0) {
            return;
        } else {
            at += n;
            len -= (size_t)n;
        }
    }
}

static inline void peer_send_header(struct peer_connection *connection, bool is_final,
                                    enum peer_opcode opcode, uint64_t len)
{
    unsigned char header[10] = { (unsigned char)((is_final ? 0x80 : 0) | opcode) };
    size_t header_len = 2;

    if (len < 126) {
        header[1] = (unsigned char)len;
    } else if (len < 65536) {
        header[1] = 126;
        header[2] = (unsigned char)(len >> 8);
        header[3] = (unsigned char)len;
        header_len = 4;
    } else {
        header[1] = 127;
        for (int i = 0; i < 8; i++)
            header[2 + i] = (unsigned char)(len >> (56 - 8 * i));
        header_len = 10;
    }
    peer_write(connection, header, header_len);
}

static inline void peer_send(struct peer_connection *connection, bool is_final,
                             enum peer_opcode opcode, const void *bytes, size_t len)
{
    peer_send_header(connection, is_final, opcode, len);
    peer_write(connection, bytes, len);
}

static inline void peer_say(struct peer_connection *connection, const char *text)
{
    peer_send(connection, true, PEER_TEXT, text, strlen(text));
}

static inline void peer_send_close(struct peer_connection *connection, unsigned code)
{
    unsigned char bytes[2] = { (unsigned char)(code >> 8), (unsigned char)code };

    peer_send(connection, true, PEER_CLOSE, bytes, sizeof(bytes));
}

static inline void peer_answer_open(struct peer *peer, struct peer_connection *connection)
{
    bool fails = peer->open_failures > 0;
    char body[512];
    char head[512];

    peer->opens++;
    if (fails)
        peer->open_failures--;
    if (fails && peer->open_error)
        snprintf(body, sizeof(body), "{\"ok\":false,\"error\":\"%s\"}", peer->open_error);
    else
        snprintf(body, sizeof(body),
                 "{\"ok\":true,\"url\":\"ws://127.0.0.1:%u/link/?ticket=t%u&app_id=a\"}",
                 peer->port, peer->opens);
    snprintf(head, sizeof(head),
             "HTTP/1.1 %u X\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
             fails ? peer->open_status : 200,
             fails && peer->open_headers ? peer->open_headers : "", strlen(body));
    peer_write(connection, head, strlen(head));
    peer_write(connection, body, strlen(body));
}

static inline void peer_answer_upgrade(struct peer *peer, struct peer_connection *connection)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *key = strcasestr(buf_text(&connection->in), "sec-websocket-key: ");
    unsigned char digest[20];
    char accept[64];
    char text[256];

    peer->upgrades++;
    if (peer->upgrade_status != 101 || !key) {
        snprintf(text, sizeof(text), "HTTP/1.1 %u No\r\nContent-Length: 0\r\n\r\n",
                 peer->upgrade_status);
        peer_write(connection, text, strlen(text));
        return;
    }
    key += strlen("sec-websocket-key: ");
    snprintf(text, sizeof(text), "%.*s%s", (int)strcspn(key, "\r\n"), key, guid);
    lws_SHA1((unsigned char *)text, strlen(text), digest);
    lws_b64_encode_string((char *)digest, sizeof(digest), accept, sizeof(accept));
    connection->is_websocket = true;
    snprintf(text, sizeof(text),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    peer_write(connection, text, strlen(text));
    if (peer->says_hello)
        peer_say(connection, peer->hello ? peer->hello : PEER_HELLO);
}

static inline void peer_on_http(struct peer *peer, struct peer_connection *connection)
{
    const char *text = buf_text(&connection->in);
    const char *end = strstr(text, "\r\n\r\n");

    if (!end)
        return;
    if (strncmp(text, "POST /api/apps.connections.open ", 32) == 0) {
        snprintf(peer->last_request, sizeof(peer->last_request), "%s", text);
        peer_answer_open(peer, connection);
    } else {
        snprintf(peer->last_upgrade, sizeof(peer->last_upgrade), "%s", text);
        peer_answer_upgrade(peer, connection);
    }
    buf_consume(&connection->in, (size_t)(end + 4 - text));
}

static inline void peer_on_frame(struct peer *peer, struct peer_connection *connection,
                                 unsigned first, const unsigned char *bytes, size_t len)
{
    if (!(first & 0x80) || (first & 0x0f) == PEER_CONTINUATION)
        connection->fragments++;
    switch (first & 0x0f) {
    case PEER_TEXT:
        connection->texts++;
        buf_clear(&connection->last_text);
        buf_append(&connection->last_text, bytes, len);
        break;
    case PEER_PING:
        connection->pings++;
        if (!peer->is_deaf)
            peer_send(connection, true, PEER_PONG, bytes, len);
        break;
    case PEER_PONG:
        connection->pongs++;
        break;
    case PEER_CLOSE:
        connection->close_code = len >= 2 ? (unsigned)bytes[0] << 8 | bytes[1] : 1005;
        if (!peer->keeps_tcp) {
            peer_send(connection, true, PEER_CLOSE, bytes, len);
            peer_hang_up(connection);
        }
        break;
    default:
        break;
    }
}

/* One whole masked frame from the front of what came; false when there is none yet. */
static inline bool peer_take_frame(struct peer *peer, struct peer_connection *connection)
{
    unsigned char *at = (unsigned char *)connection->in.data;
    size_t have = connection->in.len;
    size_t header = 2;
    size_t len;
    unsigned char first;

    if (have < 2)
        return false;
    len = at[1] & 0x7f;
    if (len == 126) {
        if (have < 4)
            return false;
        len = (size_t)at[2] << 8 | at[3];
        header = 4;
    }
    assert_true(at[1] & 0x80); /* a client must mask */
    if (have < header + 4 + len)
        return false;
    for (size_t i = 0; i < len; i++)
        at[header + 4 + i] ^= at[header + i % 4];
    first = at[0];
    peer_on_frame(peer, connection, first, at + header + 4, len);
    buf_consume(&connection->in, header + 4 + len);
    return true;
}

static inline void peer_read(struct peer *peer, struct peer_connection *connection)
{
    char bytes[65536];
    ssize_t n = recv(connection->fd, bytes, sizeof(bytes), 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        peer_hang_up(connection);
        return;
    }
    buf_append(&connection->in, bytes, (size_t)n);
    if (!connection->is_websocket)
        peer_on_http(peer, connection);
    while (connection->is_websocket && peer_take_frame(peer, connection)) {
    }
}

static inline void peer_accept(struct peer *peer)
{
    int fd;

    while ((fd = accept4(peer->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer_connection *connection = &peer->connections[peer->connection_count++];
        int on = 1;

        assert_true(peer->connection_count <= PEER_CONNECTIONS_MAX);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        connection->fd = fd;
        buf_init(&connection->in, 1 << 20);
        buf_init(&connection->last_text, 1 << 20);
    }
}

/* Serves everything that is there, waiting up to `wait_ms` for something. */
static inline void peer_step(struct peer *peer, int wait_ms)
{
    struct pollfd fds[PEER_CONNECTIONS_MAX + 1] = { { .fd = peer->listen_fd,
                                                      .events = POLLIN } };

    for (unsigned i = 0; i < peer->connection_count; i++)
        fds[i + 1] = (struct pollfd){ .fd = peer->connections[i].fd, .events = POLLIN };
    if (poll(fds, peer->connection_count + 1, wait_ms) <= 0)
        return;
    for (unsigned i = 0, n = peer->connection_count; i < n; i++) {
        if (fds[i + 1].revents)
            peer_read(peer, &peer->connections[i]);
    }
    peer_accept(peer);
}

/* The n-th websocket that was ever open, 0 the first; NULL when there were fewer. */
static inline struct peer_connection *peer_websocket(struct peer *peer, unsigned n)
{
    for (unsigned i = 0; i < peer->connection_count; i++) {
        if (peer->connections[i].is_websocket && n-- == 0)
            return &peer->connections[i];
    }
    return NULL;
}

static inline unsigned peer_open_websockets(const struct peer *peer)
{
    unsigned open = 0;

    for (unsigned i = 0; i < peer->connection_count; i++)
        open += peer->connections[i].is_websocket && peer->connections[i].fd >= 0;
    return open;
}

#endif
