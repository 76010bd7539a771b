#include "bot/guard.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "bot/guard_values.h"
#include "tests/test.h"

#define SHORT_SECRET "abcdefgh"
#define LONGER       "abcdefgh-and-more"           /* which the shorter one begins */
#define OVERLAP      "more-and-something"          /* begins where that ends */
#define ODD          "a\"b\\c&d<e>f g/h+i\xc3\xa9" /* is escaped everywhere */
#define REPEATS      "zazazazazaz"
#define KEY_LINE_1   "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
#define KEY_LINE_2   "RkiVp9nQ8s7tU6wY5xZ4aB3cD2eF1gH0iJ9kL8mN7oP6qR5sT4uV3wX2yZ1aB0cD"
#define KEY_BLOCK                                                                    \
    "-----BEGIN PRIVATE KEY-----\n" KEY_LINE_1 "\n" KEY_LINE_2 "\n-----END PRIVATE " \
    "KEY-----"

static const char *const known[] = { SHORT_SECRET, LONGER,  OVERLAP,
                                     ODD,          REPEATS, "gr\xc3\xbc\xc3\x9f-geheim" };

struct fixture {
    char dir[64];
    char *secrets; /* the path of the file */
    struct config *config;
    struct metrics *metrics;
    struct guard *guard;
};

static void write_file(const char *path, const char *text)
{
    CHECK_INT(file_write(path, text, strlen(text), 0600, NULL), 0, path);
}

static struct config *load(const struct fixture *f, const char *extra)
{
    AUTO_FREE char *path = xasprintf("%s/config.yaml", f->dir);
    AUTO_FREE char *text = xasprintf("guard: { secret_files: [%s] }\n%s", f->secrets, extra);
    AUTO_BUF struct buf problems = { 0 };
    struct config *config = NULL;
    struct err err = { 0 };

    buf_init(&problems, 10000);
    write_file(path, text);
    if (config_load(path, false, &config, &problems, &err) < 0)
        fail_msg("%s %s", err.message, buf_text(&problems));
    return config;
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    AUTO_BUF struct buf text = { 0 };
    struct err err = { 0 };

    buf_init(&text, 10000);
    snprintf(f->dir, sizeof(f->dir), "/tmp/test_guard.XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->secrets = xasprintf("%s/secrets", f->dir);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        buf_printf(&text, "%s\n", known[i]);
    buf_append_text(&text, KEY_BLOCK "\n");
    write_file(f->secrets, buf_text(&text));
    f->config = load(f, "");
    f->metrics = metrics_new();
    if (guard_new(f->config, f->metrics, &f->guard, &err) < 0)
        fail_msg("%s", err.message);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    guard_free(f->guard);
    metrics_free(f->metrics);
    config_unref(f->config);
    file_remove_tree(f->dir, NULL);
    free(f->secrets);
    free(f);
    return 0;
}

#define GUARD_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

/* The text masked in pieces: cut at the places that `cuts` names, one bit a byte. */
static char *mask_in_pieces(struct guard *guard, const char *text, size_t len,
                            const unsigned char *cuts)
{
    struct guard_stream *stream = guard_stream_new(guard);
    struct buf out;
    size_t at = 0;

    buf_init(&out, len * 20 + 100);
    for (size_t i = 0; i < len; i++) {
        if (!(cuts[i / 8] >> i % 8 & 1) && i + 1 < len)
            continue;
        guard_stream_append(stream, text + at, i + 1 - at, &out);
        at = i + 1;
    }
    guard_stream_end(stream, &out);
    CHECK_INT(guard_stream_holds(stream), 0, "all of it came out");
    guard_stream_free(stream);
    return out.len ? buf_take(&out) : xstrdup("");
}

static char *mask_whole(struct guard *guard, const char *text)
{
    return guard_mask(guard, GUARD_OUTGOING, text, NULL);
}

static void a_known_value_is_masked_at_every_split(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        AUTO_FREE char *text = xasprintf("It is %s, he said.", known[i]);
        size_t len = strlen(text);

        for (size_t cut = 0; cut < len; cut++) {
            unsigned char cuts[16] = { 0 };
            AUTO_FREE char *got = NULL;

            cuts[cut / 8] = (unsigned char)(1U << cut % 8);
            got = mask_in_pieces(f->guard, text, len, cuts);
            CHECK_TEXT(got, "It is [secret removed], he said.", text);
        }
    }
}

