#include "memory/pack.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "memory/record.h"
#include "tests/test.h"

static struct memory_turn turn_of(int64_t seq, const char *author, const char *text,
                                  const char *ts)
{
    return (struct memory_turn){ .seq = seq,
                                 .role = *author ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
                                 .author = author,
                                 .text = text,
                                 .slack_ts = ts,
                                 .at_wall_s = 1790000000 + seq };
}

static void add(struct pack *pack, const struct memory_turn *turn)
{
    struct err err = { 0 };

    if (pack_append(pack, turn, &err) < 0)
        fail_msg("cannot append: %s", err.message);
}

static void check_same(const struct memory_turn *got, const struct memory_turn *want,
                       const char *because)
{
    CHECK_INT(got->seq, want->seq, because);
    CHECK_INT(got->role, want->role, because);
    CHECK_TEXT(got->author, want->author, because);
    CHECK_TEXT(got->text, want->text, because);
    CHECK_TEXT(got->slack_ts, want->slack_ts, because);
    CHECK_INT(got->at_wall_s, want->at_wall_s, because);
}

static void gives_back_what_was_put_in(void **state)
{
    static const struct {
        struct memory_turn turn;
        const char *because;
    } cases[] = {
        { { 7, MEMORY_ROLE_USER, "U1", "hello", "1790000000.000100", 1790000001, 0, NULL },
          "a message" },
        { { 8, MEMORY_ROLE_ASSISTANT, "", "", "", 1790000002, 0, NULL }, "nothing but a role" },
        { { 9, MEMORY_ROLE_SYSTEM, "U2", "x", "", 1789999000, 0, NULL }, "a clock set back" },
        { { 900, MEMORY_ROLE_USER, "U1", "y", "1.5", 0, 0, NULL },
          "a gap, a ts of another form" },
        { { 901, MEMORY_ROLE_USER, "U1", "z", "0179000000.000100", -5, 0, NULL },
          "a ts that begins with 0, a time before 1970" },
        { { 902, MEMORY_ROLE_USER, "U3", "z", "99999999999.999999", INT64_MAX, 0, NULL },
          "the largest ts in short form, the end of time" },
        { { 903, MEMORY_ROLE_USER, "U3", "z", "199999999999.999999", INT64_MIN, 0, NULL },
          "a larger ts, the beginning of time" },
        { { 904, MEMORY_ROLE_USER, "U2", "z", "1790000000.00010", 5, 0, NULL }, "five digits" },
        { { 905, MEMORY_ROLE_USER, "U2", "z", "1790000000.0001000", 5, 0, NULL },
          "seven digits" },
        { { INT64_MAX, MEMORY_ROLE_USER, "U2", "z", "not a ts", 5, 0, NULL }, "the last seq" },
    };
    struct pack pack = { 0 };
    struct memory_turn turn;
    char ts[PACK_TS_BYTES];
    size_t offset = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        add(&pack, &cases[i].turn);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t again = offset;

        assert_true(pack_next_with_ts(&pack, &offset, &turn, ts));
        check_same(&turn, &cases[i].turn, cases[i].because);
        assert_true(pack_next(&pack, &again, &turn));
        CHECK_INT(again, offset, "reads the same without a ts");
        assert_null(turn.slack_ts);
    }
    assert_false(pack_next(&pack, &offset, &turn));
    pack_deinit(&pack);
}

static void keeps_an_author_once(void **state)
{
    struct pack pack = { 0 };
    struct memory_turn turn = turn_of(1, "U0123456789", "x", "");
    uint32_t one;

    (void)state;
    add(&pack, &turn);
    one = pack.len;
    for (turn.seq = 2; turn.seq <= 100; turn.seq++)
        add(&pack, &turn);
    CHECK_INT(pack.authors_len, sizeof("U0123456789"), "one name");
    assert_true(pack.len < one + 99 * 12);
    turn.author = "U012345678"; /* the beginning of the other */
    add(&pack, &turn);
    CHECK_INT(pack.authors_len, sizeof("U0123456789") + sizeof("U012345678"), "two names");
    pack_deinit(&pack);
}

static void forgets_the_oldest(void **state)
{
    struct pack pack = { 0 };
    struct memory_turn turn;
    size_t offset = 0;

    (void)state;
    for (int i = 1; i <= 10; i++) {
        turn = turn_of(i, i % 2 ? "U1" : "", "text", "");
        add(&pack, &turn);
    }
    pack_drop(&pack, 0);
    CHECK_INT(pack.count, 10, "none");
    pack_drop(&pack, 3);
    CHECK_INT(pack.count, 7, "three");
    assert_true(pack_next(&pack, &offset, &turn));
    CHECK_INT(turn.seq, 4, "the fourth is the first now");
    turn = turn_of(11, "U1", "later", "");
    add(&pack, &turn);
    pack_drop(&pack, 100);
    CHECK_INT(pack.count, 0, "all");
    assert_null(pack.bytes);
    turn = turn_of(3, "U1", "anew", "");
    add(&pack, &turn);
    pack_deinit(&pack);
}

