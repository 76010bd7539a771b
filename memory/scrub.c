#include "memory/scrub.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* The file format (https://www.sqlite.org/fileformat2.html). */
#define FILE_HEAD_BYTES  100 /* on page 1, before its b-tree's head */
#define AT_PAGE_SIZE     16
#define AT_RESERVED      20
#define AT_LARGEST_ROOT  52 /* not 0: there are pointer maps */
#define PAGE_LEAF_TABLE  13
#define PAGE_LEAF_INDEX  10
#define PAGE_TABLE       5
#define PAGE_INDEX       2
#define LEAF_HEAD_BYTES  8
#define INNER_HEAD_BYTES 12
#define MAP_ENTRY_BYTES  5
#define PENDING_BYTE     0x40000000
/* Beyond, the first byte of an overflow page (a page's number) could look like a b-tree's. */
#define PAGES_MAX 0x02000000

struct scrub {
    sqlite3_file *file;
    uint32_t page_size;
    uint32_t pages;
    uint32_t usable;
    bool has_maps;
};

static uint32_t get16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static bool is_map(const struct scrub *scrub, uint32_t page)
{
    uint32_t group = scrub->usable / MAP_ENTRY_BYTES + 1;
    uint32_t map = page < 2 ? 0 : (page - 2) / group * group + 2;

    if (map == PENDING_BYTE / scrub->page_size + 1)
        map++;
    return scrub->has_maps && map == page;
}

/* The gap of a b-tree page; false when this is none, or not as it should be. */
static bool find_gap(const struct scrub *scrub, const unsigned char *bytes, uint32_t page,
                     uint32_t *ret_begin, uint32_t *ret_end)
{
    uint32_t head = page == 1 ? FILE_HEAD_BYTES : 0;
    unsigned char kind = bytes[head];
    uint32_t cells = get16(bytes + head + 3);
    uint32_t end = get16(bytes + head + 5);
    uint32_t begin;

    if (is_map(scrub, page))
        return false;
    if (kind == PAGE_LEAF_TABLE || kind == PAGE_LEAF_INDEX)
        begin = head + LEAF_HEAD_BYTES;
    else if (kind == PAGE_TABLE || kind == PAGE_INDEX)
        begin = head + INNER_HEAD_BYTES;
    else
        return false;
    begin += cells * 2;
    end = end ? end : 65536;
    if (begin > end || end > scrub->usable)
        return false;
    *ret_begin = begin;
    *ret_end = end;
    return true;
}

static bool is_zero(const unsigned char *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static int scrub_page(const struct scrub *scrub, unsigned char *bytes, uint32_t page,
                      struct err *err)
{
    const sqlite3_io_methods *io = scrub->file->pMethods;
    sqlite3_int64 at = (sqlite3_int64)(page - 1) * scrub->page_size;
    uint32_t begin = 0;
    uint32_t end = 0;

    if (io->xRead(scrub->file, bytes, (int)scrub->page_size, at) != SQLITE_OK)
        return err_set(err, ERR_SYSTEM, "cannot read page %u to scrub it", page);
    if (!find_gap(scrub, bytes, page, &begin, &end) || is_zero(bytes + begin, end - begin))
        return 0;
    memset(bytes + begin, 0, end - begin);
    if (io->xWrite(scrub->file, bytes + begin, (int)(end - begin), at + begin) != SQLITE_OK)
        return err_set(err, ERR_SYSTEM, "cannot scrub page %u", page);
    return 0;
}

/* False for a file that is not there yet. */
static bool read_head(struct scrub *scrub)
{
    unsigned char head[FILE_HEAD_BYTES];
    sqlite3_int64 size = 0;

    if (scrub->file->pMethods->xFileSize(scrub->file, &size) != SQLITE_OK ||
        size < FILE_HEAD_BYTES ||
        scrub->file->pMethods->xRead(scrub->file, head, sizeof(head), 0) != SQLITE_OK)
        return false;
    scrub->page_size = get16(head + AT_PAGE_SIZE);
    if (scrub->page_size == 1)
        scrub->page_size = 65536;
    if (scrub->page_size < 512)
        return false;
    scrub->usable = scrub->page_size - head[AT_RESERVED];
    scrub->has_maps = !is_zero(head + AT_LARGEST_ROOT, 4);
    scrub->pages = (uint32_t)(size / scrub->page_size);
    return true;
}

int scrub_gaps(sqlite3 *handle, struct err *err)
{
    struct scrub scrub = { 0 };
    AUTO_FREE unsigned char *bytes = NULL;
    int rc = 0;

    if (sqlite3_file_control(handle, "main", SQLITE_FCNTL_FILE_POINTER, &scrub.file) !=
            SQLITE_OK ||
        !scrub.file->pMethods || !read_head(&scrub))
        return err_set(err, ERR_SYSTEM, "cannot look into the database's file");
    if (scrub.pages > PAGES_MAX)
        return err_set(err, ERR_INPUT, "the database is too big to be scrubbed");
    bytes = xcalloc(1, scrub.page_size);
    for (uint32_t page = 1; rc == 0 && page <= scrub.pages; page++)
        rc = scrub_page(&scrub, bytes, page, err);
    if (rc == 0 && scrub.file->pMethods->xSync(scrub.file, SQLITE_SYNC_NORMAL) != SQLITE_OK)
        rc = err_set(err, ERR_SYSTEM, "cannot sync what was scrubbed");
    return rc;
}
