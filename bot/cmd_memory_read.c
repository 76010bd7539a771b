/*
 * cmd_memory_read.c - `threadkeeper memory list | show | search | messages`: looking at what is
 * kept.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "bot/cmd_memory.h"
#include "bot/memory_line.h"
#include "memory/fields.h"

#define LIST_ON_TERMINAL 100
#define SHOW_ON_TERMINAL 50
#define SEARCH_LIMIT     20
#define SEARCH_LIMIT_MAX 10000
#define QUERY_MAX_BYTES  65536
#define SECOND_INDENT    "    "

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* --limit, or what fits a screen or two when a person reads. */
static size_t limit_of(const struct memory_call *call, size_t on_terminal)
{
    if (call->args.limit)
        return (size_t)call->args.limit;
    return call->is_terminal && !(call->args.given & MEMORY_OPTION_JSON) ? on_terminal : 0;
}

static bool as_json(const struct memory_call *call)
{
    return call->args.given & MEMORY_OPTION_JSON;
}

/* ---- list ---------------------------------------------------------------------------------
 */

struct listing {
    struct memory_call *call;
    size_t limit;
    size_t count;
    char *last; /* key */
    bool has_more;
};

static void print_conversation(struct memory_call *call,
                               const struct store_conversation *conversation)
{
    char used[CLOCK_ISO_BYTES];

    memory_putf(call, "%s  %6" PRId64 " turns  %8" PRId64 " bytes  ",
                clock_iso_utc(conversation->used_wall_s, used), conversation->turns,
                conversation->bytes);
    memory_put(call, conversation->key);
    memory_put(call, "\n");
}

static bool list_one(void *context, const struct store_conversation *conversation)
{
    struct listing *listing = context;

    if (listing->limit && listing->count == listing->limit) {
        listing->has_more = true;
        return false;
    }
    if (as_json(listing->call)) {
        memory_put(listing->call, listing->count ? ",\n " : "[");
        memory_put_json(listing->call, memory_figures_json(conversation));
    } else {
        print_conversation(listing->call, conversation);
    }
    listing->count++;
    free(listing->last);
    listing->last = xstrdup(conversation->key);
    return memory_out_is_open(listing->call);
}

static void say_more(const char *last)
{
    AUTO_FREE char *clean = utf8_clean_copy(last, strlen(last), SIZE_MAX);

    fprintf(stderr, "more: --after '%s'\n", clean);
}

int memory_list_verb(struct memory_call *call)
{
    struct listing listing = { .call = call, .limit = limit_of(call, LIST_ON_TERMINAL) };
    struct store_list list = { .user = or_empty(call->args.user),
                               .pattern = or_empty(call->args.pattern),
                               .after = or_empty(call->args.after),
                               .limit = listing.limit ? listing.limit + 1 : 0 };
    struct err err = { 0 };
    int status;

    if (memory_list(call->memory, &list, list_one, &listing, &err) < 0) {
        free(listing.last);
        return memory_say_failed(call, &err);
    }
    if (as_json(call))
        memory_put(call, listing.count ? "]\n" : "[]\n");
    status = memory_out_end(call);
    if (listing.has_more && status == CLI_OK)
        say_more(listing.last);
    else if (!listing.count && !as_json(call))
        fputs("no conversation\n", stderr);
    free(listing.last);
    return status;
}

/* ---- show ---------------------------------------------------------------------------------
 */

struct showing {
    struct memory_call *call;
    size_t count;
};

/* Further lines are indented, so that none can pass for a turn. */
static void put_indented(struct memory_call *call, const char *text)
{
    for (;;) {
        size_t len = strcspn(text, "\n");
        AUTO_FREE char *line = xstrndup(text, len);

        memory_put(call, line);
        memory_put(call, "\n");
        if (!text[len] || !text[len + 1])
            return;
        memory_put(call, SECOND_INDENT);
        text += len + 1;
    }
}

static void put_turn(struct memory_call *call, int64_t at_wall_s, int64_t seq,
                     enum memory_role role, const char *author)
{
    char at[CLOCK_ISO_BYTES];

