#include "base/thread.h"

#include <stdlib.h>

#include "base/err.h"

#define LOG_MODULE "thread"
#include "base/log.h"

void thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *context)
{
    int errnum = pthread_create(ret_thread, NULL, run, context);
    char why[128];

    if (errnum != 0) {
        log_err("cannot start the thread %s: %s", name,
                err_errno_text(errnum, why, sizeof(why)));
        abort();
    }
    pthread_setname_np(*ret_thread, name);
}
