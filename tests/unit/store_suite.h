/*
 * store_suite.h - what every store must do, whatever stands behind it. A backend's own test
 * opens an empty store and calls store_suite_run().
 */
#ifndef TESTS_UNIT_STORE_SUITE_H
#define TESTS_UNIT_STORE_SUITE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "memory/db.h"
#include "memory/store.h"
#include "tests/test.h"

struct store_suite {
    struct store *store;
    struct db *journal_db; /* the writer's connection, for a store that joins the journal */
    bool is_sealed;        /* bytes are counted as they stand in the file */
};

#define SUITE_TEXT_MAX ((size_t)64 << 20)
#define SUITE_WALL_S   1790000000

/* One apply() at a time with a journal, as there; side by side without. */
static pthread_mutex_t suite_journal = PTHREAD_MUTEX_INITIALIZER;

/* As the journal does it. */
static inline int suite_apply(struct store_suite *suite, struct store_mutation *mutations,
                              size_t count, struct err *err)
{
    const struct store_ops *ops = suite->store->ops;
    int rc;

    if (!ops->joins_journal)
        return ops->apply(suite->store, NULL, mutations, count, err);
    pthread_mutex_lock(&suite_journal);
    assert_int_equal(db_begin(suite->journal_db, err), 0);
    rc = ops->apply(suite->store, suite->journal_db, mutations, count, err);
    if (rc < 0)
        db_rollback(suite->journal_db);
    else
        assert_int_equal(db_commit(suite->journal_db, err), 0);
    pthread_mutex_unlock(&suite_journal);
    return rc;
}

/* A mutation that must succeed; its count. */
static inline int64_t suite_do(struct store_suite *suite, struct store_mutation mutation)
{
    struct err err = { 0 };

    if (suite_apply(suite, &mutation, 1, &err) < 0)
        fail_msg("%s: mutation %d of %s fails: %s", suite->store->ops->name, (int)mutation.kind,
                 mutation.key ? mutation.key : "nobody", err.message);
    return mutation.count;
}

/* One that must be refused as ERR_INPUT. */
static inline void suite_refuses(struct store_suite *suite, struct store_mutation mutation,
                                 const char *because)
{
    struct err err = { 0 };

    CHECK_INT(suite_apply(suite, &mutation, 1, &err), -1, because);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
}

static inline struct memory_turn suite_turn(int64_t seq, const char *text)
{
    return (struct memory_turn){ .seq = seq,
                                 .role = seq % 2 ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
                                 .author = seq % 2 ? "U1" : "",
                                 .text = text,
                                 .slack_ts = "1.5",
                                 .at_wall_s = SUITE_WALL_S + seq,
                                 .tokens = 7 };
}

static inline int suite_try_append(struct store_suite *suite, const char *key,
                                   const struct memory_turn *turn, struct err *err)
{
    struct store_mutation mutation = {
        .kind = STORE_APPEND_TURN, .key = key, .turn = turn, .seq = turn->seq
    };

    return suite_apply(suite, &mutation, 1, err);
}

static inline void suite_append(struct store_suite *suite, const char *key, int64_t seq,
                                const char *text)
{
    struct memory_turn turn = suite_turn(seq, text);
    struct err err = { 0 };

    if (suite_try_append(suite, key, &turn, &err) < 0)
        fail_msg("cannot append to %s: %s", key, err.message);
}

static inline void suite_append_as(struct store_suite *suite, const char *key, int64_t seq,
                                   const char *author)
{
    struct memory_turn turn = suite_turn(seq, "something");

    turn.role = MEMORY_ROLE_USER;
    turn.author = author;
    assert_int_equal(suite_try_append(suite, key, &turn, NULL), 0);
}

static inline int64_t suite_change(struct store_suite *suite, enum store_mutation_kind kind,
                                   const char *key, int64_t seq)
{
    return suite_do(suite, (struct store_mutation){ .kind = kind, .key = key, .seq = seq });
}

/* ---- turns ------------------------------------------------------------------------------- */

static inline void suite_print_loaded(void *context, const struct memory_turn *turn)
{
    struct buf *out = context;

    CHECK_TEXT(turn->slack_ts, "1.5", "ts");
    CHECK_INT(turn->at_wall_s, SUITE_WALL_S + turn->seq, "time");
    CHECK_INT(turn->role, turn->seq % 2 ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT, "role");
    CHECK_TEXT(turn->author, turn->seq % 2 ? "U1" : "", "author");
    buf_printf(out, "%lld=%s ", (long long)turn->seq, turn->text);
}

static inline void suite_holds(struct store_suite *suite, const char *key, size_t max_turns,
                               const char *want, int64_t want_last_seq, int64_t want_window_seq,
                               const char *because)
{
    AUTO_BUF struct buf out = { 0 };
    struct store_head head = { 0 };

    buf_init(&out, SUITE_TEXT_MAX);
    assert_int_equal(suite->store->ops->load(suite->store, key, max_turns, suite_print_loaded,
                                             &out, &head, NULL),
                     0);
    CHECK_TEXT(buf_text(&out), want, because);
    CHECK_INT(head.last_seq, want_last_seq, because);
    CHECK_INT(head.window_seq, want_window_seq, because);
}

static inline void suite_keeps_turns(struct store_suite *suite)
{
    struct memory_turn another = suite_turn(3, "another");

    suite_holds(suite, "k", 10, "", 0, 0, "no such key");
    suite_append(suite, "k", 1, "a");
    suite_append(suite, "k", 2, "b");
    suite_append(suite, "k", 3, "c");
    suite_append(suite, "other", 1, "x");
    suite_holds(suite, "k", 10, "1=a 2=b 3=c ", 3, 0, "in order");
    suite_holds(suite, "k", 2, "2=b 3=c ", 3, 0, "the last two");
    suite_holds(suite, "k", 0, "", 3, 0, "none wanted, but the numbers");
    suite_append(suite, "k", 3, "c");
    suite_holds(suite, "k", 10, "1=a 2=b 3=c ", 3, 0, "applied twice, kept once");
    suite_refuses(suite,
                  (struct store_mutation){
                      .kind = STORE_APPEND_TURN, .key = "k", .turn = &another, .seq = 3 },
                  "the place is taken");
    suite_holds(suite, "k", 10, "1=a 2=b 3=c ", 3, 0, "what was there stays");
}