    memory_putf(call, "%s  #%" PRId64 "  %s", clock_iso_utc(at_wall_s, at), seq,
                memory_role_name(role));
    if (*author) {
        memory_put(call, " ");
        memory_put(call, author);
    }
    memory_put(call, ": ");
}

static json_t *numbered_turn_json(const char *key, const struct memory_turn *turn)
{
    json_t *object = memory_turn_json(key, turn);

    json_object_set_new(object, "seq", json_integer(turn->seq));
    json_object_set_new(object, "tokens", json_integer(turn->tokens));
    return object;
}

static bool show_turn(void *context, const struct memory_turn *turn)
{
    struct showing *showing = context;
    struct memory_call *call = showing->call;

    if (as_json(call)) {
        memory_put(call, showing->count ? ",\n  " : "\n  ");
        memory_put_json(call, numbered_turn_json(memory_word(call, 0), turn));
    } else {
        put_turn(call, turn->at_wall_s, turn->seq, turn->role, turn->author);
        put_indented(call, turn->text);
    }
    showing->count++;
    return memory_out_is_open(call);
}

static json_t *summary_json(const struct store_summary *summary)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "version", (json_int_t)summary->version,
        "first_seq", (json_int_t)summary->first_seq, "last_seq", (json_int_t)summary->last_seq,
        "made_at", (json_int_t)summary->made_wall_s, "tokens", (json_int_t)summary->tokens,
        "source", memory_json_text(summary->source), "text", memory_json_text(summary->text),
        "pinned", memory_json_text(or_empty(summary->pinned)));
}

static bool show_summary(void *context, const struct store_summary *summary)
{
    struct showing *showing = context;
    struct memory_call *call = showing->call;
    char made[CLOCK_ISO_BYTES];

    if (as_json(call)) {
        memory_put(call, showing->count ? ",\n  " : "\n  ");
        memory_put_json(call, summary_json(summary));
    } else {
        memory_putf(call, "%s  summary %" PRId64 " of turns %" PRId64 " to %" PRId64 " (%s): ",
                    clock_iso_utc(summary->made_wall_s, made), summary->version,
                    summary->first_seq, summary->last_seq, summary->source);
        put_indented(call, summary->text);
        if (summary->pinned && *summary->pinned) {
            memory_put(call, SECOND_INDENT "kept beside it: ");
            put_indented(call, summary->pinned);
        }
    }
    showing->count++;
    return memory_out_is_open(call);
}

/* The parts of `show`, in the order in which they are read. */
static int show_parts(struct memory_call *call, const char *key,
                      const struct store_range *range, struct err *err)
{
    struct showing summaries = { .call = call };
    struct showing turns = { .call = call };

    if (as_json(call)) {
        memory_put(call, "{\"key\":");
        memory_put_json(call, memory_json_text(key));
    }
    if (call->args.given & MEMORY_OPTION_SUMMARIES) {
        if (as_json(call))
            memory_put(call, ",\"summaries\":[");
        if (memory_summaries(call->memory, key, show_summary, &summaries, err) < 0)
            return -1;
        if (as_json(call))
            memory_put(call, "]");
    }
    if (as_json(call))
        memory_put(call, ",\"turns\":[");
    if (memory_history(call->memory, key, range, show_turn, &turns, err) < 0)
        return -1;
    if (as_json(call))
        memory_put(call, "]}\n");
    return 0;
}

static int no_conversation(struct memory_call *call, const char *key)
{
    struct err err = { 0 };

    err_set(&err, ERR_INPUT, "there is no conversation %s", key);
    return memory_say_failed(call, &err);
}

