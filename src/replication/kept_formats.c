/* SPDX-License-Identifier: Apache-2.0 */
/* See kept_formats.h. Each is sealed (base/sealed.h). */
#include "replication/kept_formats.h"

#include "base/check.h"
#include "base/sealed.h"
#include "replication/keeper.h"
#include "replication/speakers.h"

enum {
    STATE_VERSION_FIRST = 1,  /* without the cluster epoch */
    MARKS_VERSION_FIRST = 1,  /* without the anchor */
    MARKS_VERSION_ANCHOR = 2, /* without its fingerprint */
};

static const struct sealed_format STATE_SEAL = {
    .magic = 0x50454b49, /* "IKEP" */
    .magic_size = 4,
    .oldest = STATE_VERSION_FIRST,
    .newest = 2,
    .size_max = 512,
};
static const struct sealed_format MARKS_SEAL = {
    .magic = 0x4b524d49, /* "IMRK" */
    .magic_size = 4,
    .oldest = MARKS_VERSION_FIRST,
    .newest = 3,
    .size_max = 512,
};
static const struct sealed_format SPEAKERS_SEAL = {
    .magic = 0x424d4d49, /* "IMMB" */
    .magic_size = 4,
    .oldest = 1,
    .newest = 1,
    .size_max = KEPT_FILE_SIZE_MAX,
};

static void encode_state(const void *value, struct buf *out);
static enum error decode_state(struct slice bytes, void *value_out);
static void encode_marks(const void *value, struct buf *out);
static enum error decode_marks(struct slice bytes, void *value_out);
static void encode_speakers(const void *value, struct buf *out);
static enum error decode_speakers(struct slice bytes, void *value_out);
static void put_position(struct buf *buf, struct position position);
static struct position get_position(struct reader *reader);

const struct kept_format KEPT_STATE = {.encode = encode_state, .decode = decode_state};
const struct kept_format KEPT_MARKS = {.encode = encode_marks, .decode = decode_marks};
const struct kept_format KEPT_SPEAKERS = {.encode = encode_speakers, .decode = decode_speakers};

static void encode_state(const void *value, struct buf *out)
{
    const struct keeper_state *state = value;
    CHECK(state->goal_role < GOAL_ROLE_COUNT);
    CHECK(!state->building || state->incarnation.value != 0);
    sealed_begin(&STATE_SEAL, out);
    buf_put_u64(out, state->epoch.value);
    buf_put_u64(out, state->goal_index);
    buf_put_u8(out, (uint8_t)state->goal_role);
    buf_put_u32(out, state->cut_from.value);
    buf_put_u64(out, state->cut_epoch.value);
    buf_put_u64(out, state->fenced_epoch.value);
    buf_put_u64(out, state->incarnation.value);
    buf_put_u8(out, state->building ? 1 : 0);
    buf_put_u64(out, state->writable_epoch.value);
    buf_put_u64(out, state->promoted_fork.epoch);
    buf_put_u32(out, state->promoted_fork.timeline);
    buf_put_u32(out, state->promoted_fork.parent_timeline);
    buf_put_u64(out, state->promoted_fork.fork_lsn);
    buf_put_u32(out, state->cluster_epoch);
    sealed_end(&STATE_SEAL, out);
}

static enum error decode_state(struct slice bytes, void *value_out)
{
    struct keeper_state state = {0};
    struct reader reader;
    uint32_t version = 0;
    TRY(sealed_open(&STATE_SEAL, bytes, &version, &reader));
    state.epoch.value = reader_u64(&reader);
    state.goal_index = reader_u64(&reader);
    uint8_t role = reader_u8(&reader);
    state.cut_from.value = reader_u32(&reader);
    state.cut_epoch.value = reader_u64(&reader);
    state.fenced_epoch.value = reader_u64(&reader);
    state.incarnation.value = reader_u64(&reader);
    uint8_t building = reader_u8(&reader);
    state.writable_epoch.value = reader_u64(&reader);
    state.promoted_fork.epoch = reader_u64(&reader);
    state.promoted_fork.timeline = reader_u32(&reader);
    state.promoted_fork.parent_timeline = reader_u32(&reader);
    state.promoted_fork.fork_lsn = reader_u64(&reader);
    state.cluster_epoch = version == STATE_VERSION_FIRST ? 0 : reader_u32(&reader);
    if (role >= GOAL_ROLE_COUNT || building > 1) {
        return ERR_CORRUPT;
    }
    state.goal_role = (enum goal_role)role;
    state.building = building == 1;
    TRY(reader_finish(&reader));
    *(struct keeper_state *)value_out = state;
    return ERR_OK;
}

