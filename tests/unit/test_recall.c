#include "memory/recall.h"

#include "tests/test.h"

#include "base/alloc.h"

#define DAY_S    INT64_C(86400)
#define MONDAY   (INT64_C(19700) * DAY_S) /* 2023-12-09 */
#define MINUTE_S 60

/* A made-up conversation of two over four sessions; each turn that answers something carries a
 * mark in its comment. */
static const struct {
    int day;
    const char *author;
    const char *text;
} talk[] = {
    { 0, "Ines", "Morning! How was the weekend?" },
    { 0, "Oleg", "Quiet. I repaired the old bicycle in the cellar." }, /* 1 */
    { 0, "Ines", "Nice. Which tool did you need for the chain?" },
    { 0, "Oleg", "A rivet press, borrowed from the neighbour." }, /* 3 */
    { 0, "Ines", "My weekend went into the greenhouse, two windows were broken." },
    { 0, "Oleg", "Oh no. Hail?" },
    { 0, "Ines", "A football, from the children next door." }, /* 6 */
    { 7, "Oleg", "The nightly build is red again." },
    { 7, "Ines", "Same error as last time?" },
    { 7, "Oleg", "ECONNREFUSED when it talks to the package mirror." },           /* 9 */
    { 7, "Ines", "I set `mirror_timeout` in build/fetch.conf to 40 yesterday." }, /* 10 */
    { 7, "Oleg", "That may be it, let me look." },
    { 7, "Ines", "Thanks!" },
    { 14, "Ines", "We signed the lease for the new office today." }, /* 13 */
    { 14, "Oleg", "Congratulations! Where is it?" },
    { 14, "Ines", "Harbour street, third floor, with a view of the cranes." }, /* 15 */
    { 14, "Oleg", "I will bring my coffee grinder." },
    { 14, "Ines", "You and your coffee." },
    { 150, "Oleg", "My sister visited from Tartu, we went sailing." }, /* 18 */
    { 150, "Ines", "Sailing in this wind? How long were you out?" },
    { 150, "Oleg", "Six hours, she was seasick for five of them." },     /* 20 */
    { 150, "Ines", "Poor her. I stayed in and learned to bake bread." }, /* 21 */
    { 150, "Oleg", "How did it turn out?" },
    { 150, "Ines", "Dense as a brick." }, /* 23 */
};

static void fill(struct recall_turn *turns)
{
    for (size_t i = 0; i < ARRAY_LEN(talk); i++)
        turns[i] = (struct recall_turn){ talk[i].text, talk[i].author,
                                         MONDAY + talk[i].day * DAY_S + (int64_t)i * MINUTE_S };
}

static size_t place_of(const double *scores, size_t turn)
{
    size_t better = 0;

    for (size_t i = 0; i < ARRAY_LEN(talk); i++)
        better += i != turn && scores[i] >= scores[turn];
    return better + 1;
}

static void what_answers_comes_first(void **state)
{
    static const struct {
        const char *question;
        size_t turn;
        size_t within; /* it is among the best so many */
        const char *because;
    } cases[] = {
        { "What did Oleg repair?", 1, 1, "a word and a speaker" },
        { "Which tool did Oleg need for the bicycle chain?", 3, 3,
          "an answer has its question" },
        { "How did the windows of the greenhouse break?", 6, 4, "two turns further" },
        { "which error did the build have", 9, 3, "next to the word" },
        { "ECONNREFUSED", 9, 1, "an error code" },
        { "what is mirror_timeout?", 10, 1, "an identifier whole" },
        { "what about the timeout of the mirror?", 10, 1, "an identifier in parts" },
        { "what is in fetch.conf", 10, 1, "the end of a path" },
        { "Where is the new office?", 15, 3, "the answer, two turns behind the subject" },
        { "Who came from Tartu?", 18, 1, "a rare word" },
        { "How long were they sailing?", 20, 3, "the answer to a question like it" },
        { "What did Ines learn?", 21, 1, "stemmed, and who" },
        { "how was the baking", 21, 3, "stemmed" },
    };
    struct recall_turn turns[ARRAY_LEN(talk)];
    double scores[ARRAY_LEN(talk)];

    (void)state;
    fill(turns);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct recall_question question = { cases[i].question, "", MONDAY + 200 * DAY_S };
        size_t place;

        CHECK_INT(recall_rank(turns, ARRAY_LEN(talk), &question, scores), 1, "found");
        place = place_of(scores, cases[i].turn);
        if (place > cases[i].within)
            fail_msg("\"%s\" (%s): turn %zu is at %zu, want %zu", cases[i].question,
                     cases[i].because, cases[i].turn, place, cases[i].within);
    }
}

