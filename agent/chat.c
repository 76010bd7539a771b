#include "agent/chat.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "agent/dialect.h"
#include "agent/environment.h"
#include "base/alloc.h"

enum agent_chats agent_chats_of(enum agent_dialect dialect)
{
    return dialect_get(dialect)->chats;
}

bool agent_chat_is_id(const char *id)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_";
    size_t len = strlen(id);

    return len > 0 && len < AGENT_CHAT_ID_BYTES && id[0] != '-' && strspn(id, allowed) == len;
}

bool agent_chat_is_there(enum agent_dialect dialect, const char *chats_dir, const char *id)
{
    const struct dialect *row = dialect_get(dialect);

    return !row->has_chat || row->has_chat(chats_dir, id);
}
