/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_recover.h. Two passes: the headers of all segments first (whose log is this, is any file
 * missing, where does it begin), then the records, segment by segment. */
#include "storage/wal_recover.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "storage/wal_replay.h"
#include "storage/wal_scan.h"

#include <inttypes.h>
#include <string.h>

/* What to do about damage: the same advice each time, because there is only one that is safe. */
#define REPLACE_MEMBER                                                                             \
    "Nothing was changed. Keep the folder for analysis, and replace this member: format an empty " \
    "folder with \"indaba member init\" and add it to the cluster as a new member"

struct recovery {
    const struct wal_options *options;
    struct reason *reason;
    struct wal_recovered recovered;
    struct wal_tail tail;
    uint64_t *numbers; /* of the segment files found, ascending */
    size_t numbers_count;
    struct buf bytes; /* the segment being read */
    char path[WAL_SEGMENT_PATH_SIZE];
};

static enum error find_segments(struct recovery *recovery);
static enum error read_headers(struct recovery *recovery);
static enum error read_header(struct recovery *recovery, uint64_t number);
static enum error check_owner(struct recovery *recovery, const struct wal_segment_header *header);
static enum error read_segment(struct recovery *recovery, const struct wal_segment_header *header);
static enum error check_joint(struct recovery *recovery, const struct wal_segment_header *header);
static enum error scan_segment(struct recovery *recovery, uint64_t position);
static enum error
apply_batch(struct recovery *recovery, const struct wal_scan *scan, struct wal_scan_batch batch);
static enum error
repair_tail(struct recovery *recovery, struct wal_scan_batch last, uint64_t dirty_end);
static enum error load(struct recovery *recovery, uint64_t number, uint64_t len_wanted);
static enum error rot(struct recovery *recovery, uint64_t offset, const char *what);

enum error wal_recover(const struct wal_options *options,
                       struct reason *reason,
                       struct wal_recovered *recovered_out,
                       struct wal_tail *tail_out)
{
    struct recovery recovery = {.options = options, .reason = reason};
    enum error error = find_segments(&recovery);
    if (error == ERR_OK) {
        error = read_headers(&recovery);
    }
    for (uint64_t i = 0; i < recovery.tail.headers_count && error == ERR_OK; i++) {
        error = read_segment(&recovery, &recovery.tail.headers[i]);
        if (error == ERR_OK) {
            error = scan_segment(&recovery, i);
        }
    }
    if (error == ERR_OK) {
        /* The last segment's name may be in the cache only. */
        error = options->disk->sync_dir(options->disk->ctx, options->path);
        if (error != ERR_OK) {
            reason_set(
                reason, error, "cannot sync folder %s: %s", options->path, error_text(error));
        }
    }
    buf_deinit(&recovery.bytes);
    mem_free(recovery.numbers);
    if (error != ERR_OK) {
        wal_recovered_deinit(&recovery.recovered);
        wal_tail_deinit(&recovery.tail);
        return error;
    }
    *recovered_out = recovery.recovered;
    *tail_out = recovery.tail;
    return ERR_OK;
}

void wal_tail_deinit(struct wal_tail *tail)
{
    mem_free(tail->headers);
    *tail = (struct wal_tail){0};
}

static enum error find_segments(struct recovery *recovery)
{
    const struct wal_options *options = recovery->options;
    enum error error = wal_segment_list(
        options->disk, options->path, &recovery->numbers, &recovery->numbers_count);
    if (error != ERR_OK) {
        return reason_set(recovery->reason,
                          error,
                          "cannot read the log folder %s: %s",
                          options->path,
                          error_text(error));
    }
    if (recovery->numbers_count == 0) {
        return reason_set(recovery->reason,
                          ERR_NOT_FOUND,
                          "the log folder %s holds no segment. If files were removed, this member "
                          "has forgotten its votes and must not come back: " REPLACE_MEMBER,
                          options->path);
    }
    return ERR_OK;
}

/* Fills tail.headers with the live segments: from the last one that begins a log anew. */
static enum error read_headers(struct recovery *recovery)
{
    struct wal_tail *tail = &recovery->tail;
    tail->headers = mem_new_array(recovery->numbers_count, sizeof(*tail->headers));
    tail->stale_first = recovery->numbers[0];
    tail->stale_end = recovery->numbers[0];
    for (size_t i = 0; i < recovery->numbers_count; i++) {
        uint64_t number = recovery->numbers[i];
        TRY(read_header(recovery, number));
        const struct wal_segment_header *read = &tail->headers[tail->headers_count];
        if (read->fresh && tail->headers_count > 0) {
            tail->stale_end = number;
            tail->headers[0] = *read;
            tail->headers_count = 0;
        }
        if (tail->headers_count > 0 &&
            tail->headers[tail->headers_count - 1].number + 1 != number) {
            return reason_set(recovery->reason,
                              ERR_CORRUPT,
                              "log segment %016" PRIx64 ".wal is missing in %s. " REPLACE_MEMBER,
                              number - 1,
                              recovery->options->path);
        }
        tail->headers_count++;
    }
    const struct wal_segment_header *first = &tail->headers[0];
    tail->chain = first->previous;
    tail->next_batch = first->first_batch;
    recovery->recovered.first_index = first->first_index;
    recovery->recovered.hard_state = first->hard_state;
    return ERR_OK;
}