static void what_is_masked_is_one_mark_for_what_hangs_together(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *want;
        const char *because;
    } cases[] = {
        { SHORT_SECRET, "[secret removed]", "alone" },
        { SHORT_SECRET " " SHORT_SECRET, "[secret removed] [secret removed]", "two" },
        { SHORT_SECRET SHORT_SECRET, "[secret removed]", "one behind the other" },
        { "x" LONGER "y", "x[secret removed]y", "the longer of two" },
        { SHORT_SECRET "-and-mor.", "[secret removed]-and-mor.", "only the shorter one" },
        { "abcdefgh-and-more-and-something.", "[secret removed].", "two that overlap" },
        { "zazazazazazazaz", "[secret removed]", "a secret that overlaps itself" },
        { "abcdefg", "abcdefg", "less than half of each longer one: passes at the end" },
        { "abcdefgh-and-more-and-som", "[secret removed]", "more than half at the very end" },
        { "abcdefgabcdefgabcdefgh!", "abcdefgabcdefg[secret removed]!", "begun three times" },
        { KEY_LINE_2, "[secret removed]", "a line of a key by itself" },
        { "> " KEY_BLOCK "\nx", "> [secret removed]\nx", "the whole key" },
        { "MIIEvQIBAD", "MIIEvQIBAD", "the beginning of a key, less than half of a line" },
        { "fooAKIAIOSFODNN7EXAMPLE", "fooAKIAIOSFODNN7EXAMPLE", "within another word" },
        { "", "", "nothing" },
        { "plain \xc3\xa9 text", "plain \xc3\xa9 text", "nothing to mask" },
        { "gr\xc3\xbc\xc3\x9f-geheim!", "[secret removed]!", "UTF-8" },
        { "password: Xk29fLmQ7 and xoxb-123-456-abc",
          "password: [secret removed] and [secret removed]", "shapes as well" },
        { "postgres://u:" SHORT_SECRET "@h", "postgres://u:[secret removed]@h",
          "the mark is no password again" },
        { "token: " LONGER, "token: [secret removed]", "nor is it behind a word" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *got = mask_whole(f->guard, cases[i].text);
        AUTO_FREE char *again = mask_whole(f->guard, got);

        CHECK_TEXT(got, cases[i].want, cases[i].because);
        CHECK_TEXT(again, cases[i].want, "masked again, it stays the same");
    }
}

static void other_forms_of_a_value_are_known(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *want;
        const char *because;
    } cases[] = {
        { "a\\\"b\\\\c&d<e>f g/h+i\xc3\xa9", "[secret removed]", "in JSON" },
        { "a\"b\\c&amp;d&lt;e&gt;f g/h+i\xc3\xa9", "[secret removed]", "in HTML" },
        { "a%22b%5Cc%26d%3Ce%3Ef%20g%2Fh%2Bi%C3%A9", "[secret removed]", "in a URL" },
        { "a%22b%5cc%26d%3ce%3ef%20g%2fh%2bi%c3%a9", "[secret removed]", "in small letters" },
        { "6162636465666768", "[secret removed]", "in hexadecimal" },
        { "YWJjZGVmZ2g=", "[secret removed]g=", "base64; the last character is shared" },
        { "eGFiY2RlZmdoCg==", "eG[secret removed]Cg==", "base64, begun one byte before" },
        { "eHhhYmNkZWZnaAo=", "eHh[secret removed]Ao=", "base64, begun two bytes before" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_FREE char *got = mask_whole(f->guard, cases[i].text);

        CHECK_TEXT(got, cases[i].want, cases[i].because);
    }
}

