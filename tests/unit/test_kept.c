#include "bot/kept.h"

#include "tests/unit/memory_lab.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct shop {
    struct lab lab;
    char *workspace;
    struct config config;
    struct kept_metrics metrics;
};

static void commit(const struct shop *shop, const char *id)
{
    AUTO_FREE char *directory = xasprintf("%s/.git", shop->workspace);
    AUTO_FREE char *path = xasprintf("%s/HEAD", directory);

    assert_int_equal(file_make_dirs(directory, 0700, NULL), 0);
    assert_int_equal(file_write(path, id, strlen(id), 0600, NULL), 0);
}

static void shop_open(struct shop *shop)
{
    memset(shop, 0, sizeof(*shop));
    lab_prepare(&shop->lab);
    lab_open(&shop->lab);
    shop->workspace = xasprintf("%s/workspace", shop->lab.directory);
    shop->config.agent.cache_ttl_ms = 600000;
    kept_metrics_init(&shop->metrics, shop->lab.metrics);
    commit(shop, COMMIT_A);
}

static void shop_close(struct shop *shop)
{
    free(shop->workspace);
    lab_remove(&shop->lab);
}

static const struct agent_prompt_message one_message[] = { { "U1", "which file?" } };

static struct agent_prompt a_prompt(void)
{
    return (struct agent_prompt){ .mode = AGENT_MODE_ASK,
                                  .instructions = "be brief",
                                  .messages = one_message,
                                  .messages_count = 1 };
}

static struct kept_question identify(struct shop *shop, const struct agent_prompt *prompt,
                                     const char *model)
{
    struct kept_question question;

    kept_identify(&shop->config, prompt, shop->workspace, model, &question);
    return question;
}

static void only_what_is_alike_in_everything_is_the_same_question(void)
{
    static const struct agent_prompt_message forged[] = {
        { "U1", "which file?4:U2 hi" }, /* as if a second message stood behind it */
    };
    static const struct agent_prompt_item item = { AGENT_PROMPT_LATEST, "2026-11-20", NULL,
                                                   "U1", "hello" };
    static const struct agent_prompt_message two[] = { { "U1", "which file?" },
                                                       { "U2", "hi" } };
    static const struct agent_prompt_message other_author[] = { { "U2", "which file?" } };
    struct agent_prompt prompts[8];
    struct kept_question questions[ARRAY_LEN(prompts)];
    struct shop shop;

    shop_open(&shop);
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++)
        prompts[i] = a_prompt();
    prompts[1].mode = AGENT_MODE_PLAN;
    prompts[2].instructions = "be long";
    prompts[3].items = &item;
    prompts[3].items_count = 1;
    prompts[4].messages = forged;
    prompts[5].messages = two;
    prompts[5].messages_count = 2;
    prompts[6].messages = other_author;
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++)
        questions[i] = identify(&shop, &prompts[i], i == 7 ? "another" : "model");
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
        struct kept_question again = identify(&shop, &prompts[i], i == 7 ? "another" : "model");

        CHECK_INT(strlen(questions[i].id), ANSWER_ID_BYTES - 1, "it has an id");
        CHECK_TEXT(again.id, questions[i].id, "the same twice");
        for (size_t j = 0; j < i; j++)
            CHECK_INT(strcmp(questions[i].id, questions[j].id) == 0, false, "they differ");
    }
    commit(&shop, COMMIT_B);
    prompts[0] = a_prompt();
    CHECK_INT(strcmp(identify(&shop, &prompts[0], "model").id, questions[0].id) == 0, false,
              "another commit");
    shop_close(&shop);
}

static void nothing_is_kept_where_it_may_not_be(void)
{
    struct agent_prompt prompt = a_prompt();
    struct kept_question question;
    struct shop shop;

    shop_open(&shop);
    prompt.mode = AGENT_MODE_WRITE;
    CHECK_TEXT(identify(&shop, &prompt, "").id, "", "an agent that changes files");
    prompt.mode = AGENT_MODE_ASK;
    shop.config.agent.cache_ttl_ms = 0;
    CHECK_TEXT(identify(&shop, &prompt, "").id, "", "it is off");
    shop.config.agent.cache_ttl_ms = 600000;
    kept_identify(&shop.config, &prompt, shop.lab.directory, "", &question);
    CHECK_TEXT(question.id, "", "no repository");
    shop_close(&shop);
}

