/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on the key-value store, one to an entry, through apply_entry on tables in memory.
 * Keys and values are C strings; where zero bytes matter, use slices. */
#ifndef INDABA_TESTS_KV_FIXTURE_H
#define INDABA_TESTS_KV_FIXTURE_H

#include "state/apply.h"
#include "state/kv_reply.h"
#include "state/tables_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    KV_TEXT_SIZE = 512
};

struct kv_fixture {
    struct tables_memory *memory;
    struct tables tables;
    uint64_t index;
    uint64_t term;
    uint64_t wall_ms;
    struct buf batch;   /* operations of the next entry */
    struct buf replies; /* of the last entry */
    struct command_result result;
};

void kv_fixture_init(struct kv_fixture *fixture);
void kv_fixture_free(struct kv_fixture *fixture);

/* Adds to the batch; kv_commit applies it as one entry. */
void kv_add(struct kv_fixture *fixture, const struct kv_op *op);
void kv_commit(struct kv_fixture *fixture);
/* Applies one operation as an entry; its reply, which holds until the next. */
struct kv_reply kv_do(struct kv_fixture *fixture, const struct kv_op *op);

struct kv_op kv_op_put(const char *key, const char *value);
/* `end`: NULL: the key alone; "": all from the key on. */
struct kv_op kv_op_delete(const char *key, const char *end);
struct kv_op_range kv_op_range(const char *key, const char *end);
struct kv_compare kv_op_compare(const char *key,
                                enum kv_target target,
                                enum kv_compare_result result,
                                int64_t number);

/* The revision of the put, which must pass. */
int64_t kv_put(struct kv_fixture *fixture, const char *key, const char *value);
int64_t kv_put_leased(struct kv_fixture *fixture, const char *key, int64_t lease);
/* How many there were. */
int64_t kv_delete(struct kv_fixture *fixture, const char *key, const char *end);
enum kv_error kv_compact_at(struct kv_fixture *fixture, int64_t revision);
/* The id. */
int64_t kv_grant(struct kv_fixture *fixture, int64_t id, int64_t ttl);
enum kv_error kv_revoke(struct kv_fixture *fixture, int64_t id);
/* Sweeps until nothing is pending. */
void kv_sweep_all(struct kv_fixture *fixture);

/* kv_range in parts, each as small as can be. */
enum kv_error kv_read(const struct tables *tables,
                      const struct kv_op_range *range,
                      struct kv_range_result *result_out,
                      kv_visit visit,
                      void *visit_ctx);
/* What a range gives, as "a=1 b=2"; with "+" behind if there is more. Errors as "error 7". */
const char *kv_text(struct kv_fixture *fixture, const struct kv_op_range *range);
/* Of one key now: "value create mod version lease", or "-". */
const char *kv_key_text(struct kv_fixture *fixture, const char *key);
/* The same of a list of pairs in a reply: "a=1 b=2". */
const char *kv_pairs_text(struct slice pairs);
/* Events from a revision on: "2:a=1 3:-a"; "error 7". */
const char *kv_events_text(struct kv_fixture *fixture, int64_t revision);

#endif
