/* SPDX-License-Identifier: Apache-2.0 */
/* The leases of etcd's API in the leader's memory, found by id. Adding and removing one costs the
 * same whatever their number. Not safe for threads. */
#ifndef INDABA_ETCD_ETCD_LEASE_TABLE_H
#define INDABA_ETCD_ETCD_LEASE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct etcd_lease {
    int64_t id;
    int64_t ttl_s;
    uint64_t deadline_ms;
    bool revoking;
};

/* Zeroed, it is empty. */
struct etcd_lease_table {
    struct etcd_lease *items; /* in no order */
    uint32_t count;
    uint32_t cap;
    uint32_t *slots; /* hash table of places in `items`, 1 more than each; 0: free */
    uint32_t slots_count;
    uint64_t seed; /* ids come from clients: set to what they do not know */
};

void etcd_lease_table_deinit(struct etcd_lease_table *table);
/* NULL if there is none. Holds until one is added or removed. */
struct etcd_lease *etcd_lease_table_find(const struct etcd_lease_table *table, int64_t id);
/* The one with this id: zeroed but for it, unless it was there. Holds likewise. */
struct etcd_lease *etcd_lease_table_add(struct etcd_lease_table *table, int64_t id);
/* Does nothing if there is none. The last item takes its place. */
void etcd_lease_table_remove(struct etcd_lease_table *table, int64_t id);

#endif
