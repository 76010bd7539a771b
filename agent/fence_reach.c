#include "agent/fence_reach.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"

#define PORT_MAX 65535

static const char *const resolver_sockets[] = { "/run/nscd/socket", "/var/run/nscd/socket" };
static const char resolver_directory[] = "/run/systemd/resolve/";

/* IPv4 as IPv6 has it, so that there is one way to write each. */
struct endpoint {
    struct in6_addr address;
    unsigned port;
};

struct fence_reach {
    atomic_uint users;
    struct fence_rules rules; /* those that count here */
    struct endpoint *denied;
    size_t denied_count;
};

/* --- addresses -------------------------------------------------------------------------- */

static struct in6_addr mapped(const void *v4)
{
    struct in6_addr address = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

    memcpy(address.s6_addr + 12, v4, 4);
    return address;
}

static bool is_v4(const struct in6_addr *address)
{
    return IN6_IS_ADDR_V4MAPPED(address);
}

static bool is_any(const struct in6_addr *address)
{
    const struct in6_addr any_v4 = mapped("\0\0\0\0");

    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_ARE_ADDR_EQUAL(address, &any_v4);
}

/* connect() takes "any" for the loopback. */
static bool is_loopback(const struct in6_addr *address)
{
    return is_any(address) || IN6_IS_ADDR_LOOPBACK(address) ||
           (is_v4(address) && address->s6_addr[12] == 127);
}

static bool endpoint_of(const void *address, size_t len, struct endpoint *ret_endpoint)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    sa_family_t family = AF_UNSPEC;

    if (len < sizeof(family))
        return false;
    memcpy(&family, address, sizeof(family));
    if (family == AF_INET && len >= offsetof(struct sockaddr_in, sin_addr) + 4) {
        memcpy(&v4, address, len < sizeof(v4) ? len : sizeof(v4));
        *ret_endpoint =
            (struct endpoint){ .address = mapped(&v4.sin_addr), .port = ntohs(v4.sin_port) };
        return true;
    }
    if (family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_addr) + 16) {
        memcpy(&v6, address, len < sizeof(v6) ? len : sizeof(v6));
        *ret_endpoint =
            (struct endpoint){ .address = v6.sin6_addr, .port = ntohs(v6.sin6_port) };
        return true;
    }
    return false;
}

/* Whether an interface of this host has it. When that cannot be told, it may have. */
static bool is_local(const struct in6_addr *address)
{
    struct ifaddrs *list = NULL;
    struct endpoint one;
    bool is_found = false;

    if (is_loopback(address))
        return true;
    if (getifaddrs(&list) != 0)
        return true;
    for (const struct ifaddrs *at = list; at && !is_found; at = at->ifa_next) {
        size_t len = at->ifa_addr && at->ifa_addr->sa_family == AF_INET6
                         ? sizeof(struct sockaddr_in6)
                         : sizeof(struct sockaddr_in);

        is_found = at->ifa_addr && endpoint_of(at->ifa_addr, len, &one) &&
                   IN6_ARE_ADDR_EQUAL(&one.address, address);
    }
    freeifaddrs(list);
    return is_found;
}

static bool is_same(const struct endpoint *denied, const struct endpoint *asked)
{
    if (denied->port != asked->port)
        return false;
    if (is_any(&denied->address))
        return is_local(&asked->address);
    if (is_any(&asked->address))
        return is_loopback(&denied->address);
    return IN6_ARE_ADDR_EQUAL(&denied->address, &asked->address);
}

bool fence_reach_is_denied(const struct fence_reach *reach, const void *address, size_t len)
{
    struct endpoint asked;

    if (!endpoint_of(address, len, &asked))
        return false;
    for (size_t i = 0; i < reach->denied_count; i++) {
        if (is_same(&reach->denied[i], &asked))
            return true;
    }
    return false;
}

static void deny(struct fence_reach *reach, const struct in6_addr *address, long port)
{
    reach->denied = xrealloc(reach->denied, reach->denied_count + 1, sizeof(*reach->denied));
    reach->denied[reach->denied_count++] =
        (struct endpoint){ .address = *address, .port = (unsigned)port };
}

static void deny_text(struct fence_reach *reach, const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    bool is_bracketed = colon && text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    AUTO_FREE char *host =
        colon ? xstrndup(text + is_bracketed, (size_t)(colon - text) - (is_bracketed ? 2U : 0U))
              : NULL;
    struct in6_addr address;
    struct in_addr v4;

    if (!host || *end || port <= 0 || port > PORT_MAX)
        return;
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4) == 1) {
        address = mapped(&v4);
        deny(reach, &address, port);
    }
    if (inet_pton(AF_INET6, strcmp(host, "localhost") == 0 ? "::1" : host, &address) == 1)
        deny(reach, &address, port);
}

/* --- paths ------------------------------------------------------------------------------ */

static bool is_below(const struct fence_reach *reach, const char *path, unsigned access)
{
    for (size_t i = 0; i < reach->rules.count; i++) {
        const struct fence_rule *rule = &reach->rules.items[i];
        size_t len = strlen(rule->path);

        if ((rule->access & access) != 0 && strncmp(path, rule->path, len) == 0 &&
            (path[len] == '/' || path[len] == '\0' || len == 1))
            return true;
    }
    return false;
}

bool fence_reach_has_socket(const struct fence_reach *reach, const char *path)
{
    if (strncmp(path, resolver_directory, strlen(resolver_directory)) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(resolver_sockets); i++) {
        if (strcmp(path, resolver_sockets[i]) == 0)
            return true;
    }
    return is_below(reach, path, FENCE_CHANGE | FENCE_CONNECT);
}

/* What has no path - a pipe, memory - is of whoever has a descriptor of it. */
bool fence_reach_may_change(const struct fence_reach *reach, const char *path)
{
    return path[0] != '/' || strncmp(path, "/memfd:", strlen("/memfd:")) == 0 ||
           is_below(reach, path, FENCE_CHANGE);
}

/* --- making ----------------------------------------------------------------------------- */

struct fence_reach *fence_reach_new(const struct fence_rules *rules, char *const *denied)
{
    struct fence_reach *reach = xcalloc(1, sizeof(*reach));

    atomic_init(&reach->users, 1);
    reach->rules.items = xcalloc(rules->count + 1, sizeof(*reach->rules.items));
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].access & (FENCE_CHANGE | FENCE_CONNECT))
            reach->rules.items[reach->rules.count++] =
                (struct fence_rule){ .path = xstrdup(rules->items[i].path),
                                     .access = rules->items[i].access };
    }
    for (size_t i = 0; denied && denied[i]; i++)
        deny_text(reach, denied[i]);
    return reach;
}

struct fence_reach *fence_reach_share(struct fence_reach *reach)
{
    atomic_fetch_add(&reach->users, 1);
    return reach;
}

void fence_reach_release(struct fence_reach *reach)
{
    if (!reach || atomic_fetch_sub(&reach->users, 1) != 1)
        return;
    fence_rules_deinit(&reach->rules);
    free(reach->denied);
    free(reach);
}
