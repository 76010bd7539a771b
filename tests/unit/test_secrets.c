#include "base/secrets.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "tests/test.h"

/* Every secret of the text as "<kind>", looked for with all of it at hand. */
static void mark(const char *text, struct buf *out)
{
    size_t len = strlen(text);
    unsigned char before = 0;
    size_t at = 0;

    while (at < len) {
        struct secrets_match match;
        enum secrets_run run = SECRETS_RUN_NONE;

        if (!secrets_may_begin(before, text + at, len - at) ||
            secrets_look(before, text + at, len - at, true, &match) != SECRETS_FOUND) {
            before = (unsigned char)text[at];
            buf_append_char(out, text[at++]);
            continue;
        }
        buf_append(out, text + at, match.skip);
        buf_printf(out, "<%s>", match.kind);
        at += match.skip + match.len;
        if (match.run != SECRETS_RUN_NONE)
            at += secrets_run_on(match.run, text + at, len - at, true, &run);
        before = (unsigned char)text[at - 1];
    }
}

#define A30   "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0"
#define HEX32 "0123456789abcdef0123456789abcdef"
#define B64   "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"

static void what_is_a_secret_is_known_by_its_shape(void)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        { "xoxb-1234-5678-abcDEF", "<a Slack token>" },
        { "it is (xapp-1-A012-345-9f8e).", "it is (<a Slack token>)." },
        { "xoxe.xoxp-1-Mi0yLTk4", "<a Slack token>" },
        { "https://hooks.slack.com/services/T012/B345/XXyyZZ0123456789abcdefgh!",
          "https://<a Slack webhook>!" },
        { "id AKIAIOSFODNN7EXAMPLE is it", "id <an AWS access key> is it" },
        { "AKIAIOSFODNN7EXAMPLE / wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY.",
          "<an AWS access key>." },
        { "ASIAIOSFODNN7EXAMPLE", "<an AWS access key>" },
        { "ghp_" A30 "abc123", "<a GitHub token>" },
        { "token ghs_" A30 "abc123, go", "token <a GitHub token>, go" },
        { "github_pat_11ABCDE_" A30, "<a GitHub token>" },
        { "glpat-aB3dE6gH9jK2mN5pQ8sT", "<a GitLab token>" },
        { "sk-proj-aB3dE6gH9jK2mN5pQ8sT", "<an API key>" },
        { "sk-ant-api03-aB3d_E6gH-9jK2mN5pQ8sT", "<an API key>" },
        { "sk-" HEX32, "<an API key>" },
        { "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "<a Stripe key>" },
        { "AIzaSyA1234567890abcdefghijklmnopqrstuv", "<a Google key>" },
        { "key_" HEX32 HEX32, "<a Cursor key>" },
        { "npm_" A30 "abcdef", "<an npm token>" },
        { "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
          "<a signed token (JWT)>" },
        { "-----BEGIN RSA PRIVATE KEY-----\n" B64 "\n" B64 "\n-----END RSA PRIVATE KEY-----\nx",
          "<a private key>\nx" },
        { "-----BEGIN PRIVATE KEY-----\\n" B64 "\\n-----END PRIVATE KEY-----\\n",
          "<a private key>\\n" },
        { "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
          "2AF25325A9B318F344B8391AFD767D6D\n\n" B64 "\n-----END RSA PRIVATE KEY-----",
          "<a private key>" },
        { "postgres://app:s3cret@db/x", "postgres://app:<a password in an address>@db/x" },
        { "https://user:tok@host/", "https://user:<a password in an address>@host/" },
        { "redis://:hunter2@cache:6379", "redis://:<a password in an address>@cache:6379" },
        { "Authorization: Bearer abcdef1234567890ABC",
          "Authorization: Bearer <a bearer token>" },
        { "authorization: basic dXNlcjpwYXNzMQ==", "authorization: basic <a bearer token>" },
        { "password = \"tr0ub4dor&3\"", "password = \"<a password or key>\"" },
        { "DB_PASSWORD=Xk29fLmQ7", "DB_PASSWORD=<a password or key>" },
        { "dbPassword: 'Xk29fLmQ7'", "dbPassword: '<a password or key>'" },
        { "{\"token\": \"9f8e7d6c5b4a\"}", "{\"token\": \"<a password or key>\"}" },
        { "{\\\"api_key\\\":\\\"9f8e7d6c5b4a\\\"}",
          "{\\\"api_key\\\":\\\"<a password or key>\\\"}" },
        { "the password is Xk29fLmQ7.", "the password is <a password or key>." },
        { "**Password:** `Xk29fLmQ7`", "**Password:** `<a password or key>`" },
        { "https://x/?token=9f8e7d6c5b&page=2", "https://x/?token=<a password or key>&page=2" },
        { "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYzZzZKEY12",
          "aws_secret_access_key = <a password or key>" },
        { "secret_key_base: " HEX32 HEX32, "secret_key_base: <a password or key>" },
        { "token: ghp_" A30 "abc123", "token: <a GitHub token>" },
        { "Passwort: gr\xc3\xbcn12xyzQ", "Passwort: <a password or key>" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 10000);
        mark(cases[i].text, &out);
        CHECK_TEXT(buf_text(&out), cases[i].want, cases[i].text);
    }
}

