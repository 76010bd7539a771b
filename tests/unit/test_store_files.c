#include "memory/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/random.h"
#include "memory/files_dir.h"
#include "memory/vault.h"
#include "tests/unit/memory_lab.h"
#include "tests/unit/store_suite.h"

struct place {
    char path[96];
    struct store *store;
};

static void place_open(struct place *place)
{
    struct err err = { 0 };

    place->store = store_files_new(place->path, NULL, false, &err);
    if (!place->store)
        fail_msg("cannot open: %s", err.message);
}

static void place_make(struct place *place)
{
    snprintf(place->path, sizeof(place->path), "/tmp/files-test-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    place_open(place);
}

static void place_close(struct place *place)
{
    place->store->ops->free(place->store);
    place->store = NULL;
}

static void place_reopen(struct place *place)
{
    place_close(place);
    place_open(place);
}

static void place_remove(struct place *place)
{
    place_close(place);
    assert_int_equal(file_remove_tree(place->path, NULL), 0);
}

static int apply(struct store *store, struct store_mutation *mutations, size_t count,
                 struct err *err)
{
    return store->ops->apply(store, NULL, mutations, count, err);
}

static struct memory_turn turn_of(int64_t seq, const char *text)
{
    return (struct memory_turn){ .seq = seq,
                                 .role = seq % 2 ? MEMORY_ROLE_USER : MEMORY_ROLE_ASSISTANT,
                                 .author = seq % 2 ? "U1" : "",
                                 .text = text,
                                 .slack_ts = "1.5",
                                 .at_wall_s = 1790000000 + seq };
}

static int append(struct store *store, const char *key, int64_t seq, const char *text)
{
    struct memory_turn turn = turn_of(seq, text);
    struct store_mutation mutation = {
        .kind = STORE_APPEND_TURN, .key = key, .turn = &turn, .seq = seq
    };

    return apply(store, &mutation, 1, NULL);
}

static bool collect(void *context, const struct memory_turn *turn)
{
    buf_printf(context, "%lld=%s ", (long long)turn->seq, turn->text);
    return true;
}

static char *history(struct store *store, const char *key)
{
    struct store_range range = { 0 };
    struct buf out;

    buf_init(&out, 1 << 20);
    assert_int_equal(store->ops->history(store, key, &range, collect, &out, NULL), 0);
    return out.len ? buf_take(&out) : xstrdup("");
}

static void check_history(struct store *store, const char *key, const char *want,
                          const char *because)
{
    AUTO_FREE char *got = history(store, key);

    CHECK_TEXT(got, want, because);
}

static void read_file(const struct place *place, const char *name, struct buf *out)
{
    AUTO_FREE char *path = xasprintf("%s/%s", place->path, name);

    buf_init(out, 1 << 20);
    assert_int_equal(file_read(path, out, NULL), 0);
}

static void write_file(const struct place *place, const char *name, const char *text)
{
    AUTO_FREE char *path = xasprintf("%s/%s", place->path, name);

    assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static int count_names(const struct place *place, const char *folder, const char *part)
{
    AUTO_FREE char *path = xasprintf("%s/%s", place->path, folder);
    DIR *listing = opendir(path);
    const struct dirent *entry;
    int count = 0;

    while ((entry = readdir(listing))) /* NOLINT(concurrency-mt-unsafe): one thread */
        count += strstr(entry->d_name, part) != NULL;
    closedir(listing);
    return count;
}

static void keeps_the_contract(void)
{
    struct place place = { 0 };
    struct store_suite suite = { 0 };

    place_make(&place);
    suite.store = place.store;
    store_suite_run(&suite);
    CHECK_INT(count_names(&place, ".", ".json") + count_names(&place, "people", ".json") +
                  count_names(&place, "values", ".json"),
              0, "nothing is left");
    place_remove(&place);
}

/* ---- names ------------------------------------------------------------------------------- */

static void every_key_has_a_safe_name_of_its_own(void)
{
    char long_one[2100];
    char long_two[2100];
    const char *const keys[] = {
        "",  ".",   "..",     ".hidden", "U1:C1:171.5", "U1/C1/171.5", "a b",   "%",    "%2E",
        "~", "a~b", "people", "values",  "\n",          "\x7f",        "schön", "😀",    "A",
        "a", "-",   "..json", "x.json",  long_one,      long_two,      "a%b",   "a%25b"
    };
    char *names[ARRAY_LEN(keys)];

    memset(long_one, '/', sizeof(long_one));
    memset(long_two, '/', sizeof(long_two));
    long_one[sizeof(long_one) - 1] = long_two[sizeof(long_two) - 1] = '\0';
    long_two[sizeof(long_two) - 2] = 'x';
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        AUTO_FREE char *back = NULL;

        names[i] = files_name(keys[i]);
        back = files_key(names[i]);
        assert_true(strlen(names[i]) <= 200 && strlen(names[i]) > 5);
        assert_null(strchr(names[i], '/'));
        assert_true(names[i][0] != '.');
        if (keys[i] == long_one || keys[i] == long_two)
            assert_null(back);
        else
            CHECK_TEXT(back, keys[i], names[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
    }
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        free(names[i]);
}

static bool take_key(void *context, const struct store_conversation *conversation)
{
    buf_printf(context, "%s|", conversation->key);
    return true;
}

static void any_key_can_be_stored_and_listed(void)
{
    char longest[2049];
    const char *const keys[] = { ".", "..", "../../x", "schön:😀", "", longest };
    struct place place = { 0 };
    struct store_list all = { .user = "", .pattern = "", .after = "" };
    AUTO_BUF struct buf out = { 0 };

    memset(longest, 'k', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    place_make(&place);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(append(place.store, keys[i], 1, keys[i]), 0);
    place_reopen(&place);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        AUTO_FREE char *want = xasprintf("1=%s ", keys[i]);

        check_history(place.store, keys[i], want, "its own");
    }
    buf_init(&out, 65536);
    assert_int_equal(place.store->ops->list(place.store, &all, take_key, &out, NULL), 0);
    assert_int_equal(strncmp(buf_text(&out), "|.|..|../../x|kkk", 17), 0);
    CHECK_HOLDS(buf_text(&out), "k|schön:😀|", "in order of key");
    place_remove(&place);
}

/* ---- the file ---------------------------------------------------------------------------- */

static void a_person_can_read_a_file(void)
{
    struct place place = { 0 };
    AUTO_BUF struct buf text = { 0 };
    struct stat info;
    AUTO_FREE char *path = NULL;
    struct memory_turn turn = turn_of(1, "which \"auth\" system?");
    struct store_mutation batch[] = {
        { .kind = STORE_APPEND_TURN, .key = "U1:C1:1.5", .turn = &turn, .seq = 1 },
        { .kind = STORE_SET_FIELD, .key = "U1:C1:1.5", .name = "topic", .value = "[1,\"x\"]" },
        { .kind = STORE_SET_FIELD, .key = "U1:C1:1.5", .name = "odd", .value = "[ 0.1 ]" },
    };

    turn.metadata = "{\"model\":\"m\"}";
    place_make(&place);
    assert_int_equal(apply(place.store, batch, ARRAY_LEN(batch), NULL), 0);
    read_file(&place, "U1%3AC1%3A1.5.json", &text);
    CHECK_HOLDS(buf_text(&text), "\"key\": \"U1:C1:1.5\"", "its key");
    CHECK_HOLDS(buf_text(&text),
                "\n  {\"seq\":1,\"role\":\"user\",\"author\":\"U1\",\"text\":"
                "\"which \\\"auth\\\" system?\"",
                "a turn a line");
    CHECK_HOLDS(buf_text(&text), "\"metadata\":{\"model\":\"m\"}", "JSON as it is");
    CHECK_HOLDS(buf_text(&text), "\"value\":[1,\"x\"]", "a field as it is");
    CHECK_HOLDS(buf_text(&text), "\"value_text\":\"[ 0.1 ]\"", "what would not come back");
    path = xasprintf("%s/U1%%3AC1%%3A1.5.json", place.path);
    assert_int_equal(stat(path, &info), 0);
    CHECK_INT(info.st_mode & 0777, 0600, "private");
    assert_int_equal(stat(place.path, &info), 0);
    CHECK_INT(info.st_mode & 0777, 0700, "private");
    place_remove(&place);
}

static void a_damaged_file_is_put_aside(void)
{
    static const struct {
        const char *text;
        const char *because;
    } cases[] = {
        { "", "empty, as a power cut may leave it" },
        { "{\"key\": \"k\", \"tur", "cut" },
        { "[]", "no object" },
        { "{\"key\": \"other\"}", "of another key" },
        { "{\"key\": \"k\", \"last_seq\": 1, \"window_seq\": 0, \"used\": 0, \"touched\": 0, "
          "\"people\": [], \"turns\": [{\"seq\": 1}], \"summaries\": [], \"fields\": []}",
          "a turn without its text" },
        { "{\"key\": \"k\", \"last_seq\": 1, \"window_seq\": 0, \"used\": 0, \"touched\": 0, "
          "\"people\": [], \"turns\": [{\"seq\": 2, \"role\": \"user\", \"text\": \"x\", "
          "\"at\": 1, \"stored\": 1}], \"summaries\": [], \"fields\": []}",
          "a turn behind the last" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct place place = { 0 };
        struct store_mutation erase = { .kind = STORE_ERASE, .key = "k" };

        place_make(&place);
        assert_int_equal(append(place.store, "other", 1, "fine"), 0);
        write_file(&place, "k.json", cases[i].text);
        check_history(place.store, "k", "", cases[i].because);
        CHECK_INT(count_names(&place, ".", "k.json.damaged-"), 1, cases[i].because);
        assert_int_equal(append(place.store, "k", 1, "anew"), 0);
        check_history(place.store, "k", "1=anew ", "goes on");
        write_file(&place, "k.json", cases[i].text);
        assert_int_equal(append(place.store, "k", 1, "third"), 0);
        CHECK_INT(count_names(&place, ".", "k.json.damaged-"), 2, "both are kept");
        check_history(place.store, "other", "1=fine ", "others are left alone");
        assert_int_equal(apply(place.store, &erase, 1, NULL), 0);
        CHECK_INT(count_names(&place, ".", "k.json"), 0, "erased with the damaged copies");
        place_remove(&place);
    }
}

/* ---- batches ----------------------------------------------------------------------------- */

static void a_batch_over_several_files_is_whole(void)
{
    struct place place = { 0 };
    struct memory_turn one = turn_of(1, "one");
    struct memory_turn other = turn_of(1, "another");
    struct store_item item = { .user = "U1", .name = "language", .value = "\"de\"" };
    struct store_mutation batch[] = {
        { .kind = STORE_APPEND_TURN, .key = "a", .turn = &one, .seq = 1 },
        { .kind = STORE_SET_ITEM, .item = &item },
        { .kind = STORE_SET_VALUE, .key = "v", .value = "1" },
        { .kind = STORE_APPEND_TURN, .key = "b", .turn = &other, .seq = 1 },
    };
    struct err err = { 0 };

    place_make(&place);
    assert_int_equal(append(place.store, "b", 1, "one"), 0);
    assert_int_equal(apply(place.store, batch, ARRAY_LEN(batch), &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, err.message);
    check_history(place.store, "a", "", "nothing of it");
    CHECK_INT(count_names(&place, "people", ".json") + count_names(&place, "values", ".json"),
              0, "nothing of it");
    batch[3].turn = &one;
    assert_int_equal(apply(place.store, batch, ARRAY_LEN(batch), &err), 0);
    check_history(place.store, "a", "1=one ", "all of it");
    CHECK_INT(count_names(&place, "people", ".json") + count_names(&place, "values", ".json"),
              2, "all of it");
    CHECK_INT(count_names(&place, ".", ".tmp") + count_names(&place, ".", ".batch"), 0,
              "nothing is left over");
    place_remove(&place);
}

/* As if the process had died after .batch, with one rename done. */
static void a_batch_cut_short_is_carried_out(void)
{
    struct place place = { 0 };
    AUTO_BUF struct buf a = { 0 };
    AUTO_BUF struct buf b = { 0 };
    const char *const journal =
        "{\"changes\":[{\"folder\":0,\"name\":\"a.json\",\"temporary\":\".done.tmp\"},"
        "{\"folder\":0,\"name\":\"b.json\",\"temporary\":\".b.tmp\"},"
        "{\"folder\":0,\"name\":\"c.json\"}]}";

    place_make(&place);
    assert_int_equal(append(place.store, "a", 1, "one"), 0);
    assert_int_equal(append(place.store, "b", 1, "one"), 0);
    assert_int_equal(append(place.store, "c", 1, "one"), 0);
    read_file(&place, "b.json", &b);
    assert_int_equal(append(place.store, "b", 2, "two"), 0);
    read_file(&place, "b.json", &a);
    write_file(&place, "b.json", buf_text(&b));
    write_file(&place, ".b.tmp", buf_text(&a));
    write_file(&place, ".half.tmp", "{");
    write_file(&place, ".batch", journal);
    /* The next change does it, without a restart. */
    assert_int_equal(append(place.store, "d", 1, "one"), 0);
    check_history(place.store, "a", "1=one ", "done already");
    check_history(place.store, "b", "1=one 2=two ", "done now");
    check_history(place.store, "c", "", "erased");
    CHECK_INT(count_names(&place, ".", ".batch"), 0, "and forgotten");
    assert_int_equal(append(place.store, "c", 1, "anew"), 0);
    place_reopen(&place);
    check_history(place.store, "c", "1=anew ", "not a second time");
    CHECK_INT(count_names(&place, ".", ".tmp"), 0, "leftovers go at the open");
    place_remove(&place);
}

static void changes_nothing_when_the_disk_refuses(void)
{
    struct place place = { 0 };
    struct memory_turn one = turn_of(2, "two");
    struct store_mutation batch[] = {
        { .kind = STORE_APPEND_TURN, .key = "a", .turn = &one, .seq = 2 },
        { .kind = STORE_SET_VALUE, .key = "v", .value = "1" },
    };
    AUTO_FREE char *values = NULL;
    struct err err = { 0 };

    place_make(&place);
    values = xasprintf("%s/values", place.path);
    assert_int_equal(append(place.store, "a", 1, "one"), 0);
    assert_int_equal(rmdir(values), 0);
    assert_int_equal(apply(place.store, batch, ARRAY_LEN(batch), &err), -1);
    CHECK_INT(err.kind, ERR_SYSTEM, err.message);
    check_history(place.store, "a", "1=one ", "as before");
    CHECK_INT(count_names(&place, ".", ".tmp") + count_names(&place, ".", ".batch"), 0,
              "nothing is left over");
    place_remove(&place);
}

/* ---- two processes ----------------------------------------------------------------------- */

#define WRITERS     4
#define ADDS_BY_ONE 25

static void add_many(const struct place *place, int writer)
{
    struct store *store = store_files_new(place->path, NULL, true, NULL);
    AUTO_FREE char *element = xasprintf("[%d]", writer);
    struct store_mutation batch[] = {
        { .kind = STORE_ADD_VALUE, .key = "n", .number = 1 },
        { .kind = STORE_EDIT_FIELD,
          .key = "k",
          .name = "list",
          .value = element,
          .edit = STORE_EDIT_EXTEND },
    };

    for (int i = 0; store && i < ADDS_BY_ONE; i++) {
        if (apply(store, batch, ARRAY_LEN(batch), NULL) < 0)
            _exit(1);
    }
    _exit(store ? 0 : 1);
}

/* A disk that is full in the middle of a file. */
static void a_file_that_does_not_fit_changes_nothing(void)
{
    const struct rlimit small = { .rlim_cur = 8192, .rlim_max = RLIM_INFINITY };
    const struct rlimit none = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
    struct place place = { 0 };
    char text[20000];
    struct memory_turn turn = turn_of(2, text);
    struct store_mutation batch[] = {
        { .kind = STORE_APPEND_TURN, .key = "a", .turn = &turn, .seq = 2 },
        { .kind = STORE_SET_VALUE, .key = "v", .value = "1" },
    };

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    place_make(&place);
    assert_int_equal(append(place.store, "a", 1, "one"), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (size_t count = 1; count <= ARRAY_LEN(batch); count++) {
        struct err err = { 0 };

        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        assert_int_equal(apply(place.store, batch, count, &err), -1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
        CHECK_INT(err.kind, ERR_SYSTEM, err.message);
        check_history(place.store, "a", "1=one ", "as before");
        CHECK_INT(count_names(&place, ".", ".tmp") + count_names(&place, "values", ".json"), 0,
                  "nothing is left over");
    }
    assert_int_equal(apply(place.store, batch, ARRAY_LEN(batch), NULL), 0);
    CHECK_INT(count_names(&place, "values", ".json"), 1, "with room it is done");
    place_remove(&place);
}

/* ---- a process that dies ----------------------------------------------------------------- */

#define TOGETHER 4
#define DEATHS   20

/* A turn to each of several conversations in one batch, and how many there are. */
static void append_together(const struct place *place, int64_t seq)
{
    struct store *store = store_files_new(place->path, NULL, false, NULL);

    for (; store; seq++) {
        struct memory_turn turn = turn_of(seq, "together");
        AUTO_FREE char *number = xasprintf("%lld", (long long)seq);
        struct store_mutation batch[TOGETHER + 1] = {
            { .kind = STORE_SET_VALUE, .key = "n", .value = number }
        };
        static const char *const keys[TOGETHER] = { "a", "b", "c", "d" };

        for (int i = 0; i < TOGETHER; i++)
            batch[i + 1] = (struct store_mutation){
                .kind = STORE_APPEND_TURN, .key = keys[i], .turn = &turn, .seq = seq
            };
        if (apply(store, batch, ARRAY_LEN(batch), NULL) < 0)
            break;
    }
    _exit(1);
}

static int64_t last_of(struct store *store, const char *key)
{
    struct store_conversation size = { 0 };

    assert_int_equal(store->ops->size(store, key, &size, NULL), 0);
    CHECK_INT(size.turns, size.last_seq, "none is missing");
    return size.last_seq;
}

static bool take_value(void *context, const char *name, const char *value, int64_t expires)
{
    (void)name;
    (void)expires;
    buf_append_text(context, value);
    return true;
}

static void a_death_leaves_no_batch_in_halves(void)
{
    struct place place = { 0 };
    int64_t last = 0;

    place_make(&place);
    /* A slow process is given longer and longer, until it has done something. */
    for (int death = 0; death < DEATHS || (!last && death < 10 * DEATHS); death++) {
        AUTO_BUF struct buf number = { 0 };
        int status = 0;
        pid_t child = fork();

        if (child == 0)
            append_together(&place, last + 1);
        usleep((useconds_t)random_below(20000 + 2000 * (uint64_t)death));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        place_reopen(&place);
        last = last_of(place.store, "a");
        CHECK_INT(last_of(place.store, "b"), last, "all of it or nothing");
        CHECK_INT(last_of(place.store, "c"), last, "all of it or nothing");
        CHECK_INT(last_of(place.store, "d"), last, "all of it or nothing");
        buf_init(&number, 32);
        assert_int_equal(
            place.store->ops->values(place.store, "n", false, "", 0, take_value, &number, NULL),
            0);
        CHECK_INT(strtoll(buf_text(&number), NULL, 10), last, "in every folder");
        CHECK_INT(count_names(&place, ".", ".tmp") + count_names(&place, "values", ".tmp"), 0,
                  "nothing is left over");
    }
    assert_true(last > 0);
    place_remove(&place);
}

static void processes_lose_no_update(void)
{
    struct place place = { 0 };
    pid_t children[WRITERS];
    AUTO_BUF struct buf out = { 0 };
    int64_t before;
    size_t commas = 0;

    place_make(&place);
    before = place.store->ops->foreign_version(place.store, NULL);
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            add_many(&place, i);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = -1;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        CHECK_INT(status, 0, "a writer");
    }
    assert_true(place.store->ops->foreign_version(place.store, NULL) > before);
    buf_init(&out, 65536);
    assert_int_equal(
        place.store->ops->values(place.store, "n", false, "", 0, take_value, &out, NULL), 0);
    CHECK_TEXT(buf_text(&out), "100", "every addition");
    buf_clear(&out);
    assert_int_equal(place.store->ops->fields(place.store, "k", "list", take_value, &out, NULL),
                     0);
    for (const char *c = buf_text(&out); *c; c++)
        commas += *c == ',';
    CHECK_INT(commas + 1, (WRITERS * ADDS_BY_ONE), "every element");
    before = place.store->ops->foreign_version(place.store, NULL);
    assert_int_equal(append(place.store, "k", 1, "own"), 0);
    CHECK_INT(place.store->ops->foreign_version(place.store, NULL), before, "one's own is not");
    place_remove(&place);
}

static void gives_up_waiting_for_a_lock(void)
{
    struct place place = { 0 };
    AUTO_FREE char *path = NULL;
    AUTO_FD int fd = -1;
    struct memory_turn turn = turn_of(1, "x");
    struct store_mutation mutation = {
        .kind = STORE_APPEND_TURN, .key = "k", .turn = &turn, .seq = 1
    };
    struct err err = { 0 };

    place_make(&place);
    path = xasprintf("%s/.lock", place.path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(apply(place.store, &mutation, 1, &err), -1);
    CHECK_INT(err.kind, ERR_TEMP, err.message);
    check_history(place.store, "k", "", "reading needs no lock");
    assert_int_equal(flock(fd, LOCK_UN), 0);
    assert_int_equal(apply(place.store, &mutation, 1, &err), 0);
    place_remove(&place);
}

/* ---- upkeep ------------------------------------------------------------------------------ */

static void sweep(struct place *place, int64_t before_wall_s, struct store_swept *swept)
{
    int rc;

    while ((rc = place->store->ops->sweep(place->store, NULL, before_wall_s, swept, NULL)) > 0)
        ;
    assert_int_equal(rc, 0);
}

static void sweeps_by_the_time_of_storing(void)
{
    struct place place = { 0 };
    struct store_swept swept = { 0 };
    AUTO_BUF struct buf text = { 0 };
    char *stored;

    place_make(&place);
    for (int i = 0; i < 100; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(append(place.store, key, 1, "old"), 0);
    }
    write_file(&place, "k1.json.damaged-1", "text");
    sweep(&place, clock_wall_s() - 3600, &swept);
    CHECK_INT(swept.conversations + swept.turns, 0, "said long ago, but stored just now");
    /* A turn that was stored long ago, in a conversation that goes on. */
    assert_int_equal(append(place.store, "k0", 2, "new"), 0);
    read_file(&place, "k0.json", &text);
    stored = strstr(text.data, "\"stored\":1");
    assert_non_null(stored);
    stored[strlen("\"stored\":1")] = '0';
    write_file(&place, "k0.json", buf_text(&text));
    assert_int_equal(append(place.store, "k0", 3, "newer"), 0);
    sweep(&place, clock_wall_s() - 3600, &swept);
    CHECK_INT(swept.turns, 1, "the old turn");
    check_history(place.store, "k0", "2=new 3=newer ", "the others stay");
    sweep(&place, clock_wall_s() + 3600, &swept);
    CHECK_INT(swept.conversations, 100, "in the end everything");
    CHECK_INT(swept.turns, 102, "in the end everything");
    CHECK_INT(count_names(&place, ".", "json"), 0, "the damaged one as well");
    place_remove(&place);
}

static void sweeps_what_has_expired(void)
{
    struct place place = { 0 };
    struct store_swept swept = { 0 };
    int64_t now_ms = clock_wall_us() / 1000;
    struct store_mutation batch[] = {
        { .kind = STORE_SET_VALUE, .key = "old", .value = "1", .expires_wall_ms = now_ms - 1 },
        { .kind = STORE_SET_VALUE,
          .key = "new",
          .value = "1",
          .expires_wall_ms = now_ms + 60000 },
        { .kind = STORE_SET_VALUE, .key = "ever", .value = "1" },
        { .kind = STORE_SET_FIELD,
          .key = "k",
          .name = "old",
          .value = "1",
          .expires_wall_ms = now_ms - 1 },
        { .kind = STORE_SET_FIELD, .key = "k", .name = "new", .value = "1" },
    };

    place_make(&place);
    assert_int_equal(apply(place.store, batch, ARRAY_LEN(batch), NULL), 0);
    sweep(&place, 0, &swept);
    CHECK_INT(swept.values, 1, "the expired one");
    CHECK_INT(count_names(&place, "values", ".json"), 2, "the others stay");
    CHECK_INT(swept.conversations + swept.turns, 0, "nothing else");
    place_remove(&place);
}

static void a_backup_is_a_store(void)
{
    struct place place = { 0 };
    struct place copy = { 0 };
    struct err err = { 0 };
    struct store_mutation value = { .kind = STORE_SET_VALUE, .key = "v", .value = "1" };

    place_make(&place);
    assert_int_equal(append(place.store, "k/1", 1, "one"), 0);
    assert_int_equal(apply(place.store, &value, 1, NULL), 0);
    snprintf(copy.path, sizeof(copy.path), "%.64s.copy", place.path);
    assert_int_equal(place.store->ops->backup(place.store, copy.path, NULL, NULL, &err), 0);
    assert_int_equal(append(place.store, "k/1", 2, "two"), 0);
    place_open(&copy);
    check_history(copy.store, "k/1", "1=one ", "as it was");
    CHECK_INT(count_names(&copy, "values", ".json"), 1, "values as well");
    assert_int_equal(place.store->ops->backup(place.store, copy.path, NULL, NULL, &err), -1);
    CHECK_INT(err.kind, ERR_INPUT, "nothing is overwritten");
    place_remove(&copy);
    place_remove(&place);
}

static struct vault *make_vault(const struct place *place)
{
    AUTO_FREE char *path = xasprintf("%s/key", place->path);
    struct vault *vault = NULL;

    assert_int_equal(file_write(path, "0123456789abcdef0123456789abcdef", 32, 0600, NULL), 0);
    assert_int_equal(vault_open(path, &vault, NULL), 0);
    return vault;
}

static void keeps_the_contract_sealed(void)
{
    struct place place = { 0 };
    struct store_suite suite = { 0 };
    struct vault *vault;

    place_make(&place);
    vault = make_vault(&place);
    suite.store = store_files_new(place.path, vault, false, NULL);
    store_suite_run(&suite);
    suite.store->ops->free(suite.store);
    vault_free(vault);
    place_remove(&place);
}

static void texts_are_sealed_one_by_one(void)
{
    struct place place = { 0 };
    AUTO_BUF struct buf text = { 0 };
    struct vault *vault;
    struct store *sealed;
    struct store_mutation field = {
        .kind = STORE_SET_FIELD, .key = "k", .name = "topic", .value = "\"secret\""
    };

    place_make(&place);
    assert_int_equal(append(place.store, "k", 1, "plain"), 0);
    vault = make_vault(&place);
    sealed = store_files_new(place.path, vault, false, NULL);
    assert_int_equal(append(sealed, "k", 2, "secret words"), 0);
    assert_int_equal(append(sealed, "k", 2, "secret words"), 0);
    assert_int_equal(append(sealed, "k", 2, "other words"), -1);
    assert_int_equal(apply(sealed, &field, 1, NULL), 0);
    check_history(sealed, "k", "1=plain 2=secret words ", "both");
    read_file(&place, "k.json", &text);
    assert_null(strstr(buf_text(&text), "secret"));
    CHECK_HOLDS(buf_text(&text), "\"name\":\"topic\"", "the shape stays readable");
    sealed->ops->free(sealed);
    vault_free(vault);
    place_remove(&place);
}

TEST_MAIN(TEST(keeps_the_contract), TEST(keeps_the_contract_sealed),
          TEST(every_key_has_a_safe_name_of_its_own), TEST(any_key_can_be_stored_and_listed),
          TEST(a_person_can_read_a_file), TEST(a_damaged_file_is_put_aside),
          TEST(a_batch_over_several_files_is_whole), TEST(a_batch_cut_short_is_carried_out),
          TEST(changes_nothing_when_the_disk_refuses),
          TEST(a_file_that_does_not_fit_changes_nothing),
          TEST(a_death_leaves_no_batch_in_halves), TEST(processes_lose_no_update),
          TEST(gives_up_waiting_for_a_lock), TEST(sweeps_by_the_time_of_storing),
          TEST(sweeps_what_has_expired), TEST(a_backup_is_a_store),
          TEST(texts_are_sealed_one_by_one))
