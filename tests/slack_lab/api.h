/*
 * api.h - the Web API: tokens, scopes, arguments and faults are looked at here, once, for
 * every method; the methods themselves are in api_*.c and see only good arguments.
 */
#ifndef SLACK_LAB_API_H
#define SLACK_LAB_API_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/slack_lab/lab.h"
#include "tests/slack_lab/world.h"

struct request;

struct call {
    struct lab *lab;
    json_t *args;   /* by name, of the type that the method's spec says */
    json_t *result; /* what joins {"ok":true} */
    char needed_scope[64];
    char message[256]; /* response_metadata.messages of a failure */
};

struct method {
    const char *name;
    const char *scopes; /* any of these, space-separated; "" for none */
    const char
        *args; /* "name* other:b": * required; :s text :b bool :n number :a array :o object */
    bool is_read;                          /* documented as GET: takes no JSON body */
    bool is_app_level;                     /* wants the xapp token */
    const char *(*run)(struct call *call); /* NULL or Slack's error name */
};

extern const struct method api_chat_methods[]; /* each ends with a NULL name */
extern const struct method api_stream_methods[];
extern const struct method api_files_methods[];
extern const struct method api_other_methods[];

void api_handle(struct request *request, const char *name);

const char *call_text(const struct call *call, const char *name); /* "" when absent */
bool call_has(const struct call *call, const char *name);
bool call_bool(const struct call *call, const char *name);
int64_t call_number(const struct call *call, const char *name, int64_t fallback);

/* A method's own refusal of its arguments, with the reason in response_metadata. */
const char *call_refuse(struct call *call, const char *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The conversation of `channel`; on NULL *ret_error is why. */
struct channel *call_channel(struct call *call, const char *name, const char **ret_error);

/* Checks blocks (50 at most, known types, text lengths). NULL or the error. */
const char *call_check_blocks(struct call *call, json_t *blocks);

/* The app wrote in a thread: Slack clears its status there. */
void call_app_wrote(struct call *call, const char *channel, const char *thread_ts);

#endif
