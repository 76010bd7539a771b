#include "memory/answers.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/values.h"

#define PREFIX          "cache:answer:"
#define VALUE_MAX_JSON  (ANSWER_MAX_BYTES * 6 + 4096) /* every byte escaped */
#define FORGET_MAX_KEYS 1000                          /* in one round */

void answers_make_id(const char *question, size_t len, char ret_id[ANSWER_ID_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const unsigned char *)question, len);
    sodium_bin2hex(ret_id, ANSWER_ID_BYTES, hash, sizeof(hash));
}

static char *key_of(const char *user, const char *id)
{
    return xasprintf(PREFIX "%s:%s", user, id);
}

int memory_answer_find(struct memory *memory, const char *user, const char *id, struct buf *out,
                       int64_t *ret_at_wall_s, struct err *err)
{
    AUTO_FREE char *key = key_of(user, id);
    AUTO_BUF struct buf value = { 0 };
    json_auto_t *root = NULL;
    const char *text = NULL;
    json_int_t at_wall_s = 0;
    int rc;

    buf_init(&value, VALUE_MAX_JSON);
    rc = memory_value_get(memory, key, &value, err);
    if (rc <= 0)
        return rc;
    root = json_loads(buf_text(&value), 0, NULL);
    if (!root || json_unpack(root, "{s:s, s:I}", "text", &text, "at", &at_wall_s) < 0)
        return err_set(err, ERR_SYSTEM, "a kept answer cannot be read");
    buf_append_text(out, text);
    *ret_at_wall_s = (int64_t)at_wall_s;
    return 1;
}

int memory_answer_keep(struct memory *memory, const char *user, const char *id,
                       const char *conversation, const char *text, int64_t ttl_ms,
                       struct err *err)
{
    AUTO_FREE char *key = key_of(user, id);
    AUTO_FREE char *value = NULL;
    json_auto_t *root = NULL;

    if (strlen(text) > ANSWER_MAX_BYTES)
        return err_set(err, ERR_INPUT, "an answer of %zu bytes is too long to keep",
                       strlen(text));
    root = json_pack("{s:s, s:I, s:s}", "conversation", conversation, "at",
                     (json_int_t)clock_wall_s(), "text", text);
    value = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (!value)
        return err_set(err, ERR_INPUT, "an answer is not valid UTF-8");
    return memory_value_set(memory, key, value, ttl_ms, err);
}

/* ---- forgetting -------------------------------------------------------------------------- */

struct search {
    const char *conversation;
    int64_t before_wall_s;
    char *keys[FORGET_MAX_KEYS];
    size_t count;
};

/* What cannot be read goes as well: nobody can say whose it is. */
static bool is_meant(const struct search *search, const char *value)
{
    json_auto_t *root = json_loads(value, 0, NULL);
    const char *conversation = NULL;
    json_int_t at_wall_s = 0;

    if (!root ||
        json_unpack(root, "{s:s, s:I}", "conversation", &conversation, "at", &at_wall_s) < 0)
        return true;
    return (!search->conversation || strcmp(search->conversation, conversation) == 0) &&
           (!search->before_wall_s || at_wall_s < search->before_wall_s);
}

static bool collect(void *context, const char *name, const char *value, int64_t expires)
{
    struct search *search = context;

    (void)expires;
    if (is_meant(search, value))
        search->keys[search->count++] = xstrdup(name);
    return search->count < FORGET_MAX_KEYS;
}

static int delete_found(struct memory *memory, struct search *search, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < search->count; i++) {
        if (rc >= 0)
            rc = memory_value_delete(memory, search->keys[i], err);
        free(search->keys[i]);
    }
    return rc < 0 ? -1 : 0;
}

int64_t memory_answers_forget(struct memory *memory, const char *user, const char *conversation,
                              int64_t before_wall_s, struct err *err)
{
    AUTO_FREE char *pattern = key_of(user ? user : "*", "*");
    struct search *search = NULL;
    int64_t count = 0;
    int rc;

    if (!conversation && !before_wall_s)
        return memory_values_delete(memory, pattern, err);
    search = xcalloc(1, sizeof(*search));
    do {
        *search =
            (struct search){ .conversation = conversation, .before_wall_s = before_wall_s };
        rc = memory_values_visit(memory, pattern, collect, search, err);
        if (delete_found(memory, search, rc < 0 ? NULL : err) < 0)
            rc = -1;
        count += (int64_t)search->count;
    } while (rc == 0 && search->count == FORGET_MAX_KEYS);
    free(search);
    return rc < 0 ? -1 : count;
}
