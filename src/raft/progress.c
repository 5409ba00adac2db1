/* SPDX-License-Identifier: Apache-2.0 */
/* States and windows of one peer. */
#include "raft/progress.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    /* One may be a late answer; so many probes in a row, without a success between, are not. */
    REFUSALS_MAX = 3,
};

static void flights_clear(struct progress *progress);
static void note_refusal(struct progress *progress, uint64_t refused_index);

void progress_init(struct progress *progress,
                   struct member_id id,
                   uint64_t next,
                   uint32_t flights_max)
{
    CHECK(next > 0);
    CHECK(flights_max > 0);
    *progress = (struct progress){
        .id = id,
        .state = PROGRESS_PROBE,
        .next = next,
        .flights = mem_new_array(flights_max, sizeof(*progress->flights)),
        .flights_cap = flights_max,
        .round_took_ms = UINT64_MAX,
    };
}

void progress_deinit(struct progress *progress)
{
    mem_free(progress->flights);
    *progress = (struct progress){0};
}

void progress_heard(struct progress *progress, uint64_t now_ms)
{
    CHECK(now_ms >= progress->heard_ms);
    progress->heard_ms = now_ms;
    progress->answered = true;
    progress->lost = false;
}

bool progress_may_send(const struct progress *progress, uint64_t bytes_max)
{
    switch (progress->state) {
    case PROGRESS_PROBE:
        return !progress->probing;
    case PROGRESS_REPLICATE:
        return progress->flights_count < progress->flights_cap &&
               progress->flights_bytes < bytes_max;
    case PROGRESS_SNAPSHOT:
        return false;
    }
    UNREACHABLE("a progress state that is not in its enum");
}

void progress_sent(struct progress *progress, uint64_t last_index, uint64_t bytes, uint64_t now_ms)
{
    CHECK(last_index + 1 >= progress->next);
    CHECK(progress->state != PROGRESS_SNAPSHOT);
    if (progress->state == PROGRESS_PROBE) {
        progress->probing = true;
        progress->refusal_noted = false;
        progress->sent_ms = now_ms;
        return;
    }
    if (last_index < progress->next) {
        return;
    }
    CHECK(progress->flights_count < progress->flights_cap);
    if (progress->flights_count == 0) {
        progress->sent_ms = now_ms;
    }
    uint32_t at = (progress->flights_head + progress->flights_count) % progress->flights_cap;
    progress->flights[at] = (struct progress_flight){.last_index = last_index, .bytes = bytes};
    progress->flights_count++;
    progress->flights_bytes += bytes;
    progress->next = last_index + 1;
}

bool progress_acknowledged(struct progress *progress, uint64_t index, uint64_t now_ms)
{
    bool news = index > progress->match;
    if (news) {
        progress->match = index;
        progress->grew_ms = now_ms;
    }
    if (index >= progress->match) {
        progress->refusals = 0;
        progress->regressed = false;
    }
    if (progress->next <= progress->match) {
        progress->next = progress->match + 1;
    }
    switch (progress->state) {
    case PROGRESS_PROBE:
        /* Any success in this term tells where the logs meet. */
        progress->state = PROGRESS_REPLICATE;
        progress->probing = false;
        progress->next = progress->match + 1;
        break;
    case PROGRESS_REPLICATE:
        while (progress->flights_count > 0 &&
               progress->flights[progress->flights_head].last_index <= index) {
            progress->flights_bytes -= progress->flights[progress->flights_head].bytes;
            progress->flights_head = (progress->flights_head + 1) % progress->flights_cap;
            progress->flights_count--;
        }
        progress->sent_ms = news ? now_ms : progress->sent_ms;
        break;
    case PROGRESS_SNAPSHOT:
        break;
    }
    return news;
}

