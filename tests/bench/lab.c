#include "tests/bench/lab.h"

#include <dirent.h>

#include "agent/process.h"
#include "base/alloc.h"
#include "base/clock.h"

#define CLOCK_LOOKS 20

int64_t lab_number(const json_t *object, const char *key)
{
    return (int64_t)json_number_value(json_object_get(object, key));
}

/* The quickest answer of several is the most exact one. */
int64_t lab_clock_offset_us(struct harness *harness)
{
    int64_t best_us = INT64_MAX;
    int64_t offset_us = 0;

    for (int i = 0; i < CLOCK_LOOKS; i++) {
        int64_t before_us = clock_now_us();
        json_t *page = lab_command(harness, "log?after=999999999999", NULL);
        int64_t took_us = clock_now_us() - before_us;

        if (took_us < best_us) {
            best_us = took_us;
            offset_us = before_us + took_us / 2 - lab_number(page, "now_us");
        }
        json_decref(page);
    }
    return offset_us;
}

void lab_kill_agents(struct harness *harness)
{
    AUTO_FREE char *path = xasprintf("%s/runs", harness_state_dir(harness));
    DIR *runs = opendir(path);
    struct dirent *entry;

    while (runs && (entry = readdir(runs))) { /* NOLINT(concurrency-mt-unsafe): one thread */
        if (entry->d_name[0] != '.')
            process_signal_run(entry->d_name, 0, SIGKILL);
    }
    if (runs)
        closedir(runs);
}
