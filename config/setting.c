#include "config/setting.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "config/environment.h"
#include "config/tree.h"

#define SHOWN_MAX_BYTES 60

/* The one place where an offset becomes a member; the row's type says which kind it is. */
static void *member_of(const struct option *option, void *base)
{
    return (char *)base + option->offset;
}

static const void *const_member_of(const struct option *option, const void *base)
{
    return (const char *)base + option->offset;
}

const char *setting_text(const struct option *option, const void *base)
{
    return *(char *const *)const_member_of(option, base);
}

static int64_t number_of(const struct option *option, const void *base)
{
    return *(const int64_t *)const_member_of(option, base);
}

static const struct config_list *list_of(const struct option *option, const void *base)
{
    return const_member_of(option, base);
}

static void free_list(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free((void *)list->items);
    *list = (struct config_list){ 0 };
}

static void free_text(char **text, bool is_secret)
{
    if (is_secret && *text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void setting_free(const struct option *option, void *base)
{
    if (option->type == OPTION_TEXT)
        free_text(member_of(option, base), option->is_secret);
    else if (option->type == OPTION_LIST)
        free_list(member_of(option, base));
}

/* `is "value"`, cut and escaped; a secret's value is never shown. */
static void show(const struct option *option, const char *text, struct buf *wrong)
{
    AUTO_BUF struct buf shown = { 0 };
    size_t len = strlen(text);
    size_t cut = utf8_cut(text, len, SHOWN_MAX_BYTES);
    AUTO_FREE char *head = xstrndup(text, cut);

    buf_init(&shown, (size_t)SHOWN_MAX_BYTES * 8);
    if (option->is_secret)
        return;
    tree_print_text(&shown, head);
    if (*buf_text(&shown) == '"')
        buf_printf(wrong, "%s%s ", buf_text(&shown), cut < len ? "..." : "");
    else
        buf_printf(wrong, "\"%s\"%s ", buf_text(&shown), cut < len ? "..." : "");
}

static int refuse(const struct option *option, const char *text, const char *why,
                  struct buf *wrong)
{
    show(option, text, wrong);
    buf_append_text(wrong, why);
    return -1;
}

static const char *check_text(const struct option *option, const char *text)
{
    size_t len = strlen(text);

    if (!utf8_is_valid(text, len))
        return "is not UTF-8 text";
    if (option->max && len > (size_t)option->max)
        return "is too long";
    return option->check ? option->check(text) : NULL;
}

static int set_text(const struct option *option, void *base, const char *text,
                    struct buf *wrong)
{
    const char *why = check_text(option, text);
    char **member = member_of(option, base);

    if (why)
        return refuse(option, text, why, wrong);
    free_text(member, option->is_secret);
    *member = xstrdup(text);
    return 0;
}

static int set_number(const struct option *option, void *base, const char *text,
                      struct buf *wrong)
{
    int64_t value = 0;
    bool is_good = option->type == OPTION_NUMBER     ? value_parse_number(text, &value)
                   : option->type == OPTION_DURATION ? value_parse_duration_ms(text, &value)
                                                     : value_parse_size(text, &value);
    const char *kind = option->type == OPTION_NUMBER     ? "is not a whole number"
                       : option->type == OPTION_DURATION ? "is not a duration"
                                                         : "is not a size";

    if (!is_good)
        return refuse(option, text, kind, wrong);
    if (value < option->min || value > option->max)
        return refuse(option, text, "is out of range", wrong);
    *(int64_t *)member_of(option, base) = value;
    return 0;
}

static int set_choice(const struct option *option, void *base, const char *text,
                      struct buf *wrong)
{
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *(int *)member_of(option, base) = i;
            return 0;
        }
    }
    return refuse(option, text, "is not one of its values", wrong);
}

static int set_bool(const struct option *option, void *base, const char *text,
                    struct buf *wrong)
{
    bool is_true = strcmp(text, "true") == 0;

    if (!is_true && strcmp(text, "false") != 0)
        return refuse(option, text, "is neither true nor false", wrong);
    *(bool *)member_of(option, base) = is_true;
    return 0;
}

int setting_set(const struct option *option, void *base, const char *text, struct buf *wrong)
{
    switch (option->type) {
    case OPTION_TEXT:
        return set_text(option, base, text, wrong);
    case OPTION_BOOL:
        return set_bool(option, base, text, wrong);
    case OPTION_NUMBER:
    case OPTION_DURATION:
    case OPTION_SIZE:
        return set_number(option, base, text, wrong);
    case OPTION_CHOICE:
        return set_choice(option, base, text, wrong);
    case OPTION_LIST:
        break; /* has items, not a text */
    }
    return refuse(option, text, "is not a list", wrong);
}

