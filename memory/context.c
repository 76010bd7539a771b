#include "memory/context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/conversation.h"
#include "memory/excerpt.h"
#include "memory/line.h"
#include "memory/pieces.h"
#include "memory/preface.h"
#include "memory/recall.h"
#include "memory/rooms.h"

#define LINE_MAX_BYTES  (4 * (PACK_TEXT_MAX_BYTES + 4096)) /* newlines become three bytes */
#define PERSON_SHARE    0.25                               /* of the budget */
#define SUMMARY_SHARE   0.3 /* of what may be told of the turns */
#define RECENT_SCORE    0.5 /* of the newest turn beyond the verbatim ones; falls from there */
#define ELSEWHERE_SHARE 0.8 /* what was said here rather answers what is asked here */
#define CUT_TRIES       16
#define EXCERPTS_MAX    3
#define EXCERPT_SCORE   0.5 /* only of what is among the best */
#define EXCERPT_MIN     240 /* quarters that are left for one */
#define CUT_MIN_BYTES   8
#define NAME_TOKENS     2  /* about, for each turn's name */
#define LEFT_MIN        16 /* quarters: no turn fits into less */
#define DAY_S           86400
#define GROWTH_TOKENS   90 /* more for each doubling of the turns there are */

#define HEADING_RECALLED "Recalled"
#define HEADING_LATEST   "Latest"

/* All sizes are in quarters of an estimated token, which add up. */
struct building {
    const struct memory_context_options *options;
    struct memory_receipt *receipt;
    struct memory_context_items *items; /* NULL: not wanted */
    struct line_names names;
    struct pieces pieces;
    struct buf person;
    struct buf summary;
    struct buf scratch;
    int64_t left;    /* of the budget */
    int64_t allowed; /* of what is left, for all but the newest turns */
    size_t window;   /* turns in RAM, the last of the pieces */
    size_t latest;   /* index of the first that stands verbatim */
};

static int64_t quarters_of(const struct buf *text)
{
    return memory_estimate_quarters(buf_text(text), text->len);
}

static void spend(struct building *building, int64_t quarters)
{
    building->left -= quarters;
    building->allowed -= quarters;
}

/* ---- how much of the turns ----------------------------------------------------------------
 */

static int64_t known_tokens(const struct building *building)
{
    int64_t tokens = 0;

    for (size_t i = 0; i < building->pieces.count; i++)
        tokens += building->pieces.all[i].turn.tokens + NAME_TOKENS;
    return tokens;
}

/* See context.h: what may be told of `known` tokens. */
static int64_t allowance(int64_t known)
{
    double whole = CONTEXT_WHOLE_TOKENS;
    double tokens = (double)known;

    if (tokens > whole)
        tokens = fmax(whole + GROWTH_TOKENS * log2(tokens / whole), tokens * CONTEXT_SHARE);
    return (int64_t)tokens;
}

static bool is_new_session(const struct building *building)
{
    const struct memory_context_options *options = building->options;
    const struct piece *newest;

    if (!building->window || options->session_ttl_ms <= 0)
        return false;
    newest = &building->pieces.all[building->pieces.count - 1];
    return options->now_wall_s - newest->turn.at_wall_s > options->session_ttl_ms / 1000;
}

static void take_summary(const struct conversation *conversation, struct building *building)
{
    if (!building->options->uses_summary)
        return;
    preface_take_summary(conversation, (int64_t)((double)building->allowed * SUMMARY_SHARE),
                         &building->summary, building->receipt);
    spend(building, quarters_of(&building->summary));
}

/* ---- turns --------------------------------------------------------------------------------
 */

static int64_t measure_turn(struct building *building, const struct piece *piece)
{
    buf_clear(&building->scratch);
    line_append_part(&building->scratch, &piece->turn, &building->names, piece->from,
                     piece->len);
    return quarters_of(&building->scratch);
}

static bool is_same_day(const struct piece *a, const struct piece *b)
{
    return a->conversation == b->conversation &&
           a->turn.at_wall_s / DAY_S == b->turn.at_wall_s / DAY_S;
}

static int64_t measure_day(struct building *building, const struct piece *piece)
{
    buf_clear(&building->scratch);
    line_append_day(&building->scratch, piece->turn.at_wall_s, piece->conversation);
    return quarters_of(&building->scratch);
}

