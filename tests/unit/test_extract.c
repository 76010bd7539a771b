#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/summary.h"
#include "memory/summary_text.h"
#include "tests/test.h"

#define OUT_MAX ((size_t)65536)

/* ---- sentences --------------------------------------------------------------------------- */

struct split {
    const char *text;
    const char *sentences; /* joined by | */
};

static const struct split splits[] = {
    { "We use JWT. It expires after 15 minutes.", "We use JWT.|It expires after 15 minutes." },
    { "Is it on? Yes! Good...", "Is it on?|Yes!|Good..." },
    { "See auth.c, e.g. line 42. Then stop.", "See auth.c, e.g. line 42.|Then stop." },
    { "Version 1.2.3 is out. Use it", "Version 1.2.3 is out.|Use it" },
    { "J. Smith wrote it. (Really.) Yes.", "J. Smith wrote it.|(Really.)|Yes." },
    { "認証にはJWTを使います。期限は15分です。", "認証にはJWTを使います。|期限は15分です。" },
    { "我们决定用 PostgreSQL。为什么？", "我们决定用 PostgreSQL。|为什么？" },
    { "हम JWT का उपयोग करते हैं। ठीक है।", "हम JWT का उपयोग करते हैं।|ठीक है।" },
    { "هل يعمل؟ نعم", "هل يعمل؟|نعم" },
    { "  ", "" },
    { "", "" },
};

static void sentences_end_where_their_language_says(void)
{
    for (size_t i = 0; i < ARRAY_LEN(splits); i++) {
        struct summary_span rest = { splits[i].text, strlen(splits[i].text) };
        struct summary_span sentence;
        AUTO_BUF struct buf got = { 0 };

        buf_init(&got, OUT_MAX);
        while (summary_take_sentence(&rest, &sentence)) {
            if (got.len)
                buf_append_char(&got, '|');
            buf_append(&got, sentence.text, sentence.len);
        }
        CHECK_TEXT(buf_text(&got), splits[i].sentences, splits[i].text);
    }
}

static void a_question_is_known_in_several_scripts(void)
{
    static const char *const questions[] = { "Why?", "(really?)", "なぜ？", "لماذا؟" };

    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        struct summary_span span = { questions[i], strlen(questions[i]) };

        CHECK_INT(summary_is_question(span), true, questions[i]);
    }
    assert_false(summary_is_question((struct summary_span){ "Why not.", 8 }));
    assert_false(summary_is_question((struct summary_span){ "", 0 }));
}

static void words_count_without_case_and_inflection(void)
{
    uint64_t a[8];
    uint64_t b[8];

    assert_int_equal(summary_terms((struct summary_span){ "Decided", 7 }, a, 8), 1);
    assert_int_equal(summary_terms((struct summary_span){ "decides!", 8 }, b, 8), 1);
    assert_true(a[0] == b[0]);
    assert_int_equal(summary_terms((struct summary_span){ "ÜBER über", 11 }, a, 8), 2);
    assert_true(a[0] == a[1]);
    assert_int_equal(summary_terms((struct summary_span){ "認証方式", 12 }, a, 8), 3);
    assert_int_equal(summary_terms((struct summary_span){ "a b c 5", 7 }, a, 8), 1);
}

/* ---- what must be kept ------------------------------------------------------------------- */

struct keep_case {
    const char *text;
    const char *kept;     /* a line of the result */
    const char *not_kept; /* NULL, or no line of it */
};

