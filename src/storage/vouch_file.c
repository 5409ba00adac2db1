/* SPDX-License-Identifier: Apache-2.0 */
/* See vouch_file.h. A short list with a checksum, written beside and renamed. */
#include "storage/vouch_file.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"

#include <stdio.h>
#include <string.h>

enum {
    FORMAT = 1,
    PATH_SIZE = 1024,
    SIZE_MAX_BYTES = 16 * 1024,
};

static const uint64_t MAGIC = 0x31484355564e49ULL; /* "INVUCH1" */

static void path_of(const char *folder, const char *suffix, char *path_out);
static enum error read_file(const struct disk *disk, const char *path, struct buf *bytes_out);
static enum error write_file(const struct disk *disk, const char *path, struct slice bytes);
static void encode(const struct vouches *vouches, struct buf *out);
static enum error decode(struct slice bytes, struct vouches *vouches_out);

enum error vouch_file_read(const struct disk *disk,
                           const char *folder,
                           struct reason *reason,
                           struct vouches *vouches_out)
{
    char path[PATH_SIZE];
    struct buf bytes = {0};
    path_of(folder, "", path);
    enum error error = read_file(disk, path, &bytes);
    if (error == ERR_NOT_FOUND) {
        *vouches_out = (struct vouches){0};
        return ERR_OK;
    }
    if (error == ERR_OK) {
        error = decode(buf_view(&bytes), vouches_out);
    }
    buf_deinit(&bytes);
    return error == ERR_OK
               ? error
               : reason_set(reason,
                            error,
                            "cannot read %s: %s: remove it, and vouch again for whom you must",
                            path,
                            error_text(error));
}

enum error vouch_file_write(const struct disk *disk,
                            const char *folder,
                            const struct vouches *vouches,
                            struct reason *reason)
{
    char path[PATH_SIZE];
    char draft[PATH_SIZE];
    struct buf bytes = {0};
    path_of(folder, "", path);
    path_of(folder, ".tmp", draft);
    encode(vouches, &bytes);
    enum error error = write_file(disk, draft, buf_view(&bytes));
    buf_deinit(&bytes);
    if (error == ERR_OK) {
        error = disk->rename(disk->ctx, draft, path);
    }
    if (error == ERR_OK) {
        error = disk->sync_dir(disk->ctx, folder);
    }
    return error == ERR_OK
               ? error
               : reason_set(reason, error, "cannot write %s: %s", path, error_text(error));
}

enum error vouches_add(struct vouches *vouches, const struct vouch *vouch)
{
    uint32_t at = 0;
    while (at < vouches->count && strcmp(vouches->items[at].name, vouch->name) != 0) {
        at++;
    }
    if (at == VOUCHES_MAX) {
        return ERR_EXHAUSTED;
    }
    vouches->items[at] = *vouch;
    vouches->count += at == vouches->count;
    return ERR_OK;
}

static void path_of(const char *folder, const char *suffix, char *path_out)
{
    int len = snprintf(path_out, PATH_SIZE, "%s/vouched%s", folder, suffix);
    CHECK(len > 0 && len < PATH_SIZE);
}

static enum error read_file(const struct disk *disk, const char *path, struct buf *bytes_out)
{
    int file;
    uint64_t size = 0;
    TRY(disk->open(disk->ctx, path, DISK_OPEN_READ, &file));
    enum error error = disk->size(disk->ctx, file, &size);
    if (error == ERR_OK && size > SIZE_MAX_BYTES) {
        error = ERR_CORRUPT;
    }
    if (error == ERR_OK) {
        buf_reserve(bytes_out, (size_t)size);
        error = disk->read(disk->ctx, file, bytes_out->data, (size_t)size, 0);
        bytes_out->len = error == ERR_OK ? (size_t)size : 0;
    }
    disk->close(disk->ctx, file);
    return error;
}

static enum error write_file(const struct disk *disk, const char *path, struct slice bytes)
{
    int file;
    TRY(disk->open(disk->ctx, path, DISK_CREATE, &file));
    enum error error = disk->write(disk->ctx, file, bytes.data, bytes.len, 0);
    if (error == ERR_OK) {
        error = disk->sync(disk->ctx, file);
    }
    disk->close(disk->ctx, file);
    return error;
}

static void encode(const struct vouches *vouches, struct buf *out)
{
    CHECK(vouches->count <= VOUCHES_MAX);
    buf_put_u64(out, MAGIC);
    buf_put_u32(out, FORMAT);
    buf_put_u32(out, vouches->count);
    for (uint32_t i = 0; i < vouches->count; i++) {
        const struct vouch *vouch = &vouches->items[i];
        buf_put_u64(out, vouch->id.hi);
        buf_put_u64(out, vouch->id.lo);
        buf_put_string(out, vouch->name);
        buf_put_string(out, vouch->by);
        buf_put_string(out, vouch->reason);
        buf_put_u64(out, vouch->wall_ms);
    }
    buf_put_u64(out, hash_xxh3(out->data, out->len, 0));
    CHECK(out->len <= SIZE_MAX_BYTES);
}

static enum error decode(struct slice bytes, struct vouches *vouches_out)
{
    struct reader reader = reader_of(bytes);
    struct vouches vouches = {0};
    uint64_t magic = reader_u64(&reader);
    uint32_t format = reader_u32(&reader);
    if (!reader.failed && magic == MAGIC && format > FORMAT) {
        return ERR_VERSION;
    }
    vouches.count = reader_u32(&reader);
    if (magic != MAGIC || format != FORMAT || vouches.count > VOUCHES_MAX) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < vouches.count; i++) {
        struct vouch *vouch = &vouches.items[i];
        vouch->id.hi = reader_u64(&reader);
        vouch->id.lo = reader_u64(&reader);
        reader_string(&reader, vouch->name, sizeof(vouch->name));
        reader_string(&reader, vouch->by, sizeof(vouch->by));
        reader_string(&reader, vouch->reason, sizeof(vouch->reason));
        vouch->wall_ms = reader_u64(&reader);
    }
    size_t body = reader.offset;
    uint64_t check = reader_u64(&reader);
    TRY(reader_finish(&reader));
    if (check != hash_xxh3(bytes.data, body, 0)) {
        return ERR_CORRUPT;
    }
    *vouches_out = vouches;
    return ERR_OK;
}
