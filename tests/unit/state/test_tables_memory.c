/* SPDX-License-Identifier: Apache-2.0 */
/* The tables in memory against a plain sorted array, and at a size the simulator may reach. */
#include "base/check.h"
#include "base/prng.h"
#include "state/change.h"
#include "state/tables_memory.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    KEYS = 64,
    STEPS = 20000,
    MANY = 100000
};

struct walk {
    uint64_t keys[KEYS];
    uint64_t values[KEYS];
    uint32_t count;
    uint32_t max;
};

static bool visit(struct slice key, struct slice value, void *ctx)
{
    struct walk *walk = ctx;
    assert_true(walk->count < KEYS);
    walk->keys[walk->count] = key_read_u64(key);
    walk->values[walk->count] = key_read_u64(value);
    walk->count++;
    return walk->count < walk->max;
}

static void put(const struct tables *tables, uint64_t key, uint64_t value)
{
    struct state_key k = key_u64(key);
    struct state_key v = key_u64(value);
    tables_put(tables, TABLE_NAME, key_view(&k), key_view(&v));
}

static void assert_same(const struct tables *tables, const bool *there, const uint64_t *model)
{
    struct walk walk = {.max = KEYS};
    struct state_key from = key_u64(0);
    tables->ops->scan(tables->ctx, TABLE_NAME, key_view(&from), visit, &walk);
    uint32_t at = 0;
    for (uint64_t key = 0; key < KEYS; key++) {
        if (there[key]) {
            assert_true(at < walk.count);
            assert_int_equal(walk.keys[at], key);
            assert_int_equal(walk.values[at], model[key]);
            at++;
        }
    }
    assert_int_equal(at, walk.count);
}

static void test_it_holds_what_a_sorted_array_holds(void **state)
{
    (void)state;
    struct prng dice;
    bool there[KEYS] = {false};
    uint64_t model[KEYS] = {0};
    prng_init(&dice, support_seed());
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    for (uint64_t step = 0; step < STEPS; step++) {
        uint64_t key = prng_below(&dice, KEYS);
        struct state_key k = key_u64(key);
        struct slice value;
        enum error expected = there[key] ? ERR_OK : ERR_NOT_FOUND;
        assert_int_equal(tables_get(&tables, TABLE_NAME, key_view(&k), &value), expected);
        if (prng_chance(&dice, 500)) {
            put(&tables, key, step);
            there[key] = true;
            model[key] = step;
        } else {
            tables_del(&tables, TABLE_NAME, key_view(&k));
            there[key] = false;
        }
        if (step % 97 == 0) {
            assert_same(&tables, there, model);
        }
    }
    struct tables_memory *copy = tables_memory_dup(memory);
    tables_memory_free(memory);
    tables = tables_memory_tables(copy);
    assert_same(&tables, there, model);
    tables_memory_free(copy);
}

static void test_a_scan_begins_where_asked_and_stops_when_told(void **state)
{
    (void)state;
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    for (uint64_t key = 10; key < 20; key++) {
        put(&tables, key * 2, key);
    }
    struct walk walk = {.max = 3};
    struct state_key from = key_u64(25);
    tables.ops->scan(tables.ctx, TABLE_NAME, key_view(&from), visit, &walk);
    assert_int_equal(walk.count, 3);
    assert_int_equal(walk.keys[0], 26);
    assert_int_equal(walk.keys[2], 30);
    walk = (struct walk){.max = KEYS};
    tables.ops->scan(tables.ctx, TABLE_REGION, key_view(&from), visit, &walk);
    assert_int_equal(walk.count, 0);
    tables_memory_free(memory);
}

static void test_a_value_may_be_put_from_itself(void **state)
{
    (void)state;
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    put(&tables, 1, 77);
    struct state_key key = key_u64(1);
    struct slice value;
    assert_int_equal(tables_get(&tables, TABLE_NAME, key_view(&key), &value), ERR_OK);
    tables_put(&tables, TABLE_NAME, key_view(&key), value);
    assert_int_equal(tables_get(&tables, TABLE_NAME, key_view(&key), &value), ERR_OK);
    assert_int_equal(key_read_u64(value), 77);
    assert_int_equal(tables_memory_count(memory, TABLE_NAME), 1);
    tables_memory_free(memory);
    tables_memory_free(NULL);
}

static void test_a_hundred_thousand_rows_are_found(void **state)
{
    (void)state;
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    for (uint64_t i = 0; i < MANY; i++) {
        put(&tables, i * UINT64_C(0x9E3779B97F4A7C15), i);
    }
    assert_int_equal(tables_memory_count(memory, TABLE_NAME), MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        struct state_key key = key_u64(i * UINT64_C(0x9E3779B97F4A7C15));
        struct slice value;
        assert_int_equal(tables_get(&tables, TABLE_NAME, key_view(&key), &value), ERR_OK);
        assert_int_equal(key_read_u64(value), i);
    }
    tables_memory_free(memory);
}

static void test_keys_sort_as_their_numbers(void **state)
{
    (void)state;
    static const uint64_t NUMBERS[] = {0, 1, 255, 256, 65536, UINT32_MAX, UINT64_C(1) << 40};
    for (size_t i = 1; i < ARRAY_LEN(NUMBERS); i++) {
        struct state_key low = key_u64(NUMBERS[i - 1]);
        struct state_key high = key_u64(NUMBERS[i]);
        assert_true(slice_compare(key_view(&low), key_view(&high)) < 0);
        low = key_u64_u64(7, NUMBERS[i - 1]);
        high = key_u64_u64(7, NUMBERS[i]);
        assert_true(slice_compare(key_view(&low), key_view(&high)) < 0);
        low = key_u8_u64(3, UINT64_MAX);
        high = key_u8_u64(4, NUMBERS[i]);
        assert_true(slice_compare(key_view(&low), key_view(&high)) < 0);
    }
    struct state_key key = key_u32(0x01020304);
    assert_int_equal(key_read_u32(key_view(&key)), 0x01020304);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_holds_what_a_sorted_array_holds),
        cmocka_unit_test(test_a_scan_begins_where_asked_and_stops_when_told),
        cmocka_unit_test(test_a_value_may_be_put_from_itself),
        cmocka_unit_test(test_a_hundred_thousand_rows_are_found),
        cmocka_unit_test(test_keys_sort_as_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
