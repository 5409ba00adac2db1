/* SPDX-License-Identifier: Apache-2.0 */
/* See state/merkle.h. Names follow RFC 6962: MTH is the root of a range, PATH an audit path,
 * SUBPROOF the recursion of a consistency proof. */
#include "state/merkle.h"

#include "base/check.h"

#include <string.h>

struct range {
    uint64_t begin;
    uint64_t size;
};

static uint64_t split_point(uint64_t size);
static enum error
range_root(const struct merkle_source *source, struct range range, struct sha256 *root_out);
static enum error
proof_push(const struct merkle_source *source, struct range range, struct merkle_proof *proof);
static void proof_reverse(struct merkle_proof *proof);
static bool hash_equal(const struct sha256 *a, const struct sha256 *b);

struct sha256 merkle_leaf_hash(struct slice leaf)
{
    return merkle_leaf_hash_of(leaf, (struct slice){0});
}

struct sha256 merkle_leaf_hash_of(struct slice head, struct slice tail)
{
    static const uint8_t PREFIX = 0x00;
    struct slice parts[] = {slice_of(&PREFIX, 1), head, tail};
    return hash_sha256(parts, ARRAY_LEN(parts));
}

struct sha256 merkle_node_hash(const struct sha256 *left, const struct sha256 *right)
{
    static const uint8_t PREFIX = 0x01;
    struct slice parts[] = {
        slice_of(&PREFIX, 1),
        slice_of(left->bytes, SHA256_SIZE),
        slice_of(right->bytes, SHA256_SIZE),
    };
    return hash_sha256(parts, ARRAY_LEN(parts));
}

struct sha256 merkle_empty_root(void)
{
    return hash_sha256(NULL, 0);
}

enum error merkle_root(const struct merkle_source *source, uint64_t size, struct sha256 *root_out)
{
    if (size == 0) {
        *root_out = merkle_empty_root();
        return ERR_OK;
    }
    return range_root(source, (struct range){0, size}, root_out);
}

enum error merkle_inclusion(const struct merkle_source *source,
                            uint64_t number,
                            uint64_t size,
                            struct merkle_proof *proof_out)
{
    if (number >= size) {
        return ERR_RANGE;
    }
    struct merkle_proof proof = {.count = 0};
    struct range range = {0, size};
    while (range.size > 1) {
        uint64_t k = split_point(range.size);
        struct range left = {range.begin, k};
        struct range right = {range.begin + k, range.size - k};
        bool in_left = number < right.begin;
        TRY(proof_push(source, in_left ? right : left, &proof));
        range = in_left ? left : right;
    }
    proof_reverse(&proof);
    *proof_out = proof;
    return ERR_OK;
}

/* RFC 9162, 2.1.3.2. */
bool merkle_inclusion_holds(const struct sha256 *leaf_hash,
                            uint64_t number,
                            uint64_t size,
                            const struct merkle_proof *proof,
                            const struct sha256 *root)
{
    if (number >= size || proof->count > MERKLE_LEVELS_MAX) {
        return false;
    }
    uint64_t fn = number;
    uint64_t sn = size - 1;
    struct sha256 hash = *leaf_hash;
    for (uint32_t i = 0; i < proof->count; i++) {
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            hash = merkle_node_hash(&proof->hashes[i], &hash);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            hash = merkle_node_hash(&hash, &proof->hashes[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && hash_equal(&hash, root);
}

enum error merkle_consistency(const struct merkle_source *source,
                              uint64_t first,
                              uint64_t second,
                              struct merkle_proof *proof_out)
{
    if (first == 0 || first > second) {
        return ERR_RANGE;
    }
    struct merkle_proof proof = {.count = 0};
    struct range range = {0, second};
    uint64_t m = first;
    bool whole = true; /* the RFC's b: the subtree is the whole of the first tree */
    while (m < range.size) {
        uint64_t k = split_point(range.size);
        struct range left = {range.begin, k};
        struct range right = {range.begin + k, range.size - k};
        if (m <= k) {
            TRY(proof_push(source, right, &proof));
            range = left;
        } else {
            TRY(proof_push(source, left, &proof));
            range = right;
            m -= k;
            whole = false;
        }
    }
    if (!whole) {
        TRY(proof_push(source, range, &proof));
    }
    proof_reverse(&proof);
    *proof_out = proof;
    return ERR_OK;
}

/* RFC 9162, 2.1.4.2. */
bool merkle_consistency_holds(const struct merkle_claim *first,
                              const struct merkle_claim *second,
                              const struct merkle_proof *proof)
{
    if (first->size == 0 || first->size > second->size || proof->count > MERKLE_LEVELS_MAX) {
        return false;
    }
    if (first->size == second->size) {
        return proof->count == 0 && hash_equal(&first->root, &second->root);
    }
    bool power_of_two = (first->size & (first->size - 1)) == 0;
    uint32_t next = 0;
    struct sha256 start = first->root;
    if (!power_of_two) {
        if (proof->count == 0) {
            return false;
        }
        start = proof->hashes[next++];
    }
    uint64_t fn = first->size - 1;
    uint64_t sn = second->size - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    struct sha256 fr = start;
    struct sha256 sr = start;
    for (; next < proof->count; next++) {
        const struct sha256 *hash = &proof->hashes[next];
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            fr = merkle_node_hash(hash, &fr);
            sr = merkle_node_hash(hash, &sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            sr = merkle_node_hash(&sr, hash);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && hash_equal(&fr, &first->root) && hash_equal(&sr, &second->root);
}

/* The largest power of two smaller than `size`. */
static uint64_t split_point(uint64_t size)
{
    CHECK(size > 1);
    return UINT64_C(1) << (63 - __builtin_clzll(size - 1));
}

/* MTH of a range that begins where a subtree of the whole does. */
static enum error
range_root(const struct merkle_source *source, struct range range, struct sha256 *root_out)
{
    CHECK(range.size > 0);
    /* Right to left over the perfect subtrees that the range is made of. */
    struct sha256 hash = {0};
    bool have = false;
    uint64_t left = range.size;
    do {
        uint8_t level = (uint8_t)__builtin_ctzll(left);
        uint64_t width = UINT64_C(1) << level;
        uint64_t begin = range.begin + left - width;
        CHECK(begin % width == 0);
        struct sha256 node;
        if (!source->get(source->ctx, level, begin / width, &node)) {
            return ERR_CORRUPT;
        }
        hash = have ? merkle_node_hash(&node, &hash) : node;
        have = true;
        left -= width;
    } while (left > 0);
    *root_out = hash;
    return ERR_OK;
}

static enum error
proof_push(const struct merkle_source *source, struct range range, struct merkle_proof *proof)
{
    CHECK(proof->count < MERKLE_LEVELS_MAX);
    TRY(range_root(source, range, &proof->hashes[proof->count]));
    proof->count++;
    return ERR_OK;
}

static void proof_reverse(struct merkle_proof *proof)
{
    for (uint32_t i = 0; i < proof->count / 2; i++) {
        struct sha256 swap = proof->hashes[i];
        proof->hashes[i] = proof->hashes[proof->count - 1 - i];
        proof->hashes[proof->count - 1 - i] = swap;
    }
}

static bool hash_equal(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->bytes, b->bytes, SHA256_SIZE) == 0;
}