static inline void suite_moves_windows_and_erases(struct store_suite *suite)
{
    suite_change(suite, STORE_SET_WINDOW, "k", 3);
    suite_holds(suite, "k", 10, "3=c ", 3, 3, "from the window on");
    suite_change(suite, STORE_SET_WINDOW, "k", 2);
    suite_holds(suite, "k", 10, "3=c ", 3, 3, "a window never goes back");
    suite_change(suite, STORE_SET_WINDOW, "fresh", 1);
    suite_holds(suite, "fresh", 10, "", 0, 1, "a window before the first turn");

    suite_append(suite, "k", 4, "d");
    suite_append(suite, "k", 5, "e");
    suite_change(suite, STORE_TRIM_TURNS, "k", 4);
    suite_holds(suite, "k", 10, "4=d 5=e ", 5, 3, "trimmed");
    suite_change(suite, STORE_ERASE_TURN, "k", 4);
    suite_change(suite, STORE_ERASE_TURN, "k", 4);
    suite_change(suite, STORE_ERASE_TURN, "k", 99);
    suite_holds(suite, "k", 10, "5=e ", 5, 3, "one turn erased, twice is fine");
    suite_change(suite, STORE_TRIM_TURNS, "nobody", 4);
    suite_change(suite, STORE_ERASE_TURN, "nobody", 4);
    suite_change(suite, STORE_ERASE, "nobody", 0);
    suite_holds(suite, "nobody", 10, "", 0, 0, "erasing makes nothing");
    suite_change(suite, STORE_ERASE, "k", 5);
    suite_holds(suite, "k", 10, "5=e ", 5, 3, "a newer turn has come: not erased");
    suite_change(suite, STORE_ERASE, "k", 6);
    suite_holds(suite, "k", 10, "", 0, 0, "erased");
    suite_holds(suite, "other", 10, "1=x ", 1, 0, "others are left alone");
    suite_append(suite, "k", 1, "anew");
    suite_holds(suite, "k", 10, "1=anew ", 1, 0, "and begins anew");
    suite_change(suite, STORE_ERASE, "k", 0);
    suite_change(suite, STORE_ERASE, "other", 0);
    suite_change(suite, STORE_ERASE, "fresh", 0);
}

static inline void suite_applies_all_or_nothing(struct store_suite *suite)
{
    struct memory_turn turns[3] = { suite_turn(1, "x"), suite_turn(2, "x"),
                                    suite_turn(2, "y") };
    struct store_mutation batch[] = {
        { .kind = STORE_APPEND_TURN, .key = "whole", .turn = &turns[0], .seq = 1 },
        { .kind = STORE_SET_FIELD, .key = "whole", .name = "f", .value = "1" },
        { .kind = STORE_SET_VALUE, .key = "whole:value", .value = "v" },
        { .kind = STORE_APPEND_TURN, .key = "whole", .turn = &turns[1], .seq = 2 },
        { .kind = STORE_APPEND_TURN, .key = "whole", .turn = &turns[2], .seq = 2 },
    };
    struct store_conversation size = { 0 };
    struct store_stats stats = { 0 };
    struct err err = { 0 };

    CHECK_INT(suite_apply(suite, batch, ARRAY_LEN(batch), &err), -1, "the last is refused");
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    suite_holds(suite, "whole", 10, "", 0, 0, "one refused, none applied");
    assert_int_equal(suite->store->ops->size(suite->store, "whole", &size, NULL), 0);
    assert_null(size.key);
    assert_int_equal(suite->store->ops->stats(suite->store, &stats, NULL), 0);
    CHECK_INT(stats.values, 0, "no value either");
    CHECK_INT(suite_apply(suite, batch, ARRAY_LEN(batch) - 1, &err), 0, "without it");
    suite_holds(suite, "whole", 10, "1=x 2=x ", 2, 0, "all applied");
    suite_change(suite, STORE_ERASE, "whole", 0);
    suite_change(suite, STORE_DELETE_VALUE, "whole:value", 0);
}

/* ---- history ----------------------------------------------------------------------------- */

struct suite_seen {
    struct buf out;
    size_t stop_after; /* 0: never */
    size_t count;
};

static inline bool suite_print_turn(void *context, const struct memory_turn *turn)
{
    struct suite_seen *seen = context;

    buf_printf(&seen->out, "%lld=%s ", (long long)turn->seq, turn->text);
    return ++seen->count != seen->stop_after;
}

static inline void suite_history_is(struct store_suite *suite, const char *key,
                                    struct store_range range, size_t stop_after,
                                    const char *want, const char *because)
{
    struct suite_seen seen = { .stop_after = stop_after };

    buf_init(&seen.out, SUITE_TEXT_MAX);
    assert_int_equal(
        suite->store->ops->history(suite->store, key, &range, suite_print_turn, &seen, NULL),
        0);
    CHECK_TEXT(buf_text(&seen.out), want, because);
    buf_deinit(&seen.out);
}

static inline bool suite_count_turn(void *context, const struct memory_turn *turn)
{
    int64_t *last = context;

    CHECK_INT(turn->seq, *last + 1, "no turn is missing, none twice");
    *last = turn->seq;
    return true;
}

static inline bool suite_check_metadata(void *context, const struct memory_turn *turn)
{
    CHECK_TEXT(turn->metadata, context, "metadata");
    return true;
}

