#include "bot/spending.h"

#include "tests/unit/memory_lab.h"

#define DAY_S  86400
#define NOON_S INT64_C(1763726400)
#define ALICE  "U0ALICE"
#define BOB    "U0BOB"
#define ADMIN  "U0ADMIN"

static char *admins[] = { (char *)ADMIN };

static struct config limited(int64_t run_tokens, int64_t day_tokens)
{
    return (struct config){
        .access.admins = { .items = admins, .count = 1 },
        .agent.spending = { .run_tokens = run_tokens,
                            .user_day_tokens = day_tokens,
                            .warn_percent = 80 },
    };
}

static struct usage run_of(int64_t input, int64_t output)
{
    return (struct usage){ .input_tokens = input,
                           .output_tokens = output,
                           .cache_read_tokens = input / 2,
                           .duration_ms = 21000,
                           .model = "gpt-5" };
}

static void count(struct lab *lab, const char *user, int64_t input, int64_t output,
                  int64_t now_wall_s)
{
    struct usage usage = run_of(input, output);
    struct err err = { 0 };

    CHECK_INT(spending_count(lab->memory, user, &usage, now_wall_s, &err), 0, err.message);
}

static void check_day(struct lab *lab, const char *user, int64_t now_wall_s, int64_t runs,
                      int64_t tokens, const char *because)
{
    struct spending_day day;
    struct err err = { 0 };

    CHECK_INT(spending_get_day(lab->memory, user, now_wall_s, &day, &err), 0, err.message);
    CHECK_INT(day.runs, runs, because);
    CHECK_INT(spending_tokens(&day), tokens, because);
    CHECK_INT(day.cache_read_tokens, day.input_tokens / 2, because);
    CHECK_INT(day.duration_ms, runs * 21000, because);
}

static int refusal(struct lab *lab, const struct config *config, const char *user,
                   int64_t now_wall_s, struct buf *out)
{
    struct err err = { 0 };
    int rc;

    buf_clear(out);
    rc = spending_refuses(lab->memory, config, user, now_wall_s, out, &err);
    CHECK_INT(rc >= 0, 1, err.message);
    return rc;
}

static const char *warning(struct lab *lab, const struct config *config, const char *user,
                           int64_t tokens, int64_t now_wall_s, struct buf *out)
{
    struct usage usage = run_of(tokens, 0);

    buf_clear(out);
    spending_print_warnings(lab->memory, config, user, &usage, now_wall_s, out);
    return buf_text(out);
}

static void each_person_has_a_day_of_their_own_that_outlasts_a_restart(void)
{
    struct lab lab;

    lab_prepare(&lab);
    lab_open(&lab);
    check_day(&lab, ALICE, NOON_S, 0, 0, "nothing yet");
    count(&lab, ALICE, 1000, 200, NOON_S);
    count(&lab, ALICE, 300, 1, NOON_S + 60);
    count(&lab, BOB, 50, 5, NOON_S);
    check_day(&lab, ALICE, NOON_S, 2, 1501, "both runs");
    check_day(&lab, BOB, NOON_S, 1, 55, "his own");
    lab_restart(&lab);
    check_day(&lab, ALICE, NOON_S, 2, 1501, "after a restart");
    count(&lab, ALICE, 10, 0, NOON_S + DAY_S);
    check_day(&lab, ALICE, NOON_S + DAY_S, 1, 10, "the next day is another");
    check_day(&lab, ALICE, NOON_S, 2, 1501, "and leaves this one alone");
    lab_remove(&lab);
}

static void a_day_that_is_used_up_refuses_until_midnight_utc(void)
{
    const struct config config = limited(0, 10000);
    struct lab lab;
    struct buf out;

    buf_init(&out, 2000);
    lab_prepare(&lab);
    lab_open(&lab);
    count(&lab, ALICE, 9000, 999, NOON_S);
    count(&lab, ADMIN, 90000, 0, NOON_S);
    CHECK_INT(refusal(&lab, &config, ALICE, NOON_S, &out), 0, "one token is left");
    count(&lab, ALICE, 1234, 0, NOON_S);
    CHECK_INT(refusal(&lab, &config, ALICE, NOON_S, &out), 1, "used up");
    CHECK_TEXT(
        buf_text(&out),
        "Sorry, you have used 11,233 tokens today, and 10,000 is what one person may use "
        "in a day, so I leave this unanswered. The count begins anew at midnight UTC, in "
        "12 h 0 min; please ask again then. `!usage` shows it.",
        "used, limit, and when");
    CHECK_INT(refusal(&lab, &config, BOB, NOON_S, &out), 0, "somebody else");
    CHECK_INT(refusal(&lab, &config, ADMIN, NOON_S, &out), 0, "admins are exempt");
    CHECK_INT(refusal(&lab, &config, ALICE, NOON_S + DAY_S / 2 - 1, &out), 1, "to the end");
    CHECK_HOLDS(buf_text(&out), "in 1 s;", "");
    CHECK_INT(refusal(&lab, &config, ALICE, NOON_S + DAY_S / 2, &out), 0, "a new day");
    lab_remove(&lab);
    buf_deinit(&out);
}

