/*
 * harness_inside.h - what the harness's own files share; tests include harness.h.
 */
#ifndef SCENARIO_HARNESS_INSIDE_H
#define SCENARIO_HARNESS_INSIDE_H

#include "base/buf.h"
#include "base/http.h"
#include "tests/scenario/harness.h"

#define HARNESS_TOKEN_BYTES 128

struct harness {
    struct http *http;
    char dir[256];
    char config_path[300];
    char state_dir[300];
    char workspace[300];
    char log_path[300];
    char lab_url[64];
    char app_token[HARNESS_TOKEN_BYTES];
    char bot_token[HARNESS_TOKEN_BYTES];
    int admin_port;
    pid_t lab_pid;
    pid_t daemon_pid; /* 0: not running */
    json_t *config;   /* section -> key -> value as YAML text */
    json_t *kept;     /* texts handed out */
    struct buf log;
};

/* A text that lives as long as the harness. */
const char *harness_keep(struct harness *harness, const char *text);

/* Once the daemon is gone: kills what its runs left, which may outlive it by design. */
void harness_end_runs(struct harness *harness);

#endif
