/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the append thread completes writes in order, shares syncs, refuses when full and stops at
 * the first error. Method: a disk in memory whose sync can be held back by the test, so that what
 * gathers meanwhile is known; all waits are on conditions. */
#include "tests/unit/storage/storage_test.h"

#include "base/check.h"
#include "base/mem.h"
#include "storage/wal_writer.h"
#include "tests/support/support_wait.h"
#include "tests/unit/storage/wal_fixture.h"

#include <pthread.h>
#include <string.h>

enum {
    REPORTS_MAX = 4096
};

struct fixture {
    struct wal_fixture log;
    struct wal_writer *writer;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t syncs_begun;
    uint64_t syncs_passed;
    uint64_t syncs_allowed; /* the gate: later syncs wait */
    uint64_t reports[REPORTS_MAX];
    uint64_t reports_count;
    uint64_t durable_index;
    enum error fatal;
    bool reason_given;
};

static void pass_gate(void *hook_ctx)
{
    struct fixture *fixture = hook_ctx;
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    fixture->syncs_begun++;
    CHECK(pthread_cond_broadcast(&fixture->changed) == 0);
    while (fixture->syncs_passed >= fixture->syncs_allowed) {
        CHECK(pthread_cond_wait(&fixture->changed, &fixture->lock) == 0);
    }
    fixture->syncs_passed++;
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

static void on_durable(uint64_t seq, uint64_t durable_index, void *ctx)
{
    struct fixture *fixture = ctx;
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    CHECK(fixture->reports_count < REPORTS_MAX);
    fixture->reports[fixture->reports_count++] = seq;
    fixture->durable_index = durable_index;
    CHECK(pthread_cond_broadcast(&fixture->changed) == 0);
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

static void on_fatal(enum error error, const struct reason *reason, void *ctx)
{
    struct fixture *fixture = ctx;
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    fixture->fatal = error;
    fixture->reason_given = strstr(reason->text, "This member must stop") != NULL;
    CHECK(pthread_cond_broadcast(&fixture->changed) == 0);
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

/* A writer of which only the first `syncs_allowed` syncs end before allow_syncs says so. */
static struct fixture *start(uint32_t queue_writes_max, uint64_t syncs_allowed)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    CHECK(pthread_mutex_init(&fixture->lock, NULL) == 0);
    CHECK(pthread_cond_init(&fixture->changed, NULL) == 0);
    wal_fixture_init(&fixture->log, 11, 1024 * 1024);
    fixture->syncs_allowed = syncs_allowed;
    fault_disk_on_sync(fixture->log.disk, pass_gate, fixture);
    struct wal_writer_options options = {
        .wal = fixture->log.wal,
        .on_durable = on_durable,
        .on_fatal = on_fatal,
        .ctx = fixture,
        .queue_writes_max = queue_writes_max,
    };
    assert_int_equal(wal_writer_start(&options, &fixture->writer), ERR_OK);
    fixture->log.wal = NULL; /* the writer has it */
    return fixture;
}

static void allow_syncs(struct fixture *fixture, uint64_t count)
{
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    fixture->syncs_allowed = count;
    CHECK(pthread_cond_broadcast(&fixture->changed) == 0);
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

static void wait_for_sync(struct fixture *fixture, uint64_t count)
{
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    while (fixture->syncs_begun < count) {
        CHECK(pthread_cond_wait(&fixture->changed, &fixture->lock) == 0);
    }
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

static void wait_for_seq(struct fixture *fixture, uint64_t seq)
{
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    while (fixture->reports_count == 0 || fixture->reports[fixture->reports_count - 1] < seq) {
        CHECK(pthread_cond_wait(&fixture->changed, &fixture->lock) == 0);
    }
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

static void wait_for_fatal(struct fixture *fixture)
{
    CHECK(pthread_mutex_lock(&fixture->lock) == 0);
    while (fixture->fatal == ERR_OK) {
        CHECK(pthread_cond_wait(&fixture->changed, &fixture->lock) == 0);
    }
    CHECK(pthread_mutex_unlock(&fixture->lock) == 0);
}

static enum error submit(struct fixture *fixture, uint64_t index)
{
    struct raft_write write = wal_fixture_write(index, 1, 1, 20);
    enum error error = wal_writer_submit(fixture->writer, &write);
    wal_fixture_free_write(&write);
    return error;
}

static void stop(struct fixture *fixture)
{
    if (fixture->writer != NULL) {
        wal_writer_stop(fixture->writer);
    }
    wal_fixture_deinit(&fixture->log);
    (void)pthread_cond_destroy(&fixture->changed);
    (void)pthread_mutex_destroy(&fixture->lock);
    mem_free(fixture);
}

static void test_a_write_is_reported_when_it_is_durable(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, UINT64_MAX);

    assert_int_equal(submit(fixture, 1), ERR_OK);
    wait_for_seq(fixture, 1);

    assert_int_equal(fixture->durable_index, 1);
    assert_int_equal(wal_writer_durable_index(fixture->writer), 1);
    stop(fixture);
}

static void test_writes_that_gather_during_a_sync_share_the_next_one(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, 0);
    assert_int_equal(submit(fixture, 1), ERR_OK);
    wait_for_sync(fixture, 1);
    for (uint64_t index = 2; index <= 50; index++) {
        assert_int_equal(submit(fixture, index), ERR_OK);
    }

    allow_syncs(fixture, UINT64_MAX);
    wait_for_seq(fixture, 50);

    assert_int_equal(fixture->reports_count, 2);
    assert_int_equal(fixture->reports[0], 1);
    assert_int_equal(fixture->reports[1], 50);
    assert_int_equal(wal_writer_batches(fixture->writer), 2);
    stop(fixture);
}

static void test_nothing_is_reported_before_its_sync(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, 0);

    assert_int_equal(submit(fixture, 1), ERR_OK);
    wait_for_sync(fixture, 1);

    assert_int_equal(fixture->reports_count, 0);
    assert_int_equal(wal_writer_durable_index(fixture->writer), 0);
    allow_syncs(fixture, UINT64_MAX);
    stop(fixture);
}

static void test_many_writes_complete_in_order(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, UINT64_MAX);
    for (uint64_t index = 1; index <= 3000; index++) {
        assert_int_equal(submit(fixture, index), ERR_OK);
    }
    wait_for_seq(fixture, 3000);

    for (uint64_t i = 1; i < fixture->reports_count; i++) {
        assert_true(fixture->reports[i] > fixture->reports[i - 1]);
    }
    wal_writer_stop(fixture->writer);
    fixture->writer = NULL;
    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);
    wal_fixture_expect(&fixture->log, 1, 3000);
    stop(fixture);
}

