#include "bot/usage.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bot/figures.h"

int64_t usage_tokens(const struct usage *usage)
{
    return usage->input_tokens + usage->output_tokens;
}

void usage_add(struct usage *sum, const struct usage *run)
{
    struct usage before = *sum;

    *sum = *run;
    if (!usage_tokens(&before))
        return;
    sum->input_tokens += before.input_tokens;
    sum->output_tokens += before.output_tokens;
    sum->duration_ms += before.duration_ms;
    if (before.cache_read_tokens > 0)
        sum->cache_read_tokens = before.cache_read_tokens +
                                 (run->cache_read_tokens > 0 ? run->cache_read_tokens : 0);
    sum->is_estimate = before.is_estimate || run->is_estimate;
}

char *usage_print_json(const struct usage *usage)
{
    json_auto_t *root =
        json_pack("{s:{s:I, s:I, s:I, s:I, s:b, s:b, s:s}}", "usage", "input",
                  (json_int_t)usage->input_tokens, "output", (json_int_t)usage->output_tokens,
                  "cache_read", (json_int_t)usage->cache_read_tokens, "ms",
                  (json_int_t)usage->duration_ms, "estimate", usage->is_estimate, "kept",
                  usage->is_kept, "model", usage->model);

    return root ? json_dumps(root, JSON_COMPACT) : NULL;
}

bool usage_parse_json(const char *json, struct usage *ret_usage)
{
    json_auto_t *root = json && *json ? json_loads(json, 0, NULL) : NULL;
    json_int_t input, output, cache_read, ms;
    int is_estimate, is_kept;
    const char *model;

    if (!root || json_unpack(root, "{s:{s:I, s:I, s:I, s:I, s:b, s:b, s:s}}", "usage", "input",
                             &input, "output", &output, "cache_read", &cache_read, "ms", &ms,
                             "estimate", &is_estimate, "kept", &is_kept, "model", &model) < 0)
        return false;
    *ret_usage = (struct usage){ .input_tokens = input,
                                 .output_tokens = output,
                                 .cache_read_tokens = cache_read,
                                 .duration_ms = ms,
                                 .is_estimate = is_estimate,
                                 .is_kept = is_kept };
    snprintf(ret_usage->model, sizeof(ret_usage->model), "%s", model);
    return true;
}

void usage_print_number(int64_t number, struct buf *out)
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%" PRId64, number);

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
            buf_append_char(out, ',');
        buf_append_char(out, digits[i]);
    }
}

void usage_print_tokens(int64_t input_tokens, int64_t output_tokens, int64_t cache_read_tokens,
                        struct buf *out)
{
    usage_print_number(input_tokens, out);
    buf_append_text(out, " in");
    if (cache_read_tokens >= 0 && input_tokens > 0)
        buf_printf(out, " (%d %% cached)", figures_percent(cache_read_tokens, input_tokens));
    buf_append_text(out, ", ");
    usage_print_number(output_tokens, out);
    buf_append_text(out, " out");
}

/* A model's name comes from outside: no markup of its. */
static void print_model(const char *model, struct buf *out)
{
    for (; *model; model++) {
        if (strchr("<>&`*_~|\n\t", *model))
            buf_append_char(out, *model == '_' ? '-' : ' ');
        else
            buf_append_char(out, *model);
    }
}

void usage_print(const struct usage *usage, struct buf *out)
{
    char took[32];

    if (usage->is_estimate)
        buf_append_text(out, "about ");
    usage_print_tokens(usage->input_tokens, usage->output_tokens, usage->cache_read_tokens,
                       out);
    buf_printf(out, ", %s", clock_human(usage->duration_ms, took));
    if (*usage->model) {
        buf_append_text(out, ", ");
        print_model(usage->model, out);
    }
}
