/* SPDX-License-Identifier: Apache-2.0 */
/* See speakers_file.h. Layout: magic, version, fields by the codec, XXH3 over all before it. */
#include "replication/speakers_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "replication/durable_file.h"

#include <string.h>

enum {
    SPEAKERS_VERSION = 1,
    SPEAKERS_SIZE_MAX = 8 * 1024,
    CHECKSUM_SIZE = 8,
};

#define SPEAKERS_MAGIC UINT32_C(0x424d4d49) /* "IMMB" */

static enum error decode(struct slice bytes, struct speakers *speakers);

enum error speakers_file_load(const char *path, struct speakers *speakers_out)
{
    uint8_t bytes[SPEAKERS_SIZE_MAX];
    size_t len = 0;
    struct speakers speakers = {0};
    enum error error = durable_file_read(path, bytes, sizeof(bytes), &len);
    if (error == ERR_LIMIT) {
        return ERR_CORRUPT;
    }
    TRY(error);
    TRY(decode(slice_of(bytes, len), &speakers));
    *speakers_out = speakers;
    return ERR_OK;
}

enum error speakers_file_save(const char *path, const struct speakers *speakers)
{
    struct buf buf = {0};
    CHECK(speakers->count <= SPEAKERS_MAX);
    buf_put_u32(&buf, SPEAKERS_MAGIC);
    buf_put_u32(&buf, SPEAKERS_VERSION);
    buf_put_u8(&buf, (uint8_t)speakers->mode);
    buf_put_u32(&buf, speakers->count);
    for (uint32_t i = 0; i < speakers->count; i++) {
        buf_put_u64(&buf, speakers->items[i].id.hi);
        buf_put_u64(&buf, speakers->items[i].id.lo);
        buf_put_string(&buf, speakers->items[i].name);
        buf_put_string(&buf, speakers->items[i].api_address);
    }
    buf_put_u64(&buf, hash_xxh3(buf.data, buf.len, 0));
    CHECK(buf.len <= SPEAKERS_SIZE_MAX);
    enum error error = durable_file_write(path, buf.data, buf.len, NULL);
    buf_deinit(&buf);
    return error;
}

static enum error decode(struct slice bytes, struct speakers *speakers)
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
    if (reader_u32(&reader) != SPEAKERS_MAGIC) {
        return ERR_CORRUPT;
    }
    if (reader_u32(&reader) != SPEAKERS_VERSION) {
        return ERR_VERSION;
    }
    uint8_t mode = reader_u8(&reader);
    speakers->count = reader_u32(&reader);
    if (mode > SHARD_ASYNC || speakers->count > SPEAKERS_MAX) {
        return ERR_CORRUPT;
    }
    speakers->mode = (enum shard_mode)mode;
    for (uint32_t i = 0; i < speakers->count; i++) {
        struct speaker *speaker = &speakers->items[i];
        speaker->id.hi = reader_u64(&reader);
        speaker->id.lo = reader_u64(&reader);
        reader_string(&reader, speaker->name, sizeof(speaker->name));
        reader_string(&reader, speaker->api_address, sizeof(speaker->api_address));
    }
    return reader_finish(&reader);
}
