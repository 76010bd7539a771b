#include "base/random.h"

#include <stdbool.h>

#include "tests/test.h"

static void numbers_stay_below_their_bound_and_reach_all_of_it(void)
{
    bool seen[7] = { false };

    CHECK_INT(random_below(0), 0, "nothing to choose from");
    CHECK_INT(random_below(1), 0, "nothing else");
    for (int i = 0; i < 2000; i++) {
        uint64_t value = random_below(7);

        CHECK_INT(value < 7, 1, "below");
        seen[value] = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        CHECK_INT(seen[i], 1, "each comes up in 2000 draws (missing one: 1 in 10^133)");
}

static void hex_and_uuids_have_their_form_and_differ(void)
{
    char a[RANDOM_UUID_BYTES];
    char b[RANDOM_UUID_BYTES];
    char hex[17];

    random_uuid(a);
    random_uuid(b);
    CHECK_INT(strlen(a), 36, "8-4-4-4-12");
    CHECK_INT(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-', 1, a);
    CHECK_INT(a[14], '4', "version 4");
    CHECK_INT(strchr("89ab", a[19]) != NULL, 1, "its variant");
    CHECK_INT(strcmp(a, b) != 0, 1, "two differ");
    random_hex(hex, 8);
    CHECK_INT(strlen(hex), 16, "two digits a byte");
    CHECK_INT(strspn(hex, "0123456789abcdef"), 16, "lower case");
}

static void backoff_grows_to_its_cap_and_is_never_nothing(void)
{
    static const struct {
        unsigned attempt;
        int64_t most;
        const char *because;
    } cases[] = {
        { 0, 100, "the base" },
        { 1, 200, "doubled" },
        { 3, 800, "doubled thrice" },
        { 5, 3000, "capped" },
        { 4000000000U, 3000, "no overflow, and no endless loop" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t highest = 0;

        for (int draw = 0; draw < 500; draw++) {
            int64_t wait_ms = random_backoff_ms(100, 3000, cases[i].attempt);

            CHECK_INT(wait_ms >= 1 && wait_ms <= cases[i].most, 1, cases[i].because);
            highest = wait_ms > highest ? wait_ms : highest;
        }
        CHECK_INT(highest > cases[i].most / 2, 1, cases[i].because);
    }
}

TEST_MAIN(TEST(numbers_stay_below_their_bound_and_reach_all_of_it),
          TEST(hex_and_uuids_have_their_form_and_differ),
          TEST(backoff_grows_to_its_cap_and_is_never_nothing))