static void sweeps_out_authors_that_nobody_hears_of_any_more(void **state)
{
    struct pack pack = { 0 };
    struct memory_turn turn;
    size_t offset = 0;
    char author[16];

    (void)state;
    for (int i = 1; i <= 5000; i++) {
        snprintf(author, sizeof(author), "U%d", i);
        turn = turn_of(i, author, "short", "");
        add(&pack, &turn);
        if (pack.count > 20)
            pack_drop(&pack, 1);
        assert_true(pack.authors_len < 1000);
    }
    while (pack_next(&pack, &offset, &turn)) {
        snprintf(author, sizeof(author), "U%" PRId64, turn.seq);
        CHECK_TEXT(turn.author, author, "who said it");
    }
    pack_deinit(&pack);
}

static void refuses_what_has_no_room(void **state)
{
    AUTO_FREE char *text = xcalloc(1, PACK_TEXT_MAX_BYTES + 2);
    struct pack pack = { 0 };
    struct memory_turn turn = turn_of(5, "U1", text, "");
    struct err err = { 0 };

    (void)state;
    memset(text, 'x', PACK_TEXT_MAX_BYTES + 1);
    assert_int_equal(pack_append(&pack, &turn, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    text[PACK_TEXT_MAX_BYTES] = '\0';
    add(&pack, &turn);
    turn.seq = 4;
    assert_int_equal(pack_append(&pack, &turn, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    CHECK_INT(pack.count, 1, "only the one that fits");
    pack_deinit(&pack);
}

static void takes_a_dozen_bytes_beside_the_text(void **state)
{
    struct pack pack = { 0 };
    char text[101] = "";
    char ts[32];

    (void)state;
    memset(text, 'x', 100);
    for (int i = 1; i <= 10; i++) {
        struct memory_turn turn = turn_of(i, i % 2 ? "U0123456789" : "", text, ts);

        turn.at_wall_s += (int64_t)i * 300;
        snprintf(ts, sizeof(ts), "%" PRId64 ".%06d", turn.at_wall_s - i, i * 12345);
        add(&pack, &turn);
    }
    assert_true(pack.len <= 10 * (100 + 14));
    assert_true(pack.capacity < pack.len + 24);
    pack_deinit(&pack);
}

static void gives_back_what_was_reserved(void **state)
{
    struct pack pack = { 0 };
    struct memory_turn turn = turn_of(1, "U1", "text", "");

    (void)state;
    pack_fit(&pack);
    pack_reserve(&pack, 5000);
    assert_true(pack.capacity >= 5000);
    add(&pack, &turn);
    pack_fit(&pack);
    assert_true(pack.capacity < 40);
    pack_deinit(&pack);
}

/* ---- on the disk ------------------------------------------------------------------------- */

static void records_turns_and_their_metadata(void **state)
{
    struct memory_turn turns[2] = { turn_of(1, "U1", "question", "1790000000.000100"),
                                    turn_of(2, "", "answer", "") };
    struct memory_turn turn;
    struct buf bytes;
    size_t offset = 0;

    (void)state;
    turns[1].metadata = "{\"run\":\"r1\"}";
    buf_init(&bytes, 4096);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(record_append(&bytes, 1790000001, &turns[i], NULL), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_true(record_next(buf_text(&bytes), bytes.len, 1790000001, &offset, &turn));
        turn.seq = turns[i].seq; /* the row's */
        check_same(&turn, &turns[i], "as it was");
        CHECK_TEXT(turn.metadata, i ? turns[1].metadata : "", "metadata");
    }
    assert_false(record_next(buf_text(&bytes), bytes.len, 1790000001, &offset, &turn));
    for (size_t len = 0; len < bytes.len; len++) {
        offset = 0;
        while (record_next(buf_text(&bytes), len, 0, &offset, &turn))
            assert_true(offset <= len);
    }
    buf_deinit(&bytes);
}

static void reads_records_of_the_first_version(void **state)
{
    static const char old[] = "\1\0\0\0\7\0\0\0x\0U1\0001.5\0";
    struct memory_turn turn;
    size_t offset = 0;

    (void)state;
    assert_true(record_next(old, sizeof(old) - 1, 100, &offset, &turn));
    CHECK_TEXT(turn.text, "x", "its text");
    CHECK_TEXT(turn.author, "U1", "its author");
    CHECK_TEXT(turn.slack_ts, "1.5", "its ts");
    CHECK_INT(turn.at_wall_s, 107, "its time");
    CHECK_INT(offset, sizeof(old) - 1, "all of it");
}

TEST_MAIN(TEST(gives_back_what_was_put_in), TEST(keeps_an_author_once),
          TEST(forgets_the_oldest), TEST(sweeps_out_authors_that_nobody_hears_of_any_more),
          TEST(refuses_what_has_no_room), TEST(takes_a_dozen_bytes_beside_the_text),
          TEST(gives_back_what_was_reserved), TEST(records_turns_and_their_metadata),
          TEST(reads_records_of_the_first_version))
