/* SPDX-License-Identifier: Apache-2.0 */
/* The leases of etcd's API in the leader's memory: found by id, and the next to expire at the top
 * of a heap, so that nothing looks at all of them. Not safe for threads. */
#ifndef INDABA_ETCD_ETCD_LEASE_TABLE_H
#define INDABA_ETCD_ETCD_LEASE_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

struct etcd_lease {
    UT_hash_handle hh;
    LIST_ENTRY(etcd_lease) others; /* of those being revoked */
    int64_t id;
    int64_t ttl_s;
    uint64_t deadline_ms;
    uint32_t heap_at; /* unless it is being revoked */
    bool revoking;
};

/* Zeroed, it is empty. */
struct etcd_lease_table {
    struct etcd_lease *by_id;
    struct etcd_lease **heap; /* the earliest deadline first */
    uint32_t heap_count;
    uint32_t heap_cap;
    uint32_t count;
    LIST_HEAD(etcd_lease_list, etcd_lease) revoking;
    uint64_t seed; /* ids come from clients: set to what they do not know */
};

void etcd_lease_table_deinit(struct etcd_lease_table *table);
/* NULL if there is none. Holds until it is removed. */
struct etcd_lease *etcd_lease_table_find(const struct etcd_lease_table *table, int64_t id);
/* Adds it, or sets it anew. */
void etcd_lease_table_set(struct etcd_lease_table *table,
                          int64_t id,
                          int64_t ttl_s,
                          uint64_t deadline_ms);
/* Does nothing if there is none. */
void etcd_lease_table_remove(struct etcd_lease_table *table, int64_t id);
/* Of one that is not being revoked. */
void etcd_lease_table_renew(struct etcd_lease_table *table,
                            struct etcd_lease *lease,
                            uint64_t deadline_ms);
/* Every deadline is its TTL from now. */
void etcd_lease_table_renew_all(struct etcd_lease_table *table, uint64_t now_ms);
/* One whose deadline is over: it is being revoked from then on. NULL: none. */
struct etcd_lease *etcd_lease_table_expire(struct etcd_lease_table *table, uint64_t now_ms);
/* Those that were being revoked and are still here are not any more. */
void etcd_lease_table_end_revoking(struct etcd_lease_table *table);
void etcd_lease_table_check_invariants(const struct etcd_lease_table *table);

#endif
