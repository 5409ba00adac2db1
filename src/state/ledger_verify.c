/* SPDX-License-Identifier: Apache-2.0 */
/* Proves that a stored ledger is whole: the tree is rebuilt from the leaves, beside the stored one,
 * and the first difference is named. Never ends the process: it reads damaged folders. */
#include "state/ledger.h"
#include "state/ledger_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct verification {
    const struct tables *tables;
    char *problem;
    struct ledger_verification *far;
};

static bool end_agrees(const struct verification *verification, const struct ledger_head *head);
static bool leaf_agrees(const struct verification *verification, uint64_t number);
static bool leaf_covers(const struct verification *verification, const struct ledger_leaf *leaf);
static bool open_run_agrees(const struct verification *verification, const struct ledger_run *run);
static bool add_hash(const struct verification *verification, uint64_t number, struct sha256 hash);
static bool stored_node(const struct verification *verification,
                        uint8_t level,
                        uint64_t index,
                        struct sha256 *hash_out);
static bool leaf_hash_is_at_fault(const struct verification *verification, uint64_t number);
static struct sha256 rebuilt_root(const struct verification *verification, uint64_t size);
static bool hash_equal(const struct sha256 *a, const struct sha256 *b);

bool ledger_verify(const struct tables *tables, struct ledger_head *head_out, char *problem)
{
    struct ledger_verification far = {.leaves = 0};
    return ledger_verify_part(tables, &far, UINT64_MAX, head_out, problem) == LEDGER_AGREES;
}

enum ledger_verdict ledger_verify_part(const struct tables *tables,
                                       struct ledger_verification *far,
                                       uint64_t rows,
                                       struct ledger_head *head_out,
                                       char *problem)
{
    const struct verification verification = {.tables = tables, .problem = problem, .far = far};
    uint64_t looked_at = 0;
    query_ledger_head(tables, head_out);
    problem[0] = '\0';
    while (far->leaves < head_out->size) {
        uint64_t before = far->covered;
        if (looked_at >= rows) {
            return LEDGER_GOES_ON;
        }
        if (!leaf_agrees(&verification, far->leaves)) {
            return LEDGER_DIFFERS;
        }
        far->leaves++;
        looked_at += 1 + far->covered - before;
    }
    return end_agrees(&verification, head_out) ? LEDGER_AGREES : LEDGER_DIFFERS;
}

static bool end_agrees(const struct verification *verification, const struct ledger_head *head)
{
    struct apply_position position;
    struct ledger_run run;
    struct sha256 root = rebuilt_root(verification, head->size);
    apply_position(verification->tables, &position);
    if (!hash_equal(&root, &head->root)) {
        (void)snprintf(verification->problem,
                       LEDGER_PROBLEM_SIZE,
                       "root of size %" PRIu64 ": it does not match the leaves and nodes",
                       head->size);
        return false;
    }
    ledger_run_get(verification->tables, &run);
    if (position.index != verification->far->covered + run.entries ||
        head->index != verification->far->covered) {
        (void)snprintf(verification->problem,
                       LEDGER_PROBLEM_SIZE,
                       "the ledger has %" PRIu64 " leaves up to index %" PRIu64
                       ", but the state stands at index %" PRIu64,
                       head->size,
                       verification->far->covered,
                       position.index);
        return false;
    }
    return open_run_agrees(verification, &run);
}

/* Its entries have no leaf yet, but they must be there. */
static bool open_run_agrees(const struct verification *verification, const struct ledger_run *run)
{
    struct sha256 root;
    if (run->entries == 0) {
        return true;
    }
    if (run->first == verification->far->covered + 1 &&
        ledger_run_root(verification->tables, run->first, run->entries, &root) == ERR_OK) {
        return true;
    }
    (void)snprintf(verification->problem,
                   LEDGER_PROBLEM_SIZE,
                   "the open run from index %" PRIu64 ": an entry is missing",
                   run->first);
    return false;
}

/* Says which indexes the leaf covers; of a digest leaf, rebuilds its tree. */
static bool leaf_covers(const struct verification *verification, const struct ledger_leaf *leaf)
{
    struct ledger_run run;
    struct sha256 claimed;
    struct sha256 root;
    if (strcmp(leaf->kind, LEDGER_RUN_KIND) != 0) {
        return leaf->index == ++verification->far->covered;
    }
    if (ledger_run_decode(leaf->payload, &run, &claimed) != ERR_OK ||
        run.first != verification->far->covered + 1 || leaf->index != run.first + run.entries - 1 ||
        ledger_run_root(verification->tables, run.first, run.entries, &root) != ERR_OK) {
        return false;
    }
    verification->far->covered = leaf->index;
    return hash_equal(&root, &claimed);
}

