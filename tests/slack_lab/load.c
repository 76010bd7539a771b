#include "tests/slack_lab/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/slack_lab/journal.h"
#include "tests/slack_lab/link.h"
#include "tests/slack_lab/world.h"

#define EVENTS_MAX   5000000
#define ENVELOPE_ID  "10ad0000-0000-4000-8000-%012llx"
#define ID_PREFIX    "10ad0000-0000-4000-8000-"
#define TEXT_DEFAULT "what did we decide about the build?"
#define LATE_US      INT64_C(10000000) /* without an ack for so long, the rest is lost */

#define CLOCK_MIN_NS 250000 /* a higher rate comes in small bursts */
#define NS_PER_S     1000000000

struct load {
    struct lab *lab;
    int clock_fd; /* ticks at the rate: libwebsockets' own timers are good for milliseconds */
    bool is_running;
    int64_t events;
    int64_t rate;   /* a second; 0: as fast as the window allows */
    int64_t window; /* unacked at most; 0: any number */
    int64_t channels;
    bool mention; /* in channels, as app_mention only, instead of direct messages */
    char text[2048];
    char run[16]; /* makes event ids of one load unlike those of another */

    int64_t begun_us;
    int64_t last_ack_us;
    int64_t sent;
    int64_t acked;
    int64_t doubled;     /* acks of what was acked */
    int64_t *sent_us;    /* by event; 0 after its ack */
    int64_t *latency_us; /* by ack */
    json_t *result;
    char envelope[8192];
};

struct load *load_new(struct lab *lab)
{
    struct load *load = xcalloc(1, sizeof(*load));

    load->lab = lab;
    load->clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return load;
}

int load_clock_fd(const struct load *load)
{
    return load->clock_fd;
}

/* 0 stops it. */
static void set_clock(const struct load *load, int64_t rate)
{
    int64_t period_ns = rate ? NS_PER_S / rate : 0;
    struct itimerspec time = { 0 };

    if (rate && period_ns < CLOCK_MIN_NS)
        period_ns = CLOCK_MIN_NS;
    time.it_interval.tv_sec = period_ns / NS_PER_S;
    time.it_interval.tv_nsec = period_ns % NS_PER_S;
    time.it_value = time.it_interval;
    timerfd_settime(load->clock_fd, 0, &time, NULL);
}

void load_on_clock(struct load *load)
{
    uint64_t ticks;

    if (read(load->clock_fd, &ticks, sizeof(ticks)) > 0)
        links_wake_all(load->lab->links);
}

void load_free(struct load *load)
{
    if (!load)
        return;
    free(load->sent_us);
    free(load->latency_us);
    json_decref(load->result);
    free(load);
}

bool load_is_running(const struct load *load)
{
    return load->is_running;
}

const char *load_start(struct load *load, json_t *request)
{
    json_int_t events = 1000;
    json_int_t rate = 0;
    json_int_t window = 0;
    json_int_t channels = 100;
    const char *text = TEXT_DEFAULT;
    int mention = 0;
    static unsigned runs;

    if (load->is_running)
        return "a load is running";
    if (json_unpack(request, "{s?:I, s?:I, s?:I, s?:I, s?:s, s?:b !}", "events", &events,
                    "rate", &rate, "window", &window, "channels", &channels, "text", &text,
                    "mention", &mention) < 0)
        return "want {events, rate?, window?, channels?, text?, mention?}";
    if (events < 1 || events > EVENTS_MAX || channels < 1 || rate < 0 || window < 0 ||
        (rate == 0 && window == 0))
        return "events is 1 to 5000000, channels at least 1, and rate or window is given";
    free(load->sent_us);
    free(load->latency_us);
    json_decref(load->result);
    *load = (struct load){ .lab = load->lab,
                           .clock_fd = load->clock_fd,
                           .is_running = true,
                           .events = events,
                           .rate = rate,
                           .window = window,
                           .channels = channels,
                           .mention = mention,
                           .begun_us = clock_now_us() };
    load->last_ack_us = load->begun_us;
    snprintf(load->text, sizeof(load->text), "%s", text);
    snprintf(load->run, sizeof(load->run), "%04X", runs++);
    load->sent_us = xcalloc((size_t)events, sizeof(*load->sent_us));
    load->latency_us = xcalloc((size_t)events, sizeof(*load->latency_us));
    set_clock(load, rate);
    links_wake_all(load->lab->links);
    return NULL;
}

