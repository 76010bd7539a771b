#include "memory/forget.h"

#include <dirent.h>

#include "memory/answers.h"
#include "memory/fields.h"
#include "memory/person.h"
#include "memory/rooms.h"
#include "memory/store.h"
#include "tests/unit/memory_lab.h"

#define SECRET "xylophone-4711"

static enum memory_store_kind store_kind; /* what the tests run with just now */

static void prepare(struct lab *lab)
{
    lab_prepare(lab);
    lab->options.store = store_kind;
    lab->options.files_dir = "";
    lab->options.learns_profile = true;
}

static struct store *store_of(const struct lab *lab)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): lab_open() fails before that */
    return lab->memory->store;
}

/* ---- a memory to forget in --------------------------------------------------------------- */

struct said {
    const char *author; /* "" is the assistant */
    const char *text;
    const char *slack_ts;
    int64_t at_wall_s;
};

static void converse(struct lab *lab, const char *key, const struct said *said, size_t count)
{
    struct conversation *conversation = lab_begin(lab, key);
    struct memory_turn turns[16];
    struct err err = { 0 };

    for (size_t i = 0; i < count; i++)
        turns[i] = (struct memory_turn){
            .role = *said[i].author ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
            .author = said[i].author,
            .text = said[i].text,
            .slack_ts = said[i].slack_ts ? said[i].slack_ts : "",
            .at_wall_s = said[i].at_wall_s ? said[i].at_wall_s : 1790000000 + (int64_t)i,
        };
    if (memory_conversation_commit(lab->memory, conversation, turns, count, NULL, 0,
                                   LEDGER_DONE, &err) < 0)
        fail_msg("%s", err.message);
    memory_conversation_end(lab->memory, conversation);
}

static void note_text(struct buf *out, const char *text)
{
    buf_printf(out, "%s%s", out->len ? "|" : "", text);
}

static bool note_turn(void *context, const struct memory_turn *turn)
{
    note_text(context, turn->text);
    return true;
}

/* The texts in the store, joined; freed by the caller. */
static char *stored(struct lab *lab, const char *key)
{
    struct store *store = store_of(lab);
    struct store_range range = { 0 };
    struct err err = { 0 };
    struct buf out;
    char *text;

    buf_init(&out, 1 << 20);
    if (store->ops->history(store, key, &range, note_turn, &out, &err) < 0)
        fail_msg("%s", err.message);
    text = xstrdup(buf_text(&out));
    buf_deinit(&out);
    return text;
}

static void check_stored(struct lab *lab, const char *key, const char *want,
                         const char *because)
{
    AUTO_FREE char *text = stored(lab, key);

    CHECK_TEXT(text, want, because);
}

static struct memory_forgotten forget(struct lab *lab, const struct memory_forget *what)
{
    struct memory_forgotten forgotten = { 0 };
    struct err err = { 0 };

    if (memory_forget(lab->memory, what, &forgotten, &err) < 0)
        fail_msg("%s", err.message);
    return forgotten;
}

static void forget_quietly(struct lab *lab, const struct memory_forget *what)
{
    struct memory_forgotten forgotten = forget(lab, what);

    memory_forgotten_deinit(&forgotten);
}

/* A file under the directory that holds the bytes, or NULL; the caller frees. */
static char *file_with_bytes(const char *directory, const char *bytes)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    char *found = NULL;

    assert_non_null(dir);
    while (!found && (entry = readdir(dir)) != NULL) {
        AUTO_FREE char *path = xasprintf("%s/%s", directory, entry->d_name);
        struct buf content;

        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR) {
            found = file_with_bytes(path, bytes);
            continue;
        }
        buf_init(&content, 64 << 20);
        assert_int_equal(file_read(path, &content, NULL), 0);
        if (memmem(buf_text(&content), content.len, bytes, strlen(bytes)))
            found = xstrdup(path);
        buf_deinit(&content);
    }
    closedir(dir);
    return found;
}

static void check_bytes(const struct lab *lab, const char *bytes, bool are_there)
{
    AUTO_FREE char *path = file_with_bytes(lab->directory, bytes);

    if (!path == are_there)
        fail_msg("%s holds \"%s\"", path ? path : "no file", bytes);
}