static enum error read_header(struct recovery *recovery, uint64_t number)
{
    TRY(load(recovery, number, WAL_SEGMENT_HEADER_SIZE));
    struct wal_segment_header header;
    enum error error = wal_segment_header_decode(buf_view(&recovery->bytes), &header);
    if (error == ERR_VERSION) {
        return reason_set(recovery->reason,
                          ERR_VERSION,
                          "log segment %s has a format that this version does not know: run the "
                          "version of indaba that wrote it, or a newer one",
                          recovery->path);
    }
    if (error != ERR_OK) {
        return rot(recovery, 0, "its header is not valid");
    }
    if (header.number != number) {
        return rot(recovery, 0, "it is another segment's file under this name");
    }
    TRY(check_owner(recovery, &header));
    recovery->tail.headers[recovery->tail.headers_count] = header;
    return ERR_OK;
}

static enum error check_owner(struct recovery *recovery, const struct wal_segment_header *header)
{
    const struct wal_options *options = recovery->options;
    char found[ID128_TEXT_SIZE];
    char wanted[ID128_TEXT_SIZE];
    if (!cluster_id_equal(header->cluster, options->cluster)) {
        return reason_set(recovery->reason,
                          ERR_WRONG_CLUSTER,
                          "log segment %s was written for cluster %s, not for %s: the folder was "
                          "copied or moved; start with the folder that belongs to this cluster",
                          recovery->path,
                          id128_format(header->cluster.hi, header->cluster.lo, found),
                          id128_format(options->cluster.hi, options->cluster.lo, wanted));
    }
    if (!member_id_equal(header->member, options->member)) {
        return reason_set(recovery->reason,
                          ERR_WRONG_MEMBER,
                          "log segment %s was written by member %s, not by %s: a log must never "
                          "serve two members; start each with its own folder",
                          recovery->path,
                          id128_format(header->member.hi, header->member.lo, found),
                          id128_format(options->member.hi, options->member.lo, wanted));
    }
    return ERR_OK;
}

static enum error read_segment(struct recovery *recovery, const struct wal_segment_header *header)
{
    TRY(load(recovery, header->number, WAL_SEGMENT_BYTES_MAX));
    if (recovery->bytes.len < WAL_SEGMENT_HEADER_SIZE) {
        return rot(recovery, 0, "it has become shorter than its header");
    }
    TRY(check_joint(recovery, header));
    recovery->tail.chain = header->hash;
    recovery->tail.offset = WAL_SEGMENT_HEADER_SIZE;
    recovery->tail.segment_bytes = recovery->bytes.len;
    return ERR_OK;
}

/* The header was made when everything before it was durable, so any difference is rot; save that
 * its first_index may lie below the next one: then the segment began with a truncation. */
static enum error check_joint(struct recovery *recovery, const struct wal_segment_header *header)
{
    const struct wal_tail *tail = &recovery->tail;
    struct wal_recovered *recovered = &recovery->recovered;
    if (header->previous != tail->chain || header->first_batch != tail->next_batch) {
        wal_segment_path(recovery->options->path, header->number - 1, recovery->path);
        return rot(recovery, tail->offset, "its last records are missing, the next segment says");
    }
    if (header->hard_state.term != recovered->hard_state.term ||
        !member_id_equal(header->hard_state.vote, recovered->hard_state.vote) ||
        wal_replay_truncate(recovered, header->first_index) != ERR_OK) {
        return rot(recovery, 0, "it does not continue the segment before it");
    }
    return ERR_OK;
}

static enum error scan_segment(struct recovery *recovery, uint64_t position)
{
    struct wal_tail *tail = &recovery->tail;
    bool is_last = position + 1 == tail->headers_count;
    struct wal_scan scan = {
        .segment = buf_view(&recovery->bytes),
        .seed = tail->headers[position].seed,
        .offset = tail->offset,
        .chain = tail->chain,
        .batch = tail->next_batch,
    };
    struct wal_scan_batch batch = {.start = scan.offset, .end = scan.offset};
    while (wal_scan_next(&scan, &batch) == ERR_OK) {
        TRY(apply_batch(recovery, &scan, batch));
    }
    tail->offset = scan.offset;
    tail->chain = scan.chain;
    tail->next_batch = scan.batch;

