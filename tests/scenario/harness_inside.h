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

void harness_pause_ms(long ms); /* between two looks at something */
void harness_write_config(struct harness *harness);

/* Starts a program that dies with us. */
pid_t harness_spawn(const char *const *args, int in, int out, int err);
/* Puts TK_WRAP's words and the daemon's program into `args`; how many. `ret_wrap` holds them.
 */
size_t harness_begin_args(char **ret_wrap, const char **args, size_t size);
int harness_exit_status(int wait_status); /* as a shell says it */

/* Once the daemon is gone: kills what its runs left, which may outlive it by design. */
void harness_end_runs(struct harness *harness);

#endif
