/* Any bytes as a Socket Mode message: control messages first, then envelopes. */
#include <stdint.h>
#include <stdlib.h>

#include "slack/control.h"
#include "slack/event.h"
#include "slack/opener.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slack_opener_answer *answer = calloc(1, sizeof(*answer));
    struct slack_control control;
    struct slack_event event;

    if (!answer)
        return 0;
    slack_control_parse((const char *)data, size, &control);
    slack_event_parse((const char *)data, size, &event, NULL);
    slack_event_deinit(&event);
    slack_opener_judge(200, -1, (const char *)data, size, "", answer);
    slack_opener_answer_free(answer);
    return 0;
}