static bool leaf_agrees(const struct verification *verification, uint64_t number)
{
    struct state_key key = key_u64(number);
    struct slice bytes;
    struct ledger_leaf leaf;
    if (tables_get(verification->tables, TABLE_LEDGER_LEAF, key_view(&key), &bytes) != ERR_OK) {
        (void)snprintf(verification->problem,
                       LEDGER_PROBLEM_SIZE,
                       "leaf %" PRIu64 " (index %" PRIu64 "): it is missing",
                       number,
                       verification->far->covered + 1);
        return false;
    }
    if (!add_hash(verification, number, merkle_leaf_hash(bytes))) {
        return false;
    }
    /* Hashed right, yet no leaf of ours at that place: it was forged together with its nodes. */
    uint64_t expected = verification->far->covered + 1;
    if (query_ledger_leaf(verification->tables, number, &leaf) != ERR_OK) {
        leaf.kind[0] = '\0';
        leaf.index = 0;
    }
    if (!leaf_covers(verification, &leaf)) {
        bool digest = strcmp(leaf.kind, LEDGER_RUN_KIND) == 0;
        (void)snprintf(verification->problem,
                       LEDGER_PROBLEM_SIZE,
                       "leaf %" PRIu64 " (index %" PRIu64 "): %s",
                       number,
                       expected,
                       digest ? "its digest does not match the entries of its run"
                              : "its envelope is not of that index");
        return false;
    }
    return true;
}

/* Compares with the stored node, and so on up as long as a subtree becomes perfect. */
static bool add_hash(const struct verification *verification, uint64_t number, struct sha256 hash)
{
    uint64_t index = number;
    for (uint8_t level = 0; level < (uint8_t)MERKLE_LEVELS_MAX; level++, index >>= 1) {
        struct sha256 stored;
        if (!stored_node(verification, level, index, &stored)) {
            (void)snprintf(verification->problem,
                           LEDGER_PROBLEM_SIZE,
                           "node %" PRIu64 " of level %u: it is missing",
                           index,
                           (unsigned)level);
            return false;
        }
        if (!hash_equal(&stored, &hash)) {
            if (level == 0 && !leaf_hash_is_at_fault(verification, number)) {
                (void)snprintf(verification->problem,
                               LEDGER_PROBLEM_SIZE,
                               "leaf %" PRIu64 " (index %" PRIu64
                               "): its bytes do not match its stored hash",
                               number,
                               verification->far->covered + 1);
                return false;
            }
            (void)snprintf(verification->problem,
                           LEDGER_PROBLEM_SIZE,
                           "node %" PRIu64 " of level %u: it does not match what is below it",
                           index,
                           (unsigned)level);
            return false;
        }
        if ((index & 1) == 0) {
            verification->far->pending[level] = hash;
            break;
        }
        hash = merkle_node_hash(&verification->far->pending[level], &hash);
    }
    return true;
}

static bool stored_node(const struct verification *verification,
                        uint8_t level,
                        uint64_t index,
                        struct sha256 *hash_out)
{
    struct state_key key = key_u8_u64(level, index);
    struct slice value;
    if (tables_get(verification->tables, TABLE_LEDGER_NODE, key_view(&key), &value) != ERR_OK ||
        value.len != SHA256_SIZE) {
        return false;
    }
    memcpy(hash_out->bytes, value.data, SHA256_SIZE);
    return true;
}

/* A leaf and its stored hash differ: if the hash does not fit the stored parent either, it is the
 * hash that was changed. Without a parent yet, the leaf is blamed. */
static bool leaf_hash_is_at_fault(const struct verification *verification, uint64_t number)
{
    struct sha256 left;
    struct sha256 right;
    struct sha256 parent;
    if (!stored_node(verification, 0, number & ~UINT64_C(1), &left) ||
        !stored_node(verification, 0, number | 1, &right) ||
        !stored_node(verification, 1, number >> 1, &parent)) {
        return false;
    }
    struct sha256 fits = merkle_node_hash(&left, &right);
    return !hash_equal(&fits, &parent);
}

static struct sha256 rebuilt_root(const struct verification *verification, uint64_t size)
{
    struct sha256 root = merkle_empty_root();
    bool have = false;
    for (uint32_t level = 0; level < MERKLE_LEVELS_MAX; level++) {
        if ((size >> level & 1) == 0) {
            continue;
        }
        const struct sha256 *left = &verification->far->pending[level];
        root = have ? merkle_node_hash(left, &root) : *left;
        have = true;
    }
    return root;
}

static bool hash_equal(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->bytes, b->bytes, SHA256_SIZE) == 0;
}
