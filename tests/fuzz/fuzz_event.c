/* Any bytes as a Socket Mode message: control messages first, then envelopes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "slack/control.h"
#include "slack/event.h"
#include "slack/opener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Names are one line of text, and the token goes to few places. */
static void check_files(const struct slack_files *files)
{
    if (files->count > SLACK_FILES_MAX || files->count > files->total)
        abort();
    for (size_t i = 0; i < files->count; i++) {
        const struct slack_file *file = &files->items[i];
        size_t len = strlen(file->name);

        if (len == 0 || len > SLACK_FILE_NAME_MAX_BYTES || !utf8_is_valid(file->name, len) ||
            strpbrk(file->name, "\n\r\t\x1b\x7f"))
            abort();
        if (slack_files_is_ours(file->url, "https://slack.com/api/") &&
            strncasecmp(file->url, "https://", 8) != 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slack_opener_answer *answer = calloc(1, sizeof(*answer));
    struct slack_control control;
    struct slack_event event;

    if (!answer)
        return 0;
    slack_control_parse((const char *)data, size, &control);
    slack_event_parse((const char *)data, size, &event, NULL);
    check_files(&event.files);
    slack_event_deinit(&event);
    slack_opener_judge(200, -1, (const char *)data, size, "", answer);
    slack_opener_answer_free(answer);
    return 0;
}
