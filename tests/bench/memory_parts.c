#include "tests/bench/memory_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"

#define FIRST_WALL_S 1790000000

void parts_key(char key[PARTS_KEY_BYTES], int number)
{
    snprintf(key, PARTS_KEY_BYTES, "U%010d:C0123456789:%d.%06d", number % 100000, FIRST_WALL_S,
             number % 1000000);
}

struct memory_turn parts_turn(int number, int turn)
{
    static _Thread_local char text[PARTS_TEXT_BYTES + 1];
    static _Thread_local char author[16];
    static _Thread_local char ts[32];
    bool asks = turn % 2 == 0;
    int64_t at_wall_s = FIRST_WALL_S + number % 1000 + turn * 240;
    size_t len = (size_t)snprintf(text, sizeof(text), "%s %d of conversation %d, which ",
                                  asks ? "question" : "answer", turn, number);

    if (len < PARTS_TEXT_BYTES)
        memset(text + len, 'a' + turn % 26, PARTS_TEXT_BYTES - len);
    snprintf(author, sizeof(author), "U%010d", number % 100000);
    snprintf(ts, sizeof(ts), "%lld.%06d", (long long)at_wall_s - 1,
             (int)((int64_t)number * 7919 % 1000000));
    return (struct memory_turn){ .role = asks ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
                                 .seq = turn + 1,
                                 .author = asks ? author : "",
                                 .text = text,
                                 .slack_ts = ts,
                                 .at_wall_s = at_wall_s };
}

struct memory_options parts_options(const char *directory)
{
    return (struct memory_options){ .state_dir = directory,
                                    .store = MEMORY_STORE_SQLITE,
                                    .durability = MEMORY_DURABILITY_TURN,
                                    .snapshot_interval_ms = 3600000,
                                    .max_bytes = (int64_t)256 << 20,
                                    .cache_ttl_ms = 3600000,
                                    .session_ttl_ms = INT64_C(86400000),
                                    .retention_ms = INT64_C(1000) * 86400000 * 365,
                                    .max_turns = 500,
                                    .files_dir = "",
                                    .encryption_key_file = "" };
}

uint32_t parts_random(uint32_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % below;
}

struct memory *parts_open(const struct memory_options *options, struct metrics *metrics)
{
    struct memory *memory = NULL;
    struct err err = { 0 };

    if (memory_open(options, metrics, &memory, &err) < 0)
        fprintf(stderr, "bench_memory: %s\n", err.message);
    return memory;
}

int64_t parts_commit_us(struct memory *memory, int number)
{
    struct conversation *conversation = NULL;
    struct memory_turn turns[2];
    char key[PARTS_KEY_BYTES];
    char texts[2][PARTS_TEXT_BYTES + 1];
    struct err err = { 0 };
    int64_t before_us;
    int rc;

    parts_key(key, number);
    for (int i = 0; i < 2; i++) {
        turns[i] = parts_turn(number, i);
        memcpy(texts[i], turns[i].text, sizeof(texts[i]));
        turns[i].text = texts[i];
        turns[i].slack_ts = i ? "1790000241.000100" : "1790000240.000100";
    }
    if (memory_conversation_begin(memory, key, NULL, NULL, &conversation, &err) < 0) {
        fprintf(stderr, "bench_memory: %s\n", err.message);
        return -1;
    }
    before_us = clock_now_us();
    rc = memory_conversation_commit(memory, conversation, turns, 2, NULL, 0, LEDGER_DONE, &err);
    before_us = clock_now_us() - before_us;
    memory_conversation_end(memory, conversation);
    if (rc < 0)
        fprintf(stderr, "bench_memory: %s\n", err.message);
    return rc < 0 ? -1 : before_us;
}
