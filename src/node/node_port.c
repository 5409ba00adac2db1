/* SPDX-License-Identifier: Apache-2.0 */
/* See node_port.h. Knows no node: node_port_core.c has what stands behind it. */
#include "node/node_port.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

enum request_kind {
    REQUEST_QUERY,
    REQUEST_READ,
    REQUEST_READ_AT,
    REQUEST_PROPOSE,
    REQUEST_PROPOSE_KEYS
};

/*    free ── post ──► posted ── flush ──► handed over (a read may join the one before it) ──┐
 *      ▲                                                                                    │
 *      └──────────────────────────────── answered ◄─────────────────────────────────────────┘ */
struct request {
    TAILQ_ENTRY(request) others; /* posted; or joined to `head`; or free */
    TAILQ_HEAD(request_list, request) joined;
    struct node_port_ticket ticket;
    bool open; /* not free */
    enum request_kind kind;
    struct node_port_waiter waiter;
    node_port_query_fn run;
    uint64_t index; /* READ_AT: wanted; QUERY: what it is sure to see */
    uint64_t term;  /* when it was posted */
    uint64_t expires_ms;
    struct command *command;
    struct buf ops;
};

TAILQ_HEAD(requests, request);

struct node_port {
    const struct node_port_core *calls;
    void *core;
    struct request **slots; /* all there are */
    uint32_t slots_count;
    uint32_t slots_cap;
    struct requests free;
    struct requests posted;
    TAILQ_HEAD(node_port_observer_list, node_port_observer) observers;
};

static struct request *
post(struct node_port *port, enum request_kind kind, struct node_port_waiter waiter);
static struct request *new_slot(struct node_port *port);
static void hand_over(struct node_port *port, struct request *request);
static void propose_keys(struct node_port *port, struct request *request);
static bool is_of_this_office(struct node_port *port, struct request *request);
static void end(struct node_port *port, struct request *request, struct node_port_answer answer);
static void release(struct request *request);

struct node_port *node_port_new(const struct node_port_core *calls, void *core)
{
    struct node_port *port = mem_new(sizeof(*port));
    port->calls = calls;
    port->core = core;
    TAILQ_INIT(&port->free);
    TAILQ_INIT(&port->posted);
    TAILQ_INIT(&port->observers);
    return port;
}

void node_port_close(struct node_port *port)
{
    CHECK(TAILQ_EMPTY(&port->observers));
    port->calls->close(port->core);
    for (uint32_t i = 0; i < port->slots_count; i++) {
        release(port->slots[i]);
        mem_free(port->slots[i]);
    }
    mem_free(port->slots);
    mem_free(port);
}

void node_port_query(struct node_port *port, node_port_query_fn run, struct node_port_waiter waiter)
{
    post(port, REQUEST_QUERY, waiter)->run = run;
}

void node_port_read(struct node_port *port, struct node_port_waiter waiter)
{
    (void)post(port, REQUEST_READ, waiter);
}

void node_port_read_at(struct node_port *port, uint64_t index, struct node_port_waiter waiter)
{
    post(port, REQUEST_READ_AT, waiter)->index = index;
}

void node_port_propose(struct node_port *port,
                       const struct command *command,
                       struct node_port_waiter waiter)
{
    post(port, REQUEST_PROPOSE, waiter)->command = mem_dup(command, sizeof(*command));
}

void node_port_propose_keys(struct node_port *port,
                            struct slice ops,
                            uint64_t expires_ms,
                            struct node_port_waiter waiter)
{
    struct request *request = post(port, REQUEST_PROPOSE_KEYS, waiter);
    request->expires_ms = expires_ms;
    buf_append(&request->ops, ops.data, ops.len);
}

struct node_office node_port_office(const struct node_port *port)
{
    return port->calls->office(port->core);
}

bool node_port_space_is_low(const struct node_port *port)
{
    return port->calls->space_is_low(port->core);
}

struct node_port_status node_port_status(const struct node_port *port)
{
    return port->calls->status(port->core);
}

enum error node_port_hand_over(struct node_port *port,
                               struct member_id target,
                               char why[TEXT_SIZE],
                               struct member_id *target_out)
{
    return port->calls->hand_over(port->core, target, why, target_out);
}

void node_port_observe(struct node_port *port, struct node_port_observer *observer)
{
    TAILQ_INSERT_HEAD(&port->observers, observer, others);
}

void node_port_unobserve(struct node_port *port, struct node_port_observer *observer)
{
    TAILQ_REMOVE(&port->observers, observer, others);
}

/* Reads that follow each other share one confirmation, which begins now. After a proposal a new one
 * begins: they keep their order. What is posted meanwhile waits for the next flush. */
