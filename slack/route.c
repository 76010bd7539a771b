#include "slack/route.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/buf.h"

#define HOST_MAX_BYTES 127  /* libwebsockets checks certificates against 128 bytes */
#define PATH_MAX_BYTES 2048 /* of a URL; also what its handshake buffer holds */

struct endpoint {
    char host[HOST_MAX_BYTES + 1];
    uint16_t port;
    const char *rest; /* behind host and port: "/path", "?query" or "" */
};

bool slack_host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool parse_port(const char *text, size_t len, uint16_t *ret_port)
{
    unsigned long port = 0;

    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (port == 0 || port > 65535)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* "host", "host:port", "[v6]:port", up to '/', '?' or '#'. */
static bool parse_endpoint(const char *text, uint16_t default_port, struct endpoint *ret_at)
{
    size_t len = strcspn(text, "/?#");
    const char *end = text + len;
    const char *host = text;
    const char *host_end;
    const char *port;

    if (*text == '[') {
        host++;
        host_end = memchr(host, ']', len - 1);
        port = host_end ? host_end + 1 : NULL;
    } else {
        host_end = memchr(text, ':', len);
        host_end = host_end ? host_end : end;
        port = host_end;
    }
    if (!port || host_end == host || host_end - host > HOST_MAX_BYTES)
        return false;
    ret_at->port = default_port;
    if (port != end &&
        (*port != ':' || !parse_port(port + 1, (size_t)(end - port) - 1, &ret_at->port)))
        return false;
    memcpy(ret_at->host, host, (size_t)(host_end - host));
    ret_at->host[host_end - host] = '\0';
    ret_at->rest = end;
    return strpbrk(ret_at->host, " \t\r\n@") == NULL;
}

bool slack_url_may_carry_token(const char *url)
{
    struct endpoint at;

    if (strncasecmp(url, "https://", 8) == 0)
        return parse_endpoint(url + 8, 443, &at);
    return strncasecmp(url, "http://", 7) == 0 && parse_endpoint(url + 7, 80, &at) &&
           slack_host_is_loopback(at.host);
}

static bool has_blank_or_control(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return true;
    }
    return false;
}

int slack_route_parse(const char *url, const char *suffix, struct slack_route *ret_route,
                      struct err *err)
{
    bool uses_tls = strncasecmp(url, "wss://", 6) == 0;
    struct endpoint at;

    if (!uses_tls && strncasecmp(url, "ws://", 5) != 0)
        return err_set(err, ERR_REMOTE,
                       "the websocket URL begins with neither wss:// nor ws://");
    if (!parse_endpoint(url + (uses_tls ? 6 : 5), uses_tls ? 443 : 80, &at) ||
        has_blank_or_control(url) || strlen(at.rest) > PATH_MAX_BYTES)
        return err_set(err, ERR_REMOTE, "the websocket URL cannot be read");
    if (!uses_tls && !slack_host_is_loopback(at.host))
        return err_set(err, ERR_REMOTE, "a ws:// URL to %s, which is not this host: refused",
                       at.host);
    *ret_route = (struct slack_route){
        .uses_tls = uses_tls,
        .port = at.port,
        .host = xstrdup(at.host),
        .path = xasprintf("%s%.*s%s", *at.rest == '/' ? "" : "/", (int)strcspn(at.rest, "#"),
                          at.rest, suffix),
    };
    return 0;
}

static const char *environment(const char *lower, const char *upper)
{
    /* The environment is only read, after start no thread writes it. */
    const char *value = getenv(lower); /* NOLINT(concurrency-mt-unsafe): see above */

    if (!value || !*value)
        value = getenv(upper); /* NOLINT(concurrency-mt-unsafe): see above */
    return value && *value ? value : NULL;
}

/* One entry of no_proxy: "*", a host, or a domain with or without its leading dot. */
static bool entry_covers(const char *entry, size_t len, const char *host)
{
    size_t host_len = strlen(host);

    if (len == 1 && *entry == '*')
        return true;
    if (len && *entry == '.') {
        entry++;
        len--;
    }
    if (len == 0 || len > host_len || strncasecmp(host + host_len - len, entry, len) != 0)
        return false;
    return len == host_len || host[host_len - len - 1] == '.';
}

