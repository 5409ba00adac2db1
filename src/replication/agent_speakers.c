/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's record of the coordinators, and its questions to them. Who leads is welcomed at once
 * if it is on record under its certificate's name and its id, and its goals are taken at once if
 * they follow from what was obeyed. Anything else waits for a round of questions to all that are on
 * record: asynchronous, beside the session, so that no renewal waits for it (speakers.h has the
 * rules). */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/agent_internal.h"
#include "replication/speakers_file.h"
#include "wire/wire_confirm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ASK_TIMEOUT_MS = 1000,
    ASK_AGAIN_MS = 500,     /* while something waits for an answer */
    ASK_REFRESH_MS = 60000, /* while nothing does */
    TELL_AGAIN_MS = 10000,
    DOUBT_ROUNDS_MAX = 6, /* then the leader whose goal nobody bears out is left for another */
};

static const char CONFIRM_PATH[] = "/indaba.v1.Sidecars/Confirm";

/* One question; it outlives the agent only as memory. */
struct agent_question {
    struct agent *agent;
    uint64_t round;
};

static bool speaks_under_its_name(const struct agent *agent, const struct wire_welcome *welcome);
static void begin_round(struct agent *agent);
static void add_speaker(struct agent *agent);
static void ask(struct agent *agent, const char *address);
static void on_answer(const struct client_result *result, void *ctx);
static void take_answer(struct agent *agent, const struct client_result *result);
static void look_early(struct agent *agent);
static void end_round(struct agent *agent);
static void learn(struct agent *agent);
static void weigh_welcome(struct agent *agent);
static void weigh_goal(struct agent *agent);
static void save(struct agent *agent);
static bool is_time_to_tell(struct agent *agent);
static void tell_unknown(struct agent *agent, const struct wire_welcome *welcome);

enum error agent_speakers_load(struct agent *agent, const char *path, char *errmsg)
{
    (void)snprintf(agent->members_path, sizeof(agent->members_path), "%s", path);
    enum error error = speakers_file_load(path, &agent->speakers);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        (void)snprintf(errmsg,
                       SIDECAR_ERROR_SIZE,
                       "%s: %s; remove it, and the members at cluster.members are asked anew",
                       path,
                       error_text(error));
        return error;
    }
    return ERR_OK;
}

/* A certificate proves a name, the record binds an id to it. */
bool agent_hears(struct agent *agent, const struct wire_welcome *welcome)
{
    agent->has_waiting_welcome = false;
    agent->has_waiting_goal = false;
    if (!speaks_under_its_name(agent, welcome)) {
        log_event(LOG_ERROR,
                  "session.wrong_name",
                  "leader=%s certificate=%s address=%s",
                  log_quote(welcome->leader),
                  log_quote(client_session_peer(agent->session)),
                  client_session_address(agent->session));
        client_session_move(agent->session, false, "its certificate is of another name");
        return false;
    }
    if (welcome->cluster_epoch < agent->state.cluster_epoch) {
        return true; /* left behind by a recovery: refused, whoever it is */
    }
    bool known = speakers_know(&agent->speakers, welcome->member, welcome->leader);
    if (known && welcome->cluster_epoch <= agent->state.cluster_epoch) {
        return true;
    }
    agent->waiting_welcome = *welcome;
    agent->has_waiting_welcome = true;
    agent->ask_ms = 0;
    agent_speakers_turn(agent);
    return false;
}

bool agent_heeds(struct agent *agent, const struct goal *goal)
{
    bool waits = agent->has_waiting_welcome;
    if (!waits && !speakers_must_confirm(
                      &agent->speakers, agent->state.epoch, agent->state.cluster_epoch, goal)) {
        if (agent->speakers.mode != goal->mode) {
            agent->speakers.mode = goal->mode;
            save(agent);
        }
        agent->has_waiting_goal = false;
        return true;
    }
    agent->doubts = agent->has_waiting_goal ? agent->doubts : 0;
    agent->waiting_goal = *goal;
    agent->has_waiting_goal = true;
    if (!waits) {
        agent->ask_ms = 0;
        agent_speakers_turn(agent);
    }
    return false;
}

void agent_speakers_lost(struct agent *agent)
{
    agent->has_waiting_welcome = false;
    agent->has_waiting_goal = false;
}

