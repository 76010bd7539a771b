#include "agent/permission.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"

#define FILE_NAME      "cli-config.json"
#define FILE_MAX_BYTES ((size_t)1024 * 1024)

/* Where secrets usually lie. A list of names, so it helps against accidents, not against who
 * means it: that is the fence's part. */
static const char *const secrets[] = {
    "Read(**/.env*)",        "Read(**/*.pem)",       "Read(**/*.key)",
    "Read(**/*.p12)",        "Read(**/*.pfx)",       "Read(**/id_rsa*)",
    "Read(**/id_ecdsa*)",    "Read(**/id_ed25519*)", "Read(**/.ssh/**)",
    "Read(**/.gnupg/**)",    "Read(**/.aws/**)",     "Read(**/.netrc)",
    "Read(**/.npmrc)",       "Read(**/.pypirc)",     "Read(**/.git-credentials)",
    "Read(**/.kube/**)",     "Read(**/.docker/**)",  "Read(/etc/threadkeeper/**)",
    "Read(/proc/*/environ)",
};
static const char *const denied_to_readers[] = { "Shell(*)", "Write(**)", "WebFetch(*)",
                                                 "Mcp(*:*)" };
static const char *const denied_to_writers[] = { "Write(**/.cursor/hooks.json)",
                                                 "Write(**/.cursor/mcp.json)",
                                                 "Write(**/.git/**)" };
static const char *const allowed_to_readers[] = { "Read(**)" };
static const char *const allowed_to_writers[] = { "Read(**)", "Write(**)", "Shell(*)" };

static void append_all(json_t *array, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(texts[i]));
}

static json_t *deny_of(enum agent_mode mode)
{
    json_t *deny = json_array();

    if (mode == AGENT_MODE_WRITE)
        append_all(deny, denied_to_writers, ARRAY_LEN(denied_to_writers));
    else
        append_all(deny, denied_to_readers, ARRAY_LEN(denied_to_readers));
    append_all(deny, secrets, ARRAY_LEN(secrets));
    return deny;
}

static json_t *allow_of(enum agent_mode mode)
{
    json_t *allow = json_array();

    if (mode == AGENT_MODE_WRITE)
        append_all(allow, allowed_to_writers, ARRAY_LEN(allowed_to_writers));
    else
        append_all(allow, allowed_to_readers, ARRAY_LEN(allowed_to_readers));
    return allow;
}

/*
 * The program's own sandbox for commands is on where there should be none: it fails closed. A
 * writer's commands run inside our fence, in which a second sandbox may not be allowed to build
 * itself, and would refuse every command.
 */
static json_t *file_of(enum agent_mode mode)
{
    return json_pack("{s:i, s:{s:b}, s:{s:o, s:o}, s:s, s:{s:s}, s:b}", "version", 1, "editor",
                     "vimMode", 0, "permissions", "allow", allow_of(mode), "deny",
                     deny_of(mode), "approvalMode", "allowlist", "sandbox", "mode",
                     mode == AGENT_MODE_WRITE ? "disabled" : "enabled", "autoAcceptWebSearch",
                     0);
}

/* Every item of `want` is in `have`. */
static bool holds_all(const json_t *have, const json_t *want)
{
    size_t i;
    const json_t *item;

    json_array_foreach(want, i, item)
    {
        bool is_there = false;

        for (size_t k = 0; k < json_array_size(have) && !is_there; k++)
            is_there = json_equal(json_array_get(have, k), item);
        if (!is_there)
            return false;
    }
    return true;
}

bool agent_permission_holds(const char *config_dir, enum agent_mode mode)
{
    AUTO_FREE char *path = xasprintf("%s/" FILE_NAME, config_dir);
    AUTO_BUF struct buf text = { 0 };
    json_auto_t *want = file_of(mode);
    json_auto_t *have = NULL;
    const json_t *wanted = json_object_get(want, "permissions");
    const json_t *found = NULL;

    buf_init(&text, FILE_MAX_BYTES);
    if (file_read_no_link(path, &text, NULL) < 0)
        return false;
    have = json_loadb(buf_text(&text), text.len, 0, NULL);
    found = json_object_get(have, "permissions");
    return holds_all(json_object_get(found, "deny"), json_object_get(wanted, "deny")) &&
           holds_all(json_object_get(wanted, "allow"), json_object_get(found, "allow")) &&
           json_equal(json_object_get(have, "approvalMode"),
                      json_object_get(want, "approvalMode")) &&
           json_equal(json_object_get(json_object_get(have, "sandbox"), "mode"),
                      json_object_get(json_object_get(want, "sandbox"), "mode")) &&
           !json_is_true(json_object_get(have, "autoAcceptWebSearch"));
}

int agent_permission_write(const char *config_dir, enum agent_mode mode, struct err *err)
{
    AUTO_FREE char *path = xasprintf("%s/" FILE_NAME, config_dir);
    json_auto_t *file = file_of(mode);
    AUTO_FREE char *text = json_dumps(file, JSON_INDENT(2));
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || file_write_all(fd, text, strlen(text)) < 0)
        return err_set_errno(err, ERR_SYSTEM, "write %s", path);
    if (!agent_permission_holds(config_dir, mode))
        return err_set(err, ERR_SYSTEM, "%s does not say what was written", path);
    return 0;
}
