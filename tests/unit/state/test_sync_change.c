/* SPDX-License-Identifier: Apache-2.0 */
/* The sync record changes jointly, one change at a time, only under the primary in office. */
#include "state_fixture.h"

#include "base/check.h"

#include <stdio.h>

static const struct sync_member MEMBER_C = {{C}, {13}};

static struct command_sync *without_c(struct fixture *f, enum command_kind kind)
{
    struct command_sync *body = fixture_sync(f, kind);
    assert_int_equal(sync_pair_remove(&body->pair, MEMBER_C), ERR_OK);
    return body;
}

static void test_a_change_is_joint_until_it_is_finished(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    uint64_t version = fixture_view(&f).shard.sync.version;

    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_passes(&f);
    struct shard_view view = fixture_view(&f);
    assert_int_equal(view.shard.sync.pairs_count, 2);
    assert_int_equal(view.shard.sync.version, version + 1);
    assert_int_equal(view.shard.sync.pairs[0].members_count, 2);
    assert_int_equal(view.shard.sync.pairs[1].members_count, 1);

    without_c(&f, COMMAND_SYNC_FINISH)->version = version + 1;
    fixture_passes(&f);
    view = fixture_view(&f);
    assert_int_equal(view.shard.sync.pairs_count, 1);
    assert_int_equal(view.shard.sync.version, version + 1);
    assert_int_equal(view.shard.sync.pairs[0].members_count, 1);
    assert_int_equal(view.shard.sync.pairs[0].members[0].instance.value, B);
    fixture_free(&f);
}

static void test_a_second_change_waits_for_the_first(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_passes(&f);
    (void)fixture_sync(&f, COMMAND_SYNC_BEGIN);
    fixture_refused(&f, ERR_PRECONDITION, "is under way");
    fixture_free(&f);
}

static void test_a_finish_names_the_version_and_pair_that_were_confirmed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    without_c(&f, COMMAND_SYNC_FINISH)->version = fixture_view(&f).shard.sync.version;
    fixture_refused(&f, ERR_PRECONDITION, "no change of the sync record");
    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_passes(&f);
    uint64_t version = f.result.id;
    without_c(&f, COMMAND_SYNC_FINISH)->version = version - 1;
    fixture_refused(&f, ERR_PRECONDITION, "waits for version");
    fixture_sync(&f, COMMAND_SYNC_FINISH)->version = version;
    fixture_refused(&f, ERR_PRECONDITION, "not the newest one");
    fixture_free(&f);
}

static void test_a_change_under_another_epoch_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    without_c(&f, COMMAND_SYNC_BEGIN)->epoch.value = 2;
    fixture_refused(&f, ERR_STALE_EPOCH, "in office at epoch 1");
    fixture_free(&f);
}

static void test_nothing_changes_from_begin_to_done_of_a_failover(void **state)
{
    (void)state;
    struct fixture f;

    static const enum command_kind STEPS[] = {
        COMMAND_FAILOVER_BEGIN,
        COMMAND_FAILOVER_EXCLUDED,
        COMMAND_FAILOVER_COMPLETED,
        COMMAND_FAILOVER_DECIDED,
        COMMAND_FAILOVER_PROMOTED,
    };

    for (size_t i = 0; i < ARRAY_LEN(STEPS); i++) {
        fixture_steady(&f, SHARD_SYNC);
        fixture_advance(&f, STEPS[i]);
        without_c(&f, COMMAND_SYNC_BEGIN)->epoch = fixture_view(&f).shard.primary_epoch;
        fixture_refused(&f, ERR_PRECONDITION, "is being failed over");
        fixture_free(&f);
    }
}

static void test_an_async_shard_has_no_record_to_change(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_refused(&f, ERR_PRECONDITION, "is asynchronous");
    fixture_free(&f);
}

static void test_a_pair_of_the_wrong_members_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_member(&without_c(&f, COMMAND_SYNC_BEGIN)->pair, A); /* the primary */
    fixture_refused(&f, ERR_INVALID, "instance 1 is no standby");
    fixture_member(&without_c(&f, COMMAND_SYNC_BEGIN)->pair, 8);
    fixture_refused(&f, ERR_INVALID, "instance 8 is no standby");
    without_c(&f, COMMAND_SYNC_BEGIN)->pair.members[0].incarnation.value = 5;
    fixture_refused(&f, ERR_INVALID, "with that incarnation");
    (void)fixture_sync(&f, COMMAND_SYNC_BEGIN);
    fixture_refused(&f, ERR_EXISTS, "is so already");
    struct command_sync *body = fixture_sync(&f, COMMAND_SYNC_BEGIN);
    struct sync_member swap = body->pair.members[0];
    body->pair.members[0] = body->pair.members[1];
    body->pair.members[1] = swap;
    fixture_refused(&f, ERR_INVALID, "out of order");
    fixture_free(&f);
}

