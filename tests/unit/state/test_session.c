/* SPDX-License-Identifier: Apache-2.0 */
/* Requests are done at most once: the first answer is given again, and what may have been forgotten
 * is never done a second time. */
#include "state_fixture.h"

#include "state/session.h"

#include <stdio.h>

static struct request_id request_at(uint64_t wall_ms, uint64_t number)
{
    return (struct request_id){.hi = wall_ms << 16 | 0x7000, .lo = UINT64_C(1) << 63 | number};
}

static void region_put(struct fixture *f, const char *name, struct request_id request)
{
    memset(&f->command, 0, sizeof(f->command));
    f->command.kind = COMMAND_REGION_PUT;
    f->command.wall_ms = FIXTURE_WALL_MS;
    f->command.request = request;
    (void)snprintf(f->command.region_put.region.name, NAME_SIZE, "%s", name);
}

static uint32_t regions(struct fixture *f)
{
    struct region list[REGIONS_MAX];
    return query_regions(f->tables, list, REGIONS_MAX);
}

static void test_a_retry_gets_the_first_answer_and_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    struct request_id request = request_at(FIXTURE_WALL_MS, 500);
    region_put(&f, "north", request);
    fixture_passes(&f);
    struct command_result first = f.result;
    assert_int_equal(regions(&f), 4);

    region_put(&f, "elsewhere", request); /* even if it asks for something else */
    assert_int_equal(fixture_apply(&f), ERR_OK);

    assert_int_equal(f.result.index, first.index);
    assert_int_equal(f.result.id, first.id);
    assert_int_equal(regions(&f), 4);
    struct ledger_leaf leaf;
    assert_int_equal(query_ledger_leaf(f.tables, f.index - 1, &leaf), ERR_OK);
    assert_string_equal(leaf.kind, "retry");
    fixture_free(&f);
}

static void test_a_retry_of_a_refused_request_is_refused_alike(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    region_put(&f, "No Name", request_at(FIXTURE_WALL_MS, 500));
    assert_int_equal(fixture_apply(&f), ERR_INVALID);
    char message[TEXT_SIZE];
    memcpy(message, f.result.message, sizeof(message));
    region_put(&f, "north", request_at(FIXTURE_WALL_MS, 500));
    assert_int_equal(fixture_apply(&f), ERR_INVALID);
    assert_string_equal(f.result.message, message);
    assert_int_equal(regions(&f), 3);
    fixture_free(&f);
}

static void test_request_ids_are_uuids_of_version_seven(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    region_put(&f, "north", (struct request_id){.hi = UINT64_C(5) << 16 | 0x4000, .lo = 9});
    fixture_refused(&f, ERR_INVALID, "UUID of version 7");
    fixture_free(&f);
}

static void test_a_request_from_the_far_future_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    region_put(&f, "north", request_at(FIXTURE_WALL_MS + 3600001, 500));
    fixture_refused(&f, ERR_INVALID, "set the clock");
    region_put(&f, "north", request_at(FIXTURE_WALL_MS + 3600000, 500));
    fixture_passes(&f);
    fixture_free(&f);
}

static void store(struct fixture *f, struct change *change, struct request_id request)
{
    struct command_result result = {.index = ++change->index, .id = request.lo & 0xff};
    session_store(change, request, &result, 3);
    (void)f;
}

static void test_the_oldest_answers_are_evicted_and_never_done_again(void **state)
{
    (void)state;
    struct fixture f;
    struct command_result result;
    fixture_empty(&f);
    struct change change = {.tables = f.tables};
    for (uint64_t i = 1; i <= 5; i++) {
        store(&f, &change, request_at(100 + i, i));
    }

    assert_int_equal(session_look_up(f.tables, request_at(103, 3), &result), SESSION_KNOWN);
    assert_int_equal(result.id, 3);
    assert_int_equal(session_look_up(f.tables, request_at(101, 1), &result), SESSION_EXPIRED);
    assert_int_equal(session_look_up(f.tables, request_at(102, 2), &result), SESSION_EXPIRED);
    /* Never seen, but could be one of the evicted as far as its clock tells. */
    assert_int_equal(session_look_up(f.tables, request_at(102, 77), &result), SESSION_EXPIRED);
    assert_int_equal(session_look_up(f.tables, request_at(103, 77), &result), SESSION_NEW);
    assert_int_equal(tables_memory_count(f.memory, TABLE_REPLY), 3);
    assert_int_equal(tables_memory_count(f.memory, TABLE_REPLY_ORDER), 3);
    fixture_free(&f);
}

static void test_eviction_goes_by_arrival_and_its_clock_mark_only_grows(void **state)
{
    (void)state;
    struct fixture f;
    struct command_result result;
    fixture_empty(&f);
    struct change change = {.tables = f.tables};
    store(&f, &change, request_at(900, 1)); /* a client whose clock is ahead, first */
    for (uint64_t i = 2; i <= 6; i++) {
        store(&f, &change, request_at(100 + i, i));
    }
    assert_int_equal(session_look_up(f.tables, request_at(900, 1), &result), SESSION_EXPIRED);
    assert_int_equal(session_look_up(f.tables, request_at(500, 9), &result), SESSION_EXPIRED);
    assert_int_equal(session_look_up(f.tables, request_at(901, 9), &result), SESSION_NEW);
    assert_int_equal(session_look_up(f.tables, request_at(106, 6), &result), SESSION_KNOWN);
    fixture_free(&f);
}

static void test_a_request_that_may_be_forgotten_ends_as_outcome_unknown(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    struct change change = {.tables = f.tables, .index = 1000};
    for (uint64_t i = 0; i < 4; i++) {
        store(&f, &change, request_at(FIXTURE_WALL_MS, 900 + i));
    }
    region_put(&f, "north", request_at(FIXTURE_WALL_MS, 1));
    fixture_refused(&f, ERR_OUTCOME_UNKNOWN, "ask with a new id");
    assert_int_equal(regions(&f), 3);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_retry_gets_the_first_answer_and_changes_nothing),
        cmocka_unit_test(test_a_retry_of_a_refused_request_is_refused_alike),
        cmocka_unit_test(test_request_ids_are_uuids_of_version_seven),
        cmocka_unit_test(test_a_request_from_the_far_future_is_refused),
        cmocka_unit_test(test_the_oldest_answers_are_evicted_and_never_done_again),
        cmocka_unit_test(test_eviction_goes_by_arrival_and_its_clock_mark_only_grows),
        cmocka_unit_test(test_a_request_that_may_be_forgotten_ends_as_outcome_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
