/*
 * cli.h - the command line: global options, the command table, exit statuses.
 *
 * Threads: startup.
 */
#ifndef BOT_CLI_H
#define BOT_CLI_H

#include <stdbool.h>

struct config;
struct err;

enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_BAD_TOKENS = 77, /* Slack refuses the tokens: systemd does not restart on it */
    CLI_BAD_CONFIG = 78, /* nor on this */
};

/* What a command gets: its own arguments behind the global ones. */
struct cli {
    const char *config_path;
    bool is_verbose;
    int argc; /* arguments after the command's name */
    char **argv;
};

/* Each returns an enum cli_status. */
int command_run(const struct cli *cli);
int command_check(const struct cli *cli);
int command_manifest(const struct cli *cli);
int command_config(const struct cli *cli);
int command_status(const struct cli *cli);
int command_chat(const struct cli *cli);
int command_memory(const struct cli *cli); /* cmd_memory.h */

/* Parses argv and runs the command. */
int cli_main(int argc, char **argv);

/*
 * Loads the configuration, or prints every problem to stderr and returns NULL; *ret_status is
 * then CLI_BAD_CONFIG. Also sets the log level, and the variables that a file `environment`
 * beside the configuration gives (KEY=VALUE lines) where they are not set: startup only.
 */
struct config *cli_load_config(const struct cli *cli, bool needs_slack, int *ret_status);

/*
 * Called as root, goes on as the user that owns state_dir: what a command finds is then what
 * the daemon would find, and what it makes there does not lock the daemon out. Nothing happens
 * for anybody else, nor where state_dir is root's or is not there yet. ERR_SYSTEM.
 */
int cli_become_owner(const struct config *config, struct err *err);

/*
 * For who starts agents: takes the secrets out of our environment, and lets nobody of the same
 * user read our memory through /proc or ptrace. Before threads.
 */
void cli_hide_secrets(void);

/* True when the only argument is `flag`; prints a usage error and sets *ret_bad for any other.
 */
bool cli_take_flag(const struct cli *cli, const char *flag, bool *ret_bad);

#endif
