/* SPDX-License-Identifier: Apache-2.0 */
/* See state/ledger.h. */
#include "state/ledger.h"

#include "base/check.h"
#include "base/log.h"
#include "state/ledger_run.h"

#include <string.h>

enum {
    LEAF_VERSION = 1
};

static const char HEAD_KEY[] = "ledger";

static void encode_head(struct buf *leaf,
                        const struct apply_entry *entry,
                        const char *kind,
                        const struct command_result *result);
static void append_digest(struct change *change, const struct ledger_run *run);
static void append_leaf(struct change *change, uint64_t index, const struct buf *leaf);
static enum error
stored_leaf(const struct tables *tables, uint64_t number, struct ledger_leaf *leaf_out);
static enum error place_in_run(const struct tables *tables,
                               const struct ledger_leaf *leaf,
                               uint64_t index,
                               struct ledger_place *place);
static void add_hash(struct change *change, uint64_t number, struct sha256 hash);
static bool get_node(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out);
static struct merkle_source source_of(struct tables *tables);

void ledger_append(struct change *change,
                   const struct apply_entry *entry,
                   const char *kind,
                   const struct command_result *result,
                   uint32_t ops)
{
    struct ledger_run run;
    struct buf bytes = {0};
    encode_head(&bytes, entry, kind, result);
    if (entry->command != NULL && entry->command->kind == COMMAND_KV) {
        struct sha256 hash = merkle_leaf_hash_of(buf_view(&bytes), entry->payload);
        ledger_run_add(change, ops > 0 ? ops : 1, hash, &run);
        if (ledger_run_is_due(&run)) {
            append_digest(change, &run);
        }
    } else {
        ledger_run_get(change->tables, &run);
        if (run.entries > 0) {
            append_digest(change, &run);
        }
        buf_append(&bytes, entry->payload.data, entry->payload.len);
        append_leaf(change, entry->index, &bytes);
    }
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
    uint64_t index = reader_u64(&reader);
    CHECK(value.len == sizeof(size) + sizeof(index) + SHA256_SIZE);
    head_out->size = size;
    head_out->index = index;
    memcpy(head_out->root.bytes, value.data + sizeof(size) + sizeof(index), SHA256_SIZE);
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

enum error ledger_find(const struct tables *tables, uint64_t index, struct ledger_place *place_out)
{
    struct ledger_head head;
    struct ledger_leaf leaf;
    query_ledger_head(tables, &head);
    if (index == 0 || index > head.index) {
        return ERR_NOT_FOUND;
    }
    /* The first leaf whose last index is not below this one. */
    uint64_t low = 0;
    uint64_t high = head.size - 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        TRY(stored_leaf(tables, middle, &leaf));
        if (leaf.index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    TRY(stored_leaf(tables, low, &leaf));
    struct ledger_place place = {.number = low, .in_run = strcmp(leaf.kind, LEDGER_RUN_KIND) == 0};
    if (place.in_run) {
        TRY(place_in_run(tables, &leaf, index, &place));
    }
    *place_out = place;
    return ERR_OK;
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

/* One that must be there. */
static enum error
stored_leaf(const struct tables *tables, uint64_t number, struct ledger_leaf *leaf_out)
{
    enum error error = query_ledger_leaf(tables, number, leaf_out);
    return error == ERR_NOT_FOUND ? ERR_CORRUPT : error;
}

static enum error place_in_run(const struct tables *tables,
                               const struct ledger_leaf *leaf,
                               uint64_t index,
                               struct ledger_place *place)
{
    struct ledger_run run;
    TRY(ledger_run_decode(leaf->payload, &run, &place->run_root));
    TRY(ledger_run_entry(tables, index, &place->entry_hash));
    place->run_first = run.first;
    place->run_entries = run.entries;
    return ledger_run_inclusion(tables, &run, index, &place->proof);
}

/* All of a leaf but the entry's bytes, which come last. */
static void encode_head(struct buf *leaf,
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
    CHECK(entry->payload.len <= UINT32_MAX);
    buf_put_u32(leaf, (uint32_t)entry->payload.len);
}

/* The open run becomes a leaf, with the same envelope as others, and ends. */
static void append_digest(struct change *change, const struct ledger_run *run)
{
    enum {
        RAFT_KIND_COMMAND = 2
    };

    struct sha256 root;
    enum error error = ledger_run_root(change->tables, run->first, run->entries, &root);
    CHECK(error == ERR_OK);
    struct buf digest = {0};
    ledger_run_encode(&digest, run, &root);
    struct command command = {.wall_ms = run->wall_ms};
    struct command_result result = {.error = ERR_OK};
    struct apply_entry entry = {
        .index = run->first + run->entries - 1,
        .term = run->term,
        .raft_kind = RAFT_KIND_COMMAND,
        .command = &command,
        .payload = buf_view(&digest),
    };
    struct buf leaf = {0};
    encode_head(&leaf, &entry, LEDGER_RUN_KIND, &result);
    buf_append(&leaf, digest.data, digest.len);
    append_leaf(change, entry.index, &leaf);
    ledger_run_close(change);
    MARK("ledger.digest");
    buf_deinit(&digest);
    buf_deinit(&leaf);
}

/* `index` is the last of the log that the leaf covers. */
static void append_leaf(struct change *change, uint64_t index, const struct buf *leaf)
{
    struct ledger_head head;
    query_ledger_head(change->tables, &head);
    CHECK(index > head.index);
    struct state_key key = key_u64(head.size);
    change_put(change, TABLE_LEDGER_LEAF, key_view(&key), leaf);
    add_hash(change, head.size, merkle_leaf_hash(buf_view(leaf)));

    struct tables tables = *change->tables;
    struct merkle_source source = source_of(&tables);
    struct sha256 root;
    enum error error = merkle_root(&source, head.size + 1, &root);
    CHECK(error == ERR_OK);
    struct buf row = {0};
    buf_put_u64(&row, head.size + 1);
    buf_put_u64(&row, index);
    buf_append(&row, root.bytes, SHA256_SIZE);
    change_put(change, TABLE_META, slice_of_string(HEAD_KEY), &row);
    buf_deinit(&row);
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
