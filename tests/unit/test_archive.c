#include "memory/archive.h"

#include "memory/fields.h"
#include "memory/person.h"
#include "memory/values.h"
#include "tests/unit/memory_lab.h"

#define YEARS_MS (INT64_C(3650) * 86400 * 1000)
#define AT_S     INT64_C(1790000000)

static void lab_start(struct lab *lab)
{
    lab_prepare(lab);
    lab->options.retention_ms = YEARS_MS;
    lab->options.session_ttl_ms = YEARS_MS;
    lab_open(lab);
}

static struct memory_turn turn_of(enum memory_role role, const char *text, int64_t at_wall_s)
{
    return (struct memory_turn){ .role = role,
                                 .author = role == MEMORY_ROLE_USER ? "U1" : "",
                                 .text = text,
                                 .slack_ts = "",
                                 .at_wall_s = at_wall_s };
}

/* ---- importing ----------------------------------------------------------------------------
 */

struct counts {
    int64_t added;
    int64_t skipped;
};

/* Lines of "KEY text" at one second each. */
static struct counts import_texts(struct lab *lab, const char *const *lines, size_t count)
{
    struct archive_import *import = memory_import_begin(lab->memory);
    struct counts counts = { 0 };
    struct err err = { 0 };

    for (size_t i = 0; i < count; i++) {
        const char *text = strchr(lines[i], ' ') + 1;
        AUTO_FREE char *key = xstrndup(lines[i], (size_t)(text - lines[i] - 1));
        struct memory_turn turn = turn_of(MEMORY_ROLE_USER, text, AT_S);

        if (memory_import_turn(import, key, &turn, &err) < 0)
            fail_msg("%s: %s", lines[i], err.message);
    }
    if (memory_import_end(import, &counts.added, &counts.skipped, &err) < 0)
        fail_msg("%s", err.message);
    return counts;
}

static bool append_text(void *context, const struct memory_turn *turn)
{
    buf_printf(context, "%lld:%s;", (long long)turn->seq, turn->text);
    return true;
}

static const char *history_of(struct memory *memory, const char *key)
{
    static char text[4096];
    struct store_range all = { 0 };
    struct buf out;
    struct err err = { 0 };

    buf_init(&out, sizeof(text) - 1);
    if (memory_history(memory, key, &all, append_text, &out, &err) < 0)
        fail_msg("%s", err.message);
    snprintf(text, sizeof(text), "%s", buf_text(&out));
    buf_deinit(&out);
    return text;
}

static void an_import_that_is_begun_again_adds_what_is_missing(void)
{
    static const char *const lines[] = { "A one", "B uno", "A two", "A two", "B due", "A one" };
    static const char *const more[] = { "A one", "A two", "A two", "A one", "A two", "C new" };
    static const char *const ones[] = { "A one", "A one", "A one" };
    struct lab lab;
    struct counts counts;

    lab_start(&lab);
    counts = import_texts(&lab, lines, 2); /* cut short */
    CHECK_INT(counts.added, 2, "the beginning");
    counts = import_texts(&lab, lines, ARRAY_LEN(lines));
    CHECK_INT(counts.added, 4, "the rest");
    CHECK_INT(counts.skipped, 2, "what was there");
    CHECK_TEXT(history_of(lab.memory, "A"), "1:one;2:two;3:two;4:one;",
               "in order, and lines alike are two turns");
    CHECK_TEXT(history_of(lab.memory, "B"), "1:uno;2:due;", "each in its conversation");
    counts = import_texts(&lab, lines, ARRAY_LEN(lines));
    CHECK_INT(counts.added, 0, "nothing is missing");
    CHECK_INT(counts.skipped, (long long)ARRAY_LEN(lines), "all was there");
    counts = import_texts(&lab, more, ARRAY_LEN(more));
    CHECK_INT(counts.added, 2, "a third one alike, and a new conversation");
    counts = import_texts(&lab, ones, ARRAY_LEN(ones));
    CHECK_INT(counts.added, 1, "there were two alike, this is the third");
    lab_restart(&lab);
    CHECK_TEXT(history_of(lab.memory, "A"), "1:one;2:two;3:two;4:one;5:two;6:one;",
               "on the disk");
    lab_remove(&lab);
}