const char *load_next(struct load *load, int64_t now_us, size_t *ret_len)
{
    char ts[WORLD_TS_BYTES];
    int64_t due =
        load->rate ? (now_us - load->begun_us) * load->rate / 1000000 + 1 : load->events;
    long long channel = load->sent % load->channels;
    char kind = load->mention ? 'C' : 'D';

    if (!load->is_running || load->sent >= load->events || load->sent >= due ||
        (load->window && load->sent - load->acked >= load->window))
        return NULL;
    world_next_ts(load->lab->world, ts);

    int len = snprintf(
        load->envelope, sizeof(load->envelope),
        "{\"envelope_id\":\"" ENVELOPE_ID "\",\"type\":\"events_api\","
        "\"accepts_response_payload\":false,\"retry_attempt\":0,\"retry_reason\":\"\","
        "\"payload\":{\"token\":\"legacy-do-not-use\",\"team_id\":\"" LAB_TEAM_ID "\","
        "\"api_app_id\":\"" LAB_APP_ID "\",\"type\":\"event_callback\","
        "\"event_id\":\"EvL%s%lld\",\"event_time\":%.10s,\"is_ext_shared_channel\":false,"
        "\"authorizations\":[{\"enterprise_id\":null,\"team_id\":\"" LAB_TEAM_ID "\","
        "\"user_id\":\"" LAB_BOT_USER "\",\"is_bot\":true,\"is_enterprise_install\":false}],"
        "\"event\":{\"type\":\"%s\",\"channel\":\"%c0LOAD%lld\",%s"
        "\"user\":\"U0LOAD%lld\",\"text\":\"%s%s\",\"ts\":\"%s\",\"event_ts\":\"%s\","
        "\"team\":\"" LAB_TEAM_ID "\"}}}",
        (unsigned long long)load->sent, load->run, (long long)load->sent, ts,
        load->mention ? "app_mention" : "message", kind, channel,
        load->mention ? "" : "\"channel_type\":\"im\",", channel,
        load->mention ? "<@" LAB_BOT_USER "> " : "", load->text, ts, ts);

    load->sent_us[load->sent++] = now_us;
    *ret_len = (size_t)len;
    return load->envelope;
}

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static json_int_t quantile(const struct load *load, int64_t permille)
{
    return load->acked ? (json_int_t)load->latency_us[(load->acked - 1) * permille / 1000] : 0;
}

static void finish(struct load *load)
{
    double seconds = (double)(load->last_ack_us - load->begun_us) / 1e6;

    load->is_running = false;
    set_clock(load, 0);
    qsort(load->latency_us, (size_t)load->acked, sizeof(*load->latency_us), by_size);
    load->result = json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)load->sent,
        "acked", (json_int_t)load->acked, "acked_twice", (json_int_t)load->doubled, "seconds",
        seconds, "events_per_s", seconds > 0 ? (double)load->acked / seconds : 0.0, "p50_us",
        quantile(load, 500), "p90_us", quantile(load, 900), "p99_us", quantile(load, 990),
        "p999_us", quantile(load, 999), "max_us", quantile(load, 1000));
    journal_add(load->lab->journal, "load_done", json_deep_copy(load->result));
}

bool load_on_ack(struct load *load, const char *envelope_id, int64_t now_us)
{
    size_t prefix = sizeof(ID_PREFIX) - 1;

    if (strncmp(envelope_id, ID_PREFIX, prefix) != 0)
        return false;

    int64_t index = strtoll(envelope_id + prefix, NULL, 16);

    if (!load->sent_us || index < 0 || index >= load->sent || !load->is_running)
        return false;
    if (load->sent_us[index] == 0) {
        load->doubled++;
        return false; /* the caller records it */
    }
    load->latency_us[load->acked++] = now_us - load->sent_us[index];
    load->sent_us[index] = 0;
    load->last_ack_us = now_us;
    if (load->acked == load->events)
        finish(load);
    else if (load->window && load->sent < load->events)
        links_wake_all(load->lab->links);
    return true;
}

bool load_tick(struct load *load, int64_t now_us)
{
    if (!load->is_running)
        return false;
    if (now_us - load->last_ack_us > LATE_US)
        finish(load);
    return true;
}

json_t *load_json(struct load *load)
{
    if (load->result)
        return json_deep_copy(load->result);
    return json_pack("{s:b, s:I, s:I}", "running", load->is_running, "sent",
                     (json_int_t)load->sent, "acked", (json_int_t)load->acked);
}
