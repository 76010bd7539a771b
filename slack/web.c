#include "slack/web.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "slack/call.h"

#define DEADLINE_DEFAULT_MS 60000
#define BACKOFF_DEFAULT_MS  500

/* The bearer token may travel in the clear on this host only. */
static bool is_loopback(const char *host, size_t len)
{
    char name[64];
    struct in_addr address;

    snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : 0), host);
    if (strcmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool is_url_allowed(const char *url)
{
    const char *host;
    size_t len;

    if (strncmp(url, "https://", 8) == 0)
        return true;
    if (strncmp(url, "http://", 7) != 0)
        return false;
    host = url + 7;
    len = strcspn(host, "/?#");
    if (memchr(host, '@', len)) /* http://localhost@elsewhere/ */
        return false;
    if (*host == '[')
        len = strcspn(host, "]") + 1;
    else
        len = strcspn(host, ":/?#");
    return is_loopback(host, len);
}

struct slack_web *slack_web_new(const char *api_url, const char *bot_token,
                                struct slack_limits *limits)
{
    struct slack_web *web = xcalloc(1, sizeof(*web));

    web->api_url = xstrdup(api_url);
    web->authorization = xasprintf("Authorization: Bearer %s", bot_token);
    web->is_url_allowed = is_url_allowed(api_url);
    web->http = http_new();
    web->limits = limits;
    web->deadline_ms = DEADLINE_DEFAULT_MS;
    web->backoff_ms = BACKOFF_DEFAULT_MS;
    http_response_init(&web->answer);
    return web;
}

void slack_web_free(struct slack_web *web)
{
    if (!web)
        return;
    http_response_deinit(&web->answer);
    http_free(web->http);
    free(web->authorization);
    free(web->api_url);
    free(web);
}

void slack_web_set_cancel(struct slack_web *web, const atomic_bool *cancelled)
{
    web->cancelled = cancelled;
}

void slack_web_set_deadline(struct slack_web *web, int64_t deadline_ms)
{
    web->deadline_ms = deadline_ms;
}

void slack_web_set_filter(struct slack_web *web, slack_filter_fn filter, void *context)
{
    web->filter = filter;
    web->filter_context = context;
}

const char *slack_web_error(const struct slack_web *web)
{
    return web->error;
}
