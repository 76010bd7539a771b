/* turn_files.h: what the agent left. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/run_dir.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "bot/guard.h"
#include "bot/leavings.h"
#include "bot/turn_files.h"
#include "bot/turn_parts.h"
#include "slack/files.h"

#define LOG_MODULE "bot.outbox"
#include "base/log.h"

#define STATE_MAX_BYTES 262144
#define NOTE_MAX_BYTES  8192

#define HOLDS_SECRET "it holds a secret, so I kept it back"

/* ---- one file -----------------------------------------------------------------------------
 */

struct outbox {
    struct turn *turn;
    struct turn_progress *progress;
    const char *dir;
    char *state_path;
    struct slack_transfer transfer;
    struct guard_scanner *scanner; /* of the bytes that leave */
    const char *found;             /* in this file: what kind of secret, NULL for none */
    struct turn_files_line line;
    struct slack_upload *uploads;
    size_t uploads_count;
};

static const char *find_secret(const struct outbox *outbox, const char *text)
{
    struct guard_scanner *scanner = guard_scanner_new(outbox->turn->guard);
    const char *found = guard_scanner_feed(scanner, text, strlen(text));

    if (!found)
        found = guard_scanner_end(scanner);
    guard_scanner_free(scanner);
    return found;
}

static void refuse(struct outbox *outbox, const char *name, const char *reason)
{
    log_info("run=%s a file of the outbox is not sent: %s", outbox->progress->run_id, reason);
    metric_add(outbox->turn->metrics->files.not_sent, 1);
    /* A name can be a secret as well. */
    turn_files_line_add(&outbox->line, find_secret(outbox, name) ? "a file" : name, reason);
}

/* Again as it leaves: whoever holds the file open may have changed it meanwhile. */
static int on_sent(void *context, int64_t offset, const char *bytes, size_t len)
{
    struct outbox *outbox = context;

    if (offset == 0) {
        guard_scanner_free(outbox->scanner);
        outbox->scanner = guard_scanner_new(outbox->turn->guard);
    }
    outbox->found = guard_scanner_feed(outbox->scanner, bytes, len);
    return outbox->found ? -1 : 0;
}

static bool is_unwanted(void *context)
{
    return turn_is_stopping(((const struct outbox *)context)->turn);
}

static const char *trouble_reason(const struct outbox *outbox, enum slack_file_trouble trouble,
                                  char *out)
{
    switch (trouble) {
    case SLACK_FILE_TOO_LARGE:
        return "larger than Slack takes";
    case SLACK_FILE_NO_SCOPE:
        return "Slack does not let me send files: the app lacks the scope files:write, which "
               "the people who run me can add";
    case SLACK_FILE_AWAY:
        return "Slack did not take it in time";
    case SLACK_FILE_ENDED:
        return outbox->found ? HOLDS_SECRET : "it changed while it was sent";
    case SLACK_FILE_UNWANTED:
        return "stopped";
    case SLACK_FILE_GONE:
    case SLACK_FILE_REFUSED:
    case SLACK_FILE_DISK:
    case SLACK_FILE_FINE:
        break;
    }
    snprintf(out, 64, "Slack refused it");
    return out;
}

static const char *kind_reason(enum leaving_kind kind)
{
    switch (kind) {
    case LEAVING_EMPTY:
        return "empty";
    case LEAVING_HIDDEN:
        return "its name begins with a dot";
    case LEAVING_LINK:
        return "a link";
    case LEAVING_OTHER:
        return "not a file";
    case LEAVING_FILE:
        break;
    }
    return "";
}

static void keep_upload(struct outbox *outbox, const char *id, const char *name)
{
    struct slack_upload *upload;

    outbox->uploads =
        xrealloc(outbox->uploads, outbox->uploads_count + 1, sizeof(*outbox->uploads));
    upload = &outbox->uploads[outbox->uploads_count++];
    snprintf(upload->id, sizeof(upload->id), "%s", id);
    upload->name = xstrdup(name);
}

static void bring_file(struct outbox *outbox, const struct leaving *leaving, int fd)
{
    enum slack_file_trouble trouble = SLACK_FILE_FINE;
    char id[SLACK_ID_MAX_BYTES];
    char reason[64];
    struct err err = { 0 };

    outbox->found = find_secret(outbox, leaving->name);
    if (!outbox->found &&
        (guard_scan_file(outbox->turn->guard, fd, &outbox->found, &err) < 0)) {
        log_warn("run=%s: %s", outbox->progress->run_id, err.message);
        refuse(outbox, leaving->name, "it cannot be read");
        return;
    }
    if (outbox->found) {
        log_warn("run=%s a file of the outbox holds %s, it is not sent",
                 outbox->progress->run_id, outbox->found);
        refuse(outbox, leaving->name, HOLDS_SECRET);
        return;
    }
    if (slack_file_upload(outbox->turn->web, leaving->name, fd, leaving->size,
                          &outbox->transfer, id, &trouble, &err) == 0) {
        keep_upload(outbox, id, leaving->name);
        return;
    }
    if (trouble == SLACK_FILE_NO_SCOPE)
        log_err("run=%s: %s", outbox->progress->run_id, err.message);
    else
        log_warn("run=%s: %s", outbox->progress->run_id, err.message);
    refuse(outbox, leaving->name, trouble_reason(outbox, trouble, reason));
}

