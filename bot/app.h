/*
 * app.h - the daemon's state, hung off one struct.
 *
 * Owns:    every part, made in daemon.c in the order of the members and freed in reverse.
 * Threads: the parts say so themselves; `config` is swapped under config_lock, so others than
 * the loop take a reference through app_config().
 */
#ifndef BOT_APP_H
#define BOT_APP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metrics.h"
#include "config/config.h"
#include "memory/memory.h"
#include "slack/reply.h"
#include "slack/web.h"

struct catchup;
struct courier;
struct desk;
struct dispatch;
struct guard;
struct intake;
struct loop;
struct people;
struct placard;
struct slack_socket;
struct summarizer;
struct sweeper;
struct twins;
struct workers;

struct app {
    pthread_mutex_t config_lock;
    struct config *config; /* guarded by config_lock */
    struct metrics *metrics;
    struct slack_limits *limits;
    struct slack_features *features;
    struct slack_identity self; /* set on the loop before the threads that read it start */
    struct memory *memory;
    struct dispatch *dispatch;
    struct people *people;
    struct twins *twins;
    struct guard *guard;
    struct loop *loop;
    struct courier *courier;
    struct placard *placard; /* NULL until the workers start */
    struct desk *desk;
    struct summarizer *summarizer; /* NULL until the workers start */
    struct workers *workers;
    struct sweeper *sweeper; /* NULL until the workers start */
    struct slack_socket *socket;
    struct intake *intake;
    struct catchup *catchup;
    char *launcher; /* path of our own binary */
    char *runs_dir;
    int64_t started_ms;
    int64_t started_wall_s;
    atomic_bool is_stopping; /* workers leave their runs alone and return */
    atomic_uint ready_links;
    atomic_bool tokens_dead;
    int exit_status;
};

/* A reference to the configuration in force; the caller unrefs it. Any thread. */
struct config *app_config(struct app *app);

#endif
