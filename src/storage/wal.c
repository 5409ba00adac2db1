/* SPDX-License-Identifier: Apache-2.0 */
/* See wal.h. The writing side: batches, segments, cutting. Reading back is wal_recover.c. */
#include "storage/wal.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/hash.h"
#include "base/mem.h"
#include "storage/disk_probe.h"
#include "storage/wal_batch.h"
#include "storage/wal_recover.h"
#include "storage/wal_spare.h"

#include <inttypes.h>
#include <string.h>

enum {
    SIZE_ROUND = 4096,
    BATCH_BUFFER_KEPT = 1024 * 1024
};

struct wal {
    struct wal_options options;
    struct wal_tail tail;
    struct raft_hard_state hard_state;
    uint64_t first_index;
    uint64_t next_index;
    struct wal_spare spare; /* the next segment in the making */
    uint64_t syncs_count;
    int file; /* the last segment */
    struct disk_probe probe;
    bool dead;
    struct buf batch; /* scratch, kept between calls */
    struct reason reason;
};

static uint64_t segment_bytes(const struct wal_options *options);
static uint64_t new_seed(const struct wal_options *options, uint64_t number);
static enum error open_tail(struct wal *wal, struct reason *reason);
static enum error append_group(struct wal *wal, const struct raft_write *writes, uint32_t count);
static enum error rotate(struct wal *wal, struct wal_segment_header header, uint64_t bytes_needed);
static struct wal_segment_header next_header(const struct wal *wal);
static void take_write(struct wal *wal, const struct raft_write *write);
static enum error drop_segments(struct wal *wal, uint64_t count);
static enum error die(struct wal *wal, enum error error, const char *doing);

enum error wal_format(const struct wal_options *options, struct reason *reason)
{
    const struct disk *disk = options->disk;
    uint64_t *numbers = NULL;
    size_t numbers_count = 0;
    enum error error = wal_segment_list(disk, options->path, &numbers, &numbers_count);
    mem_free(numbers);
    if (error == ERR_OK && numbers_count > 0) {
        return reason_set(reason, ERR_EXISTS, "there is a log in %s already", options->path);
    }
    struct wal_segment_header header = {
        .number = 1,
        .seed = new_seed(options, 1),
        .cluster = options->cluster,
        .member = options->member,
        .first_index = 1,
        .first_batch = 1,
        .fresh = true,
    };
    struct wal_spare spare = {0};
    int file = -1;
    error = error != ERR_OK ? error
                            : wal_spare_finish(&spare, disk, options->path, segment_bytes(options));
    if (error == ERR_OK) {
        error = wal_spare_use(&spare, disk, options->path, &header, &file);
    }
    if (error != ERR_OK) {
        return reason_set(
            reason, error, "cannot make a log in %s: %s", options->path, error_text(error));
    }
    disk->close(disk->ctx, file);
    return ERR_OK;
}

enum error wal_open(const struct wal_options *options,
                    struct reason *reason,
                    struct wal_recovered *recovered_out,
                    struct wal **wal_out)
{
    struct wal_recovered recovered = {0};
    struct wal *wal = mem_new(sizeof(*wal));
    wal->options = *options;
    enum error error = wal_recover(options, reason, &recovered, &wal->tail);
    if (error != ERR_OK) {
        mem_free(wal);
        return error;
    }
    wal->hard_state = recovered.hard_state;
    wal->first_index = recovered.first_index;
    wal->next_index = recovered.first_index + recovered.entries_count;
    error = open_tail(wal, reason);
    if (error != ERR_OK) {
        wal_recovered_deinit(&recovered);
        wal_tail_deinit(&wal->tail);
        mem_free(wal);
        return error;
    }
    *recovered_out = recovered;
    *wal_out = wal;
    return ERR_OK;
}

void wal_close(struct wal *wal)
{
    wal->options.disk->close(wal->options.disk->ctx, wal->file);
    disk_probe_close(&wal->probe, wal->options.disk);
    wal_spare_discard(&wal->spare, wal->options.disk, wal->options.path);
    wal_tail_deinit(&wal->tail);
    buf_deinit(&wal->batch);
    mem_free(wal);
}

enum error wal_append(struct wal *wal, const struct raft_write *writes, uint32_t count)
{
    if (wal->dead) {
        return ERR_CLOSED;
    }
    uint32_t done = 0;
    while (done < count) {
        uint32_t group = wal_batch_group(writes + done, count - done, WAL_BATCH_BYTES_MAX);
        TRY(append_group(wal, writes + done, group));
        done += group;
    }
    return ERR_OK;
}

enum error wal_cut(struct wal *wal, uint64_t index)
{
    if (wal->dead) {
        return ERR_CLOSED;
    }
    /* Live entries in the segments before one whose first_index is f are all below f. */
    uint64_t keep_from = 0;
    for (uint64_t i = 0; i < wal->tail.headers_count; i++) {
        if (wal->tail.headers[i].first_index <= index) {
            keep_from = i;
        }
    }
    return drop_segments(wal, keep_from);
}

