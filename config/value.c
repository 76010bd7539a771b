#include "config/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Ascending: printing takes the last one that divides. */
static const struct unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};
static const struct unit size_units[] = {
    { "B", 1 },
    { "KiB", INT64_C(1) << 10 },
    { "MiB", INT64_C(1) << 20 },
    { "GiB", INT64_C(1) << 30 },
};

/* Digits at the start of `text`, 18 at most so that nothing overflows; NULL when there are
 * none. */
static const char *read_digits(const char *text, int64_t *ret_value)
{
    const char *at = text;
    int64_t value = 0;

    while (isdigit((unsigned char)*at) && at - text < 18)
        value = value * 10 + (*at++ - '0');
    if (at == text || isdigit((unsigned char)*at))
        return NULL;
    *ret_value = value;
    return at;
}

bool value_parse_number(const char *text, int64_t *ret_value)
{
    int64_t value = 0;
    bool is_negative = *text == '-';
    const char *end = read_digits(text + is_negative, &value);

    if (!end || *end)
        return false;
    *ret_value = is_negative ? -value : value;
    return true;
}

static bool parse_with_unit(const char *text, const struct unit *units, size_t count,
                            int64_t *ret_value)
{
    int64_t number = 0;
    const char *end = read_digits(text, &number);

    for (size_t i = 0; end && i < count; i++) {
        if (strcmp(end, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, ret_value);
    }
    return false;
}

bool value_parse_duration_ms(const char *text, int64_t *ret_value)
{
    return parse_with_unit(text, duration_units, ARRAY_LEN(duration_units), ret_value);
}

bool value_parse_size(const char *text, int64_t *ret_value)
{
    return parse_with_unit(text, size_units, ARRAY_LEN(size_units), ret_value);
}

static void print_with_unit(struct buf *out, int64_t value, const struct unit *units,
                            size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++) {
        if (value && value % units[i].factor == 0)
            best = i;
    }
    buf_printf(out, "%" PRId64 "%s", value / units[best].factor, units[best].name);
}

void value_print_duration(struct buf *out, int64_t ms)
{
    print_with_unit(out, ms, duration_units, ARRAY_LEN(duration_units));
}

void value_print_size(struct buf *out, int64_t bytes)
{
    print_with_unit(out, bytes, size_units, ARRAY_LEN(size_units));
}

/* Splits "host:port" or "[v6]:port" or a bare host; port is "" when absent. False when
 * malformed or too long. */
static bool split_host(const char *text, size_t len, char host[256], char port[8])
{
    const char *end = text + len;
    const char *host_end;
    size_t port_len;

    if (len && *text == '[') {
        text++;
        host_end = memchr(text, ']', (size_t)(end - text));
        if (!host_end || (host_end + 1 < end && host_end[1] != ':'))
            return false;
    } else {
        host_end = memchr(text, ':', len);
        if (!host_end)
            host_end = end;
    }
    if (host_end == text || host_end - text > 255)
        return false;
    snprintf(host, 256, "%.*s", (int)(host_end - text), text);
    if (host_end < end && *host_end == ']')
        host_end++;
    port_len = host_end < end ? (size_t)(end - host_end) - 1 : 0;
    if (port_len > 7 || (host_end < end && !port_len))
        return false;
    snprintf(port, 8, "%.*s", (int)port_len, host_end < end ? host_end + 1 : "");
    return true;
}

static bool is_port(const char *text)
{
    int64_t port = 0;

    return value_parse_number(text, &port) && port >= 0 && port <= 65535;
}

static bool is_loopback(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}

const char *value_check_url(const char *text)
{
    bool is_plain = strncmp(text, "http://", 7) == 0;
    const char *rest = text + (is_plain ? 7 : 8);
    char host[256];
    char port[8];
    size_t host_len;

    if (!is_plain && strncmp(text, "https://", 8) != 0)
        return "is not an https:// address";
    for (const char *c = text; *c; c++) {
        if (!isgraph((unsigned char)*c) || strchr("@?#\\\"<>", *c))
            return "holds a character that has no place in an API address";
    }
    host_len = strcspn(rest, "/");
    if (!split_host(rest, host_len, host, port) || (*port && !is_port(port)))
        return "has no valid host and port";
    if (is_plain && !is_loopback(host))
        return "would send tokens unencrypted: http:// is for loopback only";
    return NULL;
}

