/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen of terms, votes and commits, and the comparison of each new sight with it. */
#include "tests/support/raft_oracle.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

static struct raft_oracle_term *term_of(struct raft_oracle *oracle, uint64_t term);
static uint64_t digest_of(const struct raft_entry *entry);

void raft_oracle_deinit(struct raft_oracle *oracle)
{
    mem_free(oracle->committed);
    mem_free(oracle->terms);
    *oracle = (struct raft_oracle){0};
}

void raft_oracle_leader(struct raft_oracle *oracle,
                        uint32_t node,
                        uint64_t term,
                        const struct raft *raft)
{
    struct raft_oracle_term *record = term_of(oracle, term);
    if (record->leader == node) {
        return;
    }
    CHECK(record->leader == 0);
    record->leader = node;
    /* A candidate's request is no vote yet: only with its own vote on disk does it lead. */
    raft_oracle_vote(oracle, node, term, node);
    struct raft_status status;
    raft_status(raft, &status);
    /* What it forgot is in its snapshot, which is checked when it is installed. */
    for (uint64_t i = status.first_index - 1; i < oracle->committed_count; i++) {
        if (oracle->committed[i].known_in >= term) {
            /* A candidate that slept may still win an old term; nothing of it can be committed. */
            continue;
        }
        const struct raft_entry *entry = raft_entry_at(raft, i + 1);
        CHECK(entry != NULL);
        CHECK(entry->term == oracle->committed[i].term);
        CHECK(digest_of(entry) == oracle->committed[i].digest);
    }
}

void raft_oracle_vote(struct raft_oracle *oracle, uint32_t node, uint64_t term, uint32_t candidate)
{
    CHECK(node <= SIM_NODES_MAX);
    uint32_t *vote = &term_of(oracle, term)->votes[node];
    CHECK(*vote == 0 || *vote == candidate);
    *vote = candidate;
}

bool raft_oracle_commit(struct raft_oracle *oracle, uint64_t term, const struct raft_entry *entry)
{
    struct raft_oracle_entry seen = {
        .term = entry->term, .digest = digest_of(entry), .known_in = term};
    if (entry->index <= oracle->committed_count) {
        const struct raft_oracle_entry *known = &oracle->committed[entry->index - 1];
        CHECK(known->term == seen.term);
        CHECK(known->digest == seen.digest);
        return false;
    }
    CHECK(entry->index == oracle->committed_count + 1);
    if (oracle->committed_count == oracle->committed_cap) {
        oracle->committed_cap = oracle->committed_cap == 0 ? 256 : oracle->committed_cap * 2;
        oracle->committed =
            mem_resize(oracle->committed, oracle->committed_cap * sizeof(*oracle->committed));
    }
    oracle->committed[oracle->committed_count] = seen;
    oracle->committed_count++;
    return true;
}

bool raft_oracle_is_held(const struct raft_configuration *configuration, const bool *holds)
{
    uint32_t voters[2] = {0};
    uint32_t holders[2] = {0};
    uint32_t regions = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        voters[0] += server->voter ? 1 : 0;
        voters[1] += server->voter_old ? 1 : 0;
        holders[0] += server->voter && holds[i] ? 1 : 0;
        holders[1] += server->voter_old && holds[i] ? 1 : 0;
        bool first_of_region = server->voter && holds[i] && server->region != 0;
        for (uint32_t j = 0; j < i; j++) {
            const struct raft_server *before = &configuration->servers[j];
            first_of_region =
                first_of_region && !(before->voter && holds[j] && before->region == server->region);
        }
        regions += first_of_region ? 1 : 0;
    }
    return holders[0] > voters[0] / 2 && (voters[1] == 0 || holders[1] > voters[1] / 2) &&
           (configuration->rules.commit_regions_min <= 1 ||
            regions >= configuration->rules.commit_regions_min);
}

void raft_oracle_match_logs(const struct raft *a, const struct raft *b)
{
    struct raft_status status_a;
    struct raft_status status_b;
    raft_status(a, &status_a);
    raft_status(b, &status_b);
    uint64_t index =
        status_a.last_index < status_b.last_index ? status_a.last_index : status_b.last_index;
    bool agreed = false;
    for (; index > 0; index--) {
        const struct raft_entry *entry_a = raft_entry_at(a, index);
        const struct raft_entry *entry_b = raft_entry_at(b, index);
        if (entry_a == NULL || entry_b == NULL) {
            break;
        }
        bool same = entry_a->term == entry_b->term;
        CHECK(!same || digest_of(entry_a) == digest_of(entry_b));
        CHECK(!agreed || same);
        agreed = agreed || same;
    }
}

void raft_oracle_read(uint64_t committed_before, uint64_t index)
{
    CHECK(index >= committed_before);
}

static struct raft_oracle_term *term_of(struct raft_oracle *oracle, uint64_t term)
{
    CHECK(term < 1000000);
    if (term >= oracle->terms_count) {
        uint64_t count = term * 2 + 16;
        oracle->terms = mem_resize(oracle->terms, count * sizeof(*oracle->terms));
        memset(oracle->terms + oracle->terms_count,
               0,
               (count - oracle->terms_count) * sizeof(*oracle->terms));
        oracle->terms_count = count;
    }
    return &oracle->terms[term];
}

static uint64_t digest_of(const struct raft_entry *entry)
{
    /* FNV-1a; nobody here is out to collide. */
    uint64_t digest = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)entry->kind;
    struct slice payload = blob_view(entry->payload);
    for (size_t i = 0; i < payload.len; i++) {
        digest = (digest ^ payload.data[i]) * UINT64_C(0x100000001b3);
    }
    return digest;
}