static void set_fact(struct lab *lab, const char *user, const char *name, const char *value,
                     const char *conversation, int64_t seq)
{
    struct store_item item = { .user = user,
                               .kind = STORE_ITEM_FACT,
                               .name = name,
                               .value = value,
                               .conversation = conversation,
                               .seq = seq,
                               .created_wall_s = 1,
                               .updated_wall_s = 1 };
    struct store_mutation mutation = { .kind = STORE_SET_ITEM, .item = &item };
    struct err err = { 0 };

    if (commit_mutations(&lab->memory->path, &mutation, 1, &err) < 0)
        fail_msg("%s", err.message);
}

static bool note_item(void *context, const struct store_item *item)
{
    note_text(context, item->name);
    return true;
}

static void check_facts(struct lab *lab, const char *user, const char *want)
{
    struct store *store = store_of(lab);
    struct buf out;

    buf_init(&out, 4096);
    assert_int_equal(store->ops->items(store, user, STORE_ITEM_FACT, note_item, &out, NULL), 0);
    CHECK_TEXT(buf_text(&out), want, user);
    buf_deinit(&out);
}

static void set_summary(struct lab *lab, const char *key, int64_t last_seq)
{
    struct store_summary summary = { .version = 1,
                                     .first_seq = 1,
                                     .last_seq = last_seq,
                                     .made_wall_s = 1,
                                     .source = "extract",
                                     .text = "they spoke of the " SECRET,
                                     .pinned = "" };
    struct store_mutation mutation = { .kind = STORE_SET_SUMMARY,
                                       .key = key,
                                       .summary = &summary };
    struct err err = { 0 };

    if (commit_mutations(&lab->memory->path, &mutation, 1, &err) < 0)
        fail_msg("%s", err.message);
}

/* ---- a conversation ---------------------------------------------------------------------- */

static void a_conversation_goes_with_all_that_hangs_on_it(void)
{
    static const struct said said[] = { { "U1", "the " SECRET, "100.1", 0 },
                                        { "", "what a " SECRET, NULL, 0 } };
    struct memory_forget what = { .key = "U1:C1:1" };
    struct memory_forgotten forgotten;
    struct err err = { 0 };
    AUTO_BUF struct buf receipt = { 0 };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "U1:C1:1", said, ARRAY_LEN(said));
    lab_say(&lab, "U1:C1:2", "other", "200.1", "things");
    set_summary(&lab, "U1:C1:1", 2);
    set_fact(&lab, "U1", "role", "\"player of the " SECRET "\"", "U1:C1:1", 1);
    set_fact(&lab, "U1", "name", "\"Ann\"", "U1:C1:2", 1);
    assert_int_equal(
        memory_field_set(lab.memory, "U1:C1:1", "topic", "\"" SECRET "\"", 0, &err), 0);
    assert_int_equal(memory_answer_keep(lab.memory, "U1", "id", "U1:C1:1", SECRET, 60000, &err),
                     0);
    check_bytes(&lab, SECRET, store_kind != MEMORY_STORE_NONE);

    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.conversations, 1, "whole");
    buf_init(&receipt, 1000);
    memory_forgotten_print(&forgotten, &receipt);
    CHECK_TEXT(buf_text(&receipt),
               "1 conversation, 2 turns, 1 summary, 1 field, 1 preference or fact, "
               "1 kept answer",
               "the receipt");
    memory_forgotten_deinit(&forgotten);
    check_bytes(&lab, SECRET, false);
    check_stored(&lab, "U1:C1:1", "", "erased");
    check_stored(&lab, "U1:C1:2", "other|things", "another conversation");
    check_facts(&lab, "U1", "name");
    lab_say(&lab, "U1:C1:1", "anew", "300.1", "yes");
    check_stored(&lab, "U1:C1:1", "anew|yes", "it may begin again");
    lab_remove(&lab);
}

static void what_waits_for_a_snapshot_is_erased_too(void)
{
    static const struct said said[] = { { "U1", "the " SECRET, "100.1", 0 },
                                        { "", "what a " SECRET, NULL, 0 } };
    struct memory_forget what = { .key = "U1:C1:1" };
    struct lab lab;

    prepare(&lab);
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    converse(&lab, "U1:C1:1", said, ARRAY_LEN(said));
    forget_quietly(&lab, &what);
    check_bytes(&lab, SECRET, false);
    lab_restart(&lab);
    check_stored(&lab, "U1:C1:1", "", "nor does it come back");
    lab_remove(&lab);
}

