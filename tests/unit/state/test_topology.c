/* SPDX-License-Identifier: Apache-2.0 */
/* Cluster, regions and shards: what is accepted, and what each refusal tells. */
#include "state_fixture.h"

#include <stdio.h>

static struct command_cluster_init *cluster_init(struct fixture *f)
{
    memset(&f->command, 0, sizeof(f->command));
    f->command.kind = COMMAND_CLUSTER_INIT;
    struct command_cluster_init *body = &f->command.cluster_init;
    body->cluster = (struct cluster_id){1, 2};
    body->lease_ms = 3000;
    body->regions_count = 2;
    body->members_count = 2;
    (void)snprintf(body->regions[0].name, NAME_SIZE, "east");
    (void)snprintf(body->regions[1].name, NAME_SIZE, "west");
    for (uint32_t i = 0; i < 2; i++) {
        body->members[i].id = (struct member_id){0, i + 1};
        (void)snprintf(body->members[i].name, NAME_SIZE, "m%u", i);
        (void)snprintf(body->members[i].region, NAME_SIZE, "west");
    }
    return body;
}

static struct shard *shard_create(struct fixture *f, const char *name)
{
    memset(&f->command, 0, sizeof(f->command));
    f->command.kind = COMMAND_SHARD_CREATE;
    f->command.wall_ms = FIXTURE_WALL_MS;
    struct shard *spec = &f->command.shard_create.spec;
    (void)snprintf(spec->name, NAME_SIZE, "%s", name);
    spec->kind = SHARD_POSTGRES;
    spec->mode = SHARD_SYNC;
    spec->sync_required = 1;
    return spec;
}

static void test_a_cluster_is_initialised_once(void **state)
{
    (void)state;
    struct fixture f;
    fixture_empty(&f);
    (void)cluster_init(&f);
    fixture_passes(&f);
    cluster_init(&f)->cluster.lo = 3;
    fixture_refused(&f, ERR_EXISTS, "already initialised");
    struct cluster_info info;
    query_cluster(f.tables, &info);
    assert_int_equal(info.cluster.lo, 2);
    assert_int_equal(info.lease_ms, 3000);
    struct member members[MEMBERS_MAX];
    assert_int_equal(query_members(f.tables, members, MEMBERS_MAX), 2);
    assert_string_equal(members[1].name, "m1");
    assert_int_equal(query_members(f.tables, members, 1), 2); /* the count, not what fitted */
    fixture_free(&f);
}

static void test_a_cluster_of_wrong_names_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_empty(&f);
    cluster_init(&f)->cluster = (struct cluster_id){0, 0};
    fixture_refused(&f, ERR_INVALID, "cluster id");
    cluster_init(&f)->regions_count = 0;
    fixture_refused(&f, ERR_INVALID, "needs regions");
    cluster_init(&f)->regions[1].name[0] = 'W';
    fixture_refused(&f, ERR_INVALID, "region name 'West'");
    cluster_init(&f)->regions[1] = cluster_init(&f)->regions[0];
    fixture_refused(&f, ERR_EXISTS, "listed twice");
    cluster_init(&f)->members[0].region[0] = 'n';
    fixture_refused(&f, ERR_NOT_FOUND, "is in region 'nest'");
    cluster_init(&f)->members[0].name[0] = '\0';
    fixture_refused(&f, ERR_INVALID, "no valid name");
    cluster_init(&f)->members[0].id.lo = 2;
    fixture_refused(&f, ERR_EXISTS, "listed twice");
    fixture_free(&f);
}

static void test_nothing_is_made_before_the_cluster(void **state)
{
    (void)state;
    struct fixture f;
    fixture_empty(&f);
    (void)shard_create(&f, "orders");
    fixture_refused(&f, ERR_PRECONDITION, "not initialised");
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_REGION_PUT;
    (void)snprintf(f.command.region_put.region.name, NAME_SIZE, "east");
    f.command.wall_ms = FIXTURE_WALL_MS;
    fixture_refused(&f, ERR_PRECONDITION, "not initialised");
    fixture_free(&f);
}

static void test_a_region_keeps_its_id_when_it_changes(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_REGION_PUT;
    f.command.wall_ms = FIXTURE_WALL_MS;
    (void)snprintf(f.command.region_put.region.name, NAME_SIZE, "west");
    f.command.region_put.region.state = REGION_DRAINING;
    f.command.region_put.region.rank = 7;
    fixture_passes(&f);
    struct region list[REGIONS_MAX];
    assert_int_equal(f.result.id, 2);
    assert_int_equal(query_regions(f.tables, list, REGIONS_MAX), 3);
    assert_string_equal(list[1].name, "west");
    assert_int_equal(list[1].id.value, 2);
    assert_int_equal(list[1].state, REGION_DRAINING);
    assert_int_equal(list[1].rank, 7);
    f.command.request = (struct request_id){0, 0};
    f.command.region_put.region.state = (enum region_state)9;
    fixture_refused(&f, ERR_INVALID, "active, draining or maintenance");
    fixture_free(&f);
}

static void test_regions_are_bounded(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    for (int i = 3; i <= REGIONS_MAX; i++) {
        memset(&f.command, 0, sizeof(f.command));
        f.command.kind = COMMAND_REGION_PUT;
        f.command.wall_ms = FIXTURE_WALL_MS;
        (void)snprintf(f.command.region_put.region.name, NAME_SIZE, "r%d", i);
        if (i < REGIONS_MAX) {
            fixture_passes(&f);
        }
    }
    fixture_refused(&f, ERR_LIMIT, "at most 16 regions");
    fixture_free(&f);
}

