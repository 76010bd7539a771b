/*
 * cmd_memory_context.c - `threadkeeper memory context`: what the agent would be told with a
 * question, by the configuration in force, asked by the person whose conversation it is.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "bot/cmd_memory.h"
#include "bot/wiring.h"
#include "memory/context.h"

#define RECEIPT_MAX_BYTES (1U << 20)
#define BUDGET_MAX        1000000
#define ASKER_LOOKS_AT    200 /* turns, for the last person who said something */

struct asking {
    struct memory_call *call;
    struct conversation *conversation;
    struct memory_context_options options;
    struct buf context;
    struct buf receipt;
};

/* "team/" belongs to the person as well; a shared conversation is everybody's ("*"). */
static char *user_of_key(const char *key)
{
    const char *slash = strchr(key, '/');
    const char *user = slash ? slash + 1 : key;
    size_t len = strcspn(user, ":");

    return user[len] == ':' && *user != '*' ? xstrndup(key, (size_t)(user - key) + len) : NULL;
}

static bool note_author(void *context, const struct memory_turn *turn)
{
    char **author = context;

    if (turn->role == MEMORY_ROLE_USER && *turn->author) {
        free(*author);
        *author = xstrdup(turn->author);
    }
    return true;
}

/* Whose conversation it is: as its key says, else the last who said something in it. */
static char *find_asker(const struct memory_call *call, const char *key)
{
    struct store_range last = { .limit = ASKER_LOOKS_AT };
    const char *slash = strchr(key, '/');
    char *author = user_of_key(key);
    char *asker;
    struct err err = { 0 };

    if (author)
        return author;
    if (memory_history(call->memory, key, &last, note_author, &author, &err) < 0 || !author)
        return xstrdup("");
    asker = xasprintf("%.*s%s", slash ? (int)(slash + 1 - key) : 0, key, author);
    free(author);
    return asker;
}

static bool is_direct(const char *key)
{
    const char *slash = strchr(key, '/');
    const char *channel = slash ? slash + 1 : key;
    const char *colon = strchr(channel, ':');

    return *(colon ? colon + 1 : channel) == 'D';
}

static struct memory_context_options options_of(const struct memory_call *call, const char *key,
                                                const char *asker)
{
    struct memory_context_options options =
        wiring_context_options(call->config, is_direct(key));

    if (call->args.budget)
        options.budget_tokens = call->args.budget;
    options.user = asker;
    options.now_wall_s = clock_wall_s();
    return options;
}

static void put_json(struct asking *asking, const char *question, int64_t tokens)
{
    struct memory_call *call = asking->call;

    memory_put(call, "{\"question\":");
    memory_put_json(call, memory_json_text(question));
    memory_put(call, ",\"context\":");
    memory_put_json(call, memory_json_text(buf_text(&asking->context)));
    memory_putf(call, ",\"tokens\":%" PRId64 ",\"receipt\":", tokens);
    memory_put(call, asking->receipt.len ? buf_text(&asking->receipt) : "{}");
    memory_put(call, "}\n");
}

static void answer(struct asking *asking, const char *question, bool as_json)
{
    struct memory_receipt receipt = { 0 };

    buf_clear(&asking->context);
    buf_clear(&asking->receipt);
    asking->options.question = question;
    memory_build_context(asking->call->memory, asking->conversation, &asking->options,
                         &asking->context, NULL, &receipt);
    if (as_json) {
        memory_receipt_print_json(&receipt, &asking->receipt);
        put_json(asking, question, receipt.tokens);
    } else {
        memory_put(asking->call, buf_text(&asking->context));
    }
    memory_receipt_deinit(&receipt);
}

/* Each line's answer goes out before the next line is waited for: who asks may be a program. */
static int answer_lines(struct asking *asking, struct err *err)
{
    struct memory_lines lines = { 0 };
    int rc = memory_lines_open(&lines, "-", err);

    while (rc == 0 && memory_out_is_open(asking->call)) {
        AUTO_FREE char *question = NULL;

        rc = memory_lines_next(&lines, err);
        if (rc <= 0)
            break;
        rc = 0;
        question = utf8_clean_copy(buf_text(&lines.line), lines.line.len, lines.line.len * 3);
        answer(asking, question, true);
        fflush(stdout);
    }
    memory_lines_close(&lines);
    return rc;
}

static int ask(struct memory_call *call, struct asking *asking, struct err *err)
{
    const char *key = memory_word(call, 0);
    const char *question = memory_word(call, 1);
    AUTO_FREE char *asker = find_asker(call, key);
    int rc = 0;

    asking->options = options_of(call, key, asker);
    if (memory_conversation_begin(call->memory, key, NULL, NULL, &asking->conversation, err) <
        0)
        return -1;
    if (strcmp(question, "-") == 0)
        rc = answer_lines(asking, err);
    else
        answer(asking, question, call->args.given & MEMORY_OPTION_JSON);
    memory_conversation_end(call->memory, asking->conversation);
    return rc;
}

int memory_context_verb(struct memory_call *call)
{
    struct asking asking = { .call = call };
    int64_t budget = call->args.budget;
    struct err err = { 0 };
    int rc;

    if (budget > BUDGET_MAX) {
        fprintf(stderr, "threadkeeper memory context: --budget is at most %d\n", BUDGET_MAX);
        return CLI_USAGE;
    }
    budget = budget ? budget : call->config->memory.context.budget_tokens;
    buf_init(&asking.context, (size_t)budget * MEMORY_TOKEN_MAX_BYTES + RECEIPT_MAX_BYTES);
    buf_init(&asking.receipt, RECEIPT_MAX_BYTES);
    rc = ask(call, &asking, &err);
    buf_deinit(&asking.context);
    buf_deinit(&asking.receipt);
    return rc < 0 ? memory_say_failed(call, &err) : memory_out_end(call);
}
