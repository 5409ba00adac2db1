/* SPDX-License-Identifier: Apache-2.0 */
/* A core that the test plays: it keeps what it was handed, and answers when the test says so. */
#ifndef INDABA_TESTS_PORT_WORLD_H
#define INDABA_TESTS_PORT_WORLD_H

#include "node/node_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    HANDED_MAX = 256
};

/* What the core was handed, in order. */
struct handed {
    char what; /* q, r, a, p */
    uint64_t index;
    struct node_port_ticket ticket;
};

struct world {
    struct node_port *port;
    struct node_office office;
    struct handed handed[HANDED_MAX];
    uint32_t handed_count;
    uint64_t submitted;
    bool closed;
};

/* It leads, in term 5. */
void begin(struct world *world);
void end(struct world *world);
/* Of what was handed over as number `at`. */
void answer(struct world *world, uint32_t at, enum error error, uint64_t index);

#endif
