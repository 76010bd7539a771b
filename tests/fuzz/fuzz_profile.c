/* What people write: the rules that learn from it, and chat commands, on arbitrary bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "bot/commands.h"
#include "memory/person.h"
#include "memory/preference.h"
#include "memory/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_at(bool holds, int line)
{
    if (holds)
        return;
    fprintf(stderr, "line %d does not hold\n", line);
    abort();
}

#define check(holds) check_at(holds, __LINE__)

static void check_fact(void *context, const char *name, const char *value)
{
    size_t len = strlen(value);

    (void)context;
    check(strcmp(name, "name") == 0 || strcmp(name, "role") == 0 ||
          strncmp(name, "interest:", 9) == 0);
    check(len > 0 && len <= PROFILE_VALUE_MAX_BYTES);
    check(!strpbrk(value, "\n\r\t;\"<>{}"));
    check(utf8_is_valid(value, len));
}

static void check_term(void *context, size_t term)
{
    (void)context;
    check(profile_term_name(term) != NULL);
}

static void read_profile(const char *text)
{
    profile_extract(text, check_fact, NULL);
    profile_visit_terms(text, check_term, NULL);
}

static void read_command(const char *text)
{
    AUTO_FREE char *line = commands_read(text, "UBOT");
    const char *arguments = "";

    if (!line || !commands_find(line, &arguments))
        return;
    check(*arguments != ' ');
    for (;;) {
        AUTO_FREE char *word = commands_take_word(&arguments);

        if (!word)
            return;
    }
}

static void read_preference(const char *text)
{
    static const char *const names[] = { "language", "timezone",       "notifications",
                                         "theme",    "response_style", "anything" };
    AUTO_FREE char *name = NULL;

    preference_check_name(text, &name, NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO_FREE char *json = NULL;
        AUTO_BUF struct buf wish = { 0 };

        if (preference_check_value(names[i], text, &json, NULL) < 0)
            continue;
        buf_init(&wish, 4096);
        preference_append_wish(&wish, names[i], json);
        check(!strpbrk(buf_text(&wish), "\n;"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *raw = xstrndup((const char *)data, size);
    AUTO_FREE char *clean = utf8_clean_copy(raw, strlen(raw), SIZE_MAX);

    profile_extract(raw, check_fact, NULL); /* texts are clean, but a store may be edited */
    read_profile(clean);
    read_command(clean);
    read_preference(clean);
    return 0;
}
