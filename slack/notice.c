#include "slack/notice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "slack/reply_parts.h"

static bool goes_by_status(const struct slack_features *features,
                           const struct slack_notice_place *place,
                           const struct slack_notice *notice)
{
    return *place->thread_ts && !place->takes_message && !*notice->ts &&
           !notice->is_status_failed && !(features && atomic_load(&features->no_status));
}

static int show_status(struct slack_web *web, struct slack_features *features,
                       const struct slack_notice_place *place, const char *text,
                       struct slack_notice *notice, struct err *err)
{
    AUTO_FREE char *status = xasprintf("is busy: %s", text);

    notice->is_status = true; /* even when only the answer to the call is lost */
    if (slack_set_thread_status(web, place->channel, place->thread_ts, status, err) == 0)
        return 0;
    if (features && reply_is_unsupported(web))
        atomic_store(&features->no_status, true);
    if (reply_is_unsupported(web) || web->fate == SLACK_FATE_PERMANENT) {
        notice->is_status = false;
        notice->is_status_failed = true;
    }
    return -1;
}

int slack_notice_find(struct slack_web *web, const struct slack_notice_place *place,
                      struct slack_notice *notice, struct err *err)
{
    AUTO_FREE char *key = xasprintf("%s/0", place->key);

    return slack_find_markdown(web, place->channel, place->thread_ts, key, place->since_s,
                               notice->ts, err);
}

static int show_message(struct slack_web *web, const struct slack_notice_place *place,
                        const char *text, struct slack_notice *notice, struct err *err)
{
    AUTO_FREE char *key = xasprintf("%s/0", place->key);
    AUTO_FREE char *markdown = xasprintf("_I am busy: %s._", text);

    if (!*notice->ts && place->looks_first && slack_notice_find(web, place, notice, err) < 0)
        return -1;
    if (*notice->ts)
        return slack_update_markdown(web, place->channel, notice->ts, markdown, err);
    return slack_post_markdown(web, place->channel, place->thread_ts, markdown, key, notice->ts,
                               err);
}

int slack_notice_show(struct slack_web *web, struct slack_features *features,
                      const struct slack_notice_place *place, const char *text,
                      struct slack_notice *notice, struct err *err)
{
    int rc = -1;

    if (goes_by_status(features, place, notice))
        rc = show_status(web, features, place, text, notice, err);
    if (!goes_by_status(features, place, notice))
        rc = show_message(web, place, text, notice, err);
    if (rc == 0)
        snprintf(notice->shown, sizeof(notice->shown), "%s", text);
    return rc;
}

int slack_notice_clear(struct slack_web *web, const struct slack_notice_place *place,
                       struct slack_notice *notice, struct err *err)
{
    if (*notice->ts && slack_delete_message(web, place->channel, notice->ts, err) < 0)
        return -1;
    notice->ts[0] = '\0';
    if (notice->is_status && !place->takes_message &&
        slack_set_thread_status(web, place->channel, place->thread_ts, "", err) < 0)
        return -1;
    *notice = (struct slack_notice){ .ts = "" };
    return 0;
}

char *slack_notice_state(const struct slack_notice *notice)
{
    return *notice->ts ? slack_reply_state_of(notice->ts) : xstrdup("");
}
