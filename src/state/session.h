/* SPDX-License-Identifier: Apache-2.0 */
/* Requests at most once: the result of each request id is stored, so that a retry gets the first
 * answer and changes nothing. Bounded: the oldest are evicted, and a request that could be one of
 * the evicted (by the clock in its id) is refused as "outcome unknown" instead of being done again.
 */
#ifndef INDABA_STATE_SESSION_H
#define INDABA_STATE_SESSION_H

#include "state/change.h"
#include "state/command.h"

enum {
    SESSION_REPLIES_MAX = 65536
};

enum session_verdict {
    SESSION_NEW,     /* not seen: do it, then session_store */
    SESSION_KNOWN,   /* done before: *result_out is the first answer */
    SESSION_EXPIRED, /* may have been done and forgotten */
};

enum session_verdict session_look_up(const struct tables *tables,
                                     struct request_id request,
                                     struct command_result *result_out);

/* Stores the answer and evicts what is beyond `replies_max`. */
void session_store(struct change *change,
                   struct request_id request,
                   const struct command_result *result,
                   uint32_t replies_max);

#endif