bool node_port_flush(struct node_port *port)
{
    struct requests all = TAILQ_HEAD_INITIALIZER(all);
    struct request *head = NULL;
    struct request *request = NULL;
    TAILQ_CONCAT(&all, &port->posted, others);
    bool any = !TAILQ_EMPTY(&all);
    while ((request = TAILQ_FIRST(&all)) != NULL) {
        TAILQ_REMOVE(&all, request, others);
        if (request->kind == REQUEST_READ && head != NULL) {
            TAILQ_INSERT_TAIL(&head->joined, request, others);
            continue;
        }
        if (request->kind == REQUEST_READ) {
            head = request;
        } else if (request->kind == REQUEST_PROPOSE || request->kind == REQUEST_PROPOSE_KEYS) {
            head = NULL;
        }
        hand_over(port, request);
    }
    return any;
}

void node_port_answered(struct node_port *port,
                        struct node_port_ticket ticket,
                        const struct node_port_answer *answer)
{
    if (ticket.slot >= port->slots_count ||
        port->slots[ticket.slot]->ticket.generation != ticket.generation) {
        MARK("node_port.stale_answer");
        return;
    }
    end(port, port->slots[ticket.slot], *answer);
}

void node_port_tell_leader_changed(struct node_port *port)
{
    const struct node_port_observer *observer = NULL;
    TAILQ_FOREACH(observer, &port->observers, others)
    {
        if (observer->on_leader_changed != NULL) {
            observer->on_leader_changed(observer->ctx);
        }
    }
}

void node_port_tell_applied(struct node_port *port, const struct node_port_applied *applied)
{
    const struct node_port_observer *observer = NULL;
    TAILQ_FOREACH(observer, &port->observers, others)
    {
        if (observer->on_applied != NULL) {
            observer->on_applied(applied, observer->ctx);
        }
    }
}

static struct request *
post(struct node_port *port, enum request_kind kind, struct node_port_waiter waiter)
{
    CHECK(waiter.done != NULL);
    struct request *request = TAILQ_FIRST(&port->free);
    if (request == NULL) {
        request = new_slot(port);
    } else {
        TAILQ_REMOVE(&port->free, request, others);
    }
    CHECK(!request->open);
    request->open = true;
    request->kind = kind;
    request->term = node_port_office(port).term;
    request->waiter = waiter;
    TAILQ_INSERT_TAIL(&port->posted, request, others);
    return request;
}

static struct request *new_slot(struct node_port *port)
{
    if (port->slots_count == port->slots_cap) {
        port->slots_cap = port->slots_cap == 0 ? 64 : port->slots_cap * 2;
        port->slots = mem_resize(port->slots, port->slots_cap * sizeof(struct request *));
    }
    struct request *request = mem_new(sizeof(*request));
    request->ticket = (struct node_port_ticket){.slot = port->slots_count, .generation = 1};
    TAILQ_INIT(&request->joined);
    port->slots[port->slots_count++] = request;
    return request;
}

static void hand_over(struct node_port *port, struct request *request)
{
    switch (request->kind) {
    case REQUEST_QUERY:
        request->index =
            port->calls->query(port->core, request->run, request->waiter.ctx, request->ticket);
        return;
    case REQUEST_READ:
        port->calls->read(port->core, request->ticket);
        return;
    case REQUEST_READ_AT:
        port->calls->read_at(port->core, request->index, request->ticket);
        return;
    case REQUEST_PROPOSE:
        if (is_of_this_office(port, request)) {
            port->calls->propose(port->core, request->command, request->ticket);
        }
        return;
    case REQUEST_PROPOSE_KEYS:
        propose_keys(port, request);
        return;
    }
}

static void propose_keys(struct node_port *port, struct request *request)
{
    if (request->expires_ms <= port->calls->now_ms(port->core)) {
        MARK("node_port.expired");
        end(port, request, (struct node_port_answer){.error = ERR_TIMEOUT});
        return;
    }
    if (!is_of_this_office(port, request)) {
        return;
    }
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_KV;
    command->leader_term = request->term;
    command->kv.batch = buf_view(&request->ops);
    port->calls->propose(port->core, command, request->ticket);
    mem_free(command);
    buf_deinit(&request->ops);
}

/* One that is not has its answer. */
static bool is_of_this_office(struct node_port *port, struct request *request)
{
    const struct node_office office = node_port_office(port);
    if (office.leads && office.term == request->term) {
        return true;
    }
    end(port, request, (struct node_port_answer){.error = ERR_NOT_LEADER});
    return false;
}

/* The slot is free before the waiter is called, who may post again. */
static void end(struct node_port *port, struct request *request, struct node_port_answer answer)
{
    struct requests joined = TAILQ_HEAD_INITIALIZER(joined);
    const struct node_port_waiter waiter = request->waiter;
    CHECK(request->open);
    answer.term = node_port_office(port).term;
    if (request->kind == REQUEST_QUERY) {
        answer.index = request->index;
    }
    TAILQ_CONCAT(&joined, &request->joined, others);
    release(request);
    request->open = false;
    request->ticket.generation++;
    TAILQ_INSERT_HEAD(&port->free, request, others);
    waiter.done(&answer, waiter.ctx);
    while ((request = TAILQ_FIRST(&joined)) != NULL) {
        TAILQ_REMOVE(&joined, request, others);
        end(port, request, answer);
    }
}

static void release(struct request *request)
{
    mem_free(request->command);
    request->command = NULL;
    buf_deinit(&request->ops);
}
