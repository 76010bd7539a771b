#include "memory/memory.h"

#include <stdlib.h>

#include "tests/test.h"
#include "tests/unit/memory_lab.h"

#define T0         INT64_C(1790000000) /* the first message, in seconds */
#define US         INT64_C(1000000)
#define PLACES_MAX 8

struct said {
    const char *channel;
    int at_s; /* after T0 */
    const char *thread_ts;
    const char *reply_thread;
};

static const struct said history[] = {
    { "C1", 0, "", "1790000000.000001" },                   /* opens a thread */
    { "C1", 10, "1790000000.000001", "1790000000.000001" }, /* and a reply in it */
    { "D1", 20, "", "" },                                   /* flat */
    { "D1", 30, "1790000020.000001", "1790000020.000001" }, /* a thread under it */
    { "terminal", 40, "", "" },
    { "D1", 50, "", "" },
};

static void fill(struct lab *lab)
{
    for (size_t i = 0; i < ARRAY_LEN(history); i++) {
        AUTO_FREE char *ts = xasprintf("%lld.000001", (long long)T0 + history[i].at_s);
        struct ledger_entry *entry = lab_entry("", ts, history[i].thread_ts);

        free(entry->channel);
        free(entry->reply_thread);
        entry->channel = xstrdup(history[i].channel);
        entry->reply_thread = xstrdup(history[i].reply_thread);
        entry->received_wall_us = (T0 + history[i].at_s + 1) * US;
        CHECK_INT(lab_record_as(lab, entry, false, false, NULL), LEDGER_NEW, ts);
    }
}

static char *places_text(struct lab *lab, const struct memory_places_query *query, size_t max)
{
    struct memory_place places[PLACES_MAX];
    struct err err = { 0 };
    size_t count = 0;
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 4096);
    CHECK_INT(memory_active_places(lab->memory, query, places, max, &count, &err), 0,
              err.message);
    for (size_t i = 0; i < count; i++) {
        buf_printf(&out, "%s/%s@%s ", places[i].channel, places[i].thread_ts,
                   places[i].newest_ts);
        memory_place_deinit(&places[i]);
    }
    return out.len ? buf_take(&out) : xstrdup("");
}

static void places_come_newest_first_with_their_newest_message(void **state)
{
    static const struct {
        int since_s;
        int before_s;
        size_t max;
        const char *want;
        const char *because;
    } cases[] = {
        { 0, 1000, PLACES_MAX,
          "D1/@1790000050.000001 D1/1790000020.000001@1790000030.000001 "
          "C1/1790000000.000001@1790000010.000001 ",
          "all but the terminal" },
        { 15, 1000, PLACES_MAX, "D1/@1790000050.000001 D1/1790000020.000001@1790000030.000001 ",
          "nothing was said in C1 since" },
        { 0, 45, PLACES_MAX,
          "D1/1790000020.000001@1790000030.000001 D1/@1790000020.000001 "
          "C1/1790000000.000001@1790000010.000001 ",
          "what came later does not count" },
        { 0, 1000, 1, "D1/@1790000050.000001 ", "no more than were asked for" },
        { 60, 1000, PLACES_MAX, "", "nobody spoke" },
        { 0, 1, PLACES_MAX, "", "nothing had come yet" },
    };
    struct lab lab;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    fill(&lab);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct memory_places_query query = {
            .since_wall_us = (T0 + cases[i].since_s) * US,
            .before_wall_us = (T0 + cases[i].before_s) * US,
            .except_channel = "terminal",
        };
        AUTO_FREE char *got = places_text(&lab, &query, cases[i].max);

        CHECK_TEXT(got, cases[i].want, cases[i].because);
    }
    lab_remove(&lab);
}

static int64_t last_message(struct lab *lab, const char *except, int64_t before_wall_us)
{
    struct err err = { 0 };
    int64_t last = -1;

    CHECK_INT(memory_last_message(lab->memory, except, before_wall_us, &last, &err), 0,
              err.message);
    return last;
}

static void the_last_message_is_known_right_after_a_restart(void **state)
{
    struct lab lab;

    (void)state;
    lab_prepare(&lab);
    lab_open(&lab);
    CHECK_INT(last_message(&lab, "terminal", INT64_MAX), 0, "nothing was ever said");
    fill(&lab);
    lab_restart(&lab);
    CHECK_INT(last_message(&lab, "terminal", INT64_MAX), (T0 + 51) * US, "the newest");
    CHECK_INT(last_message(&lab, "D1", INT64_MAX), (T0 + 41) * US, "not in that channel");
    CHECK_INT(last_message(&lab, "terminal", (T0 + 51) * US), (T0 + 31) * US, "before it");
    lab_remove(&lab);
}

TEST_MAIN(TEST(places_come_newest_first_with_their_newest_message),
          TEST(the_last_message_is_known_right_after_a_restart))
