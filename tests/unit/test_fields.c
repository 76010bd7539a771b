#include "memory/fields.h"

#include <pthread.h>

#include "tests/unit/memory_lab.h"

#define KEY "U1:C1:1.0"

static void lab_start(struct lab *lab)
{
    lab_prepare(lab);
    lab->options.retention_ms = INT64_C(3650) * 86400 * 1000;
    lab->options.session_ttl_ms = INT64_C(3650) * 86400 * 1000;
    lab_open(lab);
}

static void set(struct lab *lab, const char *name, const char *json)
{
    struct err err = { 0 };

    if (memory_field_set(lab->memory, KEY, name, json, 0, &err) < 0)
        fail_msg("set %s: %s", name, err.message);
}

/* What stands there, "(none)" for nothing. */
static const char *get(struct lab *lab, const char *name)
{
    static char text[4096];
    struct buf out;
    struct err err = { 0 };
    int rc;

    buf_init(&out, sizeof(text) - 1);
    rc = memory_field_get(lab->memory, KEY, name, NULL, &out, &err);
    snprintf(text, sizeof(text), "%s",
             rc == 1   ? buf_text(&out)
             : rc == 0 ? "(none)"
                       : "(failed)");
    buf_deinit(&out);
    return text;
}

static void values_come_back_as_they_were_written(void)
{
    static const struct {
        const char *json;
        const char *want;
        const char *because;
    } cases[] = {
        { "\"user_123\"", "\"user_123\"", "a string" },
        { "{ \"language\" : \"en\",\n\t\"theme\":\"dark\" }",
          "{\"language\":\"en\",\"theme\":\"dark\"}", "an object without its white space" },
        { "\" a  b \\\" c\"", "\" a  b \\\" c\"", "white space inside a string stays" },
        { "0.1", "0.1", "a number as it was written" },
        { "1e3", "1e3", "a number as it was written" },
        { "[]", "[]", "an empty list" },
        { "null", "null", "null is a value" },
        { "true", "true", "a truth" },
    };
    struct lab lab;

    lab_start(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        set(&lab, "field", cases[i].json);
        CHECK_TEXT(get(&lab, "field"), cases[i].want, cases[i].because);
    }
    lab_restart(&lab);
    CHECK_TEXT(get(&lab, "field"), "true", "a restart changes nothing");
    lab_remove(&lab);
}

static void what_is_no_field_is_refused(void)
{
    char long_name[FIELD_NAME_MAX + 2];
    char *big = xcalloc(1, FIELD_MAX_BYTES + 3);
    const struct {
        const char *key;
        const char *name;
        const char *json;
        const char *because;
    } cases[] = {
        { KEY, "a", "{", "half an object" },
        { KEY, "a", "", "nothing" },
        { KEY, "a", "1 2", "two values" },
        { KEY, "a", "\"\xff\"", "no UTF-8" },
        { KEY, "", "1", "no name" },
        { KEY, "\xff", "1", "a name that is no UTF-8" },
        { KEY, long_name, "1", "too long a name" },
        { "", "a", "1", "no key" },
        { KEY, "a", big, "too big" },
    };
    struct lab lab;

    memset(big, 'x', FIELD_MAX_BYTES + 2);
    big[0] = big[FIELD_MAX_BYTES + 1] = '"';
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    lab_start(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = { 0 };

        CHECK_INT(
            memory_field_set(lab.memory, cases[i].key, cases[i].name, cases[i].json, 0, &err),
            -1, cases[i].because);
        CHECK_INT(err.kind, ERR_INPUT, cases[i].because);
    }
    CHECK_TEXT(get(&lab, "a"), "(none)", "nothing was set");
    lab_remove(&lab);
    free(big);
}