/* Whether a turn that is chosen already has this one's day above it. */
static bool has_day(const struct building *building, size_t at)
{
    const struct piece *all = building->pieces.all;
    size_t end = building->latest;

    for (size_t i = at; i-- > 0 && is_same_day(&all[i], &all[at]);) {
        if (all[i].is_chosen)
            return true;
    }
    for (size_t i = at + 1; i < end && is_same_day(&all[i], &all[at]); i++) {
        if (all[i].is_chosen)
            return true;
    }
    return false;
}

/*
 * The newest turn alone is over the budget: its beginning is better than silence, for the next
 * question is most likely about it. The cut is found by halving the excess.
 */
static void cut_newest(struct building *building, int64_t most)
{
    struct piece *piece = &building->pieces.all[building->pieces.count - 1];
    size_t len = piece->len;
    size_t low = 0;
    size_t high = len;

    for (int i = 0; i < CUT_TRIES && high - low > 1; i++) {
        piece->len = utf8_cut(piece->turn.text, len, low + (high - low) / 2);
        if (piece->len <= low)
            break;
        if (measure_turn(building, piece) <= most)
            low = piece->len;
        else
            high = piece->len;
    }
    piece->len = low;
    if (low < CUT_MIN_BYTES)
        return;
    building->latest--;
    building->receipt->is_cut = true;
    spend(building, measure_turn(building, piece));
}

/* The newest turns, as many as `max` and `most` (of the budget) take. */
static void take_latest(struct building *building, size_t max, int64_t most)
{
    int64_t heading =
        memory_estimate_quarters("# " HEADING_LATEST "\n", sizeof("# " HEADING_LATEST));
    int64_t before = building->left;

    most = most < building->left ? most : building->left;
    while (building->latest > building->pieces.count - building->window && max > 0) {
        const struct piece *piece = &building->pieces.all[building->latest - 1];
        bool is_first = building->latest == building->pieces.count;
        int64_t size = measure_turn(building, piece);
        int64_t headings = is_first ? heading : 0;

        if (is_first || !is_same_day(piece, piece + 1))
            headings += measure_day(building, piece);
        if (before - building->left + headings + size > most) {
            if (is_first && headings < most) {
                spend(building, headings);
                cut_newest(building, most - headings);
            }
            return;
        }
        spend(building, headings + size);
        building->latest--;
        max--;
    }
}

/* ---- recall -------------------------------------------------------------------------------
 */

static void score_pieces(struct building *building)
{
    const struct memory_context_options *options = building->options;
    struct recall_question question = { options->question, building->names.asker,
                                        options->now_wall_s };
    size_t count = building->pieces.count;
    AUTO_FREE struct recall_turn *turns = xcalloc(count + 1, sizeof(*turns));
    AUTO_FREE double *scores = xcalloc(count + 1, sizeof(*scores));

    for (size_t i = 0; i < count; i++) {
        const struct memory_turn *turn = &building->pieces.all[i].turn;

        turns[i] = (struct recall_turn){ turn->text, turn->author, turn->at_wall_s };
    }
    recall_rank(turns, count, &question, scores);
    for (size_t i = 0; i < count; i++) {
        building->pieces.all[i].score = scores[i];
        if (i < building->pieces.here)
            building->pieces.all[i].score *= ELSEWHERE_SHARE;
    }
}

struct candidate {
    size_t at;
    double worth;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *first = a;
    const struct candidate *second = b;

    if (first->worth != second->worth)
        return first->worth < second->worth ? 1 : -1;
    return first->at < second->at ? 1 : -1;
}

/* What a turn has for being recent, 0 to RECENT_SCORE. In a new session only what was found
 * counts, but for when nothing was. */
static double recency(const struct building *building, size_t at)
{
    int64_t age = (int64_t)(building->pieces.count - at); /* 1: the newest */
    int64_t max = building->options->max_messages;

    if (age > max || at < building->pieces.count - building->window)
        return 0;
    return RECENT_SCORE * (double)(max - age + 1) / (double)max;
}

