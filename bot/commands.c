#include "bot/commands.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "bot/desk_parts.h"

#define MARKS           "`*_~"
#define MARKS_MAX       8
#define LETTERS         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define AFTER_WORD      ".,:;!?"
#define QUOTED_MAX      200
#define FULL_WIDTH_BANG "\xef\xbc\x81"

static const struct command commands[] = {
    { "new", "", "start afresh: what was said here is no longer passed on", desk_say_new, false,
      true },
    { "stop", "", "end what I am doing in this conversation", desk_say_stop, false, true },
    { "status", "", "what I am doing, and your place in the queue", desk_say_status, false,
      true },
    { "prefs", "[set NAME VALUE | forget NAME]", "how you want to be answered", desk_say_prefs,
      true, false },
    { "profile", "[set NAME VALUE | forget NAME]", "what I know of you, and how to correct it",
      desk_say_profile, true, false },
    { "stats", "", "what I keep of this conversation and of you, in figures", desk_say_stats,
      true, false },
    { "usage", "[on | off]",
      "tokens and time of the last answer and of your day; `on` puts them under each answer",
      desk_say_usage, true, false },
    { "forget", "[me]",
      "erase this conversation from my memory; with `me`, everything I know of you",
      desk_say_forget, true, false },
    { "help", "", "this list", desk_say_help, false, true },
};

const struct command *commands_find(const char *line, const char **ret_arguments)
{
    size_t len = strspn(line, LETTERS);

    if (line[len] && line[len] != ' ')
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strlen(commands[i].word) != len || strncasecmp(commands[i].word, line, len) != 0)
            continue;
        if (ret_arguments)
            *ret_arguments = line + len + strspn(line + len, " ");
        return &commands[i];
    }
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------
 */

struct fold {
    const char *from;
    const char *to;
};

/* What phones and web pages put where a blank was meant, or nothing. */
static const struct fold blanks[] = {
    { "\n", " " },           { "\t", " " },           { "\xc2\xa0", " " },
    { "\xe2\x80\xaf", " " }, { "\xe3\x80\x80", " " }, { "\xe2\x80\x8b", "" },
    { "\xe2\x80\x8e", "" },  { "\xe2\x80\x8f", "" },  { "\xe2\x81\xa0", "" },
    { "\xef\xbb\xbf", "" },
};

static const struct fold *find_fold(const char *at)
{
    for (size_t i = 0; i < ARRAY_LEN(blanks); i++) {
        if (strncmp(at, blanks[i].from, strlen(blanks[i].from)) == 0)
            return &blanks[i];
    }
    return NULL;
}

static void fold_blanks(struct buf *out, const char *text)
{
    while (*text) {
        const struct fold *fold = find_fold(text);

        buf_append(out, fold ? fold->to : text, fold ? strlen(fold->to) : 1);
        text += fold ? strlen(fold->from) : 1;
    }
}

static void trim_end(struct buf *line)
{
    while (line->len && buf_text(line)[line->len - 1] == ' ')
        buf_truncate(line, line->len - 1);
}

static void drop_mention(struct buf *line, const char *bot_user_id)
{
    AUTO_FREE char *mention = xasprintf(" @%s", bot_user_id);
    size_t len = strlen(mention);

    if (*bot_user_id && line->len > len &&
        strcmp(buf_text(line) + line->len - len, mention) == 0)
        buf_truncate(line, line->len - len);
    trim_end(line);
}

/* The marks that opened the line, in reverse, close it. */
static void drop_closing_marks(struct buf *line, const char *marks, size_t count)
{
    for (size_t i = 0; i < count && line->len; i++) {
        if (buf_text(line)[line->len - 1] != marks[i])
            break;
        buf_truncate(line, line->len - 1);
    }
    trim_end(line);
}

