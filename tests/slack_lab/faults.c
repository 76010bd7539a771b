#include "tests/slack_lab/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"

#define UNDER_WAY_US 250000 /* what another thread had sent before it heard of the 429 */

struct planned {
    TAILQ_ENTRY(planned) list;
    char method[64];
    int64_t skip;  /* calls that still go well */
    int64_t count; /* calls that then go wrong; -1: all */
    struct fault fault;
};

struct faults {
    TAILQ_HEAD(, planned) all;
    json_t *frozen_until_us; /* by method, or method and channel */
    json_t *frozen_at_us;
};

static const struct {
    const char *name;
    enum fault_kind kind;
} KINDS[] = {
    { "http_429", FAULT_HTTP_429 },
    { "http_500", FAULT_HTTP_500 },
    { "http_500_executed", FAULT_HTTP_500_EXECUTED },
    { "http_503", FAULT_HTTP_503 },
    { "slow_ms", FAULT_SLOW },
    { "drop_connection", FAULT_DROP },
    { "drop_executed", FAULT_DROP_EXECUTED },
    { "garbage_body", FAULT_GARBAGE },
    { "html_body", FAULT_HTML },
    { "cut_body", FAULT_CUT },
};

struct faults *faults_new(void)
{
    struct faults *faults = xcalloc(1, sizeof(*faults));

    TAILQ_INIT(&faults->all);
    faults->frozen_until_us = json_object();
    faults->frozen_at_us = json_object();
    return faults;
}

void faults_clear(struct faults *faults)
{
    while (!TAILQ_EMPTY(&faults->all)) {
        struct planned *planned = TAILQ_FIRST(&faults->all);

        TAILQ_REMOVE(&faults->all, planned, list);
        free(planned);
    }
    json_object_clear(faults->frozen_until_us);
}

void faults_free(struct faults *faults)
{
    if (!faults)
        return;
    faults_clear(faults);
    json_decref(faults->frozen_until_us);
    json_decref(faults->frozen_at_us);
    free(faults);
}

static bool read_kind(const char *name, struct fault *fault)
{
    if (strncmp(name, "error:", 6) == 0) {
        fault->kind = FAULT_ERROR;
        snprintf(fault->error, sizeof(fault->error), "%s", name + 6);
        return true;
    }
    if (strncmp(name, "redirect:", 9) == 0) {
        fault->kind = FAULT_REDIRECT;
        snprintf(fault->url, sizeof(fault->url), "%s", name + 9);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (strcmp(name, KINDS[i].name) == 0) {
            fault->kind = KINDS[i].kind;
            return true;
        }
    }
    return false;
}

const char *faults_add(struct faults *faults, json_t *request)
{
    const char *method = NULL;
    const char *kind = NULL;
    json_int_t count = 1;
    json_int_t after = 0;
    json_int_t retry_after = 1;
    json_int_t slow_ms = 1000;
    struct fault fault = { 0 };

    if (json_unpack(request, "{s:s, s:s, s?:I, s?:I, s?:I, s?:I !}", "method", &method, "kind",
                    &kind, "count", &count, "after", &after, "retry_after", &retry_after, "ms",
                    &slow_ms) < 0)
        return "want {method, kind, count?, after?, retry_after?, ms?}";
    if (!read_kind(kind, &fault))
        return "no such kind of fault";
    fault.retry_after_s = retry_after;
    fault.slow_ms = slow_ms;

    struct planned *planned = xcalloc(1, sizeof(*planned));

    snprintf(planned->method, sizeof(planned->method), "%s", method);
    planned->skip = after;
    planned->count = count;
    planned->fault = fault;
    TAILQ_INSERT_TAIL(&faults->all, planned, list);
    return NULL;
}

struct fault faults_take(struct faults *faults, const char *method)
{
    struct planned *planned;

    TAILQ_FOREACH(planned, &faults->all, list)
    {
        if (strcmp(planned->method, "*") != 0 && strcmp(planned->method, method) != 0)
            continue;
        if (planned->skip > 0) {
            planned->skip--;
            continue;
        }

        struct fault fault = planned->fault;

        if (planned->count > 0 && --planned->count == 0) {
            TAILQ_REMOVE(&faults->all, planned, list);
            free(planned);
        }
        return fault;
    }
    return (struct fault){ .kind = FAULT_NONE };
}

void faults_freeze(struct faults *faults, const char *key, int64_t ms, int64_t now_us)
{
    json_object_set_new(faults->frozen_until_us, key, json_integer(now_us + ms * 1000));
    json_object_set_new(faults->frozen_at_us, key, json_integer(now_us));
}

bool faults_is_new(const struct faults *faults, const char *key, int64_t now_us)
{
    int64_t at = json_integer_value(json_object_get(faults->frozen_at_us, key));

    return now_us - at < UNDER_WAY_US;
}

int64_t faults_frozen_ms(const struct faults *faults, const char *key, int64_t now_us)
{
    int64_t until = json_integer_value(json_object_get(faults->frozen_until_us, key));

    return until > now_us ? (until - now_us + 999) / 1000 : 0;
}