static const struct keep_case keeps[] = {
    { "U1: look at src/auth/login.c please", "src/auth/login.c", "please" },
    { "U1: edit config.yaml and/or Makefile", "config.yaml", "and/or" },
    { "U1: edit config.yaml and/or Makefile", "Makefile", NULL },
    { "U1: it is in /etc/threadkeeper, I think", "/etc/threadkeeper", NULL },
    { "U1: call foo_bar() twice (or parse_all())", "foo_bar()", NULL },
    { "U1: call foo_bar() twice (or parse_all())", "parse_all()", NULL },
    { "U1: the class SessionStore leaks", "SessionStore", "leaks" },
    { "U1: std::vector and ptr->next", "std::vector", NULL },
    { "U1: `git rebase -i` broke it", "git rebase -i", "broke" },
    { "U1: connect fails with ECONNREFUSED.", "ECONNREFUSED", NULL },
    { "U1: error E1234, then TS2345", "E1234", NULL },
    { "U1: error E1234, then TS2345", "TS2345", NULL },
    { "U1: we get HTTP 503 from it", "HTTP 503", NULL },
    { "U1: it ended with exit code 137", "code 137", NULL },
    { "U1: killed by SIGSEGV at 0xdeadbeef", "SIGSEGV", NULL },
    { "U1: killed by SIGSEGV at 0xdeadbeef", "0xdeadbeef", NULL },
    { "U1: see https://example.com/a?b=c.", "https://example.com/a?b=c", NULL },
    { "U1: write to ops@example.com", "ops@example.com", NULL },
    { "U1: runs on Python 3.11 and v2.4.1", "Python 3.11", NULL },
    { "U1: runs on Python 3.11 and v2.4.1", "v2.4.1", NULL },
    { "U1: the limit is 512MB or 30 seconds", "512MB", NULL },
    { "U1: the limit is 512MB or 30 seconds", "30 seconds", NULL },
    { "U1: costs $1,200, which is 20% more", "$1,200", NULL },
    { "U1: costs $1,200, which is 20% more", "20%", NULL },
    { "U1: due 2026-11-21 at 14:30", "2026-11-21", NULL },
    { "U1: due 2026-11-21 at 14:30", "14:30", NULL },
    { "U1: due on 5 March or March 7", "5 March", NULL },
    { "U1: fällig am 21.11.2026", "21.11.2026", NULL },
    { "U1: we decided to use PostgreSQL for this.", "we decided to use PostgreSQL for this.",
      NULL },
    { "U1: Did we agree on that one? I agreed to wait for Mel.", "I agreed to wait for Mel.",
      "Did we agree on that one?" },
    { "U1: Agreed, Mel!", NULL, "Agreed, Mel!" },
    { "U1: ask Sumit Pandya about it", "Sumit Pandya", "Sumit" },
    { "U1: the secret number is 4711", "4711", NULL },
    { "U1: commit 7d55f10 broke JWT", "7d55f10", NULL },
    { "U1: commit 7d55f10 broke JWT", "JWT", NULL },
    { "U1: こちらは `認証` です。JWTに決定しました。", "JWTに決定しました。", NULL },
    { "U1: nothing at all of note", NULL, "note" },
    { "U0ALICE: hello there", NULL, "U0ALICE" },
    { "# 2026-11-21\nU1: hello", NULL, "2026-11-21" },
};

static bool has_line(const char *text, const char *line)
{
    AUTO_FREE char *haystack = xasprintf("\n%s", text);
    AUTO_FREE char *needle = xasprintf("\n%s\n", line);

    return strstr(haystack, needle) != NULL;
}

static void what_cannot_be_guessed_back_is_kept(void)
{
    for (size_t i = 0; i < ARRAY_LEN(keeps); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, OUT_MAX);
        summary_must_keep(keeps[i].text, &out);
        if (keeps[i].kept && !has_line(buf_text(&out), keeps[i].kept))
            fail_msg("%s: no \"%s\" in:\n%s", keeps[i].text, keeps[i].kept, buf_text(&out));
        if (keeps[i].not_kept && has_line(buf_text(&out), keeps[i].not_kept))
            fail_msg("%s: \"%s\" in:\n%s", keeps[i].text, keeps[i].not_kept, buf_text(&out));
    }
}

static void each_is_kept_once_and_the_likeliest_first(void)
{
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, OUT_MAX);
    summary_must_keep("U1: see Anna in main.c, main.c line, ECONNRESET\nYou: main.c again.\n"
                      "U1: let's use Redis then.\n",
                      &out);
    CHECK_TEXT(buf_text(&out), "let's use Redis then.\nmain.c\nECONNRESET\nAnna\nRedis\n",
               "ranked");
}

