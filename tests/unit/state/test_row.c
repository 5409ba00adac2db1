/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: what is put comes back whole, the bytes are the same each time, and a row that is cut off
 * or too long ends the process instead of being half read. */
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "state/row.h"
#include "tests/support/support_abort.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    ROUNDS = 300
};

static struct prng dice;

static uint32_t below(uint32_t bound)
{
    return (uint32_t)prng_below(&dice, bound);
}

static void put_text(char *text, size_t size)
{
    memset(text, 0, size);
    size_t len = below((uint32_t)size);
    for (size_t i = 0; i < len; i++) {
        text[i] = (char)(1 + below(255));
    }
}

static struct position some_position(void)
{
    uint32_t timeline = (uint32_t)prng_next(&dice);
    return (struct position){timeline, prng_next(&dice)};
}

static void random_region(struct region *region)
{
    memset(region, 0, sizeof(*region));
    region->id.value = below(UINT32_MAX);
    put_text(region->name, sizeof(region->name));
    put_text(region->jurisdiction, sizeof(region->jurisdiction));
    region->rank = below(UINT32_MAX);
    region->state = (enum region_state)below(3);
}

static void random_member(struct member *member)
{
    memset(member, 0, sizeof(*member));
    member->id = (struct member_id){prng_next(&dice), prng_next(&dice)};
    put_text(member->name, sizeof(member->name));
    put_text(member->region, sizeof(member->region));
    put_text(member->peer_address, sizeof(member->peer_address));
    put_text(member->api_address, sizeof(member->api_address));
    put_text(member->ops_address, sizeof(member->ops_address));
}

static void random_instance(struct instance *instance)
{
    memset(instance, 0, sizeof(*instance));
    instance->id.value = below(UINT32_MAX);
    instance->shard.value = below(UINT32_MAX);
    put_text(instance->name, sizeof(instance->name));
    put_text(instance->region, sizeof(instance->region));
    put_text(instance->address, sizeof(instance->address));
    put_text(instance->http_address, sizeof(instance->http_address));
    instance->incarnation.value = prng_next(&dice);
    instance->promotions_failed = below(UINT32_MAX);
    put_text(instance->promotion_trouble, sizeof(instance->promotion_trouble));
}

static void random_sync(struct sync_record *sync)
{
    sync->version = 1 + prng_next(&dice) / 2;
    sync->pairs_count = below(SYNC_PAIRS_MAX + 1);
    for (uint32_t i = 0; i < sync->pairs_count; i++) {
        struct sync_pair *pair = &sync->pairs[i];
        pair->required = 1 + below(5);
        uint32_t wanted = below(SYNC_SET_MAX + 1);
        while (pair->members_count < wanted) {
            struct sync_member member = {{1 + below(100)}, {1 + below(100)}};
            enum error error = sync_pair_add(pair, member);
            CHECK(error == ERR_OK || error == ERR_EXISTS);
        }
    }
}

static void random_shard(struct shard_row *row)
{
    memset(row, 0, sizeof(*row));
    struct shard *shard = &row->shard;
    shard->id.value = below(UINT32_MAX);
    put_text(shard->name, sizeof(shard->name));
    shard->kind = SHARD_POSTGRES;
    shard->mode = (enum shard_mode)(1 + below(2));
    shard->rto_ms = below(UINT32_MAX);
    shard->rpo_ms = below(UINT32_MAX);
    shard->sync_required = below(9);
    put_text(shard->preferred_region, NAME_SIZE);
    shard->allowed_regions_count = below(REGIONS_MAX + 1);
    for (uint32_t i = 0; i < shard->allowed_regions_count; i++) {
        put_text(shard->allowed_regions[i], NAME_SIZE);
    }
    shard->frozen = below(2) == 0;
    shard->epoch.value = prng_next(&dice);
    shard->primary.value = below(UINT32_MAX);
    shard->primary_epoch.value = prng_next(&dice);
    shard->primary_incarnation.value = prng_next(&dice);
    shard->lease = (enum lease_state)below(3);
    shard->opened = below(2) == 0;
    shard->floor = some_position();
    shard->timeline_reserved = below(UINT32_MAX);
    shard->branch_timeline = below(UINT32_MAX);
    shard->forks_count = below(SHARD_FORKS_MAX + 1);
    for (uint32_t i = 0; i < shard->forks_count; i++) {
        shard->forks[i] =
            (struct fork){prng_next(&dice), below(UINT32_MAX), below(UINT32_MAX), prng_next(&dice)};
    }
    shard->system_identifier = prng_next(&dice);
    shard->primary_nonce = prng_next(&dice);
    put_text(shard->lapse, sizeof(shard->lapse));
    shard->lapse_wall_ms = prng_next(&dice);
    random_sync(&shard->sync);
    shard->changed_index = prng_next(&dice);
    row->failover_id = prng_next(&dice);
    row->instances_count = below(SHARD_INSTANCES_MAX + 1);
    for (uint32_t i = 0; i < row->instances_count; i++) {
        row->instances[i].value = below(UINT32_MAX);
    }
}

