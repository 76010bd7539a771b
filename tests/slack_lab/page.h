/*
 * page.h - the browser page (page.html), held inside the program.
 */
#ifndef SLACK_LAB_PAGE_H
#define SLACK_LAB_PAGE_H

#include <stddef.h>

const char *page_html(void);
size_t page_html_len(void);

#endif
