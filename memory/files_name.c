#include "memory/files_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/alloc.h"
#include "base/buf.h"

#define SUFFIX     ".json"
#define SUFFIX_LEN (sizeof(SUFFIX) - 1)
#define PLAIN_MAX  180 /* of the escaped key; with suffix and .damaged-TIME below 255 */
#define CUT_MAX    140
#define HASH_BYTES 16
#define EMPTY_KEY  "%" /* no escape is that short */

static bool is_safe(char c, size_t index)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c == '_' || c == '-' || (c == '.' && index > 0); /* a dot in front would hide it */
}

/* Two keys with one name cannot be found on purpose: the hash is a cryptographic one. */
static void append_hash(struct buf *out, const char *key)
{
    unsigned char hash[HASH_BYTES];

    crypto_generichash(hash, sizeof(hash), (const unsigned char *)key, strlen(key), NULL, 0);
    buf_append_char(out, '~');
    for (size_t i = 0; i < sizeof(hash); i++)
        buf_printf(out, "%02x", hash[i]);
}

char *files_name(const char *key)
{
    struct buf out;
    size_t cut = 0;

    buf_init(&out, PLAIN_MAX + 64);
    if (!*key)
        buf_append_text(&out, EMPTY_KEY);
    for (size_t i = 0; key[i] && out.len <= PLAIN_MAX; i++) {
        if (out.len <= CUT_MAX)
            cut = out.len;
        if (is_safe(key[i], i))
            buf_append_char(&out, key[i]);
        else
            buf_printf(&out, "%%%02X", (unsigned char)key[i]);
    }
    if (out.len > PLAIN_MAX) {
        buf_truncate(&out, cut);
        append_hash(&out, key);
    }
    buf_append_text(&out, SUFFIX);
    return buf_take(&out);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *files_key(const char *name)
{
    size_t len = strlen(name) - SUFFIX_LEN;
    struct buf out;

    if (strchr(name, '~'))
        return NULL;
    buf_init(&out, len + 1);
    if (len == 1 && *name == *EMPTY_KEY)
        len = 0;
    for (size_t i = 0; i < len; i++) {
        int high = name[i] == '%' && i + 2 < len ? hex_digit(name[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(name[i + 2]) : -1;

        unsigned char byte = (unsigned char)(high * 16 + low);

        buf_append(&out, low >= 0 ? (const char *)&byte : &name[i], 1);
        i += low >= 0 ? 2 : 0;
    }
    return out.len ? buf_take(&out) : (buf_deinit(&out), xstrdup(""));
}