static void a_turn_of_slack_is_known_by_its_ts(void)
{
    struct lab lab;
    struct archive_import *import;
    struct memory_turn turn = turn_of(MEMORY_ROLE_USER, "hello", AT_S);
    int64_t added = 0;
    int64_t skipped = 0;
    struct err err = { 0 };

    lab_start(&lab);
    turn.slack_ts = "1790000000.000100";
    for (int i = 0; i < 2; i++) {
        turn.at_wall_s = AT_S + i; /* as another clock saw it */
        import = memory_import_begin(lab.memory);
        CHECK_INT(memory_import_turn(import, "A", &turn, &err), 0, "once");
        CHECK_INT(memory_import_end(import, &added, &skipped, &err), 0, "once");
        CHECK_INT(skipped, i, "the second time it is known");
    }
    lab_remove(&lab);
}

static void what_cannot_be_kept_is_refused_and_the_rest_goes_on(void)
{
    struct lab lab;
    struct archive_import *import;
    struct memory_turn turn = turn_of(MEMORY_ROLE_USER, "hello", AT_S);
    char key[ARCHIVE_KEY_MAX + 2];
    int64_t added = 0;
    int64_t skipped = 0;
    struct err err = { 0 };

    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    lab_start(&lab);
    import = memory_import_begin(lab.memory);
    CHECK_INT(memory_import_turn(import, "", &turn, &err), -1, "no key");
    CHECK_INT(err.kind, ERR_INPUT, "no key");
    CHECK_INT(memory_import_turn(import, key, &turn, &err), -1, "too long a key");
    CHECK_INT(memory_import_turn(import, key + 1, &turn, &err), 0, "the longest key");
    CHECK_INT(memory_import_end(import, &added, &skipped, &err), 0, "the rest");
    CHECK_INT(added, 1, "the rest");
    lab_remove(&lab);
}

static void an_import_goes_behind_what_was_said_meanwhile(void)
{
    struct lab lab;
    struct archive_import *import;
    struct memory_turn turn = turn_of(MEMORY_ROLE_USER, "imported", AT_S);
    int64_t added = 0;
    int64_t skipped = 0;
    struct err err = { 0 };

    lab_start(&lab);
    import = memory_import_begin(lab.memory);
    CHECK_INT(memory_import_turn(import, "A", &turn, &err), 0, "numbered 1, not yet there");
    lab_say(&lab, "A", "said", "1.0", "answered");
    CHECK_INT(memory_import_end(import, &added, &skipped, &err), 0, "numbered anew");
    CHECK_TEXT(history_of(lab.memory, "A"), "1:said;2:answered;3:imported;", "behind");
    lab_remove(&lab);
}

static void many_turns_are_imported_quickly_and_in_order(void)
{
    enum { KEYS = 20, TURNS = 400 };
    struct lab lab;
    struct archive_import *import;
    struct store_stats stats = { 0 };
    struct err err = { 0 };
    int64_t added = 0;
    int64_t skipped = 0;

    lab_start(&lab);
    import = memory_import_begin(lab.memory);
    for (int i = 0; i < KEYS * TURNS; i++) {
        AUTO_FREE char *key = xasprintf("U%d:C1:1.0", i % KEYS);
        AUTO_FREE char *text = xasprintf("turn %d", i / KEYS + 1);
        struct memory_turn turn = turn_of(MEMORY_ROLE_USER, text, AT_S + i);

        CHECK_INT(memory_import_turn(import, key, &turn, &err), 0, "mixed");
    }
    CHECK_INT(memory_import_end(import, &added, &skipped, &err), 0, "all");
    CHECK_INT(added, KEYS * TURNS, "all");
    CHECK_INT(memory_store_stats(lab.memory, &stats, &err), 0, "stats");
    CHECK_INT(stats.conversations, KEYS, "conversations");
    CHECK_INT(stats.turns, KEYS * TURNS, "turns");
    CHECK_INT(strncmp(history_of(lab.memory, "U7:C1:1.0"), "1:turn 1;2:turn 2;3:turn 3;", 27),
              0, "in order");
    lab_remove(&lab);
}