static inline void suite_tells_history(struct store_suite *suite)
{
    struct store_range all = { 0 };
    struct memory_turn turn = suite_turn(401, "with");
    int64_t last = 0;

    for (int64_t seq = 1; seq <= 5; seq++)
        suite_append(suite, "h", seq, (const char[]){ (char)('a' + seq - 1), '\0' });
    suite_change(suite, STORE_SET_WINDOW, "h", 4);
    suite_history_is(suite, "h", all, 0, "1=a 2=b 3=c 4=d 5=e ", "whatever the window");
    suite_history_is(suite, "nobody", all, 0, "", "no such key");
    suite_history_is(suite, "h", (struct store_range){ .limit = 2 }, 0, "4=d 5=e ", "newest");
    suite_history_is(suite, "h", (struct store_range){ .from_seq = 2, .before_seq = 4 }, 0,
                     "2=b 3=c ", "by seq");
    suite_history_is(suite, "h", (struct store_range){ .before_seq = 4, .limit = 2 }, 0,
                     "2=b 3=c ", "the newest before");
    suite_history_is(suite, "h",
                     (struct store_range){ .since_wall_s = SUITE_WALL_S + 2,
                                           .until_wall_s = SUITE_WALL_S + 4 },
                     0, "2=b 3=c ", "by time");
    suite_history_is(suite, "h",
                     (struct store_range){ .since_wall_s = SUITE_WALL_S + 2, .limit = 9 }, 0,
                     "2=b 3=c 4=d 5=e ", "fewer than the limit");
    suite_history_is(suite, "h", all, 2, "1=a 2=b ", "stopped by its reader");

    for (int64_t seq = 6; seq <= 400; seq++)
        suite_append(suite, "h", seq, "more");
    assert_int_equal(
        suite->store->ops->history(suite->store, "h", &all, suite_count_turn, &last, NULL), 0);
    CHECK_INT(last, 400, "all of a long one");

    turn.metadata = "{\"from\":\"import\",\"n\":1}";
    assert_int_equal(suite_try_append(suite, "h", &turn, NULL), 0);
    assert_int_equal(
        suite->store->ops->history(suite->store, "h", &(struct store_range){ .from_seq = 401 },
                                   suite_check_metadata, (void *)turn.metadata, NULL),
        0);
    suite_change(suite, STORE_ERASE, "h", 0);
}

/* ---- summaries --------------------------------------------------------------------------- */

static inline bool suite_print_summary(void *context, const struct store_summary *summary)
{
    struct suite_seen *seen = context;

    buf_printf(&seen->out, "%lld:%lld-%lld@%lld(%lld) %s %s %s; ", (long long)summary->version,
               (long long)summary->first_seq, (long long)summary->last_seq,
               (long long)summary->made_wall_s, (long long)summary->tokens, summary->source,
               summary->text, summary->pinned);
    return ++seen->count != seen->stop_after;
}

static inline void suite_summaries_are(struct store_suite *suite, size_t stop_after,
                                       const char *want, const char *because)
{
    struct suite_seen seen = { .stop_after = stop_after };

    buf_init(&seen.out, SUITE_TEXT_MAX);
    assert_int_equal(
        suite->store->ops->summaries(suite->store, "s", suite_print_summary, &seen, NULL), 0);
    CHECK_TEXT(buf_text(&seen.out), want, because);
    buf_deinit(&seen.out);
}

static inline void suite_keeps_summaries(struct store_suite *suite)
{
    struct store_summary one = { .version = 1,
                                 .first_seq = 1,
                                 .last_seq = 5,
                                 .made_wall_s = 100,
                                 .tokens = 9,
                                 .source = "agent",
                                 .text = "short",
                                 .pinned = "E42" };
    struct store_summary two = one;
    struct store_mutation set = { .kind = STORE_SET_SUMMARY, .key = "s", .summary = &one };

    two.version = 2;
    two.last_seq = 8;
    two.source = "extract";
    two.pinned = "";
    suite_summaries_are(suite, 0, "", "no such key");
    suite_append(suite, "s", 1, "a");
    suite_do(suite, set);
    suite_do(suite, set);
    set.summary = &two;
    suite_do(suite, set);
    suite_summaries_are(suite, 0, "2:1-8@100(9) extract short ; 1:1-5@100(9) agent short E42; ",
                        "the newest first, each once");
    suite_summaries_are(suite, 1, "2:1-8@100(9) extract short ; ", "stopped by its reader");
    suite_holds(suite, "s", 10, "1=a ", 1, 0, "turns stay");
    CHECK_INT(suite_change(suite, STORE_DROP_SUMMARIES, "s", 0), 2, "both");
    CHECK_INT(suite_change(suite, STORE_DROP_SUMMARIES, "s", 0), 0, "none is left");
    CHECK_INT(suite_change(suite, STORE_DROP_SUMMARIES, "nobody", 0), 0, "nobody's");
    suite_summaries_are(suite, 0, "", "dropped");
    suite_do(suite, set);
    suite_change(suite, STORE_ERASE, "s", 0);
    suite_summaries_are(suite, 0, "", "erased with its conversation");
    for (int version = 1; version <= STORE_SUMMARIES_MAX + 3; version++) {
        two.version = version;
        suite_do(suite, set);
    }
    CHECK_INT(suite_change(suite, STORE_DROP_SUMMARIES, "s", 0), STORE_SUMMARIES_MAX,
              "the oldest versions go");
    suite_change(suite, STORE_ERASE, "s", 0);
}

/* ---- fields ------------------------------------------------------------------------------ */

static inline bool suite_print_value(void *context, const char *name, const char *value,
                                     int64_t expires_wall_ms)
{
    struct suite_seen *seen = context;

    buf_printf(&seen->out, "%s=%s%s ", name, value, expires_wall_ms ? "!" : "");
    return ++seen->count != seen->stop_after;
}

static inline void suite_fields_are(struct store_suite *suite, const char *key,
                                    const char *name, const char *want, const char *because)
{
    struct suite_seen seen = { 0 };

    buf_init(&seen.out, SUITE_TEXT_MAX);
    assert_int_equal(
        suite->store->ops->fields(suite->store, key, name, suite_print_value, &seen, NULL), 0);
    CHECK_TEXT(buf_text(&seen.out), want, because);
    buf_deinit(&seen.out);
}

static inline struct store_mutation suite_field(const char *name, const char *value,
                                                int64_t expires_wall_ms)
{
    return (struct store_mutation){ .kind = STORE_SET_FIELD,
                                    .key = "f",
                                    .name = name,
                                    .value = value,
                                    .expires_wall_ms = expires_wall_ms };
}

static inline int64_t suite_now_ms(void)
{
    return clock_wall_us() / 1000;
}

