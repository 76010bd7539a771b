#include "tests/slack_lab/files.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"
#include "base/utf8.h"
#include "tests/slack_lab/faults.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/server.h"

#define SHOWN_TEXT_BYTES 65536

struct file {
    char id[WORLD_ID_BYTES];
    char *name;
    char *title;
    char *mimetype;
    char *user;
    char *mode;
    char *access; /* file_access, "" for visible */
    char *url;    /* instead of ours, "" for none */
    int64_t said_size;
    struct buf bytes;
    char ticket[33]; /* of its upload; "" once used */
    int64_t length;  /* as announced */
    bool is_app;
    bool is_uploaded;
    bool is_complete;
    json_t *shares; /* {"public":{CHANNEL:[{ts}]},"private":{...}} */
    struct file *next;
};

struct files {
    struct file *first;
    struct file **end;
    unsigned count;
};

struct files *files_new(void)
{
    struct files *files = xcalloc(1, sizeof(*files));

    files->end = &files->first;
    return files;
}

void files_free(struct files *files)
{
    struct file *next;

    for (struct file *file = files ? files->first : NULL; file; file = next) {
        next = file->next;
        free(file->name);
        free(file->title);
        free(file->mimetype);
        free(file->user);
        free(file->mode);
        free(file->access);
        free(file->url);
        buf_deinit(&file->bytes);
        json_decref(file->shares);
        free(file);
    }
    free(files);
}

static struct file *add_file(struct lab *lab, const char *name, const char *mimetype,
                             const char *user)
{
    struct file *file = xcalloc(1, sizeof(*file));

    snprintf(file->id, sizeof(file->id), "F0LAB%05u", ++lab->files->count);
    file->name = xstrdup(name);
    file->title = xstrdup(name);
    file->mimetype = xstrdup(mimetype);
    file->user = xstrdup(user);
    file->mode = xstrdup("hosted");
    file->access = xstrdup("");
    file->url = xstrdup("");
    file->said_size = -1;
    file->shares = json_object();
    buf_init(&file->bytes, LAB_BODY_MAX_BYTES);
    *lab->files->end = file;
    lab->files->end = &file->next;
    return file;
}

struct file *files_find(struct lab *lab, const char *id)
{
    for (struct file *file = lab->files->first; file; file = file->next) {
        if (strcmp(file->id, id) == 0)
            return file;
    }
    return NULL;
}

const char *file_id(const struct file *file)
{
    return file->id;
}

bool file_is_uploaded(const struct file *file)
{
    return file->is_uploaded;
}

bool file_is_complete(const struct file *file)
{
    return file->is_complete;
}

void file_complete(struct file *file, const char *title)
{
    file->is_complete = true;
    if (*title) {
        free(file->title);
        file->title = xstrdup(title);
    }
}

void file_share(struct lab *lab, struct file *file, struct message *message)
{
    const char *kind = message->channel->kind == CHANNEL_PUBLIC ? "public" : "private";
    json_t *by_channel = json_object_get(file->shares, kind);
    json_t *places;

    if (!by_channel) {
        by_channel = json_object();
        json_object_set_new(file->shares, kind, by_channel);
    }
    places = json_object_get(by_channel, message->channel->id);
    if (!places) {
        places = json_array();
        json_object_set_new(by_channel, message->channel->id, places);
    }
    json_array_append_new(places, json_pack("{s:s}", "ts", message->ts));
    if (!message->files)
        message->files = json_array();
    json_array_append_new(message->files, file_json(lab, file, false));
}

/* As a message shows it, or as files.info does. */
json_t *file_json(const struct lab *lab, const struct file *file, bool is_info)
{
    AUTO_FREE char *url = *file->url
                              ? xstrdup(file->url)
                              : xasprintf("%sfiles-pri/%s/file", lab->base_url, file->id);
    json_t *json;

    if (strcmp(file->mode, "tombstone") == 0 || strcmp(file->mode, "hidden_by_limit") == 0)
        return json_pack("{s:s, s:s}", "id", file->id, "mode", file->mode);
    if (*file->access && !is_info)
        return json_pack("{s:s, s:s}", "id", file->id, "file_access", file->access);
    json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:s}", "id", file->id, "name", file->name,
        "title", file->title, "mimetype", file->mimetype, "user", file->user, "size",
        (json_int_t)(file->said_size >= 0 ? file->said_size : (int64_t)file->bytes.len), "mode",
        file->mode, "is_external", strcmp(file->mode, "external") == 0, "url_private", url);
    json_object_set_new(json, "url_private_download", json_string(url));
    if (is_info)
        json_object_set_new(json, "shares", json_deep_copy(file->shares));
    return json;
}

/* ---- people -------------------------------------------------------------------------------
 */