/* ---- listing and reading ------------------------------------------------------------------
 */

struct keys {
    struct buf text;
    size_t count;
    struct memory *memory; /* written to while it is listed */
};

static bool see_key(void *context, const struct store_conversation *conversation)
{
    struct keys *keys = context;
    struct err err = { 0 };

    buf_printf(&keys->text, "%s;", conversation->key);
    keys->count++;
    if (keys->memory &&
        memory_field_set(keys->memory, conversation->key, "seen", "1", 0, &err) < 0)
        fail_msg("%s", err.message);
    return true;
}

static void lists_come_in_pages_and_may_be_written_to(void)
{
    enum { MANY = 600 };
    static const char *const few[] = { "B x", "A x", "T1/C x" };
    struct store_list all = { .user = "", .pattern = "", .after = "" };
    struct store_list page = { .after = "A", .limit = 1 };
    struct store_list team = { .pattern = "T1/*" };
    struct keys keys = { 0 };
    struct lab lab;
    struct err err = { 0 };

    lab_start(&lab);
    buf_init(&keys.text, 65536);
    import_texts(&lab, few, ARRAY_LEN(few));
    CHECK_INT(memory_list(lab.memory, &all, see_key, &keys, &err), 0, "all");
    CHECK_TEXT(buf_text(&keys.text), "A;B;T1/C;", "by key");
    buf_clear(&keys.text);
    CHECK_INT(memory_list(lab.memory, &page, see_key, &keys, &err), 0, "a page");
    CHECK_TEXT(buf_text(&keys.text), "B;", "behind the cursor");
    buf_clear(&keys.text);
    CHECK_INT(memory_list(lab.memory, &team, see_key, &keys, &err), 0, "a pattern");
    CHECK_TEXT(buf_text(&keys.text), "T1/C;", "that fits");
    for (int i = 0; i < MANY; i++) {
        AUTO_FREE char *line = xasprintf("M%04d x", i);
        const char *lines[] = { line };

        import_texts(&lab, lines, 1);
    }
    keys.count = 0;
    keys.memory = lab.memory;
    CHECK_INT(memory_list(lab.memory, &all, see_key, &keys, &err), 0, "written to meanwhile");
    CHECK_INT(keys.count, MANY + 3, "each once");
    buf_deinit(&keys.text);
    lab_remove(&lab);
}