static inline void suite_keeps_fields(struct store_suite *suite)
{
    int64_t soon = suite_now_ms() + 3600000;
    struct store_mutation change = { .kind = STORE_DELETE_FIELD, .key = "f", .name = "b" };

    suite_fields_are(suite, "f", NULL, "", "no such key");
    suite_do(suite, suite_field("b", "{\"x\":1}", 0));
    suite_do(suite, suite_field("a", "\"text\"", soon));
    suite_do(suite, suite_field("gone", "1", suite_now_ms() - 1));
    suite_fields_are(suite, "f", NULL, "a=\"text\"! b={\"x\":1} ", "by name, not the expired");
    suite_fields_are(suite, "f", "b", "b={\"x\":1} ", "one");
    suite_fields_are(suite, "f", "gone", "", "expired");
    suite_fields_are(suite, "f", "none", "", "never there");
    suite_do(suite, suite_field("a", "2", 0));
    suite_fields_are(suite, "f", "a", "a=2 ", "set anew, expiry and all");
    suite_holds(suite, "f", 10, "", 0, 0, "no turns in it");

    CHECK_INT(suite_do(suite, change), 1, "it was there");
    CHECK_INT(suite_do(suite, change), 0, "it was not");
    change.name = "gone";
    CHECK_INT(suite_do(suite, change), 0, "expired is not there");
    suite_do(suite, suite_field("c", "3", 0));
    change = (struct store_mutation){ .kind = STORE_EXPIRE_FIELDS,
                                      .key = "f",
                                      .expires_wall_ms = soon };
    CHECK_INT(suite_do(suite, change), 2, "each");
    suite_fields_are(suite, "f", NULL, "a=2! c=3! ", "with an expiry");
    change.kind = STORE_CLEAR_FIELDS;
    CHECK_INT(suite_do(suite, change), 2, "both");
    CHECK_INT(suite_do(suite, change), 0, "none is left");
    suite_fields_are(suite, "f", NULL, "", "cleared");
    suite_do(suite, suite_field("d", "4", 0));
    suite_change(suite, STORE_ERASE, "f", 0);
    suite_fields_are(suite, "f", NULL, "", "erased with its conversation");
}

struct suite_edit {
    const char *name;
    enum store_edit edit;
    const char *value;
    int64_t index;
    int64_t want_count;
    const char *want_result;
    const char *want_field;
    const char *because;
};

static inline void suite_edits(struct store_suite *suite, const struct suite_edit *row)
{
    struct buf result;
    AUTO_FREE char *want = xasprintf("%s=%s ", row->name, row->want_field);
    int64_t count;

    buf_init(&result, 1024);
    buf_append_text(&result, "what was there before");
    count = suite_do(suite, (struct store_mutation){ .kind = STORE_EDIT_FIELD,
                                                     .key = "e",
                                                     .name = row->name,
                                                     .edit = row->edit,
                                                     .value = row->value,
                                                     .index = row->index,
                                                     .result = &result });
    CHECK_INT(count, row->want_count, row->because);
    CHECK_TEXT(buf_text(&result), row->want_result, row->because);
    suite_fields_are(suite, "e", row->name, *row->want_field ? want : "", row->because);
    buf_deinit(&result);
}

static inline void suite_edits_lists(struct store_suite *suite)
{
    static const struct suite_edit rows[] = {
        { "l", STORE_EDIT_POP, NULL, 0, 0, "", "", "no list: nothing to pop" },
        { "l", STORE_EDIT_REMOVE, "1", 0, 0, "", "", "no list: nothing to remove" },
        { "l", STORE_EDIT_EXTEND, "[1,\"b\"]", 0, 2, "", "[1,\"b\"]", "made by extending" },
        { "l", STORE_EDIT_EXTEND, "[[2]]", 0, 3, "", "[1,\"b\",[2]]", "append one" },
        { "l", STORE_EDIT_EXTEND, "[]", 0, 3, "", "[1,\"b\",[2]]", "by nothing" },
        { "l", STORE_EDIT_INSERT, "0", 0, 4, "", "[0,1,\"b\",[2]]", "in front" },
        { "l", STORE_EDIT_INSERT, "9", 99, 5, "", "[0,1,\"b\",[2],9]", "beyond: at the end" },
        { "l", STORE_EDIT_INSERT, "8", -1, 6, "", "[0,1,\"b\",[2],9,8]", "below: at the end" },
        { "l", STORE_EDIT_REMOVE, "\"b\"", 0, 1, "", "[0,1,[2],9,8]", "the first equal one" },
        { "l", STORE_EDIT_REMOVE, "\"b\"", 0, 0, "", "[0,1,[2],9,8]", "there is no other" },
        { "l", STORE_EDIT_REMOVE, "[2]", 0, 1, "", "[0,1,9,8]", "equal, whatever it is" },
        { "l", STORE_EDIT_POP, NULL, 0, 1, "8", "[0,1,9]", "the last" },
        { "m", STORE_EDIT_MERGE, "{\"a\":1}", 0, 1, "", "{\"a\":1}", "made by merging" },
        { "m", STORE_EDIT_MERGE, "{\"b\":2,\"a\":3}", 0, 2, "", "{\"a\":3,\"b\":2}",
          "over it" },
        { "n", STORE_EDIT_INSERT, "{}", 5, 1, "", "[{}]", "made by inserting" },
    };
    struct store_mutation edit = { .kind = STORE_EDIT_FIELD,
                                   .key = "e",
                                   .name = "l",
                                   .edit = STORE_EDIT_MERGE,
                                   .value = "{}" };
    int64_t soon = suite_now_ms() + 3600000;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        suite_edits(suite, &rows[i]);
    suite_refuses(suite, edit, "a list is no object");
    edit.name = "m";
    edit.edit = STORE_EDIT_EXTEND;
    edit.value = "[1]";
    suite_refuses(suite, edit, "an object is no list");
    edit.name = "l";
    edit.value = "1";
    suite_refuses(suite, edit, "extended by no list");
    edit.value = "[1";
    suite_refuses(suite, edit, "no JSON");
    suite_fields_are(suite, "e", NULL, "l=[0,1,9] m={\"a\":3,\"b\":2} n=[{}] ", "unchanged");

    edit.name = "kept";
    edit.value = "[1]";
    edit.expires_wall_ms = soon;
    suite_do(suite, edit);
    edit.expires_wall_ms = 0;
    suite_do(suite, edit);
    suite_fields_are(suite, "e", "kept", "kept=[1,1]! ", "an edit keeps the expiry");
    suite_change(suite, STORE_ERASE, "e", 0);
}

