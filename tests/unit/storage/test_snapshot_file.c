/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a snapshot file comes back row by row or is refused with its place; a whole name never
 * stands for half a file, whatever crash lies between. Method: tables of fixed rows, a disk in
 * memory that loses, tears and flips. */
#include "tests/unit/storage/storage_test.h"

#include "base/hash.h"
#include "base/mem.h"
#include "storage/snapshot_dir.h"
#include "tests/support/fault_disk.h"

#include <stdio.h>
#include <string.h>

enum {
    ROWS = 300,
    VALUE_BYTES = 2000, /* several blocks */
};

static const struct cluster_id CLUSTER = {.hi = 7, .lo = 9};

/* Rows of two tables, made on demand: key "k<number>", a value that depends on number and version.
 */
struct rows {
    uint32_t version;
    uint32_t seen;
};

static struct slice make_value(uint32_t number, uint32_t version, char *text)
{
    memset(text, 'a' + (int)((number + version) % 26), VALUE_BYTES);
    (void)snprintf(text, VALUE_BYTES, "%u of %u", number, version);
    return slice_of(text, VALUE_BYTES);
}

static void
scan_rows(void *ctx, enum table table, struct slice from, tables_visit visit, void *visit_ctx)
{
    const struct rows *rows = ctx;
    char key[16];
    static char value[VALUE_BYTES];
    assert_int_equal(from.len, 0);
    if (table != TABLE_META && table != TABLE_LEDGER_LEAF) {
        return;
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        (void)snprintf(key, sizeof(key), "k%06u", i);
        if (!visit(slice_of_string(key), make_value(i, rows->version, value), visit_ctx)) {
            return;
        }
    }
}

static const struct tables_ops ROWS_OPS = {.scan = scan_rows};

static bool expect_row(enum table table, struct slice key, struct slice value, void *row_ctx)
{
    struct rows *rows = row_ctx;
    char expected_key[16];
    static char expected[VALUE_BYTES];
    (void)snprintf(expected_key, sizeof(expected_key), "k%06u", rows->seen % ROWS);
    assert_int_equal(table, rows->seen < ROWS ? TABLE_META : TABLE_LEDGER_LEAF);
    assert_true(slice_equal(key, slice_of_string(expected_key)));
    assert_true(slice_equal(value, make_value(rows->seen % ROWS, rows->version, expected)));
    rows->seen++;
    return true;
}

static struct snapshot_header header_at(uint64_t index)
{
    struct snapshot_header header = {
        .cluster = CLUSTER, .index = index, .term = 3, .configuration_len = 4};
    memcpy(header.configuration, "conf", 4);
    return header;
}

static enum error
take(struct fault_disk *fault, uint64_t index, uint32_t version, struct snapshot_info *info_out)
{
    struct rows rows = {.version = version};
    const struct tables tables = {.ops = &ROWS_OPS, .ctx = &rows};
    const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
    const struct snapshot_header header = header_at(index);
    struct reason reason = {0};
    return snapshot_dir_take(&dir, &header, &tables, &reason, info_out);
}

static enum error load(struct fault_disk *fault,
                       const struct snapshot_info *info,
                       uint32_t version,
                       struct reason *reason)
{
    const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
    struct rows rows = {.version = version};
    struct snapshot_header header = {0};
    char path[SNAPSHOT_PATH_SIZE];
    snapshot_dir_path(&dir, info, path);
    const struct snapshot_taker taker = {.row = expect_row, .row_ctx = &rows};
    enum error error = snapshot_file_load(
        fault_disk_ops(fault), path, reason, &header, version != 0 ? &taker : NULL);
    if (error == ERR_OK && version != 0) {
        assert_int_equal(rows.seen, 2 * ROWS);
        assert_int_equal(header.index, info->index);
        assert_int_equal(header.configuration_len, 4);
        assert_memory_equal(header.configuration, "conf", 4);
    }
    return error;
}

static void test_a_snapshot_comes_back_row_by_row_with_its_header(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct snapshot_info info = {0};
    struct reason reason = {0};
    assert_int_equal(take(fault, 42, 5, &info), ERR_OK);
    assert_int_equal(info.index, 42);
    assert_true(info.size > 2 * ROWS * VALUE_BYTES);
    assert_int_equal(load(fault, &info, 5, &reason), ERR_OK);
    fault_disk_free(fault);
}

