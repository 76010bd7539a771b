#include "memory/told.h"

#include <string.h>

#include <sodium.h>

#include "memory/conversation.h"
#include "memory/pack.h"

struct telling {
    crypto_hash_sha256_state hash;
    int64_t until_seq;
    int64_t last_seq;
};

/* Behind its length, so that nothing can pass for something else. */
static void add(struct telling *telling, const void *bytes, size_t len)
{
    crypto_hash_sha256_update(&telling->hash, (const unsigned char *)&len, sizeof(len));
    crypto_hash_sha256_update(&telling->hash, bytes, len);
}

static void add_turns(void *context, const struct pack *pack)
{
    struct telling *telling = context;
    struct memory_turn turn;
    size_t offset = 0;

    while (pack_next(pack, &offset, &turn) && turn.seq <= telling->until_seq) {
        int numbers[] = { (int)turn.role };

        add(telling, &turn.seq, sizeof(turn.seq));
        add(telling, numbers, sizeof(numbers));
        add(telling, turn.author, strlen(turn.author));
        add(telling, turn.text, strlen(turn.text));
        telling->last_seq = turn.seq;
    }
}

static void finish(struct telling *telling, char ret_print[MEMORY_TOLD_BYTES])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_final(&telling->hash, hash);
    sodium_bin2hex(ret_print, MEMORY_TOLD_BYTES, hash, sizeof(hash));
}

int64_t memory_told_print(const struct conversation *conversation, int64_t until_seq,
                          char ret_print[MEMORY_TOLD_BYTES])
{
    struct telling telling = { .until_seq = until_seq };

    crypto_hash_sha256_init(&telling.hash);
    conversation_visit(conversation, add_turns, &telling);
    finish(&telling, ret_print);
    return telling.last_seq;
}

void memory_told_print_text(const char *text, size_t len, char ret_print[MEMORY_TOLD_BYTES])
{
    struct telling telling = { .until_seq = 0 };

    crypto_hash_sha256_init(&telling.hash);
    add(&telling, text, len);
    finish(&telling, ret_print);
}
