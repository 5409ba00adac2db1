/* SPDX-License-Identifier: Apache-2.0 */
/* The key-value store by brute force, to compare the real one with: every change ever made, in one
 * list; every question is answered by walking it from its beginning. Keys are numbers, values too.
 * No row, no index, no sweeping: nothing that could be wrong in the same way. */
#ifndef INDABA_TESTS_KV_MODEL_H
#define INDABA_TESTS_KV_MODEL_H

#include "state/kv.h"

enum {
    MODEL_KEYS = 24,
    MODEL_LEASES = 6, /* ids from 1 */
    MODEL_KEY_SIZE = 3,
    MODEL_VALUE_SIZE = 12
};

struct model_change {
    int64_t revision;
    int key;
    bool deleted;
    uint32_t value;
    int64_t lease;
};

struct kv_model {
    struct model_change *changes;
    size_t count;
    size_t cap;
    int64_t revision;
    int64_t compacted;
    bool leases[MODEL_LEASES + 1]; /* granted */
};

/* A key at some revision. */
struct model_pair {
    bool exists;
    uint32_t value;
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version;
    int64_t lease;
};

void kv_model_init(struct kv_model *model);
void kv_model_free(struct kv_model *model);

/* Changes at revision + 1; kv_model_finish makes it the revision if there were any. */
void kv_model_put(struct kv_model *model, int key, uint32_t value, int64_t lease);
/* Only what is there; says how many there were. first <= key < end. */
int kv_model_delete(struct kv_model *model, int first, int end);
void kv_model_revoke(struct kv_model *model, int64_t lease);
void kv_model_finish(struct kv_model *model);

/* INT64_MAX: with all that was done, finished or not. */
struct model_pair kv_model_get(const struct kv_model *model, int key, int64_t revision);

/* The bytes of a key, written to `bytes`. Some have zeros, one is the beginning of others; their
 * order is that of the numbers. MODEL_KEYS is the end of the last. */
struct slice kv_model_key(int key, char *bytes);
struct slice kv_model_value(uint32_t value, char *text);
/* The store's pair is that of the model, which must be there. */
void kv_model_assert_pair(const struct kv_pair *pair, int key, const struct model_pair *wanted);

#endif
