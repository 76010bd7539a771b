#include "tests/slack_lab/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/slack_lab/api.h"
#include "tests/slack_lab/control.h"
#include "tests/slack_lab/files.h"
#include "tests/slack_lab/link.h"
#include "tests/slack_lab/load.h"
#include "tests/slack_lab/page.h"

struct requests {
    LIST_HEAD(, request) all;
};

struct requests *requests_new(void)
{
    struct requests *requests = xcalloc(1, sizeof(*requests));

    LIST_INIT(&requests->all);
    return requests;
}

void requests_free(struct requests *requests)
{
    free(requests); /* lws has closed every connection, and with them the requests */
}

static void request_free(struct request *request)
{
    if (!request)
        return;
    LIST_REMOVE(request, list);
    json_decref(request->query);
    buf_deinit(&request->body);
    buf_deinit(&request->response);
    free(request);
}

const char *request_query(const struct request *request, const char *name)
{
    const char *value = json_string_value(json_object_get(request->query, name));

    return value ? value : "";
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 302:
        return "Found";
    case 403:
        return "Forbidden";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 408:
        return "Request Timeout";
    case 413:
        return "Payload Too Large";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void request_answer(struct request *request, int status, const char *content_type,
                    const char *headers, const char *body, size_t len)
{
    static const char headroom[LWS_PRE];

    buf_clear(&request->response);
    buf_append(&request->response, headroom, sizeof(headroom));
    buf_printf(&request->response,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store\r\n%s\r\n",
               status, status_text(status), content_type, len, headers);
    buf_append(&request->response, body, len);
    request->answered = true;
    if (request->due_us == 0)
        lws_callback_on_writable(request->wsi);
}

void request_answer_json(struct request *request, json_t *json)
{
    AUTO_FREE char *text = json_dumps(json, JSON_COMPACT);

    json_decref(json);
    request_answer(request, 200, "application/json; charset=utf-8", "", text, strlen(text));
}

static void read_query(struct request *request)
{
    char fragment[2048];

    for (int i = 0; lws_hdr_copy_fragment(request->wsi, fragment, sizeof(fragment),
                                          WSI_TOKEN_HTTP_URI_ARGS, i) >= 0;
         i++) {
        char *equals = strchr(fragment, '=');

        if (equals)
            *equals = '\0';
        json_object_set_new(request->query, fragment, json_string(equals ? equals + 1 : ""));
    }
}

static struct request *request_new(struct lab *lab, struct lws *wsi, const char *path,
                                   size_t len)
{
    struct request *request = xcalloc(1, sizeof(*request));

    request->lab = lab;
    request->wsi = wsi;
    request->is_post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    snprintf(request->path, sizeof(request->path), "%.*s", (int)len, path);
    lws_hdr_copy(wsi, request->authorization, sizeof(request->authorization),
                 WSI_TOKEN_HTTP_AUTHORIZATION);
    lws_hdr_copy(wsi, request->content_type, sizeof(request->content_type),
                 WSI_TOKEN_HTTP_CONTENT_TYPE);
    request->query = json_object();
    read_query(request);
    buf_init(&request->body, LAB_BODY_MAX_BYTES);
    buf_init(&request->response, 4 * LAB_BODY_MAX_BYTES);
    request->came_us = clock_now_us();
    LIST_INSERT_HEAD(&lab->requests->all, request, list);
    return request;
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void route(struct request *request)
{
    if (buf_finish(&request->body, NULL) < 0)
        request_answer(request, 413, "text/plain", "", "too large\n", 10);
    else if (has_prefix(request->path, "/api/"))
        api_handle(request, request->path + strlen("/api/"));
    else if (has_prefix(request->path, "/lab/"))
        control_handle(request, request->path + strlen("/lab/"));
    else if (has_prefix(request->path, "/files-pri/"))
        files_serve(request, request->path + strlen("/files-pri/"));
    else if (has_prefix(request->path, "/files/"))
        files_show(request, request->path + strlen("/files/"));
    else if (has_prefix(request->path, "/upload/"))
        files_take(request, request->path + strlen("/upload/"));
    else if (has_prefix(request->path, "/response/"))
        control_take_response(request);
    else if (strcmp(request->path, "/") == 0)
        request_answer(request, 200, "text/html; charset=utf-8", "", page_html(),
                       page_html_len());
    else
        request_answer(request, 404, "text/plain", "", "not found\n", 10);
}

static int on_http(struct lab *lab, struct lws *wsi, struct session *session, const char *path,
                   size_t len)
{
    char length[24] = "";

    /* Answers may take as long as a fault or a long poll wants. */
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    request_free(session->request);
    session->request = request_new(lab, wsi, path, len);
    lws_hdr_copy(wsi, length, sizeof(length), WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (!session->request->is_post || strtoll(length, NULL, 10) <= 0)
        route(session->request);
    return session->request->drop ? -1 : 0;
}

static int on_body_complete(struct session *session)
{
    lws_set_timeout(session->request->wsi, NO_PENDING_TIMEOUT, 0);
    if (!session->request->answered && !session->request->poll)
        route(session->request);
    return session->request->drop && session->request->due_us == 0 ? -1 : 0;
}

static int on_http_writable(struct lws *wsi, struct session *session)
{
    struct request *request = session->request;

    if (!request || !request->answered || request->due_us > 0)
        return 0;
    if (request->drop)
        return -1;

    size_t len = request->response.len - LWS_PRE;
    unsigned char *bytes = (unsigned char *)request->response.data + LWS_PRE;

    if (request->is_cut) {
        lws_write(wsi, bytes, len - len / 4, LWS_WRITE_HTTP);
        return -1;
    }
    if (lws_write(wsi, bytes, len, LWS_WRITE_HTTP_FINAL) < 0)
        return -1;
    request_free(request);
    session->request = NULL;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

bool requests_tick(struct lab *lab, int64_t now_us)
{
    struct request *request = LIST_FIRST(&lab->requests->all);
    bool waits = false;

    while (request) {
        struct request *next = LIST_NEXT(request, list);

        if (request->poll && !request->answered && request->poll(request, now_us))
            request->poll = NULL;
        if (request->due_us > 0 && now_us >= request->due_us) {
            request->due_us = 0;
            lws_callback_on_writable(request->wsi);
        }
        waits = waits || request->due_us > 0 || request->poll;
        request = next;
    }
    return waits;
}

static int on_link(enum lws_callback_reasons reason, struct lab *lab, struct lws *wsi,
                   struct session *session, const char *in, size_t len)
{
    switch ((int)reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return links_admit(lab->links, wsi) ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
        session->link = link_new(lab->links, wsi);
        return session->link ? 0 : -1;
    case LWS_CALLBACK_RECEIVE:
        return session->link ? link_on_receive(session->link, in, len) : -1;
    case LWS_CALLBACK_RECEIVE_PONG:
        link_on_pong(session->link);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        link_on_peer_close(session->link, in, len);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return session->link ? link_on_writable(session->link) : -1;
    case LWS_CALLBACK_CLOSED:
        link_on_closed(session->link);
        session->link = NULL;
        return 0;
    default:
        return 0;
    }
}

static int on_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len)
{
    struct lab *lab = lws_context_user(lws_get_context(wsi));
    struct session *session = user;

    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return on_http(lab, wsi, session, in, len);
    case LWS_CALLBACK_HTTP_BODY:
        if (session->request)
            buf_append(&session->request->body, in, len);
        return 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return session->request ? on_body_complete(session) : 0;
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_http_writable(wsi, session);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (session) {
            request_free(session->request);
            session->request = NULL;
        }
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLOSED:
        return on_link(reason, lab, wsi, session, in, len);
    case LWS_CALLBACK_RAW_RX_FILE:
        load_on_clock(lab->load);
        return 0;
    default:
        return 0;
    }
}

const struct lws_protocols server_protocols[] = {
    { "slack-lab", on_callback, sizeof(struct session), 65536, 0, NULL, 0 },
    { NULL, NULL, 0, 0, 0, NULL, 0 },
};
