/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's session with the leader: hello and welcome, goals in, reports and renewals out. */
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "replication/agent_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    REPORT_MS = 250,
    REFUSED_PATIENCE_MS = 2000,
    REFUSED_REPEAT_MS = 10000,
    LEFT_BEHIND_REPEAT_MS = 10000,
};

#define NS_PER_MS ((uint64_t)1000000)

static const char SESSION_PATH[] = "/indaba.v1.Sidecars/Session";

static void on_open(struct client_session *session, const char *address, void *ctx);
static void on_message(struct client_session *session, struct slice bytes, void *ctx);
static bool is_for_us(const struct agent *agent, const struct goal *goal);
static void on_lost(struct client_session *session, const char *reason, void *ctx);
static void tell_refusal(struct agent *agent, const char *reason);
static bool is_news_of_refusal(struct agent *agent, const char *reason, uint64_t now_ms);
static void begin_session(struct agent *agent, const struct wire_welcome *welcome);
static void tell_left_behind(struct agent *agent, uint32_t cluster_epoch);
static void take_answer(struct agent *agent, const struct renewal_answer *answer);
static bool is_silent(const struct agent *agent, uint64_t *silence_ms_out);
static bool send_message(struct agent *agent, const struct wire_sidecar_message *message);
static void send_renewal(struct agent *agent);
static void send_report(struct agent *agent);
static bool report_is_news(const struct report *report, const struct report *before);

static const struct client_session_handlers HANDLERS = {
    .on_open = on_open,
    .on_message = on_message,
    .on_lost = on_lost,
};

void agent_session_start(struct agent *agent)
{
    agent->session = client_session_new(agent->options.client, SESSION_PATH, &HANDLERS, agent);
}

void agent_session_stop(struct agent *agent)
{
    client_session_free(agent->session);
    agent->session = NULL;
    agent->welcomed = false;
}

void agent_session_turn(struct agent *agent)
{
    if (agent->session == NULL || !agent->welcomed) {
        return;
    }
    uint64_t silence_ms = 0;
    if (is_silent(agent, &silence_ms)) {
        log_event(LOG_WARN,
                  "session.silent",
                  "leader=%s silence_ms=%" PRIu64 " patience_ms=%" PRIu64,
                  log_quote(agent->leader),
                  silence_ms,
                  patience_ms(&agent->patience));
        patience_exhausted(&agent->patience);
        client_session_move(agent->session, true, "nothing was heard from it");
        return;
    }
    send_renewal(agent);
    send_report(agent);
}

/* It leaves a renewal unanswered, and says nothing else either. Between renewals, of which a long
 * lease has few, it has no reason to speak. */
static bool is_silent(const struct agent *agent, uint64_t *silence_ms_out)
{
    uint64_t asked_ns = lease_holder_unanswered_ns(&agent->lease);
    if (asked_ns == 0) {
        return false;
    }
    uint64_t unheard_ms = clock_monotonic_ms() - agent->heard_ms;
    uint64_t unanswered_ms = (clock_boottime_ns() - asked_ns) / NS_PER_MS;
    *silence_ms_out = unheard_ms < unanswered_ms ? unheard_ms : unanswered_ms;
    return *silence_ms_out > patience_ms(&agent->patience);
}

static void on_open(struct client_session *session, const char *address, void *ctx)
{
    struct agent *agent = ctx;
    const struct sidecar_config *config = agent->options.config;
    CHECK(session != NULL);
    struct wire_sidecar_message message;
    memset(&message, 0, sizeof(message));
    message.kind = WIRE_HELLO;
    memcpy(message.hello.shard, config->shard, NAME_SIZE);
    memcpy(message.hello.instance, config->name, NAME_SIZE);
    memcpy(message.hello.region, config->region, NAME_SIZE);
    memcpy(message.hello.address, config->address, ADDRESS_SIZE);
    memcpy(message.hello.http_address, config->http_address, ADDRESS_SIZE);
    message.hello.cluster = instance_dir_cluster(agent->options.dir);
    memcpy(message.hello.kind, config->kind, NAME_SIZE);
    agent->session = session; /* on_open may come before client_session_new returned */
    if (!send_message(agent, &message)) {
        log_event(LOG_DEBUG, "session.hello_lost", "address=%s", address);
    }
}

static void on_message(struct client_session *session, struct slice bytes, void *ctx)
{
    struct agent *agent = ctx;
    struct wire_coordinator_message message;
    CHECK(session == agent->session);
    enum error error = wire_coordinator_decode(bytes, &message);
    if (error != ERR_OK) {
        log_event(LOG_ERROR, "session.bad_message", "error=%s", error_name(error));
        return;
    }
    agent->heard_ms = clock_monotonic_ms();
    switch (message.kind) {
    case WIRE_WELCOME:
        if (agent_hears(agent, &message.welcome)) {
            agent_welcome(agent, &message.welcome);
        }
        return;
    case WIRE_GOAL:
        if (is_for_us(agent, &message.goal) && agent_heeds(agent, &message.goal)) {
            agent_take_goal(agent, &message.goal);
        }
        return;
    case WIRE_RENEWAL_ANSWER:
        take_answer(agent, &message.renewal_answer);
        return;
    }
}

