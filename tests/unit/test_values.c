#include "memory/values.h"

#include <pthread.h>

#include "tests/unit/memory_lab.h"

#define MINUTE_MS 60000

static void lab_start(struct lab *lab)
{
    lab_prepare(lab);
    lab_open(lab);
}

static void set(struct lab *lab, const char *key, const char *value, int64_t ttl_ms)
{
    struct err err = { 0 };

    if (memory_value_set(lab->memory, key, value, ttl_ms, &err) < 0)
        fail_msg("set %s: %s", key, err.message);
}

static void wait_until_gone(struct lab *lab, const char *key)
{
    int64_t until = clock_now_ms() + LAB_WAIT_MS;
    struct err err = { 0 };

    while (memory_value_exists(lab->memory, key, &err))
        assert_true(clock_now_ms() < until);
}

static void a_value_is_there_until_it_expires(void)
{
    struct lab lab;
    struct err err = { 0 };
    struct buf out;
    int64_t left;

    lab_start(&lab);
    buf_init(&out, 1000);
    CHECK_INT(memory_value_get(lab.memory, "cache:a:1", &out, &err), 0, "not there");
    set(&lab, "cache:a:1", "an answer", MINUTE_MS);
    CHECK_INT(memory_value_get(lab.memory, "cache:a:1", &out, &err), 1, "there");
    CHECK_TEXT(buf_text(&out), "an answer", "as it was set");
    left = memory_value_ttl(lab.memory, "cache:a:1", &err);
    CHECK_INT(left > MINUTE_MS / 2 && left <= MINUTE_MS, 1, "a minute at most");
    CHECK_INT(memory_value_ttl(lab.memory, "cache:a:2", &err), -2, "no such key");
    CHECK_INT(memory_value_expire(lab.memory, "cache:a:1", 1, &err), 1, "soon");
    CHECK_INT(memory_value_expire(lab.memory, "cache:a:2", 1, &err), 0, "no such key");
    wait_until_gone(&lab, "cache:a:1");
    CHECK_INT(memory_value_delete(lab.memory, "cache:a:1", &err) >= 0, 1, "gone already");
    set(&lab, "cache:a:3", "x", MINUTE_MS);
    CHECK_INT(memory_value_delete(lab.memory, "cache:a:3", &err), 1, "deleted");
    CHECK_INT(memory_value_delete(lab.memory, "cache:a:3", &err), 0, "once");
    buf_deinit(&out);
    lab_remove(&lab);
}

static void what_never_expires_or_is_too_big_is_refused(void)
{
    struct lab lab;
    struct err err = { 0 };
    char *big = xcalloc(1, VALUE_MAX_BYTES + 2);
    int64_t sum = 7;

    memset(big, 'x', VALUE_MAX_BYTES + 1);
    lab_start(&lab);
    CHECK_INT(memory_value_set(lab.memory, "a", "b", 0, &err), -1, "for ever");
    CHECK_INT(err.kind, ERR_INPUT, "for ever");
    CHECK_INT(memory_value_set(lab.memory, "", "b", 1, &err), -1, "no key");
    CHECK_INT(memory_value_set(lab.memory, "a", big, 1, &err), -1, "too big");
    big[VALUE_KEY_MAX + 1] = '\0';
    CHECK_INT(memory_value_set(lab.memory, big, "b", 1, &err), -1, "too long a key");
    CHECK_INT(memory_value_add(lab.memory, "a", 1, -5, &sum, &err), -1, "no time at all");
    CHECK_INT(sum, 7, "untouched");
    free(big);
    lab_remove(&lab);
}

