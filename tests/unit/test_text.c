#include "slack/text.h"

#include "base/random.h"
#include "base/utf8.h"
#include "tests/test.h"

#define BOT "UBOT"
#define ZW  "\u200b"

static void inbound_text_reads_as_people_wrote_it(void **state)
{
    static const struct {
        const char *text;
        const char *want;
        const char *because;
    } cases[] = {
        { "hello", "hello", "plain" },
        { "a &lt;b&gt; &amp; c", "a <b> & c", "escapes" },
        { "&amp;lt;", "&lt;", "&amp; is unescaped last" },
        { "&amp;amp;gt; &nbsp; &", "&amp;gt; &nbsp; &", "once only, others left" },
        { "<@UBOT> fix it", "fix it", "leading mention" },
        { "  <@UBOT|keeper>: fix it", "fix it", "with name and colon" },
        { "<@UBOT>, <@UBOT>\nfix it", "fix it", "twice" },
        { "<@UBOT>", "", "alone" },
        { "fix\n<@UBOT>\nit", "fix\nit", "alone on a line" },
        { "ask <@UBOT> why", "ask @UBOT why", "inside a sentence it stays" },
        { "<@UBOTX> hi", "@UBOTX hi", "somebody else" },
        { "<@U1|ann> and <@W2>", "@ann (U1) and @W2", "people" },
        { "<#C1|dev> <#C2|> <#C3>", "#dev #C2 #C3", "channels" },
        { "<!here> <!channel> <!everyone|@everyone>", "@here @channel @everyone",
          "broadcasts" },
        { "<!subteam^S1|@ops> <!subteam^S2>", "@ops (S1) @S2", "groups" },
        { "<!date^1763600000^{date_short}|Nov 20>", "Nov 20", "a date's fallback" },
        { "<https://x.y/?a=1&amp;b=2>", "https://x.y/?a=1&b=2", "a bare link" },
        { "<https://x.y|the page>", "the page (https://x.y)", "a labelled link" },
        { "<http://x.y|http://x.y>", "http://x.y", "a label that says the same" },
        { "on <http://x.y|x.y>, call <tel:+15|+15>", "on x.y, call +15", "links Slack made" },
        { "<mailto:a@b.c|a@b.c>", "a@b.c", "mail" },
        { "<mailto:a@b.c|Ann>", "Ann (a@b.c)", "mail with a name" },
        { "a < b <> <", "a < b <> <", "no entities" },
        { "<no end\n<@U1>", "<no end\n@U1", "an entity ends on its line" },
        { "x\xff\x02y\r\n", "x\xef\xbf\xbdy", "clean UTF-8, no trailing blanks" },
        { "", "", "nothing" },
        { "<@U1|&lt;b&gt;>", "@<b> (U1)", "labels are escaped too" },
        { "`code &amp;&amp; more`", "`code && more`", "in code as well" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *plain = slack_text_to_plain(cases[i].text, BOT);

        CHECK_TEXT(plain, cases[i].want, cases[i].because);
    }
}

static void mentions_are_recognised(void **state)
{
    static const struct {
        const char *text;
        bool mentions;
        bool addresses_other;
    } cases[] = {
        { "hi", false, false },
        { "<@UBOT> hi", true, false },
        { "<@UBOT|keeper> hi", true, false },
        { "<@U1> ask <@UBOT>", true, true },
        { "<@UBOT> ask <@U1>", true, false },
        { "<@UBOTX>", false, true },
        { "<@U1|x>", false, true },
        { "<@UBOT", false, false },
        { "<@> <@UBOT>", true, false },
        { "&lt;@UBOT&gt;", false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(slack_text_mentions(cases[i].text, BOT), cases[i].mentions, cases[i].text);
        CHECK_INT(slack_text_addresses_other(cases[i].text, BOT), cases[i].addresses_other,
                  cases[i].text);
    }
    CHECK_INT(slack_text_mentions("<@>", ""), false, "an unknown bot is never mentioned");
}

static void outbound_text_notifies_nobody(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        { "hello", "hello" },
        { "<!channel>", "<" ZW "!channel>" },
        { "<!HERE|x>", "<" ZW "!HERE|x>" },
        { "<!everyone>", "<" ZW "!everyone>" },
        { "<!subteam^S1>", "<" ZW "!subteam^S1>" },
        { "<@U123> <@W1|n>", "<" ZW "@U123> <" ZW "@W1|n>" },
        { "@channel @here, (@everyone)", "@" ZW "channel @" ZW "here, (@" ZW "everyone)" },
        { "@here", "@" ZW "here" },
        { "`@here`", "`@" ZW "here`" },
        { "ann@here.example", "ann@here.example" },
        { "@channels @hereafter", "@channels @hereafter" },
        { "xoxb-1x@channel", "[token removed]@" ZW "channel" },
        { "@ch\x01"
          "annel",
          "@" ZW "channel" },
        { "<\x7f!channel>", "<" ZW "!channel>" },
        { "<!-- note --> <!DOCTYPE html> <#C1> <https://x.y>",
          "<!-- note --> <!DOCTYPE html> <#C1> <https://x.y>" },
        { "a < b @ c", "a < b @ c" },
        { "x\xffy", "x\xef\xbf\xbdy" },
        { "@", "@" },
        { "<", "<" },
        { "xoxb-1-2-aB", "[token removed]" },
        { "key: xapp-1-A0-9-f0. Use `xoxe.xoxp-1-x`",
          "key: [token removed] Use `[token removed]`" },
        { "xwfp-a/b, xox, xoxb-, xapp-", "[token removed]/b, xox, xoxb-, xapp-" },
        { "box xox1-a xaapp-1 oxo-b", "box xox1-a xaapp-1 oxo-b" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 4096);
        slack_text_append_safe(&out, cases[i].text, strlen(cases[i].text));
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].text);
    }
}

