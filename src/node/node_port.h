/* SPDX-License-Identifier: Apache-2.0 */
/* The door between the core, which keeps promises (consensus, peers, sidecars), and those who serve
 * clients. It is asynchronous and batched: what is asked in a turn of the loop is handed over
 * together before it sleeps, and comes back later through a waiter. One port serves one thread;
 * today there is one thread, and the contract is the one that several will need:
 *
 * 1. A linearizable read joins only a confirmation of leadership that begins after it was posted,
 *    through both batches, the port's and the core's. The core's own reads, for the renewals of
 *    databases, do not pass here and never wait for what does.
 * 2. What was posted first is handed over first, so that a client's own requests keep their order.
 *    A query says how far what it saw goes; who must see more asks with node_port_read_at before.
 * 3. What was applied is told once, in order, with the revision that it made; nothing else says
 *    what the member shows.
 * 4. What only a leader may say (a keep-alive was heard) is said behind a read that was confirmed.
 *    What ends something (expiry, revocation) is a proposal.
 * 5. A request has the place of its answer before it is posted, and each waiter is called exactly
 *    once, never from inside a call. The core never waits for the port.
 * 6. An answer finds its waiter by slot and generation, and says in which term it was given: one
 *    that comes for a request which is over, or after node_port_close, reaches nobody. What has
 *    expired, or was asked of an office that is over, is not proposed: ERR_TIMEOUT, ERR_NOT_LEADER;
 *    once it was proposed it is either applied, or its outcome is unknown.
 *
 * How many requests there are at a time is bounded by those who ask. */
#ifndef INDABA_NODE_NODE_PORT_H
#define INDABA_NODE_NODE_PORT_H

#include "base/buf.h"
#include "node/node_office.h"
#include "state/command.h"

#include <sys/queue.h>

struct node_port;
struct tables;

/* Everything that it points to is valid during the callback. */
struct node_port_answer {
    enum error error;
    uint64_t
        index; /* a read: up to where it goes; a query: it saw the entries up to here, or more */
    uint64_t term;                       /* of the member, now */
    const struct command_result *result; /* a proposal that was applied: how; its error included */
    struct slice replies;                /* of the operations of node_port_propose_keys */
};

typedef void (*node_port_done_fn)(const struct node_port_answer *answer, void *ctx);

struct node_port_waiter {
    node_port_done_fn done;
    void *ctx;
};

typedef void (*node_port_query_fn)(const struct tables *tables, void *ctx);

/* `run` on the apply thread, with the ctx of the waiter, which is called then. */
void node_port_query(struct node_port *port,
                     node_port_query_fn run,
                     struct node_port_waiter waiter);
/* ERR_OK when a query posted inside the callback sees all that was acknowledged before this call,
 * here or elsewhere; ERR_NOT_LEADER. */
void node_port_read(struct node_port *port, struct node_port_waiter waiter);
/* On any member: ERR_OK once a query posted then sees the entries up to `index`. */
void node_port_read_at(struct node_port *port, uint64_t index, struct node_port_waiter waiter);
/* Errors as proposals.h has them. The command is copied. */
void node_port_propose(struct node_port *port,
                       const struct command *command,
                       struct node_port_waiter waiter);
/* Operations of the key-value store as one entry, void in any term but the present one. Not before
 * `expires_ms` of the monotonic clock: ERR_TIMEOUT. They are copied. */
void node_port_propose_keys(struct node_port *port,
                            struct slice ops,
                            uint64_t expires_ms,
                            struct node_port_waiter waiter);
/* Who leads. */
struct node_office node_port_office(const struct node_port *port);

struct node_port_status {
    uint64_t commit;
    uint64_t applied;
    uint64_t state_hash;
    uint64_t store_used_bytes;
    uint32_t election_ms;
    const struct member *members; /* until the loop's next turn */
    uint32_t members_count;
};

/* What makes the state grow must be refused. */
bool node_port_space_is_low(const struct node_port *port);
/* For pages that show it, and for what is rare. */
struct node_port_status node_port_status(const struct node_port *port);
/* As node_hand_over. */
MUST_CHECK enum error node_port_hand_over(struct node_port *port,
                                          struct member_id target,
                                          char why[TEXT_SIZE],
                                          struct member_id *target_out);

/* What was applied together. */
struct node_port_applied {
    uint64_t index; /* of the last entry */
    int64_t revision;
    int64_t compacted;
    bool sweep_pending;   /* the physical part of a compaction is not done */
    struct slice replies; /* of all operations of the key-value store in it, in order */
};

/* Any function may be NULL. */
struct node_port_observer {
    TAILQ_ENTRY(node_port_observer) others;
    void (*on_leader_changed)(void *ctx);
    /* After the waiters of what it holds. Once before anything else, with what was stored. */
    void (*on_applied)(const struct node_port_applied *applied, void *ctx);
    void *ctx;
};

/* The observer is the caller's, and stays where it is until node_port_unobserve. */
void node_port_observe(struct node_port *port, struct node_port_observer *observer);
void node_port_unobserve(struct node_port *port, struct node_port_observer *observer);

/* --- how a port is made ------------------------------------------------------------------------
 */

struct node;

/* Of a node; handed over by node_ports_flush. To be closed before the node. */
struct node_port *node_port_open(struct node *node);
/* What was not answered is not answered any more. */
void node_port_close(struct node_port *port);

/* By which an answer finds its waiter. */
struct node_port_ticket {
    uint32_t slot;
    uint32_t generation;
};

/* What stands behind a port: a node, or a test that plays one. Each function takes the request, and
 * answers it later, not from inside, with node_port_answered. */
struct node_port_core {
    uint64_t (*now_ms)(const void *core);
    void (*propose)(void *core, const struct command *command, struct node_port_ticket ticket);
    void (*read)(void *core, struct node_port_ticket ticket);
    void (*read_at)(void *core, uint64_t index, struct node_port_ticket ticket);
    /* Returns the last entry that it is sure to see. */
    uint64_t (*query)(void *core,
                      node_port_query_fn run,
                      void *ctx,
                      struct node_port_ticket ticket);
    struct node_office (*office)(const void *core);
    bool (*space_is_low)(const void *core);
    struct node_port_status (*status)(const void *core);
    enum error (*hand_over)(void *core,
                            struct member_id target,
                            char why[TEXT_SIZE],
                            struct member_id *target_out);
    void (*close)(void *core);
};

struct node_port *node_port_new(const struct node_port_core *calls, void *core);
/* Hands over what was posted; true if anything was. Of one, or of all of a node. */
bool node_ports_flush(struct node *node);
bool node_port_flush(struct node_port *port);
/* `index` and `result` as in node_port_answer; the port knows the rest. */
void node_port_answered(struct node_port *port,
                        struct node_port_ticket ticket,
                        const struct node_port_answer *answer);
void node_port_tell_leader_changed(struct node_port *port);
void node_port_tell_applied(struct node_port *port, const struct node_port_applied *applied);

#endif