static void a_pinned_conversation_loses_its_text_at_once(void)
{
    struct memory_forget what = { .key = "U1:C1:1" };
    struct conversation *conversation;
    struct err err = { 0 };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "U1:C1:1", "the " SECRET, "100.1", "yes");
    conversation = lab_begin(&lab, "U1:C1:1");
    forget_quietly(&lab, &what);
    CHECK_INT(memory_conversation_turns(conversation), 0, "nothing to build a context from");
    assert_int_equal(lab_commit(&lab, conversation, "later", "101.1", "fine", NULL, 0, &err),
                     0);
    memory_conversation_end(lab.memory, conversation);
    check_stored(&lab, "U1:C1:1", "later|fine", "the turn that ran is kept in order");
    lab_remove(&lab);
}

/* ---- a person ---------------------------------------------------------------------------- */

static void a_person_takes_along_only_what_is_theirs(void)
{
    static const struct said shared[] = {
        { "U1", "ann: the " SECRET, "1.1", 0 }, { "", "an answer to ann", NULL, 0 },
        { "U2", "bob speaks", "2.1", 0 },       { "", "an answer to bob", NULL, 0 },
        { "U1", "ann again", "3.1", 0 },        { "U2", "bob again", "4.1", 0 },
        { "", "an answer to both", NULL, 0 },
    };
    static const struct said others[] = { { "U2", "bob alone", "5.1", 0 },
                                          { "", "an answer", NULL, 0 } };
    struct memory_forget what = { .user = "U1" };
    struct memory_forgotten forgotten;
    struct err err = { 0 };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "*:C1:1", shared, ARRAY_LEN(shared));
    converse(&lab, "U2:C1:2", others, ARRAY_LEN(others));
    lab_say(&lab, "U1:C1:3", "the " SECRET, "6.1", "mine");
    set_summary(&lab, "*:C1:1", 4);
    set_summary(&lab, "U2:C1:2", 2);
    set_fact(&lab, "U1", "role", "\"x\"", "", 0);
    set_fact(&lab, "U2", "role", "\"x\"", "*:C1:1", 3);
    assert_int_equal(memory_answer_keep(lab.memory, "U1", "a", "U1:C1:9", SECRET, 60000, &err),
                     0);
    assert_int_equal(memory_answer_keep(lab.memory, "U2", "b", "*:C1:1", SECRET, 60000, &err),
                     0);

    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.conversations, 1, "where nobody else spoke");
    CHECK_INT(forgotten.turns, 2 + 4, "of it, and of the shared one");
    CHECK_INT(forgotten.summaries, 1, "of the shared one");
    CHECK_INT(forgotten.items, 1, "of the profile");
    CHECK_INT(forgotten.values, 2, "hers, and one that was given where she spoke");
    memory_forgotten_deinit(&forgotten);
    check_stored(&lab, "*:C1:1", "bob speaks|an answer to bob|bob again",
                 "an answer to both may repeat what she said");
    check_stored(&lab, "U2:C1:2", "bob alone|an answer", "others are untouched");
    check_stored(&lab, "U1:C1:3", "", "hers alone");
    check_facts(&lab, "U1", "");
    check_facts(&lab, "U2", "role");
    lab_remove(&lab);
}

static void a_person_may_forget_in_one_conversation_only(void)
{
    static const struct said shared[] = {
        { "U1", "ann speaks", "1.1", 0 },
        { "", "an answer to ann", NULL, 0 },
        { "U2", "bob speaks", "2.1", 0 },
        { "", "an answer to bob", NULL, 0 },
    };
    struct memory_forget what = { .key = "*:C1:1", .user = "U1" };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "*:C1:1", shared, ARRAY_LEN(shared));
    lab_say(&lab, "U1:C1:3", "elsewhere", "6.1", "yes");
    set_fact(&lab, "U1", "role", "\"x\"", "*:C1:1", 1);
    set_fact(&lab, "U1", "name", "\"x\"", "U1:C1:3", 1);
    forget_quietly(&lab, &what);
    check_stored(&lab, "*:C1:1", "bob speaks|an answer to bob", "hers are gone");
    check_stored(&lab, "U1:C1:3", "elsewhere|yes", "another conversation stays");
    check_facts(&lab, "U1", "name");
    lab_remove(&lab);
}

