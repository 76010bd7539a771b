/*
 * faults.h - what a Web API method shall do wrong, how often, and who may not call for a while.
 */
#ifndef SLACK_LAB_FAULTS_H
#define SLACK_LAB_FAULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_NONE,
    FAULT_HTTP_429,
    FAULT_HTTP_500,
    FAULT_HTTP_500_EXECUTED,
    FAULT_HTTP_503,
    FAULT_SLOW,
    FAULT_DROP,          /* the connection is cut before the call is looked at */
    FAULT_DROP_EXECUTED, /* ... after it was carried out */
    FAULT_GARBAGE,       /* carried out, answered with noise */
    FAULT_HTML,          /* not carried out, answered with a login page */
    FAULT_ERROR,         /* {"ok":false,"error":NAME} */
    FAULT_CUT,           /* a download ends in the middle */
    FAULT_REDIRECT,      /* a download is somewhere else */
};

struct fault {
    enum fault_kind kind;
    int64_t retry_after_s;
    int64_t slow_ms;
    char error[64];
    char url[256];
};

struct faults;

struct faults *faults_new(void);
void faults_free(struct faults *faults);

/* {method, kind, count?, after?, retry_after?, ms?}; "*" is any method. NULL or what is wrong.
 */
const char *faults_add(struct faults *faults, json_t *request);
void faults_clear(struct faults *faults);

/* The fault for this call, used up once; kind FAULT_NONE when there is none. */
struct fault faults_take(struct faults *faults, const char *method);

/* After a 429 nobody may call `key` until then. Remaining ms, 0 when free. */
void faults_freeze(struct faults *faults, const char *key, int64_t ms, int64_t now_us);
/* Frozen a moment ago: a call that comes now may have been on its way. */
bool faults_is_new(const struct faults *faults, const char *key, int64_t now_us);
int64_t faults_frozen_ms(const struct faults *faults, const char *key, int64_t now_us);

#endif
