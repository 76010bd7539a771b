/* turn_files.h: what people sent. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/run_dir.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "bot/note.h"
#include "bot/turn_files.h"
#include "bot/turn_parts.h"
#include "bot/twins.h"
#include "slack/files.h"

#define LOG_MODULE "bot.inbox"
#include "base/log.h"

#define TWIN_WAIT_MS   1000 /* for the copy of a mention that names its files */
#define EXTENSION_SIZE 8

/* ---- names of our own ---------------------------------------------------------------------
 */

/* What an extension may be; the media type that stands for it where the name says nothing. */
static const struct {
    const char *extension;
    const char *type;
} known[] = {
    { "png", "image/png" },
    { "jpg", "image/jpeg" },
    { "jpeg", "" },
    { "gif", "image/gif" },
    { "webp", "image/webp" },
    { "bmp", "image/bmp" },
    { "svg", "image/svg+xml" },
    { "heic", "image/heic" },
    { "pdf", "application/pdf" },
    { "txt", "text/plain" },
    { "log", "" },
    { "md", "text/markdown" },
    { "csv", "text/csv" },
    { "tsv", "text/tab-separated-values" },
    { "json", "application/json" },
    { "yaml", "application/yaml" },
    { "yml", "" },
    { "toml", "" },
    { "ini", "" },
    { "xml", "application/xml" },
    { "html", "text/html" },
    { "css", "text/css" },
    { "js", "text/javascript" },
    { "ts", "" },
    { "tsx", "" },
    { "jsx", "" },
    { "py", "text/x-python" },
    { "c", "" },
    { "h", "" },
    { "cpp", "" },
    { "hpp", "" },
    { "rs", "" },
    { "go", "" },
    { "java", "" },
    { "kt", "" },
    { "rb", "" },
    { "php", "" },
    { "swift", "" },
    { "sh", "" },
    { "sql", "" },
    { "proto", "" },
    { "ipynb", "" },
    { "diff", "text/x-diff" },
    { "patch", "" },
    { "zip", "application/zip" },
    { "gz", "application/gzip" },
    { "tar", "application/x-tar" },
    { "tgz", "" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
    { "mp3", "audio/mpeg" },
    { "m4a", "audio/mp4" },
    { "wav", "audio/wav" },
    { "ogg", "audio/ogg" },
    { "mp4", "video/mp4" },
    { "mov", "video/quicktime" },
    { "webm", "video/webm" },
};

static const char *extension_of(const struct slack_file *file)
{
    const char *dot = strrchr(file->name, '.');

    for (size_t i = 0; dot && i < ARRAY_LEN(known); i++) {
        if (strcasecmp(dot + 1, known[i].extension) == 0)
            return known[i].extension;
    }
    for (size_t i = 0; *file->mimetype && i < ARRAY_LEN(known); i++) {
        if (strcasecmp(file->mimetype, known[i].type) == 0)
            return known[i].extension;
    }
    return "bin";
}

/* ---- what may come ------------------------------------------------------------------------
 */

static bool matches_type(const char *type, const char *pattern)
{
    size_t len = strlen(pattern);

    if (len >= 2 && strcmp(pattern + len - 2, "/*") == 0)
        return strncasecmp(type, pattern, len - 1) == 0 || strcmp(pattern, "*/*") == 0;
    return strcasecmp(type, pattern) == 0;
}

static bool is_type_taken(const struct config *config, const char *type)
{
    const struct config_list *types = &config->files.types;

    for (size_t i = 0; i < types->count; i++) {
        if (matches_type(type, types->items[i]))
            return true;
    }
    return types->count == 0;
}

static const char *trouble_reason(enum slack_file_trouble trouble, int64_t max_bytes, char *out)
{
    switch (trouble) {
    case SLACK_FILE_TOO_LARGE:
        return turn_files_too_large(max_bytes, out);
    case SLACK_FILE_NO_SCOPE:
        return "Slack does not let me read files: the app lacks the scope files:read, which "
               "the people who run me can add";
    case SLACK_FILE_GONE:
        return "no longer there";
    case SLACK_FILE_AWAY:
        return "Slack did not send it in time";
    case SLACK_FILE_DISK:
        return "I could not store it, my disk may be full";
    case SLACK_FILE_UNWANTED:
    case SLACK_FILE_ENDED:
        return "stopped";
    case SLACK_FILE_REFUSED:
    case SLACK_FILE_FINE:
        break;
    }
    return "Slack refused it";
}

static const char *state_reason(enum slack_file_state state)
{
    switch (state) {
    case SLACK_FILE_EXTERNAL:
        return "kept in another service, not in Slack";
    case SLACK_FILE_DELETED:
        return "deleted";
    case SLACK_FILE_HIDDEN:
        return "hidden by the storage limit of the workspace";
    case SLACK_FILE_UNKNOWN:
        return "of another organisation, which does not open it to me";
    case SLACK_FILE_HERE:
        break;
    }
    return "";
}

/* ---- one file -----------------------------------------------------------------------------
 */

struct inbox {
    struct turn *turn;
    struct turn_progress *progress;
    char *dir;
    struct slack_transfer transfer;
    struct turn_files_line line;
    size_t seen;
};

static void remember_file(struct inbox *inbox, const struct slack_file *file, const char *path,
                          int64_t size)
{
    struct turn_files *files = &inbox->progress->files;

    files->inbox = xrealloc(files->inbox, files->inbox_count + 1, sizeof(*files->inbox));
    files->inbox[files->inbox_count++] = (struct agent_prompt_file){
        .path = xstrdup(path),
        .name = xstrdup(file->name),
        .type = xstrdup(file->mimetype),
        .size = size,
    };
}

/* Fetches beside its place and moves it there when it is whole. */
static int store_file(struct inbox *inbox, const struct slack_file *file,
                      enum slack_file_trouble *ret_trouble, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/%zu.%s", inbox->dir, inbox->seen, extension_of(file));
    AUTO_FREE char *part = xasprintf("%s.part", path);
    AUTO_FD int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int64_t size;

    *ret_trouble = SLACK_FILE_DISK;
    if (fd < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot create %s", part);
    if (slack_file_fetch(inbox->turn->web, file, &inbox->transfer, fd, ret_trouble, err) < 0) {
        unlink(part);
        return -1;
    }
    size = lseek(fd, 0, SEEK_END);
    if (rename(part, path) < 0) {
        *ret_trouble = SLACK_FILE_DISK;
        unlink(part);
        return err_set_errno(err, ERR_SYSTEM, "cannot name %s", path);
    }
    remember_file(inbox, file, path, size);
    return 0;
}

static void refuse(struct inbox *inbox, const struct slack_file *file, const char *reason)
{
    log_info("run=%s file=%s type=%s bytes=%lld not fetched: %s", inbox->progress->run_id,
             file->id, file->mimetype, (long long)file->size, reason);
    metric_add(inbox->turn->metrics->files.not_fetched, 1);
    turn_files_line_add(&inbox->line, file->name, reason);
}

/* What Slack Connect leaves open, files.info tells. */
static void look_closer(const struct inbox *inbox, struct slack_file *file)
{
    struct slack_file found = { 0 };
    struct err err = { 0 };

    if (slack_file_info(inbox->turn->web, file->id, &found, &err) < 0) {
        log_warn("file=%s: %s", file->id, err.message);
        return;
    }
    slack_file_deinit(file);
    *file = found;
}

static void take_file(struct inbox *inbox, struct slack_file *file)
{
    const struct config *config = inbox->turn->config;
    enum slack_file_trouble trouble = SLACK_FILE_FINE;
    char reason[64];
    struct err err = { 0 };

    inbox->seen++;
    if (config->files.max_bytes <= 0) {
        refuse(inbox, file, turn_files_too_large(0, reason));
        return;
    }
    if ((int64_t)inbox->seen > config->files.max_count) {
        snprintf(reason, sizeof(reason), "more than %lld files at a time",
                 (long long)config->files.max_count);
        refuse(inbox, file, reason);
        return;
    }
    if (file->state == SLACK_FILE_UNKNOWN && *file->id)
        look_closer(inbox, file);
    if (file->state != SLACK_FILE_HERE) {
        refuse(inbox, file, state_reason(file->state));
        return;
    }
    if (!is_type_taken(config, file->mimetype)) {
        refuse(inbox, file, "files of its type are not taken here");
        return;
    }
    if (store_file(inbox, file, &trouble, &err) == 0) {
        metric_add(inbox->turn->metrics->files.fetched, 1);
        return;
    }
    if (trouble == SLACK_FILE_NO_SCOPE || trouble == SLACK_FILE_DISK)
        log_err("run=%s: %s", inbox->progress->run_id, err.message);
    else
        log_warn("run=%s: %s", inbox->progress->run_id, err.message);
    refuse(inbox, file, trouble_reason(trouble, config->files.max_bytes, reason));
}

/* ---- all of them --------------------------------------------------------------------------
 */

/* What the ledger knows of the message by now. */
static void read_note(const struct turn *turn, const struct ledger_entry *entry,
                      struct note *ret_note)
{
    struct ledger_entry *again = NULL;
    struct err err = { 0 };

    note_parse(entry->attributes, ret_note);
    if (!ret_note->is_mention || ret_note->files.total || !turn->twins)
        return;
    twins_wait(turn->twins, entry->channel, entry->ts, TWIN_WAIT_MS, turn->is_stopping);
    if (memory_find_message(turn->memory, entry->id, &again, &err) < 0)
        log_warn("files of a mention are not known: %s", err.message);
    if (!again)
        return;
    note_deinit(ret_note);
    note_parse(again->attributes, ret_note);
    ledger_entry_free(again);
}

static void take_files(struct inbox *inbox, struct slack_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        take_file(inbox, &files->items[i]);
    for (size_t i = files->count; i < files->total; i++)
        turn_files_line_add(&inbox->line, "another", "too many at a time");
}

static void show_life(struct inbox *inbox)
{
    struct surface *surface = inbox->turn->surface;
    bool is_stopped = false;

    surface->ops->set_status(surface, "Reading the files", clock_now_ms());
    surface->ops->tick(surface, clock_now_ms(), &is_stopped);
    if (is_stopped)
        eventfd_write(inbox->turn->cancel_fd, 1);
}

/* Read again under the answer, perhaps by another process. */
static void keep_note(const struct inbox *inbox, const char *run_dir)
{
    const char *text = inbox->progress->files.not_come;
    AUTO_FREE char *path = xasprintf("%s/files.note", run_dir);
    struct err err = { 0 };

    if (text && file_write(path, text, strlen(text), 0600, &err) < 0)
        log_warn("%s", err.message);
}

void turn_files_carry(struct turn_progress *progress, const char *run_id)
{
    free(progress->files.carried);
    progress->files.carried = xstrdup(run_id);
}

/* Of a run that is followed by this one only its outbox is of use; of an inbox that another
 * process began to fill, nothing. */
static void begin_anew(const struct turn *turn, struct turn_progress *progress,
                       const char *run_dir)
{
    AUTO_FREE char *inbox = xasprintf("%s/" RUN_DIR_INBOX, run_dir);
    AUTO_FREE char *note = xasprintf("%s/files.note", run_dir);
    AUTO_FREE char *carried = take_ptr(&progress->files.carried);
    AUTO_FREE char *from =
        carried ? xasprintf("%s/%s/" RUN_DIR_OUTBOX, turn->runs_dir, carried) : NULL;
    struct err err = { 0 };

    if (file_remove_tree(inbox, &err) < 0)
        log_warn("run=%s: %s", progress->run_id, err.message);
    if (unlink(note) < 0 && errno != ENOENT)
        log_warn("run=%s: the note of its files is out of date", progress->run_id);
    turn_files_deinit(&progress->files);
    progress->files.outbox = xasprintf("%s/" RUN_DIR_OUTBOX, run_dir);
    if (!from)
        return;
    if (file_make_dirs(run_dir, 0700, &err) < 0)
        log_warn("run=%s: %s", progress->run_id, err.message);
    else if (rename(from, progress->files.outbox) < 0 && errno != ENOENT)
        log_warn("run=%s the outbox of run=%s is lost", progress->run_id, carried);
}

int turn_files_fetch(struct turn *turn, struct turn_progress *progress)
{
    AUTO_FREE char *run_dir = xasprintf("%s/%s", turn->runs_dir, progress->run_id);
    AUTO_FREE char *dir = xasprintf("%s/" RUN_DIR_INBOX, run_dir);
    struct inbox inbox = {
        .turn = turn,
        .progress = progress,
        .dir = dir,
        .transfer = { .max_bytes = turn->config->files.max_bytes,
                      .deadline_at_ms = clock_now_ms() + TURN_FILES_FETCH_MS,
                      .is_unwanted = turn_files_unwanted,
                      .context = turn },
    };
    struct err err = { 0 };

    begin_anew(turn, progress, run_dir);
    turn_files_line_init(&inbox.line);
    for (size_t i = 0; turn->web && i < turn->batch->count; i++) {
        struct note note;

        read_note(turn, turn->batch->entries[i], &note);
        if (note.files.total && !progress->files.had_files) {
            progress->files.had_files = true;
            show_life(&inbox);
            if (file_make_dirs(dir, 0700, &err) < 0)
                log_err("run=%s: %s", progress->run_id, err.message);
        }
        take_files(&inbox, &note.files);
        note_deinit(&note);
    }
    progress->files.not_come =
        turn_files_line_end(&inbox.line, "What you sent did not all reach me");
    if (turn_is_stopping(turn)) /* the next process fetches them */
        return -1;
    keep_note(&inbox, run_dir);
    return 0;
}
