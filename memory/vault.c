#include "memory/vault.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/alloc.h"

#define MARK          "\1sealed1:" /* no text holds \1: what people say is cleaned first */
#define MARK_LEN      (sizeof(MARK) - 1)
#define KEY_BYTES     crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES     crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEY_FILE_MAX  256
#define VARIANT       sodium_base64_VARIANT_ORIGINAL
#define BLANKS        " \t\r\n"
#define GROUP_MAY_NOT (S_IWGRP | S_IXGRP | S_IRWXO)

struct vault {
    unsigned char key[KEY_BYTES];
};

/* 32 bytes as they are, in hexadecimal, or in base64. */
static bool decode_key(const char *text, size_t len, unsigned char *ret_key)
{
    size_t got = 0;

    if (len == KEY_BYTES) {
        memcpy(ret_key, text, KEY_BYTES);
        return true;
    }
    while (len && strchr(BLANKS, text[len - 1]))
        len--;
    if (len == KEY_BYTES * 2 &&
        sodium_hex2bin(ret_key, KEY_BYTES, text, len, NULL, &got, NULL) == 0 &&
        got == KEY_BYTES)
        return true;
    return sodium_base642bin(ret_key, KEY_BYTES, text, len, NULL, &got, NULL, VARIANT) == 0 &&
           got == KEY_BYTES;
}

static int check_owner(int fd, const char *path, struct err *err)
{
    struct stat info;

    if (fstat(fd, &info) < 0)
        return err_set_errno(err, ERR_SYSTEM, "cannot look at %s", path);
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_INPUT, "%s is not a file", path);
    if (info.st_mode & GROUP_MAY_NOT)
        return err_set(err, ERR_INPUT,
                       "%s may be read by others (mode %03o); chmod 600 it: it is the key to "
                       "everything that is remembered",
                       path, (unsigned)(info.st_mode & 0777));
    return 0;
}

static int read_key(const char *path, unsigned char *ret_key, struct err *err)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char text[KEY_FILE_MAX];
    ssize_t len;
    int rc = 0;

    if (fd < 0)
        return err_set_errno(err, ERR_INPUT, "cannot open %s (memory.encryption_key_file)",
                             path);
    if (check_owner(fd, path, err) < 0)
        return -1;
    len = read(fd, text, sizeof(text));
    if (len < 0)
        rc = err_set_errno(err, ERR_SYSTEM, "cannot read %s", path);
    else if (!decode_key(text, (size_t)len, ret_key))
        rc = err_set(err, ERR_INPUT,
                     "%s is no key: it must hold 32 bytes, plain, in hexadecimal or in base64 "
                     "(openssl rand -hex 32 makes one)",
                     path);
    sodium_memzero(text, sizeof(text));
    return rc;
}

int vault_open(const char *key_path, struct vault **ret_vault, struct err *err)
{
    struct vault *vault;

    if (sodium_init() < 0)
        return err_set(err, ERR_SYSTEM, "libsodium does not start");
    vault = sodium_malloc(sizeof(*vault));
    if (!vault)
        return err_set(err, ERR_SYSTEM, "no locked memory for the key: %s (LimitMEMLOCK)",
                       errno == ENOMEM ? "not enough" : "refused");
    if (read_key(key_path, vault->key, err) < 0) {
        sodium_free(vault);
        return -1;
    }
    sodium_mprotect_readonly(vault);
    *ret_vault = vault;
    return 0;
}

void vault_free(struct vault *vault)
{
    sodium_free(vault);
}

bool vault_is_sealed(const char *text)
{
    return strncmp(text, MARK, MARK_LEN) == 0;
}

/* The mark, then base64 of the nonce and what is sealed. */
char *vault_seal(const struct vault *vault, const char *text, size_t len)
{
    size_t sealed_len = NONCE_BYTES + len + TAG_BYTES;
    size_t size = sodium_base64_encoded_len(sealed_len, VARIANT);
    AUTO_FREE unsigned char *sealed = NULL;
    char *out;

    if (!vault)
        return xstrndup(text, len);
    sealed = xcalloc(1, sealed_len);
    randombytes_buf(sealed, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_BYTES, NULL,
                                               (const unsigned char *)text, len, NULL, 0, NULL,
                                               sealed, vault->key);
    out = xcalloc(1, MARK_LEN + size);
    memcpy(out, MARK, MARK_LEN);
    sodium_bin2base64(out + MARK_LEN, size, sealed, sealed_len, VARIANT);
    return out;
}

int vault_open_text(const struct vault *vault, const char *stored, char **ret_text,
                    struct err *err)
{
    size_t len = strlen(stored);
    AUTO_FREE unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    char *text;

    if (!vault_is_sealed(stored)) {
        *ret_text = xstrndup(stored, len);
        return 0;
    }
    if (!vault)
        return err_set(err, ERR_INPUT,
                       "a text is sealed and there is no key: set memory.encryption_key_file "
                       "to the file it was sealed with");
    sealed = xcalloc(1, len + 1);
    if (sodium_base642bin(sealed, len, stored + MARK_LEN, len - MARK_LEN, NULL, &sealed_len,
                          NULL, VARIANT) < 0 ||
        sealed_len < NONCE_BYTES + TAG_BYTES)
        return err_set(err, ERR_INPUT, "a sealed text is damaged");
    text = xcalloc(1, sealed_len - NONCE_BYTES - TAG_BYTES + 1);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            (unsigned char *)text, NULL, NULL, sealed + NONCE_BYTES, sealed_len - NONCE_BYTES,
            NULL, 0, sealed, vault->key) < 0) {
        free(text);
        return err_set(err, ERR_INPUT,
                       "a sealed text does not open: memory.encryption_key_file holds another "
                       "key than the one it was sealed with, or the text was changed");
    }
    *ret_text = text;
    return 0;
}
