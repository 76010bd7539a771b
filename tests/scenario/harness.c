#include "tests/scenario/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "tests/scenario/harness_inside.h"

#define STEP_MS        10
#define MESSAGE_BYTES  16384
#define LOG_SHOWN      6000 /* bytes of the daemon's log that go with a failure */
#define ARGS_MAX       32
#define LOG_MAX_BYTES  ((size_t)64 * 1024 * 1024)
#define ACK_TIMEOUT_MS 3000 /* the lab's own */

static _Noreturn void print_and_abort(const char *message)
{
    fprintf(stderr, "%s\n", message);
    abort();
}

static void fail_by_default(const char *message)
{
    print_and_abort(message);
}

void (*harness_on_fail)(const char *message) = fail_by_default;

_Noreturn void harness_fail(struct harness *harness, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list args;
    const char *log = daemon_log(harness);
    size_t len = strlen(log);
    int used;

    va_start(args, format);
    used = vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (used > 0 && (size_t)used < sizeof(message))
        snprintf(message + used, sizeof(message) - (size_t)used, "\n--- the daemon's log:\n%s",
                 len > LOG_SHOWN ? log + len - LOG_SHOWN : log);
    harness_on_fail(message);
    print_and_abort("harness_on_fail came back");
}

static int64_t slowness(void)
{
    const char *slow = getenv("TK_SLOW"); /* NOLINT(concurrency-mt-unsafe): one thread */
    const char *wrap = getenv("TK_WRAP"); /* NOLINT(concurrency-mt-unsafe) */

    if (slow && strtoll(slow, NULL, 10) > 0)
        return strtoll(slow, NULL, 10);
    if (wrap && strstr(wrap, "valgrind"))
        return 10;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 4;
#else
    return 1;
#endif
}

int64_t harness_limit_ms(int64_t ms)
{
    return ms * slowness();
}

void harness_wait_step(struct harness *harness, int64_t *tries, const char *what)
{
    if (++*tries * STEP_MS > harness_limit_ms(HARNESS_LIMIT_MS))
        harness_fail(harness, "%s", what);
    harness_pause_ms(STEP_MS);
}

void harness_pause_ms(long ms)
{
    struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    nanosleep(&time, NULL);
}

const char *harness_keep(struct harness *harness, const char *text)
{
    json_array_append_new(harness->kept, json_string(text));
    return json_string_value(json_array_get(harness->kept, json_array_size(harness->kept) - 1));
}

static const char *program(const char *variable, const char *otherwise)
{
    const char *path = getenv(variable); /* NOLINT(concurrency-mt-unsafe): one thread */

    return path && *path ? path : otherwise;
}

/* Runs in the child: dies with us, writes its stdout and stderr there, leads no group of ours.
 */
static _Noreturn void become(const char *const *args, int in, int out, int err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execvp(args[0], (char *const *)args); /* which changes nothing in them */
    fprintf(stderr, "cannot run %s\n", args[0]);
    _exit(127);
}

pid_t harness_spawn(const char *const *args, int in, int out, int err)
{
    pid_t pid = fork();

    if (pid == 0)
        become(args, in, out, err);
    return pid;
}

