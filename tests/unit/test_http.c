#include "base/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/test.h"

/*
 * A server for one test: accepts connections on loopback, reads each request whole, keeps its
 * text and writes the answer of the test, until it is told to stop.
 */
struct server {
    int listener;
    int port;
    int stop[2]; /* a pipe: its end is the signal */
    pthread_t thread;
    const char *answer; /* NULL: none at all, the client waits */
    size_t answer_len;
    char request[4096]; /* the last one; read it after server_stop() */
    int connections;
    int requests;
};

/* How long a request is: its head and what content-length says; 0 while the head is not whole.
 */
static size_t request_length(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *header = strcasestr(text, "content-length: ");

    if (!end)
        return 0;
    return (size_t)(end - text) + 4 +
           (header && header < end ? (size_t)strtoul(header + 16, NULL, 10) : 0);
}

/* False when the test is over. */
static bool wait_for(const struct server *server, int fd)
{
    struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
                             { .fd = server->stop[0], .events = POLLIN } };

    return poll(fds, 2, -1) > 0 && !fds[1].revents;
}

static void serve_connection(struct server *server, int fd)
{
    size_t len = 0;

    while (wait_for(server, fd)) {
        ssize_t got = read(fd, server->request + len, sizeof(server->request) - 1 - len);

        if (got <= 0)
            return;
        len += (size_t)got;
        server->request[len] = '\0';
        if (!request_length(server->request) || len < request_length(server->request))
            continue;
        server->requests++;
        len = 0;
        if (server->answer && send(fd, server->answer, server->answer_len, MSG_NOSIGNAL) <
                                  (ssize_t)server->answer_len)
            return;
    }
}

static void *serve(void *context)
{
    struct server *server = context;

    while (wait_for(server, server->listener)) {
        int fd = accept(server->listener, NULL, NULL);

        if (fd < 0)
            break;
        server->connections++;
        serve_connection(server, fd);
        close(fd);
    }
    return NULL;
}

static void server_start(struct server *server, const char *answer)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);

    *server = (struct server){ .answer = answer, .answer_len = answer ? strlen(answer) : 0 };
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(server->listener, 8) < 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &len) < 0 ||
        pipe(server->stop) < 0)
        fail_msg("no server");
    server->port = ntohs(address.sin_port);
    pthread_create(&server->thread, NULL, serve, server);
}

static void server_stop(struct server *server)
{
    close(server->stop[1]);
    pthread_join(server->thread, NULL);
    close(server->stop[0]);
    close(server->listener);
}

static int perform(struct http *http, const struct server *server, struct http_request request,
                   struct http_response *response, struct err *err)
{
    AUTO_FREE char *url = xasprintf("http://127.0.0.1:%d/api/test", server->port);

    request.method = request.method ? request.method : "GET";
    request.url = url;
    request.max_response_bytes = request.max_response_bytes ? request.max_response_bytes : 1000;
    request.connect_timeout_ms = 5000;
    request.timeout_ms = request.timeout_ms ? request.timeout_ms : 10000;
    return http_perform(http, &request, response, err);
}

static void a_post_carries_headers_and_body_and_brings_the_answer(void)
{
    static const char *const headers[] = { "Authorization: Bearer xyz", "X-Two: 2", NULL };
    struct http_response response = { 0 };
    struct http *http = http_new();
    struct err err = { 0 };
    struct server server;

    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                          "X-OAuth-Scopes: chat:write,im:read\r\nX-Slack-Req-Id: r1\r\n"
                          "Content-Length: 11\r\n\r\n{\"ok\":true}");
    CHECK_INT(
        perform(http, &server,
                (struct http_request){
                    .method = "POST", .headers = headers, .body = "a=1&b=2", .body_len = 7 },
                &response, &err),
        0, err.message);
    server_stop(&server);
    CHECK_INT(response.status, 200, "as answered");
    CHECK_TEXT(buf_text(&response.body), "{\"ok\":true}", "as answered");
    CHECK_TEXT(response.content_type, "application/json", "as answered");
    CHECK_TEXT(response.scopes, "chat:write,im:read", "as answered");
    CHECK_TEXT(response.request_id, "r1", "as answered");
    CHECK_INT(response.retry_after_ms, -1, "absent");
    CHECK_INT(response.was_sent, 1, "it went out");
    CHECK_INT(strncmp(server.request, "POST /api/test HTTP/1.1\r\n", 25), 0, server.request);
    CHECK_HOLDS(server.request, "Authorization: Bearer xyz\r\n", "given");
    CHECK_HOLDS(server.request, "X-Two: 2\r\n", "given");
    CHECK_HOLDS(server.request, "\r\n\r\na=1&b=2", "given");
    CHECK_INT(strstr(server.request, "Expect:") == NULL, 1, "would cost a second");
    http_response_deinit(&response);
    http_response_deinit(&response);
    http_free(http);
    http_free(NULL);
}