static void a_counter_begins_anew_when_its_window_ends(void)
{
    struct lab lab;
    struct err err = { 0 };
    int64_t sum = 0;

    lab_start(&lab);
    for (int64_t i = 1; i <= 3; i++) {
        CHECK_INT(memory_value_add(lab.memory, "rate:user:U1", 1, MINUTE_MS, &sum, &err), 0,
                  "one more");
        CHECK_INT(sum, i, "counted");
    }
    CHECK_INT(memory_value_expire(lab.memory, "rate:user:U1", 1, &err), 1, "its end");
    wait_until_gone(&lab, "rate:user:U1");
    CHECK_INT(memory_value_add(lab.memory, "rate:user:U1", 5, MINUTE_MS, &sum, &err), 0,
              "anew");
    CHECK_INT(sum, 5, "from 0");
    CHECK_INT(memory_value_add(lab.memory, "rate:user:U1", -6, 1, &sum, &err), 0, "down");
    CHECK_INT(sum, -1, "below 0");
    CHECK_INT(memory_value_ttl(lab.memory, "rate:user:U1", &err) > 1000, 1,
              "the window is that of the first");
    lab_remove(&lab);
}

enum { WRITERS = 4, EACH = 25 };

static void *count_up(void *context)
{
    struct err err = { 0 };
    int64_t sum;

    for (int i = 0; i < EACH; i++) {
        if (memory_value_add(context, "counter", 1, MINUTE_MS, &sum, &err) < 0)
            return context;
    }
    return NULL;
}

static void no_count_is_lost_between_threads(void)
{
    struct lab lab;
    pthread_t threads[WRITERS];
    struct err err = { 0 };
    int64_t sum = 0;

    lab_start(&lab);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, count_up, lab.memory);
    for (int i = 0; i < WRITERS; i++) {
        void *failed = NULL;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    CHECK_INT(memory_value_add(lab.memory, "counter", 0, MINUTE_MS, &sum, &err), 0, "look");
    CHECK_INT(sum, WRITERS * EACH, "all");
    lab_remove(&lab);
}

struct seen {
    size_t count;
    size_t stop_after;
    char last[64];
    bool in_order;
};

static bool see(void *context, const char *name, const char *value, int64_t expires)
{
    struct seen *seen = context;

    (void)value;
    (void)expires;
    seen->in_order = seen->in_order && strcmp(seen->last, name) < 0;
    snprintf(seen->last, sizeof(seen->last), "%s", name);
    return ++seen->count != seen->stop_after;
}

static void patterns_find_and_delete_what_fits(void)
{
    enum { MANY = 600 };
    struct seen all = { .in_order = true };
    struct seen some = { .in_order = true, .stop_after = 5 };
    struct seen none = { .in_order = true };
    struct lab lab;
    struct err err = { 0 };

    lab_start(&lab);
    for (int i = 0; i < MANY; i++) {
        char key[64];

        snprintf(key, sizeof(key), "session:user_123:%04d", i);
        set(&lab, key, "x", MINUTE_MS);
    }
    set(&lab, "session:user_124:1", "x", MINUTE_MS);
    CHECK_INT(memory_values_visit(lab.memory, "session:user_123:*", see, &all, &err), 0, "all");
    CHECK_INT(all.count, MANY, "page after page");
    CHECK_INT(all.in_order, 1, "each once");
    CHECK_INT(memory_values_visit(lab.memory, "session:*", see, &some, &err), 0, "some");
    CHECK_INT(some.count, 5, "as many as were wanted");
    CHECK_INT(memory_values_delete(lab.memory, "session:user_123:*", &err), MANY, "deleted");
    CHECK_INT(memory_values_visit(lab.memory, "session:user_123:*", see, &none, &err), 0,
              "now");
    CHECK_INT(none.count, 0, "gone");
    CHECK_INT(memory_value_exists(lab.memory, "session:user_124:1", &err), 1, "not that one");
    lab_remove(&lab);
}

TEST_MAIN(TEST(a_value_is_there_until_it_expires),
          TEST(what_never_expires_or_is_too_big_is_refused),
          TEST(a_counter_begins_anew_when_its_window_ends),
          TEST(no_count_is_lost_between_threads), TEST(patterns_find_and_delete_what_fits))
