/* SPDX-License-Identifier: Apache-2.0 */
/* One committed entry's changes. Every write of the state machine goes through here, so that each
 * is part of the rolling state hash; nothing else calls tables_put or tables_del. */
#ifndef INDABA_STATE_CHANGE_H
#define INDABA_STATE_CHANGE_H

#include "state/tables.h"

struct change {
    const struct tables *tables;
    uint64_t index;
    uint64_t term;
    uint64_t wall_ms; /* from the command: the only time there is */
    uint64_t hash;    /* rolling */
};

void change_put(struct change *change, enum table table, struct slice key, const struct buf *value);
void change_del(struct change *change, enum table table, struct slice key);

/* Keys: big-endian, so that tables are in numeric order. */
enum {
    STATE_KEY_SIZE = 16
};

struct state_key {
    uint8_t bytes[STATE_KEY_SIZE];
    size_t len;
};

struct state_key key_u32(uint32_t value);
struct state_key key_u64(uint64_t value);
struct state_key key_u8_u64(uint8_t first, uint64_t second);
struct state_key key_u64_u64(uint64_t first, uint64_t second);
struct slice key_view(const struct state_key *key);
uint32_t key_read_u32(struct slice key);
uint64_t key_read_u64(struct slice key);

#endif