    uint64_t hole;
    uint64_t dirty_end;
    switch (wal_scan_rest(&scan, &hole, &dirty_end)) {
    case WAL_REST_ROT:
        return rot(recovery,
                   hole,
                   "records of a later batch follow, so this is no unfinished write but damage to "
                   "what was durable");
    case WAL_REST_TORN:
        if (!is_last) {
            return rot(recovery, hole, "the segment was finished, yet its end is not valid");
        }
        MARK("wal.torn_tail");
        log_event(LOG_INFO,
                  "log.tail_cut",
                  "file=%s offset=%" PRIu64 " bytes=%" PRIu64 " batch=%" PRIu64,
                  log_quote(recovery->path),
                  scan.offset,
                  dirty_end - scan.offset,
                  scan.batch);
        return repair_tail(recovery, batch, dirty_end);
    case WAL_REST_CLEAN:
        return is_last ? repair_tail(recovery, batch, dirty_end) : ERR_OK;
    }
    UNREACHABLE("every verdict returns");
}

static enum error
apply_batch(struct recovery *recovery, const struct wal_scan *scan, struct wal_scan_batch batch)
{
    uint64_t offset = batch.start;
    while (offset < batch.end) {
        struct slice bytes =
            slice_of(scan->segment.data + offset, scan->segment.len - (size_t)offset);
        struct wal_record record;
        enum error error = wal_record_parse(bytes, scan->seed, &record);
        CHECK(error == ERR_OK);
        if (wal_replay(&recovery->recovered, &record) != ERR_OK) {
            return rot(recovery, offset, "a record is whole but contradicts those before it");
        }
        offset += wal_record_size(record.payload.len);
    }
    CHECK(offset == batch.end);
    return ERR_OK;
}

/* The last batch may have been written but not synced when the process ended. Its bytes are written
 * again, because a sync of pages that the kernel holds for clean would prove nothing, and zeros
 * over the remains of an unfinished batch; then one sync. */
static enum error
repair_tail(struct recovery *recovery, struct wal_scan_batch last, uint64_t dirty_end)
{
    const struct disk *disk = recovery->options->disk;
    const struct wal_tail *tail = &recovery->tail;
    CHECK(last.end == tail->offset);
    CHECK(dirty_end >= last.end && dirty_end <= recovery->bytes.len);
    if (dirty_end == last.start) {
        return ERR_OK;
    }

    memset(recovery->bytes.data + last.end, 0, (size_t)(dirty_end - last.end));
    int file;
    enum error error = disk->open(disk->ctx, recovery->path, DISK_OPEN_EXISTING, &file);
    if (error == ERR_OK) {
        error = disk->write(disk->ctx,
                            file,
                            recovery->bytes.data + last.start,
                            (size_t)(dirty_end - last.start),
                            last.start);
        if (error == ERR_OK) {
            error = disk->sync(disk->ctx, file);
        }
        disk->close(disk->ctx, file);
    }
    if (error != ERR_OK) {
        reason_set(recovery->reason,
                   error,
                   "cannot rewrite the end of log segment %s at offset %" PRIu64
                   ": %s; check the disk (space, errors in the kernel log) and start again",
                   recovery->path,
                   last.start,
                   error_text(error));
    }
    return error;
}

/* Reads the first `len_wanted` bytes of a segment, fewer if it is shorter, into recovery->bytes. */
static enum error load(struct recovery *recovery, uint64_t number, uint64_t len_wanted)
{
    const struct disk *disk = recovery->options->disk;
    wal_segment_path(recovery->options->path, number, recovery->path);
    buf_clear(&recovery->bytes);
    int file = -1;
    uint64_t size = 0;
    enum error error = disk->open(disk->ctx, recovery->path, DISK_OPEN_DEVICE, &file);
    if (error == ERR_OK) {
        error = disk->size(disk->ctx, file, &size);
        if (error == ERR_OK) {
            size_t len = (size_t)(size < len_wanted ? size : len_wanted);
            buf_reserve(&recovery->bytes, len + 1);
            error = disk->read(disk->ctx, file, recovery->bytes.data, len, 0);
            recovery->bytes.len = len;
        }
        disk->close(disk->ctx, file);
    }
    if (error == ERR_OK && size > WAL_SEGMENT_BYTES_MAX) {
        error = ERR_LIMIT;
    }
    if (error != ERR_OK) {
        reason_set(recovery->reason,
                   error,
                   "cannot read log segment %s: %s",
                   recovery->path,
                   error_text(error));
    }
    return error;
}

static enum error rot(struct recovery *recovery, uint64_t offset, const char *what)
{
    MARK("wal.rot");
    return reason_set(recovery->reason,
                      ERR_CORRUPT,
                      "log segment %s is damaged at offset %" PRIu64 ", after entry %" PRIu64
                      ": %s. " REPLACE_MEMBER,
                      recovery->path,
                      offset,
                      wal_replay_next_index(&recovery->recovered) - 1,
                      what);
}
