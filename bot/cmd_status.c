/*
 * cmd_status.c - `threadkeeper status`: asks the running daemon over its local listener.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/http.h"
#include "bot/cli.h"
#include "config/config.h"

#define ANSWER_MAX_BYTES (1U << 20)
#define TIMEOUT_MS       5000

static int ask_daemon(const struct config *config, struct http_response *ret_response,
                      struct err *err)
{
    AUTO_FREE char *url = xasprintf("http://%s/status", config->admin.listen);
    struct http *http = http_new();
    struct http_request request = {
        .method = "GET",
        .url = url,
        .max_response_bytes = ANSWER_MAX_BYTES,
        .connect_timeout_ms = TIMEOUT_MS,
        .timeout_ms = TIMEOUT_MS,
    };
    int rc = http_perform(http, &request, ret_response, err);

    http_free(http);
    if (rc < 0)
        return err_wrap(err, "no daemon answers on %s (admin.listen)", config->admin.listen);
    if (ret_response->status != 200)
        return err_set(err, ERR_REMOTE, "%s answers %ld, is that threadkeeper?",
                       config->admin.listen, ret_response->status);
    return 0;
}

/* What was counted since the start; a daemon of an older version counts less. */
static void print_figures(const json_t *memory)
{
    json_int_t hit_percent = 0;
    json_int_t contexts = 0;
    json_int_t tokens = 0;
    json_int_t summaries = 0;
    json_int_t answers = 0;
    json_int_t refused = 0;

    if (json_unpack((json_t *)memory, "{s:I, s:I, s:I, s:I, s:I, s:I}", "hit_percent",
                    &hit_percent, "contexts", &contexts, "tokens_per_context", &tokens,
                    "summaries_made", &summaries, "answers_hit", &answers, "rate_limited",
                    &refused) < 0)
        return;
    printf("            found in RAM %" PRId64 " %%; %" PRId64 " questions with %" PRId64
           " tokens of memory on average\n",
           (int64_t)hit_percent, (int64_t)contexts, (int64_t)tokens);
    printf("            %" PRId64 " summaries made, %" PRId64 " answers served again, %" PRId64
           " messages over the rate limit\n",
           (int64_t)summaries, (int64_t)answers, (int64_t)refused);
}

static void print_fence(const json_t *fence)
{
    const json_t *missing = json_object_get(fence, "missing");
    const char *mode = json_string_value(json_object_get(fence, "mode"));
    const json_t *line;
    size_t index;

    if (!mode) /* a daemon of an older version */
        return;
    printf("  fence     %s%s\n", mode,
           strcmp(mode, "off") == 0        ? ": agents are not confined"
           : json_array_size(missing) == 0 ? ", all of it"
                                           : ", without:");
    json_array_foreach(missing, index, line)
    {
        if (strcmp(mode, "off") != 0)
            printf("            %s\n", json_string_value(line));
    }
}

static void print_links(const json_t *links)
{
    size_t index;
    const json_t *link;

    json_array_foreach(links, index, link)
    {
        const json_t *state = json_object_get(link, "state");
        const json_t *host = json_object_get(link, "host");

        printf("  link %zu    %s%s%s\n", index + 1,
               json_is_string(state) ? json_string_value(state) : "?",
               json_is_string(host) && *json_string_value(host) ? " at " : "",
               json_is_string(host) ? json_string_value(host) : "");
    }
}

static int print_human(const char *text, struct err *err)
{
    json_error_t why;
    json_auto_t *root = json_loads(text, 0, &why);
    const char *version;
    const char *team;
    const char *user;
    const char *mode;
    json_t *links;
    json_int_t uptime_ms;
    json_int_t waiting;
    json_int_t running;
    json_int_t conversations;
    json_int_t bytes;
    json_int_t quarantined = 0;
    int damaged = 0;
    int ready;
    char up[32];

    if (!root || json_unpack_ex(root, &why, 0,
                                "{s:s, s:b, s:I, s:{s:s, s:s}, s:o, s:{s:I, s:I},"
                                " s:{s:s, s:I, s:I, s?I, s?b}}",
                                "version", &version, "ready", &ready, "uptime_ms", &uptime_ms,
                                "slack", "team", &team, "user", &user, "links", &links, "queue",
                                "waiting", &waiting, "running", &running, "memory", "mode",
                                &mode, "conversations", &conversations, "bytes", &bytes,
                                "quarantined", &quarantined, "damaged", &damaged) != 0)
        return err_set(err, ERR_REMOTE, "cannot read the daemon's answer: %s", why.text);
    printf("threadkeeper %s, %s, up for %s\n", version, ready ? "ready" : "NOT ready",
           clock_human(uptime_ms, up));
    printf("  Slack     %s as %s\n", *team ? team : "(not connected yet)", *user ? user : "?");
    print_links(links);
    printf("  queue     %" PRId64 " running, %" PRId64 " waiting\n", (int64_t)running,
           (int64_t)waiting);
    printf("  memory    %s, %" PRId64 " conversations at hand, %" PRId64 " KiB\n", mode,
           (int64_t)conversations, (int64_t)bytes / 1024);
    print_figures(json_object_get(root, "memory"));
    print_fence(json_object_get(root, "fence"));
    if (damaged)
        printf(
            "            THE DATABASE IS DAMAGED: the next start moves it aside and keeps what "
            "reads\n");
    if (quarantined)
        printf("            damaged databases moved aside: %" PRId64
               " (threadkeeper.db.damaged-*; the log says what was salvaged)\n",
               (int64_t)quarantined);
    return 0;
}

int command_status(const struct cli *cli)
{
    struct http_response response = { 0 };
    struct config *config;
    struct err err = { 0 };
    bool is_bad;
    bool as_json = cli_take_flag(cli, "--json", &is_bad);
    int status = CLI_OK;

    if (is_bad)
        return CLI_USAGE;
    config = cli_load_config(cli, false, &status);
    if (!config)
        return status;
    if (!*config->admin.listen)
        err_set(&err, ERR_INPUT, "admin.listen is \"\": the daemon has nowhere to be asked");
    else if (ask_daemon(config, &response, &err) == 0 && as_json)
        fputs(buf_text(&response.body), stdout);
    else if (err.kind == ERR_NONE)
        print_human(buf_text(&response.body), &err);
    if (err.kind != ERR_NONE) {
        fprintf(stderr, "threadkeeper: %s\n", err.message);
        status = CLI_FAILED;
    }
    http_response_deinit(&response);
    config_unref(config);
    return status;
}
