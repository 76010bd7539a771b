#include "tests/slack_lab/api.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "tests/slack_lab/faults.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/server.h"

#define SPEC_WORD_MAX 64

const char *call_text(const struct call *call, const char *name)
{
    const char *text = json_string_value(json_object_get(call->args, name));

    return text ? text : "";
}

bool call_has(const struct call *call, const char *name)
{
    return json_object_get(call->args, name) != NULL;
}

bool call_bool(const struct call *call, const char *name)
{
    return json_is_true(json_object_get(call->args, name));
}

int64_t call_number(const struct call *call, const char *name, int64_t fallback)
{
    json_t *value = json_object_get(call->args, name);

    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

const char *call_refuse(struct call *call, const char *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(call->message, sizeof(call->message), format, args);
    va_end(args);
    return error;
}

struct channel *call_channel(struct call *call, const char *name, const char **ret_error)
{
    struct channel *channel = world_channel(call->lab->world, call_text(call, name));

    if (!channel)
        *ret_error = "channel_not_found";
    else if (channel->is_archived)
        *ret_error = "is_archived";
    else if (!channel->bot_is_member)
        *ret_error = "not_in_channel";
    else
        return channel;
    return NULL;
}

static const char *check_block(struct call *call, json_t *block, size_t index)
{
    static const char *const types[] = {
        "section",         "divider",   "header",   "context", "actions",
        "context_actions", "image",     "markdown", "input",   "table",
        "rich_text",       "task_card", "plan",     "file",    "video",
    };
    const char *type = json_string_value(json_object_get(block, "type"));
    const char *text =
        json_string_value(json_object_get(json_object_get(block, "text"), "text"));
    bool known = false;

    for (size_t i = 0; type && i < ARRAY_LEN(types); i++)
        known = known || strcmp(type, types[i]) == 0;
    if (!known)
        return call_refuse(call, "invalid_blocks",
                           "[ERROR] unsupported type: %s [json-pointer:/blocks/%zu/type]",
                           type ? type : "(none)", index);
    if (strcmp(type, "section") == 0 && text && utf8_length(text, strlen(text)) > 3000)
        return call_refuse(call, "invalid_blocks",
                           "[ERROR] must be less than 3001 characters "
                           "[json-pointer:/blocks/%zu/text/text]",
                           index);
    if (strcmp(type, "actions") == 0 &&
        (json_array_size(json_object_get(block, "elements")) < 1 ||
         json_array_size(json_object_get(block, "elements")) > 25))
        return call_refuse(call, "invalid_blocks",
                           "[ERROR] 1 to 25 items [json-pointer:/blocks/%zu/elements]", index);
    return NULL;
}

const char *call_check_blocks(struct call *call, json_t *blocks)
{
    size_t i;
    size_t markdown_len = 0;
    json_t *block;

    if (json_array_size(blocks) > 50)
        return call_refuse(call, "msg_blocks_too_many",
                           "[ERROR] no more than 50 items "
                           "allowed [json-pointer:/blocks]");
    json_array_foreach(blocks, i, block)
    {
        const char *error = check_block(call, block, i);
        const char *markdown = json_string_value(json_object_get(block, "text"));

        if (error)
            return error;
        if (markdown)
            markdown_len += utf8_length(markdown, strlen(markdown));
    }
    if (markdown_len > 12000)
        return call_refuse(call, "msg_blocks_too_long",
                           "[ERROR] markdown over 12000 characters");
    return NULL;
}

void call_app_wrote(struct call *call, const char *channel, const char *thread_ts)
{
    status_clear(world_status(call->lab->world, channel, thread_ts, false));
}

/* --- one argument of the spec ------------------------------------------------------------ */

struct spec {
    char name[SPEC_WORD_MAX];
    char type;
    bool required;
};

/* Reads the next word of a method's `args`; false at the end. */
static bool next_spec(const char **args, struct spec *ret_spec)
{
    const char *word = *args + strspn(*args, " ");
    size_t len = strcspn(word, " ");
    size_t name_len = strcspn(word, " *:");

    if (len == 0)
        return false;
    snprintf(ret_spec->name, sizeof(ret_spec->name), "%.*s", (int)name_len, word);
    ret_spec->required = memchr(word, '*', len) != NULL;

    const char *colon = memchr(word, ':', len);

    ret_spec->type = 's';
    if (colon)
        ret_spec->type = colon[1];
    *args = word + len;
    return true;
}

/* A form's text as the JSON value that the spec wants; NULL when it is none. New. */
static json_t *value_of_text(const char *text, char type)
{
    char *end = NULL;
    json_t *value = NULL;

    switch (type) {
    case 'b':
        if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
            return json_true();
        return strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ? json_false() : NULL;
    case 'n':
        value = json_integer(strtoll(text, &end, 10));
        break;
    case 'a':
    case 'o':
        return json_loads(text, 0, NULL);
    default:
        return json_string(text);
    }
    if (end == text || *end) {
        json_decref(value);
        return NULL;
    }
    return value;
}

static bool has_type(const json_t *value, char type)
{
    switch (type) {
    case 'b':
        return json_is_boolean(value);
    case 'n':
        return json_is_integer(value);
    case 'a':
        return json_is_array(value);
    case 'o':
        return json_is_object(value);
    default:
        return json_is_string(value);
    }
}

static const char *take_arg(struct call *call, const struct spec *spec, json_t *given,
                            bool is_form)
{
    json_t *value = json_object_get(given, spec->name);

    if (!value || json_is_null(value)) {
        if (spec->required)
            return call_refuse(call, "invalid_arguments", "[ERROR] missing required field: %s",
                               spec->name);
        return NULL;
    }
    value = is_form && json_is_string(value)
                ? value_of_text(json_string_value(value), spec->type)
                : json_incref(value);
    if (!value || !has_type(value, spec->type)) {
        json_decref(value);
        return call_refuse(call, "invalid_arguments", "[ERROR] wrong type [json-pointer:/%s]",
                           spec->name);
    }
    json_object_set_new(call->args, spec->name, value);
    return NULL;
}

static const char *take_args(struct call *call, const struct method *method, json_t *given,
                             bool is_form)
{
    const char *args = method->args;
    struct spec spec;
    const char *key;
    json_t *value;

    while (next_spec(&args, &spec)) {
        const char *error = take_arg(call, &spec, given, is_form);

        if (error)
            return error;
        json_object_del(given, spec.name);
    }
    json_object_foreach(given, key, value) return call_refuse(
        call, "invalid_arguments", "[ERROR] unknown argument: %s", key);
    return NULL;
}

/* --- the body ---------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Percent-decodes in place. */
static void decode_form(char *text)
{
    char *out = text;

    for (const char *in = text; *in; in++) {
        if (*in == '+') {
            *out++ = ' ';
        } else if (*in == '%' && isxdigit((unsigned char)in[1]) &&
                   isxdigit((unsigned char)in[2])) {
            *out++ = (char)(unsigned char)(hex_digit(in[1]) << 4 | hex_digit(in[2]));
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

static const char *read_form(struct call *call, const char *body, json_t *ret_given)
{
    AUTO_FREE char *copy = xstrdup(body);
    char *rest = copy;
    char *pair;

    while ((pair = strsep(&rest, "&"))) {
        char *value = strchr(pair, '=');

        if (!*pair)
            continue;
        if (value)
            *value++ = '\0';
        decode_form(pair);
        if (value)
            decode_form(value);
        if (json_object_set_new(ret_given, pair, json_string(value ? value : "")) < 0)
            return call_refuse(call, "invalid_charset", "[ERROR] not UTF-8: %s", pair);
    }
    return NULL;
}

/* What the request says, whichever way; *ret_given is new. */
static const char *read_body(struct call *call, const struct request *request,
                             const struct method *method, json_t **ret_given, bool *ret_is_form)
{
    const char *type = request->content_type;

    *ret_is_form = true;
    *ret_given = json_deep_copy(request->query);
    if (request->body.len == 0)
        return NULL;
    if (strncmp(type, "application/x-www-form-urlencoded", 33) == 0)
        return read_form(call, buf_text(&request->body), *ret_given);
    if (strncmp(type, "application/json", 16) != 0)
        return call_refuse(call, "invalid_post_type", "[ERROR] content type \"%s\"", type);
    if (method->is_read)
        return NULL; /* Slack does not look into it; what is required is then missing */

    json_t *given = json_loadb(request->body.data, request->body.len, 0, NULL);

    if (!json_is_object(given)) {
        json_decref(given);
        return call_refuse(call, "invalid_json", "[ERROR] the body is not a JSON object");
    }
    json_decref(*ret_given);
    *ret_given = given;
    *ret_is_form = false;
    return NULL;
}

/* --- who may ------------------------------------------------------------------------------ */

static const char *check_token(const struct lab *lab, const struct request *request,
                               const struct method *method)
{
    const char *header = request->authorization;

    if (strncmp(header, "Bearer ", 7) != 0)
        return "not_authed";

    const char *token = header + 7;
    bool is_app = strcmp(token, LAB_APP_TOKEN) == 0;
    bool is_bot = strcmp(token, LAB_BOT_TOKEN) == 0;

    if (!is_app && !is_bot)
        return "invalid_auth";
    if (is_app && *lab->settings.app_token_error)
        return lab->settings.app_token_error;
    if (is_bot && *lab->settings.token_error)
        return lab->settings.token_error;
    return is_app == method->is_app_level ? NULL : "not_allowed_token_type";
}

static bool list_has(const char *list, const char *item, size_t len)
{
    for (const char *at = list; *at; at += strcspn(at, ",")) {
        at += *at == ',';
        if (strcspn(at, ",") == len && strncmp(at, item, len) == 0)
            return true;
    }
    return false;
}

static const char *check_scopes(struct call *call, const struct method *method)
{
    const char *granted = call->lab->settings.scopes;
    const char *scope = method->scopes;

    if (!*scope || method->is_app_level)
        return NULL;
    for (const char *at = scope; *at; at += strcspn(at, " ")) {
        at += *at == ' ';
        if (list_has(granted, at, strcspn(at, " ")))
            return NULL;
    }
    snprintf(call->needed_scope, sizeof(call->needed_scope), "%.*s", (int)strcspn(scope, " "),
             scope);
    return "missing_scope";
}

static const struct method *find_in(const struct method *methods, const char *name)
{
    for (; methods->name; methods++) {
        if (strcmp(methods->name, name) == 0)
            return methods;
    }
    return NULL;
}

static const struct method *find_method(const char *name)
{
    const struct method *method = find_in(api_chat_methods, name);

    if (!method)
        method = find_in(api_stream_methods, name);
    if (!method)
        method = find_in(api_files_methods, name);
    return method ? method : find_in(api_other_methods, name);
}

/* --- answering ---------------------------------------------------------------------------- */

static bool is_offence(const char *error)
{
    static const char *const offences[] = {
        "invalid_arguments",
        "invalid_post_type",
        "invalid_json",
        "unknown_method",
        "not_authed",
        "not_allowed_token_type",
        "invalid_charset",
        "msg_too_long",
        "invalid_blocks",
        "markdown_text_conflict",
        "invalid_chunks",
        "no_text",
        "msg_blocks_too_many",
        "msg_blocks_too_long",
        "cannot_reply_to_message",
        "missing_recipient_user_id",
        "missing_recipient_team_id",
    };

    for (size_t i = 0; i < ARRAY_LEN(offences); i++) {
        if (strcmp(error, offences[i]) == 0)
            return true;
    }
    return false;
}

/* The time as Slack's servers have it, which may be another than ours. */
static void print_date(const struct lab *lab, char *ret_date, size_t size)
{
    time_t now = (time_t)(clock_wall_s() + lab->settings.clock_ahead_s);
    struct tm parts;

    gmtime_r(&now, &parts);
    strftime(ret_date, size, "%a, %d %b %Y %H:%M:%S GMT", &parts);
}

static void answer_call(struct request *request, struct call *call, const char *error,
                        int http_status, const char *headers)
{
    json_auto_t *body = json_pack("{s:b}", "ok", error == NULL);
    char date[64];
    AUTO_FREE char *all_headers = NULL;

    print_date(call->lab, date, sizeof(date));
    all_headers =
        xasprintf("date: %s\r\nx-oauth-scopes: %s\r\nx-slack-req-id: lab-%lld\r\n%s", date,
                  call->lab->settings.scopes, (long long)request->came_us, headers);

    if (error) {
        json_object_set_new(body, "error", json_string(error));
        if (*call->needed_scope) {
            json_object_set_new(body, "needed", json_string(call->needed_scope));
            json_object_set_new(body, "provided", json_string(call->lab->settings.scopes));
        }
        if (*call->message)
            json_object_set_new(body, "response_metadata",
                                json_pack("{s:[s]}", "messages", call->message));
    } else {
        json_object_update(body, call->result);
    }

    AUTO_FREE char *text = json_dumps(body, JSON_COMPACT);

    request_answer(request, http_status, "application/json; charset=utf-8", all_headers, text,
                   strlen(text));
}

static void note_call(struct request *request, struct call *call, const char *name,
                      const char *error, int http_status)
{
    struct journal *journal = call->lab->journal;

    journal_add(journal, "api",
                json_pack("{s:s, s:O, s:s, s:i, s:O, s:I}", "method", name, "args", call->args,
                          "error", error ? error : "", "http", http_status, "result",
                          call->result, "took_us",
                          (json_int_t)(clock_now_us() - request->came_us)));
    if (error && is_offence(error) &&
        (strcmp(error, "unknown_method") != 0 || !find_method(name)))
        journal_violation(journal, "api_refused",
                          json_pack("{s:s, s:s, s:s, s:O}", "method", name, "error", error,
                                    "message", call->message, "args", call->args));
}

/* Everything up to and with the method itself. NULL or Slack's error name. */
static const char *run_call(struct request *request, struct call *call,
                            const struct method *method)
{
    json_auto_t *given = NULL;
    bool is_form = true;
    const char *error = check_token(call->lab, request, method);

    if (!error)
        error = check_scopes(call, method);
    if (!error)
        error = read_body(call, request, method, &given, &is_form);
    if (!error)
        error = take_args(call, method, given, is_form);
    return error ? error : method->run(call);
}

/* What is frozen together: one channel for chat.postMessage, else the method. */
static void freeze_key(struct call *call, const struct request *request,
                       const struct method *method, char *ret_key, size_t size)
{
    json_auto_t *given = NULL;
    bool is_form;
    const char *channel = NULL;

    if (strcmp(method->name, "chat.postMessage") == 0 &&
        !read_body(call, request, method, &given, &is_form))
        channel = json_string_value(json_object_get(given, "channel"));
    snprintf(ret_key, size, "%s %s", method->name, channel ? channel : "");
}

static void answer_429(struct request *request, struct call *call, const struct method *method,
                       int64_t retry_after_s)
{
    char headers[64];

    snprintf(headers, sizeof(headers), "Retry-After: %lld\r\n", (long long)retry_after_s);
    note_call(request, call, method->name, "ratelimited", 429);
    answer_call(request, call, "ratelimited", 429, headers);
}

/* True when the call goes no further. */
static bool is_frozen(struct request *request, struct call *call, const struct method *method)
{
    struct lab *lab = call->lab;
    char key[128];

    freeze_key(call, request, method, key, sizeof(key));

    int64_t left_ms = faults_frozen_ms(lab->faults, key, request->came_us);

    if (left_ms == 0)
        return false;
    if (!faults_is_new(lab->faults, key, request->came_us))
        journal_violation(
            lab->journal, "retry_after_ignored",
            json_pack("{s:s, s:I}", "method", key, "left_ms", (json_int_t)left_ms));
    answer_429(request, call, method, (left_ms + 999) / 1000);
    return true;
}

/* True when the fault has dealt with the request for good. */
static bool fail_before(struct request *request, struct call *call, const struct method *method,
                        const struct fault *fault)
{
    char key[128];
    int status = 200;
    const char *error = NULL;

    switch (fault->kind) {
    case FAULT_HTTP_429:
        freeze_key(call, request, method, key, sizeof(key));
        faults_freeze(call->lab->faults, key, fault->retry_after_s * 1000, request->came_us);
        answer_429(request, call, method, fault->retry_after_s);
        return true;
    case FAULT_DROP:
        note_call(request, call, method->name, "(dropped)", 0);
        request->drop = true;
        return true;
    case FAULT_HTTP_500:
    case FAULT_HTTP_503:
        status = fault->kind == FAULT_HTTP_500 ? 500 : 503;
        error = status == 500 ? "internal_error" : "service_unavailable";
        break;
    case FAULT_ERROR:
        error = fault->error;
        break;
    case FAULT_HTML:
        note_call(request, call, method->name, "(html)", 200);
        request_answer(request, 200, "text/html", "", "<!DOCTYPE html><html>Sign in</html>",
                       35);
        return true;
    case FAULT_NONE:
    case FAULT_SLOW:
    case FAULT_GARBAGE:
    case FAULT_CUT:
    case FAULT_REDIRECT:
    case FAULT_HTTP_500_EXECUTED:
    case FAULT_DROP_EXECUTED:
        return false;
    }
    /* `error` may be a text that is_offence() knows: asked for, so not the client's fault. */
    journal_add(call->lab->journal, "api",
                json_pack("{s:s, s:{}, s:s, s:i, s:b}", "method", method->name, "args", "error",
                          error, "http", status, "fault", 1));
    answer_call(request, call, error, status, "");
    return true;
}

static void run_and_answer(struct request *request, struct call *call,
                           const struct method *method, const struct fault *fault)
{
    static const char garbage[] = "\x01{\"ok\":tr\xff\xfe garbage";
    const char *error = run_call(request, call, method);
    int status = fault->kind == FAULT_HTTP_500_EXECUTED ? 500 : 200;

    if (error && strcmp(error, "ratelimited") == 0) {
        answer_429(request, call, method, 1);
        return;
    }
    note_call(request, call, method->name, error, status);
    if (fault->kind == FAULT_SLOW)
        request->due_us = request->came_us + fault->slow_ms * 1000;
    if (fault->kind == FAULT_DROP_EXECUTED)
        request->drop = true;
    else if (fault->kind == FAULT_GARBAGE)
        request_answer(request, 200, "application/json", "", garbage, sizeof(garbage) - 1);
    else if (fault->kind == FAULT_HTTP_500_EXECUTED)
        answer_call(request, call, "internal_error", 500, "");
    else
        answer_call(request, call, error, status, "");
}

void api_handle(struct request *request, const char *name)
{
    struct call call = {
        .lab = request->lab,
        .args = json_object(),
        .result = json_object(),
    };
    const struct method *method = find_method(name);

    if (!method) {
        note_call(request, &call, name, "unknown_method", 200);
        answer_call(request, &call, "unknown_method", 200, "");
    } else if (!is_frozen(request, &call, method)) {
        struct fault fault = faults_take(call.lab->faults, name);

        if (!fail_before(request, &call, method, &fault))
            run_and_answer(request, &call, method, &fault);
    }
    json_decref(call.args);
    json_decref(call.result);
}