static void any_status_is_an_answer_and_says_when_to_come_back(void)
{
    static const struct {
        const char *answer;
        long status;
        int64_t retry_after_ms;
        const char *because;
    } cases[] = {
        { "HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", 429, 3000,
          "seconds" },
        { "HTTP/1.1 429 Slow\r\nretry-after:   30  \r\nContent-Length: 0\r\n\r\n", 429, 30000,
          "case and blanks" },
        { "HTTP/1.1 429 Slow\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 429, -1,
          "unreadable" },
        { "HTTP/1.1 429 Slow\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n", 429, -1,
          "negative" },
        { "HTTP/1.1 429 Slow\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
          429, -1, "absurd" },
        { "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", 503, -1, "a server's trouble" },
        { "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
          302, -1, "a redirect is not followed: it would carry the token elsewhere" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_response response = { 0 };
        struct http *http = http_new();
        struct err err = { 0 };
        struct server server;

        server_start(&server, cases[i].answer);
        CHECK_INT(perform(http, &server, (struct http_request){ 0 }, &response, &err), 0,
                  err.message);
        server_stop(&server);
        CHECK_INT(response.status, cases[i].status, cases[i].because);
        CHECK_INT(response.retry_after_ms, cases[i].retry_after_ms, cases[i].because);
        http_response_deinit(&response);
        http_free(http);
    }
}

static void a_connection_is_used_again(void)
{
    struct http *http = http_new();
    struct server server;

    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    for (int i = 0; i < 3; i++) {
        struct http_response response = { 0 };
        struct err err = { 0 };

        CHECK_INT(perform(http, &server, (struct http_request){ 0 }, &response, &err), 0,
                  err.message);
        CHECK_TEXT(buf_text(&response.body), "ok", "each has its own answer");
        http_response_deinit(&response);
    }
    http_free(http);
    server_stop(&server);
    CHECK_INT(server.requests, 3, "all came");
    CHECK_INT(server.connections, 1, "over one connection");
}

static void a_body_over_the_limit_is_refused(void)
{
    struct http_response response = { 0 };
    struct http *http = http_new();
    struct err err = { 0 };
    struct server server;

    server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789");
    CHECK_INT(perform(http, &server, (struct http_request){ .max_response_bytes = 8 },
                      &response, &err),
              -1, "nine into eight");
    CHECK_INT(err.kind, ERR_REMOTE, "the peer's fault");
    CHECK_HOLDS(err.message, "longer than 8 bytes", "says why");
    CHECK_INT(response.was_sent, 1, "it may have been executed");
    server_stop(&server);
    http_response_deinit(&response);
    http_free(http);
}

/* What passes through a caller's functions: */
struct passage {
    char taken[64];
    size_t taken_len;
    size_t given;     /* of "0123456789" */
    size_t gives_max; /* how much of it there is */
    bool refuses;
};

static int take(void *context, const struct http_response *head, const char *bytes, size_t len)
{
    struct passage *passage = context;

    if (passage->refuses || head->status != 200)
        return -1;
    memcpy(passage->taken + passage->taken_len, bytes, len);
    passage->taken_len += len;
    return 0;
}

static ssize_t give(void *context, char *out, size_t size)
{
    struct passage *passage = context;
    size_t left = passage->gives_max - passage->given;

    (void)size;
    if (!left)
        return 0;
    *out = "0123456789"[passage->given++]; /* one at a time */
    return 1;
}

static void a_body_passes_through_the_callers_hands(void)
{
    static const struct {
        const char *answer;
        size_t max;
        bool refuses;
        int rc;
        const char *taken;
        enum err_kind kind;
        const char *because;
    } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, false, 0, "hello", ERR_NONE,
          "all of it" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 4, false, -1, "", ERR_REMOTE,
          "over the limit" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, true, -1, "", ERR_INPUT,
          "not taken" },
        { "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nsorry", 5, false, 0, "", ERR_NONE,
          "only what is good" },
        { "HTTP/1.1 302 There\r\nLocation:  https://x/y \r\nContent-Length: 0\r\n\r\n", 5,
          false, 0, "", ERR_NONE, "a redirect" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct passage passage = { .refuses = cases[i].refuses };
        struct http_response response = { 0 };
        struct http *http = http_new();
        struct err err = { 0 };
        struct server server;

        server_start(&server, cases[i].answer);
        CHECK_INT(perform(http, &server,
                          (struct http_request){ .max_response_bytes = cases[i].max,
                                                 .on_body = take,
                                                 .context = &passage },
                          &response, &err),
                  cases[i].rc, cases[i].because);
        server_stop(&server);
        CHECK_INT(err.kind, cases[i].kind, cases[i].because);
        CHECK_TEXT(passage.taken, cases[i].taken, cases[i].because);
        CHECK_INT((int)response.body.len, 0, "nothing is kept");
        CHECK_TEXT(response.location, response.status == 302 ? "https://x/y" : "",
                   cases[i].because);
        http_response_deinit(&response);
        http_free(http);
    }
}