static int open_log(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The line that the lab prints when it is ready. */
static bool read_ready_line(struct harness *harness, int fd)
{
    char line[512] = "";
    size_t len = 0;

    while (len < sizeof(line) - 1 && !strchr(line, '\n')) {
        ssize_t got = read(fd, line + len, sizeof(line) - 1 - len);

        if (got <= 0 && errno != EINTR)
            return false;
        len += got > 0 ? (size_t)got : 0;
        line[len] = '\0';
    }

    const char *app = strstr(line, "app_token=");
    const char *bot = strstr(line, "bot_token=");
    const char *url = strstr(line, "http://");

    if (!app || !bot || !url)
        return false;
    app += strlen("app_token=");
    bot += strlen("bot_token=");
    snprintf(harness->lab_url, sizeof(harness->lab_url), "%.*s", (int)strcspn(url, " \n"), url);
    snprintf(harness->app_token, HARNESS_TOKEN_BYTES, "%.*s", (int)strcspn(app, " \n"), app);
    snprintf(harness->bot_token, HARNESS_TOKEN_BYTES, "%.*s", (int)strcspn(bot, " \n"), bot);
    return true;
}

static bool start_lab(struct harness *harness)
{
    const char *args[] = { program("TK_LAB", "build/release/tests/slack_lab/slack_lab"), NULL };
    int ends[2];
    bool ready;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    harness->lab_pid = harness_spawn(args, STDIN_FILENO, ends[1], STDERR_FILENO);
    close(ends[1]);
    ready = harness->lab_pid > 0 && read_ready_line(harness, ends[0]);
    close(ends[0]);
    return ready;
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    return ntohs(address.sin_port);
}

static bool make_dirs(struct harness *harness)
{
    const char *base = program("TMPDIR", "/tmp");
    struct err err = { 0 };

    snprintf(harness->dir, sizeof(harness->dir), "%s/scenario.XXXXXX", base);
    if (!mkdtemp(harness->dir))
        return false;
    snprintf(harness->config_path, sizeof(harness->config_path), "%s/threadkeeper.yaml",
             harness->dir);
    snprintf(harness->state_dir, sizeof(harness->state_dir), "%s/state", harness->dir);
    snprintf(harness->workspace, sizeof(harness->workspace), "%s/workspace", harness->dir);
    snprintf(harness->log_path, sizeof(harness->log_path), "%s/daemon.log", harness->dir);
    return file_make_dirs(harness->state_dir, 0700, &err) == 0 &&
           file_make_dirs(harness->workspace, 0700, &err) == 0;
}

static void set_value(struct harness *harness, const char *section, const char *key,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

static void set_value(struct harness *harness, const char *section, const char *key,
                      const char *format, ...)
{
    va_list args;
    json_t *keys = json_object_get(harness->config, section);

    if (!keys) {
        keys = json_object();
        json_object_set_new(harness->config, section, keys);
    }
    va_start(args, format);
    json_object_set_new(keys, key, json_vsprintf(format, args));
    va_end(args);
}

static void set_defaults(struct harness *harness)
{
    char cwd[4096];
    const char *double_path =
        program("TK_DOUBLE", "build/release/tests/agent_double/cursor-agent");
    bool relative = *double_path != '/' && getcwd(cwd, sizeof(cwd));

    set_value(harness, "slack", "app_token", "%s", harness->app_token);
    set_value(harness, "slack", "bot_token", "%s", harness->bot_token);
    set_value(harness, "slack", "api_url", "%sapi/", harness->lab_url);
    set_value(harness, "agent", "command", "[%s%s%s]", relative ? cwd : "", relative ? "/" : "",
              double_path);
    set_value(harness, "agent", "workspace", "%s", harness->workspace);
    set_value(harness, "agent", "kill_grace", "500ms");
    /* The double notes there what it was given; whoever tests the fence takes it back. */
    set_value(harness, "agent", "fence_write", "[%s]", harness->workspace);
    set_value(harness, "access", "rate_limit", "{ requests: 0 }");
    /* Runs of the agent are counted, so none is started behind a test's back. */
    set_value(harness, "memory", "context", "{ summarizer: off }");
    set_value(harness, "admin", "listen", "127.0.0.1:%d", harness->admin_port);
    set_value(harness, "log", "level", "debug");
    set_value(harness, "", "state_dir", "%s", harness->state_dir);
}

struct harness *harness_new(void)
{
    struct harness *harness = xcalloc(1, sizeof(*harness));
    struct err err = { 0 };

    harness->kept = json_array();
    harness->config = json_object();
    buf_init(&harness->log, LOG_MAX_BYTES);
    harness->admin_port = free_port();
    setenv("CURSOR_API_KEY", "key-for-the-double", 0); /* NOLINT(concurrency-mt-unsafe) */
    if (http_startup(&err) < 0 || !make_dirs(harness) || !start_lab(harness)) {
        fprintf(stderr, "harness: no directory or no lab: %s\n", err.message);
        harness_free(harness);
        return NULL;
    }
    harness->http = http_new();
    set_defaults(harness);
    if (slowness() > 1) /* the three seconds to ack are a promise of what runs at full speed */
        lab_set(harness, "ack_timeout_ms", json_integer(harness_limit_ms(ACK_TIMEOUT_MS)));
    return harness;
}

static void end_process(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

/* SIGTERM, so that a tool which watches the daemon can say what it leaks. */
static bool ends_well(pid_t *pid, const char *name)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    int status = 0;

    kill(*pid, SIGTERM);
    while (waitpid(*pid, &status, WNOHANG) == 0) {
        if (clock_now_ms() > until) {
            fprintf(stderr, "harness: the %s does not end\n", name);
            return false;
        }
        harness_pause_ms(STEP_MS);
    }
    *pid = 0;
    if (status != 0)
        fprintf(stderr, "harness: the %s ended with wait status %d\n", name, status);
    return status == 0;
}

/* Sanitizers and valgrind write where the daemon writes. */
static bool has_report(struct harness *harness)
{
    static const char *const marks[] = { "Sanitizer", "runtime error:", "\n==" };
    const char *log = daemon_log(harness);

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        const char *report = strstr(log, marks[i]);

        if (report) {
            fprintf(stderr, "harness: a tool reports:\n%s\n", report);
            return true;
        }
    }
    return false;
}

bool harness_end(struct harness *harness)
{
    bool is_good = true;

    if (harness->daemon_pid > 0)
        is_good = ends_well(&harness->daemon_pid, "daemon");
    is_good = !has_report(harness) && is_good;
    harness_end_runs(harness);
    if (harness->lab_pid > 0)
        is_good = ends_well(&harness->lab_pid, "lab") && is_good;
    return is_good;
}

void harness_free(struct harness *harness)
{
    struct err err = { 0 };

    if (!harness)
        return;
    end_process(&harness->daemon_pid);
    harness_end_runs(harness);
    end_process(&harness->lab_pid);
    http_free(harness->http);
    if (*harness->dir && !getenv("TK_KEEP")) /* NOLINT(concurrency-mt-unsafe): one thread */
        file_remove_tree(harness->dir, &err);
    json_decref(harness->config);
    json_decref(harness->kept);
    buf_deinit(&harness->log);
    free(harness);
}

void harness_set(struct harness *harness, const char *section, const char *line)
{
    const char *colon = strchr(line, ':');
    AUTO_FREE char *key = NULL;

    if (!colon)
        harness_fail(harness, "not \"key: value\": %s", line);
    key = xstrndup(line, (size_t)(colon - line));
    set_value(harness, section, key, "%s", colon + 1 + strspn(colon + 1, " "));
}

void harness_write_config(struct harness *harness)
{
    struct buf yaml;
    struct err err = { 0 };
    const char *section;
    json_t *keys;

    buf_init(&yaml, LOG_MAX_BYTES);
    json_object_foreach(harness->config, section, keys)
    {
        const char *key;
        json_t *value;

        if (*section)
            buf_printf(&yaml, "%s:\n", section);
        json_object_foreach(keys, key, value) buf_printf(
            &yaml, "%s%s: %s\n", *section ? "  " : "", key, json_string_value(value));
    }
    if (file_write(harness->config_path, buf_text(&yaml), yaml.len, 0600, &err) < 0)
        harness_fail(harness, "%s", err.message);
    buf_deinit(&yaml);
}

void set_scenario(struct harness *harness, const char *scenario)
{
    char path[400];
    struct err err = { 0 };

    snprintf(path, sizeof(path), "%s/fake-cursor-agent.scenario", harness->workspace);
    if (file_write(path, scenario, strlen(scenario), 0644, &err) < 0)
        harness_fail(harness, "%s", err.message);
}

static char *gate_path(const struct harness *harness)
{
    return xasprintf("%s/gate", harness->workspace);
}

void open_gate(struct harness *harness)
{
    AUTO_FREE char *path = gate_path(harness);
    struct err err = { 0 };

    if (file_write(path, "", 0, 0600, &err) < 0)
        harness_fail(harness, "%s", err.message);
}

void shut_gate(struct harness *harness)
{
    AUTO_FREE char *path = gate_path(harness);

    if (unlink(path) < 0)
        harness_fail(harness, "the gate was not open");
}

const char *harness_dir(const struct harness *harness)
{
    return harness->dir;
}

const char *harness_config_path(const struct harness *harness)
{
    return harness->config_path;
}

const char *harness_state_dir(const struct harness *harness)
{
    return harness->state_dir;
}

const char *harness_workspace(const struct harness *harness)
{
    return harness->workspace;
}

const char *harness_lab_url(const struct harness *harness)
{
    return harness->lab_url;
}

int harness_admin_port(const struct harness *harness)
{
    return harness->admin_port;
}

/* --- the daemon -------------------------------------------------------------------------- */

size_t harness_begin_args(char **ret_wrap, const char **args, size_t size)
{
    char *rest = xstrdup(program("TK_WRAP", ""));
    char *word;
    size_t count = 0;

    *ret_wrap = rest;
    while ((word = strsep(&rest, " ")) && count + 1 < size) {
        if (*word)
            args[count++] = word;
    }
    args[count++] = program("TK_BIN", "build/release/threadkeeper");
    return count;
}

void daemon_launch(struct harness *harness)
{
    AUTO_FREE char *wrap = NULL;
    const char *args[ARGS_MAX];
    size_t count;
    AUTO_FD int log = open_log(harness->log_path);

    if (harness->daemon_pid)
        harness_fail(harness, "the daemon runs already");
    harness_write_config(harness);
    count = harness_begin_args(&wrap, args, ARGS_MAX - 4);
    args[count++] = "run";
    args[count++] = "-c";
    args[count++] = harness->config_path;
    args[count] = NULL;
    harness->daemon_pid = harness_spawn(args, STDIN_FILENO, log, log);
    if (harness->daemon_pid < 0)
        harness_fail(harness, "cannot start the daemon");
}

static size_t links_wanted(const struct harness *harness)
{
    const char *value = json_string_value(
        json_object_get(json_object_get(harness->config, "slack"), "connections"));

    return value ? (size_t)strtoull(value, NULL, 10) : 2;
}

void daemon_start(struct harness *harness)
{
    int64_t mark = lab_mark(harness);
    size_t wanted = links_wanted(harness);

    daemon_launch(harness);
    for (size_t i = 0; i < wanted; i++) {
        json_t *hello = lab_wait_log(harness, mark, "hello", NULL, NULL);

        mark = json_integer_value(json_object_get(hello, "seq"));
        json_decref(hello);
    }
}

pid_t daemon_pid(const struct harness *harness)
{
    return harness->daemon_pid;
}

void daemon_signal(struct harness *harness, int signum)
{
    if (harness->daemon_pid <= 0 || kill(harness->daemon_pid, signum) < 0)
        harness_fail(harness, "there is no daemon to signal");
}

int harness_exit_status(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int daemon_wait_exit(struct harness *harness)
{
    int64_t until = clock_now_ms() + harness_limit_ms(HARNESS_LIMIT_MS);
    int status = 0;

    while (waitpid(harness->daemon_pid, &status, WNOHANG) == 0) {
        if (clock_now_ms() > until)
            harness_fail(harness, "the daemon does not end");
        harness_pause_ms(STEP_MS);
    }
    harness->daemon_pid = 0;
    return harness_exit_status(status);
}

int daemon_stop(struct harness *harness)
{
    daemon_signal(harness, SIGTERM);
    return daemon_wait_exit(harness);
}

void daemon_kill(struct harness *harness)
{
    daemon_signal(harness, SIGKILL);
    daemon_wait_exit(harness);
}

void daemon_restart(struct harness *harness)
{
    int status = daemon_stop(harness);

    if (status != 0)
        harness_fail(harness, "the daemon ended with %d", status);
    daemon_start(harness);
}

void daemon_reload(struct harness *harness)
{
    harness_write_config(harness);
    daemon_signal(harness, SIGHUP);
}

const char *daemon_log(struct harness *harness)
{
    struct err err = { 0 };

    buf_clear(&harness->log);
    if (file_read(harness->log_path, &harness->log, &err) < 0)
        return "";
    return buf_text(&harness->log);
}
