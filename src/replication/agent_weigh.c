/* SPDX-License-Identifier: Apache-2.0 */
/* What coordinators answered is weighed: who is put on record, which leader is heard, which goal is
 * taken (speakers.h has the rules). What the record says counts once it is durable. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "replication/agent_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    TELL_AGAIN_MS = 10000,
    DOUBT_ROUNDS_MAX = 6, /* then the leader whose goal nobody bears out is left for another */
};

static bool is_saving(const struct agent *agent);
static void learn(struct agent *agent);
static void weigh_welcome(struct agent *agent);
static bool is_borne_out(const struct agent *agent);
static void weigh_goal(struct agent *agent);
static bool is_time_to_tell(struct agent *agent);
static void tell_contradicted(struct agent *agent, const struct wire_welcome *welcome);
static void tell_unknown(struct agent *agent, const struct wire_welcome *welcome);

/* Those who are dead need not be waited for once the others have said enough. */
void agent_weigh_early(struct agent *agent)
{
    const struct wire_welcome *welcome = &agent->waiting_welcome;
    if (agent->has_waiting_welcome && welcome->cluster_epoch <= agent->turn.state.cluster_epoch) {
        learn(agent);
        if (speakers_know(&agent->speakers, welcome->member, welcome->leader)) {
            weigh_welcome(agent);
        }
    } else if (!agent->has_waiting_welcome && agent->has_waiting_goal && is_borne_out(agent)) {
        weigh_goal(agent);
    }
}

void agent_weigh_round(struct agent *agent)
{
    learn(agent);
    agent_weigh(agent);
}

void agent_weigh(struct agent *agent)
{
    struct speaker candidates[SPEAKERS_MAX];
    if (agent->has_waiting_welcome) {
        weigh_welcome(agent);
    } else if (agent->has_waiting_goal) {
        weigh_goal(agent);
    }
    /* Whoever was named now answers for itself at once. */
    uint32_t named = speakers_candidates(&agent->speakers, &agent->round, candidates);
    agent->ask_ms = named > agent->candidates ? 0 : agent->ask_ms;
    agent->candidates = named;
}

/* After a failure the next round comes to the same, and tries to write it again. */
void agent_speakers_saved(struct agent *agent, enum error error)
{
    if (agent->closing || error != ERR_OK) {
        return;
    }
    for (uint32_t i = 0; i < agent->speakers.count && agent->learned; i++) {
        log_event(LOG_INFO,
                  "members.known",
                  "name=%s address=%s",
                  agent->speakers.items[i].name,
                  agent->speakers.items[i].api_address);
    }
    agent->learned = false;
    if (agent->questions == 0) {
        agent_weigh(agent);
    } else {
        agent_weigh_early(agent);
    }
}

static bool is_saving(const struct agent *agent)
{
    return !kept_file_is_idle(agent->speakers_file);
}

static void learn(struct agent *agent)
{
    struct speakers next = agent->speakers;
    if (speakers_learn(&next, &agent->round)) {
        agent->learned = true;
        agent_keep_speakers(agent, &next);
    }
}

static void weigh_welcome(struct agent *agent)
{
    const struct wire_welcome welcome = agent->waiting_welcome;
    if (agent->welcome_heard) {
        return;
    }
    if (!speakers_know(&agent->speakers, welcome.member, welcome.leader)) {
        if (!is_saving(agent)) {
            tell_unknown(agent, &welcome);
        }
        return;
    }
    if (welcome.cluster_epoch > agent->turn.state.cluster_epoch) {
        if (!speakers_follow(
                &agent->speakers, &agent->round, welcome.leader, welcome.cluster_epoch)) {
            tell_contradicted(agent, &welcome);
            return;
        }
        struct speakers next = agent->speakers;
        speakers_keep_only(&next, welcome.leader);
        if (next.count != agent->speakers.count) {
            agent_keep_speakers(agent, &next);
            return;
        }
    }
    agent_welcome(agent, &welcome);
}

bool agent_goes_alone(const struct agent *agent, const struct goal *goal)
{
    const struct keeper_state *state = &agent->turn.state;
    return !speakers_must_confirm(&agent->speakers, state->epoch, state->cluster_epoch, goal);
}

static bool is_borne_out(const struct agent *agent)
{
    const struct goal *goal = &agent->waiting_goal;
    return agent_goes_alone(agent, goal) ||
           speakers_confirm(&agent->speakers, &agent->round, agent->leader, goal);
}

static void weigh_goal(struct agent *agent)
{
    const struct goal goal = agent->waiting_goal;
    if (is_borne_out(agent)) {
        if (agent->speakers.mode != goal.mode) {
            struct speakers next = agent->speakers;
            next.mode = goal.mode;
            agent_keep_speakers(agent, &next);
            return;
        }
        agent->has_waiting_goal = false;
        agent_take_goal(agent, &goal);
        return;
    }
    if (is_time_to_tell(agent)) {
        log_event(LOG_ERROR,
                  "goal.not_confirmed",
                  "leader=%s epoch=%" PRIu64 " obeyed_epoch=%" PRIu64 " answers=%" PRIu32
                  " hint=%s",
                  log_quote(agent->leader),
                  goal.epoch.value,
                  agent->turn.state.epoch.value,
                  agent->round.count,
                  log_quote("it weakens the shard's mode or jumps far ahead, and no second member "
                            "bears it out: it waits for one"));
    }
    agent->doubts++;
    if (agent->doubts >= DOUBT_ROUNDS_MAX) {
        client_session_move(agent->session, false, "no other member bears its goal out");
    }
}

static void tell_contradicted(struct agent *agent, const struct wire_welcome *welcome)
{
    if (is_time_to_tell(agent)) {
        log_event(LOG_ERROR,
                  "session.recovery_contradicted",
                  "leader=%s cluster_epoch=%" PRIu32 " hint=%s",
                  log_quote(welcome->leader),
                  welcome->cluster_epoch,
                  log_quote("it says that the cluster was recovered by force, and most "
                            "members that are known here run and know nothing of it"));
    }
}

static bool is_time_to_tell(struct agent *agent)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (agent->doubt_told_ms != 0 && now_ms - agent->doubt_told_ms < TELL_AGAIN_MS) {
        return false;
    }
    agent->doubt_told_ms = now_ms;
    return true;
}

static void tell_unknown(struct agent *agent, const struct wire_welcome *welcome)
{
    if (is_time_to_tell(agent)) {
        char hint[SIDECAR_PATH_SIZE + TEXT_SIZE];
        char id[ID128_TEXT_SIZE];
        (void)snprintf(hint,
                       sizeof(hint),
                       "it is not obeyed: no member that is known here names it. If all of those "
                       "are lost, correct cluster.members, remove %s and start this sidecar again",
                       agent->members_path);
        log_event(LOG_ERROR,
                  "session.unknown_member",
                  "leader=%s id=%s address=%s known=%" PRIu32 " answers=%" PRIu32 " hint=%s",
                  log_quote(welcome->leader),
                  id128_format(welcome->member.hi, welcome->member.lo, id),
                  client_session_address(agent->session),
                  agent->speakers.count,
                  agent->round.count,
                  log_quote(hint));
    }
    agent_speakers_lost(agent);
    client_session_move(agent->session, false, "no member that is known here names it");
}
