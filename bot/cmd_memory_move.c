/*
 * cmd_memory_move.c - `threadkeeper memory export | import | backup | copy`: memory on its way
 * in and out.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "bot/cmd_memory.h"
#include "bot/wiring.h"

#define AT_DIGITS 16             /* seconds with microseconds, as they were written */
#define AT_MAX_S  253402300799.0 /* the year 9999 */
#define BAD_SHOWN 20             /* of the lines that --skip-bad passes over */

/* ---- a turn as a line ---------------------------------------------------------------------
 */

static const char *const own_names[] = { "key",      "role",     "author", "text",  "at",
                                         "slack_ts", "metadata", "seq",    "tokens" };

static bool is_own_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(own_names); i++) {
        if (strcmp(own_names[i], name) == 0)
            return true;
    }
    return false;
}

/* The time as it was written, when it was not in whole seconds; else NULL. */
static json_t *exact_time(json_t *metadata, int64_t at_wall_s)
{
    json_t *at = json_object_get(metadata, "at");

    return json_is_real(at) && (int64_t)floor(json_real_value(at)) == at_wall_s ? at : NULL;
}

/* Metadata stands beside the other fields; what would take one's place stays in "metadata". */
static void put_metadata(json_t *object, json_t *metadata)
{
    const char *name;
    json_t *value;
    json_t *rest = NULL;

    json_object_foreach(metadata, name, value)
    {
        if (!is_own_name(name)) {
            json_object_set(object, name, value);
            continue;
        }
        if (!rest)
            rest = json_object();
        json_object_set(rest, name, value);
    }
    if (rest)
        json_object_set_new(object, "metadata", rest);
}

json_t *memory_turn_json(const char *key, const struct memory_turn *turn)
{
    json_auto_t *metadata =
        turn->metadata && *turn->metadata ? json_loads(turn->metadata, 0, NULL) : NULL;
    json_t *at = exact_time(metadata, turn->at_wall_s);
    json_t *object =
        json_pack("{s:o, s:s, s:o, s:o, s:o}", "key", memory_json_text(key), "role",
                  memory_role_name(turn->role), "author", memory_json_text(turn->author),
                  "text", memory_json_text(turn->text), "at",
                  at ? json_incref(at) : json_integer(turn->at_wall_s));

    if (at)
        json_object_del(metadata, "at");
    if (*turn->slack_ts)
        json_object_set_new(object, "slack_ts", memory_json_text(turn->slack_ts));
    put_metadata(object, metadata);
    return object;
}

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
    json_auto_t *object = memory_turn_json(exporting->key, turn);
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(AT_DIGITS));

    memory_put(exporting->call, text ? text : "{}");
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

/* A turn that was read; its strings are the line's. */
struct line {
    json_t *object;
    const char *key;
    char *metadata;
    struct memory_turn turn;
};

static void line_deinit(struct line *line)
{
    json_decref(line->object);
    free(line->metadata);
}

static const char *take_text(json_t *object, const char *name, bool is_needed, struct err *err)
{
    json_t *value = json_object_get(object, name);

    if (json_is_string(value))
        return json_string_value(value);
    if (value && !json_is_null(value))
        err_set(err, ERR_INPUT, "\"%s\" is no string", name);
    else if (is_needed)
        err_set(err, ERR_INPUT, "\"%s\" is missing", name);
    return is_needed || err->kind != ERR_NONE ? NULL : "";
}

static int take_time(json_t *object, int64_t *ret_wall_s, struct err *err)
{
    json_t *at = json_object_get(object, "at");
    double seconds = json_number_value(at);

    if (json_is_string(at))
        return memory_args_parse_time(json_string_value(at), clock_wall_s(), ret_wall_s, err);
    if (!json_is_number(at))
        return err_set(err, ERR_INPUT,
                       at ? "\"at\" is no number of seconds since 1970" : "\"at\" is missing");
    if (seconds < 0 || seconds > AT_MAX_S)
        return err_set(err, ERR_INPUT, "\"at\" is not between the years 1970 and 9999");
    *ret_wall_s = json_is_integer(at) ? json_integer_value(at) : (int64_t)floor(seconds);
    return 0;
}

/* What is no field of ours, as the turn's metadata; NULL when there is nothing. */
static char *take_metadata(json_t *object)
{
    json_t *given = json_object_get(object, "metadata");
    json_auto_t *metadata = json_is_object(given) ? json_copy(given) : json_object();
    json_t *at = json_object_get(object, "at");
    const char *name;
    json_t *value;

    if (given && !json_is_object(given) && !json_is_null(given))
        json_object_set(metadata, "metadata", given);
    json_object_foreach(object, name, value)
    {
        if (!is_own_name(name))
            json_object_set(metadata, name, value);
    }
    if (json_is_real(at))
        json_object_set(metadata, "at", at);
    return json_object_size(metadata) ? json_dumps(metadata, JSON_COMPACT) : NULL;
}

static int read_line(const struct buf *text, struct line *ret_line, struct err *err)
{
    json_error_t why;
    struct line line = { .object = json_loadb(buf_text(text), text->len, 0, &why) };
    const char *role;
    int rc = -1;

    if (!json_is_object(line.object)) {
        err_set(err, ERR_INPUT, "that is no JSON object%s%s", line.object ? "" : ": ",
                line.object ? "" : why.text);
        goto out;
    }
    line.key = take_text(line.object, "key", true, err);
    role = line.key ? take_text(line.object, "role", true, err) : NULL;
    line.turn.author = role ? take_text(line.object, "author", false, err) : NULL;
    line.turn.text = line.turn.author ? take_text(line.object, "text", true, err) : NULL;
    line.turn.slack_ts = line.turn.text ? take_text(line.object, "slack_ts", false, err) : NULL;
    if (!line.turn.slack_ts || take_time(line.object, &line.turn.at_wall_s, err) < 0)
        goto out;
    if (!memory_role_parse(role, &line.turn.role)) {
        err_set(err, ERR_INPUT, "\"role\" is '%s', not user, assistant or system", role);
        goto out;
    }
    line.metadata = take_metadata(line.object);
    line.turn.metadata = line.metadata;
    rc = 0;
out:
    if (rc < 0)
        line_deinit(&line);
    else
        *ret_line = line;
    return rc;
}

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
    struct line line = { 0 };
    struct err local = { 0 };
    int rc = read_line(&importing->lines.line, &line, &local);

    if (rc == 0) {
        rc = memory_import_turn(importing->import, line.key, &line.turn, &local);
        line_deinit(&line);
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

    memory_putf(call, "%" PRId64 " turns imported, %" PRId64 " were there already", turns,
                skipped);
    if (importing->bad)
        memory_putf(call, ", %" PRId64 " bad lines passed over", importing->bad);
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
    struct memory_options options;
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
    if (rc == 0)
        rc = copy_into(call, &options, &err);
    config_unref(config);
    memory_out_end(call);
    return rc < 0 ? memory_say_failed(call, &err) : CLI_OK;
}
