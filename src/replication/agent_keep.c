/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent keeps on disk: the keeper's promises, marks, who the coordinators are, whose the
 * folder is. Each is read at the start and then written by a thread of its own. Whatever follows
 * from one of them follows in its `done`, so nothing is obeyed or told that a crash could undo, and
 * the loop never waits for a disk. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "replication/agent_internal.h"
#include "replication/kept_formats.h"

#include <stdio.h>

enum {
    MARKS_EVERY_MS = 1000,
    ANCHOR_EVERY_MS = 50,
    STATE_AGAIN_MS = 250,
};

static const char MARKS_SUFFIX[] = ".marks"; /* beside the state file */

typedef char marks_path[AGENT_PATH_SIZE + sizeof(MARKS_SUFFIX)];

static char *path_of_marks(const struct agent *agent, marks_path path);
static enum error
load(const char *path, const struct kept_format *format, struct reason *reason, void *value_out);
static bool is_urgent(const struct agent *agent);
static void on_state_saved(enum error error, void *ctx);
static void on_marks_saved(enum error error, void *ctx);
static void on_speakers_saved(enum error error, void *ctx);
static void on_identity_saved(enum error error, void *ctx);

enum error agent_keep_load(struct agent *agent, struct reason *reason)
{
    marks_path path;
    TRY(load(agent->state_path, &KEPT_STATE, reason, &agent->turn.state));
    struct kept_marks kept = {0};
    TRY(load(path_of_marks(agent, path), &KEPT_MARKS, reason, &kept));
    agent->marks = kept.marks;
    agent->anchor = kept.anchor;
    agent->led_epoch = keeper_led_epoch(&agent->turn.state); /* it may have run without us */
    keeper_adopt_anchor(&agent->turn.state, &agent->marks, &agent->anchor);
    enum error error = kept_file_read(agent->members_path, &KEPT_SPEAKERS, &agent->speakers);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        reason_say(reason,
                   "%.300s: %s; remove it, and the members at cluster.members are asked anew",
                   agent->members_path,
                   error_text(error));
        return error;
    }
    return ERR_OK;
}

void agent_keep_start(struct agent *agent)
{
    marks_path path;
    struct uv_loop_s *loop = net_loop(agent->options.net);
    agent->state_file = kept_file_new(loop, agent->state_path, &KEPT_STATE, on_state_saved, agent);
    agent->marks_file =
        kept_file_new(loop, path_of_marks(agent, path), &KEPT_MARKS, on_marks_saved, agent);
    agent->speakers_file =
        kept_file_new(loop, agent->members_path, &KEPT_SPEAKERS, on_speakers_saved, agent);
    agent->identity_file = kept_file_new(
        loop, instance_dir_path(agent->options.dir), &INSTANCE_IDENTITY, on_identity_saved, agent);
}

void agent_keep_stop(struct agent *agent, void (*closed)(void *ctx))
{
    kept_file_free(agent->state_file, closed, agent);
    kept_file_free(agent->marks_file, closed, agent);
    kept_file_free(agent->speakers_file, closed, agent);
    kept_file_free(agent->identity_file, closed, agent);
}

void agent_keep_state(struct agent *agent)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool may = !agent->state_failed || now_ms - agent->state_begun_ms >= STATE_AGAIN_MS;
    if (!agent->turn.saving || !may || !kept_file_is_idle(agent->state_file)) {
        return;
    }
    agent->state_begun_ms = now_ms;
    kept_file_save(agent->state_file, &agent->turn.action.state_next);
}

uint64_t agent_keep_waits_ms(const struct agent *agent)
{
    return kept_file_is_idle(agent->state_file) ? 0 : clock_monotonic_ms() - agent->state_begun_ms;
}

void agent_keep_marks(struct agent *agent)
{
    uint64_t now_ms = clock_monotonic_ms();
    uint64_t pause_ms = is_urgent(agent) ? ANCHOR_EVERY_MS : MARKS_EVERY_MS;
    bool due = agent->marks_begun_ms == 0 || now_ms - agent->marks_begun_ms >= pause_ms;
    if (!due || !kept_file_is_idle(agent->marks_file) ||
        (marks_equal(&agent->marks, &agent->marks_kept.marks) &&
         lineage_anchor_equal(&agent->anchor, &agent->marks_kept.anchor))) {
        return;
    }
    agent->marks_begun_ms = now_ms;
    agent->marks_next = (struct kept_marks){.marks = agent->marks, .anchor = agent->anchor};
    kept_file_save(agent->marks_file, &agent->marks_next);
}

/* Of another folder, or on another timeline: without it on disk this one could not be proven. */
static bool is_urgent(const struct agent *agent)
{
    const struct lineage_anchor *now = &agent->anchor;
    const struct lineage_anchor *kept = &agent->marks_kept.anchor;
    return now->incarnation != kept->incarnation || now->writable_epoch != kept->writable_epoch ||
           now->position.timeline != kept->position.timeline;
}

void agent_keep_speakers(struct agent *agent, const struct speakers *next)
{
    if (kept_file_is_idle(agent->speakers_file)) {
        agent->speakers_next = *next;
        kept_file_save(agent->speakers_file, next);
    }
}

void agent_keep_cluster(struct agent *agent, struct cluster_id cluster)
{
    if (kept_file_is_idle(agent->identity_file)) {
        const struct instance_identity next = instance_dir_identity(agent->options.dir, cluster);
        agent->cluster_next = cluster;
        kept_file_save(agent->identity_file, &next);
    }
}

static char *path_of_marks(const struct agent *agent, marks_path path)
{
    (void)snprintf(path, sizeof(marks_path), "%s%s", agent->state_path, MARKS_SUFFIX);
    return path;
}

/* A sidecar that does not know what it promised does nothing. */
static enum error
load(const char *path, const struct kept_format *format, struct reason *reason, void *value_out)
{
    enum error error = kept_file_read(path, format, value_out);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        reason_say(reason,
                   "%.300s: %s; restore it, or empty the instance's folder to build it anew",
                   path,
                   error_text(error));
        return error;
    }
    return ERR_OK;
}

static void on_state_saved(enum error error, void *ctx)
{
    struct agent *agent = ctx;
    agent->state_failed = error != ERR_OK;
    agent_state_saved(agent, error);
}

static void on_marks_saved(enum error error, void *ctx)
{
    struct agent *agent = ctx;
    if (error == ERR_OK) {
        agent->marks_kept = agent->marks_next;
    }
}

static void on_speakers_saved(enum error error, void *ctx)
{
    struct agent *agent = ctx;
    if (error == ERR_OK) {
        agent->speakers = agent->speakers_next;
    }
    agent_speakers_saved(agent, error);
}

static void on_identity_saved(enum error error, void *ctx)
{
    struct agent *agent = ctx;
    if (error == ERR_OK) {
        instance_dir_joined(agent->options.dir, agent->cluster_next);
        agent_welcome_turn(agent);
    }
}