static void what_is_cut_off_is_a_failure(void)
{
    struct passage passage = { .taken = "" };
    struct http_response response = { 0 };
    struct http *http = http_new();
    struct err err = { 0 };
    struct server server;

    server_start(&server,
                 "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nhel");
    CHECK_INT(perform(http, &server,
                      (struct http_request){
                          .on_body = take, .context = &passage, .timeout_ms = 200 },
                      &response, &err),
              -1, "six bytes are missing");
    server_stop(&server);
    CHECK_INT(err.kind, ERR_TEMP, err.message);
    http_response_deinit(&response);
    http_free(http);
}

static void a_post_takes_its_body_from_the_caller(void)
{
    static const struct {
        size_t there;
        int rc;
        const char *because;
    } cases[] = { { 10, 0, "all of it" }, { 4, -1, "less than was announced" } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct passage passage = { .gives_max = cases[i].there };
        struct http_response response = { 0 };
        struct http *http = http_new();
        struct err err = { 0 };
        struct server server;

        server_start(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        CHECK_INT(perform(http, &server,
                          (struct http_request){ .method = "POST",
                                                 .body_len = 10,
                                                 .read_body = give,
                                                 .context = &passage },
                          &response, &err),
                  cases[i].rc, cases[i].because);
        server_stop(&server);
        if (cases[i].rc == 0)
            CHECK_HOLDS(server.request, "Content-Length: 10\r\n", cases[i].because);
        if (cases[i].rc == 0)
            CHECK_HOLDS(server.request, "\r\n\r\n0123456789", cases[i].because);
        else
            CHECK_INT(err.kind, ERR_INPUT, err.message);
        http_response_deinit(&response);
        http_free(http);
    }
}

static bool yes(void *context)
{
    (void)context;
    return true;
}

static void what_nobody_wants_any_more_ends_within_a_second(void)
{
    struct http_response response = { 0 };
    struct http *http = http_new();
    struct err err = { 0 };
    struct server server;
    int64_t before_ms = clock_now_ms();

    server_start(&server, NULL);
    CHECK_INT(perform(http, &server,
                      (struct http_request){ .is_unwanted = yes, .timeout_ms = 600000 },
                      &response, &err),
              -1, "");
    server_stop(&server);
    CHECK_INT(err.kind, ERR_TEMP, err.message);
    CHECK_INT(clock_now_ms() - before_ms < 300000, 1, "long before its time is over");
    http_response_deinit(&response);
    http_free(http);
}

static void a_silent_server_ends_in_a_timeout(void)
{
    struct http_response response = { 0 };
    struct http *http = http_new();
    struct err err = { 0 };
    struct server server;

    server_start(&server, NULL);
    CHECK_INT(
        perform(http, &server, (struct http_request){ .timeout_ms = 150 }, &response, &err), -1,
        "no answer");
    CHECK_INT(err.kind, ERR_TEMP, "may work later");
    CHECK_INT(response.was_sent, 1, "it may have been executed");
    server_stop(&server);
    http_response_deinit(&response);
    http_free(http);
}

static void nothing_was_sent_when_nobody_listens(void)
{
    struct http_response response = { 0 };
    struct http *http = http_new();
    struct err err = { 0 };
    struct server server;

    server_start(&server, NULL);
    server_stop(&server); /* the port is free again */
    CHECK_INT(perform(http, &server, (struct http_request){ 0 }, &response, &err), -1,
              "refused");
    CHECK_INT(err.kind, ERR_TEMP, "may work later");
    CHECK_INT(response.was_sent, 0, "so it can be sent again without harm");
    http_response_deinit(&response);
    http_free(http);
}

static void a_bad_address_is_the_callers_fault(void)
{
    static const char *const urls[] = { "", "ftp://127.0.0.1/x", "http://",
                                        "file:///etc/passwd" };

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct http_request request = { .method = "GET",
                                        .url = urls[i],
                                        .max_response_bytes = 10,
                                        .connect_timeout_ms = 1000,
                                        .timeout_ms = 1000 };
        struct http_response response = { 0 };
        struct http *http = http_new();
        struct err err = { 0 };

        CHECK_INT(http_perform(http, &request, &response, &err), -1, urls[i]);
        CHECK_INT(err.kind, ERR_INPUT, urls[i]);
        CHECK_INT(response.was_sent, 0, urls[i]);
        http_response_deinit(&response);
        http_free(http);
    }
}