static void test_the_same_state_gives_the_same_bytes(void **state)
{
    (void)state;
    struct fault_disk *one = fault_disk_new(1);
    struct fault_disk *other = fault_disk_new(2);
    const struct snapshot_dir dir = {.disk = fault_disk_ops(one), .path = "snapshots"};
    struct snapshot_info info = {0};
    char path[SNAPSHOT_PATH_SIZE];
    assert_int_equal(take(one, 42, 5, &info), ERR_OK);
    assert_int_equal(take(other, 42, 5, &info), ERR_OK);
    snapshot_dir_path(&dir, &info, path);
    assert_true(slice_equal(fault_disk_view(one, path), fault_disk_view(other, path)));
    fault_disk_free(one);
    fault_disk_free(other);
}

static void test_a_flipped_bit_anywhere_is_found(void **state)
{
    (void)state;
    uint64_t seed = test_seed(20261121);
    struct prng prng;
    prng_init(&prng, seed);
    struct fault_disk *fault = fault_disk_new(seed);
    const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
    struct snapshot_info info = {0};
    char path[SNAPSHOT_PATH_SIZE];
    assert_int_equal(take(fault, 42, 5, &info), ERR_OK);
    snapshot_dir_path(&dir, &info, path);
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t offset = i < 64    ? i
                          : i < 128 ? info.size - 1 - (i - 64)
                                    : prng_below(&prng, info.size);
        uint8_t mask = (uint8_t)(1U << prng_below(&prng, 8));
        struct reason reason = {0};
        fault_disk_flip(fault, path, offset, mask);
        enum error error = load(fault, &info, 0, &reason);
        if (error != ERR_CORRUPT && error != ERR_VERSION) {
            fail_msg("offset %lu: %s", (unsigned long)offset, error_name(error));
        }
        assert_non_null(strstr(reason.text, path));
        fault_disk_flip(fault, path, offset, mask);
    }
    struct reason reason = {0};
    assert_int_equal(load(fault, &info, 5, &reason), ERR_OK);
    fault_disk_free(fault);
}

static void test_a_file_that_ends_early_or_late_is_refused(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
    struct snapshot_info info = {0};
    char path[SNAPSHOT_PATH_SIZE];
    assert_int_equal(take(fault, 42, 5, &info), ERR_OK);
    snapshot_dir_path(&dir, &info, path);
    struct buf whole = {0};
    struct slice view = fault_disk_view(fault, path);
    buf_append(&whole, view.data, view.len);
    buf_put_u8(&whole, 0);
    for (size_t len = 0; len <= whole.len; len += len < 200 || len + 50 > whole.len ? 1 : 4999) {
        struct reason reason = {0};
        fault_disk_put(fault, path, slice_of(whole.data, len));
        enum error error = load(fault, &info, 0, &reason);
        assert_int_equal(error, len == whole.len - 1 ? ERR_OK : ERR_CORRUPT);
    }
    buf_deinit(&whole);
    fault_disk_free(fault);
}

static void test_a_header_without_a_configuration_is_refused(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct buf file = {0};
    buf_put_u32(&file, 8 + 4 + 4 * 8 + 4); /* the length of what follows the kind */
    buf_put_u32(&file, 1);
    buf_put_u64(&file, 0x31504e5341444e49ULL);
    buf_put_u32(&file, SNAPSHOT_FORMAT);
    buf_put_u64(&file, CLUSTER.hi);
    buf_put_u64(&file, CLUSTER.lo);
    buf_put_u64(&file, 42);
    buf_put_u64(&file, 3);
    buf_put_bytes(&file, slice_of(NULL, 0));
    buf_put_u64(&file, hash_xxh3(file.data, file.len, 0));
    fault_disk_put(fault, "given.snap", buf_view(&file));
    struct reason reason = {0};
    struct snapshot_header header;
    assert_int_equal(snapshot_file_header(fault_disk_ops(fault), "given.snap", &reason, &header),
                     ERR_CORRUPT);
    assert_non_null(strstr(reason.text, "its header cannot be read"));
    buf_deinit(&file);
    fault_disk_free(fault);
}