void agent_speakers_turn(struct agent *agent)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool waits = agent->has_waiting_welcome || agent->has_waiting_goal;
    bool may = agent->questions == 0 && (waits || agent->welcomed || agent->speakers.count == 0);
    if (may && now_ms >= agent->ask_ms) {
        agent->ask_ms = now_ms + (waits ? ASK_AGAIN_MS : ASK_REFRESH_MS);
        begin_round(agent);
    }
}

static bool speaks_under_its_name(const struct agent *agent, const struct wire_welcome *welcome)
{
    char path[NAME_SIZE + sizeof("/member/")];
    (void)snprintf(path, sizeof(path), "/member/%s", welcome->leader);
    return strcmp(tls_identity_path(client_session_peer(agent->session)), path) == 0;
}

/* Those on record and those that they named the last time; while nobody is on record, the
 * configured addresses. */
static void begin_round(struct agent *agent)
{
    struct speaker candidates[SPEAKERS_MAX];
    uint32_t count = speakers_candidates(&agent->speakers, &agent->round, candidates);
    const struct sidecar_config *config = agent->options.config;
    memset(&agent->round, 0, sizeof(agent->round));
    agent->round_number++;
    add_speaker(agent);
    for (uint32_t i = 0; i < config->members_count && agent->speakers.count == 0; i++) {
        ask(agent, config->members[i]);
    }
    for (uint32_t i = 0; i < agent->speakers.count; i++) {
        ask(agent, agent->speakers.items[i].api_address);
    }
    for (uint32_t i = 0; i < count && agent->speakers.count > 0; i++) {
        ask(agent, candidates[i].api_address);
    }
}

/* An unknown leader has named itself already, under its certificate: one answer less to wait for.
 */
static void add_speaker(struct agent *agent)
{
    const struct wire_welcome *welcome = &agent->waiting_welcome;
    if (!agent->has_waiting_welcome || agent->speakers.count == 0 ||
        speakers_know(&agent->speakers, welcome->member, welcome->leader)) {
        return;
    }
    struct speakers_answer *answer = mem_new(sizeof(*answer));
    memcpy(answer->from, welcome->leader, sizeof(answer->from));
    answer->cluster_epoch = welcome->cluster_epoch;
    answer->members_count = 1;
    answer->members[0].id = welcome->member;
    memcpy(answer->members[0].name, welcome->leader, NAME_SIZE);
    (void)snprintf(
        answer->members[0].api_address, ADDRESS_SIZE, "%s", client_session_address(agent->session));
    speakers_round_add(&agent->round, answer);
    mem_free(answer);
}

static void ask(struct agent *agent, const char *address)
{
    struct buf bytes = {0};
    struct agent_question *question = mem_new(sizeof(*question));
    *question = (struct agent_question){.agent = agent, .round = agent->round_number};
    wire_confirm_ask(agent->options.config->shard, &bytes);
    const struct client_request request = {
        .path = CONFIRM_PATH, .message = buf_view(&bytes), .timeout_ms = ASK_TIMEOUT_MS};
    agent->round.asked++;
    enum error error = client_ask(agent->options.client, address, &request, on_answer, question);
    buf_deinit(&bytes);
    if (error == ERR_OK) {
        agent->questions++;
    } else {
        mem_free(question);
    }
}

static void on_answer(const struct client_result *result, void *ctx)
{
    struct agent_question *question = ctx;
    struct agent *agent = question->agent;
    CHECK(agent->questions > 0);
    agent->questions--;
    if (!agent->closing && question->round == agent->round_number) {
        take_answer(agent, result);
        if (agent->questions == 0) {
            end_round(agent);
        } else {
            look_early(agent);
        }
    }
    mem_free(question);
}

static void take_answer(struct agent *agent, const struct client_result *result)
{
    struct wire_confirm *confirm = mem_new(sizeof(*confirm));
    struct speakers_answer *answer = mem_new(sizeof(*answer));
    struct cluster_id ours = instance_dir_cluster(agent->options.dir);
    const char *path = tls_identity_path(result->peer);
    size_t prefix = strlen("/member/");
    bool of_ours = result->status == GRPC_OK && strncmp(path, "/member/", prefix) == 0 &&
                   strlen(path) - prefix < NAME_SIZE &&
                   wire_confirm_decode(result->reply, confirm) == ERR_OK &&
                   ((ours.hi == 0 && ours.lo == 0) || cluster_id_equal(ours, confirm->cluster));
    if (of_ours) {
        (void)snprintf(answer->from, sizeof(answer->from), "%s", path + prefix);
        answer->cluster_epoch = confirm->cluster_epoch;
        answer->epoch = confirm->epoch;
        answer->mode = confirm->mode;
        answer->members_count = confirm->members_count;
        for (uint32_t i = 0; i < confirm->members_count; i++) {
            answer->members[i].id = confirm->members[i].id;
            memcpy(answer->members[i].name, confirm->members[i].name, NAME_SIZE);
            memcpy(answer->members[i].api_address, confirm->members[i].api_address, ADDRESS_SIZE);
        }
        speakers_round_add(&agent->round, answer);
    }
    mem_free(answer);
    mem_free(confirm);
}