static size_t list_candidates(const struct building *building, struct candidate *candidates)
{
    bool any_found = false;
    size_t count = 0;

    for (size_t i = 0; i < building->latest; i++)
        any_found = any_found || building->pieces.all[i].score > 0;
    for (size_t i = 0; i < building->latest; i++) {
        const struct piece *piece = &building->pieces.all[i];
        double score = piece->score;

        if (!building->receipt->is_new_session || (!any_found && !building->summary.len))
            score += recency(building, i);
        if (score > 0)
            candidates[count++] =
                (struct candidate){ i, recall_worth(score, strlen(piece->turn.text) + 12) };
    }
    qsort(candidates, count, sizeof(*candidates), compare_candidates);
    return count;
}

/* A long turn gives the part that answers best rather than nothing; false when there is no
 * room for that either. */
static bool take_excerpt(const struct building *building, struct piece *piece, int64_t left)
{
    const struct memory_context_options *options = building->options;
    struct recall_question question = { options->question, building->names.asker,
                                        options->now_wall_s };
    struct excerpt excerpt;

    if (left < EXCERPT_MIN || !utf8_is_valid(piece->turn.text, piece->len))
        return false;
    /* A byte has a quarter at least, on the average. */
    excerpt = excerpt_find(piece->turn.text, &question, (size_t)(left / 2));
    if (!excerpt.len)
        return false;
    piece->from = excerpt.from;
    piece->len = excerpt.len;
    return true;
}

/* What the turn takes with its day, 0 when it does not fit. */
static int64_t fit_turn(struct building *building, size_t at, bool may_excerpt, int64_t left)
{
    struct piece *piece = &building->pieces.all[at];
    int64_t day = has_day(building, at) ? 0 : measure_day(building, piece);
    int64_t size;

    if ((piece->turn.tokens - 1) * TOKEN_QUARTERS <= left) {
        size = measure_turn(building, piece) + day;
        if (size <= left)
            return size;
    }
    if (!may_excerpt || !take_excerpt(building, piece, left))
        return 0;
    size = measure_turn(building, piece) + day;
    return size <= left ? size : 0;
}

/* Fills what is allowed with the turns that are worth most for their size. */
static void take_recalled(struct building *building)
{
    AUTO_FREE struct candidate *candidates = xcalloc(building->latest + 1, sizeof(*candidates));
    int64_t heading =
        memory_estimate_quarters("# " HEADING_RECALLED "\n", sizeof("# " HEADING_RECALLED));
    size_t count = list_candidates(building, candidates);
    int64_t left = building->allowed < building->left ? building->allowed : building->left;
    size_t excerpts = EXCERPTS_MAX;

    left -= heading;
    for (size_t i = 0; i < count && left >= LEFT_MIN; i++) {
        struct piece *piece = &building->pieces.all[candidates[i].at];
        bool may_excerpt = excerpts > 0 && piece->score >= EXCERPT_SCORE;
        int64_t size = fit_turn(building, candidates[i].at, may_excerpt, left);

        if (!size)
            continue;
        if (piece->turn.text[piece->len])
            excerpts--;
        left -= size;
        piece->is_chosen = true;
    }
}

/* Turns that were taken right before the latest ones belong to them. */
static void join_latest(struct building *building)
{
    size_t most =
        building->options->max_messages < 0 ? 0 : (size_t)building->options->max_messages;

    if (building->latest == building->pieces.count || building->receipt->is_cut)
        return;
    while (building->latest > building->pieces.count - building->window &&
           building->pieces.all[building->latest - 1].is_chosen &&
           is_same_day(&building->pieces.all[building->latest - 1],
                       &building->pieces.all[building->latest]) &&
           building->pieces.count - building->latest < most)
        building->latest--;
}

/* ---- the text -----------------------------------------------------------------------------
 */

static int64_t tokens_between(const struct buf *out, size_t from)
{
    int64_t quarters = memory_estimate_quarters(buf_text(out) + from, out->len - from);

    return (quarters + TOKEN_QUARTERS - 1) / TOKEN_QUARTERS;
}

/* What was printed last. */
struct printing {
    struct buf *out;
    enum memory_context_part part;
    size_t last; /* turn, SIZE_MAX: none */
    size_t day;  /* where its day's line begins */
};