/* max_turns has trimmed what she said; the summary still tells it. */
static void what_only_a_summary_tells_goes_as_well(void)
{
    static const struct said hers[] = { { "U1", "the " SECRET, "1.1", 0 },
                                        { "", "noted", NULL, 0 } };
    static const struct said his[] = { { "U2", "bob speaks", "2.1", 0 },
                                       { "", "an answer to bob", NULL, 0 } };
    struct store_mutation trim = { .kind = STORE_TRIM_TURNS, .key = "*:C1:1", .seq = 3 };
    struct memory_forget what = { .user = "U1" };
    struct memory_forgotten forgotten;
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "*:C1:1", hers, ARRAY_LEN(hers));
    set_summary(&lab, "*:C1:1", 2);
    converse(&lab, "*:C1:1", his, ARRAY_LEN(his));
    assert_int_equal(commit_mutations(&lab.memory->path, &trim, 1, NULL), 0);
    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.summaries, 1, "nobody can say whose words are in it");
    memory_forgotten_deinit(&forgotten);
    check_stored(&lab, "*:C1:1", "bob speaks|an answer to bob", "his stay");
    check_bytes(&lab, SECRET, false);
    lab_remove(&lab);
}

/* ---- a time ------------------------------------------------------------------------------ */

static void what_was_said_before_a_time_goes_everywhere(void)
{
    static const struct said mixed[] = {
        { "U1", "old", "1.1", 1000 },  { "", "old answer", NULL, 1001 },
        { "U1", "late", "2.1", 1999 }, { "", "its answer came after", NULL, 2001 },
        { "U1", "new", "3.1", 2002 },  { "", "new answer", NULL, 2003 },
    };
    static const struct said old[] = { { "U2", "all old", "4.1", 500 },
                                       { "", "yes", NULL, 501 } };
    static const struct said unordered[] = {
        { "U3", "new first", "5.1", 3000 },
        { "", "its answer", NULL, 3001 },
        { "U3", "imported later", "6.1", 1500 },
        { "", "as was this", NULL, 1501 },
    };
    struct memory_forget what = { .before_wall_s = 2000 };
    struct memory_forgotten forgotten;
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "U1:C1:1", mixed, ARRAY_LEN(mixed));
    converse(&lab, "U2:C1:2", old, ARRAY_LEN(old));
    converse(&lab, "U3:C1:3", unordered, ARRAY_LEN(unordered));
    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.conversations, 1, "nothing is left of the old one");
    CHECK_INT(forgotten.turns, 4 + 2 + 2, "and the answer to a question that is gone");
    memory_forgotten_deinit(&forgotten);
    check_stored(&lab, "U1:C1:1", "new|new answer", "the newer ones stay");
    check_stored(&lab, "U2:C1:2", "", "the old one");
    check_stored(&lab, "U3:C1:3", "new first|its answer", "whatever the order they came in");
    lab_remove(&lab);
}

static void a_fact_is_learnt_again_from_what_is_left(void)
{
    static const struct said said[] = { { "U1", "My name is Ann.", "1.1", 0 },
                                        { "", "hello", NULL, 0 },
                                        { "U1", "My name is Bea.", "2.1", 0 },
                                        { "", "hello again", NULL, 0 } };
    struct memory_forget what = { .channel = "C1", .slack_ts = "2.1", .user = "U1" };
    struct buf out;
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "U1:C1:2.1", said, ARRAY_LEN(said));
    set_fact(&lab, "U1", "name", "\"Bea\"", "U1:C1:2.1", 3);
    forget_quietly(&lab, &what);
    check_stored(&lab, "U1:C1:2.1", "My name is Ann.|hello", "what is left");
    check_facts(&lab, "U1", "name");
    buf_init(&out, 4096);
    assert_int_equal(person_append_context(lab.memory, "U1", &out, NULL), 0);
    CHECK_HOLDS(buf_text(&out), "Ann", "as it was before");
    buf_deinit(&out);
    lab_remove(&lab);
}

