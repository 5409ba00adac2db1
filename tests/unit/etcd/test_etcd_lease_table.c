/* SPDX-License-Identifier: Apache-2.0 */
/* The table of leases against a plain array. SEED=n repeats a run. */
#include "etcd/etcd_lease_table.h"

#include "base/check.h"
#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    IDS = 300,
    STEPS = 100000
};

static void test_an_empty_table_has_nothing_to_find_or_to_remove(void **state)
{
    (void)state;
    struct etcd_lease_table table = {0};
    assert_null(etcd_lease_table_find(&table, 1));
    etcd_lease_table_remove(&table, 1);
    assert_int_equal(table.count, 0);
    etcd_lease_table_deinit(&table);
}

static void test_adding_what_is_there_finds_it(void **state)
{
    (void)state;
    struct etcd_lease_table table = {0};
    etcd_lease_table_add(&table, 7)->ttl_s = 60;
    assert_int_equal(etcd_lease_table_add(&table, 7)->ttl_s, 60);
    assert_int_equal(table.count, 1);
    etcd_lease_table_deinit(&table);
}

static void check_all(const struct etcd_lease_table *table, const int64_t *ttls)
{
    uint32_t count = 0;
    for (int64_t id = 1; id <= IDS; id++) {
        const struct etcd_lease *lease = etcd_lease_table_find(table, id);
        count += lease != NULL;
        assert_int_equal(lease == NULL ? 0 : lease->ttl_s, ttls[id]);
    }
    assert_int_equal(table->count, count);
}

static void test_any_order_of_adding_and_removing_keeps_every_lease_findable(void **state)
{
    (void)state;
    struct prng prng;
    int64_t ttls[IDS + 1] = {0}; /* 0: not there */
    uint64_t seed = support_seed();
    prng_init(&prng, seed);
    struct etcd_lease_table table = {.seed = seed};

    for (int step = 0; step < STEPS; step++) {
        int64_t id = 1 + (int64_t)prng_below(&prng, IDS);
        /* Long spells of growing and of shrinking. */
        if (prng_below(&prng, 10) < (step / 1000 % 2 == 0 ? 7U : 3U)) {
            ttls[id] = step + 1;
            etcd_lease_table_add(&table, id)->ttl_s = step + 1;
        } else {
            ttls[id] = 0;
            etcd_lease_table_remove(&table, id);
        }
        assert_null(etcd_lease_table_find(&table, IDS + 1));
        if (step % 100 == 0) {
            check_all(&table, ttls);
        }
    }
    check_all(&table, ttls);
    etcd_lease_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_table_has_nothing_to_find_or_to_remove),
        cmocka_unit_test(test_adding_what_is_there_finds_it),
        cmocka_unit_test(test_any_order_of_adding_and_removing_keeps_every_lease_findable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
