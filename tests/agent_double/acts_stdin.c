#include "tests/agent_double/acts_stdin.h"

#include <stdio.h>
#include <unistd.h>

#include "tests/agent_double/emit.h"
#include "tests/agent_double/personality.h"

#define OUTPUT_FIRST_BYTES ((size_t)128 * 1024) /* twice what a pipe holds */

int play_outfirst(const struct stage *stage)
{
    char chunk[4096];
    char said[64];
    size_t total = 0;
    ssize_t got = 0;

    (void)stage;
    emit_init();
    for (size_t printed = 0; printed < OUTPUT_FIRST_BYTES; printed += 100)
        emit_connection("connection", "reconnecting", 1);
    while ((got = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0)
        total += (size_t)got;
    snprintf(said, sizeof(said), "I have read %s.", total > 0 ? "the prompt" : "nothing");
    emit_words(said, 0);
    emit_result();
    return got < 0;
}

int play_closestdin(const struct stage *stage)
{
    (void)stage;
    close(STDIN_FILENO);
    return personality()->refuse(REFUSAL_LOGIN);
}
