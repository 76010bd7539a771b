#include "bot/wiring.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "memory/answers.h"

struct memory_options wiring_memory_options(const struct config *config)
{
    return (struct memory_options){
        .state_dir = config->state_dir,
        .store = (enum memory_store_kind)config->memory.store,
        .durability = config->memory.durability == CONFIG_DURABILITY_INTERVAL
                          ? MEMORY_DURABILITY_INTERVAL
                          : MEMORY_DURABILITY_TURN,
        .snapshot_interval_ms = config->memory.snapshot_interval_ms,
        .max_bytes = config->memory.max_bytes,
        .cache_ttl_ms = config->memory.cache_ttl_ms,
        .max_turns = config->memory.max_turns,
        .session_ttl_ms = config->memory.session_ttl_ms,
        .retention_ms = config->memory.retention_ms,
        .files_dir = config->memory.files.dir,
        .encryption_key_file = config->memory.encryption_key_file,
        .learns_profile = config->memory.context.profile,
    };
}

struct memory_context_options wiring_context_options(const struct config *config,
                                                     bool is_private)
{
    return (struct memory_context_options){
        .budget_tokens = config->memory.context.budget_tokens,
        .max_messages = config->memory.context.max_messages,
        .verbatim_messages = config->memory.context.verbatim_messages,
        .uses_summary = config->memory.context.summarizer != CONFIG_SUMMARIZER_OFF,
        .uses_recall = config->memory.context.recall,
        .uses_profile = config->memory.context.profile,
        .name_authors = config->memory.scope != CONFIG_SCOPE_USER_THREAD,
        .recalls_elsewhere = config->memory.recall_scope == CONFIG_RECALL_USER && is_private,
        .session_ttl_ms = config->memory.session_ttl_ms,
    };
}

const char **wiring_argv(const struct config_list *list)
{
    const char **argv = xcalloc(list->count + 1, sizeof(*argv));

    for (size_t i = 0; i < list->count; i++)
        argv[i] = list->items[i];
    return argv;
}

void wiring_conversation_id(const char *conversation, char ret_id[WIRING_ID_BYTES])
{
    char hash[ANSWER_ID_BYTES];

    answers_make_id(conversation, strlen(conversation), hash);
    snprintf(ret_id, WIRING_ID_BYTES, "%.*s", WIRING_ID_BYTES - 1, hash);
}

char *wiring_launcher(void)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    AUTO_FREE char *own = xstrndup(path, len > 0 ? (size_t)len : 0);
    AUTO_FREE char *small = xasprintf("%s-launch", own);

    return access(small, X_OK) == 0 ? take_ptr(&small) : take_ptr(&own);
}