static void what_is_none_passes(void)
{
    static const char certificate[] =
        "-----BEGIN CERTIFICATE-----\n" B64 "\n-----END CERTIFICATE-----";
    static const char public_key[] =
        "-----BEGIN PUBLIC KEY-----\n" B64 "\n-----END PUBLIC KEY-----";
    static const char *const cases[] = {
        "commit 8d3fe84aa1b2c3d4e5f60718293a4b5c6d7e8f90 is good",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "password = os.environ[\"DB_PASSWORD_1\"]",
        "password = config.database2.password1",
        "password: ${DB_PASSWORD_2024}",
        "password=<your-password-123>",
        "token := parseToken123(line)",
        "const token = user2faToken;",
        "token: string",
        "token_count: 123456789",
        "tokens = 123456789",
        "secret: [secret removed]",
        "password: ********",
        "password: xxxxxxxx12",
        "\"password\": \"must have at least 8 characters\"",
        "password: correct horse",
        "password: \"aaaa1111\"",
        "the rule .sk-rotating-plane-with-circle-12",
        "sk-rotating-plane-with-circle-12 is a class",
        "api_key = /etc/keys/service1.key",
        "private_key: ./certs/server01.pem",
        "a token begins with xoxb- and then digits",
        "xoxb-your-token",
        "set it to ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "class=\"sk-spinner-circle1 sk-fading-circle\"",
        "task-1234567890abcdefghijABCDEF",
        "a https://example.org:8080/path@2 b",
        "git@github.com:org/repo.git and ssh://git@github.com:22/x",
        "postgres://${USER}:${PASSWORD}@host/",
        "http://localhost:9464/metrics",
        "// user:name@host in a comment",
        "-----BEGIN PRIVATE KEY----- is how such a file begins, and it ends alike.",
        certificate,
        public_key,
        "Bearer of bad news",
        "Bearer authentication, as in RFC6750",
        "AKIA is a prefix; AKIAABC is too short; MAKIAIOSFODNN7EXAMPLE is another word",
        "eyJhbGciOiJIUzI1NiJ9 alone",
        "key_value_pairs and key_0123456789abcdef",
        "npm_config_registry=x",
        "if (password == NULL || token == 0)",
        "Token: 2024-11-20",
        "the secret is out",
        "pwd: /home/user1/project2",
        "--token-limit 12345678",
        "std::token::Kind12345",
        "x",
        "",
        "xox",
        "-----",
        "://",
        "eyJ",
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_BUF struct buf out = { 0 };

        buf_init(&out, 10000);
        mark(cases[i], &out);
        CHECK_TEXT(buf_text(&out), cases[i], "passes as it is");
    }
}

