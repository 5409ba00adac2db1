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

/* topology.c */
void topology_init(struct handler *handler);
void topology_region_put(struct handler *handler);
/* roster.c */
void roster_add(struct handler *handler);
void roster_change(struct handler *handler);
void roster_gone(struct handler *handler);
void roster_level(struct handler *handler);
void roster_vouched(struct handler *handler);
/* In how many regions there are members wanted as voters, besides the one named (NULL: none). */
uint32_t roster_voter_regions(struct handler *handler, const char *besides);
/* settings.c */
void settings_set(struct handler *handler);
void settings_recovered(struct handler *handler);
void settings_confirm(struct handler *handler);
/* shard.c */
void shard_create(struct handler *handler);
/* With leases of that length. */
bool shard_rpo_fits(const struct shard *shard, uint32_t lease_ms);
void shard_freeze(struct handler *handler);
/* instance.c */
void instance_register(struct handler *handler);
void instance_update(struct handler *handler);
/* sync_change.c */
void sync_change_begin(struct handler *handler);
void sync_change_finish(struct handler *handler);
/* sync_lapse.c */
void sync_lapse_begin(struct handler *handler);
void sync_lapse_end(struct handler *handler);
/* failover_record.c, failover_begin.c, failover_decide.c */
void failover_record_request(struct handler *handler);
void failover_record_begin(struct handler *handler);
void failover_record_excluded(struct handler *handler);
void failover_record_completed(struct handler *handler);
void failover_record_decided(struct handler *handler);
void failover_record_promoted(struct handler *handler);
void failover_record_opened(struct handler *handler);
void failover_record_confirmed(struct handler *handler);

/* W of a new pair: what the shard asks for, or as many as there are, and never less than one; more
 * than there are would stop all writes. Refuses otherwise. */
bool handler_required_is_lawful(struct handler *handler,
                                const struct shard *shard,
                                const struct sync_pair *pair);

/* Loads the shard of an order; refuses if there is none. */
bool handler_load_shard(struct handler *handler, struct shard_id id, struct shard_view *view_out);

#endif
