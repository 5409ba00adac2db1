/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a node: proposals and linearizable reads. They gather until the loop is about to
 * sleep, go to the core in one event, and come back later: a proposal when its entry is applied, a
 * read when its index was confirmed and everything up to it was given to the apply thread (whose
 * queue is ordered, so that a query made then sees it). */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/mem.h"
#include "wire/wire_command.h"

enum {
    PROPOSE_BATCH_MAX = 1024
};

static void push_proposal(struct node *node, const struct node_proposal *proposal);
static void flush_proposals(struct node *node);
static uint32_t answer_refused(struct node_proposal *all, uint32_t count);
static void propose_batch(struct node *node, const struct node_proposal *batch, uint32_t count);
static void
on_proposed(struct node *node, const struct node_event *event, const struct raft_update *update);
static void refuse(const struct node_proposal *batch, uint32_t count, enum error error);
static void flush_reads(struct node *node);
static void reads_push(struct node_reads *reads, const struct node_read_request *request);
static void
finish_read(struct node *node, const struct node_read_request *request, enum error error);
static bool take_asked(struct node *node, uint64_t read_id, struct node_read_request *request_out);

void node_propose(struct node *node, const struct command *command, struct proposals_waiter waiter)
{
    CHECK(waiter.done != NULL);
    struct node_proposal proposal = {.waiter = waiter};
    proposal.refusal = node_members_check_kind(node, command->kind);
    if (proposal.refusal == ERR_OK && node_watch_refuses(node, command->kind)) {
        proposal.refusal = ERR_NO_SPACE;
    }
    if (proposal.refusal != ERR_OK) {
        push_proposal(node, &proposal);
        return;
    }
    struct command *stamped = mem_dup(command, sizeof(*command));
    stamped->wall_ms = node->io->wall_ms(node->ctx);
    struct buf bytes = {0};
    wire_command_encode(stamped, &bytes);
    mem_free(stamped);
    proposal.payload = blob_new(buf_view(&bytes));
    push_proposal(node, &proposal);
    buf_deinit(&bytes);
}

void node_read(struct node *node, node_read_fn done, void *ctx)
{
    CHECK(done != NULL);
    const struct node_read_request request = {.done = done, .ctx = ctx};
    reads_push(&node->reads_new, &request);
}

uint64_t node_submitted(const struct node *node)
{
    return node->submitted;
}

void node_read_at(struct node *node, uint64_t index, node_read_fn done, void *ctx)
{
    CHECK(done != NULL);
    const struct node_read_request request = {.index = index, .done = done, .ctx = ctx};
    reads_push(&node->reads_confirmed, &request);
}

/* What callbacks ask for meanwhile is done when this is called again, in the same turn. */
bool node_flush(struct node *node)
{
    bool any = node->events.count > 0;
    node_run(node);
    any = node_requests_submitted(node) || any;
    if (node->closing || (node->proposals_new_count == 0 && node->reads_new.count == 0)) {
        return any;
    }
    flush_proposals(node);
    flush_reads(node);
    return true;
}

void node_requests_reads_ready(struct node *node, const struct raft_update *update)
{
    for (uint32_t i = 0; i < update->reads_count; i++) {
        const struct raft_read_ready *ready = &update->reads[i];
        struct node_read_request request;
        if (!take_asked(node, ready->read_id, &request)) {
            continue;
        }
        request.index = ready->index;
        if (request.done == NULL) {
            controller_read_ready(
                node->controller, request.controller_read_id, ready->index, ready->confirmed);
        } else if (!ready->confirmed) {
            finish_read(node, &request, ERR_NOT_LEADER);
        } else if (request.index <= node->submitted) {
            finish_read(node, &request, ERR_OK);
        } else {
            reads_push(&node->reads_confirmed, &request);
        }
    }
    if (update->reads_count > 0) {
        node_pump(node);
    }
}

bool node_requests_submitted(struct node *node)
{
    struct node_reads waiting = node->reads_confirmed;
    if (waiting.count == 0) {
        return false;
    }
    bool any = false;
    node->reads_confirmed = (struct node_reads){0};
    for (uint32_t i = 0; i < waiting.count; i++) {
        if (waiting.items[i].index <= node->submitted) {
            any = true;
            finish_read(node, &waiting.items[i], ERR_OK);
        } else {
            reads_push(&node->reads_confirmed, &waiting.items[i]);
        }
    }
    mem_free(waiting.items);
    return any;
}

void node_requests_deinit(struct node *node)
{
    for (uint32_t i = 0; i < node->proposals_new_count; i++) {
        if (node->proposals_new[i].payload != NULL) {
            blob_unref(node->proposals_new[i].payload);
        }
    }
    mem_free(node->proposals_new);
    mem_free(node->reads_new.items);
    mem_free(node->reads_asked.items);
    mem_free(node->reads_confirmed.items);
}

