/*
 * cmd_config.c - `threadkeeper config` and `threadkeeper manifest`: what could be configured,
 * what is, and what Slack must be told.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "bot/cli.h"
#include "config/config.h"
#include "slack/manifest.h"

#define TEXT_MAX_BYTES (1U << 20)

static int print_text(const struct buf *text)
{
    fputs(buf_text(text), stdout);
    if (fflush(stdout) != 0) {
        perror("threadkeeper: cannot write");
        return CLI_FAILED;
    }
    return CLI_OK;
}

int command_config(const struct cli *cli)
{
    AUTO_BUF struct buf text = { 0 };
    struct config *config;
    int status;

    buf_init(&text, TEXT_MAX_BYTES);
    if (cli->argc == 1 && strcmp(cli->argv[0], "--example") == 0) {
        config_print_example(&text);
        return print_text(&text);
    }
    if (cli->argc != 1 || strcmp(cli->argv[0], "--effective") != 0) {
        fputs("usage: threadkeeper config --example|--effective\n", stderr);
        return CLI_USAGE;
    }
    config = cli_load_config(cli, false, &status);
    if (!config)
        return status;
    config_print_effective(config, &text);
    config_unref(config);
    return print_text(&text);
}

int command_manifest(const struct cli *cli)
{
    AUTO_BUF struct buf text = { 0 };
    bool is_bad;
    bool as_json = cli_take_flag(cli, "--json", &is_bad);

    if (is_bad)
        return CLI_USAGE;
    buf_init(&text, TEXT_MAX_BYTES);
    slack_manifest_print(as_json, &text);
    return print_text(&text);
}
