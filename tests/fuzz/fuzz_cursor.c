/* What an agent prints is outside text: any bytes, cut anywhere, must leave clean events. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/dialect.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct agent_stream *stream)
{
    struct agent_event event;

    while (agent_stream_take(stream, &event)) {
        if (!utf8_is_valid(event.text, event.text_len))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct agent_stream *stream = NULL;
    size_t cut = 0;

    if (size < 2)
        return 0;
    stream = agent_stream_new(data[0] & 1 ? &dialect_cursor : &dialect_text);
    cut = 2 + data[1] % (size - 1);
    agent_stream_feed(stream, bytes + 2, cut - 2);
    drain(stream);
    agent_stream_feed(stream, bytes + cut, size - cut);
    agent_stream_finish(stream);
    drain(stream);
    agent_stream_free(stream);
    return 0;
}
