#include "base/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

struct http {
    CURL *curl;
    struct http_response *response; /* while a request runs, as the next */
    const struct http_request *request;
    const char *unsent; /* of the request's body */
    size_t unsent_len;
    bool is_too_long; /* what comes */
    bool is_ended_by_caller;
    char reason[CURL_ERROR_SIZE];
};

int http_startup(struct err *err)
{
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);

    if (code != CURLE_OK)
        return err_set(err, ERR_SYSTEM, "libcurl does not start: %s", curl_easy_strerror(code));
    return 0;
}

void http_cleanup(void)
{
    curl_global_cleanup();
}

struct http *http_new(void)
{
    return xcalloc(1, sizeof(struct http)); /* the handle comes with the first request */
}

void http_free(struct http *http)
{
    if (!http)
        return;
    curl_easy_cleanup(http->curl);
    free(http);
}

void http_response_init(struct http_response *response)
{
    *response = (struct http_response){ .retry_after_ms = -1 };
}

void http_response_deinit(struct http_response *response)
{
    buf_deinit(&response->body);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    struct http *http = user;
    struct http_response *response = http->response;
    const struct http_request *request = http->request;
    size_t len = size * count;

    response->received_bytes += (int64_t)len;
    if ((uint64_t)response->received_bytes > request->max_response_bytes) {
        http->is_too_long = true;
        return 0;
    }
    if (!request->on_body) {
        buf_append(&response->body, bytes, len);
        return len;
    }
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &response->status);
    if (response->status == 200 &&
        request->on_body(request->context, response, bytes, len) < 0) {
        http->is_ended_by_caller = true;
        return 0;
    }
    return len;
}

/* Copies the value of header `name` out of one header line; true when the line is that header.
 */
static bool take_header(const char *line, size_t len, const char *name, char *out, size_t size)
{
    size_t name_len = strlen(name);

    if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
        return false;
    line += name_len + 1;
    len -= name_len + 1;
    while (len && isspace((unsigned char)*line)) {
        line++;
        len--;
    }
    while (len && isspace((unsigned char)line[len - 1]))
        len--;
    snprintf(out, size, "%.*s", (int)len, line);
    return true;
}

/* A location that does not fit leads elsewhere: better none. */
static void take_location(const char *line, size_t len, struct http_response *response)
{
    char value[sizeof(response->location) + 1];

    if (take_header(line, len, "location", value, sizeof(value)) &&
        strlen(value) < sizeof(response->location))
        memcpy(response->location, value, strlen(value) + 1);
}

static size_t on_header(char *line, size_t size, size_t count, void *user)
{
    struct http_response *response = ((struct http *)user)->response;
    size_t len = size * count;
    char value[32];

    if (len > 5 &&
        strncasecmp(line, "HTTP/", 5) == 0) { /* a later answer replaces an interim one */
        response->retry_after_ms = -1;
        response->location[0] = '\0';
        return len;
    }
    take_location(line, len, response);
    if (take_header(line, len, "retry-after", value, sizeof(value))) {
        char *end = NULL;
        long seconds = strtol(value, &end, 10);

        if (end != value && !*end && seconds >= 0 && seconds < 86400)
            response->retry_after_ms = seconds * 1000;
    }
    if (take_header(line, len, "date", response->date, sizeof(response->date)))
        return len;
    take_header(line, len, "content-type", response->content_type,
                sizeof(response->content_type));
    take_header(line, len, "x-oauth-scopes", response->scopes, sizeof(response->scopes));
    take_header(line, len, "x-slack-req-id", response->request_id,
                sizeof(response->request_id));
    return len;
}

static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    const struct http_request *request = ((const struct http *)user)->request;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return (request->cancelled && atomic_load(request->cancelled)) ||
           (request->is_unwanted && request->is_unwanted(request->context));
}

/* From the caller's source. Less than was announced would leave the peer waiting. */
static size_t on_send_more(char *out, size_t size, size_t count, void *user)
{
    struct http *http = user;
    size_t room = size * count < http->unsent_len ? size * count : http->unsent_len;
    ssize_t got;

    if (!room)
        return 0;
    got = http->request->read_body(http->request->context, out, room);
    if (got <= 0) {
        http->is_ended_by_caller = true;
        return CURL_READFUNC_ABORT;
    }
    http->unsent_len -= (size_t)got;
    return (size_t)got;
}

