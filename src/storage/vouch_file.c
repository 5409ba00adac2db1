/* SPDX-License-Identifier: Apache-2.0 */
/* See vouch_file.h. A short list, sealed (base/sealed.h). */
#include "storage/vouch_file.h"

#include "base/check.h"
#include "base/sealed.h"
#include "storage/small_file.h"

#include <string.h>

enum {
    SIZE_MAX_BYTES = 16 * 1024,
};

static const char NAME[] = "vouched";

static const struct sealed_format SEAL = {
    .magic = 0x31484355564e49ULL, /* "INVUCH1" */
    .magic_size = 8,
    .oldest = 1,
    .newest = 1,
    .size_max = SIZE_MAX_BYTES,
};

static void encode(const struct vouches *vouches, struct buf *out);
static enum error decode(struct slice bytes, struct vouches *vouches_out);

enum error vouch_file_read(const struct disk *disk,
                           const char *folder,
                           struct reason *reason,
                           struct vouches *vouches_out)
{
    char path[SMALL_FILE_PATH_SIZE];
    struct buf bytes = {0};
    enum error error =
        small_file_read(disk, small_file_path(folder, NAME, path), SIZE_MAX_BYTES, &bytes);
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
    struct buf bytes = {0};
    encode(vouches, &bytes);
    enum error error = small_file_replace(disk, folder, NAME, buf_view(&bytes));
    buf_deinit(&bytes);
    return error == ERR_OK
               ? error
               : reason_set(
                     reason, error, "cannot write %s/%s: %s", folder, NAME, error_text(error));
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

static void encode(const struct vouches *vouches, struct buf *out)
{
    CHECK(vouches->count <= VOUCHES_MAX);
    sealed_begin(&SEAL, out);
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
    sealed_end(&SEAL, out);
}

static enum error decode(struct slice bytes, struct vouches *vouches_out)
{
    struct reader reader;
    struct vouches vouches = {0};
    uint32_t version = 0;
    TRY(sealed_open(&SEAL, bytes, &version, &reader));
    vouches.count = reader_u32(&reader);
    if (vouches.count > VOUCHES_MAX) {
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
    TRY(reader_finish(&reader));
    *vouches_out = vouches;
    return ERR_OK;
}
