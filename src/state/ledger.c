/* SPDX-License-Identifier: Apache-2.0 */
/* See state/ledger.h. */
#include "state/ledger.h"

#include "base/check.h"

#include <string.h>

enum {
    LEAF_VERSION = 1
};

static const char HEAD_KEY[] = "ledger";

static void encode_leaf(struct buf *leaf,
                        const struct apply_entry *entry,
                        const char *kind,
                        const struct command_result *result);
static void add_hash(struct change *change, uint64_t number, struct sha256 hash);
static bool get_node(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out);
static struct merkle_source source_of(struct tables *tables);

void ledger_append(struct change *change,
                   const struct apply_entry *entry,
                   const char *kind,
                   const struct command_result *result)
{
    struct ledger_head head;
    query_ledger_head(change->tables, &head);
    CHECK(head.size + 1 == entry->index);
    struct buf bytes = {0};
    encode_leaf(&bytes, entry, kind, result);
    struct state_key key = key_u64(head.size);
    change_put(change, TABLE_LEDGER_LEAF, key_view(&key), &bytes);
    add_hash(change, head.size, merkle_leaf_hash(buf_view(&bytes)));

    struct tables tables = *change->tables;
    struct merkle_source source = source_of(&tables);
    struct sha256 root;
    enum error error = merkle_root(&source, head.size + 1, &root);
    CHECK(error == ERR_OK);
    buf_clear(&bytes);
    buf_put_u64(&bytes, head.size + 1);
    buf_append(&bytes, root.bytes, SHA256_SIZE);
    change_put(change, TABLE_META, slice_of_string(HEAD_KEY), &bytes);
    buf_deinit(&bytes);
}

void query_ledger_head(const struct tables *tables, struct ledger_head *head_out)
{
    struct slice value;
    if (tables_get(tables, TABLE_META, slice_of_string(HEAD_KEY), &value) != ERR_OK) {
        *head_out = (struct ledger_head){.size = 0, .root = merkle_empty_root()};
        return;
    }
    struct reader reader = reader_of(value);
    uint64_t size = reader_u64(&reader);
    CHECK(value.len == sizeof(size) + SHA256_SIZE);
    head_out->size = size;
    memcpy(head_out->root.bytes, value.data + sizeof(size), SHA256_SIZE);
}

enum error
query_ledger_leaf(const struct tables *tables, uint64_t number, struct ledger_leaf *leaf_out)
{
    struct state_key key = key_u64(number);
    struct slice bytes;
    TRY(tables_get(tables, TABLE_LEDGER_LEAF, key_view(&key), &bytes));
    struct reader reader = reader_of(bytes);
    struct ledger_leaf leaf = {.number = number, .bytes = bytes};
    uint8_t version = reader_u8(&reader);
    leaf.index = reader_u64(&reader);
    leaf.term = reader_u64(&reader);
    leaf.raft_kind = reader_u8(&reader);
    leaf.wall_ms = reader_u64(&reader);
    reader_string(&reader, leaf.kind, sizeof(leaf.kind));
    reader_string(&reader, leaf.actor, sizeof(leaf.actor));
    leaf.result = (enum error)reader_u8(&reader);
    reader_string(&reader, leaf.message, sizeof(leaf.message));
    leaf.payload = reader_bytes(&reader);
    /* Not a CHECK: `ledger verify` reads damaged folders, too. */
    if (version != LEAF_VERSION || reader_finish(&reader) != ERR_OK) {
        return ERR_CORRUPT;
    }
    *leaf_out = leaf;
    return ERR_OK;
}

enum error query_ledger_root_at(const struct tables *tables, uint64_t size, struct sha256 *root_out)
{
    struct ledger_head head;
    query_ledger_head(tables, &head);
    if (size > head.size) {
        return ERR_NOT_FOUND;
    }
    struct tables copy = *tables;
    struct merkle_source source = source_of(&copy);
    return merkle_root(&source, size, root_out);
}

enum error ledger_inclusion(const struct tables *tables,
                            uint64_t number,
                            uint64_t size,
                            struct merkle_proof *proof_out)
{
    struct ledger_head head;
    query_ledger_head(tables, &head);
    if (size > head.size) {
        return ERR_RANGE;
    }
    struct tables copy = *tables;
    struct merkle_source source = source_of(&copy);
    return merkle_inclusion(&source, number, size, proof_out);
}

enum error ledger_consistency(const struct tables *tables,
                              uint64_t first,
                              uint64_t second,
                              struct merkle_proof *proof_out)
{
    struct ledger_head head;
    query_ledger_head(tables, &head);
    if (second > head.size) {
        return ERR_RANGE;
    }
    struct tables copy = *tables;
    struct merkle_source source = source_of(&copy);
    return merkle_consistency(&source, first, second, proof_out);
}

static void encode_leaf(struct buf *leaf,
                        const struct apply_entry *entry,
                        const char *kind,
                        const struct command_result *result)
{
    const struct command *command = entry->command;
    buf_put_u8(leaf, LEAF_VERSION);
    buf_put_u64(leaf, entry->index);
    buf_put_u64(leaf, entry->term);
    buf_put_u8(leaf, entry->raft_kind);
    buf_put_u64(leaf, command == NULL ? 0 : command->wall_ms);
    buf_put_string(leaf, kind);
    buf_put_string(leaf, command == NULL ? "" : command->actor);
    buf_put_u8(leaf, (uint8_t)result->error);
    buf_put_string(leaf, result->message);
    buf_put_bytes(leaf, entry->payload);
}

/* Stores the hash of leaf `number` and of every subtree that it makes perfect. */
static void add_hash(struct change *change, uint64_t number, struct sha256 hash)
{
    struct buf value = {0};
    uint64_t index = number;
    for (uint8_t level = 0;; level++, index >>= 1) {
        CHECK(level < MERKLE_LEVELS_MAX);
        struct state_key key = key_u8_u64(level, index);
        buf_clear(&value);
        buf_append(&value, hash.bytes, SHA256_SIZE);
        change_put(change, TABLE_LEDGER_NODE, key_view(&key), &value);
        if ((index & 1) == 0) {
            break;
        }
        struct tables tables = *change->tables;
        struct sha256 left;
        bool found = get_node(&tables, level, index - 1, &left);
        CHECK(found);
        hash = merkle_node_hash(&left, &hash);
    }
    buf_deinit(&value);
}

static bool get_node(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out)
{
    const struct tables *tables = ctx;
    struct state_key key = key_u8_u64(level, index);
    struct slice value;
    if (tables_get(tables, TABLE_LEDGER_NODE, key_view(&key), &value) != ERR_OK ||
        value.len != SHA256_SIZE) {
        return false;
    }
    memcpy(hash_out->bytes, value.data, SHA256_SIZE);
    return true;
}

static struct merkle_source source_of(struct tables *tables)
{
    return (struct merkle_source){.get = get_node, .ctx = tables};
}