static void print_turn(struct building *building, size_t at, struct printing *printing)
{
    const struct piece *piece = &building->pieces.all[at];
    struct buf *out = printing->out;
    size_t from;

    if (printing->last == SIZE_MAX ||
        !is_same_day(&building->pieces.all[printing->last], piece)) {
        printing->day = out->len;
        line_append_day(out, piece->turn.at_wall_s, piece->conversation);
    }
    from = out->len;
    line_append_part(out, &piece->turn, &building->names, piece->from, piece->len);
    printing->last = at;
    if (building->items && !out->overflowed)
        memory_context_items_add_turn(building->items, printing->part,
                                      buf_text(out) + printing->day, buf_text(out) + from,
                                      out->len - from);
}

static void note_recalled(struct building *building, const struct piece *piece)
{
    struct memory_receipt *receipt = building->receipt;

    if (receipt->recalled_count == MEMORY_RECEIPT_RECALLED_MAX)
        return;
    receipt->recalled[receipt->recalled_count++] =
        (struct memory_recalled){ piece->turn.seq, piece->score,
                                  xstrdup_or_null(piece->conversation) };
}

static void print_turns(struct building *building, struct buf *out)
{
    struct memory_receipt *receipt = building->receipt;
    size_t from = out->len;
    struct printing printing = { out, MEMORY_CONTEXT_RECALLED, SIZE_MAX, 0 };

    for (size_t i = 0; i < building->latest; i++) {
        if (!building->pieces.all[i].is_chosen)
            continue;
        if (printing.last == SIZE_MAX)
            line_append_heading(out, HEADING_RECALLED);
        print_turn(building, i, &printing);
        note_recalled(building, &building->pieces.all[i]);
    }
    receipt->tokens_recalled = tokens_between(out, from);
    from = out->len;
    printing = (struct printing){ out, MEMORY_CONTEXT_LATEST, SIZE_MAX, 0 };
    for (size_t i = building->latest; i < building->pieces.count; i++) {
        if (printing.last == SIZE_MAX)
            line_append_heading(out, HEADING_LATEST);
        print_turn(building, i, &printing);
    }
    receipt->tokens_verbatim = tokens_between(out, from);
}

static void count_turns(struct building *building)
{
    struct memory_receipt *receipt = building->receipt;
    const struct pieces *pieces = &building->pieces;

    receipt->turns_known = (int64_t)(pieces->count - pieces->here);
    receipt->verbatim_turns = (int64_t)(pieces->count - building->latest);
    if (receipt->verbatim_turns)
        receipt->verbatim_first_seq = pieces->all[building->latest].turn.seq;
    for (size_t i = pieces->here; i < building->latest; i++) {
        if (!pieces->all[i].is_chosen && pieces->all[i].turn.seq > receipt->summary_last_seq)
            receipt->turns_dropped++;
    }
    receipt->lacks_older = pieces->lacks_older;
    receipt->lacks_elsewhere = pieces->lacks_elsewhere;
}

static void calibrate_receipt(struct memory_receipt *receipt, double factor)
{
    int64_t *const counts[] = { &receipt->tokens,          &receipt->tokens_known,
                                &receipt->tokens_person,   &receipt->tokens_summary,
                                &receipt->tokens_recalled, &receipt->tokens_verbatim };

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *counts[i] = (int64_t)ceil((double)*counts[i] * factor - 1e-6);
}

/* ---- all of it ----------------------------------------------------------------------------
 */

static size_t at_most(int64_t wanted, size_t count)
{
    if (wanted <= 0)
        return 0;
    return (uint64_t)wanted < count ? (size_t)wanted : count;
}

/* Authors stand in turns without their "team/". */
static const char *bare_user(const char *user)
{
    const char *slash = strchr(user, '/');

    return slash ? slash + 1 : user;
}

/* Leaves the turns of this conversation out that its reader knows. */
static void drop_told(struct building *building)
{
    struct pieces *pieces = &building->pieces;
    size_t told = pieces->here;

    while (told < pieces->count && pieces->all[told].turn.seq <= building->options->told_seq)
        told++;
    memmove(&pieces->all[pieces->here], &pieces->all[told],
            (pieces->count - told) * sizeof(pieces->all[0]));
    pieces->count -= told - pieces->here;
    pieces->window -=
        pieces->window < told ? pieces->window - pieces->here : told - pieces->here;
}

