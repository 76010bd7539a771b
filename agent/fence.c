#include "agent/fence.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/meta.h"
#include "base/alloc.h"

/* Over the daemon's own: when memory runs out an agent goes first. */
#define OOM_SCORE_ADJUSTMENT "500"

struct fence {
    int64_t max_output_bytes;
};

int fence_prepare(const struct agent_meta *meta, const char *run_dir, struct fence **ret_fence,
                  struct err *err)
{
    (void)run_dir, (void)err;
    *ret_fence = xcalloc(1, sizeof(**ret_fence));
    (*ret_fence)->max_output_bytes = meta->max_output_bytes;
    return 0;
}

/* Best effort: without it the kernel's own choice stands. */
static void offer_to_oom_killer(void)
{
    AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, OOM_SCORE_ADJUSTMENT, strlen(OOM_SCORE_ADJUSTMENT)) < 0)
        return;
}

static int set_limit(int which, rlim_t value)
{
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };
    struct rlimit before;

    if (getrlimit((__rlimit_resource_t)which, &before) == 0 && before.rlim_max < value)
        return 0; /* already tighter */
    return setrlimit((__rlimit_resource_t)which, &limit);
}

int fence_enter(struct fence *fence, const char **ret_step, struct err *err)
{
    *ret_step = "privileges";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_set_errno(err, ERR_SYSTEM, "no new privileges");
    offer_to_oom_killer();
    *ret_step = "limits";
    if (set_limit(RLIMIT_CORE, 0) != 0 ||
        set_limit(RLIMIT_FSIZE, (rlim_t)fence->max_output_bytes) != 0)
        return err_set_errno(err, ERR_SYSTEM, "limits");
    return 0;
}

int fence_notify_fd(const struct fence *fence)
{
    (void)fence;
    return -1;
}

void fence_serve(struct fence *fence)
{
    (void)fence;
}

bool fence_is_within_disk(const struct fence *fence, int64_t *ret_bytes)
{
    (void)fence;
    *ret_bytes = 0;
    return true;
}

void fence_release(struct fence *fence)
{
    free(fence);
}
