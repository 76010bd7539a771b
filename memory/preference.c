#include "memory/preference.h"

#include <ctype.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "memory/person.h"

#define ZONES           "/usr/share/zoneinfo"
#define ZONE_PATH_MAX   128
#define LANGUAGE_MAX    40
#define WISH_VALUE_MAX  120
#define UNKNOWN_REFUSED "%s cannot be %s: %s"

enum kind { KIND_LANGUAGE, KIND_CHOICE, KIND_FLAG, KIND_TIMEZONE };

struct choice {
    const char *value;
    const char *wish; /* NULL: the agent need not know */
};

struct known {
    const char *name;
    enum kind kind;
    const char *accepted; /* for the one who tried something else */
    struct choice choices[4];
};

static const struct known table[] = {
    { "language",
      KIND_LANGUAGE,
      "give a language such as German or de, or none",
      { { NULL, NULL } } },
    { "notifications", KIND_FLAG, "give true or false", { { NULL, NULL } } },
    { "response_length",
      KIND_CHOICE,
      "give short, medium or long",
      { { "short", "keep answers short" },
        { "medium", "answers of medium length" },
        { "long", "long answers are welcome" } } },
    { "response_style",
      KIND_CHOICE,
      "give brief, normal or detailed",
      { { "brief", "answer briefly, without explanations unless asked" },
        { "normal", "explain what is not obvious" },
        { "detailed", "explain in detail" } } },
    { "theme",
      KIND_CHOICE,
      "give light, dark or auto",
      { { "light", NULL }, { "dark", NULL }, { "auto", NULL } } },
    { "timezone",
      KIND_TIMEZONE,
      "give a name of the time zone database such as Europe/Berlin, or UTC",
      { { NULL, NULL } } },
    { "usage", KIND_FLAG, "give true or false", { { NULL, NULL } } },
};

static const struct preference_default defaults[] = {
    { "language", "null" },
    { "notifications", "true" },
    { "response_length", "\"medium\"" },
    { "response_style", "\"detailed\"" },
    { "timezone", "\"UTC\"" },
};

const struct preference_default *preference_defaults(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(defaults);
    return defaults;
}

