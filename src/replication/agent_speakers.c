/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's record of the coordinators, and its questions to them. Who leads is welcomed at once
 * if it is on record under its certificate's name and its id, and its goals are taken at once if
 * they follow from what was obeyed. Anything else waits for a round of questions to all that are on
 * record: asynchronous, beside the session, so that no renewal waits for it (speakers.h has the
 * rules; agent_weigh.c weighs the answers by them). */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/agent_internal.h"
#include "wire/wire_confirm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ASK_TIMEOUT_MS = 1000,
    ASK_AGAIN_MS = 500,     /* while something waits for an answer */
    ASK_REFRESH_MS = 60000, /* while nothing does */
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

/* A certificate proves a name, the record binds an id to it. */
bool agent_hears(struct agent *agent, const struct wire_welcome *welcome)
{
    agent_speakers_lost(agent);
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
    if (welcome->cluster_epoch < agent->turn.state.cluster_epoch) {
        return true; /* left behind by a recovery: refused, whoever it is */
    }
    bool known = speakers_know(&agent->speakers, welcome->member, welcome->leader);
    if (known && welcome->cluster_epoch <= agent->turn.state.cluster_epoch) {
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
    bool alone = agent_goes_alone(agent, goal);
    if (!waits && alone && agent->speakers.mode == goal->mode) {
        agent->has_waiting_goal = false;
        return true;
    }
    agent->doubts = agent->has_waiting_goal ? agent->doubts : 0;
    agent->waiting_goal = *goal;
    agent->has_waiting_goal = true;
    if (!waits && alone) {
        agent_weigh(agent);
    } else if (!waits) {
        agent->ask_ms = 0;
        agent_speakers_turn(agent);
    }
    return false;
}

void agent_speakers_lost(struct agent *agent)
{
    agent->has_waiting_welcome = false;
    agent->welcome_heard = false;
    agent->has_waiting_goal = false;
}

void agent_speakers_turn(struct agent *agent)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool waits = (agent->has_waiting_welcome && !agent->welcome_heard) || agent->has_waiting_goal;
    bool may = agent->questions == 0 && kept_file_is_idle(agent->speakers_file) &&
               (waits || agent->welcomed || agent->speakers.count == 0);
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
            agent_weigh_round(agent);
        } else {
            agent_weigh_early(agent);
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