static bool is_for_us(const struct agent *agent, const struct goal *goal)
{
    return (agent->welcomed && goal->instance.value == agent->instance.value) ||
           (agent->has_waiting_welcome &&
            goal->instance.value == agent->waiting_welcome.instance.value);
}

static void on_lost(struct client_session *session, const char *reason, void *ctx)
{
    struct agent *agent = ctx;
    agent_speakers_lost(agent);
    CHECK(session == agent->session);
    if (agent->welcomed) {
        log_event(LOG_WARN,
                  "session.lost",
                  "leader=%s reason=%s",
                  log_quote(agent->leader),
                  log_quote(reason));
    } else {
        tell_refusal(agent, reason);
    }
    agent->welcomed = false;
}

/* Looking for the leader is refused now and then; who is refused for seconds has to know why. */
static void tell_refusal(struct agent *agent, const char *reason)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (agent->refused_since_ms == 0) {
        agent->refused_since_ms = now_ms;
    }
    bool warn = now_ms - agent->refused_since_ms >= REFUSED_PATIENCE_MS &&
                is_news_of_refusal(agent, reason, now_ms);
    log_event(warn ? LOG_WARN : LOG_DEBUG,
              "session.refused",
              "address=%s for_ms=%" PRIu64 " reason=%s",
              client_session_address(agent->session),
              now_ms - agent->refused_since_ms,
              log_quote(reason));
}

/* What the leader says must not be drowned by those who say that they are none. */
static bool is_news_of_refusal(struct agent *agent, const char *reason, uint64_t now_ms)
{
    uint64_t hash = hash_xxh3(reason, strlen(reason), 0);
    size_t place = 0;
    for (size_t i = 0; i < AGENT_REFUSALS_KEPT; i++) {
        if (agent->refused[i].told_ms != 0 && agent->refused[i].hash == hash) {
            place = i;
            break;
        }
        if (agent->refused[i].told_ms < agent->refused[place].told_ms) {
            place = i;
        }
    }
    bool same = agent->refused[place].told_ms != 0 && agent->refused[place].hash == hash;
    if (same && now_ms - agent->refused[place].told_ms < REFUSED_REPEAT_MS) {
        return false;
    }
    agent->refused[place].hash = hash;
    agent->refused[place].told_ms = now_ms;
    return true;
}

void agent_welcome(struct agent *agent, const struct wire_welcome *welcome)
{
    agent->waiting_welcome = *welcome;
    agent->has_waiting_welcome = true;
    agent->welcome_heard = true;
    agent_welcome_turn(agent);
}

void agent_welcome_turn(struct agent *agent)
{
    if (agent->closing || !agent->has_waiting_welcome || !agent->welcome_heard) {
        return;
    }
    const struct wire_welcome welcome = agent->waiting_welcome;
    enum error error = instance_dir_belongs(agent->options.dir, welcome.cluster);
    if (error == ERR_NOT_FOUND) {
        agent_keep_cluster(agent, welcome.cluster);
        return;
    }
    if (error != ERR_OK) {
        log_event(LOG_ERROR,
                  "session.wrong_cluster",
                  "leader=%s error=%s hint=%s",
                  log_quote(welcome.leader),
                  error_name(error),
                  log_quote("this folder obeys one cluster only: correct cluster.members"));
        agent_speakers_lost(agent);
        return;
    }
    switch (keeper_turn_hear(&agent->turn, welcome.cluster_epoch)) {
    case KEEPER_LEFT_BEHIND:
        tell_left_behind(agent, welcome.cluster_epoch);
        agent_speakers_lost(agent);
        client_session_move(agent->session, false, "its cluster epoch is not obeyed");
        return;
    case KEEPER_HEARS_LATER:
        agent_keep_state(agent);
        return;
    case KEEPER_HEARS:
        begin_session(agent, &welcome);
        return;
    }
}

static void begin_session(struct agent *agent, const struct wire_welcome *welcome)
{
    bool has_goal = agent->has_waiting_goal;
    const struct goal goal = agent->waiting_goal;
    agent_speakers_lost(agent); /* nothing waits any more */
    agent->instance = welcome->instance;
    agent->welcomed = true;
    agent->refused_since_ms = 0;
    memset(agent->refused, 0, sizeof(agent->refused));
    memcpy(agent->leader, welcome->leader, sizeof(agent->leader));
    memset(&agent->reported, 0, sizeof(agent->reported));
    agent->report_ms = 0;
    lease_holder_session_opened(&agent->lease);
    log_event(LOG_INFO,
              "session.welcome",
              "leader=%s term=%" PRIu64 " instance=%" PRIu32,
              log_quote(welcome->leader),
              welcome->term,
              welcome->instance.value);
    agent_session_turn(agent);
    if (agent->welcomed && has_goal && agent_heeds(agent, &goal)) {
        agent_take_goal(agent, &goal);
    }
}