int memory_show_verb(struct memory_call *call)
{
    const char *key = memory_word(call, 0);
    struct store_range range = { .since_wall_s = call->args.since_wall_s,
                                 .until_wall_s = call->args.until_wall_s,
                                 .limit = limit_of(call, SHOW_ON_TERMINAL) };
    struct store_conversation size = { 0 };
    struct err err = { 0 };

    if (memory_size(call->memory, key, &size, &err) < 0)
        return memory_say_failed(call, &err);
    if (!size.key)
        return no_conversation(call, key);
    if (show_parts(call, key, &range, &err) < 0)
        return memory_say_failed(call, &err);
    if (!call->args.limit && range.limit && size.turns > (int64_t)range.limit)
        fprintf(stderr, "the newest %zu of %" PRId64 " turns; --limit N shows more\n",
                range.limit, size.turns);
    return memory_out_end(call);
}

/* ---- messages -----------------------------------------------------------------------------
 */

static bool show_message(void *context, const struct memory_turn *turn)
{
    struct showing *showing = context;
    struct memory_call *call = showing->call;

    if (as_json(call)) {
        memory_put(call, showing->count ? ",\n " : "[");
        memory_put_json(call, numbered_turn_json(memory_word(call, 0), turn));
        showing->count++;
        return memory_out_is_open(call);
    }
    return show_turn(context, turn);
}

int memory_messages_verb(struct memory_call *call)
{
    struct showing showing = { .call = call };
    struct err err = { 0 };

    if (memory_messages_visit(call->memory, memory_word(call, 0), (size_t)call->args.limit,
                              show_message, &showing, &err) < 0)
        return memory_say_failed(call, &err);
    if (as_json(call))
        memory_put(call, showing.count ? "]\n" : "[]\n");
    return memory_out_end(call);
}

/* ---- search -------------------------------------------------------------------------------
 */

static void join_words(const struct memory_call *call, struct buf *out)
{
    for (size_t i = 0; i < call->args.words_count; i++) {
        if (i)
            buf_append_char(out, ' ');
        buf_append_text(out, memory_word(call, i));
    }
}

static json_t *hit_json(const struct archive_hit *hit)
{
    return json_pack("{s:o, s:I, s:f, s:I, s:s, s:o, s:o}", "key", memory_json_text(hit->key),
                     "seq", (json_int_t)hit->seq, "score", hit->score, "at",
                     (json_int_t)hit->at_wall_s, "role", memory_role_name(hit->role), "author",
                     memory_json_text(or_empty(hit->author)), "text",
                     memory_json_text(or_empty(hit->text)));
}

static void print_hits(struct memory_call *call, const struct archive_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (as_json(call)) {
            memory_put(call, i ? ",\n " : "[");
            memory_put_json(call, hit_json(&hits[i]));
            continue;
        }
        memory_put(call, hits[i].key);
        memory_put(call, "\n" SECOND_INDENT);
        put_turn(call, hits[i].at_wall_s, hits[i].seq, hits[i].role, or_empty(hits[i].author));
        put_indented(call, or_empty(hits[i].text));
    }
    if (as_json(call))
        memory_put(call, count ? "]\n" : "[]\n");
    else if (!count)
        fputs("nothing matches\n", stderr);
}

int memory_search_verb(struct memory_call *call)
{
    struct store_list list = { .user = or_empty(call->args.user),
                               .pattern = or_empty(call->args.pattern),
                               .after = "" };
    size_t max = call->args.limit ? (size_t)call->args.limit : SEARCH_LIMIT;
    AUTO_FREE struct archive_hit *hits = NULL;
    AUTO_BUF struct buf query = { 0 };
    struct memory_progress progress;
    struct err err = { 0 };
    size_t count = 0;
    int rc;

    max = max > SEARCH_LIMIT_MAX ? SEARCH_LIMIT_MAX : max;
    hits = xcalloc(max, sizeof(*hits));
    buf_init(&query, QUERY_MAX_BYTES);
    join_words(call, &query);
    memory_progress_begin(&progress, "searching");
    rc = memory_search(call->memory, &list, buf_text(&query), hits, max, &count,
                       memory_progress_show, &progress, &err);
    memory_progress_end(&progress);
    if (rc < 0)
        return memory_say_failed(call, &err);
    print_hits(call, hits, count);
    for (size_t i = 0; i < count; i++)
        archive_hit_deinit(&hits[i]);
    return memory_out_end(call);
}
