/* SPDX-License-Identifier: Apache-2.0 */
/* Members and settings in the replicated state, forced recoveries, and requested failovers: what is
 * accepted, and what each refusal tells. */
#include "state_fixture.h"

#include <stdio.h>

static struct command *begin(struct fixture *f, enum command_kind kind)
{
    memset(&f->command, 0, sizeof(f->command));
    f->command.kind = kind;
    f->command.wall_ms = FIXTURE_WALL_MS;
    return &f->command;
}

static struct member *add(struct fixture *f, const char *name, uint64_t id, uint32_t port)
{
    struct member *member = &begin(f, COMMAND_MEMBER_ADD)->member_add.member;
    struct region regions[REGIONS_MAX];
    (void)query_regions(f->tables, regions, REGIONS_MAX);
    member->id = (struct member_id){77, id};
    (void)snprintf(member->name, NAME_SIZE, "%s", name);
    (void)snprintf(member->region, NAME_SIZE, "%s", regions[0].name);
    (void)snprintf(member->peer_address, ADDRESS_SIZE, "10.0.0.9:%u", port);
    (void)snprintf(member->api_address, ADDRESS_SIZE, "10.0.0.9:%u", port + 1);
    (void)snprintf(member->ops_address, ADDRESS_SIZE, "10.0.0.9:%u", port + 2);
    return member;
}

static void change(struct fixture *f, const char *name, enum member_standing standing)
{
    struct command_member_change *body = &begin(f, COMMAND_MEMBER_CHANGE)->member_change;
    (void)snprintf(body->name, NAME_SIZE, "%s", name);
    body->standing = standing;
}

static void test_a_member_is_added_leaves_and_its_id_is_never_used_again(void **state)
{
    (void)state;
    struct fixture f;
    struct member members[MEMBERS_MAX];
    fixture_world(&f, SHARD_SYNC);
    uint32_t before = query_members(f.tables, members, MEMBERS_MAX);
    (void)add(&f, "n9", 9, 7000);
    fixture_passes(&f);
    assert_int_equal(query_members(f.tables, members, MEMBERS_MAX), before + 1);

    begin(&f, COMMAND_MEMBER_GONE)->member_gone.id = (struct member_id){77, 9};
    fixture_refused(&f, ERR_PRECONDITION, "is not leaving");
    change(&f, "n9", MEMBER_LEAVING);
    fixture_passes(&f);
    /* The wish can be taken back as long as it is on record. */
    change(&f, "n9", MEMBER_LEARNER);
    fixture_passes(&f);
    begin(&f, COMMAND_MEMBER_GONE)->member_gone.id = (struct member_id){77, 9};
    fixture_refused(&f, ERR_PRECONDITION, "is not leaving");
    change(&f, "n9", MEMBER_LEAVING);
    fixture_passes(&f);
    begin(&f, COMMAND_MEMBER_GONE)->member_gone.id = (struct member_id){77, 9};
    fixture_passes(&f);

    assert_int_equal(query_members(f.tables, members, MEMBERS_MAX), before);
    (void)add(&f, "n9", 9, 7000);
    fixture_refused(&f, ERR_EXISTS, "new id");
    (void)add(&f, "n9", 10, 7000);
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_a_member_with_a_taken_name_address_or_unknown_region_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    (void)add(&f, "n9", 9, 7000);
    fixture_passes(&f);
    (void)add(&f, "n9", 10, 7100);
    fixture_refused(&f, ERR_EXISTS, "remove it first");
    (void)add(&f, "n10", 10, 7000);
    fixture_refused(&f, ERR_EXISTS, "is one of member 'n9'");
    /* What is one's peer port is nobody's API port, however it is written. */
    (void)add(&f, "n10", 10, 6999);
    fixture_refused(&f, ERR_EXISTS, "is one of member 'n9'");
    struct member *written = add(&f, "n10", 10, 7200);
    (void)snprintf(written->api_address, ADDRESS_SIZE, "[::ffff:10.0.0.9]:7000");
    fixture_refused(&f, ERR_EXISTS, "is one of member 'n9'");
    struct member *doubled = add(&f, "n10", 10, 7200);
    (void)snprintf(doubled->api_address, ADDRESS_SIZE, "%s", doubled->peer_address);
    fixture_refused(&f, ERR_INVALID, "is one of member 'n10'");
    (void)snprintf(add(&f, "n10", 10, 7100)->region, NAME_SIZE, "nowhere");
    fixture_refused(&f, ERR_NOT_FOUND, "nowhere");
    (void)snprintf(add(&f, "n10", 10, 7100)->peer_address, ADDRESS_SIZE, "host:7000");
    fixture_refused(&f, ERR_INVALID, "numeric");
    add(&f, "n10", 10, 7100)->standing = MEMBER_LEAVING;
    fixture_refused(&f, ERR_INVALID, "voter or a learner");
    fixture_free(&f);
}

