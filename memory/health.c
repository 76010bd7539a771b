#include "memory/health.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "memory/salvage.h"
#include "memory/schema.h"

#define LOG_MODULE "memory.health"
#include "base/log.h"

#define DAMAGED      ".damaged-"
#define SALVAGING    ".salvaging"
#define NAMES_MAX    100
#define THREAD_STACK ((size_t)256 * 1024)

struct health {
    char *path;
    int64_t quarantined;
    struct db *reader; /* the check's; NULL: none */
    pthread_t thread;
    bool is_running;
};

/* ---- moving aside ------------------------------------------------------------------------ */

/* "20261121T060700Z" */
static void stamp(char *out, size_t size)
{
    time_t now = (time_t)clock_wall_s();
    struct tm parts;

    gmtime_r(&now, &parts);
    strftime(out, size, "%Y%m%dT%H%M%SZ", &parts);
}

/* A second name for the file, so that the first can be replaced in one step. */
static int link_aside(const char *path, char **ret_aside, struct err *err)
{
    char when[32];

    stamp(when, sizeof(when));
    for (int i = 0; i < NAMES_MAX; i++) {
        AUTO_FREE char *aside = i ? xasprintf("%s" DAMAGED "%s.%d", path, when, i)
                                  : xasprintf("%s" DAMAGED "%s", path, when);

        if (link(path, aside) == 0) {
            *ret_aside = take_ptr(&aside);
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    return err_set_errno(err, ERR_SYSTEM, "cannot move the damaged %s aside", path);
}

static char *with(const char *path, const char *suffix)
{
    return xasprintf("%s%s", path, suffix);
}

static void unlink_with(const char *path, const char *suffix)
{
    AUTO_FREE char *name = with(path, suffix);

    unlink(name);
}

/* The log holds what was committed last: it goes along. None is no failure. */
static int link_log(const char *path, const char *aside, struct err *err)
{
    AUTO_FREE char *from = with(path, "-wal");
    AUTO_FREE char *to = with(aside, "-wal");

    if (link(from, to) < 0 && errno != ENOENT)
        return err_set_errno(err, ERR_SYSTEM, "cannot move %s aside", from);
    return 0;
}

/*
 * The damaged file gets its second name first; the new one is made whole beside it and takes
 * the first name in one step. A crash in between leaves the damaged file where it was, and the
 * next start begins again.
 */
static int quarantine(const char *path, const char *why, struct err *err)
{
    static const char *const rest[] = { "", "-wal", "-shm" };
    AUTO_FREE char *fresh = with(path, SALVAGING);
    AUTO_FREE char *aside = NULL;
    struct salvaged salvaged = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(rest); i++)
        unlink_with(fresh, rest[i]);
    unlink_with(fresh, SALVAGE_HEAD);
    if (link_aside(path, &aside, err) < 0)
        return -1;
    if (link_log(path, aside, err) < 0 || salvage_copy(aside, fresh, &salvaged, err) < 0) {
        /* Whoever starts us again and again shall not find a name for each time. */
        for (size_t i = 0; i < ARRAY_LEN(rest); i++)
            unlink_with(aside, rest[i]);
        return err_wrap(err, "%s is damaged (%s)", path, why);
    }
    unlink_with(aside, "-shm");
    unlink_with(path, "-wal");
    unlink_with(path, "-shm");
    if (rename(fresh, path) < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot put %s in the place of %s", fresh, path);
    db_clear_suspect(path);
    log_err(
        "the database was damaged and a new one is begun: why=\"%s\" damaged_file=%s "
        "salvaged_conversations=%lld salvaged_turns=%lld salvaged_messages=%lld pending=%lld "
        "holes=%lld. What is missing there is lost unless a backup holds it",
        why, aside, (long long)salvaged.conversations, (long long)salvaged.turns,
        (long long)salvaged.messages, (long long)salvaged.pending, (long long)salvaged.holes);
    return 0;
}

/* ---- looking ----------------------------------------------------------------------------- */

static int damaged(const char *path, const char *found, struct err *err)
{
    db_mark_suspect(path);
    return err_set(err, ERR_SYSTEM, "%s is damaged: %s", path, found);
}

/* A table that should be there and is not is damage as well. */
static int look_at_table(struct db *db, const char *path, const char *table, struct err *err)
{
    AUTO_FREE char *sql = xasprintf("SELECT * FROM %s LIMIT 1", table);
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db_handle(db), sql, -1, &statement, NULL);

    if (rc == SQLITE_ERROR)
        return damaged(path, sqlite3_errmsg(db_handle(db)), err);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        rc = db_fail(db, "looking at the database", err);
    sqlite3_finalize(statement);
    return rc < 0 ? -1 : 0;
}

static int look(struct db *db, const char *path, struct err *err)
{
    for (size_t i = 0; i < schema_tables_count; i++) {
        if (look_at_table(db, path, schema_tables[i], err) < 0)
            return -1;
    }
    return 0;
}

/* All of it: about a second for a million turns. ERR_TEMP when it was interrupted. */
static int check_all(struct db *db, const char *path, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db_handle(db), "PRAGMA quick_check(1)", -1, &statement, NULL);

    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc != SQLITE_ROW)
        rc = db_fail(db, "checking the database", err);
    else if (strcmp(db_column_text(statement, 0), "ok") != 0)
        rc = damaged(path, db_column_text(statement, 0), err);
    else
        rc = 0;
    sqlite3_finalize(statement);
    return rc;
}

