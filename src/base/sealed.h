/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of our small files: magic, version, the fields by the codec, XXH3 over all before it.
 * A file that was damaged, cut short or made longer is never taken for one that was written. What
 * the fields are is the format's own matter; where the bytes lie is their owner's. */
#ifndef INDABA_BASE_SEALED_H
#define INDABA_BASE_SEALED_H

#include "base/buf.h"

struct sealed_format {
    uint64_t magic;
    uint32_t magic_size; /* 4 or 8 bytes */
    uint32_t oldest;     /* versions that are read */
    uint32_t newest;     /* … and the one that is written */
    size_t size_max;     /* of a whole file */
};

/* Into an empty buffer: what stands before the fields. */
void sealed_begin(const struct sealed_format *format, struct buf *out);
/* After the fields. */
void sealed_end(const struct sealed_format *format, struct buf *out);

/* ERR_CORRUPT: damaged, or none of this format. ERR_VERSION: whole, but of a version that is not
 * read. Else the fields, borrowed from `bytes`, and of which version they are; who has read them
 * asks reader_finish. */
MUST_CHECK enum error sealed_open(const struct sealed_format *format,
                                  struct slice bytes,
                                  uint32_t *version_out,
                                  struct reader *fields_out);

#endif
