/* SPDX-License-Identifier: Apache-2.0 */
/* See etcd_lease_table.h. Open addressing with steps of one, at most half full; what is removed
 * leaves no mark, since those behind it move up. */
#include "etcd/etcd_lease_table.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stddef.h>

enum {
    SLOTS_MIN = 64
};

static uint32_t slot_of(const struct etcd_lease_table *table, int64_t id);
static uint32_t home_of(const struct etcd_lease_table *table, int64_t id);
static void grow(struct etcd_lease_table *table);
static void free_slot(struct etcd_lease_table *table, uint32_t slot);

void etcd_lease_table_deinit(struct etcd_lease_table *table)
{
    mem_free(table->items);
    mem_free(table->slots);
    *table = (struct etcd_lease_table){.seed = table->seed};
}

struct etcd_lease *etcd_lease_table_find(const struct etcd_lease_table *table, int64_t id)
{
    if (table->count == 0) {
        return NULL;
    }
    uint32_t place = table->slots[slot_of(table, id)];
    return place == 0 ? NULL : &table->items[place - 1];
}

struct etcd_lease *etcd_lease_table_add(struct etcd_lease_table *table, int64_t id)
{
    struct etcd_lease *there = etcd_lease_table_find(table, id);
    if (there != NULL) {
        return there;
    }
    if (table->items == NULL || table->count == table->cap) {
        grow(table);
    }
    table->items[table->count] = (struct etcd_lease){.id = id};
    table->slots[slot_of(table, id)] = ++table->count;
    return &table->items[table->count - 1];
}

void etcd_lease_table_remove(struct etcd_lease_table *table, int64_t id)
{
    struct etcd_lease *gone = etcd_lease_table_find(table, id);
    if (gone == NULL) {
        return;
    }
    uint32_t place = (uint32_t)(gone - table->items);
    free_slot(table, slot_of(table, id));
    table->count--;
    if (place < table->count) {
        const struct etcd_lease last = table->items[table->count];
        table->slots[slot_of(table, last.id)] = place + 1;
        *gone = last;
    }
}

/* Where the id is, or would be. */
static uint32_t slot_of(const struct etcd_lease_table *table, int64_t id)
{
    uint32_t slot = home_of(table, id);
    while (table->slots[slot] != 0 && table->items[table->slots[slot] - 1].id != id) {
        slot = (slot + 1) % table->slots_count;
    }
    return slot;
}

static uint32_t home_of(const struct etcd_lease_table *table, int64_t id)
{
    return (uint32_t)(hash_xxh3(&id, sizeof(id), table->seed) % table->slots_count);
}

static void grow(struct etcd_lease_table *table)
{
    CHECK(table->slots_count <= UINT32_MAX / 4);
    mem_free(table->slots);
    table->slots_count = table->slots_count == 0 ? SLOTS_MIN : table->slots_count * 2;
    table->slots = mem_new_array(table->slots_count, sizeof(*table->slots));
    table->cap = table->slots_count / 2;
    table->items = mem_resize(table->items, table->cap * sizeof(*table->items));
    for (uint32_t i = 0; i < table->count; i++) {
        table->slots[slot_of(table, table->items[i].id)] = i + 1;
    }
}

/* Those behind it move up as long as a search for them would pass here. */
static void free_slot(struct etcd_lease_table *table, uint32_t slot)
{
    uint32_t mask = table->slots_count - 1; /* a power of two */
    table->slots[slot] = 0;
    for (uint32_t at = (slot + 1) & mask; table->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = home_of(table, table->items[table->slots[at] - 1].id);
        if (((at - home) & mask) >= ((at - slot) & mask)) {
            table->slots[slot] = table->slots[at];
            table->slots[at] = 0;
            slot = at;
        }
    }
}
