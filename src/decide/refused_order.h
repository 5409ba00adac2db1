/* SPDX-License-Identifier: Apache-2.0 */
/* The last order of a shard that was refused at apply. Each refusal is a leaf of the ledger for
 * ever, and the record that refused it stays the same until the shard's view changes: so the same
 * order is proposed again after growing pauses only. Pure; owned by the controller. */
#ifndef INDABA_DECIDE_REFUSED_ORDER_H
#define INDABA_DECIDE_REFUSED_ORDER_H

#include "state/command.h"

enum {
    REFUSED_MS_MIN = 250,
    REFUSED_SAME_MS_MAX = 30000, /* before the very same order */
    REFUSED_KIND_MS_MAX = 2000,  /* before another one of its kind: another candidate, say */
};

struct refused_order {
    uint32_t count; /* in a row, of this kind; 0: none */
    enum command_kind kind;
    uint64_t print;
    uint64_t at_ms;
    char text[TEXT_SIZE];
};

/* What an order says, without its words and times, so that two of them can be compared. */
uint64_t order_print(const struct command *command);

void refused_order_note(struct refused_order *refused,
                        enum command_kind kind,
                        uint64_t print,
                        uint64_t now_ms);
void refused_order_forget(struct refused_order *refused);

/* True while `command` has to wait. */
bool refused_order_holds(const struct refused_order *refused,
                         const struct command *command,
                         uint64_t now_ms);

#endif
