/* SPDX-License-Identifier: Apache-2.0 */
/* etcd's operations on a member whose core the test plays: what is asked of it is kept, and
 * answered when the test says so. After each step, what must hold is looked at. */
#ifndef INDABA_TESTS_OPS_WORLD_H
#define INDABA_TESTS_OPS_WORLD_H

#include "etcd/etcd_op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    ASKED_MAX = 64,
    REQUESTS_MAX = 64
};

/* What the core was asked. */
struct asked {
    char what; /* p: proposal, r: read, q: query */
    struct node_port_ticket ticket;
    uint32_t ops; /* of a proposal */
};

/* One client's request. */
struct request {
    struct etcd_op *op; /* until it is done */
    bool done;
    enum etcd_error error;
};

struct world {
    struct etcd etcd;
    struct node_office office;
    struct member leader;
    bool space_is_low;
    struct asked asked[ASKED_MAX];
    uint32_t asked_count;
};

void ops_start(struct world *world);
void ops_stop(struct world *world);
/* Another office begins: this member leads, or nobody is known to. */
void ops_leads(struct world *world, bool leads);
/* What a turn of the loop ends with. */
void ops_turn(struct world *world);
/* A put, or a linearizable range, of a client. */
void ops_put(struct world *world, struct request *request);
void ops_get(struct world *world, struct request *request);
/* The core answers what it was asked as number `at`; a proposal that was applied: one fine reply
 * for each operation. */
void ops_answer(struct world *world, uint32_t at, enum error error);
/* A proposal was applied, and void: its term had ended. */
void ops_answer_void(struct world *world, uint32_t at);

#endif