static void test_a_power_cut_at_any_step_leaves_a_whole_snapshot(void **state)
{
    (void)state;
    uint64_t seed = test_seed(20261121);
    for (uint64_t step = 1; step <= 30; step++) {
        struct fault_disk *fault = fault_disk_new(seed + step);
        const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
        struct snapshot_info first = {0};
        struct snapshot_info second = {0};
        struct snapshot_info newest = {0};
        struct snapshot_info partial = {0};
        struct reason reason = {0};
        assert_int_equal(take(fault, 42, 5, &first), ERR_OK);

        fault_disk_fail_nth(fault, step, ERR_IO);
        enum error error = take(fault, 50, 6, &second);
        fault_disk_crash(fault);

        assert_int_equal(snapshot_dir_scan(&dir, &reason, &newest, &partial), ERR_OK);
        assert_int_equal(partial.index, 0);
        assert_true(newest.index == 42 || newest.index == 50);
        if (error == ERR_OK) {
            assert_int_equal(newest.index, 50);
        }
        assert_int_equal(load(fault, &newest, newest.index == 42 ? 5 : 6, &reason), ERR_OK);
        fault_disk_free(fault);
    }
}

/* Also by a start: the newest may turn out to be damaged. */
static void test_only_the_two_newest_are_kept(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
    struct snapshot_info info = {0};
    struct blob *chunk = NULL;
    for (uint64_t index = 10; index <= 50; index += 10) {
        assert_int_equal(take(fault, index, 5, &info), ERR_OK);
    }
    struct reason reason = {0};
    struct snapshot_info newest = {0};
    struct snapshot_info partial = {0};
    assert_int_equal(snapshot_dir_scan(&dir, &reason, &newest, &partial), ERR_OK);
    assert_int_equal(newest.index, 50);
    assert_int_equal(snapshot_dir_read(&dir, 30, 0, 100, &chunk), ERR_NOT_FOUND);
    assert_int_equal(snapshot_dir_read(&dir, 40, 0, 100, &chunk), ERR_OK);
    assert_int_equal(chunk->len, 100);
    blob_unref(chunk);
    assert_int_equal(snapshot_dir_read(&dir, 50, info.size - 10, 100, &chunk), ERR_OK);
    assert_int_equal(chunk->len, 10);
    blob_unref(chunk);
    fault_disk_free(fault);
}

/* Copies `from`'s snapshot to `to` in chunks, from `offset` on. */
static void send_chunks(struct fault_disk *from,
                        struct fault_disk *to,
                        const struct snapshot_info *info,
                        uint64_t offset,
                        uint64_t end)
{
    const struct snapshot_dir source = {.disk = fault_disk_ops(from), .path = "snapshots"};
    const struct snapshot_dir target = {.disk = fault_disk_ops(to), .path = "snapshots"};
    while (offset < end) {
        struct blob *chunk = NULL;
        assert_int_equal(snapshot_dir_read(&source, info->index, offset, 70000, &chunk), ERR_OK);
        assert_int_equal(snapshot_dir_receive(&target, info, offset, blob_view(chunk)), ERR_OK);
        offset += chunk->len;
        blob_unref(chunk);
    }
}

static void test_a_received_snapshot_is_resumed_after_a_restart_and_accepted(void **state)
{
    (void)state;
    struct fault_disk *from = fault_disk_new(1);
    struct fault_disk *to = fault_disk_new(2);
    const struct snapshot_dir target = {.disk = fault_disk_ops(to), .path = "snapshots"};
    struct snapshot_info info = {0};
    struct snapshot_info newest = {0};
    struct snapshot_info partial = {0};
    struct reason reason = {0};
    assert_int_equal(take(from, 42, 5, &info), ERR_OK);
    send_chunks(from, to, &info, 0, info.size / 2);
    fault_disk_kill(to);
    assert_int_equal(snapshot_dir_scan(&target, &reason, &newest, &partial), ERR_OK);
    assert_int_equal(newest.index, 0);
    assert_int_equal(partial.index, 42);
    assert_true(partial.size >= info.size / 2);
    assert_int_equal(snapshot_dir_accept(&target, &info, CLUSTER, &reason), ERR_CORRUPT);

    send_chunks(from, to, &info, 0, info.size / 2);
    struct slice some = slice_of_string("too far");
    assert_int_equal(snapshot_dir_receive(&target, &info, info.size, some), ERR_PRECONDITION);
    assert_int_equal(snapshot_dir_scan(&target, &reason, &newest, &partial), ERR_OK);
    send_chunks(from, to, &info, partial.size, info.size);
    assert_int_equal(snapshot_dir_accept(&target, &info, CLUSTER, &reason), ERR_OK);
    fault_disk_crash(to);
    assert_int_equal(snapshot_dir_scan(&target, &reason, &newest, &partial), ERR_OK);
    assert_int_equal(newest.index, 42);
    assert_int_equal(partial.index, 0);
    assert_int_equal(load(to, &newest, 5, &reason), ERR_OK);
    fault_disk_free(from);
    fault_disk_free(to);
}