static void no_more_is_kept_than_there_is_room_for(void)
{
    AUTO_BUF struct buf text = { 0 };
    AUTO_BUF struct buf out = { 0 };

    buf_init(&text, (size_t)1 << 20);
    buf_init(&out, 100);
    buf_append_text(&text, "U1: ");
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "file%d.c ", i);
    summary_must_keep(buf_text(&text), &out);
    assert_false(out.overflowed);
    assert_true(out.len > 80 && out.data[out.len - 1] == '\n');
}

/* ---- extraction -------------------------------------------------------------------------- */

static char *extract(const char *previous, const char *turns, size_t count, int64_t first_seq,
                     int64_t last_seq, size_t max_bytes)
{
    struct summary_work work = { .first_seq = first_seq,
                                 .last_seq = last_seq,
                                 .turns_count = count };
    struct buf out;

    buf_init(&work.turns, OUT_MAX);
    buf_append_text(&work.turns, turns);
    work.previous = previous ? xstrdup(previous) : NULL;
    buf_init(&out, OUT_MAX);
    summary_extract(&work, max_bytes, &out);
    summary_work_deinit(&work);
    return out.len ? buf_take(&out) : (buf_deinit(&out), xstrdup(""));
}

static const char chat[] =
    "# 2026-11-20\n"
    "U1: Hello! My name is Sumit and I am building an auth system with JWT.\n"
    "You: Nice to meet you. How can I help?\n"
    "U1: Which database fits the sessions? It is late here.\n"
    "You: For sessions, PostgreSQL fits the auth system. There are many databases in the "
    "world. Some are old. Some are new.\n"
    "U1: ok\n"
    "U1: We decided to use PostgreSQL 16 for sessions.\n"
    "You: Good.\n"
    "  ```\n"
    "  CREATE TABLE sessions_with_a_long_name (id int);\n"
    "  ```\n"
    "# 2026-11-21\n"
    "U1: Thanks!\n"
    "You: You are welcome. Have a nice day.\n";

static void the_sentences_that_say_most_are_chosen_in_order(void)
{
    AUTO_FREE char *text = extract(NULL, chat, 10, 1, 10, 280);
    const char *name;
    const char *decision;

    assert_true(strlen(text) <= 280);
    name = strstr(text, "U1: My name is Sumit and I am building an auth system with JWT.");
    decision = strstr(text, "U1: We decided to use PostgreSQL 16 for sessions.");
    assert_non_null(name);
    assert_non_null(decision);
    assert_true(name < decision);
    assert_non_null(strstr(text, "You: For sessions, PostgreSQL fits the auth system."));
    assert_null(strstr(text, "Thanks"));
    assert_null(strstr(text, "nice day"));
    assert_null(strstr(text, "CREATE TABLE"));
    assert_null(strstr(text, "2026"));
}

static void what_fits_is_taken_whole(void)
{
    AUTO_FREE char *text =
        extract(NULL, "U1: We use JWT here.\nYou: Refresh it often.\n", 2, 1, 2, 1000);

    CHECK_TEXT(text, "U1: We use JWT here.\nYou: Refresh it often.", "all of it");
}

static void what_is_said_twice_is_told_once(void)
{
    AUTO_FREE char *text = extract(NULL,
                                   "U1: The deploy key lives in vault.\n"
                                   "U2: The deploy key lives in vault.\n",
                                   2, 1, 2, 1000);
    const char *first = strstr(text, "deploy key");

    assert_non_null(first);
    assert_null(strstr(first + 1, "deploy key"));
}

static void an_earlier_summary_is_carried_on(void)
{
    AUTO_FREE char *first = extract(NULL, chat, 10, 1, 10, 400);
    AUTO_FREE char *second = extract(first,
                                     "U1: The API must answer within 200 ms.\n"
                                     "You: Then we add a cache in front of PostgreSQL.\n"
                                     "U1: The cache is Redis 7, on port 6379.\n"
                                     "You: Fine. Anything else today?\n"
                                     "U1: no\n",
                                     5, 1, 15, 400);

    assert_true(strlen(second) <= 400);
    assert_non_null(strstr(second, "We decided to use PostgreSQL 16 for sessions."));
    assert_non_null(strstr(second, "My name is Sumit"));
    assert_non_null(strstr(second, "Redis 7"));
    assert_null(strstr(second, "Anything else"));
}

