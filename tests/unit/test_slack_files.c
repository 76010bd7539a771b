#include "slack/files.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http.h"
#include "slack/call.h"
#include "slack/event.h"
#include "tests/test.h"

/* ---- a host of files ----------------------------------------------------------------------
 *
 * Gives each request the next of its answers, the last one for ever; NULL is none: it waits.
 */

#define REQUESTS_MAX 16

struct host {
    int listener;
    int stop[2];
    pthread_t thread;
    const char *const *answers;
    size_t count;
    char url[64];
    char requests[REQUESTS_MAX][4096]; /* read them after host_stop() */
    size_t requests_count;
};

static bool host_waits(const struct host *host, int fd)
{
    struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
                             { .fd = host->stop[0], .events = POLLIN } };

    return poll(fds, 2, -1) > 0 && !fds[1].revents;
}

static bool is_whole(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strcasestr(text, "content-length: ");

    return end && (!length || strlen(end + 4) >= strtoul(length + 16, NULL, 10));
}

static void serve_one(struct host *host, int fd)
{
    char *text = host->requests[host->requests_count];
    size_t room = sizeof(host->requests[0]) - 1;
    size_t len = 0;
    const char *answer;

    while (!is_whole(text)) {
        ssize_t got = host_waits(host, fd) ? read(fd, text + len, room - len) : 0;

        if (got <= 0)
            return;
        len += (size_t)got;
    }
    answer = host->answers[host->requests_count < host->count ? host->requests_count
                                                              : host->count - 1];
    if (host->requests_count < REQUESTS_MAX - 1)
        host->requests_count++;
    if (answer)
        send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    else
        host_waits(host, fd);
}

static void *serve(void *context)
{
    struct host *host = context;

    while (host_waits(host, host->listener)) {
        int fd = accept(host->listener, NULL, NULL);

        if (fd < 0)
            break;
        serve_one(host, fd); /* each on a connection of its own */
        close(fd);
    }
    return NULL;
}

static void host_start(struct host *host, const char *const *answers, size_t count)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(address);

    memset(host, 0, sizeof(*host));
    host->answers = answers;
    host->count = count;
    host->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(host->listener, (struct sockaddr *)&address, len) < 0 ||
        listen(host->listener, 8) < 0 ||
        getsockname(host->listener, (struct sockaddr *)&address, &len) < 0 ||
        pipe(host->stop) < 0)
        fail_msg("no server");
    snprintf(host->url, sizeof(host->url), "http://127.0.0.1:%d/", ntohs(address.sin_port));
    pthread_create(&host->thread, NULL, serve, host);
}

static void host_stop(struct host *host)
{
    close(host->stop[1]);
    pthread_join(host->thread, NULL);
    close(host->stop[0]);
    close(host->listener);
}

#define TURNED \
    "\xe2"     \
    "\x80"     \
    "\xae" /* what follows reads from right to left ... */
#define TURNED_BACK \
    "\xe2"          \
    "\x80"          \
    "\xac" /* ... up to here */

/* ---- what Slack says
 * ----------------------------------------------------------------------
 */

static void names_become_one_harmless_line(void)
{
    static const struct {
        const char *name;
        size_t len;
        const char *want;
        const char *because;
    } cases[] = {
        { "plan.md", 7, "plan.md", "as it is" },
        { "", 0, "file", "nothing" },
        { " \t\n", 3, "file", "blanks alone" },
        { "a\nb\tc", 5, "a b c", "one line" },
        { "a\0b", 3, "ab", "no NUL" },
        { "a\x1b[31mb\x7f", 8, "a[31mb", "no control characters" },
        { "../../etc/passwd", 16, "../../etc/passwd", "it is data, not a path" },
        { TURNED "gnp.exe" TURNED_BACK, 13, "gnp.exe", "nothing turns the direction" },
        { "a\xe2\x80\xa8"
          "b",
          5, "ab", "no other kind of line end" },
        { "\xff\xfe", 2, "\xef\xbf\xbd\xef\xbf\xbd", "valid UTF-8" },
        { "\xc3\xa4.txt", 6, "\xc3\xa4.txt", "letters stay" },
    };
    char long_name[4096];
    AUTO_FREE char *cut = NULL;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *name = slack_file_clean_name(cases[i].name, cases[i].len);

        CHECK_TEXT(name, cases[i].want, cases[i].because);
    }
    for (size_t i = 0; i < sizeof(long_name); i++)
        long_name[i] = "\xc3\xa4"[i % 2];
    cut = slack_file_clean_name(long_name, sizeof(long_name));
    CHECK_INT((int)strlen(cut), 254, "cut between characters");
}

