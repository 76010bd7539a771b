#include "slack/files.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "slack/call.h"
#include "slack/file_parts.h"
#include "slack/route.h"

#define ID_MAX_BYTES (SLACK_ID_MAX_BYTES - 1)

void slack_file_deinit(struct slack_file *file)
{
    free(file->id);
    free(file->name);
    free(file->mimetype);
    free(file->url);
    *file = (struct slack_file){ 0 };
}

void slack_files_deinit(struct slack_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        slack_file_deinit(&files->items[i]);
    free(files->items);
    *files = (struct slack_files){ 0 };
}

/* ---- names --------------------------------------------------------------------------------
 */

/*
 * U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: with them "exe.gpj" reads as a picture.
 * U+2028 and U+2029 end a line for some readers. All are three bytes beginning E2 80 or E2 81.
 */
static bool is_deceiving(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    if (at[0] != 0xe2)
        return false;
    if (at[1] == 0x80)
        return at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae);
    return at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9;
}

char *slack_file_clean_name(const char *bytes, size_t len)
{
    AUTO_FREE char *clean = utf8_clean_copy(bytes, len, (size_t)4 * SLACK_FILE_NAME_MAX_BYTES);
    AUTO_BUF struct buf name = { 0 };

    buf_init(&name, strlen(clean) + 1);
    for (const char *at = clean; *at; at++) {
        if (is_deceiving(at))
            at += 2;
        else if (!strchr(" \t\r\n", *at))
            buf_append_char(&name, *at);
        else if (name.len && name.data[name.len - 1] != ' ')
            buf_append_char(&name, ' ');
    }
    buf_truncate(
        &name,
        utf8_cut(buf_text(&name), name.len,
                 name.len < SLACK_FILE_NAME_MAX_BYTES ? name.len : SLACK_FILE_NAME_MAX_BYTES));
    while (name.len && name.data[name.len - 1] == ' ')
        buf_truncate(&name, name.len - 1);
    return name.len ? buf_take(&name) : xstrdup("file");
}

/* ---- what Slack says of a file ------------------------------------------------------------
 */

static bool is_text(const json_t *object, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && strcmp(text, wanted) == 0;
}

/* A copy without control characters; "" when it is absent, or longer than it may be: a cut
 * identifier or address would name something else. */
static char *copy_whole(const json_t *object, const char *key, size_t max_bytes)
{
    const json_t *value = json_object_get(object, key);
    size_t len = json_string_length(value);

    return json_is_string(value) && len <= max_bytes
               ? utf8_clean_copy(json_string_value(value), len, max_bytes)
               : xstrdup("");
}

static char *copy_name(const json_t *object)
{
    const json_t *name = json_object_get(object, "name");

    if (!json_is_string(name) || !json_string_length(name))
        name = json_object_get(object, "title");
    return json_is_string(name)
               ? slack_file_clean_name(json_string_value(name), json_string_length(name))
               : slack_file_clean_name("", 0);
}

static char *copy_url(const json_t *object)
{
    char *url = copy_whole(object, "url_private_download", SLACK_FILE_URL_MAX_BYTES);

    if (*url)
        return url;
    free(url);
    return copy_whole(object, "url_private", SLACK_FILE_URL_MAX_BYTES);
}

static int64_t size_of(const json_t *object)
{
    double size = json_number_value(json_object_get(object, "size"));

    return json_is_number(json_object_get(object, "size")) && size >= 0 && size < 1e15
               ? (int64_t)size
               : -1;
}

static enum slack_file_state state_of(const json_t *object, const char *url)
{
    if (is_text(object, "mode", "tombstone"))
        return SLACK_FILE_DELETED;
    if (is_text(object, "mode", "hidden_by_limit"))
        return SLACK_FILE_HIDDEN;
    if (is_text(object, "mode", "external") ||
        json_is_true(json_object_get(object, "is_external")))
        return SLACK_FILE_EXTERNAL;
    if (is_text(object, "file_access", "check_file_info") || !*url)
        return SLACK_FILE_UNKNOWN;
    return SLACK_FILE_HERE;
}

void slack_file_read(const json_t *object, struct slack_file *ret_file)
{
    char *url = copy_url(object);

    *ret_file = (struct slack_file){
        .id = copy_whole(object, "id", ID_MAX_BYTES),
        .name = copy_name(object),
        .mimetype = copy_whole(object, "mimetype", SLACK_FILE_TYPE_MAX_BYTES),
        .url = url,
        .size = size_of(object),
        .state = state_of(object, url),
    };
}

void slack_files_read(const json_t *array, struct slack_files *ret_files)
{
    size_t total = json_array_size(array);
    size_t count = total < SLACK_FILES_MAX ? total : SLACK_FILES_MAX;

    *ret_files = (struct slack_files){ .total = total };
    if (!count)
        return;
    ret_files->items = xcalloc(count, sizeof(*ret_files->items));
    for (size_t i = 0; i < count; i++)
        slack_file_read(json_array_get(array, i), &ret_files->items[ret_files->count++]);
}

int slack_file_info(struct slack_web *web, const char *id, struct slack_file *ret_file,
                    struct err *err)
{
    struct slack_call call = { .method = "files.info", .is_form = true, .is_idempotent = true };
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;
    const json_t *object;

    call.channel = "";
    buf_init(&form, 256);
    buf_append_text(&form, "file=");
    http_append_escaped(&form, id);
    if (buf_finish(&form, err) < 0)
        return err_wrap(err, "files.info");
    call.body = buf_text(&form);
    if (slack_call(web, &call, &answer, err) < 0)
        return -1;
    object = json_object_get(answer, "file");
    if (!json_is_object(object))
        return err_set(err, ERR_REMOTE, "files.info: the answer holds no file");
    slack_file_read(object, ret_file);
    return 0;
}

/* ---- where the token may go ---------------------------------------------------------------
 */

/* Only what every reader of URLs understands alike: no blanks, no backslashes, no @. */
static bool is_plain_url(const char *url)
{
    for (; *url; url++) {
        if ((unsigned char)*url <= ' ' || (unsigned char)*url >= 0x7f || *url == '\\' ||
            *url == '@')
            return false;
    }
    return true;
}

static bool ends_in(const char *host, size_t len, const char *domain)
{
    size_t domain_len = strlen(domain);

    return len >= domain_len && strncasecmp(host + len - domain_len, domain, domain_len) == 0 &&
           (len == domain_len || host[len - domain_len - 1] == '.');
}

static bool is_slack_host(const char *host)
{
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "0123456789.-");

    return (host[len] == '/' || host[len] == '\0') &&
           (ends_in(host, len, "slack.com") || ends_in(host, len, "slack-gov.com"));
}

bool slack_files_is_ours(const char *url, const char *api_url)
{
    bool is_local = strncasecmp(api_url, "http://", 7) == 0;

    if (!is_plain_url(url))
        return false;
    if (strncasecmp(url, "https://", 8) == 0)
        return is_slack_host(url + 8);
    /* Plain HTTP passes only to this host. */
    return is_local && slack_url_may_carry_token(api_url) && slack_url_may_carry_token(url);
}
