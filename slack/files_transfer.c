/* files.h: the bytes, in both directions. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "slack/call.h"
#include "slack/files.h"

#define LOG_MODULE "slack.files"
#include "base/log.h"

#define TRIES_MAX          4
#define REDIRECTS_MAX      3
#define BACKOFF_CAP_MS     8000
#define CONNECT_TIMEOUT_MS 5000
#define WAIT_SLICE_MS      50
#define FORM_MAX_BYTES     4096
#define SNIFF_MAX_BYTES    16
#define ANSWER_MAX_BYTES   ((size_t)64 * 1024) /* of the host that takes uploads */

static bool is_wanted(const struct slack_web *web, const struct slack_transfer *transfer)
{
    if (web->cancelled && atomic_load(web->cancelled))
        return false;
    return !transfer->is_unwanted || !transfer->is_unwanted(transfer->context);
}

/* False when there is no time for that, or nobody wants it any more. */
static bool pause_ms(const struct slack_web *web, const struct slack_transfer *transfer,
                     int64_t wait)
{
    int64_t until = clock_now_ms() + wait;

    if (until >= transfer->deadline_at_ms)
        return false;
    while (clock_now_ms() < until) {
        struct timespec slice = { .tv_nsec = WAIT_SLICE_MS * 1000000L };

        if (!is_wanted(web, transfer))
            return false;
        nanosleep(&slice, NULL);
    }
    return true;
}

static int64_t time_left(const struct slack_transfer *transfer)
{
    int64_t left = transfer->deadline_at_ms - clock_now_ms();

    return left > 0 ? left : 1;
}

/* ---- fetching -----------------------------------------------------------------------------
 */

struct fetch {
    const struct slack_transfer *transfer;
    const struct slack_file *file;
    int fd;
    char start[SNIFF_MAX_BYTES]; /* of the body */
    size_t start_len;
    enum slack_file_trouble trouble;
    struct err why;
    int64_t wait_ms; /* as a 429 says */
};

static bool is_unwanted_fetch(void *context)
{
    const struct slack_transfer *transfer = ((const struct fetch *)context)->transfer;

    return transfer->is_unwanted && transfer->is_unwanted(transfer->context);
}

static bool begins(const char *text, const char *word)
{
    return strncasecmp(text, word, strlen(word)) == 0;
}

static bool is_html_type(const char *type)
{
    return begins(type, "text/html") || begins(type, "application/xhtml");
}

/* A file that is no text, but begins like a page. */
static bool looks_like_page(const struct fetch *fetch)
{
    char start[SNIFF_MAX_BYTES + 1] = "";
    size_t at = strspn((memcpy(start, fetch->start, fetch->start_len), start), " \t\r\n");

    return *fetch->file->mimetype && !begins(fetch->file->mimetype, "text/") &&
           !strstr(fetch->file->mimetype, "xml") && !is_html_type(fetch->file->mimetype) &&
           (begins(start + at, "<!doctype") || begins(start + at, "<html"));
}

static int end_fetch(struct fetch *fetch, enum slack_file_trouble trouble, enum err_kind kind,
                     const char *message)
{
    fetch->trouble = trouble;
    return err_set(&fetch->why, kind, "%s", message);
}

static int is_sign_in(struct fetch *fetch)
{
    return end_fetch(fetch, SLACK_FILE_NO_SCOPE, ERR_AUTH,
                     "Slack sent its page to sign in instead of the file: the bot token lacks "
                     "the scope files:read (add it to the app and reinstall it)");
}

static int on_fetched(void *context, const struct http_response *head, const char *bytes,
                      size_t len)
{
    struct fetch *fetch = context;
    size_t room = sizeof(fetch->start) - fetch->start_len;

    if (room) {
        size_t taken = len < room ? len : room;

        memcpy(fetch->start + fetch->start_len, bytes, taken);
        fetch->start_len += taken;
        if ((is_html_type(head->content_type) && !is_html_type(fetch->file->mimetype)) ||
            looks_like_page(fetch))
            return is_sign_in(fetch);
    }
    if (file_write_all(fetch->fd, bytes, len) < 0) {
        fetch->trouble = SLACK_FILE_DISK;
        return err_set_errno(&fetch->why, ERR_SYSTEM, "cannot store the file");
    }
    return 0;
}

