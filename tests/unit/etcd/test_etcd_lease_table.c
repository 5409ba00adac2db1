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

static void test_adding_what_is_there_sets_it_anew(void **state)
{
    (void)state;
    struct etcd_lease_table table = {0};
    etcd_lease_table_set(&table, 7, 60, 1000);
    etcd_lease_table_set(&table, 7, 61, 2000);
    assert_int_equal(etcd_lease_table_find(&table, 7)->ttl_s, 61);
    assert_null(etcd_lease_table_expire(&table, 1999));
    etcd_lease_table_check_invariants(&table);
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
            etcd_lease_table_set(&table, id, step + 1, prng_below(&prng, 1000));
        } else {
            ttls[id] = 0;
            etcd_lease_table_remove(&table, id);
        }
        assert_null(etcd_lease_table_find(&table, IDS + 1));
        if (step % 100 == 0) {
            check_all(&table, ttls);
            etcd_lease_table_check_invariants(&table);
        }
    }
    check_all(&table, ttls);
    etcd_lease_table_deinit(&table);
}

static void test_what_expires_is_revoked_earliest_first_and_renewed_ones_later(void **state)
{
    (void)state;
    struct prng prng;
    uint64_t seed = support_seed();
    prng_init(&prng, seed);
    struct etcd_lease_table table = {.seed = seed};
    for (int64_t id = 1; id <= IDS; id++) {
        etcd_lease_table_set(&table, id, 1, 1 + prng_below(&prng, 1000));
    }
    struct etcd_lease *renewed = etcd_lease_table_find(&table, 5);
    etcd_lease_table_renew(&table, renewed, 5000);
    uint64_t before = 0;
    uint32_t expired = 0;
    for (const struct etcd_lease *lease = etcd_lease_table_expire(&table, 1000); lease != NULL;
         lease = etcd_lease_table_expire(&table, 1000)) {
        assert_true(lease->deadline_ms >= before && lease->revoking);
        before = lease->deadline_ms;
        expired++;
        etcd_lease_table_check_invariants(&table);
    }
    assert_int_equal(expired, IDS - 1);
    assert_false(renewed->revoking);
    etcd_lease_table_deinit(&table);
}

static void test_what_was_not_revoked_after_all_expires_again(void **state)
{
    (void)state;
    struct etcd_lease_table table = {.seed = 1};
    for (int64_t id = 1; id <= 3; id++) {
        etcd_lease_table_set(&table, id, 1, 100);
    }
    while (etcd_lease_table_expire(&table, 100) != NULL) {
    }
    etcd_lease_table_remove(&table, 2);        /* revoked */
    etcd_lease_table_set(&table, 3, 10, 9000); /* and granted again */
    etcd_lease_table_end_revoking(&table);
    etcd_lease_table_check_invariants(&table);
    const struct etcd_lease *again = etcd_lease_table_expire(&table, 100);
    assert_non_null(again);
    assert_int_equal(again->id, 1);
    assert_null(etcd_lease_table_expire(&table, 100));
    etcd_lease_table_end_revoking(&table);
    etcd_lease_table_renew_all(&table, 20000);
    assert_null(etcd_lease_table_expire(&table, 20999));
    assert_non_null(etcd_lease_table_expire(&table, 21000));
    etcd_lease_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_table_has_nothing_to_find_or_to_remove),
        cmocka_unit_test(test_adding_what_is_there_sets_it_anew),
        cmocka_unit_test(test_what_expires_is_revoked_earliest_first_and_renewed_ones_later),
        cmocka_unit_test(test_what_was_not_revoked_after_all_expires_again),
        cmocka_unit_test(test_any_order_of_adding_and_removing_keeps_every_lease_findable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