static void encode_marks(const void *value, struct buf *out)
{
    const struct kept_marks *kept = value;
    const struct marks *marks = &kept->marks;
    CHECK(marks->count <= MARKS_MAX);
    sealed_begin(&MARKS_SEAL, out);
    put_position(out, marks->acked);
    buf_put_u32(out, marks->count);
    for (uint32_t i = 0; i < marks->count; i++) {
        buf_put_u32(out, marks->items[i].instance.value);
        buf_put_u64(out, marks->items[i].incarnation.value);
        put_position(out, marks->items[i].position);
    }
    buf_put_u64(out, kept->anchor.incarnation);
    put_position(out, kept->anchor.position);
    buf_put_u64(out, kept->anchor.writable_epoch);
    buf_put_u64(out, kept->anchor.fingerprint);
    sealed_end(&MARKS_SEAL, out);
}

static enum error decode_marks(struct slice bytes, void *value_out)
{
    struct kept_marks kept = {0};
    struct marks *marks = &kept.marks;
    struct reader reader;
    uint32_t version = 0;
    TRY(sealed_open(&MARKS_SEAL, bytes, &version, &reader));
    marks->acked = get_position(&reader);
    marks->count = reader_u32(&reader);
    if (marks->count > MARKS_MAX) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < marks->count; i++) {
        marks->items[i].instance.value = reader_u32(&reader);
        marks->items[i].incarnation.value = reader_u64(&reader);
        marks->items[i].position = get_position(&reader);
    }
    if (version > MARKS_VERSION_FIRST) {
        kept.anchor.incarnation = reader_u64(&reader);
        kept.anchor.position = get_position(&reader);
        kept.anchor.writable_epoch = reader_u64(&reader);
        kept.anchor.fingerprint = version > MARKS_VERSION_ANCHOR ? reader_u64(&reader) : 0;
    }
    TRY(reader_finish(&reader));
    *(struct kept_marks *)value_out = kept;
    return ERR_OK;
}

static void encode_speakers(const void *value, struct buf *out)
{
    const struct speakers *speakers = value;
    CHECK(speakers->count <= SPEAKERS_MAX);
    sealed_begin(&SPEAKERS_SEAL, out);
    buf_put_u8(out, (uint8_t)speakers->mode);
    buf_put_u32(out, speakers->count);
    for (uint32_t i = 0; i < speakers->count; i++) {
        buf_put_u64(out, speakers->items[i].id.hi);
        buf_put_u64(out, speakers->items[i].id.lo);
        buf_put_string(out, speakers->items[i].name);
        buf_put_string(out, speakers->items[i].api_address);
    }
    sealed_end(&SPEAKERS_SEAL, out);
}

static enum error decode_speakers(struct slice bytes, void *value_out)
{
    struct speakers speakers = {0};
    struct reader reader;
    uint32_t version = 0;
    TRY(sealed_open(&SPEAKERS_SEAL, bytes, &version, &reader));
    uint8_t mode = reader_u8(&reader);
    speakers.count = reader_u32(&reader);
    if (mode > SHARD_ASYNC || speakers.count > SPEAKERS_MAX) {
        return ERR_CORRUPT;
    }
    speakers.mode = (enum shard_mode)mode;
    for (uint32_t i = 0; i < speakers.count; i++) {
        struct speaker *speaker = &speakers.items[i];
        speaker->id.hi = reader_u64(&reader);
        speaker->id.lo = reader_u64(&reader);
        reader_string(&reader, speaker->name, sizeof(speaker->name));
        reader_string(&reader, speaker->api_address, sizeof(speaker->api_address));
    }
    TRY(reader_finish(&reader));
    *(struct speakers *)value_out = speakers;
    return ERR_OK;
}

static void put_position(struct buf *buf, struct position position)
{
    buf_put_u32(buf, position.timeline);
    buf_put_u64(buf, position.lsn);
}

static struct position get_position(struct reader *reader)
{
    uint32_t timeline = reader_u32(reader);
    uint64_t lsn = reader_u64(reader);
    return (struct position){.timeline = timeline, .lsn = lsn};
}
