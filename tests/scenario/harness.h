/*
 * harness.h - a lab, a daemon and the agent double, wired together for one scenario.
 *
 *     harness_set(h, "agent", "first_output_timeout: 300ms");
 *     daemon_start(h);
 *     const char *ts = lab_say(h, ALICE, ALICE_DM, NULL, "hello");
 *     lab_wait_reply(h, ALICE_DM, ts, "You said: hello");
 *
 * The programs are TK_LAB, TK_BIN (behind TK_WRAP, such as valgrind) and TK_DOUBLE. Whatever
 * fails - a limit passed, a command refused - goes to harness_on_fail, which does not return.
 * Limits are multiplied by TK_SLOW; without it by 4 under sanitizers and by 10 behind TK_WRAP.
 *
 * Owns:    three processes at most, a directory of its own, every text that it returns.
 * Threads: one.
 */
#ifndef SCENARIO_HARNESS_H
#define SCENARIO_HARNESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define ALICE    "U0ALICE"
#define BOB      "U0BOB"
#define GUEST    "U0GUEST"
#define BOT      "U0BOT"
#define ALICE_DM "D0ALICE"
#define BOB_DM   "D0BOB"
#define GENERAL  "C0GENERAL"
#define DEV      "C0DEV"

#define HARNESS_LIMIT_MS 15000 /* how long a wait may take, before it is multiplied */

struct harness;

/* Told what failed; must not return (cmocka's fail jumps out). The default prints and aborts.
 */
extern void (*harness_on_fail)(const char *message);

/* Starts the lab and makes the directories. NULL when that does not work (said on stderr). */
struct harness *harness_new(void);

/*
 * Ends the daemon and the lab in an orderly way. False, with the reason on stderr, when one did
 * not end with 0, or when a sanitizer or valgrind had something to say about the daemon.
 */
bool harness_end(struct harness *harness);

/* Ends every process that is left, by its id, and removes the directory. NULL is fine. */
void harness_free(struct harness *harness);

