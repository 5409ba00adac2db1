/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_file.h. One block is in memory at a time, on either way. */
#include "storage/snapshot_file.h"

#include "base/check.h"
#include "base/hash.h"

#include <inttypes.h>
#include <string.h>

enum {
    BLOCK_HEADER = 1,
    BLOCK_ROWS = 2,
    BLOCK_END = 3,
    FRAME_SIZE = 8, /* length and kind */
    HASH_SIZE = 8,
};

static const uint64_t MAGIC = 0x31504e5341444e49ULL; /* "INDASNP1" */

struct writer {
    const struct disk *disk;
    int file;
    uint64_t offset;
    uint64_t chain;
    uint64_t rows;
    enum table table;
    struct buf block; /* frame and payload, not yet hashed */
    enum error error;
};

struct loader {
    const struct disk *disk;
    const char *path;
    int file;
    uint64_t size;
    uint64_t offset;
    uint64_t chain;
    uint64_t rows;
    struct buf block; /* payload */
    struct reason *reason;
};

static void block_begin(struct writer *writer, uint32_t kind);
static void block_end(struct writer *writer);
static void write_header(struct writer *writer, const struct snapshot_header *header);
static bool write_row(struct slice key, struct slice value, void *visit_ctx);
static enum error open_loader(struct loader *loader);
static enum error read_block(struct loader *loader, uint32_t *kind_out);
static enum error read_header(struct loader *loader, struct snapshot_header *header_out);
static enum error read_rows(struct loader *loader, const struct snapshot_taker *taker);
static enum error read_end(struct loader *loader);
static enum error damaged(const struct loader *loader, const char *what);

enum error snapshot_file_write(const struct disk *disk,
                               const char *path,
                               const struct snapshot_header *header,
                               const struct tables *tables,
                               uint64_t *size_out)
{
    struct writer writer = {.disk = disk};
    TRY(disk->open(disk->ctx, path, DISK_CREATE, &writer.file));
    write_header(&writer, header);
    block_begin(&writer, BLOCK_ROWS);
    for (int table = TABLE_META; table < TABLE_COUNT && writer.error == ERR_OK; table++) {
        writer.table = (enum table)table;
        tables->ops->scan(tables->ctx, writer.table, slice_of("", 0), write_row, &writer);
    }
    block_end(&writer);
    block_begin(&writer, BLOCK_END);
    buf_put_u64(&writer.block, writer.rows);
    block_end(&writer);
    if (writer.error == ERR_OK) {
        writer.error = disk->sync(disk->ctx, writer.file);
    }
    disk->close(disk->ctx, writer.file);
    buf_deinit(&writer.block);
    if (writer.error == ERR_OK) {
        *size_out = writer.offset;
    }
    return writer.error;
}

enum error snapshot_file_load(const struct disk *disk,
                              const char *path,
                              struct reason *reason,
                              struct snapshot_header *header_out,
                              const struct snapshot_taker *taker)
{
    struct loader loader = {.disk = disk, .path = path, .reason = reason};
    struct snapshot_header header = {0};
    TRY(open_loader(&loader));
    enum error error = read_header(&loader, &header);
    while (error == ERR_OK) {
        uint32_t kind = 0;
        error = read_block(&loader, &kind);
        if (error != ERR_OK) {
            break;
        }
        if (kind == BLOCK_END) {
            error = read_end(&loader);
            break;
        }
        error = kind == BLOCK_ROWS ? read_rows(&loader, taker)
                                   : damaged(&loader, "a block of an unknown kind");
    }
    disk->close(disk->ctx, loader.file);
    buf_deinit(&loader.block);
    if (error == ERR_OK) {
        *header_out = header;
    }
    return error;
}

enum error snapshot_file_header(const struct disk *disk,
                                const char *path,
                                struct reason *reason,
                                struct snapshot_header *header_out)
{
    struct loader loader = {.disk = disk, .path = path, .reason = reason};
    TRY(open_loader(&loader));
    enum error error = read_header(&loader, header_out);
    disk->close(disk->ctx, loader.file);
    buf_deinit(&loader.block);
    return error;
}

