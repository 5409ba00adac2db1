/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and the write of one step. */
#include "raft/outbox.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_state.h"

enum {
    CAP_MIN = 32
};

void outbox_deinit(struct outbox *outbox)
{
    outbox_clear(outbox);
    mem_free(outbox->messages);
    mem_free(outbox->reads);
    *outbox = (struct outbox){0};
}

void outbox_clear(struct outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->count; i++) {
        if (outbox->messages[i].type == RAFT_INSTALL_SNAPSHOT) {
            blob_unref(outbox->messages[i].install_snapshot.chunk);
        }
    }
    outbox->count = 0;
    outbox->reads_count = 0;
}

struct raft_message *outbox_add(struct raft *raft, enum raft_message_type type, struct member_id to)
{
    CHECK(!member_id_is_none(to));
    CHECK(!member_id_equal(to, raft->options.self));
    struct outbox *outbox = &raft->outbox;
    if (outbox->count == outbox->cap) {
        outbox->cap = outbox->cap == 0 ? CAP_MIN : outbox->cap * 2;
        outbox->messages = mem_resize(outbox->messages, outbox->cap * sizeof(*outbox->messages));
    }
    struct raft_message *message = &outbox->messages[outbox->count];
    outbox->count++;
    *message = (struct raft_message){
        .type = type,
        .from = raft->options.self,
        .to = to,
        .term = raft->term,
    };
    return message;
}

void outbox_add_read(struct outbox *outbox, struct raft_snapshot_read read)
{
    CHECK(read.length > 0);
    if (outbox->reads_count == outbox->reads_cap) {
        outbox->reads_cap = outbox->reads_cap == 0 ? CAP_MIN : outbox->reads_cap * 2;
        outbox->reads = mem_resize(outbox->reads, outbox->reads_cap * sizeof(*outbox->reads));
    }
    outbox->reads[outbox->reads_count] = read;
    outbox->reads_count++;
}

void outbox_finish(struct raft *raft, struct raft_write *write_out)
{
    struct log_view *log = &raft->log;
    *write_out = (struct raft_write){0};
    for (uint32_t i = 0; i < raft->outbox.count; i++) {
        struct raft_message *message = &raft->outbox.messages[i];
        if (message->type == RAFT_APPEND && message->append.entries_count > 0) {
            message->append.entries = log_view_at(log, message->append.prev_index + 1);
            CHECK(message->append.entries != NULL);
        }
    }

    uint64_t last = log_view_last_index(log);
    CHECK(last + 1 - log->unwritten_from <= UINT32_MAX);
    uint32_t count = (uint32_t)(last + 1 - log->unwritten_from);
    if (!raft->hard_state_dirty && log->restart_index == 0 && log->truncate_from == 0 &&
        count == 0) {
        return;
    }
    write_out->has_hard_state = raft->hard_state_dirty;
    write_out->hard_state = (struct raft_hard_state){.term = raft->term, .vote = raft->vote};
    write_out->restart_index = log->restart_index;
    write_out->restart_term = log->restart_term;
    write_out->truncate_from = log->truncate_from;
    write_out->entries = count > 0 ? log_view_at(log, log->unwritten_from) : NULL;
    write_out->entries_count = count;
    durable_issue(&raft->durable, write_out, last);

    raft->hard_state_dirty = false;
    log->restart_index = 0;
    log->restart_term = 0;
    log->truncate_from = 0;
    log->unwritten_from = last + 1;
}
