/*
 * fuzz_config.c - any bytes as a configuration file: the loader must refuse or accept them, say
 * where what is wrong, and print an accepted one so that it loads again and says the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/config.h"

static char path[64];
static int file = -1;

static struct config *load(const void *bytes, size_t len, struct buf *problems)
{
    struct config *config = NULL;
    struct err err = { 0 };

    if (ftruncate(file, 0) < 0 || pwrite(file, bytes, len, 0) != (ssize_t)len)
        abort();
    if (config_load(path, false, &config, problems, &err) < 0) {
        if (!problems->len || config || err.kind == ERR_NONE)
            abort(); /* refused without a word */
    } else if (problems->len) {
        abort();
    }
    return config;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_BUF struct buf problems = { 0 };
    AUTO_BUF struct buf listing = { 0 };
    AUTO_BUF struct buf again = { 0 };
    struct config *config;
    struct config *copy;

    if (file < 0) {
        file = memfd_create("config", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    buf_init(&problems, 1 << 22);
    buf_init(&listing, 1 << 22);
    buf_init(&again, 1 << 22);
    config = load(data, size, &problems);
    if (!config)
        return 0;
    config_print_effective(config, &listing);
    copy = load(buf_text(&listing), listing.len, &problems);
    if (!copy)
        abort();
    free(copy->slack.app_token); /* shown masked, hence lost in the copy */
    free(copy->slack.bot_token);
    copy->slack.app_token = strdup(config->slack.app_token);
    copy->slack.bot_token = strdup(config->slack.bot_token);
    config_print_effective(copy, &again);
    if (strcmp(buf_text(&listing), buf_text(&again)) != 0)
        abort();
    config_unref(config);
    config_unref(copy);
    return 0;
}
