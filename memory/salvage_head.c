#include "memory/salvage_head.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

/* The file format (https://www.sqlite.org/fileformat2.html). */
#define PAGE_BYTES       4096 /* SQLite's default, which we keep */
#define AT_PAGE_SIZE     16
#define AT_WRITE_VERSION 18 /* and 19: 1 without a log, 2 with */
#define AT_PAGES         28
#define AT_FREE_FIRST    32
#define AT_FREE_COUNT    36
#define AT_KIND          100 /* of the page as a b-tree's, behind the file's head */
#define AT_CELLS         103
#define AT_RIGHT_CHILD   108
#define AT_CELL_POINTERS 112
#define PAGE_TABLE       5

struct lending {
    int damaged;
    int fresh;
    int copy;
    uint32_t pages; /* in the copy */
    unsigned char head[PAGE_BYTES];
};

static uint32_t get16(const unsigned char *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const unsigned char *at)
{
    return get16(at) << 16 | get16(at + 2);
}

static void put32(unsigned char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (24 - 8 * i));
}

static bool read_page(int fd, uint32_t page, unsigned char *bytes)
{
    return pread(fd, bytes, PAGE_BYTES, (off_t)(page - 1) * PAGE_BYTES) == PAGE_BYTES;
}

static bool write_page(int fd, uint32_t page, const unsigned char *bytes)
{
    return pwrite(fd, bytes, PAGE_BYTES, (off_t)(page - 1) * PAGE_BYTES) == PAGE_BYTES;
}

static bool copy_pages(struct lending *lending)
{
    unsigned char bytes[PAGE_BYTES];
    struct stat info;

    if (fstat(lending->damaged, &info) < 0)
        return false;
    lending->pages = (uint32_t)(info.st_size / PAGE_BYTES);
    for (uint32_t page = 1; page <= lending->pages; page++) {
        /* What the disk does not give counts as zeros. */
        if (!read_page(lending->damaged, page, bytes))
            memset(bytes, 0, sizeof(bytes));
        if (!write_page(lending->copy, page, bytes))
            return false;
    }
    return true;
}

/* A page of the list of tables goes behind the last page. */
static bool move_child(struct lending *lending, unsigned char *pointer)
{
    unsigned char bytes[PAGE_BYTES];

    if (!read_page(lending->fresh, get32(pointer), bytes) ||
        !write_page(lending->copy, lending->pages + 1, bytes))
        return false;
    put32(pointer, ++lending->pages);
    return true;
}

static bool lend(struct lending *lending)
{
    unsigned char *head = lending->head;
    uint32_t cells;

    if (!read_page(lending->fresh, 1, head) || get16(head + AT_PAGE_SIZE) != PAGE_BYTES ||
        !copy_pages(lending))
        return false;
    cells = head[AT_KIND] == PAGE_TABLE ? get16(head + AT_CELLS) : 0;
    for (uint32_t i = 0; i < cells; i++) {
        uint32_t cell = get16(head + AT_CELL_POINTERS + (size_t)i * 2);

        if (cell > PAGE_BYTES - 4 || !move_child(lending, head + cell))
            return false;
    }
    if (head[AT_KIND] == PAGE_TABLE && !move_child(lending, head + AT_RIGHT_CHILD))
        return false;
    put32(head + AT_PAGES, lending->pages);
    put32(head + AT_FREE_FIRST, 0);
    put32(head + AT_FREE_COUNT, 0);
    head[AT_WRITE_VERSION] = 1;
    head[AT_WRITE_VERSION + 1] = 1;
    return write_page(lending->copy, 1, head);
}

int salvage_lend_head(const char *damaged_path, const char *fresh_path, const char *copy_path,
                      struct err *err)
{
    AUTO_FD int damaged = open(damaged_path, O_RDONLY | O_CLOEXEC);
    AUTO_FD int fresh = open(fresh_path, O_RDONLY | O_CLOEXEC);
    AUTO_FD int copy = open(copy_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    struct lending lending = { .damaged = damaged, .fresh = fresh, .copy = copy };

    if (damaged < 0 || fresh < 0 || copy < 0 || !lend(&lending))
        return err_set_errno(err, ERR_SYSTEM, "cannot mend the head of %s", damaged_path);
    return 0;
}
