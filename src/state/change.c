/* SPDX-License-Identifier: Apache-2.0 */
/* See state/change.h. */
#include "state/change.h"

#include "base/check.h"
#include "base/hash.h"

static void mix(struct change *change, enum table table, struct slice key, struct slice value);
static size_t put_big_endian(uint8_t *to, uint64_t value, size_t size);

void change_put(struct change *change, enum table table, struct slice key, const struct buf *value)
{
    CHECK(key.len > 0);
    CHECK(key.len <= TABLE_KEY_MAX);
    mix(change, table, key, buf_view(value));
    tables_put(change->tables, table, key, buf_view(value));
}

void change_del(struct change *change, enum table table, struct slice key)
{
    CHECK(key.len > 0);
    CHECK(key.len <= TABLE_KEY_MAX);
    mix(change, table, key, (struct slice){0});
    tables_del(change->tables, table, key);
}

struct state_key key_u32(uint32_t value)
{
    struct state_key key = {0};
    key.len = put_big_endian(key.bytes, value, sizeof(value));
    return key;
}

struct state_key key_u64(uint64_t value)
{
    struct state_key key = {0};
    key.len = put_big_endian(key.bytes, value, sizeof(value));
    return key;
}

struct state_key key_u8_u64(uint8_t first, uint64_t second)
{
    struct state_key key = {0};
    key.bytes[0] = first;
    key.len = 1 + put_big_endian(key.bytes + 1, second, sizeof(second));
    return key;
}

struct state_key key_u64_u64(uint64_t first, uint64_t second)
{
    struct state_key key = {0};
    key.len = put_big_endian(key.bytes, first, sizeof(first));
    key.len += put_big_endian(key.bytes + key.len, second, sizeof(second));
    return key;
}

struct slice key_view(const struct state_key *key)
{
    return slice_of(key->bytes, key->len);
}

uint32_t key_read_u32(struct slice key)
{
    CHECK(key.len == sizeof(uint32_t));
    uint32_t value = 0;
    for (size_t i = 0; i < key.len; i++) {
        value = value << 8 | key.data[i];
    }
    return value;
}

uint64_t key_read_u64(struct slice key)
{
    CHECK(key.len >= sizeof(uint64_t));
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        value = value << 8 | key.data[i];
    }
    return value;
}

/* Lengths are mixed in, so that no two different changes look alike. */
static void mix(struct change *change, enum table table, struct slice key, struct slice value)
{
    uint64_t head[3] = {(uint64_t)table, key.len, value.len};
    change->hash = hash_xxh3(head, sizeof(head), change->hash);
    change->hash = hash_xxh3(key.data, key.len, change->hash);
    change->hash = hash_xxh3(value.data, value.len, change->hash);
}

static size_t put_big_endian(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        to[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
    return size;
}