static void test_w_is_what_the_shard_asks_for_or_as_many_as_there_are(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    without_c(&f, COMMAND_SYNC_BEGIN)->pair.required = 0;
    fixture_refused(&f, ERR_INVALID, "asks for no copy");
    without_c(&f, COMMAND_SYNC_BEGIN)->pair.required = 2;
    fixture_refused(&f, ERR_INVALID, "between 1 and 1");
    fixture_sync(&f, COMMAND_SYNC_BEGIN)->pair.required = 3;
    fixture_refused(&f, ERR_INVALID, "between 1 and 2");
    fixture_sync(&f, COMMAND_SYNC_BEGIN)->pair.required = 2; /* more than asked for is fine */
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_a_folder_that_is_gone_may_stay_until_it_is_taken_out(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {C}, .address = "10.0.0.3:5432", .incarnation = {93}};
    fixture_passes(&f);
    /* c's new folder joins while its old one is still named. */
    struct command_sync *body = fixture_sync(&f, COMMAND_SYNC_BEGIN);
    assert_int_equal(sync_pair_add(&body->pair, (struct sync_member){{C}, {93}}), ERR_OK);
    fixture_passes(&f);
    struct sync_pair pair = body->pair;
    uint64_t version = f.result.id;
    body = fixture_sync(&f, COMMAND_SYNC_FINISH);
    body->pair = pair;
    body->version = version;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.sync.pairs[0].members_count, 3);
    fixture_free(&f);
}

static void test_a_change_that_names_a_wiped_folder_is_replaced_and_all_pairs_count(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_passes(&f);
    /* b is rebuilt at that moment: the new pair names a folder that is no more. */
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_INSTANCE_UPDATE;
    f.command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {B}, .address = "10.0.0.2:5432", .incarnation = {92}};
    fixture_passes(&f);

    struct command_sync *body = fixture_sync(&f, COMMAND_SYNC_BEGIN);
    memset(&body->pair, 0, sizeof(body->pair));
    body->pair.required = 1;
    assert_int_equal(sync_pair_add(&body->pair, (struct sync_member){{B}, {92}}), ERR_OK);
    fixture_passes(&f);

    struct sync_record sync = fixture_view(&f).shard.sync;
    assert_int_equal(sync.pairs_count, 3);
    struct sync_member now = {{B}, {92}};
    assert_false(sync_record_quorum(&sync, &now, 1));
    struct sync_pair newest = sync.pairs[2];
    body = fixture_sync(&f, COMMAND_SYNC_FINISH);
    body->pair = newest;
    body->version = sync.version;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.sync.pairs_count, 1);
    fixture_free(&f);
}

/* Nothing is dropped by it: what the one taken out may have confirmed is asked for until the newer
 * pair is confirmed. */
static void test_a_member_can_be_taken_out_of_a_joint_record_and_all_pairs_count(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct command_sync *body = fixture_sync(&f, COMMAND_SYNC_BEGIN);
    body->pair.required = 2;
    fixture_passes(&f);
    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_passes(&f);

    struct sync_record sync = fixture_view(&f).shard.sync;
    assert_int_equal(sync.pairs_count, 3);
    struct sync_member left = {{B}, {12}};
    assert_true(sync_pair_contains(&sync.pairs[2], left));
    assert_false(sync_record_quorum(&sync, &left, 1));
    (void)without_c(&f, COMMAND_SYNC_BEGIN);
    fixture_refused(&f, ERR_PRECONDITION, "is under way");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_joint_until_it_is_finished),
        cmocka_unit_test(test_a_second_change_waits_for_the_first),
        cmocka_unit_test(test_a_finish_names_the_version_and_pair_that_were_confirmed),
        cmocka_unit_test(test_a_change_under_another_epoch_is_refused),
        cmocka_unit_test(test_nothing_changes_from_begin_to_done_of_a_failover),
        cmocka_unit_test(test_an_async_shard_has_no_record_to_change),
        cmocka_unit_test(test_a_pair_of_the_wrong_members_is_refused),
        cmocka_unit_test(test_w_is_what_the_shard_asks_for_or_as_many_as_there_are),
        cmocka_unit_test(test_a_folder_that_is_gone_may_stay_until_it_is_taken_out),
        cmocka_unit_test(test_a_change_that_names_a_wiped_folder_is_replaced_and_all_pairs_count),
        cmocka_unit_test(test_a_member_can_be_taken_out_of_a_joint_record_and_all_pairs_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