/* The heart of it: the same text is masked the same way whatever the pieces. */
static void any_pieces_give_the_same(void **state)
{
    static const char *const parts[] = {
        SHORT_SECRET,
        LONGER,
        OVERLAP,
        ODD,
        REPEATS,
        "za",
        "abcd",
        "-and-",
        "xoxb-12-34-ab",
        "AKIAIOSFODNN7EXAMPLE",
        " ",
        "\n",
        "password: ",
        "Xk29fLmQ7",
        "\"",
        "eyJhbGciOiJIUzI1NiJ9",
        ".eyJzdWIiOiIxMjM0In0.",
        "-----BEGIN PRIVATE KEY-----\n",
        KEY_LINE_1,
        KEY_LINE_2,
        "\n-----END PRIVATE KEY-----",
        "postgres://",
        "user:",
        "pa55@",
        "host ",
        "Bearer ",
        "abcdef1234567890",
        "\xc3\xa9",
        "token=",
        "sk-",
        "aB3dE6gH9jK2mN5pQ8sT",
        "is ",
        ". ",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "-",
        "secret",
        "_key",
        "=",
    };
    struct fixture *f = *state;

    for (int round = 0; round < 1500; round++) {
        AUTO_BUF struct buf text = { 0 };
        AUTO_FREE char *want = NULL;
        AUTO_FREE char *each = NULL;
        AUTO_FREE char *some = NULL;
        AUTO_FREE unsigned char *cuts = NULL;
        size_t count = 1 + random_below(12);

        buf_init(&text, 10000);
        for (size_t i = 0; i < count; i++)
            buf_append_text(&text, parts[random_below(ARRAY_LEN(parts))]);
        cuts = xcalloc(text.len / 8 + 1, 1);
        want = mask_in_pieces(f->guard, buf_text(&text), text.len, cuts);
        memset(cuts, 0xff, text.len / 8 + 1);
        each = mask_in_pieces(f->guard, buf_text(&text), text.len, cuts);
        for (size_t i = 0; i < text.len / 8 + 1; i++)
            cuts[i] = (unsigned char)(1U << random_below(8));
        some = mask_in_pieces(f->guard, buf_text(&text), text.len, cuts);
        CHECK_TEXT(each, want, buf_text(&text));
        CHECK_TEXT(some, want, buf_text(&text));
    }
}

static void no_value_ever_gets_through(void **state)
{
    struct fixture *f = *state;

    for (int round = 0; round < 300; round++) {
        AUTO_BUF struct buf text = { 0 };
        AUTO_FREE char *got = NULL;

        buf_init(&text, 10000);
        for (int i = 0; i < 8; i++) {
            const char *value = known[random_below(ARRAY_LEN(known))];

            buf_append(&text, value, random_below(strlen(value) + 1));
            if (random_below(2))
                buf_append_text(&text, value);
        }
        got = mask_whole(f->guard, buf_text(&text));
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            CHECK_INT(strstr(got, known[i]) == NULL, 1, buf_text(&text));
    }
}

static void only_what_may_become_a_secret_waits(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *piece;
        const char *shown; /* by then */
    } pieces[] = {
        { "Hello, j", "Hello, j" },
        { "oof abc", "Hello, joof " },
        { "d. Joof", "Hello, joof abcd. Joof" },
        { " pass", "Hello, joof abcd. Joof " },
        { "es by", "Hello, joof abcd. Joof passes by" },
    };
    struct guard_stream *stream = guard_stream_new(f->guard);
    AUTO_BUF struct buf out = { 0 };

    buf_init(&out, 1000);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        guard_stream_append(stream, pieces[i].piece, strlen(pieces[i].piece), &out);
        CHECK_TEXT(buf_text(&out), pieces[i].shown, pieces[i].piece);
    }
    guard_stream_end(stream, &out);
    CHECK_TEXT(buf_text(&out), "Hello, joof abcd. Joof passes by", "all of it");
    guard_stream_free(stream);
}