static void the_token_goes_to_slack_alone(void)
{
    static const char lab[] = "http://127.0.0.1:8080/api/";
    static const char real[] = "https://slack.com/api/";
    static const struct {
        const char *url;
        const char *api_url;
        bool is_ours;
    } cases[] = {
        { "https://files.slack.com/files-pri/T1-F1/a.png", real, true },
        { "https://slack.com/x", real, true },
        { "https://FILES.Slack.COM/x", real, true },
        { "HTTPS://files.slack.com/x", real, true },
        { "https://files.slack-gov.com/x", real, true },
        { "https://files.slack.com", real, true },
        { "http://files.slack.com/x", real, false },
        { "https://files.slack.com.evil.example/x", real, false },
        { "https://evilslack.com/x", real, false },
        { "https://slack.com@evil.example/x", real, false },
        { "https://evil.example/slack.com", real, false },
        { "https://evil.example?.slack.com/", real, false },
        { "https://evil.example#.slack.com/", real, false },
        { "https://evil.example\\.slack.com/", real, false },
        { "https://files.slack.com:8443/x", real, false },
        { "https://files.slack.com\n.evil/x", real, false },
        { "https://files.sl\xc3\xa4"
          "ck.com/x",
          real, false },
        { "https://", real, false },
        { "ftp://files.slack.com/x", real, false },
        { "//files.slack.com/x", real, false },
        { "file:///etc/passwd", real, false },
        { "", real, false },
        { "http://127.0.0.1:8080/f", real, false },
        { "http://127.0.0.1:8080/f", lab, true },
        { "http://localhost/f", lab, true },
        { "http://127.0.0.1.evil.example/f", lab, false },
        { "http://127.0.0.1@evil.example/f", lab, false },
        { "http://evil.example/f", lab, false },
        { "https://files.slack.com/x", lab, true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(slack_files_is_ours(cases[i].url, cases[i].api_url), cases[i].is_ours,
                  cases[i].url);
}

static void a_message_says_what_files_it_carries(void)
{
    static const struct {
        const char *json;
        const char *name;
        const char *url;
        int64_t size;
        enum slack_file_state state;
    } cases[] = {
        { "{\"id\":\"F1\",\"name\":\"a\",\"size\":7,\"url_private\":\"u\"}", "a", "u", 7,
          SLACK_FILE_HERE },
        { "{\"title\":\"t\",\"url_private\":\"u\",\"url_private_download\":\"d\"}", "t", "d",
          -1, SLACK_FILE_HERE },
        { "{\"mode\":\"tombstone\",\"url_private\":\"u\"}", "file", "u", -1,
          SLACK_FILE_DELETED },
        { "{\"mode\":\"hidden_by_limit\"}", "file", "", -1, SLACK_FILE_HIDDEN },
        { "{\"is_external\":true,\"url_private\":\"u\"}", "file", "u", -1,
          SLACK_FILE_EXTERNAL },
        { "{\"file_access\":\"check_file_info\",\"url_private\":\"u\"}", "file", "u", -1,
          SLACK_FILE_UNKNOWN },
        { "{}", "file", "", -1, SLACK_FILE_UNKNOWN },
        { "7", "file", "", -1, SLACK_FILE_UNKNOWN },
        { "null", "file", "", -1, SLACK_FILE_UNKNOWN },
        { "{\"name\":7,\"size\":\"7\",\"url_private\":[],\"mode\":{}}", "file", "", -1,
          SLACK_FILE_UNKNOWN },
        { "{\"size\":-5}", "file", "", -1, SLACK_FILE_UNKNOWN },
        { "{\"size\":1e300}", "file", "", -1, SLACK_FILE_UNKNOWN },
        { "{\"size\":99999999999999999999}", "file", "", -1, SLACK_FILE_UNKNOWN },
        { "{\"name\":\"a\\u0000b\\u202e\"}", "ab", "", -1, SLACK_FILE_UNKNOWN },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *json = xasprintf(
            "{\"envelope_id\":\"e\",\"type\":\"events_api\",\"payload\":{\"event\":{\"type\":"
            "\"message\",\"subtype\":\"file_share\",\"files\":[%s]}}}",
            cases[i].json);
        struct slack_event event;
        const struct slack_file *file;

        assert_int_equal(slack_event_parse(json, strlen(json), &event, NULL), 0);
        CHECK_INT(event.kind, SLACK_EVENT_MESSAGE, json);
        CHECK_INT((int)event.files.count, 1, json);
        file = &event.files.items[0];
        CHECK_TEXT(file->name, cases[i].name, json);
        CHECK_TEXT(file->url, cases[i].url, json);
        CHECK_INT(file->size, cases[i].size, json);
        CHECK_INT(file->state, cases[i].state, json);
        slack_event_deinit(&event);
    }
}

static void more_files_than_can_be_are_counted(void)
{
    AUTO_BUF struct buf json = { 0 };
    struct slack_event event;

    buf_init(&json, 1 << 20);
    buf_append_text(&json, "{\"envelope_id\":\"e\",\"type\":\"events_api\",\"payload\":{"
                           "\"event\":{\"type\":\"message\",\"files\":[{}");
    for (int i = 1; i < 5000; i++)
        buf_append_text(&json, ",{\"id\":\"F\"}");
    buf_append_text(&json, "]}}}");
    assert_int_equal(slack_event_parse(buf_text(&json), json.len, &event, NULL), 0);
    CHECK_INT((int)event.files.count, SLACK_FILES_MAX, "kept");
    CHECK_INT((int)event.files.total, 5000, "known");
    slack_event_deinit(&event);
}

/* ---- fetching -----------------------------------------------------------------------------
 */

struct fetched {
    int rc;
    enum slack_file_trouble trouble;
    struct err err;
    char content[256];
    off_t size;
};

static bool always(void *context)
{
    (void)context;
    return true;
}

static void fetch_with(struct host *host, const struct slack_file *file,
                       struct slack_transfer transfer, int fd, struct fetched *ret)
{
    struct slack_limits *limits = slack_limits_new(NULL);
    AUTO_FREE char *api_url = xasprintf("%sapi/", host->url);
    struct slack_web *web = slack_web_new(api_url, "xoxb-test", limits);

    web->backoff_ms = 1;
    *ret = (struct fetched){ 0 };
    if (!transfer.deadline_at_ms)
        transfer.deadline_at_ms = clock_now_ms() + 60000;
    if (!transfer.max_bytes)
        transfer.max_bytes = 1000;
    ret->rc = slack_file_fetch(web, file, &transfer, fd, &ret->trouble, &ret->err);
    ret->size = lseek(fd, 0, SEEK_END);
    if (pread(fd, ret->content, sizeof(ret->content) - 1, 0) < 0)
        ret->content[0] = '\0';
    slack_web_free(web);
    slack_limits_free(limits);
}

static int scratch_file(void)
{
    char path[] = "/tmp/slack-files.XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    return fd;
}

#define OK_TEXT "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
#define SIGN_IN                                                                           \
    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 41\r\n" \
    "\r\n<!DOCTYPE html><html>Sign in</html>      "

static void fetching_ends_well_or_says_why(void)
{
    static const struct {
        const char *answers[4];
        size_t count;
        const char *mimetype;
        int64_t size;
        enum slack_file_trouble trouble;
        int requests;
        const char *because;
    } cases[] = {
        { { OK_TEXT }, 1, "text/plain", 5, SLACK_FILE_FINE, 1, "as it should be" },
        { { OK_TEXT }, 1, "text/plain", 4, SLACK_FILE_FINE, 1, "Slack's size may be old" },
        { { OK_TEXT }, 1, "text/plain", 1001, SLACK_FILE_TOO_LARGE, 0, "not even asked for" },
        { { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", OK_TEXT },
          2,
          "text/plain",
          10,
          SLACK_FILE_FINE,
          2,
          "cut off, then whole" },
        { { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello" },
          1,
          "text/plain",
          10,
          SLACK_FILE_AWAY,
          4,
          "always cut off" },
        { { "", OK_TEXT }, 2, "text/plain", 5, SLACK_FILE_FINE, 2, "no answer, then one" },
        { { "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", OK_TEXT },
          2,
          "text/plain",
          5,
          SLACK_FILE_FINE,
          2,
          "busy" },
        { { "HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n", OK_TEXT },
          2,
          "text/plain",
          5,
          SLACK_FILE_FINE,
          2,
          "when told" },
        { { "HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", OK_TEXT },
          2,
          "text/plain",
          5,
          SLACK_FILE_AWAY,
          1,
          "that is too long" },
        { { "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" },
          1,
          "text/plain",
          5,
          SLACK_FILE_GONE,
          1,
          "no longer there" },
        { { "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" },
          1,
          "text/plain",
          5,
          SLACK_FILE_REFUSED,
          1,
          "forbidden" },
        { { "garbage\r\n\r\n" }, 1, "text/plain", 5, SLACK_FILE_REFUSED, 1, "no HTTP" },
        { { SIGN_IN }, 1, "image/png", 5, SLACK_FILE_NO_SCOPE, 1, "by its type" },
        { { SIGN_IN }, 1, "", -1, SLACK_FILE_NO_SCOPE, 1, "also of an unknown file" },
        { { SIGN_IN }, 1, "text/html", 5, SLACK_FILE_NO_SCOPE, 1, "by its length" },
        { { SIGN_IN }, 1, "text/html", 41, SLACK_FILE_FINE, 1, "a page that was sent" },
        { { "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n \n<!doctype HTML><html>" },
          1,
          "image/png",
          5,
          SLACK_FILE_NO_SCOPE,
          1,
          "by its beginning" },
        { { "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<!DOCTYPE html>" },
          1,
          "text/plain",
          15,
          SLACK_FILE_FINE,
          1,
          "a snippet of a page is a text" },
        { { "HTTP/1.1 302 There\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", OK_TEXT },
          2,
          "text/plain",
          5,
          SLACK_FILE_FINE,
          2,
          "elsewhere on the same host" },
        { { "HTTP/1.1 302 There\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n"
            "\r\n" },
          1,
          "text/plain",
          5,
          SLACK_FILE_REFUSED,
          1,
          "the token does not go there" },
        { { "HTTP/1.1 302 There\r\nLocation: //evil.example/\r\nContent-Length: 0\r\n\r\n" },
          1,
          "text/plain",
          5,
          SLACK_FILE_REFUSED,
          1,
          "nor there" },
        { { "HTTP/1.1 302 There\r\nContent-Length: 0\r\n\r\n" },
          1,
          "text/plain",
          5,
          SLACK_FILE_REFUSED,
          1,
          "to nowhere" },
        { { "HTTP/1.1 302 There\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n" },
          1,
          "text/plain",
          5,
          SLACK_FILE_REFUSED,
          4,
          "round and round" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct host host;
        struct fetched fetched;
        AUTO_FREE char *url = NULL;
        AUTO_FD int fd = scratch_file();
        char id[] = "F1";

        host_start(&host, cases[i].answers, cases[i].count);
        url = xasprintf("%sfile", host.url);
        fetch_with(&host,
                   &(struct slack_file){ id, id, (char *)cases[i].mimetype, url, cases[i].size,
                                         SLACK_FILE_HERE },
                   (struct slack_transfer){ 0 }, fd, &fetched);
        host_stop(&host);
        CHECK_INT(fetched.trouble, cases[i].trouble, cases[i].because);
        CHECK_INT(fetched.rc, cases[i].trouble ? -1 : 0, cases[i].because);
        CHECK_INT((int)host.requests_count, cases[i].requests, cases[i].because);
        if (cases[i].requests)
            CHECK_HOLDS(host.requests[0], "Authorization: Bearer xoxb-test\r\n", "with token");
        if (fetched.trouble == SLACK_FILE_NO_SCOPE)
            CHECK_HOLDS(fetched.err.message, "files:read", cases[i].because);
        CHECK_INT(strstr(fetched.err.message, "xoxb") == NULL, 1, "no secret is said");
        if (fetched.trouble == SLACK_FILE_FINE &&
            strcmp(cases[i].answers[cases[i].count - 1], OK_TEXT) == 0)
            CHECK_TEXT(fetched.content, "hello", "nothing of an earlier try");
    }
}

static void a_foreign_address_is_not_asked(void)
{
    static const char *const answers[] = { OK_TEXT };
    struct host host;
    struct fetched fetched;
    AUTO_FD int fd = scratch_file();
    char id[] = "F1";
    char type[] = "";
    char url[] = "https://files.example.com/x";

    host_start(&host, answers, 1);
    fetch_with(&host, &(struct slack_file){ id, id, type, url, 5, SLACK_FILE_HERE },
               (struct slack_transfer){ 0 }, fd, &fetched);
    host_stop(&host);
    CHECK_INT(fetched.trouble, SLACK_FILE_REFUSED, fetched.err.message);
    CHECK_INT(fetched.err.kind, ERR_REMOTE, fetched.err.message);
}

static void a_silent_host_a_stop_and_a_full_disk_end_it(void)
{
    static const char *const silent[] = { NULL };
    static const char *const good[] = { OK_TEXT };
    struct rlimit limit = { 2, RLIM_INFINITY };
    struct rlimit before;
    struct host host;
    struct fetched fetched;
    AUTO_FREE char *url = NULL;
    AUTO_FD int fd = scratch_file();
    char id[] = "F1";
    char type[] = "";
    struct slack_file file = { id, id, type, NULL, 5, SLACK_FILE_HERE };

    host_start(&host, silent, 1);
    file.url = url = xasprintf("%sfile", host.url);
    fetch_with(&host, &file, (struct slack_transfer){ .deadline_at_ms = clock_now_ms() + 200 },
               fd, &fetched);
    CHECK_INT(fetched.trouble, SLACK_FILE_AWAY, fetched.err.message);
    fetch_with(&host, &file, (struct slack_transfer){ .is_unwanted = always }, fd, &fetched);
    CHECK_INT(fetched.trouble, SLACK_FILE_UNWANTED, fetched.err.message);
    host_stop(&host);
    free(take_ptr(&url));

    host_start(&host, good, 1);
    file.url = url = xasprintf("%sfile", host.url);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    fetch_with(&host, &file, (struct slack_transfer){ 0 }, fd, &fetched);
    setrlimit(RLIMIT_FSIZE, &before);
    host_stop(&host);
    CHECK_INT(fetched.trouble, SLACK_FILE_DISK, fetched.err.message);
    CHECK_INT(fetched.err.kind, ERR_SYSTEM, fetched.err.message);
    fetch_with(&host, &file, (struct slack_transfer){ 0 }, -1, &fetched);
    CHECK_INT(fetched.trouble, SLACK_FILE_DISK, "no place at all");
}

static void a_body_over_the_limit_is_cut_off_while_it_comes(void)
{
    static char answer[300000];
    const char *const answers[] = { answer };
    struct host host;
    struct fetched fetched;
    AUTO_FREE char *url = NULL;
    AUTO_FD int fd = scratch_file();
    char id[] = "F1";
    char type[] = "";

    /* Without a length: it ends when the connection does. */
    snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    memset(answer + strlen(answer), 'x', sizeof(answer) - 1 - strlen(answer));
    host_start(&host, answers, 1);
    url = xasprintf("%sfile", host.url);
    fetch_with(&host, &(struct slack_file){ id, id, type, url, 5, SLACK_FILE_HERE },
               (struct slack_transfer){ .max_bytes = 1000 }, fd, &fetched);
    host_stop(&host);
    CHECK_INT(fetched.trouble, SLACK_FILE_TOO_LARGE, fetched.err.message);
    CHECK_INT(fetched.size <= 1000, 1, "no more than that is on the disk");
}

/* ---- sending ------------------------------------------------------------------------------
 */

static int refuse_sent(void *context, int64_t offset, const char *bytes, size_t len)
{
    (void)context;
    (void)offset;
    (void)bytes;
    (void)len;
    return -1;
}

static int upload_with(struct host *host, const char *place, int64_t size,
                       struct slack_transfer transfer, enum slack_file_trouble *ret_trouble,
                       struct err *err)
{
    struct slack_limits *limits = slack_limits_new(NULL);
    AUTO_FREE char *api_url = xasprintf("%sapi/", host->url);
    struct slack_web *web = slack_web_new(api_url, "xoxb-test", limits);
    AUTO_FD int fd = scratch_file();
    char id[SLACK_ID_MAX_BYTES];
    int rc;

    (void)place;
    assert_int_equal(write(fd, "bytes", 5), 5);
    web->backoff_ms = 1;
    transfer.deadline_at_ms = clock_now_ms() + 60000;
    rc = slack_file_upload(web, "a b&c.txt", fd, size, &transfer, id, ret_trouble, err);
    if (rc == 0)
        CHECK_TEXT(id, "F9", "as Slack named it");
    slack_web_free(web);
    slack_limits_free(limits);
    return rc;
}

/* "{"ok":true,"upload_url":PLACE,"file_id":"F9"}" as a whole answer. */
static char *where(const char *place)
{
    AUTO_FREE char *body =
        xasprintf("{\"ok\":true,\"upload_url\":\"%s\",\"file_id\":\"F9\"}", place);

    return xasprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
}

static void an_upload_carries_the_bytes_and_no_token(void)
{
    const char *answers[2] = { NULL, OK_TEXT };
    AUTO_FREE char *answer = NULL;
    AUTO_FREE char *place = NULL;
    enum slack_file_trouble trouble = SLACK_FILE_FINE;
    struct err err = { 0 };
    struct host host;

    host_start(&host, answers, 2);
    place = xasprintf("%supload/secret", host.url);
    answer = where(place);
    answers[0] = answer; /* before anybody asks */
    CHECK_INT(upload_with(&host, place, 5, (struct slack_transfer){ 0 }, &trouble, &err), 0,
              err.message);
    host_stop(&host);
    CHECK_HOLDS(host.requests[0], "POST /api/files.getUploadURLExternal ", "first");
    CHECK_HOLDS(host.requests[0], "filename=a%20b%26c.txt&length=5", "as a form");
    CHECK_HOLDS(host.requests[1], "POST /upload/secret ", "then");
    CHECK_HOLDS(host.requests[1], "\r\n\r\nbytes", "as they are");
    CHECK_INT(strstr(host.requests[1], "xoxb") == NULL, 1, "without the token");
}

static void an_upload_that_may_not_be_is_ended(void)
{
    static const struct {
        const char *place; /* NULL: on the host */
        int64_t size;
        int (*on_sent)(void *context, int64_t offset, const char *bytes, size_t len);
        enum slack_file_trouble trouble;
        const char *because;
    } cases[] = {
        { "https://evil.example/upload", 5, NULL, SLACK_FILE_REFUSED, "not Slack's" },
        { NULL, 7, NULL, SLACK_FILE_ENDED, "the file is shorter by now" },
        { NULL, 5, refuse_sent, SLACK_FILE_ENDED, "the caller saw something" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *answers[2] = { NULL, OK_TEXT };
        AUTO_FREE char *answer = NULL;
        AUTO_FREE char *place = NULL;
        enum slack_file_trouble trouble = SLACK_FILE_FINE;
        struct err err = { 0 };
        struct host host;

        host_start(&host, answers, 2);
        place = cases[i].place ? xstrdup(cases[i].place) : xasprintf("%supload/1", host.url);
        answer = where(place);
        answers[0] = answer;
        CHECK_INT(upload_with(&host, place, cases[i].size,
                              (struct slack_transfer){ .on_sent = cases[i].on_sent }, &trouble,
                              &err),
                  -1, cases[i].because);
        host_stop(&host);
        CHECK_INT(trouble, cases[i].trouble, cases[i].because);
        CHECK_INT(strstr(err.message, "upload/1") == NULL, 1, "the address is a secret");
    }
}

static int start_up(void **state)
{
    (void)state;
    setenv("no_proxy", "127.0.0.1", 1);
    return http_startup(NULL);
}

static int clean_up(void **state)
{
    (void)state;
    http_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_become_one_harmless_line),
        TEST(the_token_goes_to_slack_alone),
        TEST(a_message_says_what_files_it_carries),
        TEST(more_files_than_can_be_are_counted),
        TEST(fetching_ends_well_or_says_why),
        TEST(a_foreign_address_is_not_asked),
        TEST(a_silent_host_a_stop_and_a_full_disk_end_it),
        TEST(a_body_over_the_limit_is_cut_off_while_it_comes),
        TEST(an_upload_carries_the_bytes_and_no_token),
        TEST(an_upload_that_may_not_be_is_ended),
    };

    return cmocka_run_group_tests(tests, start_up, clean_up);
}