static double score_of(const char *question, const char *asker, size_t turn)
{
    struct recall_turn turns[ARRAY_LEN(talk)];
    double scores[ARRAY_LEN(talk)];
    struct recall_question asked = { question, asker, MONDAY + 200 * DAY_S };

    fill(turns);
    recall_rank(turns, ARRAY_LEN(talk), &asked, scores);
    return scores[turn];
}

static void the_best_has_one_and_strangers_nothing(void **state)
{
    struct recall_turn turns[ARRAY_LEN(talk)];
    double scores[ARRAY_LEN(talk)];
    struct recall_question question = { "Who came from Tartu?", "", MONDAY };
    double best = 0;

    (void)state;
    fill(turns);
    recall_rank(turns, ARRAY_LEN(talk), &question, scores);
    for (size_t i = 0; i < ARRAY_LEN(talk); i++)
        best = scores[i] > best ? scores[i] : best;
    CHECK_INT(best == 1, 1, "the best");
    CHECK_INT(scores[0] < 0.1, 1, "another session without any of its words");
    CHECK_INT(scores[19] > 0, 1, "a neighbour");
    question.text = "zzz qqq";
    CHECK_INT(recall_rank(turns, ARRAY_LEN(talk), &question, scores), 0, "nothing matches");
    CHECK_INT(scores[18] == 0, 1, "and scores say so");
    question.text = "and what about that?";
    CHECK_INT(recall_rank(turns, ARRAY_LEN(talk), &question, scores), 0, "stop words alone");
    question.text = "";
    CHECK_INT(recall_rank(turns, ARRAY_LEN(talk), &question, scores), 0, "nothing asked");
    CHECK_INT(recall_rank(turns, 0, &question, scores), 0, "no turns");
}

static void days_and_speakers_are_evidence(void **state)
{
    (void)state;
    CHECK_INT(score_of("what happened in December?", "", 9) >
                  score_of("what happened in December?", "", 20),
              1, "a month");
    CHECK_INT(score_of("what did I do about the build?", "Ines", 10) >
                  score_of("what did I do about the build?", "Oleg", 10),
              1, "the one who asks says I");
}

static void silence_separates_sessions(void **state)
{
    (void)state;
    CHECK_INT(score_of("Tartu", "", 17) == 0, 1, "the turn before, months earlier");
    CHECK_INT(score_of("Tartu", "", 20) > 0, 1, "two turns behind, the same day");
}

static void the_same_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(talk); i++)
        CHECK_INT(score_of("What did Ines learn?", "", i) ==
                      score_of("What did Ines learn?", "", i),
                  1, "pure");
}

static void longer_turns_must_be_worth_it(void **state)
{
    (void)state;
    CHECK_INT(recall_worth(1, 100) > recall_worth(1, 1000), 1, "shorter");
    CHECK_INT(recall_worth(1, 200) > recall_worth(0.5, 100), 1, "but not at any price");
    CHECK_INT(recall_worth(1, 0) > 0, 1, "without text");
}

TEST_MAIN(TEST(what_answers_comes_first), TEST(the_best_has_one_and_strangers_nothing),
          TEST(days_and_speakers_are_evidence), TEST(silence_separates_sessions),
          TEST(the_same_gives_the_same), TEST(longer_turns_must_be_worth_it))