/* Long streams of what is worst for either sieve: in time, and without keeping it. */
static void long_streams_pass_in_bounded_memory(void **state)
{
    static const char *const units[] = { "za",
                                         "abcdefg",
                                         "sk-",
                                         "xoxb-",
                                         "password: ",
                                         "eyJ",
                                         "-----BEGIN PRIVATE KEY-----\n",
                                         "a",
                                         "://u:",
                                         KEY_LINE_1 };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        struct guard_stream *stream = guard_stream_new(f->guard);
        AUTO_BUF struct buf piece = { 0 };
        AUTO_BUF struct buf out = { 0 };

        buf_init(&piece, 10000);
        buf_init(&out, 100000);
        while (piece.len < 900)
            buf_append_text(&piece, units[i]);
        for (size_t total = 0; total < (size_t)1 << 20; total += piece.len) {
            guard_stream_append(stream, buf_text(&piece), piece.len, &out);
            CHECK_INT(out.overflowed, 0, units[i]);
            buf_clear(&out);
        }
        guard_stream_end(stream, &out);
        guard_stream_free(stream);
    }
}

static void what_was_masked_is_counted_and_named(void **state)
{
    struct fixture *f = *state;
    AUTO_BUF struct buf kinds = { 0 };
    AUTO_BUF struct buf notice = { 0 };
    AUTO_BUF struct buf figures = { 0 };
    struct guard_tally tally;
    char *text = guard_mask(f->guard, GUARD_INBOUND,
                            SHORT_SECRET " xoxb-123-456-abc xoxb-123-456-abd "
                                         "AKIAIOSFODNN7EXAMPLE",
                            &tally);

    free(text);
    CHECK_INT(tally.count, 4, "four");
    buf_init(&kinds, 1000);
    guard_print_kinds(&tally, &kinds);
    CHECK_TEXT(buf_text(&kinds),
               "a secret that is known here, a Slack token and an AWS access key",
               "each kind once");
    buf_init(&notice, 1000);
    guard_print_notice(&tally, &notice);
    CHECK_HOLDS(buf_text(&notice), "a Slack token and an AWS", "says what");
    CHECK_HOLDS(buf_text(&notice), "delete the message", "and what to do");
    buf_init(&figures, 100000);
    metrics_print(f->metrics, &figures);
    CHECK_HOLDS(buf_text(&figures), "guard_masked_total{direction=\"inbound\"} 4", "counted");
    CHECK_HOLDS(buf_text(&figures), "guard_masked_total{direction=\"outgoing\"} 0", "apart");
}

static void files_are_searched_for_what_is_certain(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        { "x " SHORT_SECRET " y", "a secret that is known here" },
        { "token xoxb-123-456-abc", "a Slack token" },
        { "password = \"Xk29fLmQ7\"", NULL }, /* a test's, most often */
        { "postgres://app:secret@localhost/test", NULL },
        { KEY_BLOCK, "a secret that is known here" },
        { "nothing", NULL },
        { "", NULL },
        { "ends in xoxb-123-456-abc", "a Slack token" },
    };
    AUTO_FREE char *path = xasprintf("%s/upload", f->dir);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *kind = "unset";
        int fd;

        write_file(path, cases[i].text);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK_INT(guard_scan_file(f->guard, fd, &kind, NULL), 0, cases[i].text);
        CHECK_TEXT(kind, cases[i].want, cases[i].text);
        close(fd);
    }
}

