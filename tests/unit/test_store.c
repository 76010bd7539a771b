#include "memory/store.h"

#include "memory/db.h"
#include "memory/readers.h"
#include "tests/unit/memory_lab.h"

/* One suite for every backend. A backend that keeps nothing must still keep the manners. */
struct bench {
    struct lab lab;
    struct db *db;
    struct readers *readers;
    struct store *store;
    bool keeps;
};

static void bench_open(struct bench *bench, enum memory_store_kind kind)
{
    AUTO_FREE char *path = NULL;

    lab_prepare(&bench->lab);
    path = xasprintf("%s/%s", bench->lab.directory, DB_FILE_NAME);
    assert_int_equal(db_open(path, DB_ROLE_WRITER, &bench->db, NULL), 0);
    bench->readers = readers_new(path);
    bench->keeps = true;
    bench->store = kind == MEMORY_STORE_NONE ? store_none_new(1 << 20, NULL)
                                             : store_sqlite_new(bench->readers, NULL);
}

static void bench_close(struct bench *bench)
{
    bench->store->ops->free(bench->store);
    readers_free(bench->readers);
    db_close(bench->db);
    assert_int_equal(file_remove_tree(bench->lab.directory, NULL), 0);
}

/* As the journal does it. */
static int apply(struct bench *bench, struct store_mutation *mutations, size_t count,
                 struct err *err)
{
    bool joins = bench->store->ops->joins_journal;
    int rc;

    if (joins)
        assert_int_equal(db_begin(bench->db, err), 0);
    rc =
        bench->store->ops->apply(bench->store, joins ? bench->db : NULL, mutations, count, err);
    if (joins && rc < 0)
        db_rollback(bench->db);
    else if (joins)
        assert_int_equal(db_commit(bench->db, err), 0);
    return rc;
}

static int append(struct bench *bench, const char *key, int64_t seq, const char *text,
                  struct err *err)
{
    struct memory_turn turn = { .seq = seq,
                                .role = seq % 2 ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
                                .author = "U1",
                                .text = text,
                                .slack_ts = "1.5",
                                .at_wall_s = 1790000000 + seq,
                                .tokens = 7 };
    struct store_mutation mutation = {
        .kind = STORE_APPEND_TURN, .key = key, .turn = &turn, .seq = seq
    };

    return apply(bench, &mutation, 1, err);
}

static int change(struct bench *bench, enum store_mutation_kind kind, const char *key,
                  int64_t seq)
{
    struct store_mutation mutation = { .kind = kind, .key = key, .seq = seq };

    return apply(bench, &mutation, 1, NULL);
}

static void collect(void *context, const struct memory_turn *turn)
{
    struct buf *out = context;

    CHECK_TEXT(turn->author, "U1", "author");
    CHECK_TEXT(turn->slack_ts, "1.5", "ts");
    CHECK_INT(turn->at_wall_s, 1790000000 + turn->seq, "time");
    CHECK_INT(turn->role, turn->seq % 2 ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT, "role");
    buf_printf(out, "%lld=%s ", (long long)turn->seq, turn->text);
}

static void check_holds(struct bench *bench, const char *key, size_t max_turns,
                        const char *want, int64_t want_last_seq, int64_t want_window_seq,
                        const char *because)
{
    AUTO_BUF struct buf out = { 0 };
    struct store_head head = { 0 };

    buf_init(&out, 65536);
    assert_int_equal(
        bench->store->ops->load(bench->store, key, max_turns, collect, &out, &head, NULL), 0);
    CHECK_TEXT(buf_text(&out), bench->keeps ? want : "", because);
    CHECK_INT(head.last_seq, bench->keeps ? want_last_seq : 0, because);
    CHECK_INT(head.window_seq, bench->keeps ? want_window_seq : 0, because);
}

