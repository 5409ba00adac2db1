/* SPDX-License-Identifier: Apache-2.0 */
/* See state/ledger_run.h. */
#include "state/ledger_run.h"

#include "base/check.h"

#include <string.h>

enum {
    DIGEST_VERSION = 1
};

static const char RUN_KEY[] = "ledger-run";

struct run_rows {
    const struct tables *tables;
    uint64_t first;
};

static bool get_subtree(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out);

void ledger_run_get(const struct tables *tables, struct ledger_run *run_out)
{
    struct slice value;
    *run_out = (struct ledger_run){0};
    if (tables_get(tables, TABLE_META, slice_of_string(RUN_KEY), &value) != ERR_OK) {
        return;
    }
    struct reader reader = reader_of(value);
    run_out->first = reader_u64(&reader);
    run_out->entries = reader_u32(&reader);
    run_out->commands = reader_u32(&reader);
    run_out->opened_wall_ms = reader_u64(&reader);
    run_out->wall_ms = reader_u64(&reader);
    run_out->term = reader_u64(&reader);
    CHECK(reader_finish(&reader) == ERR_OK);
}

void ledger_run_add(struct change *change,
                    uint32_t commands,
                    struct sha256 hash,
                    struct ledger_run *run_out)
{
    struct buf value = {0};
    struct state_key key = key_u64(change->index);
    buf_append(&value, hash.bytes, SHA256_SIZE);
    change_put(change, TABLE_LEDGER_RUN, key_view(&key), &value);

    struct ledger_run run;
    ledger_run_get(change->tables, &run);
    if (run.entries == 0) {
        run.first = change->index;
        run.opened_wall_ms = change->wall_ms;
    }
    CHECK(run.first + run.entries == change->index);
    run.entries++;
    run.commands += commands;
    run.wall_ms = change->wall_ms;
    run.term = change->term;
    buf_clear(&value);
    buf_put_u64(&value, run.first);
    buf_put_u32(&value, run.entries);
    buf_put_u32(&value, run.commands);
    buf_put_u64(&value, run.opened_wall_ms);
    buf_put_u64(&value, run.wall_ms);
    buf_put_u64(&value, run.term);
    change_put(change, TABLE_META, slice_of_string(RUN_KEY), &value);
    buf_deinit(&value);
    *run_out = run;
}

bool ledger_run_is_due(const struct ledger_run *run)
{
    return run->commands >= LEDGER_RUN_COMMANDS_MAX || run->entries >= LEDGER_RUN_ENTRIES_MAX ||
           (run->wall_ms > run->opened_wall_ms &&
            run->wall_ms - run->opened_wall_ms >= LEDGER_RUN_AGE_MS);
}

void ledger_run_close(struct change *change)
{
    change_del(change, TABLE_META, slice_of_string(RUN_KEY));
}

enum error ledger_run_root(const struct tables *tables,
                           uint64_t first,
                           uint32_t entries,
                           struct sha256 *root_out)
{
    struct run_rows rows = {.tables = tables, .first = first};
    struct merkle_source source = {.get = get_subtree, .ctx = &rows};
    return merkle_root(&source, entries, root_out);
}

enum error ledger_run_entry(const struct tables *tables, uint64_t index, struct sha256 *hash_out)
{
    struct state_key key = key_u64(index);
    struct slice value;
    if (tables_get(tables, TABLE_LEDGER_RUN, key_view(&key), &value) != ERR_OK ||
        value.len != SHA256_SIZE) {
        return ERR_CORRUPT;
    }
    memcpy(hash_out->bytes, value.data, SHA256_SIZE);
    return ERR_OK;
}

enum error ledger_run_inclusion(const struct tables *tables,
                                const struct ledger_run *run,
                                uint64_t index,
                                struct merkle_proof *proof_out)
{
    struct run_rows rows = {.tables = tables, .first = run->first};
    struct merkle_source source = {.get = get_subtree, .ctx = &rows};
    if (index < run->first) {
        return ERR_RANGE;
    }
    return merkle_inclusion(&source, index - run->first, run->entries, proof_out);
}

void ledger_run_encode(struct buf *out, const struct ledger_run *run, const struct sha256 *root)
{
    buf_put_u8(out, DIGEST_VERSION);
    buf_put_u64(out, run->first);
    buf_put_u32(out, run->entries);
    buf_put_u32(out, run->commands);
    buf_append(out, root->bytes, SHA256_SIZE);
}

enum error
ledger_run_decode(struct slice payload, struct ledger_run *run_out, struct sha256 *root_out)
{
    if (payload.len < SHA256_SIZE) {
        return ERR_CORRUPT;
    }
    size_t head = payload.len - SHA256_SIZE;
    struct reader reader = reader_of(slice_of(payload.data, head));
    uint8_t version = reader_u8(&reader);
    struct ledger_run run = {.first = reader_u64(&reader)};
    run.entries = reader_u32(&reader);
    run.commands = reader_u32(&reader);
    if (reader_finish(&reader) != ERR_OK || version != DIGEST_VERSION || run.entries == 0) {
        return ERR_CORRUPT;
    }
    memcpy(root_out->bytes, payload.data + head, SHA256_SIZE);
    *run_out = run;
    return ERR_OK;
}

/* Runs are short: their subtrees are made from the entries when they are asked for. */
static bool get_subtree(void *ctx, uint8_t level, uint64_t index, struct sha256 *hash_out)
{
    const struct run_rows *rows = ctx;
    if (level > 0) {
        struct sha256 left;
        struct sha256 right;
        if (!get_subtree(ctx, level - 1, index * 2, &left) ||
            !get_subtree(ctx, level - 1, index * 2 + 1, &right)) {
            return false;
        }
        *hash_out = merkle_node_hash(&left, &right);
        return true;
    }
    return ledger_run_entry(rows->tables, rows->first + index, hash_out) == ERR_OK;
}