static void many_conversations_are_forgotten_page_by_page(void)
{
    struct memory_forget what = { .user = "U1" };
    struct memory_forgotten forgotten;
    struct lab lab;
    char key[32];

    prepare(&lab);
    lab_open(&lab);
    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof(key), "U1:C1:%d", i);
        lab_say(&lab, key, "hello", "1.1", "yes");
    }
    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.conversations, 600, "all of them");
    CHECK_INT(forgotten.turns, 1200, "all of them");
    memory_forgotten_deinit(&forgotten);
    lab_remove(&lab);
}

/* ---- a message --------------------------------------------------------------------------- */

static void a_message_goes_with_the_answer_to_it_alone(void)
{
    static const struct said said[] = {
        { "U1", "one", "1.1", 0 },
        { "", "answer to one", NULL, 0 },
        { "U1", "two", "2.1", 0 },
        { "U1", "three", "3.1", 0 },
        { "", "answer to two and three", NULL, 0 },
    };
    static const struct {
        const char *ts;
        const char *want;
        const char *because;
    } cases[] = {
        { "9.9", "one|answer to one|two|three|answer to two and three", "no such message" },
        { "1.1", "two|three|answer to two and three", "with its answer" },
        { "2.1", "three|answer to two and three", "the answer is to another one as well" },
        { "3.1", "", "now it was to this one alone" },
    };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "U1:C1:1.1", said, ARRAY_LEN(said));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct memory_forget what = { .team = "T1",
                                      .channel = "C1",
                                      .slack_ts = cases[i].ts,
                                      .thread_ts = "1.1",
                                      .user = "U1" };

        forget_quietly(&lab, &what);
        check_stored(&lab, "U1:C1:1.1", cases[i].want, cases[i].because);
    }
    lab_remove(&lab);
}

static void an_answer_to_several_goes_when_asked_to(void)
{
    static const struct said said[] = { { "U1", "one", "1.1", 0 },
                                        { "U2", "two", "2.1", 0 },
                                        { "", "answer to both", NULL, 0 } };
    struct memory_forget what = {
        .channel = "C1", .slack_ts = "1.1", .thread_ts = "1.1", .takes_answer = true
    };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    converse(&lab, "*:C1:1.1", said, ARRAY_LEN(said));
    forget_quietly(&lab, &what);
    check_stored(&lab, "*:C1:1.1", "two", "the question of the other stays");
    lab_remove(&lab);
}

static void copies_in_threads_go_with_the_original(void)
{
    struct memory_forget message = { .channel = "D1", .slack_ts = "1.1" };
    struct memory_forget whole = { .key = "D1" };
    struct conversation *thread = NULL;
    struct err err = { 0 };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "D1", "first", "1.1", "one");
    lab_say(&lab, "D1", "second", "2.1", "two");
    assert_int_equal(
        memory_conversation_begin(lab.memory, "U1:D1:2.1", "D1", "2.1", &thread, &err), 0);
    assert_int_equal(lab_commit(&lab, thread, "in the thread", "3.1", "yes", NULL, 0, &err), 0);
    memory_conversation_end(lab.memory, thread);
    check_stored(&lab, "U1:D1:2.1", "first|one|second|two|in the thread|yes", "begun so");
    forget_quietly(&lab, &message);
    check_stored(&lab, "D1", "second|two", "the original");
    check_stored(&lab, "U1:D1:2.1", "second|two|in the thread|yes", "the copy");
    forget_quietly(&lab, &whole);
    check_stored(&lab, "D1", "", "the whole original");
    check_stored(&lab, "U1:D1:2.1", "in the thread|yes", "what the thread has of its own");
    lab_remove(&lab);
}