#define SUITE_EACH 40

static inline void *suite_writer(void *context)
{
    struct store_suite *suite = context;

    for (int i = 0; i < SUITE_EACH; i++)
        suite_do(suite, (struct store_mutation){ .kind = STORE_EDIT_FIELD,
                                                 .key = "w",
                                                 .name = "list",
                                                 .edit = STORE_EDIT_EXTEND,
                                                 .value = "[1]" });
    return NULL;
}

static inline void suite_keeps_what_two_append(struct store_suite *suite)
{
    pthread_t other;
    int64_t count;

    assert_int_equal(pthread_create(&other, NULL, suite_writer, suite), 0);
    suite_writer(suite);
    pthread_join(other, NULL);
    count = suite_do(suite, (struct store_mutation){ .kind = STORE_EDIT_FIELD,
                                                     .key = "w",
                                                     .name = "list",
                                                     .edit = STORE_EDIT_EXTEND,
                                                     .value = "[]" });
    CHECK_INT(count, 2 * SUITE_EACH, "each element of both");
    suite_change(suite, STORE_ERASE, "w", 0);
}

/* ---- people ------------------------------------------------------------------------------ */

static inline bool suite_print_item(void *context, const struct store_item *item)
{
    struct suite_seen *seen = context;

    buf_printf(&seen->out, "%s=%s %s/%lld %lld-%lld; ", item->name, item->value,
               item->conversation, (long long)item->seq, (long long)item->created_wall_s,
               (long long)item->updated_wall_s);
    return ++seen->count != seen->stop_after;
}

static inline void suite_items_are(struct store_suite *suite, const char *user,
                                   enum store_item_kind kind, const char *want,
                                   const char *because)
{
    struct suite_seen seen = { 0 };

    buf_init(&seen.out, SUITE_TEXT_MAX);
    assert_int_equal(
        suite->store->ops->items(suite->store, user, kind, suite_print_item, &seen, NULL), 0);
    CHECK_TEXT(buf_text(&seen.out), want, because);
    buf_deinit(&seen.out);
}

static inline void suite_set_item(struct store_suite *suite, enum store_item_kind kind,
                                  const char *name, const char *value, int64_t wall_s)
{
    struct store_item item = { .user = "T1/U1",
                               .kind = kind,
                               .name = name,
                               .value = value,
                               .conversation = "k",
                               .seq = 3,
                               .created_wall_s = wall_s,
                               .updated_wall_s = wall_s };

    suite_do(suite, (struct store_mutation){ .kind = STORE_SET_ITEM, .item = &item });
}

static inline void suite_keeps_people(struct store_suite *suite)
{
    struct store_mutation change = {
        .kind = STORE_DELETE_ITEM, .user = "T1/U1", .item_kind = STORE_ITEM_FACT, .name = "role"
    };

    suite_set_item(suite, STORE_ITEM_PREFERENCE, "language", "\"de\"", 10);
    suite_set_item(suite, STORE_ITEM_PREFERENCE, "language", "\"fr\"", 20);
    suite_set_item(suite, STORE_ITEM_FACT, "role", "\"cook\"", 30);
    suite_set_item(suite, STORE_ITEM_FACT, "name", "\"Ada\"", 40);
    suite_items_are(suite, "T1/U1", STORE_ITEM_PREFERENCE, "language=\"fr\" k/3 10-20; ",
                    "created the first time");
    suite_items_are(suite, "T1/U1", STORE_ITEM_FACT,
                    "name=\"Ada\" k/3 40-40; role=\"cook\" k/3 30-30; ", "by name");
    suite_items_are(suite, "T1/U2", STORE_ITEM_FACT, "", "somebody else");
    CHECK_INT(suite_do(suite, change), 1, "it was there");
    CHECK_INT(suite_do(suite, change), 0, "it was not");
    suite_items_are(suite, "T1/U1", STORE_ITEM_FACT, "name=\"Ada\" k/3 40-40; ", "one gone");
    change.name = "";
    CHECK_INT(suite_do(suite, change), 1, "all of a kind");
    suite_items_are(suite, "T1/U1", STORE_ITEM_PREFERENCE, "language=\"fr\" k/3 10-20; ",
                    "the other kind stays");
    change.item_kind = STORE_ITEM_PREFERENCE;
    CHECK_INT(suite_do(suite, change), 1, "all of that kind");
    suite_items_are(suite, "T1/U1", STORE_ITEM_PREFERENCE, "", "gone");
}

/* ---- values ------------------------------------------------------------------------------ */

static inline void suite_values_are(struct store_suite *suite, const char *key, bool is_pattern,
                                    const char *after, size_t limit, const char *want,
                                    const char *because)
{
    struct suite_seen seen = { 0 };

    buf_init(&seen.out, SUITE_TEXT_MAX);
    assert_int_equal(suite->store->ops->values(suite->store, key, is_pattern, after, limit,
                                               suite_print_value, &seen, NULL),
                     0);
    CHECK_TEXT(buf_text(&seen.out), want, because);
    buf_deinit(&seen.out);
}

static inline struct store_mutation suite_value(enum store_mutation_kind kind, const char *key,
                                                const char *value, int64_t expires_wall_ms)
{
    return (struct store_mutation){
        .kind = kind, .key = key, .value = value, .expires_wall_ms = expires_wall_ms
    };
}