/* However many bytes are at hand, a decision stays what it is with all of them. */
static void a_decision_does_not_change_with_more_bytes(void)
{
    static const char *const texts[] = {
        "xoxb-1234-5678-abcDEF next",
        "AKIAIOSFODNN7EXAMPLE / wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY. next",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N next",
        "-----BEGIN RSA PRIVATE KEY-----\n" B64 "\n-----END RSA PRIVATE KEY-----\nx",
        "//app:s3cret@db/x",
        "Bearer abcdef1234567890ABC next",
        "password = \"tr0ub4dor&3\" next",
        "password is Xk29fLmQ7. next",
        "token: ghp_" A30 "abc123 next",
        "secret_key_base: " HEX32 " next",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = strlen(texts[i]);
        struct secrets_match want = { 0 };
        unsigned char before = texts[i][0] == '/' ? ':' : 0;
        enum secrets_look last = secrets_look(before, texts[i], len, true, &want);

        for (size_t cut = 1; cut <= len; cut++) {
            struct secrets_match got = { 0 };
            /* The very bytes, so that a sanitizer sees who reads further. */
            char *part = malloc(cut);
            enum secrets_look look;

            memcpy(part, texts[i], cut);
            look = secrets_look(before, part, cut, false, &got);
            if (look != SECRETS_WANTS_MORE) {
                CHECK_INT(look, last, texts[i]);
                if (look == SECRETS_FOUND && got.run == SECRETS_RUN_NONE)
                    CHECK_INT(got.len, want.len, texts[i]);
            }
            CHECK_INT(secrets_look(before, part, cut, true, &got) != SECRETS_WANTS_MORE, 1,
                      "at the end it is decided");
            free(part);
        }
    }
}

static void the_longest_look_is_bounded(void)
{
    static const char *const begins[] = {
        "xoxb-1",  "eyJ",         "://",           "://u:",
        "Bearer ", "password = ", "password = \"", "-----BEGIN PRIVATE KEY-----",
        "AKIA",    "sk-"
    };
    enum { LONG = 2 * SECRETS_LOOK_MAX_BYTES };

    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        struct secrets_match match;
        char text[LONG];

        memset(text, 'a', sizeof(text));
        memcpy(text, begins[i], strlen(begins[i]));
        CHECK_INT(secrets_look(':', text, SECRETS_LOOK_MAX_BYTES, false, &match) !=
                      SECRETS_WANTS_MORE,
                  1, begins[i]);
        memset(text, ' ', sizeof(text));
        memcpy(text, begins[i], strlen(begins[i]));
        CHECK_INT(secrets_look(':', text, SECRETS_LOOK_MAX_BYTES, false, &match) !=
                      SECRETS_WANTS_MORE,
                  1, begins[i]);
    }
}

static void the_log_uses_the_same_table(void)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        { "AKIAIOSFODNN7EXAMPLE", "AKIA***" },
        { "a=postgres://u:pw@h b", "a=postgres://u:**@h b" },
        { "password: Xk29fLmQ7, ghp_" A30 "abc123", "password: ***, ghp_***" },
        { "-----BEGIN PRIVATE KEY-----\n" B64 "\n-----END PRIVATE KEY-----\nx",
          "-----BEGIN PRIVATE KEY-----***\nx" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[400];

        snprintf(text, sizeof(text), "%s", cases[i].text);
        log_mask_secrets(text);
        CHECK_TEXT(text, cases[i].want, cases[i].text);
    }
}

TEST_MAIN(TEST(what_is_a_secret_is_known_by_its_shape), TEST(what_is_none_passes),
          TEST(a_decision_does_not_change_with_more_bytes), TEST(the_longest_look_is_bounded),
          TEST(the_log_uses_the_same_table))