static void push_proposal(struct node *node, const struct node_proposal *proposal)
{
    if (node->proposals_new_count == node->proposals_new_cap) {
        node->proposals_new_cap = node->proposals_new_cap == 0 ? 64 : node->proposals_new_cap * 2;
        node->proposals_new =
            mem_resize(node->proposals_new, node->proposals_new_cap * sizeof(*node->proposals_new));
    }
    node->proposals_new[node->proposals_new_count++] = *proposal;
}

static void flush_proposals(struct node *node)
{
    struct node_proposal *all = node->proposals_new;
    uint32_t count = node->proposals_new_count;
    node->proposals_new = NULL;
    node->proposals_new_count = 0;
    node->proposals_new_cap = 0;
    count = answer_refused(all, count);
    for (uint32_t done = 0; done < count; done += PROPOSE_BATCH_MAX) {
        uint32_t batch = count - done < PROPOSE_BATCH_MAX ? count - done : PROPOSE_BATCH_MAX;
        propose_batch(node, all + done, batch);
        node_run(node);
    }
    mem_free(all);
}

/* Those that wait only to be refused; returns how many are left. */
static uint32_t answer_refused(struct node_proposal *all, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].payload == NULL) {
            all[i].waiter.done(all[i].refusal, NULL, all[i].waiter.ctx);
        } else {
            all[left++] = all[i];
        }
    }
    return left;
}

static void propose_batch(struct node *node, const struct node_proposal *batch, uint32_t count)
{
    bool room = node->backlog.count == 0 && node->io->log_has_room(node->ctx) &&
                proposals_count(node->proposals) + count <= PROPOSALS_MAX;
    if (!room) {
        refuse(batch, count, ERR_EXHAUSTED);
        return;
    }
    struct raft_proposal *proposals = mem_new_array(count, sizeof(*proposals));
    struct proposals_waiter *waiters = mem_new_array(count, sizeof(*waiters));
    for (uint32_t i = 0; i < count; i++) {
        proposals[i] =
            (struct raft_proposal){.kind = RAFT_ENTRY_COMMAND, .payload = batch[i].payload};
        waiters[i] = batch[i].waiter;
    }
    const struct node_event event = {
        .core = {.type = RAFT_EVENT_PROPOSE, .propose.count = count},
        .propose = {.proposals = proposals, .waiters = waiters},
        .stepped = on_proposed,
    };
    node_post(node, &event);
}

static void
on_proposed(struct node *node, const struct node_event *event, const struct raft_update *update)
{
    for (uint32_t i = 0; i < event->core.propose.count; i++) {
        struct proposals_waiter waiter = event->propose.waiters[i];
        enum error error = update->propose_error;
        if (error == ERR_OK) {
            error = proposals_add(
                node->proposals, update->propose_first_index + i, update->term, waiter);
        }
        if (error != ERR_OK) {
            waiter.done(error, NULL, waiter.ctx);
        }
    }
}

static void refuse(const struct node_proposal *batch, uint32_t count, enum error error)
{
    for (uint32_t i = 0; i < count; i++) {
        blob_unref(batch[i].payload);
        batch[i].waiter.done(error, NULL, batch[i].waiter.ctx);
    }
}

static void flush_reads(struct node *node)
{
    struct node_reads fresh = node->reads_new;
    node->reads_new = (struct node_reads){0};
    for (uint32_t i = 0; i < fresh.count; i++) {
        fresh.items[i].read_id = ++node->last_read_id;
        reads_push(&node->reads_asked, &fresh.items[i]);
    }
    for (uint32_t i = 0; i < fresh.count; i++) {
        const struct node_event event = {
            .core = {.type = RAFT_EVENT_READ, .read_id = fresh.items[i].read_id}};
        node_post(node, &event);
    }
    mem_free(fresh.items);
    node_run(node);
}

static void reads_push(struct node_reads *reads, const struct node_read_request *request)
{
    if (reads->count == reads->cap) {
        reads->cap = reads->cap == 0 ? 16 : reads->cap * 2;
        reads->items = mem_resize(reads->items, reads->cap * sizeof(*reads->items));
    }
    reads->items[reads->count++] = *request;
}

static void
finish_read(struct node *node, const struct node_read_request *request, enum error error)
{
    (void)node;
    request->done(error, request->index, request->ctx);
}

/* Reads come back nearly in order: the search is short. */
static bool take_asked(struct node *node, uint64_t read_id, struct node_read_request *request_out)
{
    struct node_reads *asked = &node->reads_asked;
    for (uint32_t i = 0; i < asked->count; i++) {
        if (asked->items[i].read_id == read_id) {
            *request_out = asked->items[i];
            for (uint32_t at = i + 1; at < asked->count; at++) {
                asked->items[at - 1] = asked->items[at];
            }
            asked->count--;
            return true;
        }
    }
    return false;
}