static bool finds(struct shop *shop, const struct kept_question *question, const char *user,
                  const char *want)
{
    AUTO_BUF struct buf answer = { 0 };
    AUTO_BUF struct buf note = { 0 };

    if (!kept_find(shop->lab.memory, &shop->metrics, question, user, &answer, &note))
        return false;
    CHECK_TEXT(buf_text(&answer), want, "as it was given");
    CHECK_HOLDS(buf_text(&note), "(aaaaaaaaaa)", "the commit");
    return true;
}

static void an_answer_serves_the_one_who_got_it_until_it_expires(void)
{
    struct agent_prompt prompt = a_prompt();
    struct kept_question question;
    struct shop shop;

    shop_open(&shop);
    question = identify(&shop, &prompt, "");
    CHECK_INT(finds(&shop, &question, "U1", ""), false, "not asked yet");
    kept_store(shop.lab.memory, &shop.config, &question, shop.workspace, "U1", "U1:C1:1",
               "in \"x.c\"\nI think");
    CHECK_INT(finds(&shop, &question, "U1", "in \"x.c\"\nI think"), true, "again");
    CHECK_INT(finds(&shop, &question, "U2", ""), false, "another person");
    CHECK_INT(metric_value(shop.metrics.hits), 1, "counted");
    CHECK_INT(metric_value(shop.metrics.misses), 2, "counted");
    lab_restart(&shop.lab);
    kept_metrics_init(&shop.metrics, shop.lab.metrics);
    CHECK_INT(finds(&shop, &question, "U1", "in \"x.c\"\nI think"), true, "after a restart");

    shop.config.agent.cache_ttl_ms = 1;
    kept_store(shop.lab.memory, &shop.config, &question, shop.workspace, "U3", "U3:C1:1", "x");
    for (int64_t until = clock_now_ms() + LAB_WAIT_MS;
         finds(&shop, &question, "U3", "x") && clock_now_ms() < until;)
        ;
    CHECK_INT(finds(&shop, &question, "U3", "x"), false, "its time is over");
    shop_close(&shop);
}

static void an_answer_from_before_a_commit_is_not_kept(void)
{
    struct agent_prompt prompt = a_prompt();
    struct kept_question question;
    struct shop shop;

    shop_open(&shop);
    question = identify(&shop, &prompt, "");
    commit(&shop, COMMIT_B); /* while the agent works */
    kept_store(shop.lab.memory, &shop.config, &question, shop.workspace, "U1", "U1:C1:1", "x");
    commit(&shop, COMMIT_A);
    CHECK_INT(finds(&shop, &question, "U1", "x"), false, "the agent may have seen either");
    shop_close(&shop);
}

static void kept_answers_are_forgotten_by_person_conversation_and_time(void)
{
    static const struct {
        const char *user;
        const char *conversation;
        int64_t before_wall_s;
        int64_t want;
        const char *because;
    } cases[] = {
        { "U9", NULL, 0, 0, "nobody's" },       { NULL, "U2:C1:1", 0, 1, "a conversation's" },
        { "U1", "U1:C1:2", 0, 1, "both" },      { "U1", NULL, 0, 1, "a person's" },
        { NULL, NULL, 1000, 0, "given later" }, { NULL, NULL, INT64_MAX, 1, "given earlier" },
    };
    static const struct {
        const char *user;
        const char *id;
        const char *conversation;
    } kept[] = { { "U1", "a", "U1:C1:1" },
                 { "U1", "b", "U1:C1:2" },
                 { "U2", "a", "U2:C1:1" },
                 { "U3", "a", "U3:C1:1" } };
    struct err err = { 0 };
    struct shop shop;

    shop_open(&shop);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        assert_int_equal(memory_answer_keep(shop.lab.memory, kept[i].user, kept[i].id,
                                            kept[i].conversation, "x", 60000, &err),
                         0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(memory_answers_forget(shop.lab.memory, cases[i].user, cases[i].conversation,
                                        cases[i].before_wall_s, &err),
                  cases[i].want, cases[i].because);
    shop_close(&shop);
}

TEST_MAIN(TEST(only_what_is_alike_in_everything_is_the_same_question),
          TEST(nothing_is_kept_where_it_may_not_be),
          TEST(an_answer_serves_the_one_who_got_it_until_it_expires),
          TEST(an_answer_from_before_a_commit_is_not_kept),
          TEST(kept_answers_are_forgotten_by_person_conversation_and_time))
