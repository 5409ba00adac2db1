/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the key-value store, as etcd's API has them: each has one operation under way, at any
 * member, and gives up on it after a while without knowing what became of it. All of it is written
 * down with the (true) times of question and answer, and judged at the end by tests/support/lin.h.
 * The clients sit at node 0 of the network, which no cut reaches: they go on asking a leader that
 * is cut off from the others. */
#ifndef INDABA_TESTS_SIM_SIM_CLIENT_H
#define INDABA_TESTS_SIM_SIM_CLIENT_H

#include "tests/support/lin.h"

#include "node/applier_batch.h"

#include <sys/queue.h>

struct sim;
struct sim_member;

enum {
    SIM_CLIENTS = 4,
    SIM_CLIENT_NODE = 0,
    SIM_PLAIN_KEYS = 3, /* only read and put: judged by zones, at any length */
    SIM_MIXED_KEYS = 2, /* everything else: judged by search */
    SIM_CLIENT_KEYS = SIM_PLAIN_KEYS + SIM_MIXED_KEYS,
    SIM_WAITS_MAX = 64,
};

enum sim_ask_kind {
    ASK_GET, /* linearizable, of any member: by read index */
    ASK_PUT,
    ASK_SWAP,    /* a put that answers with what was there before */
    ASK_CAS,     /* if the key has the expected value; else answers with what it has */
    ASK_DELETE,  /* answers with what was there before */
    ASK_PUT_TWO, /* both keys at one instant */
    ASK_GET_TWO,
};

/* What travels to a member. Key numbers begin at 0. */
struct sim_ask {
    enum sim_ask_kind kind;
    uint32_t client;
    uint32_t op;     /* its number in the history */
    uint64_t serial; /* late answers are known by it */
    uint32_t keys[2];
    uint64_t expected;
    uint64_t values[2];
};

/* … and back. LIN_FAIL: certainly nothing was done. */
struct sim_answer {
    uint32_t client;
    uint64_t serial;
    enum lin_outcome outcome;
    bool succeeded;
    uint64_t seen[2];
    uint32_t leader; /* node, as far as the member knows; 0 if it does not */
};

/* Between members: give me an index to read at; here it is. */
struct sim_index {
    uint32_t from; /* node */
    uint64_t read_id;
    uint64_t index; /* 0: refused */
};

/* What a member has taken on and not answered. A crash forgets it. */
struct sim_wait {
    TAILQ_ENTRY(sim_wait) others;
    struct sim_member *member;
    struct sim_ask ask;
    struct buf batch; /* a write, until it is appended */
    bool appended;
    uint64_t read_id; /* a read that waits for another member's answer */
    uint64_t seen;    /* by a read, in the tables */
    uint32_t from;    /* a read of this other member: it is sent the index */
};

struct sim_waits {
    TAILQ_HEAD(sim_wait_list, sim_wait) all;
    uint32_t count;
};

struct sim_client {
    bool busy;
    struct sim_ask ask;
    uint32_t member;
};

/* A write that some leader has appended, and what came of it where it was applied first. */
struct sim_effect {
    struct sim_ask ask;
    uint64_t index;
    uint64_t term;
    uint64_t applied_us; /* 0: nowhere (yet) */
    struct sim_answer result;
};

struct sim_clients {
    struct sim_client all[SIM_CLIENTS];
    uint64_t known[SIM_CLIENT_KEYS]; /* the latest value that some client saw */
    struct lin_history history;
    struct sim_effect *effects; /* in the order in which they were appended */
    uint32_t effects_count;
    uint32_t effects_cap;
    uint64_t serial_last;
    uint64_t value_last;
    uint64_t read_id_last;
    uint64_t answered;
    uint64_t unknown;
    uint64_t answered_invoke_us; /* when the latest answered operation was asked for */
};

/* --- sim_client.c ----------------------------------------------------------------------------- */

void sim_clients_start(struct sim *sim);
void sim_clients_deinit(struct sim *sim);
/* A client's clock: to begin an operation, or to give up on one. */
void sim_client_timer(struct sim *sim, uint64_t number);
void sim_client_answer(struct sim *sim, const struct sim_answer *answer);
/* A leader has appended what `ask` wants. */
void sim_client_appended(struct sim *sim, const struct sim_ask *ask, uint64_t index, uint64_t term);
/* Linearizable, or sim_fail. As the clients saw it; only where too many outcomes stay open for a
 * decision, the members are asked which of them took effect, and when at the latest. */
void sim_clients_judge(struct sim *sim);

/* --- sim_ask.c: as operations of the store. Keys are "c0" …, before what sim_keys.c writes ------
 */

void sim_ask_encode(const struct sim_ask *ask, struct buf *batch);
struct sim_answer sim_ask_decode(const struct sim_ask *ask,
                                 const struct command_result *result,
                                 struct slice replies);
/* What the key has now; LIN_ABSENT if there is no such key. */
uint64_t sim_ask_value(const struct tables *tables, uint32_t key_number);

/* --- sim_serve.c: a member's side ------------------------------------------------------------- */

void sim_serve_ask(struct sim *sim, struct sim_member *member, const struct sim_ask *ask);
/* Another member wants an index; the leader's answer to such a question. */
void sim_serve_index_asked(struct sim *sim, struct sim_member *member, const struct sim_index *ask);
void sim_serve_index(struct sim *sim, struct sim_member *member, const struct sim_index *answer);
/* The leader's own log has taken this batch. */
void sim_serve_appended(struct sim *sim,
                        struct sim_member *member,
                        const struct raft_entry *entry,
                        struct slice batch);
/* What came of an entry, at whoever applies it. */
void sim_serve_effect(struct sim *sim, const struct applier_result *result);
/* Its door: while its core is there. */
void sim_serve_open(struct sim_member *member);
void sim_serve_close(struct sim_member *member);
/* Nobody is answered any more. */
void sim_serve_drop(struct sim_member *member);

#endif