/* It is met again and again for as long as it runs. */
static void tell_left_behind(struct agent *agent, uint32_t cluster_epoch)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (agent->left_behind_told_ms != 0 &&
        now_ms - agent->left_behind_told_ms < LEFT_BEHIND_REPEAT_MS) {
        return;
    }
    agent->left_behind_told_ms = now_ms;
    log_event(LOG_ERROR,
              "session.left_behind",
              "cluster_epoch=%" PRIu32 " met=%" PRIu32 " hint=%s",
              cluster_epoch,
              agent->turn.state.cluster_epoch,
              log_quote("this leader was left behind by a forced recovery: stop it, and take its "
                        "address out of cluster.members"));
}

static void take_answer(struct agent *agent, const struct renewal_answer *answer)
{
    uint64_t asked_ns = lease_holder_unanswered_ns(&agent->lease);
    bool moved = lease_holder_answer(&agent->lease, answer);
    if (asked_ns != 0 && lease_holder_unanswered_ns(&agent->lease) != asked_ns) {
        patience_answered(&agent->patience, (clock_boottime_ns() - asked_ns) / NS_PER_MS);
    }
    if (!answer->granted) {
        log_event(LOG_INFO, "lease.refused", "epoch=%" PRIu64, answer->epoch.value);
        return;
    }
    if (!moved) {
        return;
    }
    enum error error = guard_link_arm(
        engine_guard(agent->options.engine), agent->lease.epoch, agent->lease.deadline_ns);
    if (error != ERR_OK) {
        /* Without a guardian that knows the deadline there is no lease. */
        log_event(LOG_ERROR, "lease.not_armed", "error=%s", error_name(error));
        lease_holder_give_up(&agent->lease);
        return;
    }
    agent_changed(agent);
}

static bool send_message(struct agent *agent, const struct wire_sidecar_message *message)
{
    struct buf bytes = {0};
    wire_sidecar_encode(message, &bytes);
    enum error error = client_session_send(agent->session, buf_view(&bytes));
    buf_deinit(&bytes);
    return error == ERR_OK;
}

/* The clock is read right before, and the bytes are handed over right after (safety.md 4). */
static void send_renewal(struct agent *agent)
{
    struct wire_sidecar_message message;
    memset(&message, 0, sizeof(message));
    message.kind = WIRE_RENEWAL;
    if (lease_holder_renew(&agent->lease, clock_boottime_ns(), &message.renewal)) {
        (void)send_message(agent, &message);
    }
}

static void send_report(struct agent *agent)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct keeper_facts facts;
    struct wire_sidecar_message message;
    memset(&message, 0, sizeof(message));
    message.kind = WIRE_REPORT;
    agent_facts(agent, &facts);
    keeper_report(&facts,
                  &agent->turn.state,
                  agent->has_goal ? &agent->goal : NULL,
                  agent->instance,
                  &message.report);
    message.report.failures = agent->failures;
    if (agent->trouble[0] != '\0') {
        (void)snprintf(message.report.detail, sizeof(message.report.detail), "%s", agent->trouble);
    } else if (facts.note != NULL && facts.note[0] != '\0') {
        (void)snprintf(message.report.detail, sizeof(message.report.detail), "%s", facts.note);
    } else {
        (void)snprintf(message.report.detail,
                       sizeof(message.report.detail),
                       "%s: %s",
                       keeper_action_name(agent->action.kind),
                       agent->action.reason == NULL ? "" : agent->action.reason);
    }
    bool due = agent->report_ms == 0 || now_ms - agent->report_ms >= REPORT_MS;
    if (!due && !report_is_news(&message.report, &agent->reported)) {
        return;
    }
    message.report.number = ++agent->report_number;
    if (send_message(agent, &message)) {
        agent->reported = message.report;
        agent->report_ms = now_ms;
    }
}

/* What somebody may be waiting for; positions and lags can wait for the next heartbeat. */
static bool report_is_news(const struct report *report, const struct report *before)
{
    return report->state != before->state || report->goal_met != before->goal_met ||
           report->epoch.value != before->epoch.value || report->goal_index != before->goal_index ||
           report->incarnation.value != before->incarnation.value ||
           report->position_final != before->position_final ||
           report->cut_from.value != before->cut_from.value ||
           report->receiver_streaming != before->receiver_streaming ||
           report->primary_reach != before->primary_reach ||
           report->fenced_epoch.value != before->fenced_epoch.value ||
           report->promoted_epoch.value != before->promoted_epoch.value ||
           report->canary_ok != before->canary_ok ||
           report->acked.timeline != before->acked.timeline ||
           report->sync_confirmed_version != before->sync_confirmed_version ||
           report->caught_up_count != before->caught_up_count ||
           report->streaming_count != before->streaming_count ||
           report->data_intact != before->data_intact || report->continuous != before->continuous ||
           report->failures != before->failures || report->cut_undone != before->cut_undone ||
           strcmp(report->lapse, before->lapse) != 0 ||
           strcmp(report->concern, before->concern) != 0 || strcmp(report->gate, before->gate) != 0;
}