static inline void suite_keeps_values(struct store_suite *suite)
{
    int64_t soon = suite_now_ms() + 3600000;

    suite_do(suite, suite_value(STORE_SET_VALUE, "n:a:2", "two", 0));
    suite_do(suite, suite_value(STORE_SET_VALUE, "n:a:1", "one", soon));
    suite_do(suite, suite_value(STORE_SET_VALUE, "n:b:1", "", 0));
    suite_do(suite, suite_value(STORE_SET_VALUE, "n:a:0", "past", suite_now_ms() - 1));
    suite_values_are(suite, "n:a:1", false, "", 0, "n:a:1=one! ", "by its key");
    suite_values_are(suite, "n:a:*", false, "", 0, "", "a key is no pattern");
    suite_values_are(suite, "n:a:0", false, "", 0, "", "expired");
    suite_values_are(suite, "n:a:*", true, "", 0, "n:a:1=one! n:a:2=two ", "by pattern");
    suite_values_are(suite, "n:?:1", true, "", 0, "n:a:1=one! n:b:1= ", "one character");
    suite_values_are(suite, "n:a:2", true, "", 0, "n:a:2=two ", "a pattern without stars");
    suite_values_are(suite, "n:*", true, "n:a:1", 1, "n:a:2=two ", "a page");
    suite_values_are(suite, "", true, "n:a:2", 0, "n:b:1= ", "all after");

    suite_do(suite, suite_value(STORE_SET_VALUE, "n:a:2", "again", 0));
    suite_values_are(suite, "n:a:2", false, "", 0, "n:a:2=again ", "replaced");
    CHECK_INT(suite_do(suite, suite_value(STORE_EXPIRE_VALUE, "n:a:2", NULL, soon)), 1,
              "there");
    CHECK_INT(suite_do(suite, suite_value(STORE_EXPIRE_VALUE, "n:no", NULL, soon)), 0, "not");
    suite_values_are(suite, "n:a:2", false, "", 0, "n:a:2=again! ", "with an expiry");
    CHECK_INT(suite_do(suite, suite_value(STORE_DELETE_VALUE, "n:a:2", NULL, 0)), 1, "there");
    CHECK_INT(suite_do(suite, suite_value(STORE_DELETE_VALUE, "n:a:2", NULL, 0)), 0, "not");
    CHECK_INT(suite_do(suite, suite_value(STORE_DELETE_VALUE, "n:a:0", NULL, 0)), 0, "expired");
    CHECK_INT(suite_do(suite, suite_value(STORE_DELETE_VALUES, "n:*:1", NULL, 0)), 2, "both");
    suite_values_are(suite, "", true, "", 0, "", "none is left");
}

static inline bool suite_take_expiry(void *context, const char *name, const char *value,
                                     int64_t expires_wall_ms)
{
    (void)name;
    (void)value;
    *(int64_t *)context = expires_wall_ms;
    return true;
}

static inline void suite_expiry_is(struct store_suite *suite, const char *key, int64_t want,
                                   const char *because)
{
    int64_t expires_wall_ms = -1;

    assert_int_equal(suite->store->ops->values(suite->store, key, false, "", 0,
                                               suite_take_expiry, &expires_wall_ms, NULL),
                     0);
    CHECK_INT(expires_wall_ms, want, because);
}

static inline void suite_counts(struct store_suite *suite)
{
    int64_t soon = suite_now_ms() + 3600000;
    struct store_mutation add = {
        .kind = STORE_ADD_VALUE, .key = "c", .number = 5, .expires_wall_ms = soon
    };

    CHECK_INT(suite_do(suite, add), 5, "absent is 0");
    add.expires_wall_ms = soon + 1000;
    add.number = -7;
    CHECK_INT(suite_do(suite, add), -2, "the sum");
    suite_expiry_is(suite, "c", soon, "of its creation");
    CHECK_INT(suite_do(suite, suite_value(STORE_EXPIRE_VALUE, "c", NULL, suite_now_ms() - 1)),
              1, "there");
    CHECK_INT(suite_do(suite, add), -7, "expired: counted anew");
    suite_expiry_is(suite, "c", soon + 1000, "of this creation");
    suite_do(suite, suite_value(STORE_SET_VALUE, "c", "many", 0));
    suite_refuses(suite, add, "no number");
    suite_do(suite, suite_value(STORE_SET_VALUE, "c", "9223372036854775807", 0));
    add.number = 1;
    suite_refuses(suite, add, "too much");
    suite_values_are(suite, "c", false, "", 0, "c=9223372036854775807 ", "as it was");
    suite_do(suite, suite_value(STORE_DELETE_VALUE, "c", NULL, 0));
}

/* ---- lists and figures ------------------------------------------------------------------- */

static inline bool suite_print_key(void *context, const struct store_conversation *conversation)
{
    struct suite_seen *seen = context;

    buf_printf(&seen->out, "%s ", conversation->key);
    return ++seen->count != seen->stop_after;
}

static inline void suite_list_is(struct store_suite *suite, struct store_list list,
                                 const char *want, const char *because)
{
    struct suite_seen seen = { 0 };

    buf_init(&seen.out, SUITE_TEXT_MAX);
    assert_int_equal(suite->store->ops->list(suite->store, &list, suite_print_key, &seen, NULL),
                     0);
    CHECK_TEXT(buf_text(&seen.out), want, because);
    buf_deinit(&seen.out);
}

static inline void suite_lists(struct store_suite *suite)
{
    suite_append_as(suite, "U1:C1:2", 1, "U1");
    suite_append_as(suite, "U1:C1:1", 1, "U1");
    suite_append_as(suite, "shared", 1, "U1");
    suite_append_as(suite, "shared", 2, "U2");
    suite_append_as(suite, "U2:C[1]:3", 1, "U2");
    suite_list_is(suite, (struct store_list){ "", "", "", 0 },
                  "U1:C1:1 U1:C1:2 U2:C[1]:3 shared ", "in order of key");
    suite_list_is(suite, (struct store_list){ NULL, NULL, NULL, 0 },
                  "U1:C1:1 U1:C1:2 U2:C[1]:3 shared ", "NULL is \"\"");
    suite_list_is(suite, (struct store_list){ "", "", "U1:C1:2", 1 }, "U2:C[1]:3 ", "a page");
    suite_list_is(suite, (struct store_list){ "", "U1:*", "", 0 }, "U1:C1:1 U1:C1:2 ", "*");
    suite_list_is(suite, (struct store_list){ "", "*:C??:*", "", 0 }, "", "? is one character");
    suite_list_is(suite, (struct store_list){ "", "*:C?:?", "", 0 }, "U1:C1:1 U1:C1:2 ", "?");
    suite_list_is(suite, (struct store_list){ "", "*:C[1]:*", "", 0 }, "U2:C[1]:3 ",
                  "a bracket is a bracket");
    suite_list_is(suite, (struct store_list){ "", "shared", "", 0 }, "shared ", "itself");
    suite_list_is(suite, (struct store_list){ "U2", "", "", 0 }, "U2:C[1]:3 shared ", "who");
    suite_list_is(suite, (struct store_list){ "U2", "s*", "", 0 }, "shared ", "who and what");
    suite_list_is(suite, (struct store_list){ "U1", "", "U1:C1:1", 1 }, "U1:C1:2 ",
                  "who, paged");
    suite_list_is(suite, (struct store_list){ "U9", "", "", 0 }, "", "nobody");
    suite_change(suite, STORE_ERASE_TURN, "shared", 2);
    suite_list_is(suite, (struct store_list){ "U2", "", "", 0 }, "U2:C[1]:3 ",
                  "who has no word left in it");
    suite_change(suite, STORE_ERASE, "U2:C[1]:3", 0);
    suite_list_is(suite, (struct store_list){ "U2", "", "", 0 }, "", "erased");
    suite_change(suite, STORE_ERASE, "U1:C1:1", 0);
    suite_change(suite, STORE_ERASE, "U1:C1:2", 0);
    suite_change(suite, STORE_ERASE, "shared", 0);
}

