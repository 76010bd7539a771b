/* A line of an import, and what is exported of it, which must be read back as the same turn. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bot/memory_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct memory_line *a, const struct memory_line *b)
{
    if (strcmp(a->key, b->key) != 0 || a->turn.role != b->turn.role ||
        strcmp(a->turn.author, b->turn.author) != 0 ||
        strcmp(a->turn.text, b->turn.text) != 0 ||
        strcmp(a->turn.slack_ts, b->turn.slack_ts) != 0 ||
        a->turn.at_wall_s != b->turn.at_wall_s)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_line line = { 0 };
    struct memory_line again = { 0 };
    struct err err = { 0 };

    if (memory_line_read((const char *)data, size, &line, &err) == 0) {
        json_auto_t *object = memory_turn_json(line.key, &line.turn);
        AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);

        if (!text || memory_line_read(text, strlen(text), &again, &err) < 0)
            abort();
        check_same(&line, &again);
        memory_line_deinit(&again);
    }
    memory_line_deinit(&line);
    return 0;
}
