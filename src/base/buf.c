/* SPDX-License-Identifier: Apache-2.0 */
/* Slices, growable bytes and shared blobs. The codec that writes and reads them is in codec.c. */
#include "base/buf.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    BUF_CAP_MIN = 64
};

struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){.data = data, .len = len};
}

struct slice slice_of_string(const char *string)
{
    return slice_of(string, strlen(string));
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && slice_compare(a, b) == 0;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    /* memcmp may not be given NULL, which an empty slice may hold. */
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

void buf_deinit(struct buf *buf)
{
    mem_free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void buf_reserve(struct buf *buf, size_t more)
{
    CHECK(buf->len <= buf->cap);
    CHECK(more <= SIZE_MAX / 4 && buf->cap <= SIZE_MAX / 4);
    if (buf->cap - buf->len >= more) {
        return;
    }
    size_t cap = buf->cap < BUF_CAP_MIN ? BUF_CAP_MIN : buf->cap * 2;
    if (cap < buf->len + more) {
        cap = buf->len + more;
    }
    buf->data = mem_resize(buf->data, cap);
    buf->cap = cap;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (len == 0) {
        return;
    }
    buf_reserve(buf, len);
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void buf_append_string(struct buf *buf, const char *string)
{
    buf_append(buf, string, strlen(string));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    /* One byte more than it keeps, for vsnprintf's terminator. */
    buf_reserve(buf, (size_t)len + 1);
    int written = vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
    va_end(again);
    CHECK(written == len);
    buf->len += (size_t)len;
}

void buf_consume(struct buf *buf, size_t len)
{
    CHECK(len <= buf->len);
    buf->len -= len;
    if (buf->len > 0 && len > 0) {
        memmove(buf->data, buf->data + len, buf->len);
    }
}

struct slice buf_view(const struct buf *buf)
{
    return slice_of(buf->data, buf->len);
}

struct blob *blob_new(struct slice bytes)
{
    CHECK(bytes.len <= UINT32_MAX);
    struct blob *blob = mem_new(sizeof(*blob) + bytes.len);
    atomic_init(&blob->refs, 1);
    blob->len = (uint32_t)bytes.len;
    if (bytes.len > 0) {
        memcpy(blob->data, bytes.data, bytes.len);
    }
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    uint32_t before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
    CHECK(before > 0 && before < UINT32_MAX);
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL) {
        return;
    }
    /* acq_rel: who frees must see all that others did with the blob before they let go. */
    uint32_t before = atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        mem_free(blob);
    }
}

struct slice blob_view(const struct blob *blob)
{
    return slice_of(blob->data, blob->len);
}