static void *cancel(void *context)
{
    struct timespec soon = { .tv_nsec = 50000000 };

    nanosleep(&soon, NULL); /* so that the request is under way; either order must end well */
    atomic_store((atomic_bool *)context, true);
    return NULL;
}

static void a_cancelled_call_ends_within_a_second(void)
{
    struct http_response response = { 0 };
    struct http *http = http_new();
    atomic_bool cancelled = false;
    int64_t began_ms = clock_now_ms();
    struct err err = { 0 };
    struct server server;
    pthread_t thread;

    server_start(&server, NULL);
    pthread_create(&thread, NULL, cancel, &cancelled);
    CHECK_INT(perform(http, &server, (struct http_request){ .cancelled = &cancelled },
                      &response, &err),
              -1, "given up");
    CHECK_HOLDS(err.message, "cancelled", "says so");
    CHECK_INT(clock_now_ms() - began_ms < 5000, 1, "long before the timeout of 10 s");
    pthread_join(thread, NULL);
    server_stop(&server);
    http_response_deinit(&response);
    http_free(http);
}

static void text_is_escaped_for_a_form(void)
{
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 100);
    http_append_escaped(&out, "aZ9-._~ &=+/\xc3\xbc\n");
    CHECK_TEXT(buf_text(&out), "aZ9-._~%20%26%3D%2B%2F%C3%BC%0A", "all but the unreserved");
}

static int startup(void **state)
{
    (void)state;
    /* A proxy of the machine must not stand between the test and its server. */
    setenv("no_proxy", "127.0.0.1", 1);
    return http_startup(NULL);
}

static int cleanup(void **state)
{
    (void)state;
    http_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_post_carries_headers_and_body_and_brings_the_answer),
        TEST(any_status_is_an_answer_and_says_when_to_come_back),
        TEST(a_connection_is_used_again),
        TEST(a_body_over_the_limit_is_refused),
        TEST(a_body_passes_through_the_callers_hands),
        TEST(what_is_cut_off_is_a_failure),
        TEST(a_post_takes_its_body_from_the_caller),
        TEST(what_nobody_wants_any_more_ends_within_a_second),
        TEST(a_silent_server_ends_in_a_timeout),
        TEST(nothing_was_sent_when_nobody_listens),
        TEST(a_bad_address_is_the_callers_fault),
        TEST(a_cancelled_call_ends_within_a_second),
        TEST(text_is_escaped_for_a_form),
    };

    return cmocka_run_group_tests(tests, startup, cleanup);
}
