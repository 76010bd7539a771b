/*
 * manifest.h - the scopes and events this program uses, once, and the app manifest made of
 * them.
 *
 * Threads: any.
 */
#ifndef SLACK_MANIFEST_H
#define SLACK_MANIFEST_H

#include <stdbool.h>

#include "base/buf.h"

/* The manifest that Slack's "create an app from a manifest" accepts, as YAML or JSON. */
void slack_manifest_print(bool as_json, struct buf *out);

/*
 * Compares the comma-separated granted scopes with the needed ones: appends the missing, ", "
 * between them, to `out` and returns how many there are.
 */
unsigned slack_manifest_missing_scopes(const char *granted, struct buf *out);

#endif