static void test_a_full_queue_is_an_error_that_the_caller_sees(void **state)
{
    (void)state;
    struct fixture *fixture = start(4, 0);
    assert_true(wal_writer_has_room(fixture->writer));
    for (uint64_t index = 1; index <= 4; index++) {
        assert_int_equal(submit(fixture, index), ERR_OK);
    }

    assert_int_equal(submit(fixture, 5), ERR_EXHAUSTED);

    assert_false(wal_writer_has_room(fixture->writer));
    allow_syncs(fixture, UINT64_MAX);
    wait_for_seq(fixture, 4);
    assert_int_equal(submit(fixture, 5), ERR_OK);
    stop(fixture);
}

static void test_stopping_completes_what_is_queued(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, 0);
    for (uint64_t index = 1; index <= 10; index++) {
        assert_int_equal(submit(fixture, index), ERR_OK);
    }
    wait_for_sync(fixture, 1);
    allow_syncs(fixture, UINT64_MAX);

    wal_writer_stop(fixture->writer);
    fixture->writer = NULL;

    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);
    wal_fixture_expect(&fixture->log, 1, 10);
    stop(fixture);
}

static void test_the_first_failed_sync_is_reported_once_and_ends_the_writer(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, 1);
    assert_int_equal(submit(fixture, 1), ERR_OK);
    wait_for_seq(fixture, 1);
    /* The second sync is of the spare segment; the third will be of the second batch. */
    wait_for_sync(fixture, 2);
    assert_int_equal(submit(fixture, 2), ERR_OK);
    allow_syncs(fixture, 2);
    wait_for_sync(fixture, 3);
    fault_disk_fail_nth_sync(fixture->log.disk, 1, ERR_IO);

    allow_syncs(fixture, UINT64_MAX);
    wait_for_fatal(fixture);

    assert_int_equal(fixture->fatal, ERR_IO);
    assert_true(fixture->reason_given);
    assert_int_equal(fixture->reports_count, 1);
    assert_int_equal(submit(fixture, 3), ERR_CLOSED);
    wal_writer_stop(fixture->writer);
    fixture->writer = NULL;
    assert_int_equal(fixture->syncs_begun, 3);
    stop(fixture);
}

