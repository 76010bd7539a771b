/*
 * vault.h - texts sealed at rest, by libsodium (XChaCha20-Poly1305). A sealed text is printable
 * ("\1sealed1:" and base64), so that it stands where a plain one would; what was stored before
 * the key was configured stays readable.
 *
 * Owns:    the key, in locked memory.
 * Threads: any; immutable.
 */
#ifndef MEMORY_VAULT_H
#define MEMORY_VAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct vault;

/* The key file holds 32 bytes, or 64 hexadecimal digits, or base64 of 32 bytes, and is readable
 * by its owner (and group) only. ERR_INPUT says what is wrong with it. */
int vault_open(const char *key_path, struct vault **ret_vault, struct err *err);
void vault_free(struct vault *vault); /* NULL is fine */

bool vault_is_sealed(const char *text);

/* Both return a text that the caller frees. With a NULL vault seal copies, and open copies what
 * is plain; a sealed text without its key is ERR_INPUT, as is a changed one. */
char *vault_seal(const struct vault *vault, const char *text, size_t len);
int vault_open_text(const struct vault *vault, const char *stored, char **ret_text,
                    struct err *err);

#endif