/* What failed for the disk's sake need not be fetched anew; what could not be synced has to be. */
static void test_an_accept_that_failed_may_be_tried_again(void **state)
{
    (void)state;

    enum {
        SYNC = 1,
        RENAME = 2,
        SYNC_DIR = 3
    };

    for (uint64_t step = SYNC; step <= SYNC_DIR; step++) {
        struct fault_disk *from = fault_disk_new(1);
        struct fault_disk *to = fault_disk_new(2);
        const struct snapshot_dir target = {.disk = fault_disk_ops(to), .path = "snapshots"};
        struct snapshot_info info = {0};
        struct snapshot_info newest = {0};
        struct snapshot_info partial = {0};
        struct reason reason = {0};
        assert_int_equal(take(from, 42, 5, &info), ERR_OK);
        send_chunks(from, to, &info, 0, info.size);
        fault_disk_fail_nth(to, step, ERR_IO);
        assert_int_equal(snapshot_dir_accept(&target, &info, CLUSTER, &reason), ERR_IO);

        enum error again = snapshot_dir_accept(&target, &info, CLUSTER, &reason);
        assert_int_equal(again, step == SYNC ? ERR_NOT_FOUND : ERR_OK);
        fault_disk_crash(to);
        assert_int_equal(snapshot_dir_scan(&target, &reason, &newest, &partial), ERR_OK);
        assert_int_equal(newest.index, step == SYNC ? 0 : 42);
        fault_disk_free(from);
        fault_disk_free(to);
    }
}

static void test_a_snapshot_of_another_cluster_or_index_is_not_accepted(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    const struct snapshot_dir dir = {.disk = fault_disk_ops(fault), .path = "snapshots"};
    const struct cluster_id other = {.hi = 1, .lo = 1};
    struct snapshot_info info = {0};
    struct reason reason = {0};
    assert_int_equal(take(fault, 42, 5, &info), ERR_OK);
    send_chunks(fault, fault, &info, 0, info.size);
    assert_int_equal(snapshot_dir_accept(&dir, &info, other, &reason), ERR_WRONG_CLUSTER);

    struct snapshot_info named = {.index = 43, .term = 3, .size = info.size};
    struct blob *whole = NULL;
    assert_int_equal(snapshot_dir_read(&dir, 42, 0, UINT32_MAX, &whole), ERR_OK);
    assert_int_equal(snapshot_dir_receive(&dir, &named, 0, blob_view(whole)), ERR_OK);
    assert_int_equal(snapshot_dir_accept(&dir, &named, CLUSTER, &reason), ERR_CORRUPT);
    blob_unref(whole);
    fault_disk_free(fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_comes_back_row_by_row_with_its_header),
        cmocka_unit_test(test_the_same_state_gives_the_same_bytes),
        cmocka_unit_test(test_a_flipped_bit_anywhere_is_found),
        cmocka_unit_test(test_a_file_that_ends_early_or_late_is_refused),
        cmocka_unit_test(test_a_header_without_a_configuration_is_refused),
        cmocka_unit_test(test_a_power_cut_at_any_step_leaves_a_whole_snapshot),
        cmocka_unit_test(test_only_the_two_newest_are_kept),
        cmocka_unit_test(test_a_received_snapshot_is_resumed_after_a_restart_and_accepted),
        cmocka_unit_test(test_an_accept_that_failed_may_be_tried_again),
        cmocka_unit_test(test_a_snapshot_of_another_cluster_or_index_is_not_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
