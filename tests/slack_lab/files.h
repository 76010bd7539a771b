/*
 * files.h - files in the lab: uploaded in three steps by the app, sent with messages by people,
 * downloaded with the token. What Slack's files.slack.com does is done at /files-pri/ and
 * /upload/ here.
 *
 * Faults by the method names "files.download" and "files.upload".
 */
#ifndef SLACK_LAB_FILES_H
#define SLACK_LAB_FILES_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/slack_lab/lab.h"
#include "tests/slack_lab/world.h"

struct files;
struct request;

struct files *files_new(void);
void files_free(struct files *files);

/*
 * Gives the message files as {name, mimetype?, text? | base64? | bytes?, size?, mode?,
 * file_access?, url?}; `bytes` is that many x, `size` and `url` are said instead of the truth.
 * NULL or what is wrong.
 */
const char *files_attach(struct lab *lab, struct message *message, json_t *wanted);

/* Everything there is, with text where it is text; new. */
json_t *files_json(const struct lab *lab);

/* GET /files-pri/ID/NAME, GET /files/ID (for the page, without a token), POST /upload/TICKET.
 */
void files_serve(struct request *request, const char *path);
void files_show(struct request *request, const char *id);
void files_take(struct request *request, const char *ticket);

/* For api_files.c. */
struct file;
struct file *files_find(struct lab *lab, const char *id);
struct file *files_expect(struct lab *lab, const char *name, int64_t length, char *ret_url,
                          size_t size);
const char *file_id(const struct file *file);
bool file_is_uploaded(const struct file *file);
bool file_is_complete(const struct file *file);
void file_complete(struct file *file, const char *title);
void file_share(struct lab *lab, struct file *file, struct message *message);
json_t *file_json(const struct lab *lab, const struct file *file, bool is_info); /* new */

#endif
