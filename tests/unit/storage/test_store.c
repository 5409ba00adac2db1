/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the tables behave as state/tables.h says, and what is committed, no more and no less, is
 * there when the store is opened again. Method: LMDB in a folder of its own under /var/tmp. */
#include "tests/unit/storage/storage_test.h"

#include "base/mem.h"
#include "storage/store.h"
#include "storage/store_copy.h"
#include "tests/unit/storage/folder.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct folder folder;
    struct store *store;
    struct reason reason;
};

static void open_store(struct fixture *fixture, bool read_only)
{
    struct store_options options = {.path = fixture->folder.path, .read_only = read_only};
    if (store_open(&options, &fixture->reason, &fixture->store) != ERR_OK) {
        fail_msg("%s", fixture->reason.text);
    }
}

static int setup(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    folder_make(&fixture->folder);
    open_store(fixture, false);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    folder_remove(&fixture->folder);
    mem_free(fixture);
    return 0;
}

static void reopen(struct fixture *fixture, bool read_only)
{
    store_close(fixture->store);
    open_store(fixture, read_only);
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
}

static void put(struct fixture *fixture, enum table table, const char *key, const char *value)
{
    tables_put(store_tables(fixture->store), table, slice_of_string(key), slice_of_string(value));
}

static void expect(struct fixture *fixture, enum table table, const char *key, const char *value)
{
    struct slice found;
    enum error error =
        tables_get(store_tables(fixture->store), table, slice_of_string(key), &found);
    if (value == NULL) {
        assert_int_equal(error, ERR_NOT_FOUND);
        return;
    }
    assert_int_equal(error, ERR_OK);
    assert_true(slice_equal(found, slice_of_string(value)));
}

static void test_a_row_is_read_back_inside_its_transaction(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);

    put(fixture, TABLE_SHARD, "k", "v");

    expect(fixture, TABLE_SHARD, "k", "v");
    expect(fixture, TABLE_REGION, "k", NULL);
}

static void test_committed_rows_survive_and_others_do_not(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_SHARD, "kept", "v");
    assert_int_equal(store_commit(fixture->store, 7, 7), ERR_OK);
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_SHARD, "lost", "v");

    reopen(fixture, false);

    expect(fixture, TABLE_SHARD, "kept", "v");
    expect(fixture, TABLE_SHARD, "lost", NULL);
    assert_int_equal(store_committed_index(fixture->store), 7);
}

static void test_nothing_is_committed_above_the_durable_log(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_SHARD, "k", "v");

    assert_int_equal(store_commit(fixture->store, 8, 7), ERR_PRECONDITION);

    expect(fixture, TABLE_SHARD, "k", "v");
    assert_int_equal(store_commit(fixture->store, 8, 8), ERR_OK);
}

static void test_an_aborted_transaction_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_SHARD, "k", "v");

    store_abort(fixture->store);

    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    expect(fixture, TABLE_SHARD, "k", NULL);
}

static void test_deleting_a_row_that_is_not_there_does_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_NAME, "a", "1");

    tables_del(store_tables(fixture->store), TABLE_NAME, slice_of_string("b"));
    tables_del(store_tables(fixture->store), TABLE_NAME, slice_of_string("a"));

    expect(fixture, TABLE_NAME, "a", NULL);
}

static bool collect(struct slice key, struct slice value, void *visit_ctx)
{
    struct buf *seen = visit_ctx;
    buf_append(seen, key.data, key.len);
    buf_append(seen, value.data, value.len);
    return seen->len < 6;
}

static void test_a_scan_goes_in_order_from_its_key_until_told_to_stop(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_NAME, "d", "4");
    put(fixture, TABLE_NAME, "b", "2");
    put(fixture, TABLE_NAME, "a", "1");
    put(fixture, TABLE_NAME, "c", "3");
    put(fixture, TABLE_NAME, "e", "5");
    put(fixture, TABLE_REGION, "bb", "x");
    const struct tables *tables = store_tables(fixture->store);

    struct buf seen = {0};
    tables->ops->scan(tables->ctx, TABLE_NAME, slice_of_string("aa"), collect, &seen);

    assert_true(slice_equal(buf_view(&seen), slice_of_string("b2c3d4")));
    buf_clear(&seen);
    tables->ops->scan(tables->ctx, TABLE_NAME, (struct slice){0}, collect, &seen);
    assert_true(slice_equal(buf_view(&seen), slice_of_string("a1b2c3")));
    buf_deinit(&seen);
}