static size_t on_send(char *out, size_t size, size_t count, void *user)
{
    struct http *http = user;
    size_t len = size * count < http->unsent_len ? size * count : http->unsent_len;

    if (len)
        memcpy(out, http->unsent, len);
    http->unsent += len;
    http->unsent_len -= len;
    return len;
}

/*
 * libcurl knows one built-in file of authorities. OpenSSL's own variables come first, as they
 * do for the websocket links: a company's authority is then named in one place. The environment
 * never changes after the start.
 */
static void set_authorities(CURL *curl)
{
    const char *file = getenv("SSL_CERT_FILE"); /* NOLINT(concurrency-mt-unsafe): see above */
    const char *dir = getenv("SSL_CERT_DIR");   /* NOLINT(concurrency-mt-unsafe): see above */

    if (file && *file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, file);
    if (dir && *dir)
        curl_easy_setopt(curl, CURLOPT_CAPATH, dir);
}

static void set_fixed_options(struct http *http)
{
    CURL *curl = http->curl;

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A cancelled request does not wait for a name server that is silent. */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "threadkeeper");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->reason);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, http);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, http);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 4L);
    set_authorities(curl);
}

/* What talks to this host never goes through a proxy, whatever the environment says. */
static bool is_loopback_url(const char *url)
{
    static const char *const hosts[] = { "http://127.",  "http://localhost",  "http://[::1]",
                                         "https://127.", "https://localhost", "https://[::1]" };

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (strncasecmp(url, hosts[i], strlen(hosts[i])) == 0)
            return true;
    }
    return false;
}

static void set_request(struct http *http, const struct http_request *request,
                        struct curl_slist *headers)
{
    CURL *curl = http->curl;

    /* Keeps connections and caches, forgets the last request. */
    curl_easy_reset(curl);
    set_fixed_options(http);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    if (is_loopback_url(request->url))
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_timeout_ms);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        /*
         * Not CURLOPT_POSTFIELDS: when a kept connection ends without an answer, libcurl would
         * quietly send those again, although the peer may have acted on them. What a read
         * function has handed out cannot be rewound, so that the caller is told instead.
         */
        http->unsent = request->body ? request->body : "";
        http->unsent_len = request->body || request->read_body ? request->body_len : 0;
        curl_easy_setopt(curl, CURLOPT_READFUNCTION,
                         request->read_body ? on_send_more : on_send);
        curl_easy_setopt(curl, CURLOPT_READDATA, http);
    }
}

static int fail(const struct http *http, CURLcode code, struct err *err)
{
    const char *why = *http->reason ? http->reason : curl_easy_strerror(code);

    if (http->is_too_long)
        return err_set(err, ERR_REMOTE, "the answer is longer than %zu bytes",
                       http->request->max_response_bytes);
    if (http->is_ended_by_caller)
        return err_set(err, ERR_INPUT, "ended on our side");
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return err_set(err, ERR_TEMP, "cancelled");
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return err_set(err, ERR_INPUT, "bad URL: %s", why);
    return err_set(err, ERR_TEMP, "%s", why);
}

int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *ret_response, struct err *err)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    long request_bytes = 0;
    CURLcode code;

    if (!http->curl)
        http->curl = curl_easy_init();
    if (!http->curl) {
        curl_slist_free_all(headers);
        return err_set(err, ERR_SYSTEM, "libcurl has no handle to give");
    }
    for (size_t i = 0; request->headers && request->headers[i]; i++)
        headers = curl_slist_append(headers, request->headers[i]);
    http_response_deinit(ret_response);
    http_response_init(ret_response);
    buf_init(&ret_response->body, request->max_response_bytes);
    http->response = ret_response;
    http->request = request;
    http->is_too_long = false;
    http->is_ended_by_caller = false;
    http->reason[0] = '\0';
    set_request(http, request, headers);
    code = curl_easy_perform(http->curl);
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &ret_response->status);
    curl_easy_getinfo(http->curl, CURLINFO_REQUEST_SIZE, &request_bytes);
    ret_response->was_sent = request_bytes > 0;
    curl_slist_free_all(headers);
    return code == CURLE_OK ? 0 : fail(http, code, err);
}

int64_t http_server_wall_s(const struct http_response *response)
{
    return *response->date ? (int64_t)curl_getdate(response->date, NULL) : -1;
}

void http_append_escaped(struct buf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (isalnum(*c) || strchr("-._~", *c))
            buf_append_char(out, (char)*c);
        else
            buf_printf(out, "%%%02X", *c);
    }
}
