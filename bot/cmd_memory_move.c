/*
 * cmd_memory_move.c - `threadkeeper memory export | import | backup | copy`: memory on its way
 * in and out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "bot/cmd_memory.h"
#include "bot/memory_line.h"
#include "bot/wiring.h"

#define BAD_SHOWN 20 /* of the lines that --skip-bad passes over */

/* ---- export -------------------------------------------------------------------------------
 */

struct exporting {
    struct memory_call *call;
    const char *key;
    struct memory_progress progress;
    int64_t done;
    int64_t total;
    struct err err;
    bool has_failed;
};

static bool export_turn(void *context, const struct memory_turn *turn)
{
    struct exporting *exporting = context;

    memory_put_json(exporting->call, memory_turn_json(exporting->key, turn));
    memory_put(exporting->call, "\n");
    memory_progress_show(&exporting->progress, ++exporting->done, exporting->total);
    return memory_out_is_open(exporting->call);
}

static bool export_conversation(void *context, const struct store_conversation *conversation)
{
    struct exporting *exporting = context;
    struct store_range all = { 0 };

    exporting->key = conversation->key;
    if (memory_history(exporting->call->memory, conversation->key, &all, export_turn, exporting,
                       &exporting->err) < 0)
        exporting->has_failed = true;
    return !exporting->has_failed && memory_out_is_open(exporting->call);
}

static int export_named(struct exporting *exporting)
{
    struct memory_call *call = exporting->call;

    for (size_t i = 0; i < call->args.words_count; i++) {
        int64_t before = exporting->done;
        struct store_conversation named = { .key = memory_word(call, i) };

        if (!export_conversation(exporting, &named))
            break;
        if (exporting->done == before) {
            err_set(&exporting->err, ERR_INPUT, "there is no conversation %s", named.key);
            return -1;
        }
    }
    return exporting->has_failed ? -1 : 0;
}

int memory_export_verb(struct memory_call *call)
{
    struct exporting exporting = { .call = call };
    struct store_list list = { .user = call->args.user ? call->args.user : "",
                               .pattern = call->args.pattern ? call->args.pattern : "",
                               .after = "" };
    struct store_stats stats = { 0 };
    int rc;

    if (call->args.words_count && (call->args.user || call->args.pattern)) {
        fputs("threadkeeper memory export: keys, or --user and --pattern\n", stderr);
        return CLI_USAGE;
    }
    memory_progress_begin(&exporting.progress, "exporting");
    if (exporting.progress.is_wanted &&
        memory_store_stats(call->memory, &stats, &exporting.err) < 0)
        return memory_say_failed(call, &exporting.err);
    exporting.total = call->args.words_count || *list.user || *list.pattern ? 0 : stats.turns;
    rc = call->args.words_count ? export_named(&exporting)
                                : memory_list(call->memory, &list, export_conversation,
                                              &exporting, &exporting.err);
    memory_progress_end(&exporting.progress);
    if (rc < 0 || exporting.has_failed) {
        memory_out_end(call);
        return memory_say_failed(call, &exporting.err);
    }
    return memory_out_end(call);
}

/* ---- import -------------------------------------------------------------------------------
 */

struct importing {
    struct memory_call *call;
    struct archive_import *import;
    struct memory_lines lines;
    struct memory_progress progress;
    int64_t bytes;
    int64_t total_bytes; /* 0: not known */
    int64_t bad;
};

/* 0 also for a bad line that is passed over. */
static int import_line(struct importing *importing, struct err *err)
{
    struct memory_line line = { 0 };
    struct err local = { 0 };
    int rc = memory_line_read(buf_text(&importing->lines.line), importing->lines.line.len,
                              &line, &local);

    if (rc == 0) {
        rc = memory_import_turn(importing->import, line.key, &line.turn, &local);
        memory_line_deinit(&line);
    }
    if (rc == 0)
        return 0;
    err_wrap(&local, "%s:%" PRId64, importing->lines.name, importing->lines.number);
    if (local.kind == ERR_INPUT && (importing->call->args.given & MEMORY_OPTION_SKIP_BAD)) {
        if (importing->bad++ < BAD_SHOWN)
            fprintf(stderr, "threadkeeper memory import: %s\n", local.message);
        return 0;
    }
    *err = local;
    return -1;
}

static bool is_blank(const struct buf *line)
{
    return strspn(buf_text(line), " \t\r") == line->len;
}

static int import_lines(struct importing *importing, struct err *err)
{
    int rc;

    while ((rc = memory_lines_next(&importing->lines, err)) > 0) {
        importing->bytes += (int64_t)importing->lines.line.len + 1;
        if (!is_blank(&importing->lines.line) && import_line(importing, err) < 0)
            return -1;
        memory_progress_show(&importing->progress, importing->bytes, importing->total_bytes);
    }
    return rc;
}

static int64_t size_of(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? info.st_size : 0;
}

static void print_imported(const struct importing *importing, int64_t turns, int64_t skipped)
{
    struct memory_call *call = importing->call;

    memory_putf(call, "%" PRId64 " turn%s imported, %" PRId64 " %s there already", turns,
                turns == 1 ? "" : "s", skipped, skipped == 1 ? "was" : "were");
    if (importing->bad)
        memory_putf(call, ", %" PRId64 " bad line%s passed over", importing->bad,
                    importing->bad == 1 ? "" : "s");
    memory_put(call, "\n");
}