char *commands_read(const char *plain_text, const char *bot_user_id)
{
    AUTO_BUF struct buf line = { 0 };
    char marks[MARKS_MAX];
    size_t marks_len;
    size_t word_len;
    const char *word;
    const char *rest;

    buf_init(&line, strlen(plain_text) + 1);
    fold_blanks(&line, plain_text);
    trim_end(&line);
    drop_mention(&line, bot_user_id);
    buf_consume(&line, strspn(buf_text(&line), " "));
    marks_len = strspn(buf_text(&line), MARKS);
    if (marks_len > MARKS_MAX)
        return NULL;
    memcpy(marks, buf_text(&line), marks_len);
    buf_consume(&line, marks_len + strspn(buf_text(&line) + marks_len, " "));
    if (strncmp(buf_text(&line), FULL_WIDTH_BANG, strlen(FULL_WIDTH_BANG)) == 0)
        buf_consume(&line, strlen(FULL_WIDTH_BANG));
    else if (*buf_text(&line) == '!')
        buf_consume(&line, 1);
    else
        return NULL;
    word_len = strspn(buf_text(&line), LETTERS);
    /* Marks right behind the word were around it alone. */
    if (marks_len && strspn(buf_text(&line) + word_len, MARKS) < marks_len)
        drop_closing_marks(&line, marks, marks_len);
    word = buf_text(&line);
    rest = word + word_len;
    rest += marks_len ? strspn(rest, MARKS) : 0;
    rest += strspn(rest, AFTER_WORD);
    if (*rest && *rest != ' ')
        return NULL;
    rest += strspn(rest, " ");
    return xasprintf("%.*s%s%s", (int)word_len, word, *rest ? " " : "", rest);
}

/* ---- arguments ----------------------------------------------------------------------------
 */

/* Any of the double ones closes any of them: keyboards mix them up, and German opens with what
 * English closes with. Single ones are told apart from an apostrophe by where they stand. */
static const struct {
    const char *mark;
    char kind;
} quotes[] = {
    { "\"", '"' },
    { "\xe2\x80\x9c", '"' },
    { "\xe2\x80\x9d", '"' },
    { "\xe2\x80\x9e", '"' },
    { "\xe2\x80\x9f", '"' },
    { "\xc2\xab", '"' },
    { "\xc2\xbb", '"' },
    { "'", '\'' },
    { "\xe2\x80\x98", '\'' },
    { "\xe2\x80\x99", '\'' },
    { "\xe2\x80\x9a", '\'' },
    { "`", '`' },
};

static size_t quote_at(const char *at, char *ret_kind)
{
    for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
        if (strncmp(at, quotes[i].mark, strlen(quotes[i].mark)) != 0)
            continue;
        *ret_kind = quotes[i].kind;
        return strlen(quotes[i].mark);
    }
    return 0;
}

/* The quoted text that `at` begins with: its length with both marks, 0 when there is none. */
static size_t quoted_length(const char *at, size_t *ret_open, size_t *ret_inside)
{
    char kind = '\0';
    char other;
    size_t open = quote_at(at, &kind);

    for (size_t i = open; open && at[i]; i++) {
        size_t close = quote_at(at + i, &other);

        if (!close || other != kind || (at[i + close] && at[i + close] != ' '))
            continue;
        *ret_open = open;
        *ret_inside = i - open;
        return i + close;
    }
    return 0;
}

char *commands_take_word(const char **arguments)
{
    const char *at = *arguments + strspn(*arguments, " ");
    size_t open = 0;
    size_t inside = 0;
    size_t len = quoted_length(at, &open, &inside);

    if (!*at)
        return NULL;
    if (!len)
        len = inside = strcspn(at, " ");
    *arguments = at + len + strspn(at + len, " ");
    return xstrndup(at + open, inside);
}

char *commands_take_rest(const char **arguments)
{
    const char *at = *arguments + strspn(*arguments, " ");
    size_t open = 0;
    size_t inside = 0;
    size_t len = quoted_length(at, &open, &inside);

    *arguments = at + strlen(at);
    if (len && !at[len])
        return xstrndup(at + open, inside);
    return xstrdup(at);
}

/* ---- answers ------------------------------------------------------------------------------
 */

void commands_append_help(struct buf *out, bool in_terminal)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *command = &commands[i];

        if (in_terminal && command->needs_daemon)
            continue;
        buf_printf(out, "- `!%s%s%s` - %s\n", command->word, *command->usage ? " " : "",
                   command->usage, command->help);
    }
}

void commands_append_quoted(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    size_t cut = utf8_cut(text, len, QUOTED_MAX);

    buf_append_char(out, '`');
    for (size_t i = 0; i < cut; i++)
        buf_append(out, text[i] == '`' ? "'" : text[i] == '\n' ? " " : text + i, 1);
    buf_append_text(out, cut < len ? "...`" : "`");
}
