/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: who is registered where, under which address, on which data folder. */
#include "state_fixture.h"

#include <stdio.h>

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

static struct hello *instance_register(struct fixture *f, const char *name)
{
    memset(&f->command, 0, sizeof(f->command));
    f->command.kind = COMMAND_INSTANCE_REGISTER;
    struct hello *hello = &f->command.instance_register.hello;
    (void)snprintf(hello->shard, NAME_SIZE, "orders");
    (void)snprintf(hello->instance, NAME_SIZE, "%s", name);
    (void)snprintf(hello->region, NAME_SIZE, "east");
    (void)snprintf(hello->address, ADDRESS_SIZE, "10.0.9.9:5432");
    return hello;
}

static struct command_instance_update *instance_update(struct fixture *f)
{
    memset(&f->command, 0, sizeof(f->command));
    f->command.kind = COMMAND_INSTANCE_UPDATE;
    f->command.instance_update = (struct command_instance_update){
        .shard = {1}, .instance = {B}, .address = "10.0.0.2:5432", .incarnation = {12}};
    return &f->command.instance_update;
}

static void test_registering_again_gives_the_same_id(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    struct shard_view before = fixture_view(&f);
    (void)snprintf(instance_register(&f, "b")->region, NAME_SIZE, "west");
    fixture_passes(&f);
    assert_int_equal(f.result.id, B);
    struct shard_view after = fixture_view(&f);
    assert_memory_equal(&before, &after, sizeof(before));
    (void)instance_register(&f, "b"); /* says that it lives in east */
    fixture_refused(&f, ERR_PRECONDITION, "lives in region 'west', not in 'east'");
    fixture_free(&f);
}

static void test_instances_are_validated(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    (void)snprintf(instance_register(&f, "d")->shard, NAME_SIZE, "bills");
    fixture_refused(&f, ERR_NOT_FOUND, "there is no shard 'bills'");
    (void)instance_register(&f, "D");
    fixture_refused(&f, ERR_INVALID, "instance name 'D'");
    (void)snprintf(instance_register(&f, "d")->region, NAME_SIZE, "mars");
    fixture_refused(&f, ERR_NOT_FOUND, "region 'mars'");
    (void)snprintf(instance_register(&f, "d")->address, ADDRESS_SIZE, "db.example:5432");
    fixture_refused(&f, ERR_INVALID, "is not numeric");
    (void)snprintf(instance_register(&f, "d")->http_address, ADDRESS_SIZE, "nowhere");
    fixture_refused(&f, ERR_INVALID, "'nowhere' is not numeric");
    (void)snprintf(instance_register(&f, "d")->address, ADDRESS_SIZE, "10.0.0.3:5432");
    fixture_refused(&f, ERR_EXISTS, "belongs to another instance");
    fixture_free(&f);
}

static void test_a_shard_has_at_most_nine_instances(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    for (int i = 4; i <= SHARD_INSTANCES_MAX; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "i%d", i);
        struct hello *hello = instance_register(&f, name);
        (void)snprintf(hello->address, ADDRESS_SIZE, "10.0.1.%d:5432", i);
        fixture_passes(&f);
    }
    (void)instance_register(&f, "last");
    fixture_refused(&f, ERR_LIMIT, "has 9 instances already");
    fixture_free(&f);
}

static void test_an_instance_may_move_to_a_free_address(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    (void)snprintf(instance_update(&f)->address, ADDRESS_SIZE, "10.0.0.1:5432");
    fixture_refused(&f, ERR_EXISTS, "belongs to another instance");
    instance_update(&f)->address[0] = '\0';
    fixture_refused(&f, ERR_INVALID, "is not numeric");
    instance_update(&f)->instance.value = 8;
    fixture_refused(&f, ERR_NOT_FOUND, "no instance 8");
    struct command_instance_update *update = instance_update(&f);
    (void)snprintf(update->address, ADDRESS_SIZE, "[fd00::2]:5432");
    (void)snprintf(update->http_address, ADDRESS_SIZE, "[fd00::2]:8008");
    fixture_passes(&f);
    assert_string_equal(fixture_view(&f).instances[1].http_address, "[fd00::2]:8008");
    assert_string_equal(fixture_view(&f).instances[1].address, "[fd00::2]:5432");
    /* The old address is free again. */
    (void)snprintf(instance_register(&f, "d")->address, ADDRESS_SIZE, "10.0.0.2:5432");
    fixture_passes(&f);
    fixture_free(&f);
}

static void test_an_update_without_incarnation_keeps_it(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    instance_update(&f)->incarnation.value = 0;
    fixture_passes(&f);
    assert_int_equal(fixture_view(&f).instances[1].incarnation.value, 12);
    fixture_free(&f);
}

static void test_a_replaced_folder_stays_in_the_record_and_cannot_come_back(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    instance_update(&f)->incarnation.value = 92;
    fixture_passes(&f);
    struct shard_view view = fixture_view(&f);
    assert_true(sync_record_contains(&view.shard.sync, (struct sync_member){{B}, {12}}));
    assert_false(sync_record_contains(&view.shard.sync, (struct sync_member){{B}, {92}}));
    (void)instance_update(&f); /* 12 again */
    fixture_refused(&f, ERR_PRECONDITION, "cannot be it again");
    fixture_free(&f);
}

static void test_residency_keeps_instances_out_of_other_regions(void **state)
{
    (void)state;
    struct fixture f;
    fixture_world(&f, SHARD_SYNC);
    struct shard *spec = shard_create(&f, "eu");
    spec->allowed_regions_count = 1;
    (void)snprintf(spec->allowed_regions[0], NAME_SIZE, "west");
    fixture_passes(&f);
    (void)snprintf(instance_register(&f, "d")->shard, NAME_SIZE, "eu");
    fixture_refused(&f, ERR_PRECONDITION, "may not live in region 'east'");
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registering_again_gives_the_same_id),
        cmocka_unit_test(test_instances_are_validated),
        cmocka_unit_test(test_a_shard_has_at_most_nine_instances),
        cmocka_unit_test(test_an_instance_may_move_to_a_free_address),
        cmocka_unit_test(test_an_update_without_incarnation_keeps_it),
        cmocka_unit_test(test_a_replaced_folder_stays_in_the_record_and_cannot_come_back),
        cmocka_unit_test(test_residency_keeps_instances_out_of_other_regions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