static void what_is_not_there_is_no_error(void)
{
    struct lab lab;
    struct err err = { 0 };
    struct buf out;

    lab_start(&lab);
    buf_init(&out, 1000);
    CHECK_INT(memory_field_get(lab.memory, KEY, "prefs", "{\"language\":null}", &out, &err), 0,
              "not there");
    CHECK_TEXT(buf_text(&out), "{\"language\":null}", "the default");
    buf_clear(&out);
    CHECK_INT(memory_field_get(lab.memory, KEY, "prefs", NULL, &out, &err), 0, "no default");
    CHECK_INT(out.len, 0, "nothing");
    CHECK_INT(memory_field_contains(lab.memory, KEY, "prefs", &err), 0, "not there");
    CHECK_INT(memory_field_delete(lab.memory, KEY, "prefs", &err), 0, "not there");
    CHECK_INT(memory_list_pop(lab.memory, KEY, "list", &out, &err), 0, "no list");
    CHECK_INT(memory_list_remove(lab.memory, KEY, "list", "1", &err), 0, "no list");
    CHECK_INT(memory_list_length(lab.memory, KEY, "list", &err), 0, "no list");
    CHECK_INT(memory_list_get(lab.memory, KEY, "list", &out, &err), 0, "no list");
    CHECK_TEXT(buf_text(&out), "[]", "an empty one");
    CHECK_INT(memory_message_count(lab.memory, KEY, &err), 0, "no messages");
    CHECK_INT(memory_fields_clear(lab.memory, KEY, &err), 0, "nothing to clear");
    set(&lab, "there", "1");
    CHECK_INT(memory_field_contains(lab.memory, KEY, "there", &err), 1, "there");
    CHECK_INT(memory_field_delete(lab.memory, KEY, "there", &err), 1, "deleted");
    CHECK_INT(memory_field_contains(lab.memory, KEY, "there", &err), 0, "gone");
    buf_deinit(&out);
    lab_remove(&lab);
}

static bool append_name(void *context, const char *name, const char *value, int64_t expires)
{
    buf_printf(context, "%s=%s;", name, value);
    (void)expires;
    return true;
}

static void many_are_set_together_or_not_at_all(void)
{
    static const char *const bad[] = { "[1]", "{\"a\":1", "{\"\":1}", "7" };
    struct lab lab;
    struct err err = { 0 };
    struct buf out;

    lab_start(&lab);
    buf_init(&out, 1000);
    CHECK_INT(memory_field_update(lab.memory, KEY, "{\"b\":[1,2],\"a\":{\"x\":null},\"c\":0.5}",
                                  0, &err),
              0, "three at once");
    CHECK_INT(memory_field_update(lab.memory, KEY, "{}", 0, &err), 0, "none");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_INT(memory_field_update(lab.memory, KEY, bad[i], 0, &err), -1, bad[i]);
    CHECK_INT(memory_field_update(lab.memory, KEY, "{\"new\":1,\"\":2}", 0, &err), -1, "all");
    CHECK_INT(memory_fields_visit(lab.memory, KEY, append_name, &out, &err), 0, "items");
    CHECK_TEXT(buf_text(&out), "a={\"x\":null};b=[1,2];c=0.5;", "by name, and no new one");
    CHECK_INT(memory_fields_clear(lab.memory, KEY, &err), 3, "cleared");
    CHECK_TEXT(get(&lab, "a"), "(none)", "cleared");
    buf_deinit(&out);
    lab_remove(&lab);
}

static void fields_expire(void)
{
    struct lab lab;
    struct err err = { 0 };
    int64_t until;

    lab_start(&lab);
    CHECK_INT(memory_field_set(lab.memory, KEY, "short", "1", 1, &err), 0, "a millisecond");
    CHECK_INT(memory_field_set(lab.memory, KEY, "hour", "1", 0, &err), 0, "by default");
    CHECK_INT(memory_field_set(lab.memory, KEY, "never", "1", -1, &err), 0, "for ever");
    for (until = clock_now_ms() + LAB_WAIT_MS;
         memory_field_contains(lab.memory, KEY, "short", &err);)
        assert_true(clock_now_ms() < until);
    CHECK_TEXT(get(&lab, "short"), "(none)", "gone");
    CHECK_TEXT(get(&lab, "hour"), "1", "not yet");
    CHECK_INT(memory_fields_set_ttl(lab.memory, KEY, 1, &err), 2, "both that are left");
    for (until = clock_now_ms() + LAB_WAIT_MS;
         memory_field_contains(lab.memory, KEY, "never", &err);)
        assert_true(clock_now_ms() < until);
    CHECK_TEXT(get(&lab, "hour"), "(none)", "gone");
    lab_remove(&lab);
}

