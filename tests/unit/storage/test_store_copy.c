/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a reader sees one instant whatever is written beside it, and an install leaves the old
 * state or the new one, whole, wherever it is cut short. Method: LMDB in folders under /var/tmp; an
 * install killed at each of its steps is a child process that ends inside a file operation. */
#include "tests/unit/storage/storage_test.h"

#include "storage/snapshot_dir.h"
#include "storage/store_copy.h"
#include "tests/unit/storage/folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATH_SIZE = 256,
    ROWS = 5000,
    READS_MAX = 40
};

struct place {
    struct folder folder;
    char store[PATH_SIZE];
    char snapshots[PATH_SIZE];
};

static void make_place(struct place *place)
{
    folder_make(&place->folder);
    (void)snprintf(place->store, PATH_SIZE, "%s/store", place->folder.path);
    (void)snprintf(place->snapshots, PATH_SIZE, "%s/snapshots", place->folder.path);
    assert_int_equal(mkdir(place->store, 0700), 0);
    assert_int_equal(mkdir(place->snapshots, 0700), 0);
}

static struct store *open_store(const struct place *place)
{
    const struct store_options options = {.path = place->store};
    struct reason reason = {0};
    struct store *store = NULL;
    assert_int_equal(store_settle(place->store, &reason), ERR_OK);
    if (store_open(&options, &reason, &store) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
    return store;
}

static void fill(struct store *store, const char *word, uint64_t index)
{
    assert_int_equal(store_begin(store, 0), ERR_OK);
    for (uint32_t i = 0; i < ROWS; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%06u", i);
        tables_put(store_tables(store), TABLE_REGION, slice_of_string(key), slice_of_string(word));
    }
    assert_int_equal(store_commit(store, index, index), ERR_OK);
}

struct count {
    const char *word;
    uint32_t rows;
};

static bool expect_word(struct slice key, struct slice value, void *visit_ctx)
{
    struct count *count = visit_ctx;
    assert_int_equal(key.len, 6);
    assert_true(slice_equal(value, slice_of_string(count->word)));
    count->rows++;
    return true;
}

static void expect_all(const struct tables *tables, const char *word)
{
    struct count count = {.word = word};
    tables->ops->scan(tables->ctx, TABLE_REGION, slice_of("", 0), expect_word, &count);
    assert_int_equal(count.rows, ROWS);
}

static void expect_store(struct store *store, const char *word, uint64_t index)
{
    assert_int_equal(store_committed_index(store), index);
    assert_int_equal(store_begin(store, 0), ERR_OK);
    expect_all(store_tables(store), word);
    store_abort(store);
}

/* A store that holds "old" at 10, and a snapshot that holds "new" at 20. */
static void make_both(struct place *place, struct snapshot_info *info_out)
{
    make_place(place);
    const struct snapshot_dir dir = {.disk = disk_real(), .path = place->snapshots};
    const struct snapshot_header header = {
        .cluster = {.hi = 1, .lo = 2},
        .index = 20,
        .term = 2,
        .configuration = {1},
        .configuration_len = 1,
    };
    struct reason reason = {0};
    struct store_reader *reader = NULL;
    struct store *store = open_store(place);
    fill(store, "new", 20);
    assert_int_equal(store_reader_begin(store, &reader), ERR_OK);
    assert_int_equal(
        snapshot_dir_take(&dir, &header, store_reader_tables(reader), &reason, info_out), ERR_OK);
    store_reader_end(reader);
    store_close(store);
    char file[PATH_SIZE + 16];
    (void)snprintf(file, sizeof(file), "%s/data.mdb", place->store);
    assert_int_equal(unlink(file), 0);
    store = open_store(place);
    fill(store, "old", 10);
    store_close(store);
}

static void test_a_reader_sees_one_instant_while_the_store_is_written(void **state)
{
    (void)state;
    struct place place;
    struct store_reader *reader = NULL;
    make_place(&place);
    struct store *store = open_store(&place);
    fill(store, "before", 10);

    assert_int_equal(store_reader_begin(store, &reader), ERR_OK);
    fill(store, "after", 11);
    expect_all(store_reader_tables(reader), "before");
    store_reader_end(reader);
    expect_store(store, "after", 11);
    store_close(store);
    folder_remove(&place.folder);
}

static void test_an_installed_snapshot_replaces_the_store(void **state)
{
    (void)state;
    struct place place;
    struct snapshot_info info = {0};
    struct snapshot_header header = {0};
    struct reason reason = {0};
    char path[SNAPSHOT_PATH_SIZE];
    make_both(&place, &info);
    const struct snapshot_dir dir = {.disk = disk_real(), .path = place.snapshots};
    snapshot_dir_path(&dir, &info, path);

    assert_int_equal(store_install(disk_real(), path, place.store, &reason, &header), ERR_OK);

    assert_int_equal(header.index, 20);
    struct store *store = open_store(&place);
    expect_store(store, "new", 20);
    store_close(store);
    folder_remove(&place.folder);
}

static void test_a_damaged_snapshot_leaves_the_store_as_it_was(void **state)
{
    (void)state;
    struct place place;
    struct snapshot_info info = {0};
    struct snapshot_header header = {0};
    struct reason reason = {0};
    char path[SNAPSHOT_PATH_SIZE];
    make_both(&place, &info);
    const struct snapshot_dir dir = {.disk = disk_real(), .path = place.snapshots};
    snapshot_dir_path(&dir, &info, path);
    assert_int_equal(truncate(path, (off_t)info.size - 1), 0);

    assert_int_equal(store_install(disk_real(), path, place.store, &reason, &header), ERR_CORRUPT);
    assert_non_null(strstr(reason.text, path));

    struct store *store = open_store(&place);
    expect_store(store, "old", 10);
    store_close(store);
    folder_remove(&place.folder);
}

/* On a full disk the half-built store would keep the room that is missing. */
static void test_an_install_that_fails_leaves_nothing_beside_the_store(void **state)
{
    (void)state;
    struct place place;
    struct snapshot_info info = {0};
    struct snapshot_header header = {0};
    struct reason reason = {0};
    char path[SNAPSHOT_PATH_SIZE];
    char fresh[PATH_SIZE + 8];
    make_both(&place, &info);
    const struct snapshot_dir dir = {.disk = disk_real(), .path = place.snapshots};
    snapshot_dir_path(&dir, &info, path);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", place.store);
    assert_int_equal(truncate(path, (off_t)info.size - 1), 0);

    assert_int_equal(store_install(disk_real(), path, place.store, &reason, &header), ERR_CORRUPT);

    assert_int_equal(access(fresh, F_OK), -1);
    folder_remove(&place.folder);
}

/* The real disk, but the process ends at the nth read. */
static uint32_t reads_left;

static enum error dying_read(void *ctx, int file, void *data, size_t len, uint64_t offset)
{
    if (reads_left == 0) {
        _exit(9);
    }
    reads_left--;
    return disk_real()->read(ctx, file, data, len, offset);
}

static void test_a_cleared_store_holds_nothing(void **state)
{
    (void)state;
    struct place place;
    struct reason reason = {0};
    make_place(&place);
    struct store *store = open_store(&place);
    fill(store, "old", 10);
    store_close(store);
    assert_int_equal(store_clear(place.store, &reason), ERR_OK);
    store = open_store(&place);
    assert_int_equal(store_committed_index(store), 0);
    store_close(store);
    folder_remove(&place.folder);
}

static void test_a_process_that_dies_while_it_installs_leaves_a_whole_store(void **state)
{
    (void)state;
    struct place place;
    struct snapshot_info info = {0};
    struct reason reason = {0};
    char path[SNAPSHOT_PATH_SIZE];
    make_both(&place, &info);
    const struct snapshot_dir dir = {.disk = disk_real(), .path = place.snapshots};
    snapshot_dir_path(&dir, &info, path);
    bool done = false;
    for (uint32_t reads = 0; reads < READS_MAX && !done; reads++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct disk dying = *disk_real();
            struct snapshot_header header;
            dying.read = dying_read;
            reads_left = reads;
            _exit(store_install(&dying, path, place.store, &reason, &header) == ERR_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
        done = WEXITSTATUS(status) == 0;
        struct store *store = open_store(&place);
        expect_store(store, done ? "new" : "old", done ? 20 : 10);
        store_close(store);
    }
    assert_true(done);
    folder_remove(&place.folder);
}

static void test_an_exchange_cut_short_between_its_renames_is_ended_at_start(void **state)
{
    (void)state;
    struct place place;
    char old[PATH_SIZE + 8];
    char fresh[PATH_SIZE + 8];
    make_place(&place);
    (void)snprintf(old, sizeof(old), "%s.old", place.store);
    (void)snprintf(fresh, sizeof(fresh), "%s.new", place.store);
    struct store *store = open_store(&place);
    fill(store, "new", 20);
    store_close(store);
    assert_int_equal(rename(place.store, fresh), 0);
    assert_int_equal(mkdir(old, 0700), 0);

    store = open_store(&place);
    expect_store(store, "new", 20);
    store_close(store);
    assert_int_equal(access(old, F_OK), -1);
    assert_int_equal(access(fresh, F_OK), -1);
    folder_remove(&place.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_sees_one_instant_while_the_store_is_written),
        cmocka_unit_test(test_an_installed_snapshot_replaces_the_store),
        cmocka_unit_test(test_a_damaged_snapshot_leaves_the_store_as_it_was),
        cmocka_unit_test(test_an_install_that_fails_leaves_nothing_beside_the_store),
        cmocka_unit_test(test_a_cleared_store_holds_nothing),
        cmocka_unit_test(test_a_process_that_dies_while_it_installs_leaves_a_whole_store),
        cmocka_unit_test(test_an_exchange_cut_short_between_its_renames_is_ended_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