_Noreturn void harness_fail(struct harness *harness, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int64_t harness_limit_ms(int64_t ms); /* multiplied */

/* For a condition that is waited for in a loop: `tries` counts from 0 (set by the caller) up to
 * the limit, where it fails. */
void harness_wait_step(struct harness *harness, int64_t *tries, const char *what);

/* Adds "key: value" to a section of the YAML before the daemon starts; the last one counts. */
void harness_set(struct harness *harness, const char *section, const char *line);

/* What the double plays from its next start on: "ok", "hang0", "slow chunks=5". */
void set_scenario(struct harness *harness, const char *scenario);

/* Lets a run of the scenario "gate" go on; gates stay open until shut again. */
void open_gate(struct harness *harness);
void shut_gate(struct harness *harness);

const char *harness_dir(const struct harness *harness);
const char *harness_config_path(const struct harness *harness);
const char *harness_state_dir(const struct harness *harness);
const char *harness_workspace(const struct harness *harness);
const char *harness_lab_url(const struct harness *harness); /* http://127.0.0.1:PORT/ */
int harness_admin_port(const struct harness *harness);

/* --- the daemon -------------------------------------------------------------------------- */

void daemon_start(struct harness *harness);  /* and waits for every link's hello */
void daemon_launch(struct harness *harness); /* without waiting */
pid_t daemon_pid(const struct harness *harness);
void daemon_signal(struct harness *harness, int signum);

/* The exit status as a shell says it: 128 + signal for a killed one. */
int daemon_wait_exit(struct harness *harness);
int daemon_stop(struct harness *harness);     /* SIGTERM, and waits */
void daemon_kill(struct harness *harness);    /* SIGKILL, and waits */
void daemon_restart(struct harness *harness); /* stop, which must end with 0, and start */
void daemon_reload(struct harness *harness);  /* SIGHUP, with what was set meanwhile */

/* The daemon's log so far; borrowed until the next call. */
const char *daemon_log(struct harness *harness);
void daemon_wait_log(struct harness *harness, const char *part); /* until it holds that */

/* Asks the local listener: the HTTP status, 0 when nobody answers. The body lives as long as
 * the harness. */
int daemon_get(struct harness *harness, const char *path, const char **ret_body);
void daemon_wait_get(struct harness *harness, const char *path, int status);
int64_t daemon_metric(struct harness *harness, const char *name); /* 0 when there is none */
void daemon_wait_metric(struct harness *harness, const char *name, int64_t at_least);

/* --- the command line ----------------------------------------------------------------------
 */

struct program {
    int status; /* as a shell says it */
    const char *out;
    const char *err;
};

/* Runs `threadkeeper -c CONFIG arguments...` (the last is NULL) to its end, `input` on its
 * stdin. The texts live as long as the harness. */
struct program run_threadkeeper(struct harness *harness, const char *input,
                                const char *argument, ...) __attribute__((sentinel));

/* --- people in Slack --------------------------------------------------------------------- */

/* The ts, which lives as long as the harness. thread_ts NULL or "": outside any thread. */
const char *lab_say(struct harness *harness, const char *user, const char *channel,
                    const char *thread_ts, const char *text);
void lab_press_stop(struct harness *harness, const char *channel, const char *thread_ts);
void lab_react(struct harness *harness, const char *user, const char *channel, const char *ts,
               const char *name);
void lab_click(struct harness *harness, const char *channel, const char *ts,
               const char *action_id);

/* --- what they see ------------------------------------------------------------------------ */

/*
 * The finished message of the bot that holds `part`; its text, which lives as long as the
 * harness. `thread_ts` NULL or "": anywhere in the channel, else in that thread only.
 */
const char *lab_wait_reply(struct harness *harness, const char *channel, const char *thread_ts,
                           const char *part);

/* The same for a message that may still be streaming. */
const char *lab_wait_text(struct harness *harness, const char *channel, const char *thread_ts,
                          const char *part);

/* Until the bot has `count` finished messages there. */
void lab_wait_replies(struct harness *harness, const char *channel, const char *thread_ts,
                      size_t count);
size_t lab_count_replies(struct harness *harness, const char *channel, const char *thread_ts);

/* Until the thread shows no status, its session does not run, and no stream is open. */
void lab_wait_idle(struct harness *harness, const char *channel, const char *thread_ts);

/* The messages there, oldest first; new. */
json_t *lab_messages(struct harness *harness, const char *channel, const char *thread_ts);

/* --- the lab's journal -------------------------------------------------------------------- */

int64_t lab_mark(struct harness *harness); /* the newest entry's number */

typedef bool (*lab_entry_fn)(const json_t *entry, const void *context);

/* The first entry after `mark` of `kind` ("" is any) that `wanted` (NULL: any) accepts; new. */
json_t *lab_wait_log(struct harness *harness, int64_t mark, const char *kind,
                     lab_entry_fn wanted, const void *context);

/* The first successful call of a method after `mark`; new. */
json_t *lab_wait_call(struct harness *harness, int64_t mark, const char *method);
size_t lab_count_calls(struct harness *harness, int64_t mark, const char *method);

/* Until nothing that the lab has sent waits for its ack. */
void lab_wait_acked(struct harness *harness);

/* --- what goes wrong ---------------------------------------------------------------------- */

void lab_fault(struct harness *harness, const char *method, const char *kind, int count);
void lab_socket(struct harness *harness, const char *action, const char *which);
void lab_set(struct harness *harness, const char *setting, json_t *value /* adopt */);

/* Any command: POST with `body` (adopted), or GET when it is NULL. The answer; new. */
json_t *lab_command(struct harness *harness, const char *command, json_t *body);

/* --- what must be true at the end ----------------------------------------------------------
 */

void check_no_violations(struct harness *harness);

/* No zombie under the daemon, and no process of its runs: call it when none is meant to run.
 * Waits for it. */
void check_nothing_left(struct harness *harness);

/* The processes of the daemon's runs right now, at most `max`; how many. */
size_t harness_find_runs(struct harness *harness, pid_t *ret_pids, size_t max);

#endif
