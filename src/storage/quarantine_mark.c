/* SPDX-License-Identifier: Apache-2.0 */
/* See quarantine_mark.h. A few numbers, sealed (base/sealed.h). */
#include "storage/quarantine_mark.h"

#include "base/check.h"
#include "base/sealed.h"
#include "storage/small_file.h"

#include <inttypes.h>

enum {
    MARK_SIZE = 8 + 4 + 8 + 8 + 8 + 1 + 8,
};

static const char NAME[] = "quarantine";

static const struct sealed_format SEAL = {
    .magic = 0x3154515341444e49ULL, /* "INDASQT1" */
    .magic_size = 8,
    .oldest = 1,
    .newest = 1,
    .size_max = MARK_SIZE,
};

static void encode(const struct quarantine_mark *mark, struct buf *out);
static enum error
decode(struct slice bytes, const char *path, struct reason *reason, struct quarantine_mark *out);

enum error quarantine_mark_read(const struct disk *disk,
                                const char *folder,
                                struct reason *reason,
                                struct quarantine_mark *mark_out)
{
    char path[SMALL_FILE_PATH_SIZE];
    struct buf bytes = {0};
    enum error error =
        small_file_read(disk, small_file_path(folder, NAME, path), MARK_SIZE, &bytes);
    if (error == ERR_OK || error == ERR_CORRUPT) {
        error = decode(buf_view(&bytes), path, reason, mark_out);
    } else {
        (void)reason_set(reason, error, "cannot read %s: %s", path, error_text(error));
    }
    buf_deinit(&bytes);
    return error;
}

enum error quarantine_mark_write(const struct disk *disk,
                                 const char *folder,
                                 const struct quarantine_mark *mark,
                                 struct reason *reason)
{
    CHECK(mark->index > 0);
    struct buf bytes = {0};
    encode(mark, &bytes);
    enum error error = small_file_replace(disk, folder, NAME, buf_view(&bytes));
    buf_deinit(&bytes);
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot write %s/%s: %s", folder, NAME, error_text(error));
    }
    return ERR_OK;
}

enum error
quarantine_mark_remove(const struct disk *disk, const char *folder, struct reason *reason)
{
    char path[SMALL_FILE_PATH_SIZE];
    (void)small_file_path(folder, NAME, path);
    enum error error = disk->remove(disk->ctx, path);
    if (error == ERR_OK || error == ERR_NOT_FOUND) {
        error = disk->sync_dir(disk->ctx, folder);
    }
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot remove %s: %s", path, error_text(error));
    }
    return ERR_OK;
}

static void encode(const struct quarantine_mark *mark, struct buf *out)
{
    sealed_begin(&SEAL, out);
    buf_put_u64(out, mark->index);
    buf_put_u64(out, mark->ours);
    buf_put_u64(out, mark->theirs);
    buf_put_u8(out, mark->rebuilt);
    sealed_end(&SEAL, out);
    CHECK(out->len == MARK_SIZE);
}

static enum error
decode(struct slice bytes, const char *path, struct reason *reason, struct quarantine_mark *out)
{
    struct reader reader = {0};
    struct quarantine_mark mark = {0};
    uint32_t version = 0;
    uint8_t rebuilt = 0;
    enum error error = sealed_open(&SEAL, bytes, &version, &reader);
    if (error == ERR_OK) {
        mark.index = reader_u64(&reader);
        mark.ours = reader_u64(&reader);
        mark.theirs = reader_u64(&reader);
        rebuilt = reader_u8(&reader);
        mark.rebuilt = rebuilt == 1;
        error = reader_finish(&reader);
    }
    if (error == ERR_VERSION) {
        return reason_set(
            reason, ERR_VERSION, "%s is of a newer version of indaba: start that version", path);
    }
    if (error != ERR_OK || rebuilt > 1 || mark.index == 0) {
        return reason_set(reason,
                          ERR_CORRUPT,
                          "%s is damaged: this member was in quarantine, and how far it had got is "
                          "not known. Join as a new member",
                          path);
    }
    *out = mark;
    return ERR_OK;
}
