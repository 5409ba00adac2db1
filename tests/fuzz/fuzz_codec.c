/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes given to a reader: it stays inside them, and a failure sticks. The first byte of each
 * step says what to read next, so that the fuzzer steers the decoder. */
#include "base/buf.h"
#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_of(slice_of(data, size));
    char text[16];

    while (!reader.failed && reader.offset < reader.len) {
        struct slice bytes;
        switch (reader_u8(&reader) % 5) {
        case 0:
            (void)reader_u8(&reader);
            break;
        case 1:
            (void)reader_u32(&reader);
            break;
        case 2:
            (void)reader_u64(&reader);
            break;
        case 3:
            bytes = reader_bytes(&reader);
            CHECK(bytes.len <= size);
            CHECK(bytes.len == 0 || (bytes.data > data && bytes.data + bytes.len <= data + size));
            break;
        default:
            reader_string(&reader, text, sizeof(text));
            CHECK(strlen(text) < sizeof(text));
            break;
        }
    }
    if (reader.failed) {
        CHECK(reader_u64(&reader) == 0);
        CHECK(reader_finish(&reader) == ERR_CORRUPT);
    }
    return 0;
}
