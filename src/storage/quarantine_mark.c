/* SPDX-License-Identifier: Apache-2.0 */
/* See quarantine_mark.h. A few numbers with a checksum, written beside and renamed. */
#include "storage/quarantine_mark.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    FORMAT = 1,
    PATH_SIZE = 1024,
    MARK_SIZE = 8 + 4 + 8 + 8 + 8 + 1 + 8,
};

static const uint64_t MAGIC = 0x3154515341444e49ULL; /* "INDASQT1" */

static void path_of(const char *folder, const char *suffix, char *path_out);
static void encode(const struct quarantine_mark *mark, struct buf *out);
static enum error
decode(struct slice bytes, const char *path, struct reason *reason, struct quarantine_mark *out);
static enum error write_file(const struct disk *disk, const char *path, struct slice bytes);

enum error quarantine_mark_read(const struct disk *disk,
                                const char *folder,
                                struct reason *reason,
                                struct quarantine_mark *mark_out)
{
    char path[PATH_SIZE];
    uint8_t bytes[MARK_SIZE + 1];
    uint64_t size = 0;
    int file;
    path_of(folder, "", path);
    enum error error = disk->open(disk->ctx, path, DISK_OPEN_READ, &file);
    if (error == ERR_OK) {
        error = disk->size(disk->ctx, file, &size);
        /* A longer file is none of ours, however it begins. */
        size = size < sizeof(bytes) ? size : sizeof(bytes);
        if (error == ERR_OK) {
            error = disk->read(disk->ctx, file, bytes, (size_t)size, 0);
        }
        disk->close(disk->ctx, file);
    }
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot read %s: %s", path, error_text(error));
    }
    return decode(slice_of(bytes, (size_t)size), path, reason, mark_out);
}

enum error quarantine_mark_write(const struct disk *disk,
                                 const char *folder,
                                 const struct quarantine_mark *mark,
                                 struct reason *reason)
{
    CHECK(mark->index > 0);
    char path[PATH_SIZE];
    char draft[PATH_SIZE];
    struct buf bytes = {0};
    path_of(folder, "", path);
    path_of(folder, ".tmp", draft);
    encode(mark, &bytes);
    enum error error = write_file(disk, draft, buf_view(&bytes));
    buf_deinit(&bytes);
    if (error == ERR_OK) {
        error = disk->rename(disk->ctx, draft, path);
    }
    if (error == ERR_OK) {
        error = disk->sync_dir(disk->ctx, folder);
    }
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot write %s: %s", path, error_text(error));
    }
    return ERR_OK;
}

enum error
quarantine_mark_remove(const struct disk *disk, const char *folder, struct reason *reason)
{
    char path[PATH_SIZE];
    path_of(folder, "", path);
    enum error error = disk->remove(disk->ctx, path);
    if (error == ERR_OK || error == ERR_NOT_FOUND) {
        error = disk->sync_dir(disk->ctx, folder);
    }
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot remove %s: %s", path, error_text(error));
    }
    return ERR_OK;
}

static void path_of(const char *folder, const char *suffix, char *path_out)
{
    int len = snprintf(path_out, PATH_SIZE, "%s/quarantine%s", folder, suffix);
    CHECK(len > 0 && len < PATH_SIZE);
}

static void encode(const struct quarantine_mark *mark, struct buf *out)
{
    buf_put_u64(out, MAGIC);
    buf_put_u32(out, FORMAT);
    buf_put_u64(out, mark->index);
    buf_put_u64(out, mark->ours);
    buf_put_u64(out, mark->theirs);
    buf_put_u8(out, mark->rebuilt);
    buf_put_u64(out, hash_xxh3(out->data, out->len, 0));
    CHECK(out->len == MARK_SIZE);
}

static enum error
decode(struct slice bytes, const char *path, struct reason *reason, struct quarantine_mark *out)
{
    struct reader reader = reader_of(bytes);
    uint64_t magic = reader_u64(&reader);
    uint32_t format = reader_u32(&reader);
    struct quarantine_mark mark = {.index = reader_u64(&reader)};
    mark.ours = reader_u64(&reader);
    mark.theirs = reader_u64(&reader);
    uint8_t rebuilt = reader_u8(&reader);
    uint64_t check = reader_u64(&reader);
    mark.rebuilt = rebuilt == 1;
    if (!reader.failed && magic == MAGIC && format > FORMAT) {
        return reason_set(
            reason, ERR_VERSION, "%s is of a newer version of indaba: start that version", path);
    }
    if (reader_finish(&reader) != ERR_OK || magic != MAGIC || format != FORMAT || rebuilt > 1 ||
        mark.index == 0 || check != hash_xxh3(bytes.data, MARK_SIZE - sizeof(check), 0)) {
        return reason_set(reason,
                          ERR_CORRUPT,
                          "%s is damaged: this member was in quarantine, and how far it had got is "
                          "not known. Join as a new member",
                          path);
    }
    *out = mark;
    return ERR_OK;
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
