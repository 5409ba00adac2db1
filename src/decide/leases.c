/* SPDX-License-Identifier: Apache-2.0 */
/* The reckoning of leases (safety.md 4). A renewal goes gathering -> reading -> ready -> answered:
 * gathering until a Raft read begun after its arrival takes it along, reading until that read is
 * confirmed, ready until the applied state reaches the read's index. */
#include "decide/leases.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

enum {
    /* 1.1 x L: rates of any two clocks differ by a factor of at most 1.1. */
    RATE_NUMERATOR = 11,
    RATE_DENOMINATOR = 10,
    /* One gathering and one under way per instance. */
    PENDING_MAX = SHARDS_MAX * SHARD_INSTANCES_MAX * 2,
};

enum stage {
    STAGE_GATHERING,
    STAGE_READING,
    STAGE_READY,
    STAGE_REFUSED
};

struct pending {
    enum stage stage;
    struct shard_id shard;
    struct instance_id instance;
    uint64_t session;
    struct renewal renewal;
    uint64_t read_id;
    uint64_t index;
};

struct lease_row {
    enum lease_state state; /* of (primary, epoch), applied */
    struct instance_id primary;
    struct epoch epoch;
    struct epoch closed_epoch; /* the epoch whose close was seen … */
    uint64_t closed_ms;        /* … and when */
    /* Of this office. */
    struct epoch proposed_epoch; /* a close of this epoch and all below was proposed */
    bool granted;
    uint64_t granted_ms; /* last renewal answered */
};

struct leases {
    struct lease_row *rows; /* by shard id; ids are dense from 1 */
    uint32_t rows_count;
    struct pending *pending;
    uint32_t pending_count;
    uint32_t pending_cap;
    uint32_t lease_ms;
    uint32_t lease_ms_max; /* L_wait */
    bool leader;
    uint64_t elected_ms;
    uint64_t applied_index;
    uint64_t read_id_last;
    bool read_under_way;
    struct leases_counts counts;
};

static struct lease_row *row_of(struct leases *leases, struct shard_id shard);
static const struct lease_row *row_find(const struct leases *leases, struct shard_id shard);
static bool may_grant(const struct leases *leases, const struct pending *pending);
static void pending_remove(struct leases *leases, uint32_t position);
static uint64_t remaining_since(const struct leases *leases, uint64_t since_ms, uint64_t now_ms);

struct leases *leases_new(void)
{
    return mem_new(sizeof(struct leases));
}

void leases_free(struct leases *leases)
{
    if (leases == NULL) {
        return;
    }
    mem_free(leases->rows);
    mem_free(leases->pending);
    mem_free(leases);
}

void leases_set_duration(struct leases *leases, uint32_t lease_ms)
{
    CHECK(lease_ms > 0);
    leases->lease_ms = lease_ms;
    if (lease_ms > leases->lease_ms_max) {
        leases->lease_ms_max = lease_ms;
    }
}

void leases_elected(struct leases *leases, uint64_t now_ms)
{
    CHECK(!leases->leader);
    leases->leader = true;
    leases->elected_ms = now_ms;
    leases->read_under_way = false;
    leases->pending_count = 0;
    for (uint32_t i = 0; i < leases->rows_count; i++) {
        leases->rows[i].proposed_epoch.value = 0;
        leases->rows[i].granted = false;
    }
}

void leases_stepped_down(struct leases *leases)
{
    leases->leader = false;
    leases->pending_count = 0;
    leases->read_under_way = false;
}

void leases_view_changed(struct leases *leases, const struct shard_view *view, uint64_t now_ms)
{
    struct lease_row *row = row_of(leases, view->shard.id);

    CHECK(view->shard.primary_epoch.value >= row->epoch.value);
    row->state = view->shard.lease;
    row->primary = view->shard.primary;
    row->epoch = view->shard.primary_epoch;
    if (row->state == LEASE_CLOSED && row->closed_epoch.value != row->epoch.value) {
        row->closed_epoch = row->epoch;
        row->closed_ms = now_ms;
    }
}

void leases_applied(struct leases *leases, uint64_t index)
{
    CHECK(index >= leases->applied_index);
    leases->applied_index = index;
}

void leases_close_proposed(struct leases *leases, struct shard_id shard, struct epoch epoch)
{
    struct lease_row *row = row_of(leases, shard);

    CHECK(leases->leader);
    if (epoch.value > row->proposed_epoch.value) {
        row->proposed_epoch = epoch;
    }
}

void leases_renewal(struct leases *leases,
                    struct shard_id shard,
                    struct instance_id instance,
                    uint64_t session,
                    const struct renewal *renewal)
{
    if (!leases->leader) {
        return;
    }
    for (uint32_t i = 0; i < leases->pending_count; i++) {
        struct pending *waiting = &leases->pending[i];
        if (waiting->stage == STAGE_GATHERING && waiting->shard.value == shard.value &&
            waiting->instance.value == instance.value) {
            waiting->session = session;
            waiting->renewal = *renewal;
            return;
        }
    }
    if (leases->pending_count == PENDING_MAX) {
        return;
    }
    if (leases->pending_count == leases->pending_cap) {
        leases->pending_cap = leases->pending_cap == 0 ? 16 : leases->pending_cap * 2;
        leases->pending =
            mem_resize(leases->pending, leases->pending_cap * sizeof(leases->pending[0]));
    }
    leases->pending[leases->pending_count++] = (struct pending){
        .stage = STAGE_GATHERING,
        .shard = shard,
        .instance = instance,
        .session = session,
        .renewal = *renewal,
    };
}

