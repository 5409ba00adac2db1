/* SPDX-License-Identifier: Apache-2.0 */
/* What every command's handler gets and gives. A handler checks everything first and changes the
 * tables only when nothing can be refused any more. */
#ifndef INDABA_STATE_HANDLER_H
#define INDABA_STATE_HANDLER_H

#include "state/world.h"

struct handler {
    struct change *change;
    const struct command *command;
    struct command_result *result;
    struct shard_id changed; /* the shard whose view changed; none */
    struct buf *replies;     /* kv: as in apply_entry */
    uint32_t ops;            /* kv: operations that the entry brought */
};

/* Sets the result to a refusal: what is wrong, where, what to do. */
__attribute__((format(printf, 3, 4))) void
handler_refuse(struct handler *handler, enum error error, const char *format, ...);

/* One a kind, as COMMAND_TABLE names them; each is in the file of its first word or, of failovers,
 * in failover_record.c, failover_begin.c or failover_decide.c. */
#define X(kind, name, body, run, ...) void run(struct handler *handler);
COMMAND_TABLE(X)
#undef X

/* roster.c: in how many regions there are members wanted as voters, besides the one named (NULL:
 * none). */
uint32_t roster_voter_regions(struct handler *handler, const char *besides);
/* shard.c: with leases of that length. */
bool shard_rpo_fits(const struct shard *shard, uint32_t lease_ms);

/* W of a new pair: what the shard asks for, or as many as there are, and never less than one; more
 * than there are would stop all writes. Refuses otherwise. */
bool handler_required_is_lawful(struct handler *handler,
                                const struct shard *shard,
                                const struct sync_pair *pair);

/* Loads the shard of an order; refuses if there is none. */
bool handler_load_shard(struct handler *handler, struct shard_id id, struct shard_view *view_out);

#endif
