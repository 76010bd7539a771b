/*
 * route.h - how to reach one websocket URL: host, port, path, addresses, and the proxy that
 * the environment asks for.
 *
 * libwebsockets resolves names inside the loop thread, so names are resolved here, ahead, on
 * the opener's thread, and the link is given numbers.
 *
 * Proxies: https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY and no_proxy, NO_PROXY as curl reads
 * them, http:// proxies only (with user:password@ if need be). Loopback is never proxied.
 *
 * Owns:    its strings, until slack_route_deinit(). `path` and `proxy` are secrets.
 * Threads: any. slack_route_resolve() blocks in the resolver.
 */
#ifndef SLACK_ROUTE_H
#define SLACK_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define SLACK_ROUTE_ADDRESSES_MAX 4
#define SLACK_ROUTE_ADDRESS_BYTES 64

struct slack_route {
    bool uses_tls;
    uint16_t port;
    char *host;
    char *path;  /* with the ticket */
    char *proxy; /* "user:password@address:port" for libwebsockets; NULL without one */
    unsigned address_count; /* 0 behind a proxy, which resolves the host itself */
    char addresses[SLACK_ROUTE_ADDRESSES_MAX][SLACK_ROUTE_ADDRESS_BYTES]; /* numeric */
};

/*
 * Reads a ws:// or wss:// URL. ERR_REMOTE when it is neither, or plain ws:// to anything but
 * this host: the ticket in it would travel in the clear. `suffix` goes behind the path.
 */
int slack_route_parse(const char *url, const char *suffix, struct slack_route *ret_route,
                      struct err *err);

/*
 * Finds the proxy, or without one the addresses of the host. ERR_TEMP when a name does
 * not resolve, ERR_INPUT when the proxy setting cannot be used.
 */
int slack_route_resolve(struct slack_route *route, struct err *err);

/*
 * The Host header, which names a port that is not the usual one; the caller frees it.
 * libwebsockets takes the port off again for SNI and for the name that the certificate must
 * have.
 */
char *slack_route_host_header(const struct slack_route *route);

void slack_route_deinit(struct slack_route *route); /* safe on a zeroed struct, and twice */

/* 127.x.x.x, ::1, localhost. */
bool slack_host_is_loopback(const char *host);

/* True for https://, and for http:// to this host: where a token may go. */
bool slack_url_may_carry_token(const char *url);

#endif
