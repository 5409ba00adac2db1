/* SPDX-License-Identifier: Apache-2.0 */
/* The node's side of the log: writes go there in order, also those that its queue had no room for;
 * completions come back as the highest durable seq. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/mem.h"

static void keep(struct node_backlog *backlog, const struct raft_write *write);
static void release(struct raft_write *write);
static void retry(struct node *node);

void node_disk_submit(struct node *node, const struct raft_write *write)
{
    if (node->backlog.count == 0) {
        enum error error = node->io->submit_write(node->ctx, write);
        CHECK(error == ERR_OK || error == ERR_EXHAUSTED);
        if (error == ERR_OK) {
            return;
        }
    }
    keep(&node->backlog, write);
}

void node_persisted(struct node *node, uint64_t seq)
{
    if (node->closing) {
        return;
    }
    retry(node);
    if (seq != node->persisted_seq) {
        CHECK(seq > node->persisted_seq);
        node->persisted_seq = seq;
        const struct node_event event = {
            .core = {.type = RAFT_EVENT_PERSISTED, .persisted_seq = seq}};
        node_post(node, &event);
    }
    node_run(node);
}

void node_disk_deinit(struct node *node)
{
    for (uint32_t i = 0; i < node->backlog.count; i++) {
        release(&node->backlog.writes[i]);
    }
    mem_free(node->backlog.writes);
    node->backlog = (struct node_backlog){0};
}

static void keep(struct node_backlog *backlog, const struct raft_write *write)
{
    if (backlog->count == backlog->cap) {
        backlog->cap = backlog->cap == 0 ? 16 : backlog->cap * 2;
        backlog->writes = mem_resize(backlog->writes, backlog->cap * sizeof(*backlog->writes));
    }
    struct raft_write copy = *write;
    copy.entries = NULL;
    if (write->entries_count > 0) {
        copy.entries = mem_dup(write->entries, write->entries_count * sizeof(*write->entries));
    }
    for (uint32_t i = 0; i < write->entries_count; i++) {
        (void)blob_ref(copy.entries[i].payload);
    }
    backlog->writes[backlog->count++] = copy;
}

static void release(struct raft_write *write)
{
    for (uint32_t i = 0; i < write->entries_count; i++) {
        blob_unref(write->entries[i].payload);
    }
    mem_free(write->entries);
}

static void retry(struct node *node)
{
    struct node_backlog *backlog = &node->backlog;
    uint32_t done = 0;
    while (done < backlog->count &&
           node->io->submit_write(node->ctx, &backlog->writes[done]) == ERR_OK) {
        release(&backlog->writes[done]);
        done++;
    }
    for (uint32_t i = done; i < backlog->count; i++) {
        backlog->writes[i - done] = backlog->writes[i];
    }
    backlog->count -= done;
}
