#include "bot/turn_files.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "bot/turn_parts.h"

#define NAMED_MAX      8
#define SHOWN_BYTES    80
#define LINE_MAX_BYTES 4096

void turn_files_metrics_init(struct turn_files_metrics *files_metrics, struct metrics *metrics)
{
    static const char name[] = "files_total";
    static const char help[] = "Files of questions (in) and of answers (out).";

    *files_metrics = (struct turn_files_metrics){
        .fetched = metrics_counter(metrics, name, "way=\"in\",outcome=\"good\"", help),
        .not_fetched = metrics_counter(metrics, name, "way=\"in\",outcome=\"bad\"", help),
        .sent = metrics_counter(metrics, name, "way=\"out\",outcome=\"good\"", help),
        .not_sent = metrics_counter(metrics, name, "way=\"out\",outcome=\"bad\"", help),
    };
}

void turn_files_deinit(struct turn_files *files)
{
    for (size_t i = 0; i < files->inbox_count; i++) {
        free((char *)files->inbox[i].path);
        free((char *)files->inbox[i].name);
        free((char *)files->inbox[i].type);
    }
    free(files->inbox);
    free(files->outbox);
    free(files->carried);
    free(files->not_come);
    free(files->not_gone);
    *files = (struct turn_files){ 0 };
}

char *turn_files_join(const struct turn_files *files, const char *note)
{
    const char *const parts[] = { note, files->not_come, files->not_gone };
    AUTO_BUF struct buf text = { 0 };

    buf_init(&text, (size_t)4 * LINE_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i] && *parts[i])
            buf_printf(&text, "%s%s", text.len ? "\n" : "", parts[i]);
    }
    return text.len ? buf_take(&text) : xstrdup("");
}

/* ---- the line -----------------------------------------------------------------------------
 */

void turn_files_line_init(struct turn_files_line *line)
{
    *line = (struct turn_files_line){ 0 };
    buf_init(&line->text, LINE_MAX_BYTES);
}

/* In a code span, where only these few characters mean something. */
static void append_name(struct buf *out, const char *name)
{
    size_t len = utf8_cut(name, strlen(name), SHOWN_BYTES);

    buf_append_char(out, '`');
    for (size_t i = 0; i < len; i++)
        buf_append(out, strchr("`<>&", name[i]) ? "?" : &name[i], 1);
    buf_append_text(out, name[len] ? "\xe2\x80\xa6`" : "`");
}

void turn_files_line_add(struct turn_files_line *line, const char *name, const char *reason)
{
    if (line->named == NAMED_MAX) {
        line->more++;
        return;
    }
    if (line->named++)
        buf_append_text(&line->text, ", ");
    append_name(&line->text, name);
    buf_printf(&line->text, " (%s)", reason);
}

char *turn_files_line_end(struct turn_files_line *line, const char *intro)
{
    char *text = NULL;

    if (line->more)
        buf_printf(&line->text, " and %zu more", line->more);
    if (line->text.len)
        text = xasprintf("_%s: %s._", intro, buf_text(&line->text));
    buf_deinit(&line->text);
    return text;
}

bool turn_files_unwanted(void *context)
{
    const struct turn *turn = context;
    struct pollfd pressed = { .fd = turn->cancel_fd, .events = POLLIN };

    return turn_is_stopping(turn) || (turn->cancel_fd >= 0 && poll(&pressed, 1, 0) > 0);
}

const char *turn_files_too_large(int64_t max_bytes, char *out)
{
    static const struct {
        int64_t size;
        const char *name;
    } units[] = { { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" }, { 1, "bytes" } };
    size_t i = 0;

    if (max_bytes <= 0)
        return "files are switched off here";
    while (max_bytes % units[i].size)
        i++;
    snprintf(out, 64, "larger than %lld %s", (long long)(max_bytes / units[i].size),
             units[i].name);
    return out;
}