static void test_a_value_may_be_copied_from_one_row_to_another(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    const struct tables *tables = store_tables(fixture->store);
    put(fixture, TABLE_NAME, "m", "the value that is borrowed");
    struct slice value;
    assert_int_equal(tables_get(tables, TABLE_NAME, slice_of_string("m"), &value), ERR_OK);

    tables_put(tables, TABLE_NAME, slice_of_string("a"), value);

    expect(fixture, TABLE_NAME, "a", "the value that is borrowed");
    expect(fixture, TABLE_NAME, "m", "the value that is borrowed");
}

static void test_a_transaction_wants_its_commit_after_fifty_milliseconds(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 1000), ERR_OK);
    assert_false(store_wants_commit(fixture->store, 2000));

    put(fixture, TABLE_NAME, "a", "1");

    assert_false(store_wants_commit(fixture->store, 1049));
    assert_true(store_wants_commit(fixture->store, 1050));
}

static void test_a_transaction_wants_its_commit_after_two_mebibytes(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    char *value = mem_new(1024 * 1024 + 1);
    memset(value, 'x', 1024 * 1024);

    put(fixture, TABLE_NAME, "a", value);
    assert_false(store_wants_commit(fixture->store, 0));
    put(fixture, TABLE_NAME, "b", value);

    assert_true(store_wants_commit(fixture->store, 0));
    mem_free(value);
}

static void fill_mebibytes(struct fixture *fixture, uint64_t from, uint64_t to)
{
    char *value = mem_new(1024 * 1024 + 1);
    memset(value, 'x', 1024 * 1024);
    for (uint64_t i = from; i < to; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "%05" PRIu64, i);
        assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
        put(fixture, TABLE_NAME, key, value);
        assert_int_equal(store_commit(fixture->store, i, i), ERR_OK);
    }
    mem_free(value);
}

static bool count_mebibyte(struct slice key, struct slice value, void *visit_ctx)
{
    (void)key;
    assert_int_equal(value.len, 1024 * 1024);
    assert_int_equal(value.data[value.len - 1], 'x');
    (*(uint32_t *)visit_ctx)++;
    return true;
}

/* The map may not be moved then: the reader looks at it. */
static void test_a_reader_stays_whole_while_the_store_grows_past_the_margin(void **state)
{
    enum {
        BEFORE = 4,
        AFTER = 16
    };
    struct fixture *fixture = *state;
    store_close(fixture->store);
    struct store_options options = {.path = fixture->folder.path,
                                    .map_bytes =
                                        STORE_MAP_MARGIN_BYTES + (uint64_t)8 * 1024 * 1024};
    assert_int_equal(store_open(&options, &fixture->reason, &fixture->store), ERR_OK);
    fill_mebibytes(fixture, 1, 1 + BEFORE);
    struct store_reader *reader = NULL;
    assert_int_equal(store_reader_begin(fixture->store, &reader), ERR_OK);

    fill_mebibytes(fixture, 1 + BEFORE, 1 + AFTER);

    uint32_t rows = 0;
    const struct tables *seen = store_reader_tables(reader);
    seen->ops->scan(seen->ctx, TABLE_NAME, slice_of("", 0), count_mebibyte, &rows);
    assert_int_equal(rows, BEFORE);
    store_reader_end(reader);
    uint64_t used;
    uint64_t map;
    store_usage(fixture->store, &used, &map);
    assert_int_equal(map, options.map_bytes);
    assert_true(store_is_nearly_full(used, map));
}

static void test_a_store_has_room_for_any_state_from_the_start(void **state)
{
    struct fixture *fixture = *state;
    uint64_t used;
    uint64_t map;
    store_usage(fixture->store, &used, &map);
    assert_true(map == (uint64_t)256 << 30);
    assert_false(store_is_nearly_full(used, map));
}