bool progress_refused(struct progress *progress, uint64_t refused_index, uint64_t next_index)
{
    CHECK(next_index > 0);
    if (refused_index <= progress->match) {
        note_refusal(progress, refused_index);
        return false;
    }
    switch (progress->state) {
    case PROGRESS_PROBE:
        /* The one probe under way went after next - 1; anything else is an old answer. */
        if (refused_index != progress->next - 1) {
            return false;
        }
        break;
    case PROGRESS_REPLICATE:
        progress->state = PROGRESS_PROBE;
        flights_clear(progress);
        break;
    case PROGRESS_SNAPSHOT:
        return false;
    }
    progress->probing = false;
    progress->next = next_index > progress->match ? next_index : progress->match + 1;
    return true;
}

void progress_restart(struct progress *progress)
{
    flights_clear(progress);
    progress->probing = false;
    if (progress->state == PROGRESS_REPLICATE) {
        progress->next = progress->match + 1;
    }
    if (progress->state == PROGRESS_SNAPSHOT) {
        progress->snapshot.next = progress->snapshot.reported;
        progress->snapshot.acked = progress->snapshot.reported;
        progress->snapshot.alone = true;
        return;
    }
    progress->state = PROGRESS_PROBE;
}

void progress_needs_snapshot(struct progress *progress)
{
    flights_clear(progress);
    progress->probing = false;
    progress->state = PROGRESS_SNAPSHOT;
    progress->snapshot = (struct progress_snapshot){0};
    progress->kept_from = 0;
}

void progress_left_snapshot(struct progress *progress, uint64_t index)
{
    CHECK(progress->state == PROGRESS_SNAPSHOT);
    progress->state = PROGRESS_PROBE;
    progress->snapshot = (struct progress_snapshot){0};
    progress->kept_from = index > progress->match ? index : progress->match;
    progress->next = progress->kept_from + 1;
}

void progress_caught_up(struct progress *progress)
{
    CHECK(progress->state == PROGRESS_REPLICATE);
    progress->kept_from = 0;
}

void progress_round(struct progress *progress, uint64_t last_index, uint64_t now_ms)
{
    if (progress->round_target == 0) {
        progress->round_target = last_index;
        progress->round_start_ms = now_ms;
    }
    if (progress->match >= progress->round_target) {
        progress->round_took_ms = now_ms - progress->round_start_ms;
        progress->round_target = last_index;
        progress->round_start_ms = now_ms;
    }
}

bool progress_is_waiting(const struct progress *progress)
{
    return progress->probing || progress->flights_count > 0;
}

void progress_check_invariants(const struct progress *progress)
{
    CHECK(progress->match < progress->next);
    CHECK(progress->flights_count <= progress->flights_cap);
    CHECK(progress->flights_count == 0 || progress->state == PROGRESS_REPLICATE);
    CHECK(progress->flights_count > 0 || progress->flights_bytes == 0);
    CHECK(!progress->probing || progress->state == PROGRESS_PROBE);
    CHECK(progress->snapshot.index == 0 || progress->state == PROGRESS_SNAPSHOT);
    CHECK(progress->kept_from == 0 || progress->state != PROGRESS_SNAPSHOT);
    CHECK(progress->snapshot.acked <= progress->snapshot.next);
    CHECK(progress->snapshot.next <= progress->snapshot.size);
    CHECK(progress->snapshot.reported <= progress->snapshot.size);
}

static void note_refusal(struct progress *progress, uint64_t refused_index)
{
    bool of_this_probe = progress->state == PROGRESS_PROBE && progress->probing &&
                         refused_index + 1 == progress->next && !progress->refusal_noted;
    if (!of_this_probe || refused_index != progress->match || refused_index == 0) {
        return;
    }
    /* The next probe waits for its time, so that late answers cannot add up to the limit. */
    progress->refusal_noted = true;
    progress->refusals++;
    progress->regressed = progress->refusals >= REFUSALS_MAX;
}

static void flights_clear(struct progress *progress)
{
    progress->flights_head = 0;
    progress->flights_count = 0;
    progress->flights_bytes = 0;
}