/* Those who are dead need not be waited for once the others have said enough. */
static void look_early(struct agent *agent)
{
    const struct wire_welcome *welcome = &agent->waiting_welcome;
    if (agent->has_waiting_welcome && welcome->cluster_epoch <= agent->state.cluster_epoch) {
        learn(agent);
        if (speakers_know(&agent->speakers, welcome->member, welcome->leader)) {
            weigh_welcome(agent);
        }
    } else if (!agent->has_waiting_welcome && agent->has_waiting_goal &&
               speakers_confirm(
                   &agent->speakers, &agent->round, agent->leader, &agent->waiting_goal)) {
        weigh_goal(agent);
    }
}

static void end_round(struct agent *agent)
{
    struct speaker candidates[SPEAKERS_MAX];
    learn(agent);
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

static void learn(struct agent *agent)
{
    if (!speakers_learn(&agent->speakers, &agent->round)) {
        return;
    }
    for (uint32_t i = 0; i < agent->speakers.count; i++) {
        log_event(LOG_INFO,
                  "members.known",
                  "name=%s address=%s",
                  agent->speakers.items[i].name,
                  agent->speakers.items[i].api_address);
    }
    save(agent);
}

static void weigh_welcome(struct agent *agent)
{
    const struct wire_welcome welcome = agent->waiting_welcome;
    if (!speakers_know(&agent->speakers, welcome.member, welcome.leader)) {
        tell_unknown(agent, &welcome);
        return;
    }
    if (welcome.cluster_epoch > agent->state.cluster_epoch) {
        if (!speakers_follow(
                &agent->speakers, &agent->round, welcome.leader, welcome.cluster_epoch)) {
            if (is_time_to_tell(agent)) {
                log_event(LOG_ERROR,
                          "session.recovery_contradicted",
                          "leader=%s cluster_epoch=%" PRIu32 " hint=%s",
                          log_quote(welcome.leader),
                          welcome.cluster_epoch,
                          log_quote("it says that the cluster was recovered by force, and most "
                                    "members that are known here run and know nothing of it"));
            }
            return;
        }
        speakers_keep_only(&agent->speakers, welcome.leader);
        save(agent);
    }
    bool has_goal = agent->has_waiting_goal;
    const struct goal goal = agent->waiting_goal;
    agent->has_waiting_welcome = false;
    agent->has_waiting_goal = false;
    agent_welcome(agent, &welcome);
    if (agent->welcomed && has_goal && agent_heeds(agent, &goal)) {
        agent_take_goal(agent, &goal);
    }
}

static void weigh_goal(struct agent *agent)
{
    const struct goal goal = agent->waiting_goal;
    bool alone = !speakers_must_confirm(
        &agent->speakers, agent->state.epoch, agent->state.cluster_epoch, &goal);
    if (alone || speakers_confirm(&agent->speakers, &agent->round, agent->leader, &goal)) {
        agent->has_waiting_goal = false;
        agent->speakers.mode = goal.mode;
        save(agent);
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
                  agent->state.epoch.value,
                  agent->round.count,
                  log_quote("it weakens the shard's mode or jumps far ahead, and no second member "
                            "bears it out: it waits for one"));
    }
    agent->doubts++;
    if (agent->doubts >= DOUBT_ROUNDS_MAX) {
        client_session_move(agent->session, false, "no other member bears its goal out");
    }
}

static void save(struct agent *agent)
{
    enum error error = speakers_file_save(agent->members_path, &agent->speakers);
    if (error != ERR_OK) {
        log_event(LOG_ERROR,
                  "state.not_saved",
                  "path=%s error=%s",
                  log_quote(agent->members_path),
                  error_name(error));
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
    agent->has_waiting_welcome = false;
    agent->has_waiting_goal = false;
    client_session_move(agent->session, false, "no member that is known here names it");
}