static void a_reader_writes_nothing(void)
{
    struct lab lab;
    struct memory *reader = NULL;
    struct metrics *metrics = metrics_new();
    struct err err = { 0 };
    struct memory_options nowhere;
    char *text;
    struct conversation *conversation = NULL;

    lab_start(&lab);
    nowhere = lab.options;
    nowhere.state_dir = "/nowhere/at/all";
    if (memory_open_reader(&nowhere, metrics, &reader, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_TEXT(history_of(reader, "A"), "", "nothing there");
    memory_close(reader);
    lab_say(&lab, "A", "we use JWT", "1.0", "noted");
    if (memory_open_reader(&lab.options, metrics, &reader, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_TEXT(history_of(reader, "A"), "1:we use JWT;2:noted;", "what the owner wrote");
    lab_say(&lab, "A", "and more", "2.0", "yes");
    CHECK_TEXT(history_of(reader, "A"), "1:we use JWT;2:noted;3:and more;4:yes;", "at once");
    CHECK_INT(memory_conversation_begin(reader, "A", NULL, NULL, &conversation, &err), 0,
              "pin");
    text = lab_context_of(reader, conversation);
    CHECK_HOLDS(text, "and more", "its context");
    free(text);
    memory_conversation_end(reader, conversation);
    memory_close(reader);
    lab_say(&lab, "A", "on", "3.0", "and on");
    metrics_free(metrics);
    lab_remove(&lab);
}

/* ---- searching ----------------------------------------------------------------------------
 */

static void free_hits(struct archive_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        archive_hit_deinit(&hits[i]);
}

static void a_search_finds_the_turns_that_say_it(void)
{
    static const char *const lines[] = {
        "A the weather is fine", "A we sign tokens with JWT",
        "A lunch is at noon",    "B the deployment needs a token",
        "B nothing here",        "C completely different",
        "C the the the",
    };
    static const struct {
        const char *query;
        const char *pattern;
        const char *key; /* of the best hit, NULL for none */
        int64_t seq;
        const char *because;
    } cases[] = {
        { "JWT tokens", "", "A", 2, "both words" },
        { "token deployments", "", "B", 1, "in another form" },
        { "jwt", "", "A", 2, "in another case" },
        { "the deployment", "A*", NULL, 0, "not in these conversations" },
        { "zebra", "", NULL, 0, "nobody said that" },
        { "", "", NULL, 0, "nothing asked" },
        { "the", "C", "C", 2, "stop words alone count" },
    };
    struct lab lab;

    lab_start(&lab);
    import_texts(&lab, lines, ARRAY_LEN(lines));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct store_list list = { .pattern = cases[i].pattern };
        struct archive_hit hits[3] = { 0 };
        size_t count = 9;
        struct err err = { 0 };

        if (memory_search(lab.memory, &list, cases[i].query, hits, 3, &count, NULL, NULL,
                          &err) < 0)
            fail_msg("%s", err.message);
        CHECK_INT(count > 0, cases[i].key != NULL, cases[i].because);
        if (count) {
            CHECK_TEXT(hits[0].key, cases[i].key, cases[i].because);
            CHECK_INT(hits[0].seq, cases[i].seq, cases[i].because);
        }
        free_hits(hits, count);
    }
    lab_remove(&lab);
}

static void note_progress(void *context, int64_t done, int64_t total)
{
    *(int64_t *)context = done < total ? total : done;
}

static void a_search_keeps_the_best_and_tells_how_far_it_is(void)
{
    struct lab lab;
    struct store_list all = { 0 };
    struct archive_hit hits[5] = { 0 };
    size_t count = 0;
    int64_t told = 0;
    struct err err = { 0 };

    lab_start(&lab);
    for (int i = 0; i < 40; i++) {
        AUTO_FREE char *line = xasprintf(
            "K%02d token %s", i, i == 23 ? "token rotation" : "and much more beside it");
        const char *lines[] = { line };

        import_texts(&lab, lines, 1);
    }
    CHECK_INT(memory_search(lab.memory, &all, "token rotation", hits, 5, &count, note_progress,
                            &told, &err),
              0, "found");
    CHECK_INT(count, 5, "as many as were wanted");
    CHECK_TEXT(hits[0].key, "K23", "the best first");
    for (size_t i = 1; i < count; i++)
        CHECK_INT(hits[i - 1].score >= hits[i].score, 1, "in order");
    CHECK_INT(told, 40, "of so many turns");
    free_hits(hits, count);
    lab_remove(&lab);
}

/* ---- copying and the rest -----------------------------------------------------------------
 */

static void fill(struct lab *lab)
{
    static const char *const lines[] = { "A one", "A two", "T1/B uno" };
    struct err err = { 0 };

    import_texts(lab, lines, ARRAY_LEN(lines));
    assert_int_equal(memory_field_set(lab->memory, "A", "log", "[1,2]", -1, &err), 0);
    assert_int_equal(memory_value_set(lab->memory, "cache:1", "kept", 3600000, &err), 0);
    assert_int_equal(memory_set_preference(lab->memory, "U1", "language", "\"de\"", &err), 0);
}

static void copy_there_and_look(struct lab *from, struct lab *to)
{
    struct store_stats copied = { 0 };
    struct store_stats there = { 0 };
    struct err err = { 0 };

    if (memory_copy(from->memory, to->memory, true, NULL, NULL, &copied, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(copied.turns, 3, "would be copied");
    assert_int_equal(memory_store_stats(to->memory, &there, &err), 0);
    CHECK_INT(there.turns, 0, "but was not");
    if (memory_copy(from->memory, to->memory, false, NULL, NULL, &copied, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(copied.conversations, 2, "conversations");
    CHECK_INT(copied.turns, 3, "turns");
    CHECK_INT(copied.fields, 1, "fields");
    CHECK_INT(copied.values, 1, "values");
    CHECK_INT(copied.items, 1, "items");
    CHECK_TEXT(history_of(to->memory, "A"), "1:one;2:two;", "with their numbers");
    CHECK_TEXT(history_of(to->memory, "T1/B"), "1:uno;", "all of them");
    CHECK_INT(memory_list_length(to->memory, "A", "log", &err), 2, "its fields");
    CHECK_INT(memory_value_exists(to->memory, "cache:1", &err), 1, "values");
    if (memory_copy(from->memory, to->memory, false, NULL, NULL, &copied, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(copied.turns + copied.fields + copied.values + copied.items, 0,
              "all is there already");
}

static void everything_is_copied_from_store_to_store(void)
{
    static const enum memory_store_kind ways[][2] = {
        { MEMORY_STORE_SQLITE, MEMORY_STORE_SQLITE },
        { MEMORY_STORE_SQLITE, MEMORY_STORE_FILES },
        { MEMORY_STORE_FILES, MEMORY_STORE_SQLITE },
    };

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct lab from;
        struct lab to;

        lab_prepare(&from);
        lab_prepare(&to);
        from.options.store = ways[i][0];
        to.options.store = ways[i][1];
        from.options.retention_ms = to.options.retention_ms = YEARS_MS;
        lab_open(&from);
        lab_open(&to);
        fill(&from);
        copy_there_and_look(&from, &to);
        lab_remove(&from);
        lab_remove(&to);
    }
}

static void a_backup_opens_as_a_store(void)
{
    struct lab lab;
    struct lab backup;
    AUTO_FREE char *path = NULL;
    struct err err = { 0 };

    lab_start(&lab);
    lab_prepare(&backup);
    backup.options.retention_ms = YEARS_MS;
    fill(&lab);
    path = xasprintf("%s/threadkeeper.db", backup.directory);
    if (memory_backup(lab.memory, path, NULL, NULL, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(memory_backup(lab.memory, path, NULL, NULL, &err), -1, "nothing is overwritten");
    lab_open(&backup);
    CHECK_TEXT(history_of(backup.memory, "A"), "1:one;2:two;", "all is there");
    lab_remove(&backup);
    lab_remove(&lab);
}

static void a_sweep_erases_what_is_past_its_time(void)
{
    static const char *const lines[] = { "A one", "A two" };
    struct lab lab;
    struct store_swept swept = { 0 };
    struct err err = { 0 };
    int64_t until = clock_now_ms() + LAB_WAIT_MS;

    lab_start(&lab);
    import_texts(&lab, lines, ARRAY_LEN(lines));
    assert_int_equal(memory_field_set(lab.memory, "A", "short", "1", 1, &err), 0);
    while (memory_field_contains(lab.memory, "A", "short", &err))
        assert_true(clock_now_ms() < until);
    if (memory_sweep(lab.memory, &swept, &err) < 0)
        fail_msg("%s", err.message);
    CHECK_INT(swept.fields, 1, "expired");
    CHECK_TEXT(history_of(lab.memory, "A"), "1:one;2:two;", "not yet");
    lab_close(&lab);
    lab.options.retention_ms = 1;
    lab_open(&lab);
    /* Ages are in whole seconds. */
    while (*history_of(lab.memory, "A")) {
        if (memory_sweep(lab.memory, &swept, &err) < 0)
            fail_msg("%s", err.message);
        assert_true(clock_now_ms() < until);
    }
    lab_remove(&lab);
}

TEST_MAIN(TEST(an_import_that_is_begun_again_adds_what_is_missing),
          TEST(a_turn_of_slack_is_known_by_its_ts),
          TEST(what_cannot_be_kept_is_refused_and_the_rest_goes_on),
          TEST(an_import_goes_behind_what_was_said_meanwhile),
          TEST(many_turns_are_imported_quickly_and_in_order),
          TEST(lists_come_in_pages_and_may_be_written_to), TEST(a_reader_writes_nothing),
          TEST(a_search_finds_the_turns_that_say_it),
          TEST(a_search_keeps_the_best_and_tells_how_far_it_is),
          TEST(everything_is_copied_from_store_to_store), TEST(a_backup_opens_as_a_store),
          TEST(a_sweep_erases_what_is_past_its_time))