struct suite_page {
    struct store_suite *suite;
    char last[64];
    int count;
};

/* Asks the store again from inside, as who lists does. */
static inline bool suite_take_key(void *context, const struct store_conversation *conversation)
{
    struct suite_page *page = context;
    struct store_conversation size = { 0 };

    assert_int_equal(
        page->suite->store->ops->size(page->suite->store, conversation->key, &size, NULL), 0);
    assert_true(strcmp(conversation->key, page->last) > 0);
    snprintf(page->last, sizeof(page->last), "%s", conversation->key);
    page->count++;
    return true;
}

#define SUITE_PAGED 300

static inline void suite_pages_while_rows_go(struct store_suite *suite)
{
    struct suite_page page = { .suite = suite };
    struct store_list list = { "", "p*", page.last, 7 };
    char key[64];
    int before;
    int erased_ahead = 0;

    for (int i = 0; i < SUITE_PAGED; i++) {
        snprintf(key, sizeof(key), "p%05d", i);
        suite_append(suite, key, 1, "x");
    }
    do {
        before = page.count;
        list.after = page.last;
        assert_int_equal(
            suite->store->ops->list(suite->store, &list, suite_take_key, &page, NULL), 0);
        if (page.count > 100 || page.count == before)
            continue;
        suite_change(suite, STORE_ERASE, page.last, 0); /* where the cursor stands */
        snprintf(key, sizeof(key), "p%05d", 200 + page.count / 7);
        suite_change(suite, STORE_ERASE, key, 0); /* and one ahead */
        erased_ahead++;
    } while (page.count > before);
    CHECK_INT(page.count, SUITE_PAGED - erased_ahead, "each once, none passed over");
    for (int i = 0; i < SUITE_PAGED; i++) {
        snprintf(key, sizeof(key), "p%05d", i);
        suite_change(suite, STORE_ERASE, key, 0);
    }
    suite_list_is(suite, (struct store_list){ 0 }, "", "all erased");
}

static inline void suite_size_is(struct store_suite *suite, const char *key, int64_t turns,
                                 int64_t bytes, int64_t first_seq, const char *because)
{
    struct store_conversation size = { 0 };

    assert_int_equal(suite->store->ops->size(suite->store, key, &size, NULL), 0);
    CHECK_TEXT(size.key, key, because);
    CHECK_INT(size.turns, turns, because);
    if (!suite->is_sealed)
        CHECK_INT(size.bytes, bytes, because);
    CHECK_INT(size.first_wall_s, first_seq ? SUITE_WALL_S + first_seq : 0, because);
}

static inline void suite_measures(struct store_suite *suite)
{
    struct store_conversation size = { .key = "x" };
    struct store_stats stats = { 0 };
    struct store_summary summary = { .version = 1, .source = "agent", .text = "t" };

    assert_int_equal(suite->store->ops->size(suite->store, "nobody", &size, NULL), 0);
    assert_null(size.key);
    suite_append(suite, "z", 1, "12345");
    suite_append(suite, "z", 2, "\xc3\xa4"); /* two bytes */
    suite_append(suite, "z", 3, "678");
    suite_append(suite, "z", 3, "678");
    suite_size_is(suite, "z", 3, 10, 1, "applied twice, counted once");
    suite_change(suite, STORE_TRIM_TURNS, "z", 2);
    suite_size_is(suite, "z", 2, 5, 2, "trimmed");
    suite_change(suite, STORE_ERASE_TURN, "z", 2);
    suite_size_is(suite, "z", 1, 3, 3, "erased");
    suite_do(suite, (struct store_mutation){
                        .kind = STORE_SET_SUMMARY, .key = "z", .summary = &summary });
    suite_do(suite, (struct store_mutation){
                        .kind = STORE_SET_FIELD, .key = "z", .name = "f", .value = "1" });
    suite_do(suite, suite_value(STORE_SET_VALUE, "v", "1", 0));
    suite_set_item(suite, STORE_ITEM_FACT, "role", "\"cook\"", 30);
    assert_int_equal(suite->store->ops->size(suite->store, "z", &size, NULL), 0);
    CHECK_INT(size.last_seq, 3, "last seq");
    CHECK_INT(size.summaries, 1, "summaries");
    CHECK_INT(size.fields, 1, "fields");
    assert_true(size.used_wall_s >= SUITE_WALL_S + 3);

    assert_int_equal(suite->store->ops->stats(suite->store, &stats, NULL), 0);
    CHECK_INT(stats.conversations, 1, "conversations");
    CHECK_INT(stats.turns, 1, "turns");
    assert_true(suite->is_sealed ? stats.bytes > 3 : stats.bytes == 3);
    CHECK_INT(stats.summaries, 1, "summaries");
    CHECK_INT(stats.fields, 1, "fields");
    CHECK_INT(stats.people, 2, "who spoke, and who is known");
    CHECK_INT(stats.items, 1, "items");
    CHECK_INT(stats.values, 1, "values");
    suite_change(suite, STORE_ERASE, "z", 0);
    suite_do(suite, suite_value(STORE_DELETE_VALUE, "v", NULL, 0));
    suite_do(suite, (struct store_mutation){ .kind = STORE_DELETE_ITEM,
                                             .user = "T1/U1",
                                             .item_kind = STORE_ITEM_FACT,
                                             .name = "" });
    assert_int_equal(suite->store->ops->stats(suite->store, &stats, NULL), 0);
    CHECK_INT(stats.conversations + stats.turns + stats.bytes + stats.summaries + stats.fields +
                  stats.people + stats.items + stats.values,
              0, "nothing is left");
}

