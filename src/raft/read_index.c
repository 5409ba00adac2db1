/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds. The counter never goes back while the process lives, and answers carry the term, so an
 * old answer confirms nothing new. */
#include "raft/read_index.h"

#include "base/check.h"
#include "base/mem.h"
#include "raft/heartbeat.h"
#include "raft/quorum.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"

#include <string.h>

enum {
    CAP_MIN = 64,
    /* A caller with this many reads in flight has lost its own bound; the rest is refused. */
    READS_MAX = 65536,
};

static void push_wait(struct raft_read_queue *reads, uint64_t read_id);
static void push_ready(struct raft_read_queue *reads, struct raft_read_ready ready);
static void pop_front(struct raft_read_queue *reads, uint32_t count);
static uint64_t probe_acked_of(const struct progress *peer);

void read_index_start(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    CHECK(raft->reads.count == 0);
    raft->probe_confirmed = raft->probe;
}

void read_index_add(struct raft *raft, uint64_t read_id)
{
    if (raft->role != RAFT_LEADER || raft->reads.count >= READS_MAX) {
        push_ready(&raft->reads, (struct raft_read_ready){.read_id = read_id});
        return;
    }
    push_wait(&raft->reads, read_id);
    read_index_begin(raft);
    CHECK(raft->reads.begun <= raft->reads.count);
}

void read_index_begin(struct raft *raft)
{
    struct raft_read_queue *reads = &raft->reads;
    CHECK(raft->role == RAFT_LEADER);
    if (reads->begun > 0 || reads->count == 0 || raft->commit < raft->term_start_index) {
        return;
    }
    CHECK(raft->probe < UINT64_MAX);
    raft->probe++;
    for (uint32_t i = 0; i < reads->count; i++) {
        reads->waits[i].index = raft->commit;
        reads->waits[i].probe = raft->probe;
    }
    reads->begun = reads->count;
    heartbeat_broadcast(raft);
    read_index_confirm(raft);
}

void read_index_confirm(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    uint64_t values[RAFT_SERVERS_MAX] = {0};
    replicate_values(raft, raft->probe, probe_acked_of, values);
    uint64_t confirmed = quorum_value(log_view_configuration(&raft->log), values);
    if (confirmed <= raft->probe_confirmed) {
        return;
    }
    CHECK(confirmed <= raft->probe);
    raft->probe_confirmed = confirmed;

    struct raft_read_queue *reads = &raft->reads;
    uint32_t done = 0;
    while (done < reads->begun && reads->waits[done].probe <= confirmed) {
        const struct raft_read_wait *wait = &reads->waits[done];
        push_ready(reads,
                   (struct raft_read_ready){
                       .read_id = wait->read_id, .index = wait->index, .confirmed = true});
        done++;
    }
    pop_front(reads, done);
    read_index_begin(raft);
}

void read_index_refuse_all(struct raft *raft)
{
    struct raft_read_queue *reads = &raft->reads;
    for (uint32_t i = 0; i < reads->count; i++) {
        push_ready(reads, (struct raft_read_ready){.read_id = reads->waits[i].read_id});
    }
    reads->count = 0;
    reads->begun = 0;
}

void read_index_clear_ready(struct raft *raft)
{
    raft->reads.ready_count = 0;
}

void read_index_deinit(struct raft *raft)
{
    mem_free(raft->reads.waits);
    mem_free(raft->reads.ready);
    raft->reads = (struct raft_read_queue){0};
}

static void push_wait(struct raft_read_queue *reads, uint64_t read_id)
{
    if (reads->count == reads->cap) {
        reads->cap = reads->cap == 0 ? CAP_MIN : reads->cap * 2;
        reads->waits = mem_resize(reads->waits, reads->cap * sizeof(*reads->waits));
    }
    reads->waits[reads->count] = (struct raft_read_wait){.read_id = read_id};
    reads->count++;
}

static void push_ready(struct raft_read_queue *reads, struct raft_read_ready ready)
{
    if (reads->ready_count == reads->ready_cap) {
        reads->ready_cap = reads->ready_cap == 0 ? CAP_MIN : reads->ready_cap * 2;
        reads->ready = mem_resize(reads->ready, reads->ready_cap * sizeof(*reads->ready));
    }
    reads->ready[reads->ready_count] = ready;
    reads->ready_count++;
}

static void pop_front(struct raft_read_queue *reads, uint32_t count)
{
    CHECK(count <= reads->begun);
    if (count == 0) {
        return;
    }
    memmove(reads->waits, reads->waits + count, (reads->count - count) * sizeof(*reads->waits));
    reads->count -= count;
    reads->begun -= count;
}

static uint64_t probe_acked_of(const struct progress *peer)
{
    return peer->probe_acked;
}
