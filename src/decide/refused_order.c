/* SPDX-License-Identifier: Apache-2.0 */
/* See decide/refused_order.h. */
#include "decide/refused_order.h"

#include "base/hash.h"

#include <string.h>

enum {
    DOUBLINGS_MAX = 7, /* 250 ms to 32 s */
};

static uint64_t pause_ms(const struct refused_order *refused, uint64_t max_ms);

uint64_t order_print(const struct command *command)
{
    uint64_t seed = (uint64_t)command->kind;

    if (command_kind_body(command->kind) == COMMAND_BODY_FAILOVER) {
        /* Behind it are only when it was seen, and words about it. */
        return hash_xxh3(
            &command->failover, offsetof(struct command_failover, detected_wall_ms), seed);
    }
    return hash_xxh3((const char *)command + offsetof(struct command, failover),
                     sizeof(*command) - offsetof(struct command, failover),
                     seed);
}

void refused_order_note(struct refused_order *refused,
                        enum command_kind kind,
                        uint64_t print,
                        uint64_t now_ms)
{
    bool again = refused->count > 0 && refused->kind == kind;

    refused->count = again ? refused->count + 1 : 1;
    refused->kind = kind;
    refused->print = print;
    refused->at_ms = now_ms;
}

void refused_order_forget(struct refused_order *refused)
{
    memset(refused, 0, sizeof(*refused));
}

bool refused_order_holds(const struct refused_order *refused,
                         const struct command *command,
                         uint64_t now_ms)
{
    if (refused->count == 0 || refused->kind != command->kind) {
        return false;
    }
    bool same = refused->print == order_print(command);
    return now_ms - refused->at_ms <
           pause_ms(refused, same ? REFUSED_SAME_MS_MAX : REFUSED_KIND_MS_MAX);
}

static uint64_t pause_ms(const struct refused_order *refused, uint64_t max_ms)
{
    uint32_t doublings = refused->count - 1 < DOUBLINGS_MAX ? refused->count - 1 : DOUBLINGS_MAX;
    uint64_t pause = (uint64_t)REFUSED_MS_MIN << doublings;

    return pause < max_ms ? pause : max_ms;
}