static void random_failover(struct failover *failover)
{
    memset(failover, 0, sizeof(*failover));
    failover->id = prng_next(&dice);
    failover->shard.value = below(UINT32_MAX);
    failover->epoch.value = prng_next(&dice);
    failover->step = (enum failover_step)below(FAILOVER_STEP_COUNT);
    failover->cause = (enum failover_cause)below(FAILOVER_CAUSE_COUNT);
    failover->proof = (enum exclusion_proof)below(EXCLUSION_PROOF_COUNT);
    failover->in_place = below(2) == 0;
    failover->in_place_row = below(UINT32_MAX);
    failover->old_primary.value = below(UINT32_MAX);
    failover->old_epoch.value = prng_next(&dice);
    failover->candidate.value = below(UINT32_MAX);
    failover->timeline = below(UINT32_MAX);
    failover->acked_floor = some_position();
    failover->reports_count = below(SHARD_INSTANCES_MAX + 1);
    for (uint32_t i = 0; i < failover->reports_count; i++) {
        failover->reports[i].instance.value = below(UINT32_MAX);
        failover->reports[i].incarnation.value = prng_next(&dice);
        failover->reports[i].position = some_position();
        failover->reports[i].replay_lag_bytes = prng_next(&dice);
    }
    failover->witnessed = below(2) == 0;
    failover->own.instance.value = below(UINT32_MAX);
    failover->own.incarnation.value = prng_next(&dice);
    failover->own.position = some_position();
    failover->marks.acked = some_position();
    failover->marks.count = below(MARKS_MAX + 1);
    for (uint32_t i = 0; i < failover->marks.count; i++) {
        failover->marks.items[i].instance.value = below(UINT32_MAX);
        failover->marks.items[i].incarnation.value = prng_next(&dice);
        failover->marks.items[i].position = some_position();
    }
    failover->loss_bound_bytes = prng_next(&dice);
    put_text(failover->evidence, sizeof(failover->evidence));
    put_text(failover->reason, sizeof(failover->reason));
    put_text(failover->could_lose, sizeof(failover->could_lose));
    failover->detected_wall_ms = prng_next(&dice);
    failover->confirmed_wall_ms = prng_next(&dice);
    for (int i = 0; i < FAILOVER_STEP_COUNT; i++) {
        failover->step_wall_ms[i] = prng_next(&dice);
    }
}

/* Put, get, compare, put again: equal structs and equal bytes. */
#define assert_round_trip(type, name)                               \
    do {                                                            \
        type in_;                                                   \
        type out_;                                                  \
        struct buf first_ = {0};                                    \
        struct buf second_ = {0};                                   \
        random_##name(&in_);                                        \
        row_put_##name(&first_, &in_);                              \
        row_get_##name(buf_view(&first_), &out_);                   \
        row_put_##name(&second_, &out_);                            \
        assert_int_equal(first_.len, second_.len);                  \
        assert_memory_equal(first_.data, second_.data, first_.len); \
        buf_deinit(&first_);                                        \
        buf_deinit(&second_);                                       \
    } while (0)

