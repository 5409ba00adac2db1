/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c (environment, transactions) and store_tables.c (rows) share. LMDB is included by
 * these two alone. */
#ifndef INDABA_STORAGE_STORE_INTERNAL_H
#define INDABA_STORAGE_STORE_INTERNAL_H

#include "base/reason.h"
#include "storage/store.h"

#include <lmdb.h>

struct store {
    MDB_env *env;
    MDB_txn *txn; /* NULL between transactions */
    MDB_dbi dbis[TABLE_COUNT];
    MDB_dbi own; /* the store's own rows: format, committed index */
    struct tables tables;
    uint64_t begun_ms;
    uint64_t dirty_bytes; /* written in this transaction, estimated */
    struct buf scratch;   /* a row on its way in */
    uint64_t committed_index;
    bool read_only;
    struct reason reason;
};

extern const struct tables_ops store_tables_ops;

/* Says on the log what LMDB could not do, and ends the process: safety.md 6, nothing is answered
 * from half a transaction. */
__attribute__((noreturn, cold)) void store_fatal(const char *doing, int mdb_error);

#endif
