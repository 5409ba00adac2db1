/* SPDX-License-Identifier: Apache-2.0 */
/* Messages carry the sender's current term, those of pre-vote too: what a pre-candidate asks is
 * "would you vote for me in the term after mine?". A vote is a promise about the disk, so it is
 * told only when durable, and a candidate wins only when its own is. The requests themselves may
 * leave while our vote is being written: they promise nothing. */
#include "raft/election.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/become.h"
#include "raft/evidence.h"
#include "raft/membership.h"
#include "raft/quorum.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/snapshot_receive.h"
#include "raft/timers.h"
#include "raft/trace.h"

#include <inttypes.h>

static bool may_campaign(const struct raft *raft);
static void start_pre_vote(struct raft *raft);
static void start_vote(struct raft *raft, bool disrupt);
static void ask_voters(struct raft *raft, bool pre_vote);
static void count_grant(struct raft *raft, struct member_id from);
static bool has_won(const struct raft *raft);
static bool is_sole_voter(const struct raft *raft);
static bool is_up_to_date(const struct raft *raft, const struct raft_request_vote *request);
static bool may_vote_for(const struct raft *raft, struct member_id candidate);
static void answer(struct raft *raft, struct member_id to, bool granted, bool pre_vote);

void election_init(struct raft *raft)
{
    CHECK(raft->role == RAFT_FOLLOWER);
    if (is_sole_voter(raft)) {
        raft->election_deadline_ms = raft->now_ms;
    } else {
        election_restart_timer(raft);
    }
}

void election_restart_timer(struct raft *raft)
{
    uint64_t base = timers_election_ms(raft);
    CHECK(base > 0);
    if (raft->challenge) {
        /* Nobody leads and everybody knows: after a split vote wait a few round trips only. */
        base = 2 * (uint64_t)timers_heartbeat_ms(raft);
    }
    raft->election_deadline_ms = raft->now_ms + base + prng_below(&raft->prng, base);
    CHECK(raft->election_deadline_ms > raft->now_ms);
}

void election_tick(struct raft *raft)
{
    if (raft->role == RAFT_LEADER || raft->now_ms < raft->election_deadline_ms) {
        return;
    }
    CHECK(raft->role != RAFT_LEADER);
    if (!may_campaign(raft)) {
        raft->leader = (struct member_id){0};
        election_restart_timer(raft);
        return;
    }
    start_pre_vote(raft);
}

void election_take_over(struct raft *raft)
{
    CHECK(raft->role == RAFT_FOLLOWER);
    if (!may_campaign(raft)) {
        MARK("raft.takeover_refused");
        trace_line(raft, "cannot take over: no voter, or behind");
        return;
    }
    start_vote(raft, true);
}

bool election_is_sticky(const struct raft *raft, const struct raft_message *request)
{
    CHECK(request->type == RAFT_REQUEST_VOTE);
    if (request->request_vote.disrupt) {
        return false;
    }
    if (raft->role == RAFT_LEADER) {
        /* Still heard by a quorum, or check-quorum would have ended its office. */
        return true;
    }
    return !member_id_is_none(raft->leader) &&
           raft->now_ms < raft->heard_leader_ms + timers_election_ms(raft);
}

void election_on_request(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->term == raft->term);
    const struct raft_request_vote *asked = &request->request_vote;
    if (!is_up_to_date(raft, asked) || election_is_sticky(raft, request)) {
        election_refuse(raft, request);
        return;
    }
    if (asked->pre_vote) {
        MARK("raft.pre_vote_granted");
        trace_line(raft, "would vote for %s", trace_id(request->from).text);
        answer(raft, request->from, true, true);
        return;
    }
    if (!may_vote_for(raft, request->from)) {
        election_refuse(raft, request);
        return;
    }
    CHECK(raft->role == RAFT_FOLLOWER || raft->role == RAFT_PRE_CANDIDATE);
    if (raft->role == RAFT_PRE_CANDIDATE) {
        become_follower(raft, raft->term);
    }
    MARK("raft.vote_granted");
    trace_line(raft, "votes for %s in term %" PRIu64, trace_id(request->from).text, raft->term);
    become_voter_of(raft, request->from);
    election_restart_timer(raft);
    raft->vote_owed = request->from;
    election_on_durable(raft);
}