static void without_a_limit_the_store_is_not_asked(void)
{
    const struct config config = limited(0, 0);
    struct buf out;
    struct err err = { 0 };

    buf_init(&out, 100);
    CHECK_INT(spending_refuses(NULL, &config, ALICE, NOON_S, &out, &err), 0,
              "no memory at all");
    buf_deinit(&out);
}

static void the_warning_comes_once_a_day(void)
{
    const struct config config = limited(0, 10000);
    struct lab lab;
    struct buf out;

    buf_init(&out, 2000);
    lab_prepare(&lab);
    lab_open(&lab);
    count(&lab, ALICE, 5000, 0, NOON_S);
    CHECK_TEXT(warning(&lab, &config, ALICE, 2999, NOON_S, &out), "", "79.99 %");
    CHECK_TEXT(warning(&lab, &config, ADMIN, 20000, NOON_S, &out), "", "admins");
    CHECK_TEXT(warning(&lab, &config, ALICE, 3000, NOON_S, &out),
               "_You have used 80 % of today's 10,000 tokens; they begin anew at midnight UTC, "
               "in 12 h 0 min._\n",
               "80 %");
    CHECK_TEXT(warning(&lab, &config, ALICE, 4000, NOON_S, &out), "", "said already");
    lab_restart(&lab);
    CHECK_TEXT(warning(&lab, &config, ALICE, 4000, NOON_S, &out), "", "by an earlier process");
    CHECK_HOLDS(warning(&lab, &config, BOB, 12000, NOON_S, &out), "used 120 %",
                "somebody else");
    CHECK_HOLDS(warning(&lab, &config, ALICE, 8000, NOON_S + DAY_S, &out), "used 80 %",
                "the next day");
    lab_remove(&lab);
    buf_deinit(&out);
}

static void a_run_over_its_limit_is_told(void)
{
    const struct config config = limited(1000, 0);
    struct buf out;

    buf_init(&out, 1000);
    CHECK_TEXT(warning(&(struct lab){ 0 }, &config, ALICE, 1000, NOON_S, &out), "", "at it");
    CHECK_TEXT(warning(&(struct lab){ 0 }, &config, ADMIN, 1001, NOON_S, &out),
               "_This answer took 1,001 tokens, more than the 1,000 that one should._\n",
               "above, whoever asked");
    buf_deinit(&out);
}

static void usage_reads_as_a_line(void)
{
    static const struct {
        struct usage usage;
        const char *want;
    } cases[] = {
        { { .input_tokens = 1203,
            .output_tokens = 87,
            .cache_read_tokens = 900,
            .duration_ms = 21034,
            .model = "gpt-5" },
          "1,203 in (74 % cached), 87 out, 21 s, gpt-5" },
        { { .input_tokens = 1234567, .output_tokens = 0, .cache_read_tokens = -1 },
          "1,234,567 in, 0 out, 0 s" },
        { { .input_tokens = 100,
            .output_tokens = 10,
            .cache_read_tokens = -1,
            .is_estimate = true,
            .model = "a_b`<!channel>*" },
          "about 100 in, 10 out, 0 s, a-b  !channel  " },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;

        buf_init(&out, 1000);
        usage_print(&cases[i].usage, &out);
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].want);
        buf_deinit(&out);
    }
}

static void usage_comes_back_from_a_turns_metadata(void)
{
    struct usage usage = run_of(1203, 87);
    struct usage back = { 0 };
    AUTO_FREE char *json = usage_print_json(&usage);
    AUTO_FREE char *again = NULL;
    static const char *const none[] = {
        NULL, "", "{}", "[]", "{\"usage\":3}", "nonsense", "{\"usage\":{\"input\":1}}"
    };

    CHECK_INT(usage_parse_json(json, &back), 1, json);
    again = usage_print_json(&back);
    CHECK_TEXT(again, json, "all of it");
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        CHECK_INT(usage_parse_json(none[i], &back), 0, none[i] ? none[i] : "(null)");
}

TEST_MAIN(TEST(each_person_has_a_day_of_their_own_that_outlasts_a_restart),
          TEST(a_day_that_is_used_up_refuses_until_midnight_utc),
          TEST(without_a_limit_the_store_is_not_asked), TEST(the_warning_comes_once_a_day),
          TEST(a_run_over_its_limit_is_told), TEST(usage_reads_as_a_line),
          TEST(usage_comes_back_from_a_turns_metadata))