int memory_import_verb(struct memory_call *call)
{
    struct importing importing = { .call = call };
    struct err err = { 0 };
    struct err end_err = { 0 };
    int64_t turns = 0;
    int64_t skipped = 0;
    int rc;

    if (memory_lines_open(&importing.lines, memory_word(call, 0), &err) < 0)
        return memory_say_failed(call, &err);
    importing.total_bytes = size_of(importing.lines.fd);
    importing.import = memory_import_begin(call->memory);
    memory_progress_begin(&importing.progress, "importing");
    rc = import_lines(&importing, &err);
    if (memory_import_end(importing.import, &turns, &skipped, &end_err) < 0 && rc == 0) {
        err = end_err;
        rc = -1;
    }
    memory_progress_end(&importing.progress);
    memory_lines_close(&importing.lines);
    print_imported(&importing, turns, skipped);
    memory_out_end(call);
    return rc < 0 ? memory_say_failed(call, &err) : CLI_OK;
}

/* ---- backup and copy ----------------------------------------------------------------------
 */

int memory_backup_verb(struct memory_call *call)
{
    struct memory_progress progress;
    struct err err = { 0 };
    int rc;

    memory_progress_begin(&progress, "copying");
    rc = memory_backup(call->memory, memory_word(call, 0), memory_progress_show, &progress,
                       &err);
    memory_progress_end(&progress);
    return rc < 0 ? memory_say_failed(call, &err) : CLI_OK;
}

/* The options of the other store, from STORE[:DIR]. */
static int target_from_word(const struct memory_call *call, const char *word,
                            struct memory_options *ret_options, struct err *err)
{
    size_t len = strcspn(word, ":");
    const char *dir = word[len] ? word + len + 1 : "";
    struct memory_options options = wiring_memory_options(call->config);

    if (strncmp(word, "files", len) == 0 && len == strlen("files")) {
        options.store = MEMORY_STORE_FILES;
        options.files_dir = *dir ? dir : options.files_dir;
    } else if (strncmp(word, "sqlite", len) == 0 && len == strlen("sqlite")) {
        options.store = MEMORY_STORE_SQLITE;
        options.state_dir = *dir ? dir : options.state_dir;
    } else {
        return err_set(err, ERR_INPUT, "'%s' is no store; known: sqlite[:DIR], files[:DIR]",
                       word);
    }
    if ((int)options.store == call->config->memory.store && !*dir)
        return err_set(err, ERR_INPUT, "that is the store itself; give another, or %.*s:DIR",
                       (int)len, word);
    *ret_options = options;
    return 0;
}

/* By the paths resolved: the database of the state_dir in use is this store. */
static bool is_own_database(const struct memory_call *call,
                            const struct memory_options *options)
{
    AUTO_FREE char *own = realpath(call->config->state_dir, NULL);
    AUTO_FREE char *other = realpath(options->state_dir, NULL);

    return options->store == MEMORY_STORE_SQLITE &&
           call->config->memory.store == MEMORY_STORE_SQLITE && own && other &&
           strcmp(own, other) == 0;
}

static int copy_into(struct memory_call *call, struct memory_options *options, struct err *err)
{
    bool is_dry_run = call->args.given & MEMORY_OPTION_DRY_RUN;
    struct metrics *metrics = metrics_new();
    struct memory *to = NULL;
    struct memory_progress progress;
    struct store_stats copied = { 0 };
    int rc = -1;

    options->is_visitor = true;
    options->durability = MEMORY_DURABILITY_TURN;
    memory_progress_begin(&progress, "copying");
    if (memory_open(options, metrics, &to, err) == 0)
        rc = memory_copy(call->memory, to, is_dry_run, memory_progress_show, &progress, &copied,
                         err);
    memory_progress_end(&progress);
    if (to)
        memory_putf(call,
                    "%s%" PRId64 " turns in %" PRId64 " new conversations, %" PRId64
                    " summaries, %" PRId64 " fields, %" PRId64
                    " preferences and facts, %" PRId64 " values\n",
                    is_dry_run ? "would be copied: " : "copied: ", copied.turns,
                    copied.conversations, copied.summaries, copied.fields, copied.items,
                    copied.values);
    memory_close(to);
    metrics_free(metrics);
    return rc;
}

int memory_copy_verb(struct memory_call *call)
{
    struct cli other = { .config_path = call->args.to_config };
    struct config *config = NULL;
    struct memory_options options = wiring_memory_options(call->config);
    struct err err = { 0 };
    int status = CLI_OK;
    int rc;

    if (!call->args.words_count == !call->args.to_config) {
        fputs("threadkeeper memory copy: STORE[:DIR] or --to-config FILE\n", stderr);
        return CLI_USAGE;
    }
    if (call->args.to_config) {
        config = cli_load_config(&other, false, &status);
        if (!config)
            return status;
        options = wiring_memory_options(config);
        rc = options.store == MEMORY_STORE_NONE
                 ? err_set(&err, ERR_INPUT, "the other memory.store is none")
                 : 0;
    } else {
        rc = target_from_word(call, memory_word(call, 0), &options, &err);
    }
    if (rc == 0 && is_own_database(call, &options))
        rc = err_set(&err, ERR_INPUT, "that is the store itself; give another directory");
    if (rc == 0)
        rc = copy_into(call, &options, &err);
    config_unref(config);
    memory_out_end(call);
    return rc < 0 ? memory_say_failed(call, &err) : CLI_OK;
}
