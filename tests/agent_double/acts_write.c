#include "tests/agent_double/acts_write.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "tests/agent_double/emit.h"
#include "tests/agent_double/history.h"

#define FILE_MAX_BYTES 65536
#define GATE_LOOK_MS   10

int play_write(const struct stage *stage)
{
    AUTO_FREE char *name = xstrdup(scenario_text(stage->scenario, "file", "note.txt"));
    AUTO_FREE char *gate = xstrdup(scenario_text(stage->scenario, "gate", ""));
    AUTO_FREE char *text = xstrdup(scenario_text(stage->scenario, "text", ""));
    AUTO_FREE char *cwd = getcwd(NULL, 0);
    AUTO_BUF struct buf before = { 0 };
    AUTO_FREE char *answer = NULL;
    struct history history;
    struct err err = { 0 };

    buf_init(&before, FILE_MAX_BYTES);
    file_read(name, &before, NULL);
    history_read(stage->prompt, &history);
    emit_opening();
    if (file_write(name, *text ? text : history.question,
                   strlen(*text ? text : history.question), 0644, &err) < 0)
        answer = xasprintf("I could not write: %s.", err.message);
    else
        answer =
            xasprintf("In %s the file %s held \"%s\" before.", cwd, name, buf_text(&before));
    history_deinit(&history);
    while (*gate && access(gate, F_OK) < 0)
        emit_pause(GATE_LOOK_MS);
    emit_words(answer, 0);
    emit_result();
    return 0;
}