static bool no_proxy_covers(const char *host)
{
    const char *list = environment("no_proxy", "NO_PROXY");

    while (list && *list) {
        size_t len = strcspn(list, ", \t");

        if (entry_covers(list, len, host))
            return true;
        list += len;
        list += strspn(list, ", \t");
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void append_unescaped(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool escaped = text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0 &&
                       hex_digit(text[i + 2]) >= 0;

        if (escaped) {
            buf_append_char(out, (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])));
            i += 2;
        } else {
            buf_append_char(out, text[i]);
        }
    }
}

/* Every address of `host`, numeric, as far as there is room. */
static int resolve(const char *host, struct slack_route *route, struct err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    struct addrinfo *found = NULL;
    int code;

    /* With AI_ADDRCONFIG a host whose only network is loopback would not resolve itself. */
    if (slack_host_is_loopback(host))
        hints.ai_flags = 0;
    code = getaddrinfo(host, NULL, &hints, &found);
    if (code)
        return err_set(err, ERR_TEMP, "cannot resolve %s: %s", host, gai_strerror(code));
    route->address_count = 0;
    for (const struct addrinfo *at = found;
         at && route->address_count < SLACK_ROUTE_ADDRESSES_MAX; at = at->ai_next) {
        if (getnameinfo(at->ai_addr, at->ai_addrlen, route->addresses[route->address_count],
                        SLACK_ROUTE_ADDRESS_BYTES, NULL, 0, NI_NUMERICHOST) == 0)
            route->address_count++;
    }
    freeaddrinfo(found);
    if (route->address_count == 0)
        return err_set(err, ERR_TEMP, "%s has no address", host);
    return 0;
}

/* `setting` is "[http://][user:password@]host[:port]". */
static int use_proxy(struct slack_route *route, const char *setting, struct err *err)
{
    const char *scheme_end = strstr(setting, "://");
    const char *rest = scheme_end ? scheme_end + 3 : setting;
    const char *at_sign = memrchr(rest, '@', strcspn(rest, "/"));
    struct slack_route door = { 0 }; /* only its addresses are used */
    AUTO_BUF struct buf proxy = { 0 };
    struct endpoint at;

    buf_init(&proxy, 512);
    if (scheme_end && strncasecmp(setting, "http://", 7) != 0)
        return err_set(err, ERR_INPUT,
                       "the proxy in the environment is not an http:// proxy, "
                       "which is the only kind for Socket Mode");
    if (!parse_endpoint(at_sign ? at_sign + 1 : rest, 1080, &at))
        return err_set(err, ERR_INPUT, "the proxy in the environment cannot be read");
    if (resolve(at.host, &door, err) < 0)
        return err_wrap(err, "proxy");
    if (at_sign) {
        append_unescaped(&proxy, rest, (size_t)(at_sign - rest));
        buf_append_char(&proxy, '@');
    }
    buf_printf(&proxy, strchr(door.addresses[0], ':') ? "[%s]:%u" : "%s:%u", door.addresses[0],
               at.port);
    if (buf_finish(&proxy, err) < 0)
        return err_wrap(err, "the proxy in the environment");
    route->proxy = buf_take(&proxy);
    return 0;
}

int slack_route_resolve(struct slack_route *route, struct err *err)
{
    const char *setting = NULL;

    if (!slack_host_is_loopback(route->host) && !no_proxy_covers(route->host)) {
        setting = environment("https_proxy", "HTTPS_PROXY");
        if (!setting)
            setting = environment("all_proxy", "ALL_PROXY");
    }
    return setting ? use_proxy(route, setting, err) : resolve(route->host, route, err);
}

void slack_route_deinit(struct slack_route *route)
{
    free(route->host);
    free(route->path);
    free(route->proxy);
    *route = (struct slack_route){ 0 };
}

char *slack_route_host_header(const struct slack_route *route)
{
    uint16_t usual = route->uses_tls ? 443 : 80;

    if (route->port == usual || strchr(route->host, ':'))
        return xstrdup(route->host);
    return xasprintf("%s:%u", route->host, route->port);
}