static void unsafe_tails_are_what_more_text_could_complete(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {
        { "", 0 },          { "hello", 0 },        { "hi <", 1 },      { "hi <!", 2 },
        { "hi <!chan", 6 }, { "hi <@", 2 },        { "hi <@U1", 0 },   { "hi @h", 2 },
        { "hi @here", 5 },  { "hi @here ", 0 },    { "hi <b", 0 },     { "hi @y", 0 },
        { "caf\xc3", 1 },   { "\xf0\x9f\x8e", 3 }, { "@ch\x01", 4 },   { "box", 1 },
        { "@channelx", 9 }, { "a xoxb", 4 },       { "a xoxb-12", 7 }, { "a xoxb-12 ", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_INT(slack_text_unsafe_tail(cases[i].text, strlen(cases[i].text)), cases[i].want,
                  cases[i].text);
}

static void escaping_touches_three_characters(void **state)
{
    AUTO_BUF struct buf out = { 0 };

    (void)state;
    buf_init(&out, 100);
    slack_text_append_escaped(&out, "a<b>&\"'c");
    CHECK_TEXT(buf_text(&out), "a&lt;b&gt;&amp;\"'c", "");
}

/* ---- splitting ---- */

static void cuts_fall_on_the_best_place(void **state)
{
#define W20 "aaaaaaaaaaaaaaaaaaa "
    static const struct {
        const char *text;
        size_t limit;
        const char *part;
        const char *close;
        const char *reopen;
        const char *because;
    } cases[] = {
        { "short", 64, "short", "", "", "all of it" },
        { W20 W20 "\n\n" W20 "\n" W20, 80, W20 W20 "\n\n", "", "", "a blank line" },
        { W20 "\n" W20 "\n" W20 W20, 70, W20 "\n" W20 "\n", "", "", "a newline" },
        { W20 W20 W20 W20, 70, W20 W20 W20, "", "", "a space" },
        { "```c\n" W20 "\n" W20 "\n" W20 "\n```\n", 64, "```c\n" W20 "\n" W20 "\n", "```",
          "```c\n", "inside a fence" },
        { W20 "\n~~~~ py x\n" W20 "\n" W20 "\n" W20, 66, W20 "\n", "", "",
          "rather before a fence than inside" },
        { "```\nab\n```", 12, "```\nab\n```", "", "", "a last fence line without newline" },
        { "```\nab", 64, "```\nab", "\n```", "```\n", "an open fence is closed" },
        { W20 W20 "```xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx``` y", 70, W20, "", "",
          "no line of the next part becomes a fence by being cut" },
        { W20 W20 "<https://x.y/zzzzzzzzzzzzzzzzzzzzzzzzz zzzzz|label> b", 75, W20 W20, "", "",
          "no entity is cut" },
        { W20 W20 "[the label here](https://x.y/zzzzzzzzzzzzzzzzzzzzzz) b", 70, W20 W20, "", "",
          "no link is cut" },
        { W20 "\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 | xxxxxxxxxxxxxx\n", 64, W20 "\n", "",
          "", "a table stays together if it can" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_split split = { 0 };
        AUTO_BUF struct buf close = { 0 };
        AUTO_BUF struct buf reopen = { 0 };
        AUTO_FREE char *part = NULL;
        size_t cut;

        buf_init(&close, 256);
        buf_init(&reopen, 256);
        cut = slack_text_split(&split, cases[i].text, strlen(cases[i].text), cases[i].limit,
                               &close, &reopen);
        part = xstrndup(cases[i].text, cut);
        CHECK_TEXT(part, cases[i].part, cases[i].because);
        CHECK_TEXT(buf_text(&close), cases[i].close, cases[i].because);
        CHECK_TEXT(buf_text(&reopen), cases[i].reopen, cases[i].because);
    }
}

static void fences_follow_the_rules_of_markdown(void **state)
{
    static const struct {
        const char *text;
        const char *fence;
        const char *info;
        const char *because;
    } cases[] = {
        { "```\n", "```", "", "" },
        { "``` js title=x\n", "```", " js title=x", "info string" },
        { "~~~~\n```\n", "~~~~", "", "another marker does not close" },
        { "````\n```\n", "````", "", "nor does a shorter one" },
        { "```\n`````\n", "", "", "a longer one does" },
        { "```\n``` x\n", "```", "", "a closing fence has no info" },
        { "```a`b\n", "", "", "no backticks in the info: that is inline code" },
        { "~~~a`b\n", "~~~", "a`b", "with tildes there may be" },
        { "  - ```py\n", "", "", "not at the start of the line" },
        { "    ```py\n", "```", "py", "indented in a list" },
        { "``\n", "", "", "two are no fence" },
        { "```", "", "", "the line is not over yet" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slack_split whole = { 0 };
        struct slack_split bytewise = { 0 };

        slack_split_advance(&whole, cases[i].text, strlen(cases[i].text));
        for (const char *c = cases[i].text; *c; c++)
            slack_split_advance(&bytewise, c, 1);
        CHECK_TEXT(whole.fence, cases[i].fence, cases[i].text);
        CHECK_TEXT(whole.info, cases[i].info, cases[i].text);
        CHECK_TEXT(bytewise.fence, cases[i].fence, cases[i].text);
        CHECK_TEXT(bytewise.info, cases[i].info, cases[i].text);
    }
}

/* Random Markdown out of the pieces that matter. */
static void fill_random(struct buf *out, size_t pieces)
{
    static const char *const vocabulary[] = {
        "word ",
        "longer-word-without-any-blank-in-it ",
        "\n",
        "\n\n",
        "```\n",
        "```python\n",
        "~~~\n",
        "\n```\n",
        "````md\n",
        "| a | b |\n",
        "- item\n",
        "  ```\n",
        "caf\xc3\xa9 ",
        "\xf0\x9f\x8e\x89",
        "<https://x.y/abc|label> ",
        "[l](https://x.y) ",
        "`x` ",
        "```x`` ",
        "\t",
        "# head\n",
    };

    while (pieces--)
        buf_append_text(out, vocabulary[random_below(ARRAY_LEN(vocabulary))]);
}

/* One answer cut to the end: every part within the limit, UTF-8, fences closed, nothing lost.
 */
static void check_parts(const struct buf *text, size_t limit)
{
    struct slack_split split = { 0 };
    AUTO_BUF struct buf prefix = { 0 };
    size_t at = 0;

    buf_init(&prefix, 256);
    while (at < text->len) {
        AUTO_BUF struct buf part = { 0 };
        AUTO_BUF struct buf close = { 0 };
        AUTO_BUF struct buf reopen = { 0 };
        struct slack_split alone = { 0 };
        size_t cut;

        buf_init(&part, 65536);
        buf_init(&close, 256);
        buf_init(&reopen, 256);
        cut = slack_text_split(&split, text->data + at, text->len - at, limit - prefix.len,
                               &close, &reopen);
        CHECK_INT(cut > 0, true, "it moves on");
        buf_append(&part, buf_text(&prefix), prefix.len);
        buf_append(&part, text->data + at, cut);
        buf_append(&part, buf_text(&close), close.len);
        CHECK_INT(part.len <= limit, true, buf_text(&part));
        CHECK_INT(utf8_is_valid(part.data, part.len), true, "no character is cut");
        slack_split_advance(&alone, part.data, part.len);
        slack_split_advance(&alone, "\n", 1);
        CHECK_TEXT(alone.fence, "", buf_text(&part));
        slack_split_advance(&split, text->data + at, cut);
        slack_split_break(&split);
        buf_clear(&prefix);
        buf_append(&prefix, buf_text(&reopen), reopen.len);
        at += cut;
    }
}

static void random_answers_split_without_loss(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        AUTO_BUF struct buf text = { 0 };

        buf_init(&text, 65536);
        fill_random(&text, 1 + random_below(200));
        check_parts(&text, 128 + random_below(600));
    }
}

TEST_MAIN(TEST(inbound_text_reads_as_people_wrote_it), TEST(mentions_are_recognised),
          TEST(outbound_text_notifies_nobody),
          TEST(unsafe_tails_are_what_more_text_could_complete),
          TEST(escaping_touches_three_characters), TEST(cuts_fall_on_the_best_place),
          TEST(fences_follow_the_rules_of_markdown), TEST(random_answers_split_without_loss))
