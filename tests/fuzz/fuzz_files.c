/* A file of the files store, as somebody may have edited it: refused, or usable throughout. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "memory/files_doc.h"
#include "memory/files_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_turns(const json_t *root)
{
    const json_t *turn;
    size_t i;

    json_array_foreach(json_object_get(root, "turns"), i, turn)
    {
        struct files_turn opened;

        if (files_turn_open(turn, NULL, &opened, NULL) < 0)
            continue;
        if (opened.turn.seq <= 0 || !opened.turn.text)
            abort();
        files_turn_deinit(&opened);
    }
}

static void open_values(const json_t *root, const char *list)
{
    const json_t *object;
    size_t i;

    json_array_foreach(json_object_get(root, list), i, object)
    {
        AUTO_FREE char *value = NULL;

        (void)files_has_expired(object, 1);
        if (files_open_json(object, "value", NULL, &value, NULL) < 0)
            continue;
    }
}

/* What is printed is read as the same. */
static void print(enum files_folder folder, const char *name, const json_t *root)
{
    AUTO_BUF struct buf out = { 0 };
    struct err why = { 0 };
    json_t *again;

    buf_init(&out, 1 << 20);
    files_doc_print(root, &out);
    if (out.overflowed)
        return;
    again = json_loadb(buf_text(&out), out.len, JSON_REJECT_DUPLICATES, NULL);
    if (!again || !json_equal(again, root) || files_doc_check(folder, name, again, &why) < 0)
        abort();
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    AUTO_FREE char *name = files_name(files_text(root, "key"));

    for (enum files_folder folder = FILES_CONVERSATIONS; folder < FILES_FOLDERS; folder++) {
        struct err why = { 0 };

        if (!root || files_doc_check(folder, name, root, &why) < 0)
            continue;
        if (folder == FILES_CONVERSATIONS) {
            open_turns(root);
            open_values(root, "fields");
            files_drop_expired(root, 1);
        } else if (folder == FILES_PEOPLE) {
            open_values(root, "items");
        }
        print(folder, name, root);
    }
    json_decref(root);
    return 0;
}
