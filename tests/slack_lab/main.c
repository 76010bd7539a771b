/*
 * slack_lab - a Slack on loopback: Web API, Socket Mode, a page for people, a control
 * interface for tests. README.md tells how to use it.
 */
#include <getopt.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/slack_lab/envelope.h"
#include "tests/slack_lab/faults.h"
#include "tests/slack_lab/files.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/lab.h"
#include "tests/slack_lab/link.h"
#include "tests/slack_lab/load.h"
#include "tests/slack_lab/server.h"
#include "tests/slack_lab/world.h"

#define TICK_BUSY_US (1 * LWS_US_PER_MS) /* something is due soon: clocks are this exact */
#define TICK_IDLE_US (50 * LWS_US_PER_MS)
#define HEADER_MAX   16384
#define HEADER_POOL  256

static volatile sig_atomic_t is_asked_to_end;
static struct lws_context *context_to_wake;

static void on_signal(int signum)
{
    (void)signum;
    is_asked_to_end = 1;
    lws_cancel_service(context_to_wake); /* one write to a pipe */
}

struct ticker {
    lws_sorted_usec_list_t timer; /* first: lws hands it back */
    struct lab *lab;
};

static void on_tick(lws_sorted_usec_list_t *timer)
{
    struct ticker *ticker = lws_container_of(timer, struct ticker, timer);
    struct lab *lab = ticker->lab;
    int64_t now_us = clock_now_us();
    bool busy = false;

    busy |= envelopes_tick(lab->envelopes, now_us);
    busy |= links_tick(lab->links, now_us);
    busy |= load_tick(lab->load, now_us);
    busy |= requests_tick(lab, now_us);
    lws_sul_schedule(lab->lws, 0, timer, on_tick, busy ? TICK_BUSY_US : TICK_IDLE_US);
}

static struct lws_context *listen_on_loopback(struct lab *lab, int port)
{
    struct lws_context_creation_info info = { 0 };

    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6;
    info.user = lab;
    info.max_http_header_data = HEADER_MAX;
    info.max_http_header_pool = HEADER_POOL;
    info.pt_serv_buf_size = 65536;
    info.timeout_secs = 30;
    info.keepalive_timeout = 120;

    struct lws_context *context = lws_create_context(&info);

    if (!context)
        return NULL;
    info.iface = "127.0.0.1";
    info.port = port;
    info.protocols = server_protocols;
    info.vhost_name = "lab";

    struct lws_vhost *vhost = lws_create_vhost(context, &info);

    if (!vhost) {
        lws_context_destroy(context);
        return NULL;
    }
    lab->port = lws_get_vhost_listen_port(vhost);
    lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC,
                               (lws_sock_file_fd_type){ .filefd = load_clock_fd(lab->load) },
                               server_protocols[0].name, NULL);
    return context;
}

static void build(struct lab *lab)
{
    settings_init(&lab->settings);
    lab->started_us = clock_now_us();
    lab->journal = journal_new();
    lab->world = world_new();
    lab->links = links_new(lab);
    lab->envelopes = envelopes_new(lab);
    lab->faults = faults_new();
    lab->files = files_new();
    lab->load = load_new(lab);
    lab->requests = requests_new();
}

static void tear_down(struct lab *lab)
{
    if (lab->lws)
        lws_context_destroy(lab->lws); /* closes links and requests, which use the rest */
    requests_free(lab->requests);
    load_free(lab->load);
    files_free(lab->files);
    faults_free(lab->faults);
    envelopes_free(lab->envelopes);
    links_free(lab->links);
    world_free(lab->world);
    journal_free(lab->journal);
}

static int read_arguments(int argc, char **argv, int *ret_port, bool *ret_quiet)
{
    static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                                             { "quiet", no_argument, NULL, 'q' },
                                             { NULL, 0, NULL, 0 } };
    int option;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the lab has one thread */
    while ((option = getopt_long(argc, argv, "p:q", options, NULL)) != -1) {
        if (option == 'p')
            *ret_port = (int)strtol(optarg, NULL, 10);
        else if (option == 'q')
            *ret_quiet = true;
        else
            return -1;
    }
    return optind == argc ? 0 : -1;
}

static void serve(struct lab *lab)
{
    struct ticker ticker = { .lab = lab };

    lws_sul_schedule(lab->lws, 0, &ticker.timer, on_tick, TICK_BUSY_US);
    while (!is_asked_to_end && lws_service(lab->lws, 0) >= 0)
        ;
    lws_sul_schedule(lab->lws, 0, &ticker.timer, on_tick, LWS_SET_TIMER_USEC_CANCEL);
}

int main(int argc, char **argv)
{
    static struct lab lab;
    struct sigaction action = { .sa_handler = on_signal };
    int port = 0;
    bool quiet = false;

    if (read_arguments(argc, argv, &port, &quiet) < 0) {
        fprintf(stderr, "usage: slack_lab [--port N] [--quiet]\n");
        return 2;
    }
    lws_set_log_level(quiet ? 0 : LLL_ERR, NULL);
    build(&lab);
    lab.lws = listen_on_loopback(&lab, port);
    if (!lab.lws) {
        fprintf(stderr, "slack_lab: cannot listen on 127.0.0.1:%d\n", port);
        tear_down(&lab);
        return 1;
    }
    context_to_wake = lab.lws;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    snprintf(lab.base_url, sizeof(lab.base_url), "http://127.0.0.1:%d/", lab.port);
    printf("slack_lab %s app_token=%s bot_token=%s\n", lab.base_url, LAB_APP_TOKEN,
           LAB_BOT_TOKEN);
    fflush(stdout);
    serve(&lab);
    tear_down(&lab);
    return 0;
}
