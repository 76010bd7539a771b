#include "tests/slack_lab/page.h"

/* The assembler reads the file: the path is relative to where make runs, the project's root. */
__asm__(".pushsection .rodata\n"
        ".global lab_page_begin\n"
        ".global lab_page_end\n"
        "lab_page_begin: .incbin \"tests/slack_lab/page.html\"\n"
        "lab_page_end: .byte 0\n"
        ".popsection\n");

extern const char lab_page_begin[];
extern const char lab_page_end[];

const char *page_html(void)
{
    return lab_page_begin;
}

size_t page_html_len(void)
{
    /* cppcheck-suppress comparePointers ; two labels of one section */
    return (size_t)(lab_page_end - lab_page_begin);
}
