/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of the key-value store, and their compact encoding: a COMMAND_KV carries a batch of
 * them, one after another, so that one log entry brings the writes of many clients. Every operation
 * of a batch is a transaction of its own, with a revision of its own.
 *
 * An operation is read and written without allocations: what it holds is borrowed, and what a
 * transaction nests stays encoded in slices, which are read with the same functions. The encoding
 * is in the log and in the ledger for years: numbers are never used again. */
#ifndef INDABA_STATE_KV_OP_H
#define INDABA_STATE_KV_OP_H

#include "base/buf.h"

enum {
    KV_KEY_MAX = 480,        /* bytes; a zero byte between others counts twice: see kv_index.c */
    KV_VALUE_MAX = 16 << 20, /* what the log can carry is less, and bounded by the proposer */
    KV_BATCH_OPS_MAX = 1000, /* operations of one batch */
    KV_TXN_OPS_MAX = 128,    /* compares, and operations of one branch, as in etcd */
    KV_TXN_DEPTH_MAX = 8,    /* transactions within transactions */
    KV_TXN_TOTAL_MAX = 1024, /* compares and operations of a transaction, with all it nests */
    /* What the operations of a batch may take together, since a batch is applied in one go, on the
     * thread that also renews the leases of databases, and again at each start. One that would go
     * beyond is refused whole; the first of a batch has all of it. */
    KV_DELETE_KEYS_MAX = 50000,     /* deleted; half a second's work or less. Also of a lease */
    KV_ROWS_MAX = 100000,           /* versions of keys looked at by ranges */
    KV_ANSWER_BYTES_MAX = 32 << 20, /* in replies, and in values that puts keep */
};

/* etcd's bound: 9e9 seconds. */
#define KV_LEASE_TTL_MAX INT64_C(9000000000)

enum kv_op_kind {
    KV_OP_PUT = 1,
    KV_OP_DELETE = 2,
    KV_OP_RANGE = 3, /* only within a transaction */
    KV_OP_TXN = 4,
    KV_OP_COMPACT = 5,
    KV_OP_LEASE_GRANT = 6,
    KV_OP_LEASE_REVOKE = 7,
    KV_OP_ACTOR = 8, /* who asked for what follows in the batch; for the ledger, has no reply */
    KV_OP_SWEEP = 9, /* goes on with the physical part of a compaction; see kv_sweep_pending */
};

/* Which keys: etcd's conventions. `end` empty: `key` alone. One zero byte: all keys from `key` on.
 * Else: key <= k < end. */
struct kv_range {
    struct slice key;
    struct slice end;
};

/* Numbers as in etcd's RangeRequest. */
enum kv_sort_order {
    KV_SORT_NONE = 0,
    KV_SORT_ASCEND = 1,
    KV_SORT_DESCEND = 2
};

enum kv_target {
    KV_TARGET_KEY = 0,
    KV_TARGET_VERSION = 1,
    KV_TARGET_CREATE = 2,
    KV_TARGET_MOD = 3,
    KV_TARGET_VALUE = 4,
    KV_TARGET_LEASE = 5 /* in compares only, which have no KEY; their numbers in etcd are 1 less */
};

struct kv_op_put {
    struct slice key;
    struct slice value;
    int64_t lease; /* 0: none */
    bool prev_kv;
    bool ignore_value; /* keeps the value; the key must exist */
    bool ignore_lease; /* keeps the lease; the key must exist */
};

struct kv_op_delete {
    struct kv_range range;
    bool prev_kv;
};

struct kv_op_range {
    struct kv_range range;
    int64_t limit;    /* 0: none */
    int64_t revision; /* 0: as it is now */
    enum kv_sort_order order;
    enum kv_target target;
    bool keys_only;
    bool count_only;
    int64_t mod_min; /* 0: no bound; so with all four */
    int64_t mod_max;
    int64_t create_min;
    int64_t create_max;
};

/* Numbers as in etcd's Compare. */
enum kv_compare_result {
    KV_COMPARE_EQUAL = 0,
    KV_COMPARE_GREATER = 1,
    KV_COMPARE_LESS = 2,
    KV_COMPARE_NOT_EQUAL = 3
};

struct kv_compare {
    struct kv_range range; /* must hold for every key of it */
    enum kv_target target; /* not KEY */
    enum kv_compare_result result;
    int64_t number;     /* VERSION, CREATE, MOD, LEASE */
    struct slice value; /* VALUE */
};

struct kv_op_txn {
    struct slice compares; /* encoded, by kv_compare_encode */
    struct slice success;  /* encoded operations: PUT, DELETE, RANGE, TXN */
    struct slice failure;
};

struct kv_op {
    enum kv_op_kind kind;

    union {
        struct kv_op_put put;
        struct kv_op_delete del;
        struct kv_op_range range;
        struct kv_op_txn txn;
        int64_t compact_revision;

        struct {
            int64_t id;  /* GRANT: 0: the store chooses */
            int64_t ttl; /* GRANT: seconds */
        } lease;         /* GRANT, REVOKE */

        struct slice actor; /* SPIFFE id */
    };
};

/* Appends. The branches of a transaction are encoded into bufs of their own before it. */
void kv_op_encode(struct buf *out, const struct kv_op *op);
void kv_compare_encode(struct buf *out, const struct kv_compare *compare);

/* Read the next one; false at the end, and for bytes that are no operation: then
 * reader_finish tells which. What comes out borrows from the reader's bytes. */
bool kv_op_next(struct reader *reader, struct kv_op *op_out);
bool kv_compare_next(struct reader *reader, struct kv_compare *compare_out);

#endif