/* Chooses what goes in, within building->left. */
static void choose(const struct conversation *conversation, struct building *building,
                   bool stands_in)
{
    const struct memory_context_options *options = building->options;
    int64_t known = known_tokens(building);
    size_t max = at_most(options->max_messages, building->window);
    size_t verbatim = at_most(options->verbatim_messages, max);

    building->receipt->tokens_known = known;
    building->allowed = building->left;
    if (stands_in && allowance(known) * TOKEN_QUARTERS < building->allowed)
        building->allowed = allowance(known) * TOKEN_QUARTERS;
    building->receipt->is_new_session = is_new_session(building);
    if (building->receipt->is_new_session)
        max = verbatim = 0;
    /* Nothing needs to stand in for what is there as it is. */
    if (max == building->pieces.count && known <= CONTEXT_WHOLE_TOKENS)
        stands_in = false;
    if (stands_in)
        take_summary(conversation, building);
    take_latest(building, stands_in ? verbatim : max, building->left);
    if (!stands_in)
        return;
    if (!options->uses_recall) {
        take_latest(building, max - verbatim, building->allowed);
        return;
    }
    if (*options->question)
        score_pieces(building);
    take_recalled(building);
    join_latest(building);
}

static void list_preface(struct building *building)
{
    const char *summary = buf_text(&building->summary);
    size_t heading = strcspn(summary, "\n");

    if (!building->items)
        return;
    if (building->person.len)
        memory_context_items_add_text(building->items, MEMORY_CONTEXT_PERSON,
                                      buf_text(&building->person), building->person.len);
    if (building->summary.len > heading)
        memory_context_items_add_text(building->items, MEMORY_CONTEXT_SUMMARY,
                                      summary + heading + 1,
                                      building->summary.len - heading - 1);
}

static void print(struct building *building, struct buf *out)
{
    struct memory_receipt *receipt = building->receipt;
    size_t from = out->len;

    buf_append(out, buf_text(&building->person), building->person.len);
    buf_append(out, buf_text(&building->summary), building->summary.len);
    receipt->tokens_person = tokens_between(&building->person, 0);
    receipt->tokens_summary = tokens_between(&building->summary, 0);
    list_preface(building);
    print_turns(building, out);
    receipt->tokens = tokens_between(out, from);
    count_turns(building);
}

void memory_build_context(struct memory *memory, const struct conversation *conversation,
                          const struct memory_context_options *options, struct buf *out,
                          struct memory_context_items *ret_items,
                          struct memory_receipt *ret_receipt)
{
    struct memory_context_options filled = *options;
    struct building building = { .options = &filled,
                                 .receipt = ret_receipt,
                                 .items = ret_items };
    struct pieces_wanted wanted = { .older = options->uses_recall };
    struct memory_calibration calibration;

    filled.question = options->question ? options->question : "";
    filled.user = options->user ? options->user : "";
    building.names = (struct line_names){ bare_user(filled.user), options->name_authors };
    if (options->uses_recall && options->recalls_elsewhere && *filled.user)
        wanted.elsewhere = filled.user;
    memory_get_calibration(memory, &calibration);
    ret_receipt->budget_tokens = options->budget_tokens;
    building.left =
        (int64_t)((double)(options->budget_tokens > 0 ? options->budget_tokens : 0) /
                  calibration.tokens_per_estimate) *
        TOKEN_QUARTERS;
    buf_init(&building.person, LINE_MAX_BYTES);
    buf_init(&building.summary, LINE_MAX_BYTES);
    buf_init(&building.scratch, LINE_MAX_BYTES);
    if (options->uses_profile && *filled.user) {
        preface_take_person(memory, filled.user,
                            (int64_t)((double)building.left * PERSON_SHARE), &building.person,
                            ret_receipt);
        building.left -= quarters_of(&building.person);
    }
    pieces_gather(memory, conversation, &wanted, &building.pieces);
    if (options->told_seq > 0) {
        filled.uses_summary = false;
        drop_told(&building);
    }
    building.latest = building.pieces.count;
    building.window = building.pieces.count - building.pieces.window;
    choose(conversation, &building, filled.uses_summary || filled.uses_recall);
    print(&building, out);
    calibrate_receipt(ret_receipt, calibration.tokens_per_estimate);
    pieces_deinit(&building.pieces);
    buf_deinit(&building.person);
    buf_deinit(&building.summary);
    buf_deinit(&building.scratch);
}