/* ---- anything goes ----------------------------------------------------------------------- */

static inline void suite_takes_any_key(struct store_suite *suite)
{
    char *long_key = xcalloc(1, 2049);
    const char *keys[] = { "it's \"quoted\"",
                           "50%_off",
                           "a/b/../c",
                           "..",
                           ".",
                           "./x",
                           "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
                           "K",
                           "k",
                           "with space ",
                           "tab\tand\nline",
                           "*?[a-z]",
                           "back\\slash",
                           "~",
                           "-rf",
                           "a.json",
                           "T1/U1:C1:1.5",
                           long_key };

    memset(long_key, 'x', 2048);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        suite_append(suite, keys[i], 1, keys[i]);
        suite_do(suite,
                 (struct store_mutation){
                     .kind = STORE_SET_FIELD, .key = keys[i], .name = keys[i], .value = "1" });
        suite_do(suite, suite_value(STORE_SET_VALUE, keys[i], keys[i], 0));
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        AUTO_FREE char *turn = xasprintf("1=%s ", keys[i]);
        AUTO_FREE char *field = xasprintf("%s=1 ", keys[i]);
        AUTO_FREE char *value = xasprintf("%s=%s ", keys[i], keys[i]);

        suite_holds(suite, keys[i], 10, turn, 1, 0, keys[i]);
        suite_fields_are(suite, keys[i], NULL, field, keys[i]);
        suite_values_are(suite, keys[i], false, "", 0, value, keys[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        suite_change(suite, STORE_ERASE, keys[i], 0);
        suite_holds(suite, keys[i], 10, "", 0, 0, keys[i]);
        CHECK_INT(suite_change(suite, STORE_DELETE_VALUE, keys[i], 0), 1, keys[i]);
    }
    free(long_key);
}

static inline void suite_takes_any_text(struct store_suite *suite)
{
    size_t len = (size_t)4 << 20;
    char *big = xcalloc(1, len + 1);
    AUTO_FREE char *want = NULL;

    memset(big, 'y', len);
    suite_append(suite, "big", 1, big);
    suite_append(suite, "big", 2, "\"\\\t\r\n\x01\x1f{}[] \xe2\x80\xa8 \xf0\x9f\x98\x80");
    suite_append(suite, "big", 3, "");
    want = xasprintf("1=%s 2=\"\\\t\r\n\x01\x1f{}[] \xe2\x80\xa8 \xf0\x9f\x98\x80 3= ", big);
    suite_holds(suite, "big", 10, want, 3, 0, "to the byte");
    suite_history_is(suite, "big", (struct store_range){ 0 }, 0, want, "to the byte");
    suite_size_is(suite, "big", 3, (int64_t)len + 20, 1, "its bytes");
    suite_change(suite, STORE_ERASE, "big", 0);
    free(big);
}

/* ---- time -------------------------------------------------------------------------------- */

static inline struct store_swept suite_sweep(struct store_suite *suite, int64_t before_wall_s)
{
    struct store_swept swept = { 0 };
    struct err err = { 0 };
    int rc;

    do {
        rc = suite->store->ops->sweep(suite->store, suite->journal_db, before_wall_s, &swept,
                                      &err);
    } while (rc > 0);
    CHECK_INT(rc, 0, err.message);
    return swept;
}

static inline void suite_sweeps(struct store_suite *suite)
{
    struct store_swept swept;
    struct err err = { 0 };

    /* Said long ago, stored now: an import. */
    for (int64_t seq = 1; seq <= 700; seq++) {
        struct memory_turn turn = suite_turn(seq, "old");

        turn.at_wall_s = 1000;
        assert_int_equal(suite_try_append(suite, "old", &turn, NULL), 0);
    }
    suite_append(suite, "one", 1, "x");
    suite_do(suite, suite_field("stays", "1", 0));
    suite_do(suite, suite_field("goes", "1", suite_now_ms() - 1000));
    suite_do(suite, suite_value(STORE_SET_VALUE, "goes", "1", suite_now_ms() - 1000));
    suite_do(suite, suite_value(STORE_SET_VALUE, "stays", "1", 0));

    swept = suite_sweep(suite, clock_wall_s() - 100000);
    CHECK_INT(swept.conversations, 0, "what was stored just now stays, however old it is");
    CHECK_INT(swept.turns, 0, "turns as well");
    CHECK_INT(swept.fields, 1, "expired");
    CHECK_INT(swept.values, 1, "expired");
    suite_list_is(suite, (struct store_list){ 0 }, "f old one ", "all there");

    swept = suite_sweep(suite, clock_wall_s() + 100);
    CHECK_INT(swept.conversations, 3, "all are older than that");
    CHECK_INT(swept.turns, 701, "with their turns");
    suite_list_is(suite, (struct store_list){ 0 }, "", "none is left");
    suite_values_are(suite, "", true, "", 0, "stays=1 ", "values have their own expiry");
    suite_do(suite, suite_value(STORE_DELETE_VALUE, "stays", NULL, 0));
    CHECK_INT(suite->store->ops->scrub(suite->store, suite->journal_db, &err), 0, err.message);
}

/* Everything, on an empty store, which is empty again afterwards. */
static inline void store_suite_run(struct store_suite *suite)
{
    suite_keeps_turns(suite);
    suite_moves_windows_and_erases(suite);
    suite_applies_all_or_nothing(suite);
    suite_tells_history(suite);
    suite_keeps_summaries(suite);
    suite_keeps_fields(suite);
    suite_edits_lists(suite);
    suite_keeps_what_two_append(suite);
    suite_keeps_people(suite);
    suite_keeps_values(suite);
    suite_counts(suite);
    suite_lists(suite);
    suite_pages_while_rows_go(suite);
    suite_measures(suite);
    suite_takes_any_key(suite);
    suite_takes_any_text(suite);
    suite_sweeps(suite);
}

#endif