static void after_many_rounds_the_first_decision_is_still_there(void)
{
    AUTO_FREE char *summary = extract(NULL, chat, 10, 1, 10, 600);

    for (int round = 0; round < 10; round++) {
        AUTO_FREE char *before = take_ptr(&summary);
        AUTO_FREE char *turns =
            xasprintf("U1: Now look at module number %d of the %s.\n"
                      "You: It is fine, apart from some names that could be better.\n"
                      "U1: Which names could be better in there?\n"
                      "You: Those in the middle, where the loop counts %d things.\n"
                      "U1: Leave them as they are.\n",
                      round, round % 2 ? "parser" : "printer", round * 7);

        summary = extract(before, turns, 5, 1, 15 + 5 * round, 600);
        assert_true(strlen(summary) <= 600);
    }
    assert_non_null(strstr(summary, "We decided to use PostgreSQL 16 for sessions."));
}

static void scripts_without_blanks_are_summarized_too(void)
{
    AUTO_FREE char *text =
        extract(NULL,
                "U1: こんにちは。認証システムを作っています。\n"
                "You: 認証システムには何を使いますか？\n"
                "U1: 認証にはJWTを使うことに決定しました。天気がいいですね。\n"
                "You: はい。\n",
                4, 1, 4, 130);

    assert_true(strlen(text) <= 130);
    assert_true(utf8_is_valid(text, strlen(text)));
    assert_non_null(strstr(text, "U1: 認証にはJWTを使うことに決定しました。"));
    assert_null(strstr(text, "天気"));
}

static void a_sentence_without_end_is_cut_between_characters(void)
{
    AUTO_BUF struct buf turns = { 0 };
    AUTO_FREE char *text = NULL;

    buf_init(&turns, OUT_MAX);
    buf_append_text(&turns, "U1: ");
    for (int i = 0; i < 1000; i++)
        buf_append_text(&turns, "証認");
    text = extract(NULL, buf_text(&turns), 1, 1, 1, 1000);
    assert_true(strlen(text) > 100 && strlen(text) <= 400);
    assert_true(utf8_is_valid(text, strlen(text)));
}

static void where_only_code_was_said_code_is_told(void)
{
    AUTO_FREE char *text =
        extract(NULL, "U1: ```\n  int main(void) { return run_all(); }\n  ```\n", 1, 1, 1, 400);

    assert_non_null(strstr(text, "run_all"));
}

static void nothing_makes_nothing(void)
{
    AUTO_FREE char *empty = extract(NULL, "", 0, 1, 0, 400);
    AUTO_FREE char *dots = extract(NULL, "U1: ...\nYou: !!!\n", 2, 1, 2, 400);
    AUTO_FREE char *cramped = extract(NULL, chat, 10, 1, 10, 5);

    assert_string_equal(empty, "");
    assert_string_equal(dots, "");
    assert_string_equal(cramped, "");
}

TEST_MAIN(TEST(sentences_end_where_their_language_says),
          TEST(a_question_is_known_in_several_scripts),
          TEST(words_count_without_case_and_inflection),
          TEST(what_cannot_be_guessed_back_is_kept),
          TEST(each_is_kept_once_and_the_likeliest_first),
          TEST(no_more_is_kept_than_there_is_room_for),
          TEST(the_sentences_that_say_most_are_chosen_in_order), TEST(what_fits_is_taken_whole),
          TEST(what_is_said_twice_is_told_once), TEST(an_earlier_summary_is_carried_on),
          TEST(after_many_rounds_the_first_decision_is_still_there),
          TEST(scripts_without_blanks_are_summarized_too),
          TEST(a_sentence_without_end_is_cut_between_characters),
          TEST(where_only_code_was_said_code_is_told), TEST(nothing_makes_nothing))