static int open_and_look(const char *path, bool is_thorough, struct db **ret_db,
                         struct err *err)
{
    struct db *db = NULL;

    if (db_open(path, DB_ROLE_WRITER, &db, err) == 0 && look(db, path, err) == 0 &&
        (!is_thorough || check_all(db, path, err) == 0)) {
        *ret_db = db;
        return 0;
    }
    db_close(db);
    return -1;
}

/* 0, 1 for damage - the mark is there again then, and only then - or -1 for any other reason.
 */
static int try_open(const char *path, struct db **ret_db, struct err *err)
{
    bool was_suspect = db_is_suspect(path);

    db_clear_suspect(path);
    if (open_and_look(path, was_suspect, ret_db, err) == 0)
        return 0;
    if (db_is_suspect(path))
        return 1;
    if (was_suspect)
        db_mark_suspect(path);
    return -1;
}

static int64_t count_quarantined(const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTO_FREE char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    AUTO_FREE char *prefix = with(slash ? slash + 1 : path, DAMAGED);
    DIR *directory = opendir(folder);
    struct dirent *entry;
    int64_t count = 0;

    while (directory &&
           (entry = readdir(directory))) { /* NOLINT(concurrency-mt-unsafe): own DIR */
        size_t len = strlen(entry->d_name);

        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0 &&
            strcmp(entry->d_name + len - 4, "-wal") != 0)
            count++;
    }
    if (directory)
        closedir(directory);
    return count;
}

static void *check(void *context)
{
    struct health *health = context;
    int64_t began_ms = clock_now_ms();
    struct err err = { 0 };

    pthread_setname_np(pthread_self(), "db-check");
    if (check_all(health->reader, health->path, &err) == 0)
        log_info("the last shutdown was not clean; the database was checked and is sound: "
                 "ms=%lld",
                 (long long)(clock_now_ms() - began_ms));
    else if (err.kind != ERR_TEMP) /* interrupted: the next start looks again */
        log_err("damage was found, what is in RAM goes on serving: %s", err.message);
    return NULL;
}

static void start_check(struct health *health)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;

    if (db_open(health->path, DB_ROLE_READER, &health->reader, NULL) < 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    health->is_running = pthread_create(&health->thread, &attributes, check, health) == 0;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Whoever closes last empties the log and removes it. */
static bool was_closed(const char *path)
{
    AUTO_FREE char *log = with(path, "-wal");
    struct stat info;

    return stat(log, &info) < 0 || info.st_size == 0;
}

int health_open(const char *path, bool is_visitor, struct db **ret_db,
                struct health **ret_health, struct err *err)
{
    bool is_clean = was_closed(path);
    struct err local = { 0 };
    struct health *health;
    struct db *db = NULL;
    int rc;

    rc = is_visitor ? open_and_look(path, false, &db, &local) : try_open(path, &db, &local);
    if (rc < 0) {
        if (err)
            *err = local;
        return -1;
    }
    if (rc > 0) {
        if (quarantine(path, local.message, err) < 0 ||
            open_and_look(path, false, &db, err) < 0)
            return -1;
        is_clean = true;
    }
    health = xcalloc(1, sizeof(*health));
    health->path = xstrdup(path);
    health->quarantined = count_quarantined(path);
    if (!is_clean && !is_visitor)
        start_check(health);
    *ret_db = db;
    *ret_health = health;
    return 0;
}

void health_wait(struct health *health)
{
    if (health->is_running)
        pthread_join(health->thread, NULL);
    health->is_running = false;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    if (health->is_running)
        sqlite3_interrupt(db_handle(health->reader));
    health_wait(health);
    db_close(health->reader);
    free(health->path);
    free(health);
}

int64_t health_quarantined(const struct health *health)
{
    return health->quarantined;
}

bool health_is_suspect(const struct health *health)
{
    return db_is_suspect(health->path);
}