int setting_check_item(const struct option *option, const char *text, struct buf *wrong)
{
    const char *why = check_text(option, text);

    return why ? refuse(option, text, why, wrong) : 0;
}

void setting_set_list(const struct option *option, void *base, const char *const *items,
                      size_t count)
{
    struct config_list *list = member_of(option, base);

    free_list(list);
    list->items = xcalloc(count + 1, sizeof(*list->items)); /* NULL-ended: serves as an argv */
    list->count = count;
    for (size_t i = 0; i < count; i++)
        list->items[i] = xstrdup(items[i]);
}

static void print_choices(const struct option *option, struct buf *out)
{
    for (size_t i = 0; option->choices[i]; i++) {
        const char *joint = !i ? "" : option->choices[i + 1] ? ", " : " or ";

        buf_printf(out, "%s%s", joint, option->choices[i]);
    }
}

void setting_print_accepted(const struct option *option, struct buf *out)
{
    switch (option->type) {
    case OPTION_TEXT:
    case OPTION_LIST:
        buf_append_text(out, option->accepted);
        return;
    case OPTION_BOOL:
        buf_append_text(out, "true or false");
        return;
    case OPTION_CHOICE:
        print_choices(option, out);
        return;
    case OPTION_NUMBER:
        buf_printf(out, "a whole number from %" PRId64 " to %" PRId64, option->min,
                   option->max);
        return;
    case OPTION_DURATION:
        buf_append_text(out, "a duration from ");
        value_print_duration(out, option->min);
        buf_append_text(out, " to ");
        value_print_duration(out, option->max);
        buf_printf(out, " such as %s", option->preset);
        return;
    case OPTION_SIZE:
        buf_append_text(out, "a size from ");
        value_print_size(out, option->min);
        buf_append_text(out, " to ");
        value_print_size(out, option->max);
        buf_printf(out, " such as %s", option->preset);
        return;
    }
}

/* Text that the loader reads back: quoted for YAML, and safe from ${NAME}. */
static void print_text(const char *text, struct buf *out)
{
    AUTO_BUF struct buf escaped = { 0 };

    buf_init(&escaped, 2 * strlen(text) + 1);
    environment_escape(text, &escaped);
    tree_print_text(out, buf_text(&escaped));
}

static void print_list(const struct config_list *list, struct buf *out)
{
    buf_append_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_append_text(out, i ? ", " : "");
        print_text(list->items[i], out);
    }
    buf_append_char(out, ']');
}

void setting_print(const struct option *option, const void *base, struct buf *out)
{
    const char *text;

    switch (option->type) {
    case OPTION_TEXT:
        text = setting_text(option, base) ? setting_text(option, base) : "";
        print_text(option->is_secret && *text ? VALUE_MASK : text, out);
        return;
    case OPTION_LIST:
        print_list(list_of(option, base), out);
        return;
    case OPTION_BOOL:
        buf_append_text(out, *(const bool *)const_member_of(option, base) ? "true" : "false");
        return;
    case OPTION_NUMBER:
        buf_printf(out, "%" PRId64, number_of(option, base));
        return;
    case OPTION_DURATION:
        value_print_duration(out, number_of(option, base));
        return;
    case OPTION_SIZE:
        value_print_size(out, number_of(option, base));
        return;
    case OPTION_CHOICE:
        buf_append_text(out, option->choices[*(const int *)const_member_of(option, base)]);
        return;
    }
}

bool setting_is_set(const struct option *option, const void *base)
{
    if (option->type == OPTION_TEXT)
        return setting_text(option, base) != NULL;
    return option->type != OPTION_LIST || list_of(option, base)->count > 0;
}

static bool equal_lists(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}

static bool equal_texts(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool setting_equals(const struct option *option, const void *base, const void *other)
{
    switch (option->type) {
    case OPTION_TEXT:
        return equal_texts(setting_text(option, base), setting_text(option, other));
    case OPTION_LIST:
        return equal_lists(list_of(option, base), list_of(option, other));
    case OPTION_BOOL:
        return *(const bool *)const_member_of(option, base) ==
               *(const bool *)const_member_of(option, other);
    case OPTION_NUMBER:
    case OPTION_DURATION:
    case OPTION_SIZE:
        return number_of(option, base) == number_of(option, other);
    case OPTION_CHOICE:
        return *(const int *)const_member_of(option, base) ==
               *(const int *)const_member_of(option, other);
    }
    return true;
}