static void lists_change_in_place(void)
{
    struct lab lab;
    struct memory *memory;
    struct err err = { 0 };
    struct buf out;

    lab_start(&lab);
    memory = lab.memory;
    buf_init(&out, 1000);
    CHECK_INT(memory_list_append(memory, KEY, "log", "{\"action\":\"login\"}", 0, &err), 0,
              "a list that was not there");
    CHECK_INT(memory_list_extend(memory, KEY, "log", "[\"home\", \"submit\"]", 0, &err), 0,
              "two");
    CHECK_TEXT(get(&lab, "log"), "[{\"action\":\"login\"},\"home\",\"submit\"]", "in order");
    CHECK_INT(memory_list_length(memory, KEY, "log", &err), 3, "three");
    CHECK_INT(memory_list_pop(memory, KEY, "log", &out, &err), 1, "the last");
    CHECK_TEXT(buf_text(&out), "\"submit\"", "the last");
    CHECK_INT(memory_list_insert(memory, KEY, "log", 0, "\"start\"", &err), 0, "the first");
    CHECK_INT(memory_list_insert(memory, KEY, "log", 99, "\"end\"", &err), 0, "beyond");
    CHECK_TEXT(get(&lab, "log"), "[\"start\",{\"action\":\"login\"},\"home\",\"end\"]",
               "there");
    CHECK_INT(memory_list_remove(memory, KEY, "log", "{ \"action\": \"login\" }", &err), 1,
              "equal, however it is written");
    CHECK_INT(memory_list_remove(memory, KEY, "log", "\"nowhere\"", &err), 0, "none");
    CHECK_TEXT(get(&lab, "log"), "[\"start\",\"home\",\"end\"]", "without it");
    CHECK_INT(memory_list_append(memory, KEY, "log", "4", 2, &err), 0, "the last two stay");
    CHECK_TEXT(get(&lab, "log"), "[\"end\",4]", "rotated");
    set(&lab, "text", "\"no list\"");
    CHECK_INT(memory_list_append(memory, KEY, "text", "1", 0, &err), -1, "no list");
    CHECK_INT(err.kind, ERR_INPUT, "no list");
    CHECK_INT(memory_list_length(memory, KEY, "text", &err), -1, "no list");
    CHECK_INT(memory_list_extend(memory, KEY, "log", "1", 0, &err), -1, "no array");
    CHECK_INT(memory_list_append(memory, KEY, "log", "[", 0, &err), -1, "no JSON");
    CHECK_TEXT(get(&lab, "log"), "[\"end\",4]", "unchanged");
    buf_deinit(&out);
    lab_remove(&lab);
}

static void a_list_does_not_grow_for_ever(void)
{
    struct lab lab;
    struct err err = { 0 };
    char *chunk = xcalloc(1, 20000);
    int count = 0;

    memset(chunk, 'x', 19999);
    chunk[0] = chunk[19998] = '"';
    lab_start(&lab);
    while (memory_list_append(lab.memory, KEY, "log", chunk, 0, &err) == 0)
        assert_true(++count < 10);
    CHECK_INT(err.kind, ERR_INPUT, "full");
    CHECK_INT(memory_list_length(lab.memory, KEY, "log", &err), 3, "as many as fit");
    CHECK_INT(memory_list_append(lab.memory, KEY, "log", chunk, 2, &err), 0,
              "rotation makes room");
    CHECK_INT(memory_list_length(lab.memory, KEY, "log", &err), 2, "two");
    free(chunk);
    lab_remove(&lab);
}

enum { WRITERS = 4, EACH = 25 };

static void *append_some(void *context)
{
    struct err err = { 0 };

    for (int i = 0; i < EACH; i++) {
        if (memory_list_append(context, KEY, "log", "1", 0, &err) < 0)
            return context;
    }
    return NULL;
}