static void test_shards_are_validated(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    (void)shard_create(&f, "Orders");
    fixture_refused(&f, ERR_INVALID, "shard name 'Orders'");
    (void)shard_create(&f, "orders");
    fixture_refused(&f, ERR_EXISTS, "exists already");
    shard_create(&f, "x")->kind = SHARD_REDIS;
    fixture_refused(&f, ERR_UNIMPLEMENTED, "redis is not driven yet, postgres is");
    shard_create(&f, "x")->kind = SHARD_KEYVALUE;
    fixture_refused(&f, ERR_INVALID, "it can only be async");
    shard_create(&f, "x")->mode = (enum shard_mode)5;
    fixture_refused(&f, ERR_INVALID, "sync or async");
    shard_create(&f, "x")->sync_required = 0;
    fixture_refused(&f, ERR_INVALID, "1 to 8 standbys");
    shard_create(&f, "x")->sync_required = 9;
    fixture_refused(&f, ERR_INVALID, "1 to 8 standbys");
    shard_create(&f, "x")->rpo_ms = 1;
    fixture_refused(&f, ERR_INVALID, "its rpo is 0");
    struct shard *spec = shard_create(&f, "x");
    spec->mode = SHARD_ASYNC;
    spec->rpo_ms = 3999;
    fixture_refused(&f, ERR_INVALID, "an rpo below 4000 ms cannot be kept");
    (void)snprintf(shard_create(&f, "x")->preferred_region, NAME_SIZE, "mars");
    fixture_refused(&f, ERR_NOT_FOUND, "no region 'mars'");
    spec = shard_create(&f, "x");
    spec->allowed_regions_count = 1;
    (void)snprintf(spec->allowed_regions[0], NAME_SIZE, "mars");
    fixture_refused(&f, ERR_NOT_FOUND, "no region 'mars'");
    spec = shard_create(&f, "x");
    spec->allowed_regions_count = 1;
    (void)snprintf(spec->allowed_regions[0], NAME_SIZE, "east");
    (void)snprintf(spec->preferred_region, NAME_SIZE, "west");
    fixture_refused(&f, ERR_INVALID, "not among the allowed");
    spec = shard_create(&f, "x");
    spec->allowed_regions_count = 2;
    (void)snprintf(spec->allowed_regions[0], NAME_SIZE, "east");
    (void)snprintf(spec->allowed_regions[1], NAME_SIZE, "east");
    fixture_refused(&f, ERR_INVALID, "allowed twice");
    struct cluster_info info;
    query_cluster(f.tables, &info);
    assert_int_equal(info.shards_count, 1);
    fixture_free(&f);
}

static void test_a_new_sync_shard_acknowledges_nothing_yet(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    shard_create(&f, "x")->sync_required = 2;
    fixture_passes(&f);
    struct shard_view view;
    assert_int_equal(query_shard_by_name(f.tables, "x", &view), ERR_OK);
    assert_int_equal(view.shard.id.value, 2);
    assert_int_equal(view.shard.sync.pairs_count, 1);
    assert_int_equal(view.shard.sync.pairs[0].members_count, 0);
    assert_int_equal(view.shard.sync.pairs[0].required, 1);
    assert_int_equal(view.shard.lease, LEASE_NONE);
    assert_int_equal(query_shard_by_name(f.tables, "y", &view), ERR_NOT_FOUND);
    fixture_free(&f);
}

static void test_a_shard_is_what_was_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    struct shard *spec = shard_create(&f, "x");
    spec->mode = SHARD_ASYNC;
    spec->rto_ms = 5000;
    spec->rpo_ms = 4000;
    spec->sync_required = 2;
    spec->allowed_regions_count = 2;
    (void)snprintf(spec->allowed_regions[0], NAME_SIZE, "east");
    (void)snprintf(spec->allowed_regions[1], NAME_SIZE, "west");
    (void)snprintf(spec->preferred_region, NAME_SIZE, "west");
    fixture_passes(&f);
    assert_int_equal(f.result.id, 2);
    assert_int_equal(f.changed.value, 2);
    struct shard_view view;
    assert_int_equal(query_shard(f.tables, (struct shard_id){2}, &view), ERR_OK);
    assert_string_equal(view.shard.name, "x");
    assert_int_equal(view.shard.kind, SHARD_POSTGRES);
    assert_int_equal(view.shard.mode, SHARD_ASYNC);
    assert_int_equal(view.shard.rto_ms, 5000);
    assert_int_equal(view.shard.rpo_ms, 4000);
    assert_int_equal(view.shard.sync_required, 2);
    assert_int_equal(view.shard.allowed_regions_count, 2);
    assert_string_equal(view.shard.allowed_regions[1], "west");
    assert_string_equal(view.shard.preferred_region, "west");
    assert_int_equal(view.shard.sync.pairs_count, 0);
    assert_int_equal(view.shard.changed_index, f.index);
    assert_int_equal(view.instances_count, 0);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cluster_is_initialised_once),
        cmocka_unit_test(test_a_cluster_of_wrong_names_is_refused),
        cmocka_unit_test(test_nothing_is_made_before_the_cluster),
        cmocka_unit_test(test_a_region_keeps_its_id_when_it_changes),
        cmocka_unit_test(test_regions_are_bounded),
        cmocka_unit_test(test_shards_are_validated),
        cmocka_unit_test(test_a_new_sync_shard_acknowledges_nothing_yet),
        cmocka_unit_test(test_a_shard_is_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
