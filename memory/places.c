#include "memory/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "memory/db.h"

#define US_PER_S      1000000
#define ROWS_READ_MAX 100000 /* a bound on the time that a reader is lent */

void memory_place_deinit(struct memory_place *place)
{
    free(place->team);
    free(place->channel);
    free(place->thread_ts);
    free(place->newest_ts);
    *place = (struct memory_place){ 0 };
}

static const char *column(sqlite3_stmt *statement, int index)
{
    const unsigned char *text = sqlite3_column_text(statement, index);

    return text ? (const char *)text : "";
}

static bool is_listed(const struct memory_place *places, size_t count, const char *team,
                      const char *channel, const char *thread_ts)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(places[i].thread_ts, thread_ts) == 0 &&
            strcmp(places[i].channel, channel) == 0 && strcmp(places[i].team, team) == 0)
            return true;
    }
    return false;
}

/* Adds the row's place unless a newer row has: columns team, channel, thread_ts, ts. */
static void take_row(sqlite3_stmt *statement, struct memory_place *places, size_t *count)
{
    const char *team = column(statement, 0);
    const char *channel = column(statement, 1);
    const char *thread_ts = column(statement, 2);

    if (is_listed(places, *count, team, channel, thread_ts))
        return;
    places[(*count)++] = (struct memory_place){
        .team = xstrdup(team),
        .channel = xstrdup(channel),
        .thread_ts = xstrdup(thread_ts),
        .newest_ts = xstrdup(column(statement, 3)),
    };
}

int places_read(struct readers *readers, const struct memory_places_query *query,
                struct memory_place *ret_places, size_t max, size_t *ret_count, struct err *err)
{
    struct db *db = readers_borrow(readers, err);
    sqlite3_stmt *statement;
    char since_ts[32];
    size_t count = 0;
    int rc = 0;

    if (!db)
        return -1;
    snprintf(since_ts, sizeof(since_ts), "%010lld.%06lld",
             (long long)(query->since_wall_us / US_PER_S),
             (long long)(query->since_wall_us % US_PER_S));
    statement = db_statement(db, DB_PLACES_SCAN);
    db_bind_text(statement, 1, since_ts);
    sqlite3_bind_int64(statement, 2, query->before_wall_us);
    db_bind_text(statement, 3, query->except_channel);
    sqlite3_bind_int64(statement, 4, ROWS_READ_MAX);
    while (count < max &&
           (rc = db_next(db, statement, "cannot read who talked lately", err)) > 0)
        take_row(statement, ret_places, &count);
    sqlite3_reset(statement);
    readers_return(readers, db);
    if (rc < 0) {
        while (count)
            memory_place_deinit(&ret_places[--count]);
        return -1;
    }
    *ret_count = count;
    return 0;
}

int places_last_message(struct readers *readers, const char *except_channel,
                        int64_t before_wall_us, int64_t *ret_wall_us, struct err *err)
{
    struct db *db = readers_borrow(readers, err);
    sqlite3_stmt *statement;
    int rc;

    if (!db)
        return -1;
    statement = db_statement(db, DB_PLACES_LAST);
    sqlite3_bind_int64(statement, 1, before_wall_us);
    db_bind_text(statement, 2, except_channel);
    rc = db_next(db, statement, "cannot read when somebody talked last", err);
    if (rc >= 0)
        *ret_wall_us = rc ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    readers_return(readers, db);
    return rc < 0 ? -1 : 0;
}