static void block_begin(struct writer *writer, uint32_t kind)
{
    buf_clear(&writer->block);
    buf_put_u32(&writer->block, 0); /* the length, known at the end */
    buf_put_u32(&writer->block, kind);
}

static void block_end(struct writer *writer)
{
    struct buf *block = &writer->block;
    if (writer->error != ERR_OK) {
        return;
    }
    CHECK(block->len - FRAME_SIZE <= SNAPSHOT_BLOCK_BYTES_MAX);
    struct buf length = {0};
    buf_put_u32(&length, (uint32_t)(block->len - FRAME_SIZE));
    memcpy(block->data, length.data, length.len);
    buf_deinit(&length);
    writer->chain = hash_xxh3(block->data, block->len, writer->chain);
    buf_put_u64(block, writer->chain);
    writer->error = writer->disk->write(
        writer->disk->ctx, writer->file, block->data, block->len, writer->offset);
    writer->offset += block->len;
}

static void write_header(struct writer *writer, const struct snapshot_header *header)
{
    CHECK(header->index > 0 && header->term > 0);
    CHECK(header->configuration_len > 0);
    CHECK(header->configuration_len <= SNAPSHOT_CONFIGURATION_MAX);
    block_begin(writer, BLOCK_HEADER);
    buf_put_u64(&writer->block, MAGIC);
    buf_put_u32(&writer->block, SNAPSHOT_FORMAT);
    buf_put_u64(&writer->block, header->cluster.hi);
    buf_put_u64(&writer->block, header->cluster.lo);
    buf_put_u64(&writer->block, header->index);
    buf_put_u64(&writer->block, header->term);
    buf_put_bytes(&writer->block, slice_of(header->configuration, header->configuration_len));
    block_end(writer);
}

static bool write_row(struct slice key, struct slice value, void *visit_ctx)
{
    struct writer *writer = visit_ctx;
    buf_put_u8(&writer->block, (uint8_t)writer->table);
    buf_put_bytes(&writer->block, key);
    buf_put_bytes(&writer->block, value);
    writer->rows++;
    if (writer->block.len >= SNAPSHOT_BLOCK_BYTES) {
        block_end(writer);
        block_begin(writer, BLOCK_ROWS);
    }
    return writer->error == ERR_OK;
}

static enum error open_loader(struct loader *loader)
{
    const struct disk *disk = loader->disk;
    enum error error = disk->open(disk->ctx, loader->path, DISK_OPEN_READ, &loader->file);
    if (error != ERR_OK) {
        return reason_set(
            loader->reason, error, "cannot open snapshot %s: %s", loader->path, error_text(error));
    }
    error = disk->size(disk->ctx, loader->file, &loader->size);
    if (error != ERR_OK) {
        disk->close(disk->ctx, loader->file);
        return reason_set(
            loader->reason, error, "cannot read snapshot %s: %s", loader->path, error_text(error));
    }
    return ERR_OK;
}

