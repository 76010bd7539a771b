/* Texts sealed at rest: keys in their forms, what opens and what does not. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "memory/vault.h"
#include "tests/test.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static char *write_key(const char *text, size_t len, mode_t mode)
{
    char *path = xstrdup("/tmp/tk-vault-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static int open_with(const char *text, size_t len, mode_t mode, struct vault **ret_vault,
                     struct err *err)
{
    AUTO_FREE char *path = write_key(text, len, mode);
    int rc = vault_open(path, ret_vault, err);

    unlink(path);
    return rc;
}

static void keys_come_in_three_forms_and_open_one_another(void **state)
{
    static const char raw[] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    };
    struct vault *vaults[3] = { NULL };
    AUTO_FREE char *sealed = NULL;

    (void)state;
    assert_int_equal(open_with(raw, sizeof(raw), 0600, &vaults[0], NULL), 0);
    assert_int_equal(open_with(HEX "\n", strlen(HEX) + 1, 0640, &vaults[1], NULL), 0);
    assert_int_equal(
        open_with("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 45, 0400, &vaults[2], NULL),
        0);
    sealed = vault_seal(vaults[0], "J\xc3\xb6rg's token", 13);
    assert_true(vault_is_sealed(sealed));
    assert_null(strstr(sealed, "token"));
    for (size_t i = 0; i < ARRAY_LEN(vaults); i++) {
        AUTO_FREE char *text = NULL;

        assert_int_equal(vault_open_text(vaults[i], sealed, &text, NULL), 0);
        CHECK_TEXT(text, "J\xc3\xb6rg's token", "opened");
        vault_free(vaults[i]);
    }
}

static void a_bad_key_file_is_named(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *want;
    } cases[] = {
        { "short", 0600, "is no key" },
        { "", 0600, "is no key" },
        { HEX "00", 0600, "is no key" },
        { HEX, 0644, "may be read by others (mode 644)" },
        { HEX, 0660, "may be read by others" },
    };
    struct vault *vault = NULL;
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_INT(open_with(cases[i].text, strlen(cases[i].text), cases[i].mode, &vault, &err),
                  -1, cases[i].want);
        CHECK_INT(err.kind, ERR_INPUT, err.message);
        CHECK_INT(strstr(err.message, cases[i].want) != NULL, 1, err.message);
    }
    CHECK_INT(vault_open("/nowhere/key", &vault, &err), -1, "no file");
    CHECK_INT(strstr(err.message, "encryption_key_file") != NULL, 1, err.message);
    CHECK_INT(vault_open("/tmp", &vault, &err), -1, "a directory");
}

static void what_is_not_sealed_with_the_key_does_not_open(void **state)
{
    struct vault *vault = NULL;
    struct vault *other = NULL;
    AUTO_FREE char *sealed = NULL;
    AUTO_FREE char *text = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(open_with(HEX, strlen(HEX), 0600, &vault, NULL), 0);
    assert_int_equal(open_with("ffffffffffffffffffffffffffffffff", 32, 0600, &other, NULL), 0);
    sealed = vault_seal(vault, "secret", 6);
    assert_int_equal(vault_open_text(other, sealed, &text, &err), -1);
    CHECK_INT(strstr(err.message, "another key") != NULL, 1, err.message);
    assert_int_equal(vault_open_text(NULL, sealed, &text, &err), -1);
    CHECK_INT(strstr(err.message, "there is no key") != NULL, 1, err.message);
    sealed[strlen(sealed) - 3] ^= 1;
    CHECK_INT(vault_open_text(vault, sealed, &text, &err), -1, "a changed byte");
    sealed[12] = '\0';
    CHECK_INT(vault_open_text(vault, sealed, &text, &err), -1, "cut off");
    assert_null(text);
    vault_free(vault);
    vault_free(other);
}

static void without_a_key_texts_stay_as_they_are(void **state)
{
    struct vault *vault = NULL;
    AUTO_FREE char *plain = vault_seal(NULL, "plain", 5);
    AUTO_FREE char *again = NULL;
    AUTO_FREE char *opened = NULL;
    AUTO_FREE char *first = NULL;
    AUTO_FREE char *second = NULL;
    AUTO_FREE char *empty = NULL;

    (void)state;
    CHECK_TEXT(plain, "plain", "no key");
    assert_int_equal(vault_open_text(NULL, plain, &again, NULL), 0);
    CHECK_TEXT(again, "plain", "no key");
    assert_int_equal(open_with(HEX, strlen(HEX), 0600, &vault, NULL), 0);
    assert_int_equal(vault_open_text(vault, plain, &opened, NULL), 0);
    CHECK_TEXT(opened, "plain", "stored before there was a key");
    first = vault_seal(vault, "", 0);
    second = vault_seal(vault, "", 0);
    assert_string_not_equal(first, second); /* a nonce of its own each time */
    assert_int_equal(vault_open_text(vault, first, &empty, NULL), 0);
    CHECK_TEXT(empty, "", "an empty text");
    vault_free(vault);
    vault_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_in_three_forms_and_open_one_another),
        cmocka_unit_test(a_bad_key_file_is_named),
        cmocka_unit_test(what_is_not_sealed_with_the_key_does_not_open),
        cmocka_unit_test(without_a_key_texts_stay_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
