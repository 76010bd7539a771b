/*
 * http.h - one blocking HTTP client over libcurl: connection reuse, bounded bodies, timeouts,
 * verified TLS, proxies from the environment.
 *
 * Owns:    one curl handle with its connections, per struct http.
 * Threads: a struct http belongs to one thread at a time; http_startup() once, before threads.
 */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct http;
struct http_response;

struct http_request {
    const char *method;         /* "GET" or "POST" */
    const char *url;            /* https, or http where the caller has allowed it */
    const char *const *headers; /* "Name: value" lines, ended by NULL; may be NULL */
    const void *body;           /* for POST; may be NULL */
    size_t body_len;
    size_t max_response_bytes; /* a longer body is ERR_REMOTE */
    int64_t connect_timeout_ms;
    int64_t timeout_ms; /* all of it */
    const atomic_bool
        *cancelled; /* when it turns true the call ends within a second; may be NULL */

    /* For what does not fit into memory; each may be NULL, `context` is theirs. */
    void *context;
    /*
     * Takes the body of a 200 piece by piece: response->body stays empty, the body of any other
     * status is dropped, max_response_bytes holds all the same. `head` has the status and the
     * headers. -1 ends the request.
     */
    int (*on_body)(void *context, const struct http_response *head, const char *bytes,
                   size_t len);
    /* Gives the next of the `body_len` bytes of a POST; 0 or -1 before their end ends it. */
    ssize_t (*read_body)(void *context, char *out, size_t size);
    /* Asked several times a second; true ends the request as `cancelled` does. */
    bool (*is_unwanted)(void *context);
};

struct http_response {
    long status;            /* 200, 429, ... */
    int64_t retry_after_ms; /* from Retry-After in seconds; -1 when absent or unreadable */
    char content_type[128]; /* "" when absent */
    char date[64];          /* Date, "" when absent */
    char scopes[1024];      /* x-oauth-scopes, "" when absent */
    char request_id[128];   /* x-slack-req-id, "" when absent */
    char location[2048];    /* of a redirect, "" when absent or longer */
    int64_t received_bytes; /* of the body */
    bool was_sent; /* false: failed before a byte of the request left, so it was not executed */
    struct buf body;
};

int http_startup(struct err *err);
void http_cleanup(void);

struct http *http_new(void);
void http_free(struct http *http); /* NULL is fine */

void http_response_init(struct http_response *response);
void http_response_deinit(
    struct http_response *response); /* safe on a zeroed struct, and twice */

/*
 * Performs the request. 0 when an HTTP status came, whatever it is. -1: ERR_TEMP for network,
 * DNS, TLS handshake, timeouts and a body that was cut off, ERR_REMOTE for a body over the
 * limit, ERR_INPUT for a bad URL or when on_body or read_body ended it (they know why);
 * `ret_response->was_sent` is right in both cases. Redirects are not followed.
 */
int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *ret_response, struct err *err);

/* The server's clock as the Date header says, in seconds since 1970; -1 when it does not. */
int64_t http_server_wall_s(const struct http_response *response);

/* Appends `text` percent-encoded for a form or query. */
void http_append_escaped(struct buf *out, const char *text);

#endif
