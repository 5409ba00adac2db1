/* SPDX-License-Identifier: Apache-2.0 */
/* The row of a failover; see state/row.h. */
#include "base/check.h"
#include "state/row_internal.h"

#include <string.h>

void row_put_failover(struct buf *buf, const struct failover *failover)
{
    CHECK(failover->reports_count <= SHARD_INSTANCES_MAX);
    buf_put_u8(buf, ROW_VERSION_TRIED);
    buf_put_u64(buf, failover->id);
    buf_put_u32(buf, failover->shard.value);
    buf_put_u64(buf, failover->epoch.value);
    buf_put_u8(buf, (uint8_t)failover->step);
    buf_put_u8(buf, (uint8_t)failover->cause);
    buf_put_u8(buf, (uint8_t)failover->proof);
    buf_put_u8(buf, failover->in_place);
    buf_put_u32(buf, failover->old_primary.value);
    buf_put_u64(buf, failover->old_epoch.value);
    buf_put_u32(buf, failover->candidate.value);
    buf_put_u32(buf, failover->timeline);
    put_position(buf, failover->acked_floor);
    buf_put_u32(buf, failover->reports_count);
    for (uint32_t i = 0; i < failover->reports_count; i++) {
        put_report(buf, &failover->reports[i]);
    }
    buf_put_u64(buf, failover->loss_bound_bytes);
    buf_put_string(buf, failover->evidence);
    buf_put_string(buf, failover->reason);
    buf_put_u64(buf, failover->detected_wall_ms);
    buf_put_u32(buf, FAILOVER_STEP_COUNT);
    for (uint32_t i = 0; i < FAILOVER_STEP_COUNT; i++) {
        buf_put_u64(buf, failover->step_wall_ms[i]);
    }
    buf_put_u8(buf, failover->witnessed);
    put_report(buf, &failover->own);
    put_marks(buf, &failover->marks);
    buf_put_string(buf, failover->could_lose);
    buf_put_u32(buf, failover->in_place_row);
    buf_put_u64(buf, failover->confirmed_wall_ms);
}

void row_get_failover(struct slice bytes, struct failover *failover_out)
{
    struct reader reader = row_open(bytes, ROW_VERSION_TRIED);
    struct failover *to = failover_out;
    memset(to, 0, sizeof(*to));
    to->id = reader_u64(&reader);
    to->shard.value = reader_u32(&reader);
    to->epoch.value = reader_u64(&reader);
    to->step = (enum failover_step)reader_u8(&reader);
    to->cause = (enum failover_cause)reader_u8(&reader);
    to->proof = (enum exclusion_proof)reader_u8(&reader);
    to->in_place = reader_u8(&reader) != 0;
    to->old_primary.value = reader_u32(&reader);
    to->old_epoch.value = reader_u64(&reader);
    to->candidate.value = reader_u32(&reader);
    to->timeline = reader_u32(&reader);
    to->acked_floor = get_position(&reader);
    to->reports_count = get_count(&reader, SHARD_INSTANCES_MAX);
    for (uint32_t i = 0; i < to->reports_count; i++) {
        get_report(&reader, &to->reports[i]);
    }
    to->loss_bound_bytes = reader_u64(&reader);
    reader_string(&reader, to->evidence, sizeof(to->evidence));
    reader_string(&reader, to->reason, sizeof(to->reason));
    to->detected_wall_ms = reader_u64(&reader);
    uint32_t steps = get_count(&reader, FAILOVER_STEP_COUNT);
    for (uint32_t i = 0; i < steps; i++) {
        to->step_wall_ms[i] = reader_u64(&reader);
    }
    if (bytes.data[0] >= ROW_VERSION_MARKS) {
        to->witnessed = reader_u8(&reader) != 0;
        get_report(&reader, &to->own);
        get_marks(&reader, &to->marks);
    }
    if (bytes.data[0] >= ROW_VERSION_LAPSE) {
        reader_string(&reader, to->could_lose, sizeof(to->could_lose));
    }
    if (bytes.data[0] >= ROW_VERSION_TRIED) {
        to->in_place_row = reader_u32(&reader);
        to->confirmed_wall_ms = reader_u64(&reader);
    }
    row_close(&reader);
}
