/* SPDX-License-Identifier: Apache-2.0 */
/* The Merkle arithmetic against known vectors (the eight leaves that Certificate Transparency's
 * implementations share) and against the recursive definitions of RFC 6962, section 2.1, written
 * here a second time in the plainest way. */
#include "base/check.h"
#include "state/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    LEAVES_MAX = 70
};

static struct sha256 leaf_hashes[LEAVES_MAX];

static struct sha256 range_hash(uint64_t begin, uint64_t end)
{
    if (end - begin == 1) {
        return leaf_hashes[begin];
    }
    uint64_t k = 1;
    while (k * 2 < end - begin) {
        k *= 2;
    }
    struct sha256 left = range_hash(begin, begin + k);
    struct sha256 right = range_hash(begin + k, end);
    return merkle_node_hash(&left, &right);
}

static bool get(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out)
{
    const uint64_t *size = ctx;
    uint64_t width = UINT64_C(1) << level;
    if ((index + 1) * width > *size) {
        return false; /* only perfect subtrees are kept */
    }
    *hash_out = range_hash(index * width, (index + 1) * width);
    return true;
}

static bool same(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->bytes, b->bytes, SHA256_SIZE) == 0;
}

static int setup(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LEAVES_MAX; i++) {
        leaf_hashes[i] = merkle_leaf_hash(slice_of(&i, sizeof(i)));
    }
    return 0;
}

static void assert_hex(const struct sha256 *hash, const char *hex)
{
    char text[SHA256_TEXT_SIZE];
    assert_string_equal(sha256_format(hash, text), hex);
}

static void test_known_vectors(void **state)
{
    (void)state;

    static const struct {
        const char *bytes;
        size_t len;
        const char *root;
    } LEAVES[] = {
        {"", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"\x00", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"01", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"@ABC", 4, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"PQRSTUVW", 8, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"`abcdefghijklmno",
         16,
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct sha256 empty = merkle_empty_root();
    assert_hex(&empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (uint64_t i = 0; i < ARRAY_LEN(LEAVES); i++) {
        leaf_hashes[i] = merkle_leaf_hash(slice_of(LEAVES[i].bytes, LEAVES[i].len));
        uint64_t size = i + 1;
        struct merkle_source source = {.get = get, .ctx = &size};
        struct sha256 root;
        assert_int_equal(merkle_root(&source, size, &root), ERR_OK);
        assert_hex(&root, LEAVES[i].root);
    }
    (void)setup(NULL);
}

static void test_roots_of_all_sizes_are_those_of_the_definition(void **state)
{
    (void)state;
    uint64_t whole = LEAVES_MAX;
    struct merkle_source source = {.get = get, .ctx = &whole};
    for (uint64_t size = 1; size <= LEAVES_MAX; size++) {
        struct sha256 root;
        struct sha256 expected = range_hash(0, size);
        assert_int_equal(merkle_root(&source, size, &root), ERR_OK);
        assert_true(same(&root, &expected));
    }
}

static void test_every_inclusion_proof_holds_and_only_for_its_leaf(void **state)
{
    (void)state;
    uint64_t whole = LEAVES_MAX;
    struct merkle_source source = {.get = get, .ctx = &whole};
    for (uint64_t size = 1; size <= LEAVES_MAX; size++) {
        struct sha256 root = range_hash(0, size);
        for (uint64_t number = 0; number < size; number++) {
            struct merkle_proof proof;
            assert_int_equal(merkle_inclusion(&source, number, size, &proof), ERR_OK);
            const struct sha256 *leaf = &leaf_hashes[number];
            assert_true(merkle_inclusion_holds(leaf, number, size, &proof, &root));
            assert_false(merkle_inclusion_holds(leaf, number + 1, size, &proof, &root));
            assert_false(merkle_inclusion_holds(
                &leaf_hashes[(number + 1) % LEAVES_MAX], number, size, &proof, &root));
            if (proof.count > 0) {
                struct merkle_proof damaged = proof;
                damaged.hashes[proof.count - 1].bytes[5] ^= 1;
                assert_false(merkle_inclusion_holds(leaf, number, size, &damaged, &root));
                damaged = proof;
                damaged.count--;
                assert_false(merkle_inclusion_holds(leaf, number, size, &damaged, &root));
            }
        }
    }
}

static void test_every_consistency_proof_holds_and_only_for_its_sizes(void **state)
{
    (void)state;
    uint64_t whole = LEAVES_MAX;
    struct merkle_source source = {.get = get, .ctx = &whole};
    for (uint64_t second = 1; second <= LEAVES_MAX; second++) {
        struct merkle_claim later = {.size = second, .root = range_hash(0, second)};
        for (uint64_t first = 1; first <= second; first++) {
            struct merkle_claim earlier = {.size = first, .root = range_hash(0, first)};
            struct merkle_proof proof;
            assert_int_equal(merkle_consistency(&source, first, second, &proof), ERR_OK);
            assert_true(merkle_consistency_holds(&earlier, &later, &proof));
            struct merkle_claim forged = earlier;
            forged.root.bytes[0] ^= 1;
            assert_false(merkle_consistency_holds(&forged, &later, &proof));
            forged = later;
            forged.root.bytes[31] ^= 0x80;
            assert_false(merkle_consistency_holds(&earlier, &forged, &proof));
            if (proof.count > 0) {
                struct merkle_proof damaged = proof;
                damaged.hashes[0].bytes[7] ^= 4;
                assert_false(merkle_consistency_holds(&earlier, &later, &damaged));
                damaged = proof;
                damaged.count--;
                assert_false(merkle_consistency_holds(&earlier, &later, &damaged));
            }
        }
    }
}

static void test_proofs_outside_the_tree_are_refused(void **state)
{
    (void)state;
    uint64_t whole = 10;
    struct merkle_source source = {.get = get, .ctx = &whole};
    struct merkle_proof proof = {.count = 0};
    struct sha256 root;
    assert_int_equal(merkle_inclusion(&source, 10, 10, &proof), ERR_RANGE);
    assert_int_equal(merkle_inclusion(&source, 0, 0, &proof), ERR_RANGE);
    assert_int_equal(merkle_consistency(&source, 0, 10, &proof), ERR_RANGE);
    assert_int_equal(merkle_consistency(&source, 10, 9, &proof), ERR_RANGE);
    assert_int_equal(merkle_root(&source, 11, &root), ERR_CORRUPT);
    proof.count = MERKLE_LEVELS_MAX + 1;
    assert_false(merkle_inclusion_holds(&leaf_hashes[0], 0, 10, &proof, &root));
    struct merkle_claim claim = {.size = 10, .root = range_hash(0, 10)};
    assert_false(merkle_consistency_holds(&claim, &claim, &proof));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_vectors),
        cmocka_unit_test(test_roots_of_all_sizes_are_those_of_the_definition),
        cmocka_unit_test(test_every_inclusion_proof_holds_and_only_for_its_leaf),
        cmocka_unit_test(test_every_consistency_proof_holds_and_only_for_its_sizes),
        cmocka_unit_test(test_proofs_outside_the_tree_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
