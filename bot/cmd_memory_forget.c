/*
 * cmd_memory_forget.c - `threadkeeper memory forget | sweep`: erasure by an admin, with its
 * receipt.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/process.h"
#include "agent/slot.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "bot/chats.h"
#include "bot/cmd_memory.h"
#include "memory/fields.h"
#include "memory/forget.h"

#define RECEIPT_MAX_BYTES 4096
#define ANSWER_MAX_BYTES  16
#define END_RUN_MS        2000
#define END_RUN_STEP_MS   10

/* ---- what would go ------------------------------------------------------------------------
 */

struct counting {
    struct memory_call *call;
    struct memory_forgotten would;
    int64_t turns_here; /* of the conversation under way, that would go */
    bool is_shared;     /* somebody else spoke in it */
    struct err err;
    bool has_failed;
};

static bool count_turn(void *context, const struct memory_turn *turn)
{
    struct counting *counting = context;
    const struct memory_args *args = &counting->call->args;
    bool is_theirs = !args->user || strcmp(turn->author, args->user) == 0;

    if (*turn->author && !is_theirs)
        counting->is_shared = true;
    if (is_theirs &&
        (!(args->given & MEMORY_OPTION_BEFORE) || turn->at_wall_s < args->before_wall_s))
        counting->turns_here++;
    return true;
}

static bool count_conversation(void *context, const struct store_conversation *conversation)
{
    struct counting *counting = context;
    const struct memory_args *args = &counting->call->args;
    struct store_range all = { 0 };
    bool goes_whole;

    counting->turns_here = 0;
    counting->is_shared = false;
    if (memory_history(counting->call->memory, conversation->key, &all, count_turn, counting,
                       &counting->err) < 0) {
        counting->has_failed = true;
        return false;
    }
    goes_whole = args->given & MEMORY_OPTION_BEFORE
                     ? counting->turns_here == conversation->turns
                     : !args->user || !counting->is_shared;
    counting->would.conversations += goes_whole;
    counting->would.turns += goes_whole ? conversation->turns : counting->turns_here;
    counting->would.fields += goes_whole ? conversation->fields : 0;
    counting->would.summaries +=
        counting->turns_here || goes_whole ? conversation->summaries : 0;
    return true;
}

static int count_what_would_go(struct memory_call *call, struct memory_forgotten *ret_would,
                               struct err *err)
{
    struct counting counting = { .call = call };
    const struct memory_args *args = &call->args;
    struct store_list list = { .user = args->user ? args->user : "" };
    struct store_conversation one = { 0 };
    int rc = 0;

    if (!args->conversation) {
        rc = memory_list(call->memory, &list, count_conversation, &counting, &counting.err);
    } else {
        rc = memory_size(call->memory, args->conversation, &one, &counting.err);
        if (rc == 0 && one.key)
            count_conversation(&counting, &one);
    }
    if (rc < 0 || counting.has_failed) {
        *err = counting.err;
        return -1;
    }
    *ret_would = counting.would;
    return 0;
}

/* ---- the receipt --------------------------------------------------------------------------
 */

static void put_receipt(struct memory_call *call, const struct memory_forgotten *forgotten)
{
    AUTO_BUF struct buf text = { 0 };

    if (call->args.given & MEMORY_OPTION_JSON) {
        memory_put_json(call, json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                                        "dry_run", !!(call->args.given & MEMORY_OPTION_DRY_RUN),
                                        "conversations", (json_int_t)forgotten->conversations,
                                        "turns", (json_int_t)forgotten->turns, "summaries",
                                        (json_int_t)forgotten->summaries, "fields",
                                        (json_int_t)forgotten->fields, "items",
                                        (json_int_t)forgotten->items, "messages",
                                        (json_int_t)forgotten->messages, "values",
                                        (json_int_t)forgotten->values, "runs",
                                        (json_int_t)forgotten->run_ids_count));
        memory_put(call, "\n");
        return;
    }
    buf_init(&text, RECEIPT_MAX_BYTES);
    memory_forgotten_print(forgotten, &text);
    memory_put(call,
               call->args.given & MEMORY_OPTION_DRY_RUN ? "would forget: " : "forgotten: ");
    memory_put(call, buf_text(&text));
    memory_put(call, "\n");
}

/* No daemon watches it: its agent would go on with what is to be forgotten. */
static void end_run(const char *run_id)
{
    int64_t until_ms = clock_now_ms() + END_RUN_MS;

    while (process_signal_run(run_id, 0, SIGKILL) > 0 && clock_now_ms() < until_ms)
        poll(NULL, 0, END_RUN_STEP_MS);
}

