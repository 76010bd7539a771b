#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static void fill(void *out, size_t len)
{
    /* Up to 256 bytes come whole and cannot fail once the kernel's pool is ready. */
    if (getrandom(out, len, 0) != (ssize_t)len)
        abort();
}

uint64_t random_below(uint64_t bound)
{
    uint64_t value;

    if (!bound)
        return 0;
    fill(&value, sizeof(value));
    return value % bound; /* the bias is below 2^-40 for every bound used here */
}

void random_hex(char *out, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte;

        fill(&byte, 1);
        out[2 * i] = digits[byte >> 4];
        out[2 * i + 1] = digits[byte & 15];
    }
    out[2 * bytes] = '\0';
}

void random_uuid(char *out)
{
    unsigned char b[16];

    fill(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    snprintf(out, RANDOM_UUID_BYTES,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

int64_t random_backoff_ms(int64_t base_ms, int64_t cap_ms, unsigned attempt)
{
    int64_t ceiling = base_ms;

    while (attempt-- > 0 && ceiling < cap_ms)
        ceiling *= 2;
    if (ceiling > cap_ms)
        ceiling = cap_ms;
    return 1 + (int64_t)random_below((uint64_t)ceiling);
}
