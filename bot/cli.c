#include "bot/cli.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/launch.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "config/config.h"

#define PROBLEMS_MAX_BYTES 65536
#define PASSWD_MAX_BYTES   4096

static int command_version(const struct cli *cli)
{
    (void)cli;
    puts("threadkeeper " TK_VERSION);
    return CLI_OK;
}

/* Not listed: the daemon starts it for each run of the agent. */
static int command_launch(const struct cli *cli)
{
    if (cli->argc != 1) {
        fputs("threadkeeper launch: for the daemon's own use\n", stderr);
        return CLI_USAGE;
    }
    return agent_launch_main(cli->argv[0]);
}

static const struct command {
    const char *name;
    int (*run)(const struct cli *cli);
    const char *arguments;
    const char *help; /* NULL: hidden */
} commands[] = {
    { "run", command_run, "", "the daemon, in the foreground" },
    { "check", command_check, "", "what is wrong with this installation, and how to mend it" },
    { "manifest", command_manifest, "[--json]", "the Slack app manifest" },
    { "config", command_config, "--example|--effective",
      "every option with its help | what is in force, secrets masked" },
    { "status", command_status, "[--json]", "what the running daemon is doing" },
    { "chat", command_chat, "[NAME]", "talk to the agent from the terminal, without Slack" },
    { "memory", command_memory, "VERB ...", "look into what is remembered, move it, erase it" },
    { "version", command_version, "", "print the version" },
    { "launch", command_launch, "", NULL },
};

static void print_usage(FILE *out)
{
    fputs("usage: threadkeeper [-c FILE] [-v] COMMAND\n\ncommands:\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].help)
            fprintf(out, "  %-9s%-22s %s\n", commands[i].name, commands[i].arguments,
                    commands[i].help);
    }
    fputs("\noptions:\n"
          "  -c FILE   configuration (else $THREADKEEPER_CONFIG, else " CONFIG_DEFAULT_PATH
          ")\n"
          "  -v        log at level debug\n"
          "  --help    this text\n\n"
          "exit status: 0 ok, 1 failed, 2 usage, 77 Slack refuses the tokens, 78 bad "
          "configuration\n",
          out);
}

/* Behind these words, or behind --, nothing is ours. */
static bool goes_to_command(const char *command, const char *argument, bool *only_words)
{
    if (!command)
        return false;
    *only_words = *only_words || strcmp(argument, "--") == 0;
    return *only_words || strcmp(command, "launch") == 0 ||
           (strcmp(command, "memory") == 0 &&
            (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0));
}

/* Takes global options from anywhere on the line; what is left goes to the command. */
static int parse_globals(struct cli *cli, int argc, char **argv, const char **ret_command)
{
    const char *command = NULL;
    bool only_words = false;

    for (int i = 1; i < argc; i++) {
        /* NOLINTNEXTLINE(bugprone-branch-clone): what follows launch is for the agent */
        if (goes_to_command(command, argv[i], &only_words)) {
            cli->argv[cli->argc++] = argv[i];
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_usage(stdout);
            return CLI_OK;
        } else if (strcmp(argv[i], "--version") == 0) {
            command = "version";
        } else if (strcmp(argv[i], "-v") == 0) {
            cli->is_verbose = true;
        } else if (strcmp(argv[i], "-c") == 0) {
            if (++i == argc) {
                fputs("threadkeeper: -c wants a file\n", stderr);
                return CLI_USAGE;
            }
            cli->config_path = argv[i];
        } else if (!command) {
            command = argv[i];
        } else {
            cli->argv[cli->argc++] = argv[i];
        }
    }
    *ret_command = command;
    return -1;
}

int cli_main(int argc, char **argv)
{
    AUTO_FREE char **rest = xcalloc((size_t)argc + 1, sizeof(*rest));
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is no other thread yet */
    const char *from_environment = getenv("THREADKEEPER_CONFIG");
    struct cli cli = { .config_path = CONFIG_DEFAULT_PATH, .argv = rest };
    const char *command = NULL;
    int status;

    if (from_environment && *from_environment)
        cli.config_path = from_environment;
    status = parse_globals(&cli, argc, argv, &command);
    if (status >= 0)
        return status;
    for (size_t i = 0; command && i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, command) == 0)
            return commands[i].run(&cli);
    }
    if (command)
        fprintf(stderr, "threadkeeper: unknown command '%s'\n", command);
    print_usage(stderr);
    return CLI_USAGE;
}