static bool has_control_characters(const char *text)
{
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return true;
    }
    return false;
}

const char *value_check_path(const char *text)
{
    if (*text != '/')
        return "is not an absolute path";
    if (strlen(text) > 1000)
        return "is longer than 1000 bytes";
    return has_control_characters(text) ? "holds control characters" : NULL;
}

/* Two names with a slash, such as text/plain; a star stands for any. */
const char *value_check_media_type(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.+-*";
    const char *slash = strchr(text, '/');

    if (!slash || slash == text || !slash[1] ||
        strspn(text, allowed) != (size_t)(slash - text) ||
        strspn(slash + 1, allowed) != strlen(slash + 1))
        return "is not a media type in small letters";
    return NULL;
}

const char *value_check_optional_path(const char *text)
{
    return *text ? value_check_path(text) : NULL;
}

/* A Slack id: one of the `first` letters, then capitals and digits. */
static bool is_slack_id(const char *text, const char *first)
{
    size_t len = strlen(text);

    return len >= 2 && len <= 32 && strchr(first, *text) &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == len;
}

const char *value_check_user(const char *text)
{
    return is_slack_id(text, "UW") ? NULL : "is not a member id";
}

const char *value_check_channel(const char *text)
{
    return is_slack_id(text, "CDG") ? NULL : "is not a channel id";
}

const char *value_check_bot(const char *text)
{
    return is_slack_id(text, "ABUW") ? NULL : "is not the id of a bot or app";
}

const char *value_check_variable(const char *text)
{
    size_t len = strlen(text);

    if (!len || len > 128 || isdigit((unsigned char)*text))
        return "is not the name of an environment variable";
    for (const char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_')
            return "is not the name of an environment variable";
    }
    return NULL;
}

const char *value_check_listen(const char *text)
{
    struct in6_addr v6;
    struct in_addr v4;
    char host[256];
    char port[8];

    if (!*text)
        return NULL;
    if (!split_host(text, strlen(text), host, port) || !is_port(port))
        return "is not an address and a port";
    if (strcmp(host, "localhost") != 0 && inet_pton(AF_INET, host, &v4) != 1 &&
        inet_pton(AF_INET6, host, &v6) != 1)
        return "does not begin with an IP address";
    return NULL;
}

const char *value_check_model(const char *text)
{
    if (*text == '-')
        return "begins with a dash, like an option of the agent";
    for (const char *c = text; *c; c++) {
        if (!isgraph((unsigned char)*c))
            return "is not one word";
    }
    return strlen(text) > 200 ? "is longer than 200 bytes" : NULL;
}

const char *value_check_argument(const char *text)
{
    return *text ? NULL : "is an empty word";
}

static const char *check_token(const char *text, const char *prefix, const char *if_swapped)
{
    if (!*text || strcmp(text, VALUE_MASK) == 0)
        return NULL; /* as if it were not given: whether that is fine depends on the caller */
    if (if_swapped)
        return if_swapped;
    if (strncmp(text, "xoxp-", 5) == 0)
        return "is a user token (xoxp-), which this bot does not use";
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return "is not a token of that kind";
    text += strlen(prefix);
    for (const char *c = text; *c; c++) {
        if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
            return "holds a character that no token has (a space, a quote, a line break?)";
    }
    if (!*text)
        return "is cut off after its prefix";
    return strlen(text) > 500 ? "is too long for a token" : NULL;
}

const char *value_check_app_token(const char *text)
{
    return check_token(text, "xapp-",
                       strncmp(text, "xoxb-", 5) == 0
                           ? "is a bot token (xoxb-), which belongs in slack.bot_token"
                           : NULL);
}

const char *value_check_bot_token(const char *text)
{
    return check_token(text, "xoxb-",
                       strncmp(text, "xapp-", 5) == 0
                           ? "is an app-level token (xapp-), which belongs in slack.app_token"
                           : NULL);
}
