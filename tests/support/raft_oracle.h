/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold in any run of a cluster, however it fails (figure 3 of the Raft paper, and reads):
 * a violation ends the program with a CHECK. It sees everything, across crashes:
 *   - election safety: at most one leader in a term; nobody votes twice in a term;
 *   - leader completeness: a new leader holds every entry that was committed in earlier terms;
 *   - state machine safety: what is committed at an index never differs;
 *   - durability: what anybody takes as committed is on a majority of platters;
 *   - log matching: logs that agree at an entry agree before it;
 *   - linearizable reads: a read's index covers all that was committed when it was asked. */
#ifndef INDABA_TESTS_SUPPORT_RAFT_ORACLE_H
#define INDABA_TESTS_SUPPORT_RAFT_ORACLE_H

#include "raft/raft.h"
#include "tests/support/sim_net.h"

struct raft_oracle_entry {
    uint64_t term;
    uint64_t digest;   /* of kind and payload */
    uint64_t known_in; /* the term of the first node that took it as committed */
};

struct raft_oracle_term {
    uint32_t leader;
    uint32_t votes[SIM_NODES_MAX + 1]; /* whom each node voted for */
};

struct raft_oracle {
    struct raft_oracle_entry *committed; /* [i] is index i + 1 */
    uint64_t committed_count;
    uint64_t committed_cap;
    struct raft_oracle_term *terms;
    uint64_t terms_count;
};

void raft_oracle_deinit(struct raft_oracle *oracle);
/* Node `node` leads `term` with this log. */
void raft_oracle_leader(struct raft_oracle *oracle,
                        uint32_t node,
                        uint64_t term,
                        const struct raft *raft);
void raft_oracle_vote(struct raft_oracle *oracle, uint32_t node, uint64_t term, uint32_t candidate);
/* A node in `term` takes this entry as committed. True if it is the first to do so. */
bool raft_oracle_commit(struct raft_oracle *oracle, uint64_t term, const struct raft_entry *entry);
/* True if those servers that hold an entry are a majority of each voting set, and of as many
 * regions as the rules ask for. */
bool raft_oracle_is_held(const struct raft_configuration *configuration, const bool *holds);
/* Logs of two nodes, as far as both hold them. */
void raft_oracle_match_logs(const struct raft *a, const struct raft *b);
/* A read that was asked when `committed_before` entries were committed may be served from `index`.
 */
void raft_oracle_read(uint64_t committed_before, uint64_t index);

#endif