bool leases_next_read(struct leases *leases, uint64_t *read_id_out)
{
    bool any = false;

    if (!leases->leader || leases->read_under_way) {
        return false;
    }
    for (uint32_t i = 0; i < leases->pending_count; i++) {
        if (leases->pending[i].stage == STAGE_GATHERING) {
            leases->pending[i].stage = STAGE_READING;
            leases->pending[i].read_id = leases->read_id_last + 1;
            any = true;
        }
    }
    if (any) {
        leases->read_id_last++;
        leases->read_under_way = true;
        *read_id_out = leases->read_id_last;
    }
    return any;
}

void leases_read_ready(struct leases *leases, uint64_t read_id, uint64_t index, bool confirmed)
{
    CHECK(read_id <= leases->read_id_last);
    if (!leases->leader || read_id != leases->read_id_last) {
        return; /* of an earlier office */
    }
    leases->read_under_way = false;
    for (uint32_t i = 0; i < leases->pending_count; i++) {
        struct pending *waiting = &leases->pending[i];
        if (waiting->stage == STAGE_READING && waiting->read_id == read_id) {
            waiting->stage = confirmed ? STAGE_READY : STAGE_REFUSED;
            waiting->index = index;
        }
    }
}

bool leases_next_answer(struct leases *leases, uint64_t now_ms, struct lease_answer *answer_out)
{
    for (uint32_t i = 0; i < leases->pending_count; i++) {
        struct pending waiting = leases->pending[i];
        bool ready = waiting.stage == STAGE_READY && leases->applied_index >= waiting.index;
        if (!ready && waiting.stage != STAGE_REFUSED) {
            continue;
        }
        bool granted = ready && may_grant(leases, &waiting);
        pending_remove(leases, i);
        if (granted) {
            struct lease_row *row = row_of(leases, waiting.shard);
            row->granted = true;
            row->granted_ms = now_ms;
            leases->counts.granted++;
        } else {
            leases->counts.refused++;
        }
        *answer_out = (struct lease_answer){
            .session = waiting.session,
            .shard = waiting.shard,
            .instance = waiting.instance,
            .answer = {.id = waiting.renewal.id,
                       .granted = granted,
                       .epoch = waiting.renewal.epoch,
                       .lease_ms = leases->lease_ms},
        };
        return true;
    }
    return false;
}

bool leases_ended(const struct leases *leases, struct shard_id shard, uint64_t now_ms)
{
    return leases_remaining_ms(leases, shard, now_ms) == 0;
}

uint64_t leases_remaining_ms(const struct leases *leases, struct shard_id shard, uint64_t now_ms)
{
    const struct lease_row *row = row_find(leases, shard);

    if (row == NULL || row->state == LEASE_NONE) {
        return 0;
    }
    if (row->state == LEASE_OPEN || !leases->leader) {
        return UINT64_MAX;
    }
    CHECK(row->closed_epoch.value == row->epoch.value);
    uint64_t office_ms =
        row->granted && row->granted_ms > leases->elected_ms ? row->granted_ms : leases->elected_ms;
    uint64_t by_close = remaining_since(leases, row->closed_ms, now_ms);
    uint64_t by_office = remaining_since(leases, office_ms, now_ms);
    return by_close < by_office ? by_close : by_office;
}

struct leases_counts leases_counts(const struct leases *leases)
{
    return leases->counts;
}

static struct lease_row *row_of(struct leases *leases, struct shard_id shard)
{
    CHECK(shard.value > 0);
    CHECK(shard.value <= SHARDS_MAX);
    if (shard.value > leases->rows_count) {
        uint32_t count = leases->rows_count == 0 ? 16 : leases->rows_count;
        while (count < shard.value) {
            count *= 2;
        }
        leases->rows = mem_resize(leases->rows, count * sizeof(leases->rows[0]));
        memset(&leases->rows[leases->rows_count],
               0,
               (count - leases->rows_count) * sizeof(leases->rows[0]));
        leases->rows_count = count;
    }
    return &leases->rows[shard.value - 1];
}

static const struct lease_row *row_find(const struct leases *leases, struct shard_id shard)
{
    if (shard.value == 0 || shard.value > leases->rows_count) {
        return NULL;
    }
    return &leases->rows[shard.value - 1];
}

static bool may_grant(const struct leases *leases, const struct pending *pending)
{
    const struct lease_row *row = row_find(leases, pending->shard);

    return leases->leader && leases->lease_ms > 0 && row != NULL && row->state == LEASE_OPEN &&
           row->primary.value == pending->instance.value &&
           row->epoch.value == pending->renewal.epoch.value &&
           row->epoch.value > row->proposed_epoch.value;
}

static void pending_remove(struct leases *leases, uint32_t position)
{
    CHECK(position < leases->pending_count);
    leases->pending_count--;
    memmove(&leases->pending[position],
            &leases->pending[position + 1],
            (leases->pending_count - position) * sizeof(leases->pending[0]));
}

static uint64_t remaining_since(const struct leases *leases, uint64_t since_ms, uint64_t now_ms)
{
    uint64_t wait_ms = (uint64_t)leases->lease_ms_max * RATE_NUMERATOR / RATE_DENOMINATOR + 1;
    uint64_t passed_ms = now_ms > since_ms ? now_ms - since_ms : 0;

    return passed_ms >= wait_ms ? 0 : wait_ms - passed_ms;
}
