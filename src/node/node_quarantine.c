/* SPDX-License-Identifier: Apache-2.0 */
/* A member whose state a majority contradicts. The leader says with its heartbeats what state a
 * majority of the voters holds (divergence.h); whoever finds that its own is another one marks its
 * folder and ends at once. The next start makes the state anew, from the snapshot and the log; the
 * log, the term and the vote are promises and stay. Until the majority's state is met again the
 * member appends and votes, serves nothing and never leads. If what it made anew is wrong as well,
 * so is its snapshot: then it stays like that, and its place is for a new member. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/snapshot_back.h"

#include <inttypes.h>
#include <stdio.h>

static void enter(struct node *node, uint64_t index, uint64_t theirs);
static void leave(struct node *node);
static void stay(struct node *node, uint64_t index);
static enum error
rebuild(const struct node *node, const struct wal_recovered *log, struct reason *reason);

enum error
node_quarantine_start(struct node *node, const struct wal_recovered *log, struct reason *reason)
{
    struct node_quarantine *quarantine = &node->quarantine;
    const struct disk *disk = node->io->ground.disk;
    const char *dir = node->io->ground.paths->dir;
    enum error error = quarantine_mark_read(disk, dir, reason, &quarantine->mark);
    if (error == ERR_NOT_FOUND) {
        *reason = (struct reason){0};
        return ERR_OK;
    }
    if (error != ERR_OK) {
        return error;
    }
    quarantine->active = true;
    if (!quarantine->mark.rebuilt) {
        error = rebuild(node, log, reason);
        if (error == ERR_CORRUPT || error == ERR_VERSION) {
            log_event(LOG_ERROR, "state.not_rebuilt", "why=%s", log_quote(reason->text));
            *reason = (struct reason){0};
        } else if (error != ERR_OK) {
            return error; /* of the disk: the next start may do better */
        }
        quarantine->mark.rebuilt = true;
        TRY(quarantine_mark_write(disk, dir, &quarantine->mark, reason));
    }
    log_event(LOG_WARN,
              "state.in_quarantine",
              "since_index=%" PRIu64 " hint=%s",
              quarantine->mark.index,
              log_quote("this member appends and votes, but serves nothing and never leads, until "
                        "its state is that of the majority"));
    return ERR_OK;
}

void node_quarantine_heard(struct node *node, const struct raft_message *message)
{
    const struct raft_heartbeat *said = &message->heartbeat;
    bool of_the_leader =
        message->type == RAFT_HEARTBEAT && member_id_equal(message->from, node->leader);
    if (!of_the_leader || said->agreed_index == 0) {
        return;
    }
    struct node_quarantine *quarantine = &node->quarantine;
    if (quarantine->leaving) {
        return; /* what is said next is held against what then is */
    }
    switch (divergence_compare(&node->divergence, said->agreed_index, said->agreed_hash)) {
    case DIVERGENCE_UNKNOWN:
        return;
    case DIVERGENCE_AGREES:
        if (quarantine->active && said->agreed_index >= quarantine->mark.index) {
            leave(node);
        }
        return;
    case DIVERGENCE_DIFFERS:
        if (quarantine->active) {
            stay(node, said->agreed_index);
        } else {
            enter(node, said->agreed_index, said->agreed_hash);
        }
        return;
    }
}

void node_quarantine_unmarked(struct node *node, const struct node_file_job *job)
{
    struct node_quarantine *quarantine = &node->quarantine;
    if (job->error != ERR_OK) {
        node_die(node, "state.mark_stays", job->error, job->reason.text);
        return;
    }
    log_event(LOG_INFO, "state.healed", "index=%" PRIu64, quarantine->mark.index);
    *quarantine = (struct node_quarantine){0};
    raft_set_may_lead(node->raft, true);
}

bool node_is_quarantined(const struct node *node)
{
    return node->quarantine.active;
}

bool node_contradicts(const struct node *node, struct member_id peer)
{
    return divergence_is_against(&node->divergence, peer) && !divergence_is_ours(&node->divergence);
}

