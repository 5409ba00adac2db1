/* SPDX-License-Identifier: Apache-2.0 */
/* The small store interface that the state machine writes through: LMDB implements it in production
 * (storage/store_tables.c), memory in tests and the simulator (state/tables_memory.c). Keys are
 * ordered bytes within a table; all access is inside one open write transaction of the owner. */
#ifndef INDABA_STATE_TABLES_H
#define INDABA_STATE_TABLES_H

#include "base/buf.h"

enum table {
    TABLE_META = 1, /* applied index and term, state hash, counters, ledger size and root */
    TABLE_REGION,
    TABLE_MEMBER,
    TABLE_SHARD,
    TABLE_INSTANCE,
    TABLE_FAILOVER,    /* every failover ever, by id */
    TABLE_NAME,        /* name -> id, by kind */
    TABLE_REPLY,       /* stored replies by request id */
    TABLE_REPLY_ORDER, /* eviction order of replies */
    TABLE_LEDGER_LEAF, /* number -> leaf bytes */
    TABLE_LEDGER_NODE, /* (level, index) -> hash */
    TABLE_LEDGER_RUN,  /* log index -> hash of an entry that a digest leaf covers */
    TABLE_KV_INDEX,    /* (key, newest revision first) -> what happened to it */
    TABLE_KV_HISTORY,  /* (revision, sub) -> the change, with the value */
    TABLE_LEASE,       /* lease -> TTL */
    TABLE_LEASE_KEY,   /* (lease, key) -> nothing */
    TABLE_COUNT
};

enum {
    TABLE_KEY_MAX = 500 /* LMDB takes 511 */
};

struct tables {
    const struct tables_ops *ops;
    void *ctx;
};

/* Return true to go on, false to stop. */
typedef bool (*tables_visit)(struct slice key, struct slice value, void *visit_ctx);

struct tables_ops {
    /* ERR_NOT_FOUND; the value is borrowed until the next put or del. Any other failure of the
     * store ends the process inside the implementation: state never sees half a transaction. */
    enum error (*get)(void *ctx, enum table table, struct slice key, struct slice *value_out);
    void (*put)(void *ctx, enum table table, struct slice key, struct slice value);
    /* Deleting what is not there does nothing. */
    void (*del)(void *ctx, enum table table, struct slice key);
    /* Visits keys >= `from` in order. The visitor must not write. */
    void (*scan)(
        void *ctx, enum table table, struct slice from, tables_visit visit, void *visit_ctx);
};

static inline enum error
tables_get(const struct tables *tables, enum table table, struct slice key, struct slice *value_out)
{
    return tables->ops->get(tables->ctx, table, key, value_out);
}

static inline void
tables_put(const struct tables *tables, enum table table, struct slice key, struct slice value)
{
    tables->ops->put(tables->ctx, table, key, value);
}

static inline void tables_del(const struct tables *tables, enum table table, struct slice key)
{
    tables->ops->del(tables->ctx, table, key);
}

#endif
