/* web.h: who we are, who they are. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "slack/call.h"

static void copy_text(const json_t *object, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(object, name));

    snprintf(out, size, "%s", text ? text : "");
}

int slack_auth_test(struct slack_web *web, struct slack_identity *ret_identity, struct err *err)
{
    struct slack_call call = {
        .method = "auth.test", .channel = "", .body = "", .is_form = true, .is_idempotent = true
    };
    struct slack_identity found = { 0 };
    json_auto_t *answer = NULL;

    if (slack_call(web, &call, &answer, err) < 0)
        return -1;
    copy_text(answer, "team_id", found.team_id, sizeof(found.team_id));
    copy_text(answer, "team", found.team, sizeof(found.team));
    copy_text(answer, "user_id", found.user_id, sizeof(found.user_id));
    copy_text(answer, "bot_id", found.bot_id, sizeof(found.bot_id));
    copy_text(answer, "user", found.user, sizeof(found.user));
    copy_text(answer, "url", found.url, sizeof(found.url));
    snprintf(found.scopes, sizeof(found.scopes), "%s", web->answer.scopes);
    found.server_wall_s = http_server_wall_s(&web->answer);
    if (!*found.team_id || !*found.user_id)
        return err_set(err, ERR_REMOTE, "auth.test: the answer names no team or no user");
    *ret_identity = found;
    return 0;
}

int slack_users_info(struct slack_web *web, const char *user, struct slack_user *ret_user,
                     struct err *err)
{
    struct slack_call call = {
        .method = "users.info", .channel = "", .is_form = true, .is_idempotent = true
    };
    struct slack_user found = { 0 };
    AUTO_BUF struct buf form = { 0 };
    json_auto_t *answer = NULL;
    const json_t *root;
    const json_t *profile;

    buf_init(&form, 256);
    buf_append_text(&form, "user=");
    http_append_escaped(&form, user);
    if (buf_finish(&form, err) < 0)
        return err_wrap(err, "users.info");
    call.body = buf_text(&form);
    if (slack_call(web, &call, &answer, err) < 0)
        return -1;
    root = json_object_get(answer, "user");
    if (!json_is_object(root))
        return err_set(err, ERR_REMOTE, "users.info: the answer holds no user");
    profile = json_object_get(root, "profile");
    copy_text(profile, "display_name", found.name, sizeof(found.name));
    if (!*found.name)
        copy_text(profile, "real_name", found.name, sizeof(found.name));
    if (!*found.name)
        copy_text(root, "real_name", found.name, sizeof(found.name));
    if (!*found.name)
        copy_text(root, "name", found.name, sizeof(found.name));
    copy_text(root, "team_id", found.team_id, sizeof(found.team_id));
    found.is_bot = json_is_true(json_object_get(root, "is_bot"));
    found.is_guest = json_is_true(json_object_get(root, "is_restricted")) ||
                     json_is_true(json_object_get(root, "is_ultra_restricted"));
    found.is_deleted = json_is_true(json_object_get(root, "deleted"));
    *ret_user = found;
    return 0;
}