static void test_a_stopped_members_store_is_read_without_writing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    put(fixture, TABLE_LEDGER_LEAF, "k", "v");
    assert_int_equal(store_commit(fixture->store, 3, 3), ERR_OK);

    reopen(fixture, true);

    expect(fixture, TABLE_LEDGER_LEAF, "k", "v");
    assert_int_equal(store_committed_index(fixture->store), 3);
}

/* Commits rows until the file may not grow any more; returns how many commits succeeded. Runs in a
 * child, whose file size limit stands for a full disk. */
static int commit_until_full(const char *path)
{
    struct rlimit limit = {.rlim_cur = 2 * 1024 * 1024, .rlim_max = 2 * 1024 * 1024};
    struct store_options options = {.path = path};
    struct reason reason;
    struct store *store;
    char *value = mem_new(100 * 1024 + 1);
    memset(value, 'x', 100 * 1024);
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        store_open(&options, &reason, &store) != ERR_OK) {
        return 0;
    }
    for (int i = 1; i < 100; i++) {
        char key[2] = {(char)i, 0};
        if (store_begin(store, 0) != ERR_OK) {
            return 0;
        }
        tables_put(store_tables(store), TABLE_NAME, slice_of_string(key), slice_of_string(value));
        if (store_commit(store, (uint64_t)i, (uint64_t)i) != ERR_OK) {
            return store_reason(store)->text[0] != '\0' ? i - 1 : 0;
        }
    }
    return 0;
}

static void test_a_commit_without_space_fails_and_earlier_ones_stand(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(commit_until_full(fixture->folder.path));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    int commits = WEXITSTATUS(status);
    assert_in_range(commits, 3, 30);

    open_store(fixture, false);

    assert_int_equal(store_committed_index(fixture->store), commits);
    assert_int_equal(store_begin(fixture->store, 0), ERR_OK);
    for (int i = 1; i < 100; i++) {
        char key[2] = {(char)i, 0};
        struct slice value;
        enum error error =
            tables_get(store_tables(fixture->store), TABLE_NAME, slice_of_string(key), &value);
        assert_int_equal(error, i <= commits ? ERR_OK : ERR_NOT_FOUND);
    }
}

static void test_a_damaged_store_is_refused_with_what_to_do(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    folder_overwrite(&fixture->folder, "data.mdb", 0, "garbage garbage garbage garbage garbage");
    folder_overwrite(&fixture->folder, "data.mdb", 4096, "garbage garbage garbage garbage garbage");
    struct store_options options = {.path = fixture->folder.path};

    assert_int_equal(store_open(&options, &fixture->reason, &fixture->store), ERR_CORRUPT);

    assert_non_null(strstr(fixture->reason.text, "rebuilt from the log"));
    folder_remove(&fixture->folder);
    folder_make(&fixture->folder);
    open_store(fixture, false);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_a_row_is_read_back_inside_its_transaction),
        STORE_TEST(test_committed_rows_survive_and_others_do_not),
        STORE_TEST(test_nothing_is_committed_above_the_durable_log),
        STORE_TEST(test_an_aborted_transaction_leaves_nothing),
        STORE_TEST(test_deleting_a_row_that_is_not_there_does_nothing),
        STORE_TEST(test_a_scan_goes_in_order_from_its_key_until_told_to_stop),
        STORE_TEST(test_a_value_may_be_copied_from_one_row_to_another),
        STORE_TEST(test_a_transaction_wants_its_commit_after_fifty_milliseconds),
        STORE_TEST(test_a_transaction_wants_its_commit_after_two_mebibytes),
        STORE_TEST(test_a_reader_stays_whole_while_the_store_grows_past_the_margin),
        STORE_TEST(test_a_store_has_room_for_any_state_from_the_start),
        STORE_TEST(test_a_stopped_members_store_is_read_without_writing),
        STORE_TEST(test_a_commit_without_space_fails_and_earlier_ones_stand),
        STORE_TEST(test_a_damaged_store_is_refused_with_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