static void test_a_cut_is_done_by_the_thread(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, UINT64_MAX);
    for (uint64_t index = 1; index <= 100; index++) {
        struct raft_write write = wal_fixture_write(index, 1, 1, 60 * 1024);
        assert_int_equal(wal_writer_submit(fixture->writer, &write), ERR_OK);
        wal_fixture_free_write(&write);
    }

    wal_writer_cut(fixture->writer, 80);
    wal_writer_stop(fixture->writer);
    fixture->writer = NULL;

    assert_int_equal(wal_fixture_open(&fixture->log), ERR_OK);
    assert_in_range(fixture->log.recovered.first_index, 2, 80);
    wal_fixture_expect(&fixture->log, fixture->log.recovered.first_index, 100);
    stop(fixture);
}

static bool is_idle(void *ctx)
{
    const struct fixture *fixture = ctx;
    return !wal_writer_is_busy(fixture->writer);
}

static void test_a_look_at_an_idle_disk_is_a_probe_that_ends(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, 0);
    uint64_t progress = wal_writer_progress(fixture->writer);

    wal_writer_look(fixture->writer);
    wait_for_sync(fixture, 1);
    assert_true(wal_writer_is_busy(fixture->writer));
    assert_int_equal(wal_writer_progress(fixture->writer), progress);

    allow_syncs(fixture, UINT64_MAX);
    assert_true(support_wait_until(is_idle, fixture, 10000));
    assert_int_equal(wal_writer_progress(fixture->writer), progress + 1);
    stop(fixture);
}

static void test_a_probe_that_fails_ends_the_writer(void **state)
{
    (void)state;
    struct fixture *fixture = start(0, 0);
    wal_writer_look(fixture->writer);
    wait_for_sync(fixture, 1);
    fault_disk_fail_nth_sync(fixture->log.disk, 1, ERR_IO);

    allow_syncs(fixture, UINT64_MAX);
    wait_for_fatal(fixture);

    assert_int_equal(fixture->fatal, ERR_IO);
    assert_true(fixture->reason_given);
    assert_int_equal(submit(fixture, 1), ERR_CLOSED);
    stop(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_write_is_reported_when_it_is_durable),
        cmocka_unit_test(test_writes_that_gather_during_a_sync_share_the_next_one),
        cmocka_unit_test(test_nothing_is_reported_before_its_sync),
        cmocka_unit_test(test_many_writes_complete_in_order),
        cmocka_unit_test(test_a_full_queue_is_an_error_that_the_caller_sees),
        cmocka_unit_test(test_stopping_completes_what_is_queued),
        cmocka_unit_test(test_the_first_failed_sync_is_reported_once_and_ends_the_writer),
        cmocka_unit_test(test_a_cut_is_done_by_the_thread),
        cmocka_unit_test(test_a_look_at_an_idle_disk_is_a_probe_that_ends),
        cmocka_unit_test(test_a_probe_that_fails_ends_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
