/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: keys come back as they went, in the order of memcmp, whatever runs of zero bytes they have,
 * and however many versions a walk has to pass over. Method: random keys over few bytes, against a
 * sorted list. */
#include "base/prng.h"
#include "tests/support/support_seed.h"
#include "tests/unit/state/kv_fixture.h"

#include <stdlib.h>

enum {
    KEYS = 400,
    VERSIONS_MAX = 12
};

struct key {
    uint8_t bytes[KV_KEY_MAX];
    size_t len;
};

struct seen {
    const struct key *keys;
    uint32_t count;
    uint32_t at;
};

static struct slice slice_of_key(const struct key *key)
{
    return slice_of(key->bytes, key->len);
}

static int compare(const void *a, const void *b)
{
    return slice_compare(slice_of_key(a), slice_of_key(b));
}

/* Runs of 0, 1 and 255, so that many keys are prefixes of others and runs have every length. */
static void draw_key(struct prng *prng, struct key *key)
{
    static const uint8_t alphabet[] = {0, 1, 255};
    uint32_t runs = 1 + (uint32_t)(prng_next(prng) % 4);
    key->len = 0;
    for (uint32_t i = 0; i < runs; i++) {
        size_t longest = prng_next(prng) % 4 == 0 ? 117 : 3;
        size_t len = 1 + prng_next(prng) % longest;
        memset(key->bytes + key->len, alphabet[prng_next(prng) % sizeof(alphabet)], len);
        key->len += len;
    }
}

static bool on_pair(const struct kv_pair *pair, void *ctx)
{
    struct seen *seen = ctx;
    while (seen->at + 1 < seen->count &&
           compare(&seen->keys[seen->at], &seen->keys[seen->at + 1]) == 0) {
        seen->at++; /* drawn twice */
    }
    assert_true(seen->at < seen->count);
    const struct key *key = &seen->keys[seen->at++];
    assert_int_equal(pair->key.len, key->len);
    assert_memory_equal(pair->key.data, key->bytes, key->len);
    return true;
}

static void assert_range(struct kv_fixture *f, const struct key *keys, uint32_t from, uint32_t to)
{
    struct kv_op_range range = {.range = {.key = slice_of_key(&keys[from])}};
    static const uint8_t all[1] = {0};
    range.range.end = to == KEYS ? slice_of(all, 1) : slice_of_key(&keys[to]);
    while (from > 0 && compare(&keys[from - 1], &keys[from]) == 0) {
        from--;
    }
    while (to < KEYS && to > 0 && compare(&keys[to - 1], &keys[to]) == 0) {
        to--;
    }
    struct seen seen = {.keys = keys + from, .count = to - from};
    struct kv_range_result result;
    assert_int_equal(kv_read(&f->tables, &range, &result, on_pair, &seen), KV_OK);
    for (uint32_t i = seen.at; i < seen.count; i++) {
        assert_true(i > 0 && compare(&seen.keys[i - 1], &seen.keys[i]) == 0);
    }
}

static void test_keys_with_zeros_come_back_in_order(void **state)
{
    (void)state;
    struct prng prng;
    struct kv_fixture f;
    struct key *keys = calloc(KEYS, sizeof(*keys));
    assert_non_null(keys);
    prng_init(&prng, support_seed());
    kv_fixture_init(&f);
    for (uint32_t i = 0; i < KEYS; i++) {
        draw_key(&prng, &keys[i]);
        struct kv_op op = kv_op_put("", "v");
        op.put.key = slice_of_key(&keys[i]);
        uint64_t versions = 1 + prng_next(&prng) % VERSIONS_MAX;
        for (uint64_t version = 0; version < versions; version++) {
            assert_int_equal(kv_do(&f, &op).error, KV_OK);
        }
    }

    qsort(keys, KEYS, sizeof(*keys), compare);

    for (uint32_t i = 0; i < KEYS; i++) {
        assert_range(&f, keys, i, KEYS);
        uint32_t to = i + (uint32_t)(prng_next(&prng) % (KEYS - i));
        if (compare(&keys[i], &keys[to]) < 0) {
            assert_range(&f, keys, i, to);
        }
        struct kv_pair pair;
        assert_int_equal(kv_get(&f.tables, slice_of_key(&keys[i]), INT32_MAX, &pair), ERR_OK);
        assert_true(slice_equal(pair.key, slice_of_key(&keys[i])));
    }
    kv_fixture_free(&f);
    free(keys);
}

static void test_a_key_of_zeros_takes_little_room(void **state)
{
    (void)state;
    struct kv_fixture f;
    kv_fixture_init(&f);
    uint8_t zeros[KV_KEY_MAX] = {0};
    struct kv_op op = kv_op_put("", "v");
    op.put.key = slice_of(zeros, sizeof(zeros));

    assert_int_equal(kv_do(&f, &op).error, KV_OK);

    struct kv_pair pair;
    assert_int_equal(kv_get(&f.tables, op.put.key, INT32_MAX, &pair), ERR_OK);
    assert_int_equal(pair.key.len, sizeof(zeros));
    kv_fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_with_zeros_come_back_in_order),
        cmocka_unit_test(test_a_key_of_zeros_takes_little_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
