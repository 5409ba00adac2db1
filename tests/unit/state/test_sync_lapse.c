/* SPDX-License-Identifier: Apache-2.0 */
/* That what makes commits wait was not in force is on record, once, and a failover of that time
 * says so for ever. */
#include "state_fixture.h"

#include <stdio.h>
#include <string.h>

static void lapse(struct fixture *f)
{
    struct command_sync *body = fixture_sync(f, COMMAND_SYNC_LAPSED);
    (void)snprintf(body->reason, sizeof(body->reason), "a: fsync is 'off'");
}

static void test_a_lapse_is_on_record_until_it_is_mended(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    lapse(&f);
    fixture_passes(&f);
    assert_string_equal(fixture_view(&f).shard.lapse, "a: fsync is 'off'");
    (void)fixture_sync(&f, COMMAND_SYNC_MENDED);
    fixture_passes(&f);
    assert_string_equal(fixture_view(&f).shard.lapse, "");
    fixture_free(&f);
}

static void test_one_leaf_for_each_lapse_and_none_without_words(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    (void)fixture_sync(&f, COMMAND_SYNC_MENDED);
    fixture_refused(&f, ERR_PRECONDITION, "no lapse");
    fixture_sync(&f, COMMAND_SYNC_LAPSED)->reason[0] = '\0';
    fixture_refused(&f, ERR_INVALID, "without a word");
    lapse(&f);
    fixture_passes(&f);
    lapse(&f);
    fixture_refused(&f, ERR_EXISTS, "on record");
    fixture_sync(&f, COMMAND_SYNC_MENDED)->epoch.value = 9;
    fixture_refused(&f, ERR_STALE_EPOCH, "in office");
    fixture_free(&f);
}

static void test_an_asynchronous_shard_has_no_lapses(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    lapse(&f);
    fixture_refused(&f, ERR_PRECONDITION, "asynchronous");
    fixture_free(&f);
}

static void test_a_failover_during_a_lapse_says_that_it_could_lose(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    lapse(&f);
    fixture_passes(&f);
    fixture_advance(&f, COMMAND_FAILOVER_BEGIN);
    assert_string_equal(fixture_view(&f).failover.could_lose, "a: fsync is 'off'");
    /* Another attempt against the same office keeps it. */
    struct command_failover *again = fixture_begin(&f);
    again->epoch.value = fixture_view(&f).shard.epoch.value + 1;
    again->cause = CAUSE_STUCK;
    fixture_passes(&f);
    assert_string_equal(fixture_view(&f).failover.could_lose, "a: fsync is 'off'");
    fixture_free(&f);
}

static void test_the_next_primary_begins_without_the_lapse_of_the_last(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    lapse(&f);
    fixture_passes(&f);
    fixture_advance(&f, COMMAND_FAILOVER_OPENED);
    assert_string_equal(fixture_view(&f).shard.lapse, "");
    assert_string_equal(fixture_view(&f).failover.could_lose, "a: fsync is 'off'");
    fixture_free(&f);
}

static void test_what_the_leader_heard_last_counts_before_it_is_on_record(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct command_failover *begin = fixture_begin(&f);
    (void)snprintf(begin->could_lose, sizeof(begin->could_lose), "a: names are ''");
    fixture_passes(&f);
    assert_string_equal(fixture_view(&f).failover.could_lose, "a: names are ''");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lapse_is_on_record_until_it_is_mended),
        cmocka_unit_test(test_one_leaf_for_each_lapse_and_none_without_words),
        cmocka_unit_test(test_an_asynchronous_shard_has_no_lapses),
        cmocka_unit_test(test_a_failover_during_a_lapse_says_that_it_could_lose),
        cmocka_unit_test(test_the_next_primary_begins_without_the_lapse_of_the_last),
        cmocka_unit_test(test_what_the_leader_heard_last_counts_before_it_is_on_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
