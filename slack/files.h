/*
 * files.h - Slack's side of files: what a message says about them, fetching them, sending them.
 *
 * Fetching: GET of url_private(_download) with the bot token, which goes to Slack's own hosts
 * over https only (and to loopback when api_url is there), also when Slack redirects. A missing
 * scope is answered with HTTP 200 and a page to sign in: that is told from a file.
 *
 * Sending: files.getUploadURLExternal, a POST of the bytes without a token, and one
 * files.completeUploadExternal that shares all of them in one message. Until that last call
 * nobody sees anything, so the first two may be repeated at will.
 *
 * Owns:    a struct slack_files its strings, until slack_files_deinit().
 * Threads: the one that owns the slack_web; what takes none: any.
 */
#ifndef SLACK_FILES_H
#define SLACK_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "slack/web.h"

#define SLACK_FILES_MAX           20 /* kept of one message; Slack's people can send ten */
#define SLACK_FILE_NAME_MAX_BYTES 255
#define SLACK_FILE_TYPE_MAX_BYTES 127
#define SLACK_FILE_URL_MAX_BYTES  2047

enum slack_file_state {
    SLACK_FILE_HERE,     /* url leads to its bytes */
    SLACK_FILE_UNKNOWN,  /* of another organisation: slack_file_info() knows more */
    SLACK_FILE_EXTERNAL, /* a link into another service, which Slack does not hold */
    SLACK_FILE_DELETED,
    SLACK_FILE_HIDDEN, /* behind the workspace's storage limit */
};

struct slack_file {
    char *id;
    char *name;     /* as its sender named it, made harmless by slack_file_clean_name() */
    char *mimetype; /* "" unknown */
    char *url;
    int64_t size; /* as Slack says, -1 unknown */
    enum slack_file_state state;
};

struct slack_files {
    struct slack_file *items;
    size_t count;
    size_t total; /* with those over SLACK_FILES_MAX */
};
void slack_file_deinit(struct slack_file *file);    /* safe on a zeroed struct, and twice */
void slack_files_deinit(struct slack_files *files); /* likewise */

/*
 * A name as one line of valid UTF-8 without control characters and without marks that turn the
 * direction of writing, at most SLACK_FILE_NAME_MAX_BYTES; "file" when nothing is left. It may
 * still hold slashes and dots: never a path. The caller frees it.
 */
char *slack_file_clean_name(const char *bytes, size_t len);

/* Whether the bot token may be sent there. */
bool slack_files_is_ours(const char *url, const char *api_url);

/* files.info. */
int slack_file_info(struct slack_web *web, const char *id, struct slack_file *ret_file,
                    struct err *err);

/* Why a file did not come or go; the log gets the words of `err`. */
enum slack_file_trouble {
    SLACK_FILE_FINE,
    SLACK_FILE_TOO_LARGE,
    SLACK_FILE_NO_SCOPE, /* files:read or files:write is missing: a human must act */
    SLACK_FILE_GONE,
    SLACK_FILE_REFUSED, /* for good: a foreign host, an answer that is none, Slack's own no */
    SLACK_FILE_AWAY,    /* Slack did not answer in time */
    SLACK_FILE_DISK,    /* our disk is full or broken */
    SLACK_FILE_UNWANTED,
    SLACK_FILE_ENDED, /* the caller's on_sent said so, or the file changed under us */
};

/* What both directions go by. */
struct slack_transfer {
    int64_t max_bytes;
    int64_t deadline_at_ms;             /* monotonic, with all retries */
    bool (*is_unwanted)(void *context); /* asked now and then; may be NULL */
    /* Uploads: sees each piece before it leaves, -1 ends it; may be NULL. `offset` is its place
     * in the file: a retry begins at 0 again. */
    int (*on_sent)(void *context, int64_t offset, const char *bytes, size_t len);
    void *context;
};

/*
 * Fetches the file into `fd`, which is emptied first and before each retry. -1: *ret_trouble is
 * why; what is in `fd` then is of no use. ERR_SYSTEM when the disk refuses.
 */
int slack_file_fetch(struct slack_web *web, const struct slack_file *file,
                     const struct slack_transfer *transfer, int fd,
                     enum slack_file_trouble *ret_trouble, struct err *err);

/* Brings `size` bytes of `fd` (read from its start) to Slack, where nobody sees them yet. */
int slack_file_upload(struct slack_web *web, const char *name, int fd, int64_t size,
                      const struct slack_transfer *transfer, char ret_id[SLACK_ID_MAX_BYTES],
                      enum slack_file_trouble *ret_trouble, struct err *err);

struct slack_upload {
    char id[SLACK_ID_MAX_BYTES];
    char *name;
};

/*
 * Shares uploaded files as one message. Where it stays unknown whether Slack did so, files.info
 * is asked before it is tried again; where that cannot tell, ERR_TEMP.
 */
int slack_files_share(struct slack_web *web, const struct slack_upload *uploads, size_t count,
                      const char *channel, const char *thread_ts, struct err *err);

/* Whether the file is shared in the channel: 1, 0, or -1 when Slack could not tell. */
int slack_file_is_shared(struct slack_web *web, const char *id, const char *channel,
                         struct err *err);

#endif