static void take_leaving(struct outbox *outbox, struct leaving *leaving)
{
    const struct config *config = outbox->turn->config;
    AUTO_FD int fd = -1;
    char reason[64];
    struct err err = { 0 };

    if (leaving->kind != LEAVING_FILE) {
        refuse(outbox, leaving->name, kind_reason(leaving->kind));
        return;
    }
    if ((int64_t)outbox->uploads_count >= config->files.max_count) {
        snprintf(reason, sizeof(reason), "more than %lld files at a time",
                 (long long)config->files.max_count);
        refuse(outbox, leaving->name, reason);
        return;
    }
    if (leaving->size <= config->files.max_bytes &&
        leaving_open(outbox->dir, leaving, &fd, &err) < 0) {
        log_warn("run=%s: %s", outbox->progress->run_id, err.message);
        refuse(outbox, leaving->name, "it cannot be read");
        return;
    }
    if (leaving->size > config->files.max_bytes) {
        refuse(outbox, leaving->name, turn_files_too_large(config->files.max_bytes, reason));
        return;
    }
    bring_file(outbox, leaving, fd);
}

/* ---- what is being shared -----------------------------------------------------------------
 */

static void write_state(const struct outbox *outbox, bool is_done)
{
    const char *not_gone = outbox->progress->files.not_gone;
    json_auto_t *root =
        json_pack("{s:b, s:[], s:s*}", "done", is_done, "files", "note", not_gone);
    AUTO_FREE char *text = NULL;
    struct err err = { 0 };

    for (size_t i = 0; i < outbox->uploads_count; i++)
        json_array_append_new(json_object_get(root, "files"),
                              json_pack("{s:s, s:s}", "id", outbox->uploads[i].id, "name",
                                        outbox->uploads[i].name));
    text = json_dumps(root, JSON_COMPACT);
    /* Where the disk refuses, the files go all the same: only a crash right now would show. */
    if (text && file_write(outbox->state_path, text, strlen(text), 0600, &err) < 0)
        log_warn("files may be sent twice if the daemon dies now: %s", err.message);
}

/* What an earlier process wrote. False: nothing, or nothing of use. */
static bool read_state(struct outbox *outbox, bool *ret_is_done)
{
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *root = NULL;
    const json_t *item;
    const char *not_gone = NULL;
    size_t i;

    buf_init(&text, STATE_MAX_BYTES);
    if (access(outbox->state_path, F_OK) != 0 ||
        file_read(outbox->state_path, &text, NULL) < 0 ||
        !(root = json_loadb(buf_text(&text), text.len, 0, NULL)))
        return false;
    json_array_foreach(json_object_get(root, "files"), i, item)
    {
        const char *id = json_string_value(json_object_get(item, "id"));
        const char *name = json_string_value(json_object_get(item, "name"));

        if (id && name && *id && strlen(id) < SLACK_ID_MAX_BYTES)
            keep_upload(outbox, id, name);
    }
    not_gone = json_string_value(json_object_get(root, "note"));
    outbox->progress->files.not_gone = xstrdup_or_null(not_gone);
    *ret_is_done = json_is_true(json_object_get(root, "done"));
    return true;
}

static void tell_all(struct outbox *outbox, const char *intro, const char *reason)
{
    char *before = take_ptr(&outbox->progress->files.not_gone);
    AUTO_FREE char *kept = before;
    AUTO_FREE char *line = NULL;

    turn_files_line_init(&outbox->line);
    for (size_t i = 0; i < outbox->uploads_count; i++)
        refuse(outbox, outbox->uploads[i].name, reason);
    line = turn_files_line_end(&outbox->line, intro);
    outbox->progress->files.not_gone =
        xasprintf("%s%s%s", line ? line : "", line && kept ? "\n" : "", kept ? kept : "");
}