char *node_quarantine_text(const struct node *node, char text[NODE_QUARANTINE_TEXT_SIZE])
{
    (void)snprintf(text,
                   NODE_QUARANTINE_TEXT_SIZE,
                   "member %s is in quarantine: its state differs from that of the majority, seen "
                   "at index %" PRIu64 "; %s. Ask another member",
                   node->config->name,
                   node->quarantine.mark.index,
                   node->quarantine.contradicted
                       ? "it was made anew and still differs, so remove this member and join a new "
                         "one in its place"
                       : "it was made anew from snapshot and log, and waits to be compared");
    return text;
}

/* Nothing comes after: whoever was told anything from this state must be told no more of it. */
static void enter(struct node *node, uint64_t index, uint64_t theirs)
{
    const struct quarantine_mark mark = {
        .index = index,
        .ours = node->divergence.at[index % DIVERGENCE_KEPT].hash,
        .theirs = theirs,
    };
    const struct node_ground *ground = &node->io->ground;
    struct reason reason = {0};
    enum error error = quarantine_mark_write(ground->disk, ground->paths->dir, &mark, &reason);
    log_event(LOG_ERROR,
              "state.quarantined",
              "index=%" PRIu64 " ours=%016" PRIx64 " majority=%016" PRIx64 " mark=%s why=%s",
              index,
              mark.ours,
              theirs,
              error_name(error),
              log_quote("a majority of the members holds another state than this one: it ends, and "
                        "its next start makes its state anew from snapshot and log"));
    node_end(node, NODE_EXIT_QUARANTINE);
}

/* The mark goes first, on a thread: until it is gone for good nothing is served by what a crash
 * would contradict. */
static void leave(struct node *node)
{
    struct node_file_job *job = mem_new(sizeof(*job));
    job->kind = NODE_FILE_UNMARK;
    node->quarantine.leaving = true;
    node->io->begin_file(node->ctx, job);
}

static void stay(struct node *node, uint64_t index)
{
    if (node->quarantine.contradicted) {
        return;
    }
    node->quarantine.contradicted = true;
    log_event(LOG_ERROR,
              "state.stays_in_quarantine",
              "index=%" PRIu64 " hint=%s",
              index,
              log_quote("the state made anew from snapshot and log is still another one than the "
                        "majority's: remove this member and join a new one in its place"));
}

/* From as far back as snapshots and log reach, for what is wrong may be in the newest snapshot as
 * well. If no snapshot that the log follows can be read the store is left as it is. */
static enum error
rebuild(const struct node *node, const struct wal_recovered *log, struct reason *reason)
{
    const struct node_ground *ground = &node->io->ground;
    const struct snapshot_dir dir = {.disk = ground->disk, .path = ground->paths->snapshots};
    struct snapshot_list list;
    struct snapshot_info base;
    TRY(snapshot_dir_list(&dir, reason, &list));
    struct snapshot_info newest = list.count > 0 ? list.infos[0] : (struct snapshot_info){0};
    const struct raft_log_span span = {.first_index = log->first_index,
                                       .entries = log->entries,
                                       .entries_count = log->entries_count};
    bool goes_on = raft_log_goes_through(&span, newest.index, newest.term);
    uint64_t first_index = goes_on ? log->first_index : newest.index + 1;
    TRY(snapshot_back(&dir, first_index, reason, &base));
    TRY(ground->settle_store(node->ctx, reason));
    if (base.index == 0) {
        TRY(ground->clear_store(node->ctx, reason));
    } else {
        char path[SNAPSHOT_PATH_SIZE];
        snapshot_dir_path(&dir, &base, path);
        TRY(ground->install_store(node->ctx, path, reason));
    }
    log_event(LOG_WARN,
              "state.rebuilt",
              "snapshot=%" PRIu64 " newest=%" PRIu64 " log_from=%" PRIu64,
              base.index,
              newest.index,
              log->first_index);
    return ERR_OK;
}
