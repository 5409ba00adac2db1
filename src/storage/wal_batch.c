/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_batch.h. */
#include "storage/wal_batch.h"

#include "base/check.h"

struct encoder {
    struct wal_batch_place place;
    uint64_t left; /* records still to come */
    struct buf *out;
};

static uint64_t write_records(const struct raft_write *write);
static void encode_write(struct encoder *encoder, const struct raft_write *write);
static void encode_record(struct encoder *encoder, struct wal_record record);

uint32_t wal_batch_group(const struct raft_write *writes, uint32_t count, size_t bytes_max)
{
    CHECK(count > 0);
    size_t bytes = wal_batch_size(&writes[0], 1);
    uint32_t group = 1;
    while (group < count && writes[group].truncate_from == 0 && writes[group].restart_index == 0) {
        bytes += wal_batch_size(&writes[group], 1);
        if (bytes > bytes_max) {
            break;
        }
        group++;
    }
    return group;
}

size_t wal_batch_size(const struct raft_write *writes, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_write *write = &writes[i];
        size += write->has_hard_state ? wal_record_size(WAL_VOTE_SIZE) : 0;
        for (uint32_t entry = 0; entry < write->entries_count; entry++) {
            size += wal_record_size(write->entries[entry].payload->len);
        }
    }
    return size;
}

uint64_t wal_batch_encode(const struct raft_write *writes,
                          uint32_t count,
                          const struct wal_batch_place *place,
                          struct buf *out)
{
    struct encoder encoder = {.place = *place, .out = out};
    for (uint32_t i = 0; i < count; i++) {
        encoder.left += write_records(&writes[i]);
    }
    CHECK(encoder.left > 0);
    for (uint32_t i = 0; i < count; i++) {
        encode_write(&encoder, &writes[i]);
    }
    CHECK(encoder.left == 0);
    return encoder.place.chain;
}

static uint64_t write_records(const struct raft_write *write)
{
    return (uint64_t)write->entries_count + (write->has_hard_state ? 1 : 0);
}

static void encode_write(struct encoder *encoder, const struct raft_write *write)
{
    if (write->has_hard_state) {
        struct buf vote = {0};
        wal_vote_encode(write->hard_state.vote, &vote);
        encode_record(encoder,
                      (struct wal_record){
                          .type = WAL_HARD_STATE,
                          .term = write->hard_state.term,
                          .payload = buf_view(&vote),
                      });
        buf_deinit(&vote);
    }
    for (uint32_t i = 0; i < write->entries_count; i++) {
        const struct raft_entry *entry = &write->entries[i];
        encode_record(encoder,
                      (struct wal_record){
                          .type = WAL_ENTRY,
                          .kind = (uint8_t)entry->kind,
                          .index = entry->index,
                          .term = entry->term,
                          .payload = blob_view(entry->payload),
                      });
    }
}

static void encode_record(struct encoder *encoder, struct wal_record record)
{
    encoder->left--;
    record.batch = encoder->place.batch;
    record.previous = encoder->place.chain;
    record.last_in_batch = encoder->left == 0;
    encoder->place.chain = wal_record_append(encoder->out, &record, encoder->place.seed);
}