static void what_was_lent_before_it_was_erased_is_not_stored(void **state)
{
    static const struct {
        struct memory_forget what;
        const char *because;
    } cases[] = {
        { { .key = "D1" }, "the parent" },
        { { .user = "U1" }, "a person" },
        { { .channel = "D1", .slack_ts = "1.1", .takes_answer = true }, "a message" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct conversation *thread = NULL;
        struct err err = { 0 };
        struct lab lab;

        prepare(&lab);
        lab_open(&lab);
        lab_say(&lab, "D1", SECRET, "1.1", "one");
        assert_int_equal(
            memory_conversation_begin(lab.memory, "U1:D1:1.1", "D1", "1.1", &thread, &err), 0);
        forget_quietly(&lab, &cases[i].what);
        assert_int_equal(lab_commit(&lab, thread, "mine", "3.1", "yes", NULL, 0, &err), 0);
        memory_conversation_end(lab.memory, thread);
        check_stored(&lab, "U1:D1:1.1", "mine|yes", cases[i].because);
        {
            AUTO_FREE char *text = lab_context(&lab, "U1:D1:1.1");

            CHECK_HOLDS(text, "mine", "its own");
            assert_false(lab_holds(text, SECRET));
        }
        lab_remove(&lab);
    }
}

/* ---- the ledger -------------------------------------------------------------------------- */

static struct ledger_entry *find(struct lab *lab, int64_t id)
{
    struct ledger_entry *entry = NULL;

    assert_int_equal(memory_find_message(lab->memory, id, &entry, NULL), 0);
    assert_non_null(entry);
    return entry;
}

static void the_ledger_keeps_its_rows_without_text(void)
{
    static const struct {
        enum ledger_state before;
        enum ledger_state after;
        bool keeps_run;
        const char *because;
    } cases[] = {
        { LEDGER_RECEIVED, LEDGER_CANCELLED, false, "it will not be answered" },
        { LEDGER_RUNNING, LEDGER_RUNNING, true, "its worker needs the rest" },
        { LEDGER_DONE, LEDGER_DONE, false, "" },
        { LEDGER_FAILED, LEDGER_CANCELLED, false, "there is nothing to try again" },
        { LEDGER_CANCELLED, LEDGER_CANCELLED, false, "" },
    };
    int64_t ids[ARRAY_LEN(cases)];
    struct memory_forget what = { .key = "U1:C1:1" };
    struct memory_forgotten forgotten;
    struct memory_stats stats;
    struct lab lab;
    char text[32];

    prepare(&lab);
    lab_open(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(text, sizeof(text), "%zu.1", i + 1);
        ids[i] = lab_record_new(&lab, text, text);
        if (cases[i].before == LEDGER_RUNNING) {
            assert_int_equal(memory_mark_running(lab.memory, &ids[i], 1, "run-1", NULL), 0);
            memory_note_reply(lab.memory, &ids[i], 1, "{}");
        } else {
            assert_int_equal(
                memory_mark_messages(lab.memory, &ids[i], 1, cases[i].before, NULL), 0);
        }
    }
    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.messages, ARRAY_LEN(cases), "each");
    CHECK_INT(forgotten.run_ids_count, 0, "a worker is at work on the one that runs");
    memory_forgotten_deinit(&forgotten);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ledger_entry *entry = find(&lab, ids[i]);

        CHECK_INT(entry->state, cases[i].after, cases[i].because);
        CHECK_TEXT(entry->text, "", "nothing is left of it");
        CHECK_INT(*entry->run_id != '\0', cases[i].keeps_run, cases[i].because);
        CHECK_INT(memory_is_forgotten(lab.memory, ids[i]), true, "as its worker sees");
        ledger_entry_free(entry);
    }
    memory_get_stats(lab.memory, &stats);
    CHECK_INT(stats.pending, 1, "the one that runs");
    CHECK_INT(lab_record_as(&lab, lab_entry("1.1", "1.1", ""), false, false, NULL),
              LEDGER_DUPLICATE, "still known");
    check_bytes(&lab, "we use JWT", false);

    what.is_alone = true;
    lab_record_new(&lab, "9.1", "9.1");
    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.messages, 1, "the new one");
    memory_forgotten_deinit(&forgotten);
    lab_remove(&lab);
}

static void without_a_daemon_what_runs_goes_as_well(void)
{
    struct memory_forget what = { .user = "U1", .is_alone = true };
    struct memory_forgotten forgotten;
    struct ledger_entry *entry;
    struct lab lab;
    int64_t id;

    prepare(&lab);
    lab_open(&lab);
    id = lab_record_new(&lab, "1.1", "1.1");
    assert_int_equal(memory_mark_running(lab.memory, &id, 1, "run-1", NULL), 0);
    forgotten = forget(&lab, &what);
    CHECK_INT(forgotten.run_ids_count, 1, "its directory is to go");
    CHECK_TEXT(forgotten.run_ids[0], "run-1", "its directory is to go");
    memory_forgotten_deinit(&forgotten);
    entry = find(&lab, id);
    CHECK_INT(entry->state, LEDGER_CANCELLED, "nobody takes it up");
    ledger_entry_free(entry);
    lab_remove(&lab);
}

