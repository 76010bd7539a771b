/*
 * load.h - a load of direct messages at a rate, or as fast as they are acked within a window.
 *
 * Envelopes of a load are numbered, so that an ack finds its event without a look-up; they are
 * not in the journal and are not sent again.
 */
#ifndef SLACK_LAB_LOAD_H
#define SLACK_LAB_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/slack_lab/lab.h"

struct load;

struct load *load_new(struct lab *lab);
void load_free(struct load *load);

/* NULL, or what is wrong with the request {events, rate, channels, window, text, mention}. */
const char *load_start(struct load *load, json_t *request);
json_t *load_json(struct load *load); /* new: how it goes, percentiles when done */
bool load_is_running(const struct load *load);

/* The next envelope, when one is due now; its text is borrowed until the next call. */
const char *load_next(struct load *load, int64_t now_us, size_t *ret_len);

/* True when the envelope was one of the load's. */
bool load_on_ack(struct load *load, const char *envelope_id, int64_t now_us);

/* Readable when an event of the rate is due; then call the other. It is lws that closes it. */
int load_clock_fd(const struct load *load);
void load_on_clock(struct load *load);

/* Gives up what is not acked for long. True while it runs. */
bool load_tick(struct load *load, int64_t now_us);

#endif