static void test_the_last_voter_stays(void **state)
{
    (void)state;
    struct fixture f;
    struct member members[MEMBERS_MAX];
    fixture_world(&f, SHARD_SYNC);
    uint32_t count = query_members(f.tables, members, MEMBERS_MAX);
    for (uint32_t i = 1; i < count; i++) {
        change(&f, members[i].name, i == 1 ? MEMBER_LEARNER : MEMBER_LEAVING);
        fixture_passes(&f);
    }
    change(&f, members[0].name, MEMBER_LEAVING);
    fixture_refused(&f, ERR_PRECONDITION, "last voter");
    fixture_free(&f);
}

static void
test_timers_whose_elections_outlast_a_lease_are_refused_without_a_longer_one(void **state)
{
    (void)state;
    struct fixture f;
    struct cluster_info info;
    fixture_world(&f, SHARD_SYNC);
    begin(&f, COMMAND_CLUSTER_SET)->cluster_set.heartbeat_ms = 300;
    f.command.cluster_set.election_ms = 4000;
    fixture_refused(&f, ERR_PRECONDITION, "healthy primaries would be fenced");
    f.command.request = (struct request_id){0, 0};
    f.command.cluster_set.lease_ms = lease_least_ms(300, 4000) - 1;
    fixture_refused(&f, ERR_PRECONDITION, "12934 ms or more");
    f.command.request = (struct request_id){0, 0};
    f.command.cluster_set.lease_ms++;
    fixture_passes(&f);
    query_cluster(f.tables, &info);
    assert_int_equal(info.lease_ms, 12934);
    assert_int_equal(info.election_ms, 4000);
    /* It is never shortened: others may still wait for the longer one to end. */
    begin(&f, COMMAND_CLUSTER_SET)->cluster_set.heartbeat_ms = 50;
    f.command.cluster_set.election_ms = 500;
    f.command.cluster_set.lease_ms = 3000;
    fixture_passes(&f);
    query_cluster(f.tables, &info);
    assert_int_equal(info.lease_ms, 12934);
    begin(&f, COMMAND_CLUSTER_SET)->cluster_set.lease_ms = LEASE_MS_MAX + 1;
    fixture_refused(&f, ERR_INVALID, "at most");
    fixture_free(&f);
}

static void test_timers_are_set_together_and_within_bounds(void **state)
{
    (void)state;
    struct fixture f;
    struct cluster_info info;
    fixture_world(&f, SHARD_SYNC);
    begin(&f, COMMAND_CLUSTER_SET)->cluster_set.heartbeat_ms = 150;
    fixture_refused(&f, ERR_INVALID, "together");
    f.command.request = (struct request_id){0, 0};
    f.command.cluster_set.election_ms = 200;
    fixture_refused(&f, ERR_INVALID, "at least 4 times");
    f.command.request = (struct request_id){0, 0};
    f.command.cluster_set.election_ms = 1500;
    f.command.cluster_set.lease_ms = 6000;
    fixture_passes(&f);
    query_cluster(f.tables, &info);
    assert_int_equal(info.heartbeat_ms, 150);
    assert_int_equal(info.election_ms, 1500);
    (void)snprintf(begin(&f, COMMAND_CLUSTER_SET)->cluster_set.leader_region, NAME_SIZE, "nowhere");
    fixture_refused(&f, ERR_NOT_FOUND, "nowhere");
    fixture_free(&f);
}

static void
test_a_recovery_leaves_the_survivor_alone_and_begins_ballots_anew_far_above(void **state)
{
    (void)state;
    struct fixture f;
    struct member members[MEMBERS_MAX];
    struct cluster_info info;
    fixture_steady(&f, SHARD_ASYNC);
    (void)query_members(f.tables, members, MEMBERS_MAX);
    begin(&f, COMMAND_CLUSTER_SET)->cluster_set.commit_regions = 2;
    fixture_passes(&f);
    begin(&f, COMMAND_CLUSTER_RECOVERED)->cluster_recovered.survivor = members[1].id;
    fixture_refused(&f, ERR_STALE_EPOCH, "the next cluster epoch is 1");
    f.command.cluster_recovered.cluster_epoch = 1;
    fixture_passes(&f);
    struct member left[MEMBERS_MAX];
    assert_int_equal(query_members(f.tables, left, MEMBERS_MAX), 1);
    assert_true(member_id_equal(left[0].id, members[1].id));
    query_cluster(f.tables, &info);
    assert_true(info.unconfirmed);
    assert_int_equal(info.commit_regions, 0);

    fixture_begin(&f);
    fixture_refused(&f, ERR_STALE_EPOCH, "the next epoch");
    fixture_begin(&f)->epoch = epoch_next((struct epoch){1}, 1);
    fixture_passes(&f);
    assert_true(fixture_view(&f).shard.epoch.value > UINT32_MAX);
    fixture_free(&f);
}