enum error wal_restart(struct wal *wal, uint64_t index)
{
    if (wal->dead) {
        return ERR_CLOSED;
    }
    struct wal_segment_header header = next_header(wal);
    header.first_index = index + 1;
    header.fresh = true;
    TRY(rotate(wal, header, 0));
    return drop_segments(wal, wal->tail.headers_count - 1);
}

enum error wal_prepare(struct wal *wal)
{
    if (wal->dead) {
        return ERR_CLOSED;
    }
    return wal_spare_step(
        &wal->spare, wal->options.disk, wal->options.path, segment_bytes(&wal->options));
}

bool wal_is_prepared(const struct wal *wal)
{
    return wal_spare_is_done(&wal->spare);
}

enum error wal_probe(struct wal *wal)
{
    if (wal->dead) {
        return ERR_CLOSED;
    }
    enum error error = disk_probe_run(&wal->probe, wal->options.disk, wal->options.path);
    return error == ERR_OK ? ERR_OK : die(wal, error, "probe the disk of");
}

uint64_t wal_first_index(const struct wal *wal)
{
    return wal->first_index;
}

uint64_t wal_last_index(const struct wal *wal)
{
    return wal->next_index - 1;
}

uint64_t wal_segments_count(const struct wal *wal)
{
    return wal->tail.headers_count;
}

uint64_t wal_syncs_count(const struct wal *wal)
{
    return wal->syncs_count;
}

const struct reason *wal_reason(const struct wal *wal)
{
    return &wal->reason;
}

static uint64_t segment_bytes(const struct wal_options *options)
{
    CHECK(options->segment_bytes % WAL_RECORD_ALIGN == 0);
    return options->segment_bytes > 0 ? options->segment_bytes : WAL_SEGMENT_BYTES_DEFAULT;
}

static uint64_t new_seed(const struct wal_options *options, uint64_t number)
{
    if (options->seed != 0) {
        return hash_xxh3(&number, sizeof(number), options->seed);
    }
    uint64_t hi;
    uint64_t lo;
    id128_random(&hi, &lo);
    return hi ^ lo;
}

static enum error open_tail(struct wal *wal, struct reason *reason)
{
    const struct disk *disk = wal->options.disk;
    char path[WAL_SEGMENT_PATH_SIZE];
    /* A leftover of a preparation: its zeros may not be durable. */
    wal_segment_spare_path(wal->options.path, path);
    enum error error = disk->remove(disk->ctx, path);
    error = error == ERR_NOT_FOUND ? ERR_OK : error;
    for (uint64_t n = wal->tail.stale_first; n < wal->tail.stale_end && error == ERR_OK; n++) {
        wal_segment_path(wal->options.path, n, path);
        error = disk->remove(disk->ctx, path);
        if (error == ERR_OK) {
            error = disk->sync_dir(disk->ctx, wal->options.path);
        }
    }
    if (error == ERR_OK) {
        uint64_t last = wal->tail.headers[wal->tail.headers_count - 1].number;
        wal_segment_path(wal->options.path, last, path);
        error = disk->open(disk->ctx, path, DISK_OPEN_EXISTING, &wal->file);
    }
    if (error != ERR_OK) {
        return reason_set(reason, error, "cannot open log file %s: %s", path, error_text(error));
    }
    return ERR_OK;
}

static enum error append_group(struct wal *wal, const struct raft_write *writes, uint32_t count)
{
    const struct disk *disk = wal->options.disk;
    struct wal_tail *tail = &wal->tail;
    size_t bytes = wal_batch_size(writes, count);
    uint64_t truncate_from = writes[0].truncate_from;
    if (writes[0].restart_index != 0) {
        TRY(FAILPOINT_AROUND("wal.restart", wal_restart(wal, writes[0].restart_index)));
    }
    if (truncate_from != 0 || tail->offset + bytes > tail->segment_bytes) {
        CHECK(truncate_from == 0 || truncate_from >= wal->first_index);
        CHECK(truncate_from <= wal->next_index);
        struct wal_segment_header header = next_header(wal);
        header.first_index = truncate_from != 0 ? truncate_from : header.first_index;
        TRY(rotate(wal, header, bytes));
    }
    if (bytes == 0) {
        return ERR_OK;
    }
    for (uint32_t i = 0; i < count; i++) {
        take_write(wal, &writes[i]);
    }
    struct wal_batch_place place = {
        .batch = tail->next_batch,
        .seed = tail->headers[tail->headers_count - 1].seed,
        .chain = tail->chain,
    };
    buf_clear(&wal->batch);
    tail->chain = wal_batch_encode(writes, count, &place, &wal->batch);
    CHECK(wal->batch.len == bytes);
    enum error error = FAILPOINT_AROUND(
        "wal.append", disk->write(disk->ctx, wal->file, wal->batch.data, bytes, tail->offset));
    if (error != ERR_OK) {
        return die(wal, error, "write to");
    }
    error = FAILPOINT_AROUND("wal.sync", disk->sync(disk->ctx, wal->file));
    if (error != ERR_OK) {
        return die(wal, error, "sync");
    }
    wal->syncs_count++;
    tail->offset += bytes;
    tail->next_batch++;
    if (wal->batch.cap > BATCH_BUFFER_KEPT) {
        buf_deinit(&wal->batch);
    }
    return ERR_OK;
}