/* What the caller of http_perform() makes of its failure. */
static void judge_broken(struct slack_web *web, struct fetch *fetch, const struct err *err)
{
    if (fetch->trouble != SLACK_FILE_FINE)
        return; /* on_fetched() has said it */
    if (!is_wanted(web, fetch->transfer))
        end_fetch(fetch, SLACK_FILE_UNWANTED, ERR_TEMP, "no longer wanted");
    else if (err->kind == ERR_REMOTE)
        end_fetch(fetch, SLACK_FILE_TOO_LARGE, ERR_INPUT, err->message);
    else if (err->kind == ERR_INPUT)
        end_fetch(fetch, SLACK_FILE_REFUSED, ERR_REMOTE, err->message);
    else
        end_fetch(fetch, SLACK_FILE_AWAY, ERR_TEMP, err->message);
}

static void judge_status(struct fetch *fetch, const struct http_response *answer)
{
    char said[64];

    snprintf(said, sizeof(said), "HTTP %ld", answer->status);
    if (answer->status == 200) {
        /* A page instead of a page: only its length tells. */
        if (is_html_type(fetch->file->mimetype) && fetch->file->size >= 0 &&
            is_html_type(answer->content_type) && answer->received_bytes != fetch->file->size)
            is_sign_in(fetch);
    } else if (answer->status == 404 || answer->status == 410) {
        end_fetch(fetch, SLACK_FILE_GONE, ERR_INPUT, said);
    } else if (answer->status == 429 || answer->status == 408 || answer->status >= 500) {
        fetch->wait_ms = answer->retry_after_ms;
        end_fetch(fetch, SLACK_FILE_AWAY, ERR_TEMP, said);
    } else {
        end_fetch(fetch, SLACK_FILE_REFUSED, ERR_REMOTE, said);
    }
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Where a redirect leads; the caller frees it. */
static char *resolve(const char *base, const char *location)
{
    const char *host = strstr(base, "://");

    if (!host || location[0] != '/' || location[1] == '/')
        return xstrdup(location);
    return xasprintf("%.*s%s", (int)((host + 3 - base) + (ptrdiff_t)strcspn(host + 3, "/")),
                     base, location);
}

/* One request, or a few when Slack sends us on; the token goes to Slack's own hosts only. */
static void try_fetch(struct slack_web *web, struct fetch *fetch)
{
    AUTO_FREE char *url = xstrdup(fetch->file->url);
    const char *headers[] = { web->authorization, NULL };
    struct http_request request = {
        .method = "GET",
        .headers = headers,
        .max_response_bytes = (size_t)fetch->transfer->max_bytes,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .cancelled = web->cancelled,
        .context = fetch,
        .on_body = on_fetched,
        .is_unwanted = is_unwanted_fetch,
    };

    for (int hops = 0;; hops++) {
        struct err err = { 0 };
        char *next;

        if (!slack_files_is_ours(url, web->api_url) || hops > REDIRECTS_MAX) {
            end_fetch(fetch, SLACK_FILE_REFUSED, ERR_REMOTE,
                      hops ? "redirected to where the token may not go"
                           : "its address is not one of Slack's own hosts");
            return;
        }
        request.url = url;
        request.timeout_ms = time_left(fetch->transfer);
        if (http_perform(web->http, &request, &web->answer, &err) < 0) {
            judge_broken(web, fetch, &err);
            return;
        }
        if (!is_redirect(web->answer.status)) {
            judge_status(fetch, &web->answer);
            return;
        }
        next = resolve(url, web->answer.location);
        free(url);
        url = next;
    }
}

static int prepare(struct fetch *fetch)
{
    fetch->trouble = SLACK_FILE_FINE;
    fetch->start_len = 0;
    fetch->wait_ms = -1;
    if (ftruncate(fetch->fd, 0) == 0 && lseek(fetch->fd, 0, SEEK_SET) == 0)
        return 0;
    fetch->trouble = SLACK_FILE_DISK;
    return err_set_errno(&fetch->why, ERR_SYSTEM, "cannot store the file");
}

int slack_file_fetch(struct slack_web *web, const struct slack_file *file,
                     const struct slack_transfer *transfer, int fd,
                     enum slack_file_trouble *ret_trouble, struct err *err)
{
    struct fetch fetch = { .transfer = transfer, .file = file, .fd = fd };

    if (file->size > transfer->max_bytes)
        end_fetch(&fetch, SLACK_FILE_TOO_LARGE, ERR_INPUT, "larger than files.max_bytes");
    for (unsigned tries = 0; fetch.trouble == SLACK_FILE_FINE; tries++) {
        int64_t wait;

        if (prepare(&fetch) < 0)
            break;
        try_fetch(web, &fetch);
        if (fetch.trouble == SLACK_FILE_FINE)
            return 0;
        if (fetch.trouble != SLACK_FILE_AWAY || tries + 1 >= TRIES_MAX)
            break;
        wait = fetch.wait_ms >= 0 ? fetch.wait_ms
                                  : random_backoff_ms(web->backoff_ms, BACKOFF_CAP_MS, tries);
        if (!pause_ms(web, transfer, wait)) {
            if (!is_wanted(web, transfer))
                end_fetch(&fetch, SLACK_FILE_UNWANTED, ERR_TEMP, "no longer wanted");
            break;
        }
        log_info("file=%s is fetched again: %s", file->id, fetch.why.message);
        fetch.trouble = SLACK_FILE_FINE;
    }
    *ret_trouble = fetch.trouble;
    return err_set(err, fetch.why.kind, "file %s: %s", file->id, fetch.why.message);
}

/* ---- sending ------------------------------------------------------------------------------
 */

struct sending {
    const struct slack_transfer *transfer;
    int fd;
    int64_t offset;
    bool is_ended; /* by the caller, or the file is not what it was */
};

static bool is_unwanted_sending(void *context)
{
    const struct slack_transfer *transfer = ((const struct sending *)context)->transfer;

    return transfer->is_unwanted && transfer->is_unwanted(transfer->context);
}

static ssize_t give_more(void *context, char *out, size_t size)
{
    struct sending *sending = context;
    const struct slack_transfer *transfer = sending->transfer;
    ssize_t got;

    do {
        got = pread(sending->fd, out, size, sending->offset);
    } while (got < 0 && errno == EINTR);
    if (got <= 0 || (transfer->on_sent && transfer->on_sent(transfer->context, sending->offset,
                                                            out, (size_t)got) < 0)) {
        sending->is_ended = true;
        return -1;
    }
    sending->offset += got;
    return got;
}

static enum slack_file_trouble trouble_of_call(const struct slack_web *web)
{
    if (web->fate == SLACK_FATE_TOKEN)
        return SLACK_FILE_NO_SCOPE;
    if (strcmp(web->error, "file_upload_size_restricted") == 0 ||
        strcmp(web->error, "snippet_too_large") == 0)
        return SLACK_FILE_TOO_LARGE;
    return web->fate == SLACK_FATE_PERMANENT ? SLACK_FILE_REFUSED : SLACK_FILE_AWAY;
}

/* Where to bring it, and which file it will be. `*ret_url` is a secret; the caller frees it. */
static int ask_where(struct slack_web *web, const char *name, int64_t size,
                     int64_t deadline_at_ms, char **ret_url, char ret_id[SLACK_ID_MAX_BYTES],
                     enum slack_file_trouble *ret_trouble, struct err *err)
{
    struct slack_call call = { .method = "files.getUploadURLExternal",
                               .channel = "",
                               .is_form = true,
                               .is_idempotent = true,
                               .deadline_at_ms = deadline_at_ms };
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;
    const char *url;
    const char *id;

    buf_init(&form, FORM_MAX_BYTES);
    buf_append_text(&form, "filename=");
    http_append_escaped(&form, name);
    buf_printf(&form, "&length=%lld", (long long)size);
    *ret_trouble = SLACK_FILE_REFUSED;
    if (buf_finish(&form, err) < 0)
        return err_wrap(err, "%s", call.method);
    call.body = buf_text(&form);
    if (slack_call(web, &call, &answer, err) < 0) {
        *ret_trouble = trouble_of_call(web);
        return -1;
    }
    url = json_string_value(json_object_get(answer, "upload_url"));
    id = json_string_value(json_object_get(answer, "file_id"));
    if (!url || !id || !*id || strlen(id) >= SLACK_ID_MAX_BYTES ||
        !slack_files_is_ours(url, web->api_url))
        return err_set(err, ERR_REMOTE, "%s: the answer names no place of Slack's",
                       call.method);
    *ret_url = xstrdup(url);
    snprintf(ret_id, SLACK_ID_MAX_BYTES, "%s", id);
    return 0;
}

/* 0, or -1 with the trouble: SLACK_FILE_AWAY may be tried again, at another address. */
static int bring(struct slack_web *web, const char *url, struct sending *sending, int64_t size,
                 enum slack_file_trouble *ret_trouble, struct err *err)
{
    static const char *const headers[] = { "Content-Type: application/octet-stream", NULL };
    struct http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .body_len = (size_t)size,
        .max_response_bytes = ANSWER_MAX_BYTES,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = time_left(sending->transfer),
        .cancelled = web->cancelled,
        .context = sending,
        .read_body = give_more,
        .is_unwanted = is_unwanted_sending,
    };
    struct err why = { 0 };

    sending->offset = 0;
    *ret_trouble = SLACK_FILE_AWAY;
    if (http_perform(web->http, &request, &web->answer, &why) < 0) {
        if (sending->is_ended)
            *ret_trouble = SLACK_FILE_ENDED;
        else if (!is_wanted(web, sending->transfer))
            *ret_trouble = SLACK_FILE_UNWANTED;
        return err_set(err, ERR_TEMP, "upload: %s", why.message);
    }
    if (web->answer.status == 200)
        return 0;
    if (web->answer.status < 500 && web->answer.status != 429 && web->answer.status != 408)
        *ret_trouble = SLACK_FILE_REFUSED;
    return err_set(err, *ret_trouble == SLACK_FILE_AWAY ? ERR_TEMP : ERR_REMOTE,
                   "upload: HTTP %ld", web->answer.status);
}

