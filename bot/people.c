#include "bot/people.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define LOG_MODULE "bot.people"
#include "base/log.h"

struct person_known {
    char user[SLACK_ID_MAX_BYTES];
    bool is_guest;
    int64_t asked_ms;
};

struct people {
    pthread_mutex_t lock;
    struct person_known known[PEOPLE_MAX];
    size_t count;
    size_t next; /* the slot to overwrite once full */
};

struct people *people_new(void)
{
    struct people *people = xcalloc(1, sizeof(*people));

    pthread_mutex_init(&people->lock, NULL);
    return people;
}

void people_free(struct people *people)
{
    if (!people)
        return;
    pthread_mutex_destroy(&people->lock);
    free(people);
}

static struct person_known *find_locked(struct people *people, const char *user)
{
    for (size_t i = 0; i < people->count; i++) {
        if (strcmp(people->known[i].user, user) == 0)
            return &people->known[i];
    }
    return NULL;
}

static void remember_locked(struct people *people, const char *user, bool is_guest)
{
    struct person_known *known = find_locked(people, user);

    if (!known && people->count < PEOPLE_MAX)
        known = &people->known[people->count++];
    if (!known) {
        known = &people->known[people->next];
        people->next = (people->next + 1) % PEOPLE_MAX;
    }
    *known = (struct person_known){ .is_guest = is_guest, .asked_ms = clock_now_ms() };
    memcpy(known->user, user, strnlen(user, sizeof(known->user) - 1));
}

bool people_is_guest(struct people *people, struct slack_web *web, const char *user,
                     const char *own_team)
{
    const struct person_known *known;
    struct slack_user info = { 0 };
    struct err err = { 0 };
    bool is_guest = false;
    bool is_known;

    pthread_mutex_lock(&people->lock);
    known = find_locked(people, user);
    is_known = known && clock_now_ms() - known->asked_ms < PEOPLE_MAX_AGE_MS;
    if (is_known)
        is_guest = known->is_guest;
    pthread_mutex_unlock(&people->lock);
    if (is_known)
        return is_guest;
    if (slack_users_info(web, user, &info, &err) < 0) {
        log_warn("cannot tell whether user=%s is a guest, going by the event: %s", user,
                 err.message);
        return false;
    }
    is_guest =
        info.is_guest || (*info.team_id && *own_team && strcmp(info.team_id, own_team) != 0);
    pthread_mutex_lock(&people->lock);
    remember_locked(people, user, is_guest);
    pthread_mutex_unlock(&people->lock);
    return is_guest;
}
