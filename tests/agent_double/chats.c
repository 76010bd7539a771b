#include "tests/agent_double/chats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "tests/agent_double/personality.h"

#define QUESTION_MAX_BYTES ((size_t)400)

static json_t *notes; /* as they were found */

/* To be freed; NULL without a store. */
static char *path_of(const char *id)
{
    const char *directory =
        getenv(personality()->store_variable); /* NOLINT(concurrency-mt-unsafe): one thread */
    AUTO_FREE char *chats = NULL;

    if (!directory || !directory[0] || strchr(id, '/'))
        return NULL;
    chats = xasprintf("%s/chats", directory);
    mkdir(chats, 0700);
    return xasprintf("%s/%s.json", chats, id);
}

bool chats_has(const char *id)
{
    AUTO_FREE char *path = path_of(id);

    return path && access(path, F_OK) == 0;
}

void chats_open(const char *id, const char *question)
{
    AUTO_FREE char *path = path_of(id);
    AUTO_FREE char *clean = utf8_clean_copy(question, strlen(question), QUESTION_MAX_BYTES);
    json_error_t why;
    json_auto_t *next = NULL;

    if (!path)
        return;
    notes = json_load_file(path, 0, &why);
    next = notes ? json_deep_copy(notes) : json_array();
    json_array_append_new(next, json_string(clean));
    json_dump_file(next, path, JSON_COMPACT);
}

char *chats_answer(void)
{
    AUTO_BUF struct buf answer = { 0 };
    size_t count = json_array_size(notes);

    if (count == 0)
        return NULL;
    buf_init(&answer, (size_t)1024 * 1024);
    buf_printf(&answer, " My notes of this chat hold %zu question%s:", count,
               count == 1 ? "" : "s");
    for (size_t i = 0; i < count; i++)
        buf_printf(&answer, " (%zu) \"%s\"", i + 1,
                   json_string_value(json_array_get(notes, i)));
    buf_append_char(&answer, '.');
    return buf_take(&answer);
}