static void two_who_append_both_find_their_element(void)
{
    struct lab lab;
    pthread_t threads[WRITERS];
    struct err err = { 0 };

    lab_start(&lab);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, append_some, lab.memory);
    for (int i = 0; i < WRITERS; i++) {
        void *failed = NULL;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    CHECK_INT(memory_list_length(lab.memory, KEY, "log", &err), WRITERS * EACH, "none lost");
    lab_remove(&lab);
}

static bool append_text(void *context, const struct memory_turn *turn)
{
    buf_printf(context, "%d:%s:%s:%s;", (int)turn->role, turn->author, turn->text,
               turn->metadata ? turn->metadata : "");
    return true;
}

static void messages_are_turns(void)
{
    struct memory_turn question = { .role = MEMORY_ROLE_USER,
                                    .author = "U1",
                                    .text = "What is RAG?",
                                    .slack_ts = "",
                                    .metadata = "{\"message_id\":\"m1\"}" };
    struct memory_turn answer = {
        .role = MEMORY_ROLE_ASSISTANT, .author = "", .text = "It retrieves.", .slack_ts = ""
    };
    struct store_conversation size = { 0 };
    struct lab lab;
    struct err err = { 0 };
    struct buf out;

    lab_start(&lab);
    buf_init(&out, 1000);
    CHECK_INT(memory_message_add(lab.memory, KEY, &question, &err), 0, "one");
    CHECK_INT(memory_message_add(lab.memory, KEY, &answer, &err), 0, "two");
    CHECK_INT(memory_message_count(lab.memory, KEY, &err), 2, "two");
    CHECK_INT(memory_messages_visit(lab.memory, KEY, 0, append_text, &out, &err), 0, "all");
    CHECK_TEXT(buf_text(&out), "0:U1:What is RAG?:{\"message_id\":\"m1\"};1::It retrieves.:;",
               "oldest first, with metadata");
    buf_clear(&out);
    CHECK_INT(memory_messages_visit(lab.memory, KEY, 1, append_text, &out, &err), 0, "newest");
    CHECK_TEXT(buf_text(&out), "1::It retrieves.:;", "the newest");
    CHECK_INT(memory_size(lab.memory, KEY, &size, &err), 0, "its size");
    CHECK_INT(size.bytes, 25, "of text");
    question.metadata = "[1]";
    CHECK_INT(memory_message_add(lab.memory, KEY, &question, &err), -1, "no object");
    CHECK_INT(memory_message_add(lab.memory, "", &answer, &err), -1, "no key");
    buf_deinit(&out);
    lab_remove(&lab);
}

static void the_files_store_does_the_same(void)
{
    struct lab lab;
    struct err err = { 0 };

    lab_prepare(&lab);
    lab.options.store = MEMORY_STORE_FILES;
    lab.options.retention_ms = INT64_C(3650) * 86400 * 1000;
    lab_open(&lab);
    set(&lab, "name", "{\"a\": 1}");
    CHECK_TEXT(get(&lab, "name"), "{\"a\":1}", "a field");
    CHECK_INT(memory_list_append(lab.memory, KEY, "log", "1", 0, &err), 0, "a list");
    CHECK_INT(memory_list_extend(lab.memory, KEY, "log", "[2,3]", 2, &err), 0, "rotated");
    CHECK_TEXT(get(&lab, "log"), "[2,3]", "rotated");
    CHECK_INT(memory_fields_clear(lab.memory, KEY, &err), 2, "cleared");
    lab_remove(&lab);
}

TEST_MAIN(TEST(values_come_back_as_they_were_written), TEST(what_is_no_field_is_refused),
          TEST(what_is_not_there_is_no_error), TEST(many_are_set_together_or_not_at_all),
          TEST(fields_expire), TEST(lists_change_in_place), TEST(a_list_does_not_grow_for_ever),
          TEST(two_who_append_both_find_their_element), TEST(messages_are_turns),
          TEST(the_files_store_does_the_same))