static void test_after_a_recovery_no_proof_rests_on_a_lease_until_an_operator_states(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_ASYNC);
    fixture_begin(&f);
    fixture_passes(&f);
    begin(&f, COMMAND_CLUSTER_RECOVERED)->cluster_recovered.cluster_epoch = 1;
    fixture_passes(&f);
    struct command_failover *excluded = fixture_failover(&f, COMMAND_FAILOVER_EXCLUDED);
    excluded->epoch.value = 2;
    excluded->proof = PROOF_CLOCK;
    fixture_refused(&f, ERR_PRECONDITION, "confirm-recovery");

    begin(&f, COMMAND_CLUSTER_CONFIRM)->cluster_confirm.cluster_epoch = 1;
    fixture_passes(&f);
    excluded = fixture_failover(&f, COMMAND_FAILOVER_EXCLUDED);
    excluded->epoch.value = 2;
    excluded->proof = PROOF_CLOCK;
    fixture_passes(&f);
    fixture_free(&f);
}

/* What the others decided last may be forgotten, with the timelines that it reserved. */
static void
test_after_a_recovery_reports_from_forgotten_timelines_count_and_none_comes_back(void **s)
{
    (void)s;
    struct fixture f;
    const struct position forgotten = {.timeline = 3, .lsn = 9000};
    fixture_steady(&f, SHARD_SYNC);
    uint32_t reserved = fixture_view(&f).shard.timeline_reserved;
    assert_true(forgotten.timeline > reserved);
    begin(&f, COMMAND_CLUSTER_RECOVERED)->cluster_recovered.cluster_epoch = 1;
    fixture_passes(&f);
    struct epoch ballot = epoch_next((struct epoch){1}, 1);
    fixture_begin(&f)->epoch = ballot;
    fixture_passes(&f);
    fixture_excluded(&f)->epoch = ballot;
    fixture_passes(&f);

    struct command_failover *body = fixture_failover(&f, COMMAND_FAILOVER_COMPLETED);
    body->epoch = ballot;
    fixture_report(body, B, forgotten);
    fixture_report(body, C, (struct position){.timeline = reserved + LOST_TIMELINES_MAX + 1});
    fixture_refused(&f, ERR_INVALID, "never reserved");
    body->reports[1].position = (struct position){.timeline = reserved, .lsn = 9999};
    fixture_passes(&f);
    body = fixture_decided(&f);
    body->epoch = ballot;
    body->candidate.value = C;
    fixture_refused(&f, ERR_PRECONDITION, "");
    body->candidate.value = B;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).shard.timeline_reserved, reserved + LOST_TIMELINES_MAX + 1);
    fixture_free(&f);
}

static void test_a_requested_failover_gives_the_epoch_it_was_asked_in(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    struct command_failover_request *body = &begin(&f, COMMAND_FAILOVER_REQUEST)->failover_request;
    (void)snprintf(body->shard, NAME_SIZE, "orders");
    (void)snprintf(body->instance, NAME_SIZE, "b");
    fixture_passes(&f);
    assert_int_equal(f.result.id, 1);
    f.command.request = (struct request_id){0, 0};
    (void)snprintf(body->instance, NAME_SIZE, "a");
    fixture_refused(&f, ERR_INVALID, "is the primary already");
    f.command.request = (struct request_id){0, 0};
    (void)snprintf(body->instance, NAME_SIZE, "z");
    fixture_refused(&f, ERR_NOT_FOUND, "has no instance 'z'");
    fixture_begin(&f);
    fixture_passes(&f);
    (void)snprintf(
        begin(&f, COMMAND_FAILOVER_REQUEST)->failover_request.shard, NAME_SIZE, "orders");
    fixture_refused(&f, ERR_PRECONDITION, "under way");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_is_added_leaves_and_its_id_is_never_used_again),
        cmocka_unit_test(test_a_member_with_a_taken_name_address_or_unknown_region_is_refused),
        cmocka_unit_test(test_the_last_voter_stays),
        cmocka_unit_test(test_timers_are_set_together_and_within_bounds),
        cmocka_unit_test(
            test_timers_whose_elections_outlast_a_lease_are_refused_without_a_longer_one),
        cmocka_unit_test(
            test_a_recovery_leaves_the_survivor_alone_and_begins_ballots_anew_far_above),
        cmocka_unit_test(test_after_a_recovery_no_proof_rests_on_a_lease_until_an_operator_states),
        cmocka_unit_test(
            test_after_a_recovery_reports_from_forgotten_timelines_count_and_none_comes_back),
        cmocka_unit_test(test_a_requested_failover_gives_the_epoch_it_was_asked_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
