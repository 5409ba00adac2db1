/* SPDX-License-Identifier: Apache-2.0 */
/* See state_file.h. Layout: magic, version, fields by the codec, XXH3 over all before it. */
#include "replication/state_file.h"

#include "base/check.h"
#include "base/hash.h"
#include "replication/durable_file.h"

#include <string.h>

enum {
    STATE_VERSION = 2,
    STATE_VERSION_FIRST = 1, /* without the cluster epoch */
    STATE_SIZE_MAX = 512,
    CHECKSUM_SIZE = 8,
};

#define STATE_MAGIC UINT32_C(0x50454b49) /* "IKEP" */

static enum error decode(struct slice bytes, struct keeper_state *state);

enum error state_file_load(const char *path, struct keeper_state *state_out)
{
    uint8_t bytes[STATE_SIZE_MAX];
    size_t len = 0;
    struct keeper_state state = {0};

    enum error error = durable_file_read(path, bytes, sizeof(bytes), &len);
    if (error == ERR_LIMIT) {
        return ERR_CORRUPT;
    }
    TRY(error);
    TRY(decode(slice_of(bytes, len), &state));
    *state_out = state;
    return ERR_OK;
}

enum error state_file_save(const char *path, const struct keeper_state *state)
{
    struct buf buf = {0};

    CHECK(state->goal_role < GOAL_ROLE_COUNT);
    CHECK(!state->building || state->incarnation.value != 0);
    buf_put_u32(&buf, STATE_MAGIC);
    buf_put_u32(&buf, STATE_VERSION);
    buf_put_u64(&buf, state->epoch.value);
    buf_put_u64(&buf, state->goal_index);
    buf_put_u8(&buf, (uint8_t)state->goal_role);
    buf_put_u32(&buf, state->cut_from.value);
    buf_put_u64(&buf, state->cut_epoch.value);
    buf_put_u64(&buf, state->fenced_epoch.value);
    buf_put_u64(&buf, state->incarnation.value);
    buf_put_u8(&buf, state->building ? 1 : 0);
    buf_put_u64(&buf, state->writable_epoch.value);
    buf_put_u64(&buf, state->promoted_fork.epoch);
    buf_put_u32(&buf, state->promoted_fork.timeline);
    buf_put_u32(&buf, state->promoted_fork.parent_timeline);
    buf_put_u64(&buf, state->promoted_fork.fork_lsn);
    buf_put_u32(&buf, state->cluster_epoch);
    buf_put_u64(&buf, hash_xxh3(buf.data, buf.len, 0));
    enum error error = durable_file_write(path, buf.data, buf.len, NULL);
    buf_deinit(&buf);
    return error;
}

static enum error decode(struct slice bytes, struct keeper_state *state)
{
    if (bytes.len < CHECKSUM_SIZE) {
        return ERR_CORRUPT;
    }
    struct slice body = slice_of(bytes.data, bytes.len - CHECKSUM_SIZE);
    struct reader tail = reader_of(slice_of(bytes.data + body.len, CHECKSUM_SIZE));
    if (reader_u64(&tail) != hash_xxh3(body.data, body.len, 0)) {
        return ERR_CORRUPT;
    }
    struct reader reader = reader_of(body);
    if (reader_u32(&reader) != STATE_MAGIC) {
        return ERR_CORRUPT;
    }
    uint32_t version = reader_u32(&reader);
    if (version < STATE_VERSION_FIRST || version > STATE_VERSION) {
        return ERR_VERSION;
    }
    state->epoch.value = reader_u64(&reader);
    state->goal_index = reader_u64(&reader);
    uint8_t role = reader_u8(&reader);
    state->cut_from.value = reader_u32(&reader);
    state->cut_epoch.value = reader_u64(&reader);
    state->fenced_epoch.value = reader_u64(&reader);
    state->incarnation.value = reader_u64(&reader);
    uint8_t building = reader_u8(&reader);
    state->writable_epoch.value = reader_u64(&reader);
    state->promoted_fork.epoch = reader_u64(&reader);
    state->promoted_fork.timeline = reader_u32(&reader);
    state->promoted_fork.parent_timeline = reader_u32(&reader);
    state->promoted_fork.fork_lsn = reader_u64(&reader);
    state->cluster_epoch = version == STATE_VERSION_FIRST ? 0 : reader_u32(&reader);
    if (role >= GOAL_ROLE_COUNT || building > 1) {
        return ERR_CORRUPT;
    }
    state->goal_role = (enum goal_role)role;
    state->building = building == 1;
    return reader_finish(&reader);
}