static void replace(char **target, const char *text)
{
    free(*target);
    *target = xstrdup(text);
}

static void append_decoded(struct buf *out, const char *encoded)
{
    size_t size = strlen(encoded);
    AUTO_FREE unsigned char *bytes = xcalloc(1, size + 1);
    size_t len = 0;

    if (sodium_base642bin(bytes, size, encoded, size, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0)
        buf_append(out, bytes, len);
}

static const char *attach(struct lab *lab, struct message *message, json_t *wanted)
{
    const char *name = NULL;
    const char *mimetype = "text/plain";
    const char *text = "";
    const char *mode = "hosted";
    const char *access = "";
    const char *url = "";
    const char *encoded = "";
    json_int_t bytes = 0;
    json_int_t size = -1;
    size_t text_len = 0;
    struct file *file;

    if (json_unpack(wanted, "{s:s, s?s, s?s%, s?s, s?s, s?s, s?s, s?I, s?I !}", "name", &name,
                    "mimetype", &mimetype, "text", &text, &text_len, "mode", &mode,
                    "file_access", &access, "url", &url, "base64", &encoded, "bytes", &bytes,
                    "size", &size) < 0)
        return "a file is {name, mimetype?, text? | base64? | bytes?, size?, mode?, "
               "file_access?, url?}";
    file = add_file(lab, name, mimetype, message->user);
    replace(&file->mode, mode);
    replace(&file->access, access);
    replace(&file->url, url);
    file->said_size = size;
    file->is_uploaded = true;
    file->is_complete = true;
    buf_append(&file->bytes, text, text_len);
    append_decoded(&file->bytes, encoded);
    for (json_int_t i = 0; i < bytes; i++)
        buf_append_char(&file->bytes, 'x');
    file_share(lab, file, message);
    return NULL;
}

const char *files_attach(struct lab *lab, struct message *message, json_t *wanted)
{
    const char *wrong = NULL;
    json_t *each;
    size_t i;

    json_array_foreach(wanted, i, each)
    {
        if (!wrong)
            wrong = attach(lab, message, each);
    }
    return wrong;
}

json_t *files_json(const struct lab *lab)
{
    json_t *all = json_array();

    for (const struct file *file = lab->files->first; file; file = file->next) {
        json_t *json = file_json(lab, file, true);

        json_object_set_new(json, "is_app", json_boolean(file->is_app));
        json_object_set_new(json, "is_uploaded", json_boolean(file->is_uploaded));
        json_object_set_new(json, "is_complete", json_boolean(file->is_complete));
        if (file->bytes.len <= SHOWN_TEXT_BYTES &&
            utf8_is_valid(buf_text(&file->bytes), file->bytes.len))
            json_object_set_new(json, "content",
                                json_stringn(buf_text(&file->bytes), file->bytes.len));
        json_array_append_new(all, json);
    }
    return all;
}

/* ---- the host of files --------------------------------------------------------------------
 */

static void note(struct request *request, const char *what, const char *id, const char *result)
{
    journal_add(request->lab->journal, what,
                json_pack("{s:s, s:s, s:b, s:I}", "id", id, "result", result, "with_token",
                          *request->authorization != '\0', "bytes",
                          (json_int_t)request->body.len));
}

static void sign_in(struct request *request)
{
    static const char page[] = "<!DOCTYPE html><html><head><title>Sign in | Slack</title>"
                               "</head><body>Sign in to Lab</body></html>";

    request_answer(request, 200, "text/html; charset=utf-8", "", page, sizeof(page) - 1);
}

/* True when the fault is all that happens. */
static bool misbehave(struct request *request, const char *method, const char *id)
{
    struct fault fault = faults_take(request->lab->faults, method);
    AUTO_FREE char *headers = NULL;

    if (fault.kind == FAULT_NONE)
        return false;
    note(request, method, id, "fault");
    switch (fault.kind) {
    case FAULT_HTML:
        sign_in(request);
        return true;
    case FAULT_HTTP_429:
        headers = xasprintf("Retry-After: %lld\r\n", (long long)fault.retry_after_s);
        request_answer(request, 429, "text/plain", headers, "", 0);
        return true;
    case FAULT_HTTP_500:
        request_answer(request, 500, "text/plain", "", "", 0);
        return true;
    case FAULT_HTTP_503:
        request_answer(request, 503, "text/plain", "", "", 0);
        return true;
    case FAULT_ERROR:
        request_answer(request, 403, "text/plain", "", fault.error, strlen(fault.error));
        return true;
    case FAULT_REDIRECT:
        headers = xasprintf("Location: %s\r\n", fault.url);
        request_answer(request, 302, "text/plain", headers, "", 0);
        return true;
    case FAULT_DROP:
        request->drop = true;
        return true;
    case FAULT_CUT:
        request->is_cut = true;
        return false;
    case FAULT_SLOW:
        request->due_us = request->came_us + fault.slow_ms * 1000;
        return false;
    case FAULT_NONE:
    case FAULT_HTTP_500_EXECUTED:
    case FAULT_DROP_EXECUTED:
    case FAULT_GARBAGE:
        break;
    }
    return false;
}

static void answer_file(struct request *request, const struct file *file)
{
    request_answer(request, 200, file->mimetype,
                   "Content-Disposition: attachment\r\nX-Content-Type-Options: nosniff\r\n",
                   buf_text(&file->bytes), file->bytes.len);
}

void files_serve(struct request *request, const char *path)
{
    char id[WORLD_ID_BYTES];
    struct file *file;

    snprintf(id, sizeof(id), "%.*s", (int)strcspn(path, "/"), path);
    file = files_find(request->lab, id);
    if (misbehave(request, "files.download", id))
        return;
    if (strcmp(request->authorization, "Bearer " LAB_BOT_TOKEN) != 0 ||
        !strstr(request->lab->settings.scopes, "files:read")) {
        note(request, "files.download", id, "sign in");
        sign_in(request);
    } else if (!file || !file->is_complete) {
        note(request, "files.download", id, "not found");
        request_answer(request, 404, "text/plain", "", "not found\n", 10);
    } else {
        note(request, "files.download", id, "sent");
        answer_file(request, file);
    }
}

void files_show(struct request *request, const char *id)
{
    const struct file *file = files_find(request->lab, id);

    if (file)
        answer_file(request, file);
    else
        request_answer(request, 404, "text/plain", "", "not found\n", 10);
}

/* ---- uploads ------------------------------------------------------------------------------
 */

static const char *type_of(const char *name)
{
    static const struct {
        const char *ending;
        const char *type;
    } types[] = { { ".png", "image/png" },
                  { ".pdf", "application/pdf" },
                  { ".csv", "text/csv" },
                  { ".md", "text/markdown" },
                  { ".json", "application/json" } };
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        size_t ending = strlen(types[i].ending);

        if (len > ending && strcmp(name + len - ending, types[i].ending) == 0)
            return types[i].type;
    }
    return "text/plain";
}