void election_refuse(struct raft *raft, const struct raft_message *request)
{
    CHECK(request->type == RAFT_REQUEST_VOTE);
    trace_line(raft,
               "refuses %s to %s (its term %" PRIu64 ", ours %" PRIu64 ")",
               request->request_vote.pre_vote ? "pre-vote" : "vote",
               trace_id(request->from).text,
               request->term,
               raft->term);
    answer(raft, request->from, false, request->request_vote.pre_vote);
}

void election_on_result(struct raft *raft, const struct raft_message *result)
{
    CHECK(result->term == raft->term);
    bool pre_vote = result->request_vote_result.pre_vote;
    enum raft_role asking = pre_vote ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;
    if (raft->role != asking || !result->request_vote_result.granted) {
        return;
    }
    count_grant(raft, result->from);
    if (!has_won(raft)) {
        return;
    }
    if (pre_vote) {
        start_vote(raft, false);
    } else {
        become_leader(raft);
        replicate_start(raft);
    }
}

void election_on_durable(struct raft *raft)
{
    struct member_id owed = raft->vote_owed;
    if (!member_id_is_none(owed) && durable_has_vote(&raft->durable, raft->term, owed)) {
        CHECK(member_id_equal(raft->vote, owed));
        raft->vote_owed = (struct member_id){0};
        answer(raft, owed, true, false);
    }
    if (raft->role == RAFT_CANDIDATE &&
        durable_has_vote(&raft->durable, raft->term, raft->options.self)) {
        CHECK(member_id_equal(raft->vote, raft->options.self));
        count_grant(raft, raft->options.self);
        if (has_won(raft)) {
            become_leader(raft);
            replicate_start(raft);
        }
    }
}

bool election_heard_leader(struct raft *raft, struct member_id leader)
{
    if (raft->role == RAFT_LEADER ||
        (!member_id_is_none(raft->term_leader) && !member_id_equal(raft->term_leader, leader))) {
        /* Two leaders in one term: one of them is forged or broken, and we follow neither anew. */
        MARK("raft.two_leaders_in_a_term");
        trace_line(raft, "%s also claims term %" PRIu64, trace_id(leader).text, raft->term);
        return false;
    }
    raft->term_leader = leader;
    if (raft->role == RAFT_CANDIDATE) {
        become_follower(raft, raft->term);
    }
    if (evidence_against(raft, leader)) {
        /* What a dead leader still had on the way: good entries, but no sign of life. A challenge
         * goes on. */
        return true;
    }
    if (raft->role == RAFT_PRE_CANDIDATE) {
        become_follower(raft, raft->term);
    }
    if (!member_id_equal(raft->leader, leader)) {
        trace_line(raft, "follows %s in term %" PRIu64, trace_id(leader).text, raft->term);
    }
    raft->leader = leader;
    raft->challenge = false;
    raft->heard_leader_ms = raft->now_ms;
    election_restart_timer(raft);
    CHECK(raft->role == RAFT_FOLLOWER);
    return true;
}

static bool may_campaign(const struct raft *raft)
{
    const struct log_view *log = &raft->log;
    if (raft->may_not_lead || snapshot_receive_is_installing(raft)) {
        return false;
    }
    /* Who leaves by a configuration that may not be committed yet may be the only one who has it,
     * and too far ahead to vote for anybody: it must lead once more (thesis, 4.2.2). Several may
     * lie above what is committed (a relief follows any), so all count, and the one in force there.
     */
    for (uint32_t i = log->configurations_count; i > 0; i--) {
        const struct log_configuration *at = &log->configurations[i - 1];
        if (membership_is_voter(&at->configuration, raft->options.self)) {
            return true;
        }
        if (at->index <= raft->commit) {
            return false;
        }
    }
    return false;
}

