/* SPDX-License-Identifier: Apache-2.0 */
/* See state/tables_memory.h. One skip list per table (Pugh, 1990); a node's height comes from a
 * hash of its key, so that the structure depends on the content alone. */
#include "state/tables_memory.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <endian.h>
#include <string.h>

enum {
    HEIGHT_MAX = 20
};

/* One piece of memory with its key, behind the links: a search looks at each row it passes. */
struct row {
    struct buf value;
    uint64_t prefix; /* the key's first bytes as a number, which orders as they do */
    uint32_t key_len;
    uint32_t height;
    struct row *next[];
};

struct list {
    struct row *heads[HEIGHT_MAX];
    uint64_t count;
};

struct tables_memory {
    struct list lists[TABLE_COUNT];
};

static enum error
memory_get(void *ctx, enum table table, struct slice key, struct slice *value_out);
static void memory_put(void *ctx, enum table table, struct slice key, struct slice value);
static void memory_del(void *ctx, enum table table, struct slice key);
static void
memory_scan(void *ctx, enum table table, struct slice from, tables_visit visit, void *visit_ctx);
static struct list *list_of(struct tables_memory *memory, enum table table);
static struct row *list_find(struct list *list, struct slice key, struct row ***links);
static bool is_below(const struct row *row, uint64_t prefix, struct slice key);
static struct slice key_of(const struct row *row);
static uint64_t prefix_of(struct slice key);
static uint32_t height_of(struct slice key);
static void row_free(struct row *row);

static const struct tables_ops OPS = {
    .get = memory_get,
    .put = memory_put,
    .del = memory_del,
    .scan = memory_scan,
};

struct tables_memory *tables_memory_new(void)
{
    return mem_new(sizeof(struct tables_memory));
}

void tables_memory_free(struct tables_memory *memory)
{
    if (memory == NULL) {
        return;
    }
    for (int i = 0; i < TABLE_COUNT; i++) {
        struct row *row = memory->lists[i].heads[0];
        while (row != NULL) {
            struct row *next = row->next[0];
            row_free(row);
            row = next;
        }
    }
    mem_free(memory);
}

struct tables tables_memory_tables(struct tables_memory *memory)
{
    return (struct tables){.ops = &OPS, .ctx = memory};
}

struct tables_memory *tables_memory_dup(const struct tables_memory *memory)
{
    struct tables_memory *copy = tables_memory_new();
    for (int i = 0; i < TABLE_COUNT; i++) {
        for (const struct row *row = memory->lists[i].heads[0]; row != NULL; row = row->next[0]) {
            memory_put(copy, (enum table)i, key_of(row), buf_view(&row->value));
        }
    }
    return copy;
}

uint64_t tables_memory_count(const struct tables_memory *memory, enum table table)
{
    CHECK(table < TABLE_COUNT);
    return memory->lists[table].count;
}

static enum error memory_get(void *ctx, enum table table, struct slice key, struct slice *value_out)
{
    struct row **links[HEIGHT_MAX];
    struct row *row = list_find(list_of(ctx, table), key, links);
    if (row == NULL || slice_compare(key_of(row), key) != 0) {
        return ERR_NOT_FOUND;
    }
    *value_out = buf_view(&row->value);
    return ERR_OK;
}

static void memory_put(void *ctx, enum table table, struct slice key, struct slice value)
{
    struct list *list = list_of(ctx, table);
    struct row **links[HEIGHT_MAX];
    struct row *row = list_find(list, key, links);
    if (row == NULL || slice_compare(key_of(row), key) != 0) {
        uint32_t height = height_of(key);
        row = mem_new(sizeof(*row) + height * sizeof(row->next[0]) + key.len);
        row->height = height;
        row->key_len = (uint32_t)key.len;
        row->prefix = prefix_of(key);
        if (key.len > 0) {
            memcpy(&row->next[height], key.data, key.len);
        }
        for (uint32_t i = 0; i < height; i++) {
            row->next[i] = *links[i];
            *links[i] = row;
        }
        list->count++;
    }
    /* A buffer of its own first: `value` may be borrowed from this very row. */
    struct buf stored = {0};
    buf_append(&stored, value.data, value.len);
    buf_deinit(&row->value);
    row->value = stored;
}

static void memory_del(void *ctx, enum table table, struct slice key)
{
    struct list *list = list_of(ctx, table);
    struct row **links[HEIGHT_MAX];
    struct row *row = list_find(list, key, links);
    if (row == NULL || slice_compare(key_of(row), key) != 0) {
        return;
    }
    for (uint32_t i = 0; i < row->height; i++) {
        CHECK(*links[i] == row);
        *links[i] = row->next[i];
    }
    list->count--;
    row_free(row);
}

static void
memory_scan(void *ctx, enum table table, struct slice from, tables_visit visit, void *visit_ctx)
{
    struct row **links[HEIGHT_MAX];
    struct row *row = list_find(list_of(ctx, table), from, links);
    while (row != NULL && visit(key_of(row), buf_view(&row->value), visit_ctx)) {
        row = row->next[0];
    }
}

static struct list *list_of(struct tables_memory *memory, enum table table)
{
    CHECK(table < TABLE_COUNT);
    return &memory->lists[table];
}

/* The first row at or above `key`; links[i] is the pointer on level i that leads to it. */
static struct row *list_find(struct list *list, struct slice key, struct row ***links)
{
    struct row **level = list->heads;
    uint64_t prefix = prefix_of(key);
    for (uint32_t i = HEIGHT_MAX; i-- > 0;) {
        while (level[i] != NULL && is_below(level[i], prefix, key)) {
            level = level[i]->next;
        }
        links[i] = &level[i];
    }
    return *links[0];
}

static bool is_below(const struct row *row, uint64_t prefix, struct slice key)
{
    return row->prefix != prefix ? row->prefix < prefix : slice_compare(key_of(row), key) < 0;
}

static struct slice key_of(const struct row *row)
{
    return slice_of(&row->next[row->height], row->key_len);
}

/* Short keys are filled up with zeros: equal prefixes say nothing. */
static uint64_t prefix_of(struct slice key)
{
    uint8_t bytes[sizeof(uint64_t)] = {0};
    uint64_t prefix;

    if (key.len > 0) {
        memcpy(bytes, key.data, key.len < sizeof(bytes) ? key.len : sizeof(bytes));
    }
    memcpy(&prefix, bytes, sizeof(prefix));
    return be64toh(prefix);
}

static uint32_t height_of(struct slice key)
{
    uint64_t hash = hash_xxh3(key.data, key.len, 1);
    uint32_t height = 1 + (uint32_t)__builtin_ctzll(hash | UINT64_C(1) << (HEIGHT_MAX - 1));
    return height > HEIGHT_MAX ? HEIGHT_MAX : height;
}

static void row_free(struct row *row)
{
    buf_deinit(&row->value);
    mem_free(row);
}