static void a_file_is_searched_over_its_chunks_and_zeros(void **state)
{
    struct fixture *f = *state;
    struct guard_scanner *scanner = guard_scanner_new(f->guard);
    char zeros[100] = { 0 };

    CHECK_TEXT(guard_scanner_feed(scanner, zeros, sizeof(zeros)), NULL, "nothing yet");
    CHECK_TEXT(guard_scanner_feed(scanner, "abcd", 4), NULL, "half of it");
    CHECK_INT(guard_scanner_feed(scanner, "efgh", 4) != NULL ||
                  guard_scanner_end(scanner) != NULL,
              1, "all of it");
    guard_scanner_free(scanner);
    guard_scanner_free(NULL);
}

static void a_reload_adds_and_forgets_nothing(void **state)
{
    struct fixture *f = *state;
    struct guard_stream *stream = guard_stream_new(f->guard);
    AUTO_BUF struct buf out = { 0 };
    struct config *fresh;
    struct err err = { 0 };
    char *got;

    write_file(f->secrets, "brand-new-secret\n");
    fresh = load(f, "");
    CHECK_INT(guard_reload(f->guard, fresh, &err), 0, err.message);
    got = mask_whole(f->guard, "brand-new-secret " SHORT_SECRET);
    CHECK_TEXT(got, "[secret removed] [secret removed]", "the new one and the old one");
    free(got);
    buf_init(&out, 1000);
    guard_stream_append(stream, "brand-new-secret " SHORT_SECRET " ", 26, &out);
    guard_stream_end(stream, &out);
    CHECK_TEXT(buf_text(&out), "brand-new-secret [secret removed] ",
               "an answer goes on as it began");
    guard_stream_free(stream);
    CHECK_INT(unlink(f->secrets), 0, "gone");
    CHECK_INT(guard_reload(f->guard, fresh, &err), -1, "cannot be read");
    CHECK_HOLDS(err.message, f->secrets, "which one");
    got = mask_whole(f->guard, "brand-new-secret");
    CHECK_TEXT(got, "[secret removed]", "all is as before");
    free(got);
    config_unref(fresh);
}

static void the_configuration_names_secrets(void **state)
{
    struct fixture *f = *state;
    static const char *const masked[] = { "xoxb-1-the-bot-token", "xapp-1-the-app-token",
                                          "cursor-key-value", "0123456789abcdef-the-key" };
    AUTO_FREE char *key = xasprintf("%s/key", f->dir);
    AUTO_FREE char *extra =
        xasprintf("slack: { bot_token: xoxb-1-the-bot-token, app_token: "
                  "xapp-1-the-app-token }\nagent: { env: [CURSOR_API_KEY, TERM, "
                  "HTTP_PROXY, UNSET_KEY] }\nmemory: { encryption_key_file: %s }\n",
                  key);
    struct config *config;
    struct err err = { 0 };
    char *got;

    write_file(key, "0123456789abcdef-the-key\n");
    setenv("CURSOR_API_KEY", "cursor-key-value", 1); /* NOLINT(concurrency-mt-unsafe) */
    setenv("TERM", "ordinary-terminal", 1);          /* NOLINT(concurrency-mt-unsafe) */
    config = load(f, extra);
    CHECK_INT(guard_reload(f->guard, config, &err), 0, err.message);
    for (size_t i = 0; i < ARRAY_LEN(masked); i++) {
        got = mask_whole(f->guard, masked[i]);
        CHECK_TEXT(got, "[secret removed]", masked[i]);
        free(got);
    }
    got = mask_whole(f->guard, "ordinary-terminal");
    CHECK_TEXT(got, "ordinary-terminal", "not named as a secret, and not like one");
    free(got);
    config_unref(config);
}

/* ---- files of secrets ---------------------------------------------------------------------
 */

