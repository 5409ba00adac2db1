/* SPDX-License-Identifier: Apache-2.0 */
/* The reckoning of leases: a renewal is a linearizable read (safety.md 4). A renewal that arrives
 * waits for a leadership confirmation begun after its arrival (one Raft read for all that arrived
 * meanwhile), then for the applied state to reach that index, and is granted only if in that state
 * the lease of (instance, epoch) is open and this leader has not proposed its close. Also tells
 * when a closed lease has ended, by this member's own clock: every member keeps its sightings of
 * closes, leader or not, so that a change of leader does not start the wait anew.
 *
 * Pure: no libuv, clock or I/O; times are the member's monotonic milliseconds. One thread. */
#ifndef INDABA_DECIDE_LEASES_H
#define INDABA_DECIDE_LEASES_H

#include "model/report.h"

struct leases;

struct leases *leases_new(void);
void leases_free(struct leases *leases);

/* L in force, replicated. The longest ever seen is what a wait counts with. */
void leases_set_duration(struct leases *leases, uint32_t lease_ms);

void leases_elected(struct leases *leases, uint64_t now_ms);
/* Drops all renewals that wait; they are never answered. */
void leases_stepped_down(struct leases *leases);

/* The shard as of a newly applied entry, on every member, in order. Notes closes seen. */
void leases_view_changed(struct leases *leases, const struct shard_view *view, uint64_t now_ms);
/* Everything up to `index` was given to leases_view_changed. */
void leases_applied(struct leases *leases, uint64_t index);

/* A failover.begin for the shard is about to be proposed: from now on this office answers no
 * renewal of `epoch` or lower. Call it before the proposal leaves. */
void leases_close_proposed(struct leases *leases, struct shard_id shard, struct epoch epoch);

/* A renewal arrived over `session`. A newer one of the same instance replaces one that waits. */
void leases_renewal(struct leases *leases,
                    struct shard_id shard,
                    struct instance_id instance,
                    uint64_t session,
                    const struct renewal *renewal);

/* True if a Raft read should be asked for now, for all renewals that wait without one. At most one
 * read is under way and one is gathering. */
bool leases_next_read(struct leases *leases, uint64_t *read_id_out);
/* The read came back. Not confirmed: its renewals are refused. */
void leases_read_ready(struct leases *leases, uint64_t read_id, uint64_t index, bool confirmed);

struct lease_answer {
    uint64_t session;
    struct shard_id shard;
    struct instance_id instance;
    struct renewal_answer answer;
};

/* The next answer to send, false if none. `now_ms` is noted as the time of the last grant, so the
 * answer must be sent at once or not at all. */
bool leases_next_answer(struct leases *leases, uint64_t now_ms, struct lease_answer *answer_out);

/* Leader only: has the closed lease of the shard's primary ended? False while it is open in the
 * applied state; true if the shard never had one. */
bool leases_ended(const struct leases *leases, struct shard_id shard, uint64_t now_ms);

/* For status: milliseconds until leases_ended, 0 if ended, UINT64_MAX if it is not closed. */
uint64_t leases_remaining_ms(const struct leases *leases, struct shard_id shard, uint64_t now_ms);

struct leases_counts {
    uint64_t granted;
    uint64_t refused;
};

struct leases_counts leases_counts(const struct leases *leases);

#endif
