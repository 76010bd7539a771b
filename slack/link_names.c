#include "slack/link.h"

static const char *const state_names[] = {
    [SLACK_LINK_IDLE] = "IDLE",
    [SLACK_LINK_BACKOFF] = "BACKOFF",
    [SLACK_LINK_OPENING_URL] = "OPENING_URL",
    [SLACK_LINK_CONNECTING] = "CONNECTING",
    [SLACK_LINK_UPGRADED] = "UPGRADED",
    [SLACK_LINK_READY] = "READY",
    [SLACK_LINK_DRAINING] = "DRAINING",
    [SLACK_LINK_CLOSING] = "CLOSING",
    [SLACK_LINK_CLOSED] = "CLOSED",
};

static const char *const reason_names[] = {
    [SLACK_LINK_REFRESH] = "refresh_requested",
    [SLACK_LINK_WARNING] = "warning",
    [SLACK_LINK_PLANNED] = "planned_refresh",
    [SLACK_LINK_DISABLED] = "link_disabled",
    [SLACK_LINK_TOO_MANY] = "too_many_websockets",
    [SLACK_LINK_OTHER] = "disconnect",
    [SLACK_LINK_ENDED] = "closed_by_slack",
    [SLACK_LINK_DROPPED] = "dropped",
    [SLACK_LINK_DEAD] = "no_answer",
    [SLACK_LINK_OVERSIZED] = "oversized_message",
    [SLACK_LINK_NO_URL] = "no_url",
    [SLACK_LINK_LIMITED] = "rate_limited",
    [SLACK_LINK_REFUSED] = "connect_failed",
    [SLACK_LINK_NO_HELLO] = "no_hello",
    [SLACK_LINK_STOPPED] = "stopped",
};

const char *slack_link_state_name(enum slack_link_state state)
{
    return state_names[state];
}

const char *slack_link_reason_name(enum slack_link_reason reason)
{
    return reason_names[reason];
}