struct file *files_expect(struct lab *lab, const char *name, int64_t length, char *ret_url,
                          size_t size)
{
    struct file *file = add_file(lab, name, type_of(name), LAB_BOT_USER);

    file->length = length;
    file->is_app = true;
    random_hex(file->ticket, 16);
    snprintf(ret_url, size, "%supload/%s", lab->base_url, file->ticket);
    return file;
}

/* The content of a multipart body's first part that has a file name or is alone; else the
 * whole body. */
static const char *find_content(const struct request *request, size_t *ret_len)
{
    const char *body = buf_text(&request->body);
    size_t len = request->body.len;
    const char *boundary = strstr(request->content_type, "boundary=");
    const char *start = len ? memmem(body, len, "\r\n\r\n", 4) : NULL;
    AUTO_FREE char *end = NULL;
    const char *stop;

    *ret_len = len;
    if (strncmp(request->content_type, "multipart/form-data", 19) != 0 || !boundary || !start)
        return body;
    end = xasprintf("\r\n--%.*s", (int)strcspn(boundary + 9, "; \""), boundary + 9);
    start += 4;
    stop = memmem(start, len - (size_t)(start - body), end, strlen(end));
    *ret_len = stop ? (size_t)(stop - start) : 0;
    return start;
}

void files_take(struct request *request, const char *ticket)
{
    struct file *file = request->lab->files->first;
    const char *content;
    size_t len;
    char said[64];

    while (file && (!*file->ticket || strcmp(file->ticket, ticket) != 0))
        file = file->next;
    if (misbehave(request, "files.upload", file ? file->id : ""))
        return;
    if (!file) {
        journal_violation(request->lab->journal, "upload_url_unknown", NULL);
        request_answer(request, 404, "text/plain", "", "no such upload\n", 15);
        return;
    }
    content = find_content(request, &len);
    if ((int64_t)len != file->length) {
        journal_violation(request->lab->journal, "upload_length",
                          json_pack("{s:I, s:I}", "announced", (json_int_t)file->length, "came",
                                    (json_int_t)len));
        request_answer(request, 400, "text/plain", "", "length\n", 7);
        return;
    }
    file->ticket[0] = '\0';
    file->is_uploaded = true;
    buf_clear(&file->bytes);
    buf_append(&file->bytes, content, len);
    note(request, "files.upload", file->id, "taken");
    snprintf(said, sizeof(said), "OK - %zu", len);
    request_answer(request, 200, "text/plain", "", said, strlen(said));
}
