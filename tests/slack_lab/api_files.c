/* files.*: the three steps of an upload, and what is known of a file. */
#include <stdio.h>
#include <string.h>

#include "tests/slack_lab/api.h"
#include "tests/slack_lab/events.h"
#include "tests/slack_lab/files.h"

#define NAME_MAX_BYTES 1024

static const char *get_upload_url(struct call *call)
{
    const char *name = call_text(call, "filename");
    int64_t length = call_number(call, "length", 0);
    char url[160];
    struct file *file;

    if (!*name || length <= 0)
        return call_refuse(call, "missing_argument", "[ERROR] filename and length > 0");
    if (strlen(name) > NAME_MAX_BYTES)
        return call_refuse(call, "invalid_arguments", "[ERROR] filename too long");
    if (length > (int64_t)LAB_BODY_MAX_BYTES)
        return "file_upload_size_restricted";
    file = files_expect(call->lab, name, length, url, sizeof(url));
    json_object_set_new(call->result, "upload_url", json_string(url));
    json_object_set_new(call->result, "file_id", json_string(file_id(file)));
    return NULL;
}

static const char *check_files(struct call *call, json_t *wanted)
{
    json_t *each;
    size_t i;

    if (json_array_size(wanted) == 0)
        return call_refuse(call, "invalid_arguments", "[ERROR] files is empty");
    json_array_foreach(wanted, i, each)
    {
        const char *id = json_string_value(json_object_get(each, "id"));
        struct file *file = id ? files_find(call->lab, id) : NULL;

        if (!file || !file_is_uploaded(file) || file_is_complete(file))
            return "file_not_found";
    }
    return NULL;
}

/* Where it is to be shared, NULL for nowhere; *ret_error is why not. */
static struct channel *target(struct call *call, const char **ret_error)
{
    const char *thread_ts = call_text(call, "thread_ts");
    struct channel *channel = NULL;
    struct message *root;

    if (!*call_text(call, "channel_id"))
        return NULL;
    channel = call_channel(call, "channel_id", ret_error);
    if (!channel || !*thread_ts)
        return channel;
    root = world_message(call->lab->world, channel->id, thread_ts);
    if (!root)
        *ret_error = call_refuse(call, "thread_not_found", "[ERROR] no message %s", thread_ts);
    else if (*root->thread_ts && strcmp(root->thread_ts, root->ts) != 0)
        *ret_error = call_refuse(call, "cannot_reply_to_message",
                                 "[ERROR] thread_ts %s is a reply", thread_ts);
    return channel;
}

static const char *complete_upload(struct call *call)
{
    json_t *wanted = json_object_get(call->args, "files");
    const char *error = check_files(call, wanted);
    struct channel *channel = NULL;
    struct message *message = NULL;
    json_t *done;
    json_t *each;
    size_t i;

    if (!error)
        channel = target(call, &error);
    if (error)
        return error;
    if (channel) {
        message = world_add_message(call->lab->world, channel, LAB_BOT_USER,
                                    call_text(call, "thread_ts"));
        message->is_app = true;
        message_set_text(message, call_text(call, "initial_comment"));
        call_app_wrote(call, channel->id, message->thread_ts);
    }
    done = json_array();
    json_object_set_new(call->result, "files", done);
    json_array_foreach(wanted, i, each)
    {
        struct file *file =
            files_find(call->lab, json_string_value(json_object_get(each, "id")));
        const char *title = json_string_value(json_object_get(each, "title"));

        file_complete(file, title ? title : "");
        if (message)
            file_share(call->lab, file, message);
        json_array_append_new(
            done, json_pack("{s:s, s:s}", "id", file_id(file), "title", title ? title : ""));
    }
    if (message)
        events_app_posted(call->lab, message);
    return NULL;
}

static const char *file_info(struct call *call)
{
    const struct file *file = files_find(call->lab, call_text(call, "file"));

    if (!file)
        return "file_not_found";
    json_object_set_new(call->result, "file", file_json(call->lab, file, true));
    return NULL;
}

const struct method api_files_methods[] = {
    { "files.getUploadURLExternal", "files:write", "filename* length*:n alt_txt snippet_type",
      true, false, get_upload_url },
    { "files.completeUploadExternal", "files:write",
      "files*:a channel_id channels thread_ts initial_comment blocks:a", false, false,
      complete_upload },
    { "files.info", "files:read", "file* count:n page:n limit:n cursor", true, false,
      file_info },
    { NULL, NULL, NULL, false, false, NULL },
};