static void secrets_are_read_as_people_write_them(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *want; /* joined by | */
        const char *because;
    } cases[] = {
        { "plain-secret\nanother-one\n", "plain-secret|another-one", "one a line" },
        { "plain-secret", "plain-secret", "without a newline" },
        { "A=value-one\nexport B=\"value two\"\r\n  C='value three' \n",
          "value-one|value two|value three", "as the shell and systemd have it" },
        { "# comment=12345678\n\n   \nA=\n", "", "nothing" },
        { "A=short\nlong-enough", "long-enough", "short ones are left out" },
        { "dGVzdHRlc3R0ZXN0==\n", "dGVzdHRlc3R0ZXN0==", "base64, not a name" },
        { "p@ss=w0rd-long\n", "p@ss=w0rd-long", "no name either" },
        { "same-secret\nX=same-secret\n", "same-secret", "once" },
        { "a-secret-1\n-----BEGIN PRIVATE KEY-----\nabcdefghijklmnopqrstuvwxyz\n"
          "-----END PRIVATE KEY-----\nb-secret-2\n",
          "a-secret-1|-----BEGIN PRIVATE KEY-----\nabcdefghijklmnopqrstuvwxyz\n-----END "
          "PRIVATE KEY-----|abcdefghijklmnopqrstuvwxyz|b-secret-2",
          "a block and its lines" },
        { "-----BEGIN KEY-----\nnever-ended\n", "-----BEGIN KEY-----|never-ended",
          "a block without an end is lines" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct guard_values values = { 0 };
        AUTO_BUF struct buf got = { 0 };
        struct err err = { 0 };

        write_file(f->secrets, cases[i].text);
        CHECK_INT(guard_values_read_file(&values, f->secrets, &err), 0, err.message);
        buf_init(&got, 1000);
        for (size_t j = 0; j < values.count; j++)
            buf_printf(&got, "%s%s", j ? "|" : "", values.items[j].bytes);
        CHECK_TEXT(buf_text(&got), cases[i].want, cases[i].because);
        guard_values_deinit(&values);
    }
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct fixture *f = *state;
    struct guard_values values = { 0 };
    AUTO_FREE char *pipe_path = xasprintf("%s/pipe", f->dir);
    AUTO_FREE char *big = xcalloc(GUARD_VALUES_MAX_BYTES + 2, 1);
    struct err err = { 0 };

    CHECK_INT(guard_values_read_file(&values, "/nonexistent/file", &err), -1, "absent");
    CHECK_HOLDS(err.message, "guard.secret_files: cannot read /nonexistent/file", "named");
    CHECK_INT(guard_values_read_file(&values, f->dir, &err), -1, "a directory");
    CHECK_INT(mkfifo(pipe_path, 0600), 0, "a pipe");
    CHECK_INT(guard_values_read_file(&values, pipe_path, &err), -1, "would block");
    memset(big, 'x', GUARD_VALUES_MAX_BYTES + 1);
    write_file(f->secrets, big);
    CHECK_INT(guard_values_read_file(&values, f->secrets, &err), -1, "too much");
    CHECK_HOLDS(err.message, "more than 64 KiB", "says so");
    guard_values_deinit(&values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(a_known_value_is_masked_at_every_split),
        GUARD_TEST(what_is_masked_is_one_mark_for_what_hangs_together),
        GUARD_TEST(other_forms_of_a_value_are_known),
        GUARD_TEST(any_pieces_give_the_same),
        GUARD_TEST(no_value_ever_gets_through),
        GUARD_TEST(only_what_may_become_a_secret_waits),
        GUARD_TEST(long_streams_pass_in_bounded_memory),
        GUARD_TEST(what_was_masked_is_counted_and_named),
        GUARD_TEST(files_are_searched_for_what_is_certain),
        GUARD_TEST(a_file_is_searched_over_its_chunks_and_zeros),
        GUARD_TEST(a_reload_adds_and_forgets_nothing),
        GUARD_TEST(the_configuration_names_secrets),
        GUARD_TEST(secrets_are_read_as_people_write_them),
        GUARD_TEST(a_file_that_cannot_be_read_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
