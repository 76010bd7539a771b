/*
 * log.h - one line per event on stderr, where journald takes it.
 *
 * log_err: a human must act. log_warn: degraded, and what we do instead. log_info: life cycle,
 * a few lines an hour when idle. log_debug: the rest. Facts go as key=value; control characters
 * are escaped; every registered secret and every known token shape is masked before it is
 * written.
 *
 * A file that logs says `#define LOG_MODULE "slack.socket"` before including this header.
 *
 * Owns:    the log level, the one global of the program, and the registered secrets.
 * Threads: any; a line is one write(2).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format {
    LOG_FORMAT_TEXT, /* <6>slack.socket: message; without <6> when stderr is a terminal */
    LOG_FORMAT_JSON, /* {"at":...,"level":...,"module":...,"message":...} */
};

/* May be called again at any time (reload). */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);

/*
 * From now on `secret` (8 bytes or more) is written as "***". Copies it; duplicates are fine.
 * 1,024 of them are taken.
 */
void log_add_secret(const char *secret);

/*
 * Masks registered secrets, what looks like one (base/secrets.h) and wss:// tickets in place,
 * always keeping the length or shortening it. For text that leaves by another way than the log.
 */
void log_mask_secrets(char *text);

void log_line(enum log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_err(...)  log_line(LOG_LEVEL_ERR, LOG_MODULE, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, LOG_MODULE, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, LOG_MODULE, __VA_ARGS__)
#define log_debug(...)                                          \
    do {                                                        \
        if (log_enabled(LOG_LEVEL_DEBUG))                       \
            log_line(LOG_LEVEL_DEBUG, LOG_MODULE, __VA_ARGS__); \
    } while (0)

#endif