static const struct known *find_known(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

int preference_check_name(const char *name, char **ret_name, struct err *err)
{
    size_t len = strlen(name);
    AUTO_FREE char *copy = NULL;

    if (!len || len > PERSON_NAME_MAX_BYTES || !utf8_is_valid(name, len))
        return err_set(err, ERR_INPUT, "the name of a preference has 1 to %d bytes",
                       PERSON_NAME_MAX_BYTES);
    copy = xstrdup(name);
    profile_fold(copy);
    for (char *c = copy; *c; c++) {
        if (*c == '-' || *c == ' ')
            *c = '_';
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.' && !(*c & 0x80))
            return err_set(err, ERR_INPUT,
                           "the name of a preference is of letters, digits and \"_\"");
    }
    *ret_name = take_ptr(&copy);
    return 0;
}

/* ---- values ------------------------------------------------------------------------------ */

/* As JSON, else as text. */
static json_t *parse(const char *value)
{
    json_t *parsed = json_loads(value, JSON_DECODE_ANY, NULL);

    return parsed ? parsed : json_string(value);
}

/* The ISO 639-1 code (with what follows a "-": "de-AT", "pt_BR") or a name in letters. */
static bool is_language(const char *text)
{
    static const char codes[] = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo "
                                "br bs ca ce ch co cr cs cu "
                                "cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy "
                                "ga gd gl gn gu gv ha he hi "
                                "ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg "
                                "ki kj kk kl km kn ko kr ks "
                                "ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr "
                                "ms mt my na nb nd ne ng nl "
                                "nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru "
                                "rw sa sc sd se sg si sk sl "
                                "sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr "
                                "ts tt tw ty ug uk ur uz ve "
                                "vi vo wa wo xh yi yo za zh zu ";
    size_t len = strlen(text);
    char code[4] = "";

    if (len < 2 || len > LANGUAGE_MAX)
        return false;
    if (len == 2 || text[2] == '-' || text[2] == '_') {
        snprintf(code, sizeof(code), "%c%c ", tolower((unsigned char)text[0]),
                 tolower((unsigned char)text[1]));
        return strstr(codes, code) && strlen(text) <= 11 &&
               strspn(text + 2, "-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
                   len - 2;
    }
    for (const char *c = text; *c; c++) {
        if (!isalpha((unsigned char)*c) && !(*c & 0x80) && !strchr(" -()'", *c))
            return false;
    }
    return true;
}

static bool names_a_zone(const char *name)
{
    char path[ZONE_PATH_MAX];
    char magic[5] = "";
    FILE *file;
    size_t got;

    snprintf(path, sizeof(path), ZONES "/%s", name);
    file = fopen(path, "re");
    if (!file)
        return false;
    got = fread(magic, 1, 4, file);
    fclose(file);
    return got == 4 && strcmp(magic, "TZif") == 0;
}

/* "europe/berlin" as "Europe/Berlin": in the database every word begins with a capital. */
static void capitalise(char *name)
{
    bool begins = true;

    profile_fold(name);
    for (char *c = name; *c; c++) {
        if (begins && *c >= 'a' && *c <= 'z')
            *c = (char)(*c & ~0x20);
        begins = !isalpha((unsigned char)*c);
    }
}

/* Its spelling in the database, NULL when there is no such zone. Without a database on this
 * machine the form has to do. */
static char *read_zone(const char *text)
{
    AUTO_FREE char *name = xstrdup(text);
    size_t len = strlen(text);

    if (!len || len + sizeof(ZONES) + 1 > ZONE_PATH_MAX || !isalpha((unsigned char)*text) ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/") !=
            len)
        return NULL;
    if (strcasecmp(text, "utc") == 0)
        return xstrdup("UTC");
    if (names_a_zone(name))
        return take_ptr(&name);
    capitalise(name);
    if (names_a_zone(name) || (access(ZONES, R_OK) < 0 && strchr(name, '/')))
        return take_ptr(&name);
    return NULL;
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++) {
        if (strcasecmp(text, *words) == 0)
            return true;
    }
    return false;
}

/* The value in its one spelling; NULL when it is not accepted. New. */
static json_t *normalise(const struct known *known, json_t *value)
{
    static const char *const nothing[] = { "none", "null", "auto", "default", "", NULL };
    static const char *const yes[] = { "true", "on", "yes", "1", NULL };
    static const char *const no[] = { "false", "off", "no", "0", NULL };
    const char *text = json_is_string(value) ? json_string_value(value) : NULL;
    AUTO_FREE char *zone = NULL;

    switch (known->kind) {
    case KIND_LANGUAGE:
        if (json_is_null(value) || (text && is_one_of(text, nothing)))
            return json_null();
        return text && is_language(text) ? json_string(text) : NULL;
    case KIND_FLAG:
        if (json_is_true(value) || (text && is_one_of(text, yes)))
            return json_true();
        return json_is_false(value) || (text && is_one_of(text, no)) ? json_false() : NULL;
    case KIND_TIMEZONE:
        zone = text ? read_zone(text) : NULL;
        return zone ? json_string(zone) : NULL;
    case KIND_CHOICE:
        break;
    }
    for (size_t i = 0; text && i < ARRAY_LEN(known->choices); i++) {
        if (known->choices[i].value && strcasecmp(known->choices[i].value, text) == 0)
            return json_string(known->choices[i].value);
    }
    return NULL;
}

int preference_check_value(const char *name, const char *value, char **ret_json,
                           struct err *err)
{
    const struct known *known = find_known(name);
    size_t len = strlen(value);
    json_auto_t *parsed = NULL;
    json_auto_t *normal = NULL;
    char *json;

    if (len > PERSON_VALUE_MAX_BYTES)
        return err_set(err, ERR_INPUT, "the value of %s is too long: at most %d bytes", name,
                       PERSON_VALUE_MAX_BYTES);
    if (!utf8_is_valid(value, len))
        return err_set(err, ERR_INPUT, "the value of %s is no valid text", name);
    parsed = parse(value);
    normal = known ? normalise(known, parsed) : json_incref(parsed);
    if (!normal)
        return err_set(err, ERR_INPUT, UNKNOWN_REFUSED, name, *value ? value : "nothing",
                       known->accepted);
    json = json_dumps(normal, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    if (!json)
        return err_set(err, ERR_INPUT, "the value of %s cannot be stored", name);
    *ret_json = json;
    return 0;
}

/* ---- for the agent ----------------------------------------------------------------------- */

static const char *language_of(const char *code)
{
    static const struct {
        const char *code;
        const char *name;
    } names[] = {
        { "ar", "Arabic" },     { "cs", "Czech" },      { "da", "Danish" },
        { "de", "German" },     { "el", "Greek" },      { "en", "English" },
        { "es", "Spanish" },    { "fi", "Finnish" },    { "fr", "French" },
        { "he", "Hebrew" },     { "hi", "Hindi" },      { "hu", "Hungarian" },
        { "id", "Indonesian" }, { "it", "Italian" },    { "ja", "Japanese" },
        { "ko", "Korean" },     { "nl", "Dutch" },      { "no", "Norwegian" },
        { "pl", "Polish" },     { "pt", "Portuguese" }, { "ro", "Romanian" },
        { "ru", "Russian" },    { "sv", "Swedish" },    { "th", "Thai" },
        { "tr", "Turkish" },    { "uk", "Ukrainian" },  { "vi", "Vietnamese" },
        { "zh", "Chinese" },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcasecmp(names[i].code, code) == 0)
            return names[i].name;
    }
    return code;
}

static const char *wish_of(const struct known *known, const char *value)
{
    for (size_t i = 0; i < ARRAY_LEN(known->choices); i++) {
        if (known->choices[i].value && strcmp(known->choices[i].value, value) == 0)
            return known->choices[i].wish;
    }
    return NULL;
}

void preference_append_wish(struct buf *out, const char *name, const char *json)
{
    const struct known *known = find_known(name);
    json_auto_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    const char *text = json_is_string(value) ? json_string_value(value) : NULL;
    const char *wish;

    if (!value || json_is_null(value))
        return;
    if (!known) {
        buf_printf(out, "%s is ", name);
        person_append_value(out, text ? text : json, WISH_VALUE_MAX);
    } else if (known->kind == KIND_LANGUAGE && text) {
        buf_append_text(out, "answer in ");
        person_append_value(out, language_of(text), LANGUAGE_MAX);
    } else if (known->kind == KIND_TIMEZONE && text) {
        buf_append_text(out, "their time zone is ");
        person_append_value(out, text, ZONE_PATH_MAX);
    } else if (known->kind == KIND_CHOICE && text) {
        wish = wish_of(known, text);
        buf_append_text(out, wish ? wish : "");
    }
}