static void a_command_that_waits_is_left_alone(void)
{
    struct memory_forget what = { .user = "U1" };
    struct ledger_entry *entry = lab_entry("1.1", "1.1", "");
    struct lab lab;
    int64_t id;

    prepare(&lab);
    lab_open(&lab);
    entry->kind = LEDGER_KIND_COMMAND;
    assert_int_equal(lab_record_as(&lab, entry, false, false, &id), LEDGER_NEW);
    forget_quietly(&lab, &what);
    entry = find(&lab, id);
    CHECK_INT(entry->state, LEDGER_RECEIVED, "it is being carried out");
    CHECK_TEXT(entry->text, "we use JWT", "it is being carried out");
    ledger_entry_free(entry);
    lab_remove(&lab);
}

static void to_forget_nothing_in_particular_is_refused(void)
{
    static const struct {
        struct memory_forget what;
        const char *because;
    } cases[] = {
        { { .team = "T1" }, "nothing" },
        { { .key = "" }, "no key" },
        { { .user = "" }, "whoever has no name" },
        { { .channel = "C1", .slack_ts = "" }, "what has no ts" },
        { { .slack_ts = "1.1" }, "no channel" },
    };
    AUTO_BUF struct buf receipt = { 0 };
    struct lab lab;

    prepare(&lab);
    lab_open(&lab);
    lab_say(&lab, "U1:C1:1", "one", "", "two");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct memory_forgotten forgotten = { 0 };
        struct err err = { 0 };

        CHECK_INT(memory_forget(lab.memory, &cases[i].what, &forgotten, &err), -1,
                  cases[i].because);
        CHECK_INT(err.kind, ERR_INPUT, cases[i].because);
        memory_forgotten_deinit(&forgotten);
    }
    check_stored(&lab, "U1:C1:1", "one|two", "untouched");
    buf_init(&receipt, 100);
    memory_forgotten_print(&(struct memory_forgotten){ 0 }, &receipt);
    CHECK_TEXT(buf_text(&receipt), "nothing", "the receipt");
    lab_remove(&lab);
}

static int with_sqlite(void **state)
{
    (void)state;
    store_kind = MEMORY_STORE_SQLITE;
    return 0;
}

static int with_files(void **state)
{
    (void)state;
    store_kind = MEMORY_STORE_FILES;
    return 0;
}

static int with_none(void **state)
{
    (void)state;
    store_kind = MEMORY_STORE_NONE;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_conversation_goes_with_all_that_hangs_on_it),
        TEST(what_waits_for_a_snapshot_is_erased_too),
        TEST(a_pinned_conversation_loses_its_text_at_once),
        TEST(a_person_takes_along_only_what_is_theirs),
        TEST(a_person_may_forget_in_one_conversation_only),
        TEST(what_only_a_summary_tells_goes_as_well),
        TEST(what_was_said_before_a_time_goes_everywhere),
        TEST(a_fact_is_learnt_again_from_what_is_left),
        TEST(many_conversations_are_forgotten_page_by_page),
        TEST(a_message_goes_with_the_answer_to_it_alone),
        TEST(an_answer_to_several_goes_when_asked_to),
        TEST(copies_in_threads_go_with_the_original),
        TEST(what_was_lent_before_it_was_erased_is_not_stored),
        TEST(the_ledger_keeps_its_rows_without_text),
        TEST(without_a_daemon_what_runs_goes_as_well),
        TEST(a_command_that_waits_is_left_alone),
        TEST(to_forget_nothing_in_particular_is_refused),
    };

    return cmocka_run_group_tests_name("in the database", tests, with_sqlite, NULL) +
           cmocka_run_group_tests_name("in files", tests, with_files, NULL) +
           cmocka_run_group_tests_name("in RAM", tests, with_none, NULL);
}
