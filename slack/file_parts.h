/*
 * file_parts.h - what slack/ shares of reading files: inside slack/ only.
 *
 * Owns:    nothing.
 * Threads: any.
 */
#ifndef SLACK_FILE_PARTS_H
#define SLACK_FILE_PARTS_H

#include <jansson.h>

#include "slack/files.h"

/* From a `files` array, or anything else, which holds none. */
void slack_files_read(const json_t *array, struct slack_files *ret_files);

/* One file object; what cannot be read is "" and -1. */
void slack_file_read(const json_t *object, struct slack_file *ret_file);

#endif
