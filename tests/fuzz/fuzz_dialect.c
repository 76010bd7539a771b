/*
 * What an agent prints is outside text: any bytes, cut anywhere, must leave clean events, in
 * every dialect. The first byte chooses it, the second where the rest is cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/chat.h"
#include "agent/dialect.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIALECTS (AGENT_DIALECT_TEXT + 1)

static void drain(struct agent_stream *stream)
{
    struct agent_event event;

    while (agent_stream_take(stream, &event)) {
        if (!utf8_is_valid(event.text, event.text_len))
            abort();
    }
}

/* What goes to the log and onto the next command line. */
static void check_summary(const struct agent_summary *summary)
{
    if (!utf8_is_valid(summary->error_text, strlen(summary->error_text)))
        abort();
    if (summary->chat_id[0] && !agent_chat_is_id(summary->chat_id))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct agent_stream *stream = NULL;
    size_t cut = 0;

    if (size < 2)
        return 0;
    stream = agent_stream_new(dialect_get((enum agent_dialect)(data[0] % DIALECTS)));
    cut = 2 + data[1] % (size - 1);
    agent_stream_feed(stream, bytes + 2, cut - 2);
    drain(stream);
    agent_stream_feed(stream, bytes + cut, size - cut);
    agent_stream_finish(stream);
    drain(stream);
    check_summary(agent_stream_summary(stream));
    agent_stream_free(stream);
    return 0;
}
