#include "memory/readers.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"

/* Reads take microseconds: more would only cost memory. */
#define READERS_MAX 4

struct readers {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    char *path;
    struct vault *vault;
    struct db *idle[READERS_MAX];
    size_t idle_count;
    size_t open_count; /* idle or lent */
};

struct readers *readers_new(const char *db_path)
{
    struct readers *readers = xcalloc(1, sizeof(*readers));

    pthread_mutex_init(&readers->lock, NULL);
    pthread_cond_init(&readers->returned, NULL);
    readers->path = xstrdup(db_path);
    return readers;
}

void readers_free(struct readers *readers)
{
    if (!readers)
        return;
    for (size_t i = 0; i < readers->idle_count; i++)
        db_close(readers->idle[i]);
    pthread_cond_destroy(&readers->returned);
    pthread_mutex_destroy(&readers->lock);
    free(readers->path);
    free(readers);
}

void readers_set_vault(struct readers *readers, struct vault *vault)
{
    readers->vault = vault;
}

struct db *readers_borrow(struct readers *readers, struct err *err)
{
    struct db *db = NULL;

    pthread_mutex_lock(&readers->lock);
    while (!readers->idle_count && readers->open_count == READERS_MAX)
        pthread_cond_wait(&readers->returned, &readers->lock);
    if (readers->idle_count)
        db = readers->idle[--readers->idle_count];
    else
        readers->open_count++;
    pthread_mutex_unlock(&readers->lock);
    if (db)
        return db;
    if (db_open(readers->path, DB_ROLE_READER, &db, err) == 0 &&
        db_set_vault(db, readers->vault, err) == 0)
        return db;
    db_close(db);

    pthread_mutex_lock(&readers->lock);
    readers->open_count--;
    pthread_cond_signal(&readers->returned);
    pthread_mutex_unlock(&readers->lock);
    return NULL;
}

void readers_return(struct readers *readers, struct db *db)
{
    if (!db)
        return;
    pthread_mutex_lock(&readers->lock);
    readers->idle[readers->idle_count++] = db;
    pthread_cond_signal(&readers->returned);
    pthread_mutex_unlock(&readers->lock);
}
