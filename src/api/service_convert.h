/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the state as messages of the public API, in the arena of a call. */
#ifndef INDABA_API_SERVICE_CONVERT_H
#define INDABA_API_SERVICE_CONVERT_H

#include "api/service.h"
#include "indaba/v1/cluster.pb-c.h"
#include "indaba/v1/shards.pb-c.h"
#include "indaba/v1/topology.pb-c.h"

/* "sync", "open", "active"; "unknown" outside the enum. */
const char *convert_shard_mode(enum shard_mode mode);
const char *convert_lease_state(enum lease_state state);
const char *convert_region_state(enum region_state state);
/* And back. ERR_INVALID with the words that are known. */
MUST_CHECK enum error convert_parse_region_state(struct service_call *call,
                                                 const char *text,
                                                 enum region_state *state_out);

Indaba__V1__Region *convert_region(struct service_call *call, const struct region *region);
Indaba__V1__Member *convert_member(struct service_call *call, const struct member *member);
/* On the loop: `status` is the own core's, and what it knows is of this moment. */
void convert_member_status(struct service_call *call,
                           const struct raft_status *status,
                           const struct member *member,
                           Indaba__V1__MemberStatus *to);
/* What a configuration says of a member: "voter", "learner", "entering", "leaving", "". */
const char *convert_core_standing(const struct raft_configuration *configuration,
                                  struct member_id id);
bool convert_is_joint(const struct raft_configuration *configuration);
/* Timers too short for the round trips between members, and what to do; "" if they are not. */
char *convert_timers_note(struct service_call *call, const struct raft_status *status);
Indaba__V1__Settings *convert_settings(struct service_call *call, const struct cluster_info *info);
Indaba__V1__Position *convert_position(struct service_call *call, struct position position);

/* On the loop: with live figures if this member leads and the call is not stale. */
Indaba__V1__Shard *convert_shard(struct service_call *call, const struct shard_view *view);
/* `view` is of the failover's shard: it gives the names. `failover` need not be its last. */
Indaba__V1__Failover *convert_failover(struct service_call *call,
                                       const struct shard_view *view,
                                       const struct failover *failover);

/* Fills an array of the arena: converts each of call->views. */
Indaba__V1__Shard **convert_shards(struct service_call *call);

#endif
