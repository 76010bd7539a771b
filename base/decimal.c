#include "base/decimal.h"

#include <string.h>

int decimal_compare(const char *a, const char *b)
{
    size_t a_len = strspn(a, "0123456789");
    size_t b_len = strspn(b, "0123456789");
    int order;

    if (!a_len || !b_len || (a[a_len] && a[a_len] != '.') || (b[b_len] && b[b_len] != '.'))
        return strcmp(a, b);
    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    order = memcmp(a, b, a_len);
    return order ? order : strcmp(a + a_len, b + b_len);
}
