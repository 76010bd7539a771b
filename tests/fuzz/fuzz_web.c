/* Bodies of Slack's Web API. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "slack/call.h"
#include "slack/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_state(const uint8_t *data, size_t size)
{
    struct slack_reply_target target = { .channel = "C1" };
    struct slack_reply_options options = { .mode = SLACK_REPLY_EDIT };
    struct slack_limits *limits = slack_limits_new(NULL);
    struct slack_web *web = slack_web_new("refused:", "x", limits);
    struct slack_reply *reply = slack_reply_new(web, &target, &options);
    char *text = strndup((const char *)data, size);
    struct err err = { 0 };

    if (slack_reply_resume(reply, text, &err) == 0)
        slack_reply_append(reply, text, strlen(text));
    free(text);
    slack_reply_free(reply);
    slack_web_free(web);
    slack_limits_free(limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slack_answer answer = { 0 };

    slack_answer_parse((const char *)data, size, &answer);
    if (!utf8_is_valid(answer.error, strlen(answer.error)) ||
        !utf8_is_valid(answer.detail, strlen(answer.detail)))
        abort();
    slack_answer_deinit(&answer);
    parse_state(data, size);
    return 0;
}
