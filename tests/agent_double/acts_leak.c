#include "tests/agent_double/acts_leak.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/file.h"
#include "tests/agent_double/emit.h"

#define LEAK_MAX_BYTES 4096

static char *read_leak(const struct stage *stage)
{
    AUTO_FREE char *path = xasprintf("%s/leak", stage->scenario->directory);
    struct buf text;

    buf_init(&text, LEAK_MAX_BYTES);
    if (file_read(path, &text, NULL) < 0 || !text.len) {
        buf_deinit(&text);
        return xstrdup("nothing");
    }
    return buf_take(&text);
}

static void emit_pieces(const char *text, size_t size, int pause_ms)
{
    for (size_t len = strlen(text); len; len = strlen(text)) {
        AUTO_FREE char *piece = xstrndup(text, len < size ? len : size);

        emit_delta(piece);
        emit_pause(pause_ms);
        text += strlen(piece);
    }
}

/* The file `leak` beside the scenario: in a tool's name, in the answer, and as the cause. */
int play_leak(const struct stage *stage)
{
    AUTO_FREE char *leak = read_leak(stage);
    json_auto_t *arguments = json_pack("{s:s}", "path", leak);
    AUTO_FREE char *json = json_dumps(arguments, JSON_COMPACT);
    size_t size = (size_t)scenario_number(stage->scenario, "piece", 5);
    int pause_ms = (int)scenario_number(stage->scenario, "pause_ms", 0);

    emit_opening();
    emit_words("I look. ", 0);
    emit_flush_before_tool();
    emit_tool("call-leak", "readToolCall", json, NULL);
    emit_pause((int)scenario_number(stage->scenario, "tool_ms", 0));
    emit_tool("call-leak", "readToolCall", json, "{\"success\":{}}");
    emit_pieces("It is <", size, pause_ms);
    emit_pieces(leak, size, pause_ms);
    emit_pieces("> and no more.", size, pause_ms);
    if (scenario_number(stage->scenario, "fail", 0)) {
        fprintf(stderr, "Error: cannot go on with %s\n", leak);
        return 1;
    }
    emit_result();
    return 0;
}