/* The directories hold the prompt and the answer, the slot what the agent noted for itself. */
static int remove_runs(struct memory_call *call, const struct memory_forgotten *forgotten,
                       bool is_alone)
{
    int status = CLI_OK;

    for (size_t i = 0; i < forgotten->run_ids_count; i++) {
        AUTO_FREE char *path =
            xasprintf("%s/runs/%s", call->config->state_dir, forgotten->run_ids[i]);
        struct err err = { 0 };

        if (!*forgotten->run_ids[i] || strchr(forgotten->run_ids[i], '/') ||
            *forgotten->run_ids[i] == '.')
            continue;
        if (is_alone)
            end_run(forgotten->run_ids[i]);
        if (file_remove_tree(path, &err) < 0)
            status = memory_say_failed(call, &err);
    }
    agent_slots_clear(call->config->state_dir);
    return status;
}

/* ---- asking -------------------------------------------------------------------------------
 */

static bool is_confirmed(struct memory_call *call, const struct memory_forgotten *would)
{
    AUTO_BUF struct buf text = { 0 };
    char answer[ANSWER_MAX_BYTES];

    buf_init(&text, RECEIPT_MAX_BYTES);
    memory_forgotten_print(would, &text);
    fprintf(stderr, "This erases %s, for good. Type yes: ", buf_text(&text));
    (void)call;
    return fgets(answer, sizeof(answer), stdin) && strcmp(answer, "yes\n") == 0;
}

/* CLI_OK to go on. */
static int ask(struct memory_call *call)
{
    struct memory_forgotten would = { 0 };
    struct err err = { 0 };

    if (call->args.given & MEMORY_OPTION_YES)
        return CLI_OK;
    if (!isatty(STDIN_FILENO)) {
        fputs("threadkeeper memory forget: nobody is there to be asked; give --yes\n", stderr);
        return CLI_USAGE;
    }
    if (count_what_would_go(call, &would, &err) < 0)
        return memory_say_failed(call, &err);
    if (is_confirmed(call, &would))
        return CLI_OK;
    fputs("nothing was erased\n", stderr);
    return CLI_FAILED;
}

/* A daemon holds the lock of its state_dir as long as it lives. */
static bool is_alone(const struct memory_call *call)
{
    AUTO_FREE char *path = xasprintf("%s/daemon.lock", call->config->state_dir);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT;
    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

static int forget(struct memory_call *call)
{
    struct memory_forget what = { .key = call->args.conversation,
                                  .user = call->args.user,
                                  .before_wall_s = call->args.before_wall_s,
                                  .is_alone = is_alone(call) };
    struct memory_forgotten forgotten = { 0 };
    struct err err = { 0 };
    int status;

    if (memory_forget(call->memory, &what, &forgotten, &err) < 0) {
        memory_forgotten_deinit(&forgotten);
        return memory_say_failed(call, &err);
    }
    status = remove_runs(call, &forgotten, what.is_alone);
    chats_forget(call->config->state_dir, &forgotten);
    put_receipt(call, &forgotten);
    memory_forgotten_deinit(&forgotten);
    return status == CLI_OK ? memory_out_end(call) : status;
}

int memory_forget_verb(struct memory_call *call)
{
    struct memory_forgotten would = { 0 };
    struct err err = { 0 };
    int status;

    if (!(call->args.given &
          (MEMORY_OPTION_USER | MEMORY_OPTION_CONVERSATION | MEMORY_OPTION_BEFORE))) {
        fputs("threadkeeper memory forget: --user U, --conversation KEY or --before T\n",
              stderr);
        return CLI_USAGE;
    }
    if (call->args.given & MEMORY_OPTION_DRY_RUN) {
        if (count_what_would_go(call, &would, &err) < 0)
            return memory_say_failed(call, &err);
        put_receipt(call, &would);
        return memory_out_end(call);
    }
    status = ask(call);
    return status == CLI_OK ? forget(call) : status;
}

/* ---- sweep --------------------------------------------------------------------------------
 */

int memory_sweep_verb(struct memory_call *call)
{
    struct store_swept swept = { 0 };
    struct err err = { 0 };
    int rc = memory_sweep(call->memory, &swept, &err);

    if (call->args.given & MEMORY_OPTION_JSON) {
        memory_put_json(call,
                        json_pack("{s:I, s:I, s:I, s:I}", "conversations",
                                  (json_int_t)swept.conversations, "turns",
                                  (json_int_t)swept.turns, "fields", (json_int_t)swept.fields,
                                  "values", (json_int_t)swept.values));
        memory_put(call, "\n");
    } else {
        memory_putf(call,
                    "%" PRId64 " conversations, %" PRId64 " turns, %" PRId64 " fields, %" PRId64
                    " values were past their time\n",
                    swept.conversations, swept.turns, swept.fields, swept.values);
    }
    memory_out_end(call);
    return rc < 0 ? memory_say_failed(call, &err) : CLI_OK;
}
