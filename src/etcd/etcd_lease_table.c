/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_lease_table.h. */
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

/* Before the header, which includes it. */
#define uthash_malloc(size)     mem_new(size)
#define uthash_free(ptr, size)  mem_free(ptr)
#define uthash_bzero(ptr, size) memset((ptr), 0, (size))
#include "etcd/etcd_lease_table.h"

#include <string.h>

static unsigned hash_of(const struct etcd_lease_table *table, int64_t id);
static void heap_join(struct etcd_lease_table *table, struct etcd_lease *lease);
static void heap_leave(struct etcd_lease_table *table, struct etcd_lease *lease);
static void heap_settle(struct etcd_lease_table *table, uint32_t at);
static bool heap_rise(struct etcd_lease_table *table, uint32_t at);
static void heap_swap(struct etcd_lease_table *table, uint32_t a, uint32_t b);

void etcd_lease_table_deinit(struct etcd_lease_table *table)
{
    struct etcd_lease *lease = NULL;
    struct etcd_lease *next = NULL;
    HASH_ITER(hh, table->by_id, lease, next)
    {
        HASH_DEL(table->by_id, lease);
        mem_free(lease);
    }
    mem_free(table->heap);
    *table = (struct etcd_lease_table){.seed = table->seed};
}

struct etcd_lease *etcd_lease_table_find(const struct etcd_lease_table *table, int64_t id)
{
    struct etcd_lease *lease = NULL;
    HASH_FIND_BYHASHVALUE(hh, table->by_id, &id, sizeof(id), hash_of(table, id), lease);
    return lease;
}

void etcd_lease_table_set(struct etcd_lease_table *table,
                          int64_t id,
                          int64_t ttl_s,
                          uint64_t deadline_ms)
{
    struct etcd_lease *lease = etcd_lease_table_find(table, id);
    if (lease == NULL) {
        lease = mem_new(sizeof(*lease));
        lease->id = id;
        lease->deadline_ms = deadline_ms;
        HASH_ADD_BYHASHVALUE(hh, table->by_id, id, sizeof(id), hash_of(table, id), lease);
        table->count++;
        heap_join(table, lease);
    } else if (lease->revoking) {
        LIST_REMOVE(lease, others);
        lease->revoking = false;
        lease->deadline_ms = deadline_ms;
        heap_join(table, lease);
    } else {
        etcd_lease_table_renew(table, lease, deadline_ms);
    }
    lease->ttl_s = ttl_s;
}

void etcd_lease_table_remove(struct etcd_lease_table *table, int64_t id)
{
    struct etcd_lease *lease = etcd_lease_table_find(table, id);
    if (lease == NULL) {
        return;
    }
    if (lease->revoking) {
        LIST_REMOVE(lease, others);
    } else {
        heap_leave(table, lease);
    }
    HASH_DEL(table->by_id, lease);
    table->count--;
    mem_free(lease);
}

void etcd_lease_table_renew(struct etcd_lease_table *table,
                            struct etcd_lease *lease,
                            uint64_t deadline_ms)
{
    CHECK(!lease->revoking && table->heap[lease->heap_at] == lease);
    lease->deadline_ms = deadline_ms;
    heap_settle(table, lease->heap_at);
}

void etcd_lease_table_renew_all(struct etcd_lease_table *table, uint64_t now_ms)
{
    for (struct etcd_lease *lease = table->by_id; lease != NULL; lease = lease->hh.next) {
        etcd_lease_table_renew(table, lease, now_ms + (uint64_t)lease->ttl_s * 1000);
    }
}

struct etcd_lease *etcd_lease_table_expire(struct etcd_lease_table *table, uint64_t now_ms)
{
    if (table->heap_count == 0 || table->heap[0]->deadline_ms > now_ms) {
        return NULL;
    }
    struct etcd_lease *lease = table->heap[0];
    heap_leave(table, lease);
    lease->revoking = true;
    LIST_INSERT_HEAD(&table->revoking, lease, others);
    return lease;
}

void etcd_lease_table_end_revoking(struct etcd_lease_table *table)
{
    struct etcd_lease *lease = NULL;
    while ((lease = LIST_FIRST(&table->revoking)) != NULL) {
        LIST_REMOVE(lease, others);
        lease->revoking = false;
        heap_join(table, lease);
    }
}

void etcd_lease_table_check_invariants(const struct etcd_lease_table *table)
{
    const struct etcd_lease *lease = NULL;
    uint32_t revoking = 0;
    for (uint32_t i = 0; i < table->heap_count; i++) {
        CHECK(table->heap[i]->heap_at == i && !table->heap[i]->revoking);
        CHECK(i == 0 || table->heap[(i - 1) / 2]->deadline_ms <= table->heap[i]->deadline_ms);
    }
    LIST_FOREACH(lease, &table->revoking, others)
    {
        CHECK(lease->revoking);
        revoking++;
    }
    CHECK(table->heap_count + revoking == table->count);
    CHECK(HASH_COUNT(table->by_id) == table->count);
}

static unsigned hash_of(const struct etcd_lease_table *table, int64_t id)
{
    return (unsigned)hash_xxh3(&id, sizeof(id), table->seed);
}

static void heap_join(struct etcd_lease_table *table, struct etcd_lease *lease)
{
    if (table->heap_count == table->heap_cap) {
        table->heap_cap = table->heap_cap == 0 ? 64 : table->heap_cap * 2;
        table->heap = mem_resize(table->heap, table->heap_cap * sizeof(struct etcd_lease *));
    }
    lease->heap_at = table->heap_count;
    table->heap[table->heap_count++] = lease;
    (void)heap_rise(table, lease->heap_at);
}

static void heap_leave(struct etcd_lease_table *table, struct etcd_lease *lease)
{
    uint32_t at = lease->heap_at;
    CHECK(at < table->heap_count && table->heap[at] == lease);
    heap_swap(table, at, table->heap_count - 1);
    table->heap_count--;
    if (at < table->heap_count) {
        heap_settle(table, at);
    }
}

/* What is at this place may belong further up or down. */
static void heap_settle(struct etcd_lease_table *table, uint32_t at)
{
    if (heap_rise(table, at)) {
        return;
    }
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
            if (child < table->heap_count &&
                table->heap[child]->deadline_ms < table->heap[least]->deadline_ms) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        heap_swap(table, at, least);
        at = least;
    }
}

static bool heap_rise(struct etcd_lease_table *table, uint32_t at)
{
    bool any = false;
    while (at > 0 && table->heap[at]->deadline_ms < table->heap[(at - 1) / 2]->deadline_ms) {
        heap_swap(table, at, (at - 1) / 2);
        at = (at - 1) / 2;
        any = true;
    }
    return any;
}

static void heap_swap(struct etcd_lease_table *table, uint32_t a, uint32_t b)
{
    struct etcd_lease *lease = table->heap[a];
    table->heap[a] = table->heap[b];
    table->heap[b] = lease;
    table->heap[a]->heap_at = a;
    table->heap[b]->heap_at = b;
}
