/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction. Asking for it only says which revisions cannot be read any more. The rows go later, a
 * few with each entry of the log, the same few on every member: each change up to the compacted
 * revision, in order, makes the version before it superfluous, and a deletion also itself. A
 * deletion at the compacted revision itself stays until the next compaction: it can be watched. */
#include "base/check.h"
#include "base/log.h"
#include "state/kv_write.h"

struct gathering {
    struct buf *rows;
    uint32_t rows_left;
    int64_t compacted;
    bool more;
    int64_t next_revision; /* where to go on if there is more */
    uint32_t next_sub;
};

static bool gather(const struct kv_event *event, void *ctx);
static void sweep_row(struct kv_writer *writer, struct reader *reader);
static bool is_pending(const struct kv_position *position);

enum kv_error kv_compact(struct kv_writer *writer, int64_t revision)
{
    if (revision <= writer->position.compacted) {
        return KV_COMPACTED;
    }
    if (revision > writer->position.revision) {
        return KV_FUTURE_REVISION;
    }
    writer->position.compacted = revision;
    return KV_OK;
}

void kv_sweep(struct kv_writer *writer, uint32_t rows_max)
{
    struct kv_position *position = &writer->position;
    if (!is_pending(position)) {
        return;
    }
    buf_clear(&writer->doomed);
    struct gathering gathering = {
        .rows = &writer->doomed,
        .rows_left = rows_max,
        .compacted = position->compacted,
    };
    kv_history_walk(writer->tables, position->swept, position->swept_sub, gather, &gathering);
    struct reader reader = reader_of(buf_view(&writer->doomed));
    while (reader.offset < reader.len) {
        sweep_row(writer, &reader);
    }
    CHECK(reader_finish(&reader) == ERR_OK);
    if (gathering.more) {
        MARK("kv.sweep_goes_on");
    }
    /* The compacted revision itself is swept again by the next compaction. */
    position->swept = gathering.more ? gathering.next_revision : position->compacted;
    position->swept_sub = gathering.more ? gathering.next_sub : 0;
}

bool kv_sweep_pending(const struct tables *tables)
{
    struct kv_position position;
    kv_position(tables, &position);
    return is_pending(&position);
}

static bool gather(const struct kv_event *event, void *ctx)
{
    struct gathering *gathering = ctx;
    if (event->pair.mod_revision > gathering->compacted) {
        return false;
    }
    if (gathering->rows_left == 0) {
        gathering->more = true;
        gathering->next_revision = event->pair.mod_revision;
        gathering->next_sub = event->sub;
        return false;
    }
    gathering->rows_left--;
    buf_put_u64(gathering->rows, (uint64_t)event->pair.mod_revision);
    buf_put_u32(gathering->rows, event->sub);
    buf_put_u8(gathering->rows, event->deleted);
    buf_put_bytes(gathering->rows, event->pair.key);
    return true;
}

static void sweep_row(struct kv_writer *writer, struct reader *reader)
{
    int64_t revision = (int64_t)reader_u64(reader);
    uint32_t sub = reader_u32(reader);
    bool deleted = reader_u8(reader) != 0;
    struct slice key = reader_bytes(reader);
    struct kv_version before;
    if (kv_index_find(writer->tables, key, revision - 1, &before) == ERR_OK) {
        kv_index_del(writer->change, key, before.revision);
        kv_history_del(writer->change, before.revision, before.sub);
    }
    if (deleted && revision < writer->position.compacted) {
        kv_index_del(writer->change, key, revision);
        kv_history_del(writer->change, revision, sub);
    }
}

static bool is_pending(const struct kv_position *position)
{
    return position->swept < position->compacted || position->swept_sub > 0;
}