static void start_pre_vote(struct raft *raft)
{
    /* Under evidence of death the next round comes sooner than a far voter can answer: what it
     * granted to the round before still counts. */
    bool again = raft->role == RAFT_PRE_CANDIDATE && raft->challenge;
    become_pre_candidate(raft);
    if (!again) {
        raft->granted_count = 0;
    }
    election_restart_timer(raft);
    if (raft->challenge) {
        raft->election_deadline_ms = raft->now_ms + evidence_retry_ms(raft);
    }
    count_grant(raft, raft->options.self);
    if (has_won(raft)) {
        start_vote(raft, false);
        return;
    }
    ask_voters(raft, true);
}

static void start_vote(struct raft *raft, bool disrupt)
{
    become_candidate(raft);
    raft->granted_count = 0;
    raft->disrupt = disrupt;
    election_restart_timer(raft);
    ask_voters(raft, false);
    CHECK(raft->role == RAFT_CANDIDATE);
}

static void ask_voters(struct raft *raft, bool pre_vote)
{
    const struct raft_configuration *configuration = log_view_configuration(&raft->log);
    uint64_t last_index = raft->durable.index;
    CHECK(last_index <= log_view_last_index(&raft->log));
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        bool votes = server->voter || server->voter_old;
        if (!votes || member_id_equal(server->id, raft->options.self)) {
            continue;
        }
        struct raft_message *message = outbox_add(raft, RAFT_REQUEST_VOTE, server->id);
        message->request_vote = (struct raft_request_vote){
            .last_index = last_index,
            .last_term = log_view_term(&raft->log, last_index),
            .pre_vote = pre_vote,
            .disrupt = !pre_vote && raft->disrupt,
        };
    }
}

static void count_grant(struct raft *raft, struct member_id from)
{
    for (uint32_t i = 0; i < raft->granted_count; i++) {
        if (member_id_equal(raft->granted_by[i], from)) {
            return;
        }
    }
    /* Only servers of the configuration count, so no more of them need be remembered. */
    if (membership_find(log_view_configuration(&raft->log), from) != NULL &&
        raft->granted_count < RAFT_SERVERS_MAX) {
        raft->granted_by[raft->granted_count] = from;
        raft->granted_count++;
    }
}

static bool has_won(const struct raft *raft)
{
    const struct raft_configuration *configuration = log_view_configuration(&raft->log);
    bool yes[RAFT_SERVERS_MAX] = {false};
    for (uint32_t i = 0; i < configuration->count; i++) {
        for (uint32_t j = 0; j < raft->granted_count; j++) {
            yes[i] = yes[i] || member_id_equal(configuration->servers[i].id, raft->granted_by[j]);
        }
    }
    /* become_leader says why our own vote must be on disk, majority or not. */
    bool own = raft->role != RAFT_CANDIDATE ||
               durable_has_vote(&raft->durable, raft->term, raft->options.self);
    return own && quorum_has(configuration, yes) && !snapshot_receive_is_installing(raft);
}

static bool is_sole_voter(const struct raft *raft)
{
    const struct raft_configuration *configuration = log_view_configuration(&raft->log);
    bool yes[RAFT_SERVERS_MAX] = {false};
    for (uint32_t i = 0; i < configuration->count; i++) {
        yes[i] = member_id_equal(configuration->servers[i].id, raft->options.self);
    }
    return quorum_has(configuration, yes);
}

static bool is_up_to_date(const struct raft *raft, const struct raft_request_vote *request)
{
    /* Section 5.4.1: the later term wins, then the longer log. Only durable entries count on our
     * side too, for only they were ever acknowledged; counting the others would let slow disks
     * refuse each other for as long as they lag. */
    uint64_t last_index = raft->durable.index;
    uint64_t last_term = log_view_term(&raft->log, last_index);
    if (request->last_term != last_term) {
        return request->last_term > last_term;
    }
    return request->last_index >= last_index;
}

static bool may_vote_for(const struct raft *raft, struct member_id candidate)
{
    if (!member_id_is_none(raft->vote)) {
        return member_id_equal(raft->vote, candidate);
    }
    return member_id_is_none(raft->term_leader);
}

static void answer(struct raft *raft, struct member_id to, bool granted, bool pre_vote)
{
    struct raft_message *message = outbox_add(raft, RAFT_REQUEST_VOTE_RESULT, to);
    message->request_vote_result =
        (struct raft_request_vote_result){.granted = granted, .pre_vote = pre_vote};
}