static void share(struct outbox *outbox)
{
    const struct ledger_entry *entry = turn_first_entry(outbox->turn);
    struct err err = { 0 };

    if (slack_files_share(outbox->turn->web, outbox->uploads, outbox->uploads_count,
                          entry->channel, entry->reply_thread, &err) == 0) {
        outbox->progress->files.sent_files = true;
        metric_add(outbox->turn->metrics->files.sent, (int64_t)outbox->uploads_count);
        log_info("run=%s sent files=%zu", outbox->progress->run_id, outbox->uploads_count);
        write_state(outbox, true);
        return;
    }
    if (turn_is_stopping(outbox->turn))
        return;
    log_warn("run=%s files are not shared: %s", outbox->progress->run_id, err.message);
    tell_all(outbox, "I could not send you these files",
             err.kind == ERR_AUTH   ? "the app lacks the scope files:write"
             : err.kind == ERR_TEMP ? "Slack did not answer"
                                    : "Slack refused it");
    write_state(outbox, true);
}

/* ---- all of them --------------------------------------------------------------------------
 */

static void show_life(const struct outbox *outbox)
{
    struct surface *surface = outbox->turn->surface;
    bool is_stopped = false;

    surface->ops->set_status(surface, "Sending the files", clock_now_ms());
    surface->ops->tick(surface, clock_now_ms(), &is_stopped);
}

static void send_leavings(struct outbox *outbox, struct leavings *leavings,
                          enum agent_outcome outcome)
{
    const char *never = outcome == AGENT_CANCELLED ? "stopped before it was sent"
                        : !outbox->turn->web       ? "files are sent in Slack only"
                                                   : NULL;

    if (!never)
        show_life(outbox);
    turn_files_line_init(&outbox->line);
    for (size_t i = 0; i < leavings->count && !turn_is_stopping(outbox->turn); i++) {
        if (never)
            refuse(outbox, leavings->items[i].name, never);
        else
            take_leaving(outbox, &leavings->items[i]);
    }
    outbox->line.more += leavings->total - leavings->count;
    outbox->progress->files.not_gone =
        turn_files_line_end(&outbox->line, "I could not send you everything");
    if (turn_is_stopping(outbox->turn))
        return;
    if (outbox->uploads_count) {
        write_state(outbox, false);
        share(outbox);
    }
}

/* Goes on where an earlier process was interrupted. */
static void resume(struct outbox *outbox, bool is_done)
{
    struct err err = { 0 };
    int is_shared = 1;

    if (!is_done && outbox->uploads_count)
        is_shared = slack_file_is_shared(outbox->turn->web, outbox->uploads[0].id,
                                         turn_first_entry(outbox->turn)->channel, &err);
    if (is_shared > 0) {
        outbox->progress->files.sent_files = outbox->uploads_count > 0;
        if (!is_done)
            write_state(outbox, true);
    } else if (is_shared == 0) {
        share(outbox);
    } else if (!turn_is_stopping(outbox->turn)) {
        log_warn("run=%s files may or may not be shared: %s", outbox->progress->run_id,
                 err.message);
        tell_all(outbox, "I was interrupted and cannot tell whether these files reached you",
                 "ask again if not");
        write_state(outbox, true);
    }
}

static void read_note(struct turn_progress *progress, const char *run_dir)
{
    AUTO_FREE char *path = xasprintf("%s/files.note", run_dir);
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, NOTE_MAX_BYTES);
    if (!progress->files.not_come && access(path, F_OK) == 0 &&
        file_read(path, &text, NULL) == 0 && text.len)
        progress->files.not_come = buf_take(&text);
}

int turn_files_deliver(struct turn *turn, struct turn_progress *progress,
                       enum agent_outcome outcome)
{
    AUTO_FREE char *run_dir = xasprintf("%s/%s", turn->runs_dir, progress->run_id);
    AUTO_FREE char *dir = xasprintf("%s/" RUN_DIR_OUTBOX, run_dir);
    AUTO_FREE char *state_path = xasprintf("%s/sent.json", run_dir);
    struct outbox outbox = {
        .turn = turn,
        .progress = progress,
        .dir = dir,
        .state_path = state_path,
        .transfer = { .max_bytes = turn->config->files.max_bytes,
                      .deadline_at_ms = clock_now_ms() + TURN_FILES_SEND_MS,
                      .is_unwanted = is_unwanted,
                      .on_sent = on_sent,
                      .context = &outbox },
    };
    struct leavings leavings = { 0 };
    struct err err = { 0 };
    bool is_done = false;

    read_note(progress, run_dir);
    if (turn->web && read_state(&outbox, &is_done)) {
        resume(&outbox, is_done);
    } else if (leavings_list(dir, &leavings, &err) < 0) {
        log_err("run=%s: %s", progress->run_id, err.message);
    } else if (leavings.count) {
        send_leavings(&outbox, &leavings, outcome);
    }
    leavings_deinit(&leavings);
    guard_scanner_free(outbox.scanner);
    for (size_t i = 0; i < outbox.uploads_count; i++)
        free(outbox.uploads[i].name);
    free(outbox.uploads);
    return turn_is_stopping(turn) ? -1 : 0;
}