static void set_variable(char *line)
{
    char *name = line + strspn(line, " \t");
    char *value = strchr(name, '=');
    size_t len;

    if (!value || strchr("#;", *name))
        return;
    *value++ = '\0';
    len = strlen(value);
    if (len >= 2 && strchr("\"'", *value) && value[len - 1] == *value) {
        value[len - 1] = '\0';
        value++;
    }
    setenv(name, value, 0); /* NOLINT(concurrency-mt-unsafe): before threads */
}

/*
 * The unit gives the daemon what /etc/threadkeeper/environment says. A command given by hand
 * reads the same file, beside the configuration, if it may: else a check would miss the agent's
 * key where the daemon has it.
 */
static void read_environment(const char *config_path)
{
    const char *slash = strrchr(config_path, '/');
    AUTO_FREE char *path = xasprintf("%.*s/environment", slash ? (int)(slash - config_path) : 1,
                                     slash ? config_path : ".");
    AUTO_BUF struct buf text = { 0 };
    AUTO_FREE char *copy = NULL;
    struct err err = { 0 };
    char *rest;

    buf_init(&text, PROBLEMS_MAX_BYTES);
    if (access(path, R_OK) < 0 || file_read(path, &text, &err) < 0)
        return;
    copy = xstrdup(buf_text(&text));
    rest = copy;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
        set_variable(line);
}

struct config *cli_load_config(const struct cli *cli, bool needs_slack, int *ret_status)
{
    struct config *config = NULL;
    AUTO_BUF struct buf problems = { 0 };
    struct err err = { 0 };

    buf_init(&problems, PROBLEMS_MAX_BYTES);
    read_environment(cli->config_path);
    if (config_load(cli->config_path, needs_slack, &config, &problems, &err) < 0) {
        fprintf(stderr, "threadkeeper: %s\n", err.message);
        fputs(buf_text(&problems), stderr);
        *ret_status = CLI_BAD_CONFIG;
        return NULL;
    }
    log_configure(cli->is_verbose ? LOG_LEVEL_DEBUG : (enum log_level)config->log.level,
                  (enum log_format)config->log.format);
    return config;
}

void cli_hide_secrets(void)
{
    prctl(PR_SET_DUMPABLE, 0);
    config_hide_secrets_from_environment();
}

int cli_become_owner(const struct config *config, struct err *err)
{
    struct stat info;
    struct passwd entry;
    struct passwd *owner = NULL;
    char names[PASSWD_MAX_BYTES];

    if (geteuid() != 0 || stat(config->state_dir, &info) < 0 || info.st_uid == 0)
        return 0;
    getpwuid_r(info.st_uid, &entry, names, sizeof(names), &owner);
    if ((owner ? initgroups(owner->pw_name, owner->pw_gid) : setgroups(0, NULL)) < 0 ||
        setgid(owner ? owner->pw_gid : info.st_gid) < 0 || setuid(info.st_uid) < 0)
        return err_set_errno(err, ERR_SYSTEM, "become the owner of %s", config->state_dir);
    if (owner) { /* an agent looks there for its login; no thread exists yet */
        setenv("HOME", owner->pw_dir, 1);     /* NOLINT(concurrency-mt-unsafe) */
        setenv("USER", owner->pw_name, 1);    /* NOLINT(concurrency-mt-unsafe) */
        setenv("LOGNAME", owner->pw_name, 1); /* NOLINT(concurrency-mt-unsafe) */
    }
    return 0;
}

bool cli_take_flag(const struct cli *cli, const char *flag, bool *ret_bad)
{
    *ret_bad = cli->argc > 1 || (cli->argc == 1 && strcmp(cli->argv[0], flag) != 0);
    if (*ret_bad)
        fprintf(stderr, "threadkeeper: unknown argument '%s'; known: %s\n",
                cli->argv[cli->argc > 1 ? 1 : 0], flag);
    return cli->argc == 1 && !*ret_bad;
}
