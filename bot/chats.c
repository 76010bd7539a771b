#include "bot/chats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "agent/environment.h"
#include "agent/slot.h"
#include "base/alloc.h"
#include "bot/wiring.h"
#include "memory/fields.h"

#define LOG_MODULE "bot.chats"
#include "base/log.h"

#define CONFIG_VARIABLE "CURSOR_CONFIG_DIR"

void chat_record_deinit(struct chat_record *record)
{
    free(record->dialect);
    free(record->workspace);
    free(record->model);
    *record = (struct chat_record){ 0 };
}

/* False when the text does not fit: it is not one of ours. */
static bool take_text(char *out, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size)
        return false;
    memcpy(out, text, len + 1);
    return true;
}

static bool read_record(const json_t *root, struct chat_record *record)
{
    const char *id, *dialect, *workspace, *model, *host, *run, *told, *person;
    json_int_t seq = 0;
    json_int_t used = 0;

    if (json_unpack((json_t *)root, "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id",
                    &id, "dialect", &dialect, "workspace", &workspace, "model", &model, "host",
                    &host, "run", &run, "told", &told, "person", &person, "seq", &seq, "used",
                    &used) != 0 ||
        !agent_chat_is_id(id) || !take_text(record->id, sizeof(record->id), id) ||
        !take_text(record->host, sizeof(record->host), host) ||
        !take_text(record->run_id, sizeof(record->run_id), run) ||
        !take_text(record->told, sizeof(record->told), told) ||
        !take_text(record->person, sizeof(record->person), person))
        return false;
    record->dialect = xstrdup(dialect);
    record->workspace = xstrdup(workspace);
    record->model = xstrdup(model);
    record->told_seq = seq;
    record->used_wall_s = used;
    return true;
}

int chats_load(struct memory *memory, const char *conversation, struct chat_record *ret_record,
               struct err *err)
{
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *root = NULL;
    int rc;

    buf_init(&text, FIELD_MAX_BYTES);
    rc = memory_field_get(memory, conversation, MEMORY_FIELD_CHAT, NULL, &text, err);
    if (rc <= 0)
        return rc;
    root = json_loadb(buf_text(&text), text.len, 0, NULL);
    if (read_record(root, ret_record))
        return 1;
    chat_record_deinit(ret_record);
    log_warn("the field " MEMORY_FIELD_CHAT " of conversation=%s is not one of ours",
             conversation);
    return 0;
}

int chats_save(struct memory *memory, const char *conversation,
               const struct chat_record *record, int64_t ttl_ms, struct err *err)
{
    json_auto_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id", record->id, "dialect",
        record->dialect, "workspace", record->workspace, "model", record->model, "host",
        record->host, "run", record->run_id, "told", record->told, "person", record->person,
        "seq", (json_int_t)record->told_seq, "used", (json_int_t)record->used_wall_s);
    AUTO_FREE char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

    if (!text)
        return err_set(err, ERR_INPUT, "a chat whose record is no UTF-8");
    return memory_field_set(memory, conversation, MEMORY_FIELD_CHAT, text, ttl_ms, err);
}

int chats_drop(struct memory *memory, const char *conversation, struct err *err)
{
    return memory_field_delete(memory, conversation, MEMORY_FIELD_CHAT, err) < 0 ? -1 : 0;
}

void chats_host(char ret_host[CHATS_HOST_BYTES])
{
    if (gethostname(ret_host, CHATS_HOST_BYTES) != 0)
        ret_host[0] = '\0';
    ret_host[CHATS_HOST_BYTES - 1] = '\0';
}

/* Who names the variable in agent.env keeps the chats where they want (agent/slot.h). */
static bool has_own_store(const struct config *config)
{
    const char *own = agent_environment_get(CONFIG_VARIABLE);

    for (size_t i = 0; own && i < config->agent.env.count; i++) {
        if (strcmp(config->agent.env.items[i], CONFIG_VARIABLE) == 0)
            return true;
    }
    return false;
}

bool chats_is_there(const struct config *config, const char *conversation, const char *id)
{
    char chats_id[WIRING_ID_BYTES];
    AUTO_FREE char *dir = NULL;

    wiring_conversation_id(conversation, chats_id);
    if (!has_own_store(config))
        dir = xasprintf("%s/chats/%s", config->state_dir, chats_id);
    return agent_chat_is_there((enum agent_dialect)config->agent.dialect, dir, id);
}

void chats_remove(const char *state_dir, const char *conversation)
{
    char chats_id[WIRING_ID_BYTES];
    struct err err = { 0 };

    wiring_conversation_id(conversation, chats_id);
    if (agent_chats_forget(state_dir, chats_id, &err) < 0)
        log_err("what the agent keeps of conversation=%s stays: %s", conversation, err.message);
}

void chats_forget(const char *state_dir, const struct memory_forgotten *forgotten)
{
    for (size_t i = 0; i < forgotten->keys_count; i++)
        chats_remove(state_dir, forgotten->keys[i]);
}