/* The next block, checked, its payload in loader->block. */
static enum error read_block(struct loader *loader, uint32_t *kind_out)
{
    const struct disk *disk = loader->disk;
    uint8_t frame[FRAME_SIZE];
    if (loader->size - loader->offset < FRAME_SIZE + HASH_SIZE) {
        return damaged(loader, "the file ends in the middle");
    }
    enum error error = disk->read(disk->ctx, loader->file, frame, FRAME_SIZE, loader->offset);
    struct reader reader = reader_of(slice_of(frame, FRAME_SIZE));
    uint32_t length = reader_u32(&reader);
    uint32_t kind = reader_u32(&reader);
    if (error == ERR_OK && (length > SNAPSHOT_BLOCK_BYTES_MAX ||
                            length > loader->size - loader->offset - FRAME_SIZE - HASH_SIZE)) {
        return damaged(loader, "a block has an impossible length");
    }
    if (error == ERR_OK) {
        size_t whole = FRAME_SIZE + (size_t)length + HASH_SIZE;
        buf_clear(&loader->block);
        buf_reserve(&loader->block, whole);
        error = disk->read(disk->ctx, loader->file, loader->block.data, whole, loader->offset);
        loader->block.len = whole;
    }
    if (error != ERR_OK) {
        return reason_set(
            loader->reason, error, "cannot read snapshot %s: %s", loader->path, error_text(error));
    }
    uint64_t hash = hash_xxh3(loader->block.data, FRAME_SIZE + (size_t)length, loader->chain);
    struct reader tail = reader_of(slice_of(loader->block.data + FRAME_SIZE + length, HASH_SIZE));
    if (reader_u64(&tail) != hash) {
        return damaged(loader, "a block does not match its checksum");
    }
    loader->chain = hash;
    loader->offset += loader->block.len;
    loader->block.len -= HASH_SIZE;
    buf_consume(&loader->block, FRAME_SIZE);
    *kind_out = kind;
    return ERR_OK;
}

static enum error read_header(struct loader *loader, struct snapshot_header *header_out)
{
    struct snapshot_header header = {0};
    uint32_t kind = 0;
    TRY(read_block(loader, &kind));
    struct reader reader = reader_of(buf_view(&loader->block));
    if (kind != BLOCK_HEADER || reader_u64(&reader) != MAGIC) {
        return damaged(loader, "it is no snapshot");
    }
    uint32_t format = reader_u32(&reader);
    if (format != SNAPSHOT_FORMAT) {
        return reason_set(loader->reason,
                          ERR_VERSION,
                          "snapshot %s has format %" PRIu32 ", and this version knows %d only",
                          loader->path,
                          format,
                          SNAPSHOT_FORMAT);
    }
    header.cluster.hi = reader_u64(&reader);
    header.cluster.lo = reader_u64(&reader);
    header.index = reader_u64(&reader);
    header.term = reader_u64(&reader);
    struct slice configuration = reader_bytes(&reader);
    if (reader_finish(&reader) != ERR_OK || configuration.len == 0 ||
        configuration.len > SNAPSHOT_CONFIGURATION_MAX || header.index == 0 || header.term == 0) {
        return damaged(loader, "its header cannot be read");
    }
    memcpy(header.configuration, configuration.data, configuration.len);
    header.configuration_len = (uint32_t)configuration.len;
    *header_out = header;
    return ERR_OK;
}

static enum error read_rows(struct loader *loader, const struct snapshot_taker *taker)
{
    struct reader reader = reader_of(buf_view(&loader->block));
    while (!reader.failed && reader.offset < reader.len) {
        uint8_t table = reader_u8(&reader);
        struct slice key = reader_bytes(&reader);
        struct slice value = reader_bytes(&reader);
        if (reader.failed || table < TABLE_META || table >= TABLE_COUNT || key.len == 0 ||
            key.len > TABLE_KEY_MAX) {
            return damaged(loader, "a row cannot be read");
        }
        loader->rows++;
        if (taker != NULL && !taker->row((enum table)table, key, value, taker->row_ctx)) {
            return reason_set(loader->reason, ERR_CANCELLED, "the load was stopped");
        }
    }
    return reader.failed ? damaged(loader, "a row cannot be read") : ERR_OK;
}

static enum error read_end(struct loader *loader)
{
    struct reader reader = reader_of(buf_view(&loader->block));
    uint64_t rows = reader_u64(&reader);
    if (reader_finish(&reader) != ERR_OK || rows != loader->rows) {
        return damaged(loader, "rows are missing");
    }
    if (loader->offset != loader->size) {
        return damaged(loader, "something follows its end");
    }
    return ERR_OK;
}

static enum error damaged(const struct loader *loader, const char *what)
{
    return reason_set(loader->reason,
                      ERR_CORRUPT,
                      "snapshot %s is damaged at offset %" PRIu64 ": %s",
                      loader->path,
                      loader->offset,
                      what);
}
