/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's heart: keeps one session with the leader, reports, receives goals, holds the lease,
 * and does one keeper action after the other. Decisions are the keeper's, deeds the driver's, the
 * deadline the guardian's; here they are joined. One loop thread.
 *
 * Order that must hold: the keeper's state is durable before its action is done; a lease counts
 * from the moment its renewal is handed to the socket; its deadline goes to the guardian before
 * anything relies on it. */
#ifndef INDABA_REPLICATION_AGENT_H
#define INDABA_REPLICATION_AGENT_H

#include "base/reason.h"
#include "client/client.h"
#include "config/sidecar_config.h"
#include "replication/engine.h"
#include "replication/instance_dir.h"
#include "replication/lease_holder.h"

struct agent;

struct agent_options {
    const struct sidecar_config *config; /* must outlive the agent */
    struct net *net;
    struct client *client;
    struct engine *engine;
    struct instance_dir *dir;
    const char *state_path;   /* of the keeper's state file; copied */
    const char *members_path; /* of the record of the coordinators; copied */
};

/* Reads the state file and begins. ERR_CORRUPT, ERR_VERSION, ERR_IO of that file, with `reason`:
 * a sidecar that does not know what it promised does nothing. */
MUST_CHECK enum error
agent_new(const struct agent_options *options, struct reason *reason, struct agent **agent_out);
/* Ends the session; database, guardian and a running lease go on. */
void agent_free(struct agent *agent);

/* The driver's or guardian's facts may have changed. */
void agent_changed(struct agent *agent);

/* What the role endpoints and metrics show. */
struct agent_view {
    bool connected; /* welcomed by a leader */
    char leader[NAME_SIZE];
    bool has_goal;
    struct goal goal;
    struct keeper_state state;
    struct keeper_facts facts;
    struct epoch lease_epoch; /* running now */
    uint64_t lease_left_ms;
    const char *action; /* name of what is being done */
    const char *reason;
};

void agent_view(const struct agent *agent, struct agent_view *view_out);

#endif