int slack_file_upload(struct slack_web *web, const char *name, int fd, int64_t size,
                      const struct slack_transfer *transfer, char ret_id[SLACK_ID_MAX_BYTES],
                      enum slack_file_trouble *ret_trouble, struct err *err)
{
    struct sending sending = { .transfer = transfer, .fd = fd };

    for (unsigned tries = 0;; tries++) {
        AUTO_FREE char *url = NULL;
        char id[SLACK_ID_MAX_BYTES];

        if (ask_where(web, name, size, transfer->deadline_at_ms, &url, id, ret_trouble, err) <
            0)
            return -1;
        if (bring(web, url, &sending, size, ret_trouble, err) == 0) {
            memcpy(ret_id, id, sizeof(id));
            return 0;
        }
        if (*ret_trouble != SLACK_FILE_AWAY || tries + 1 >= TRIES_MAX ||
            !pause_ms(web, transfer, random_backoff_ms(web->backoff_ms, BACKOFF_CAP_MS, tries)))
            return -1;
        log_info("file=%s is brought again: %s", id, err->message);
    }
}

/* ---- sharing ------------------------------------------------------------------------------
 */

struct share {
    const char *id;
    const char *channel;
};

static bool lists(const json_t *array, const char *text)
{
    const json_t *item;
    size_t i;

    json_array_foreach(array, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

static bool is_shared_in(const json_t *file, const char *channel)
{
    const json_t *shares = json_object_get(file, "shares");

    return json_object_get(json_object_get(shares, "public"), channel) ||
           json_object_get(json_object_get(shares, "private"), channel) ||
           lists(json_object_get(file, "channels"), channel) ||
           lists(json_object_get(file, "groups"), channel) ||
           lists(json_object_get(file, "ims"), channel);
}

static int find_share(struct slack_web *web, const void *context, int64_t deadline_at_ms,
                      json_t **ret_answer, struct err *err)
{
    const struct share *share = context;
    struct slack_call call = { .method = "files.info",
                               .channel = "",
                               .is_form = true,
                               .is_idempotent = true,
                               .deadline_at_ms = deadline_at_ms };
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;

    buf_init(&form, FORM_MAX_BYTES);
    buf_append_text(&form, "file=");
    http_append_escaped(&form, share->id);
    if (buf_finish(&form, err) < 0)
        return -1;
    call.body = buf_text(&form);
    if (slack_call(web, &call, &answer, err) < 0)
        return -1;
    if (!is_shared_in(json_object_get(answer, "file"), share->channel))
        return 0;
    if (ret_answer)
        *ret_answer = json_incref(answer);
    return 1;
}

int slack_file_is_shared(struct slack_web *web, const char *id, const char *channel,
                         struct err *err)
{
    struct share share = { id, channel };

    return find_share(web, &share, clock_now_ms() + web->deadline_ms, NULL, err);
}

int slack_files_share(struct slack_web *web, const struct slack_upload *uploads, size_t count,
                      const char *channel, const char *thread_ts, struct err *err)
{
    struct share share = { uploads[0].id, channel };
    struct slack_call call = { .method = "files.completeUploadExternal",
                               .channel = channel,
                               .find = find_share,
                               .find_context = &share };
    json_t *files = json_array();
    json_t *body;

    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            files, json_pack("{s:s, s:s}", "id", uploads[i].id, "title", uploads[i].name));
    body = json_pack("{s:o, s:s}", "files", files, "channel_id", channel);
    if (*thread_ts)
        json_object_set_new(body, "thread_ts", json_string(thread_ts));
    return slack_call_json(web, &call, body, NULL, err);
}
