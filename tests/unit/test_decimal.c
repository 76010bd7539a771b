#include "base/decimal.h"

#include "tests/test.h"

static void orders_numbers_without_losing_digits(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        int want;
        const char *because;
    } cases[] = {
        { "1.1", "1.1", 0, "equal" },
        { "999.5", "1000.1", -1, "shorter is earlier" },
        { "1000.1", "999.5", 1, "longer is later" },
        { "1700000000.000100", "1700000000.000200", -1, "the fraction decides" },
        { "1700000001.000100", "1700000000.000200", 1, "the seconds decide first" },
        { "abc", "abd", -1, "no timestamp: as bytes" },
        { "12x", "2", -1, "no timestamp: as bytes" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int order = decimal_compare(cases[i].a, cases[i].b);

        CHECK_INT((order > 0) - (order < 0), cases[i].want, cases[i].because);
    }
}

TEST_MAIN(TEST(orders_numbers_without_losing_digits))