/* Closes the last segment and begins the next, with room for a batch of `bytes_needed`. The log
 * goes on at header.first_index; entries at or above it are gone. */
static enum error rotate(struct wal *wal, struct wal_segment_header header, uint64_t bytes_needed)
{
    const struct disk *disk = wal->options.disk;
    uint64_t bytes = segment_bytes(&wal->options);
    if (bytes < WAL_SEGMENT_HEADER_SIZE + bytes_needed) {
        bytes = (WAL_SEGMENT_HEADER_SIZE + bytes_needed + SIZE_ROUND - 1) / SIZE_ROUND * SIZE_ROUND;
    }
    CHECK(bytes <= WAL_SEGMENT_BYTES_MAX);
    enum error error = wal_spare_finish(&wal->spare, disk, wal->options.path, bytes);
    if (error != ERR_OK) {
        return die(wal, error, "make room for the next segment after");
    }
    bytes = wal->spare.bytes;
    int file;
    error = wal_spare_use(&wal->spare, disk, wal->options.path, &header, &file);
    if (error != ERR_OK) {
        return die(wal, error, "begin the next segment after");
    }
    disk->close(disk->ctx, wal->file);
    wal->file = file;

    struct wal_tail *tail = &wal->tail;
    tail->headers =
        mem_resize(tail->headers, (tail->headers_count + 1) * sizeof(struct wal_segment_header));
    tail->headers[tail->headers_count++] = header;
    tail->segment_bytes = bytes;
    tail->offset = WAL_SEGMENT_HEADER_SIZE;
    tail->chain = header.hash;
    wal->next_index = header.first_index;
    return ERR_OK;
}

static struct wal_segment_header next_header(const struct wal *wal)
{
    const struct wal_tail *tail = &wal->tail;
    uint64_t number = tail->headers[tail->headers_count - 1].number + 1;
    return (struct wal_segment_header){
        .number = number,
        .seed = new_seed(&wal->options, number),
        .cluster = wal->options.cluster,
        .member = wal->options.member,
        .first_index = wal->next_index,
        .first_batch = tail->next_batch,
        .previous = tail->chain,
        .hard_state = wal->hard_state,
    };
}

/* What the log will hold after this write; checks that it follows from what it holds now. */
static void take_write(struct wal *wal, const struct raft_write *write)
{
    if (write->has_hard_state) {
        CHECK(write->hard_state.term >= wal->hard_state.term);
        wal->hard_state = write->hard_state;
    }
    for (uint32_t i = 0; i < write->entries_count; i++) {
        CHECK(write->entries[i].index == wal->next_index);
        wal->next_index++;
    }
}

/* Removes the `count` oldest segments, one by one and each synced, so a crash leaves no gap. */
static enum error drop_segments(struct wal *wal, uint64_t count)
{
    const struct disk *disk = wal->options.disk;
    struct wal_tail *tail = &wal->tail;
    CHECK(count < tail->headers_count);
    for (uint64_t i = 0; i < count; i++) {
        char path[WAL_SEGMENT_PATH_SIZE];
        wal_segment_path(wal->options.path, tail->headers[0].number, path);
        enum error error = disk->remove(disk->ctx, path);
        if (error == ERR_OK) {
            error = disk->sync_dir(disk->ctx, wal->options.path);
        }
        if (error != ERR_OK) {
            return die(wal, error, "remove segments before");
        }
        tail->headers_count--;
        memmove(tail->headers, tail->headers + 1, tail->headers_count * sizeof(*tail->headers));
        wal->first_index = tail->headers[0].first_index;
    }
    return ERR_OK;
}

static enum error die(struct wal *wal, enum error error, const char *doing)
{
    const struct wal_tail *tail = &wal->tail;
    char path[WAL_SEGMENT_PATH_SIZE];
    wal_segment_path(wal->options.path, tail->headers[tail->headers_count - 1].number, path);
    wal->dead = true;
    return reason_set(&wal->reason,
                      error,
                      "cannot %s log segment %s at offset %" PRIu64
                      ": %s. This member must stop: what the disk holds is not known until the log "
                      "is opened again",
                      doing,
                      path,
                      tail->offset,
                      error_text(error));
}