static void run_suite(struct bench *bench)
{
    struct err err = { 0 };

    check_holds(bench, "k", 10, "", 0, 0, "no such key");
    assert_int_equal(append(bench, "k", 1, "a", &err), 0);
    assert_int_equal(append(bench, "k", 2, "b", &err), 0);
    assert_int_equal(append(bench, "k", 3, "c", &err), 0);
    assert_int_equal(append(bench, "other", 1, "x", &err), 0);
    check_holds(bench, "k", 10, "1=a 2=b 3=c ", 3, 0, "in order");
    check_holds(bench, "k", 2, "2=b 3=c ", 3, 0, "the last two");
    check_holds(bench, "k", 0, "", 3, 0, "none wanted, but the numbers");

    assert_int_equal(append(bench, "k", 3, "c", &err), 0);
    check_holds(bench, "k", 10, "1=a 2=b 3=c ", 3, 0, "applied twice, kept once");
    if (bench->keeps) {
        assert_int_equal(append(bench, "k", 3, "another", &err), -1);
        CHECK_INT(err.kind, ERR_INPUT, "the place is taken");
        check_holds(bench, "k", 10, "1=a 2=b 3=c ", 3, 0, "what was there stays");
    }

    assert_int_equal(change(bench, STORE_SET_WINDOW, "k", 3), 0);
    check_holds(bench, "k", 10, "3=c ", 3, 3, "from the window on");
    assert_int_equal(change(bench, STORE_SET_WINDOW, "k", 2), 0);
    check_holds(bench, "k", 10, "3=c ", 3, 3, "a window never goes back");
    assert_int_equal(change(bench, STORE_SET_WINDOW, "fresh", 1), 0);
    check_holds(bench, "fresh", 10, "", 0, 1, "a window before the first turn");

    assert_int_equal(append(bench, "k", 4, "d", &err), 0);
    assert_int_equal(change(bench, STORE_TRIM_TURNS, "k", 4), 0);
    check_holds(bench, "k", 10, "4=d ", 4, 3, "trimmed");
    assert_int_equal(change(bench, STORE_TRIM_TURNS, "nobody", 4), 0);
    assert_int_equal(change(bench, STORE_ERASE, "nobody", 0), 0);
    check_holds(bench, "nobody", 10, "", 0, 0, "trimming makes nothing");
    assert_int_equal(change(bench, STORE_ERASE, "k", 0), 0);
    check_holds(bench, "k", 10, "", 0, 0, "erased");
    check_holds(bench, "other", 10, "1=x ", 1, 0, "others are left alone");
    assert_int_equal(append(bench, "k", 1, "anew", &err), 0);
    check_holds(bench, "k", 10, "1=anew ", 1, 0, "and begins anew");
}

static void applies_all_or_nothing(struct bench *bench)
{
    struct memory_turn turns[3] = { 0 };
    struct store_mutation batch[3];
    struct err err = { 0 };

    for (int i = 0; i < 3; i++) {
        turns[i] = (struct memory_turn){
            .seq = i < 2 ? i + 1 : 2, .author = "U1", .text = i < 2 ? "x" : "y", .slack_ts = ""
        };
        batch[i] = (struct store_mutation){
            .kind = STORE_APPEND_TURN, .key = "whole", .turn = &turns[i], .seq = turns[i].seq
        };
    }
    if (bench->keeps)
        assert_int_equal(apply(bench, batch, 3, &err), -1);
    check_holds(bench, "whole", 10, "", 0, 0, "one refused, none applied");
}

static void every_backend_keeps_the_contract(void **state)
{
    static const enum memory_store_kind kinds[] = { MEMORY_STORE_NONE, MEMORY_STORE_SQLITE };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct bench bench = { 0 };

        bench_open(&bench, kinds[i]);
        run_suite(&bench);
        applies_all_or_nothing(&bench);
        bench_close(&bench);
    }
}

static void works_without_a_store(void **state)
{
    struct lab lab;
    AUTO_FREE char *text = NULL;
    AUTO_FREE char *after = NULL;

    (void)state;
    lab_prepare(&lab);
    lab.options.store = MEMORY_STORE_NONE;
    lab.options.durability = MEMORY_DURABILITY_INTERVAL;
    lab_open(&lab);
    lab_record_new(&lab, "Ev1", "1.1");
    lab_say(&lab, "k", "q", "", "a");
    text = lab_context(&lab, "k");
    CHECK_HOLDS(text, "\"a\"", "remembered in RAM");
    assert_int_equal(memory_conversation_reset(lab.memory, "k", NULL), 0);
    lab_restart(&lab);
    after = lab_context(&lab, "k");
    CHECK_TEXT(after, "", "and only there");
    CHECK_INT(lab_record_as(&lab, lab_entry("Ev1", "", ""), false, false, NULL),
              LEDGER_DUPLICATE, "the ledger is on the disk all the same");
    lab_remove(&lab);
}

TEST_MAIN(TEST(every_backend_keeps_the_contract), TEST(works_without_a_store))