static void test_what_is_put_comes_back(void **state)
{
    (void)state;
    prng_init(&dice, support_seed());
    for (int i = 0; i < ROUNDS; i++) {
        assert_round_trip(struct region, region);
        assert_round_trip(struct member, member);
        assert_round_trip(struct instance, instance);
        assert_round_trip(struct shard_row, shard);
        assert_round_trip(struct failover, failover);
    }
}

/* Equal bytes alone would not notice a field that is neither put nor got. */
static void test_no_field_is_forgotten(void **state)
{
    (void)state;
    prng_init(&dice, support_seed());
    for (int i = 0; i < ROUNDS; i++) {
        struct buf bytes = {0};
        static struct shard_row row;
        static struct shard_row row_out;
        random_shard(&row);
        row_put_shard(&bytes, &row);
        row_get_shard(buf_view(&bytes), &row_out);
        assert_memory_equal(&row, &row_out, sizeof(row));
        buf_clear(&bytes);
        struct failover failover;
        struct failover failover_out;
        random_failover(&failover);
        row_put_failover(&bytes, &failover);
        row_get_failover(buf_view(&bytes), &failover_out);
        assert_memory_equal(&failover, &failover_out, sizeof(failover));
        buf_clear(&bytes);
        struct instance instance;
        struct instance instance_out;
        random_instance(&instance);
        row_put_instance(&bytes, &instance);
        row_get_instance(buf_view(&bytes), &instance_out);
        assert_memory_equal(&instance, &instance_out, sizeof(instance));
        buf_clear(&bytes);
        struct member member;
        struct member member_out;
        random_member(&member);
        row_put_member(&bytes, &member);
        row_get_member(buf_view(&bytes), &member_out);
        assert_memory_equal(&member, &member_out, sizeof(member));
        buf_clear(&bytes);
        struct region region;
        struct region region_out;
        random_region(&region);
        row_put_region(&bytes, &region);
        row_get_region(buf_view(&bytes), &region_out);
        assert_memory_equal(&region, &region_out, sizeof(region));
        buf_deinit(&bytes);
    }
}

static void read_shard(void *ctx)
{
    const struct slice *bytes = ctx;
    struct shard_row row;
    row_get_shard(*bytes, &row);
}

static void read_failover(void *ctx)
{
    const struct slice *bytes = ctx;
    struct failover failover;
    row_get_failover(*bytes, &failover);
}

static void assert_any_cut_ends_the_process(const struct buf *bytes, void (*read)(void *ctx))
{
    for (size_t len = 0; len <= bytes->len + 1; len++) {
        uint8_t *copy = mem_new(bytes->len + 1);
        memcpy(copy, bytes->data, bytes->len);
        struct slice cut = {.data = copy, .len = len};
        assert_true(support_aborts(read, &cut, NULL, 0) == (len != bytes->len));
        mem_free(copy);
    }
}

static void test_a_row_cut_at_any_byte_ends_the_process(void **state)
{
    (void)state;
    struct shard_row row;
    struct failover failover;
    struct buf bytes = {0};
    prng_init(&dice, 7);
    random_shard(&row);
    row.shard.forks_count = 1;
    row.shard.allowed_regions_count = 1;
    row_put_shard(&bytes, &row);
    assert_any_cut_ends_the_process(&bytes, read_shard);
    buf_clear(&bytes);
    random_failover(&failover);
    failover.evidence[20] = '\0';
    failover.reason[10] = '\0';
    failover.reports_count = 2;
    row_put_failover(&bytes, &failover);
    assert_any_cut_ends_the_process(&bytes, read_failover);
    buf_deinit(&bytes);
}

static void test_a_row_of_another_version_ends_the_process(void **state)
{
    (void)state;
    struct failover failover;
    struct buf bytes = {0};
    prng_init(&dice, 7);
    random_failover(&failover);
    row_put_failover(&bytes, &failover);
    bytes.data[0]++;
    struct slice view = buf_view(&bytes);
    char text[512];
    assert_true(support_aborts(read_failover, &view, text, sizeof(text)));
    assert_non_null(strstr(text, "version"));
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_comes_back),
        cmocka_unit_test(test_no_field_is_forgotten),
        cmocka_unit_test(test_a_row_cut_at_any_byte_ends_the_process),
        cmocka_unit_test(test_a_row_of_another_version_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
