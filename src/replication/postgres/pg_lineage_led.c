/* SPDX-License-Identifier: Apache-2.0 */
/* Timelines that a folder went to while its sidecar was away. The record says where and in which
 * epoch each was opened, the sidecar had promised to follow that epoch before its database could be
 * led there, the folder's own file says the same place, and its WAL begins there with the words of
 * whoever was promoted. That its own database made them is excluded by standby.signal. */
#include "replication/postgres/pg_lineage.h"

#include "replication/postgres/pg_files.h"
#include "replication/postgres/pg_history.h"

#include <string.h>

static enum error look_at(struct work *work,
                          const struct pg_place *place,
                          const struct fork *record,
                          struct lineage_step *step_out);

enum error pg_lineage_find_way(struct work *work,
                               const struct pg_place *place,
                               const struct driver_request *request,
                               const struct lineage_evidence *evidence,
                               struct pg_lineage_way *way_out)
{
    const struct goal *goal = &request->goal;
    struct pg_lineage_way way = {0};
    struct position at = evidence->anchor;

    if (!evidence->same_folder || evidence->newest_timeline <= at.timeline ||
        !pg_files_signal_is_noted(place)) {
        return ERR_OK;
    }
    while (way.count < SHARD_FORKS_MAX) {
        struct lineage_step step;
        const struct fork *fork =
            lineage_next(at, goal->history, goal->history_count, request->led_epoch);
        if (fork == NULL || fork->timeline > evidence->newest_timeline) {
            break;
        }
        TRY(look_at(work, place, fork, &step));
        if (!lineage_step_is_ours(&step)) {
            break;
        }
        way.forks[way.count++] = *fork;
        at = lineage_fork_place(fork);
    }
    *way_out = way;
    return ERR_OK;
}

/* Nobody else's message can come before that of whoever was promoted: it lets clients in behind it.
 */
static enum error look_at(struct work *work,
                          const struct pg_place *place,
                          const struct fork *record,
                          struct lineage_step *step_out)
{
    const struct pg_lineage_question first_message = {
        .from = lineage_fork_place(record),
        .options = {"-r", "LogicalMessage", "-n", "1"},
        .lines_with = "desc: MESSAGE",
    };
    char announcement[PG_ANNOUNCEMENT_SIZE];
    struct lineage_step step = {.record = *record};
    struct fork own = {0};
    struct buf text = {0};

    if (pg_history_of_folder(place, record->timeline, &own)) {
        step.parent_timeline = own.parent_timeline;
        step.fork_lsn = own.fork_lsn;
    }
    enum error error = pg_lineage_dump(work, place, &first_message, &text);
    if (error == ERR_OK) {
        (void)pg_history_announcement((struct epoch){record->epoch}, announcement);
        step.announced = strstr((const char *)text.data, announcement) != NULL;
        *step_out = step;
    }
    buf_deinit(&text);
    return error;
}
