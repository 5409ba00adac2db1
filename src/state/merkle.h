/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of RFC 6962, section 2.1 (and RFC 9162, 2.1, for verifying): hashes of leaves and
 * nodes, roots of any size, inclusion and consistency proofs. Pure; perfect subtrees come from the
 * caller by (level, index): node (l, i) covers leaves [i * 2^l, (i + 1) * 2^l). */
#ifndef INDABA_STATE_MERKLE_H
#define INDABA_STATE_MERKLE_H

#include "base/hash.h"

/* No tree of ours is deeper; no proof is longer. */
enum {
    MERKLE_LEVELS_MAX = 64
};

struct sha256 merkle_leaf_hash(struct slice leaf);
/* The same of a leaf in two pieces, without joining them. */
struct sha256 merkle_leaf_hash_of(struct slice head, struct slice tail);
struct sha256 merkle_node_hash(const struct sha256 *left, const struct sha256 *right);
/* The root of the empty tree, SHA-256(""). */
struct sha256 merkle_empty_root(void);

/* Where perfect subtrees are kept. False: it is not there. */
typedef bool (*merkle_get)(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out);

struct merkle_source {
    merkle_get get;
    void *ctx;
};

/* ERR_CORRUPT if a node is missing. */
MUST_CHECK enum error
merkle_root(const struct merkle_source *source, uint64_t size, struct sha256 *root_out);

struct merkle_proof {
    struct sha256 hashes[MERKLE_LEVELS_MAX];
    uint32_t count;
};

/* Audit path of leaf `number` in the tree of `size` leaves. ERR_RANGE unless number < size. */
MUST_CHECK enum error merkle_inclusion(const struct merkle_source *source,
                                       uint64_t number,
                                       uint64_t size,
                                       struct merkle_proof *proof_out);
bool merkle_inclusion_holds(const struct sha256 *leaf_hash,
                            uint64_t number,
                            uint64_t size,
                            const struct merkle_proof *proof,
                            const struct sha256 *root);

/* Proof that the tree of `first` leaves is a beginning of that of `second`. ERR_RANGE unless
 * 0 < first <= second. */
MUST_CHECK enum error merkle_consistency(const struct merkle_source *source,
                                         uint64_t first,
                                         uint64_t second,
                                         struct merkle_proof *proof_out);

struct merkle_claim {
    uint64_t size;
    struct sha256 root;
};

bool merkle_consistency_holds(const struct merkle_claim *first,
                              const struct merkle_claim *second,
                              const struct merkle_proof *proof);

#endif
