/* SPDX-License-Identifier: Apache-2.0 */
/* The WAL behind the anchor, read by pg_waldump: as much as there is, for a standby that lags or a
 * copy that took long has much. Of its text only what matters is kept: with checksums a page of
 * eight kilobytes is a record of XLOG as well. */
#include "replication/postgres/pg_lineage.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/plain_file.h"
#include "replication/as_user.h"
#include "replication/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SCAN_MS = 120000,
    SCAN_SEGMENT_MS = 1000, /* for each segment: disks of 16 MB/s are met */
    SCAN_OUTPUT_MAX = 32 * 1024 * 1024,
    PAGE_SIZE = 8192,
    PAGE_ADDRESS_AT = 8,   /* in its header: which page it is; in a file not yet written another */
    TIMELINES_BEHIND = 64, /* so far back a file is looked for */
    WORDS_MAX = 9,         /* of a question, without its options */
};

#define SEGMENT_SIZE UINT64_C(0x1000000) /* initdb's default, which is what we make */

static bool has_segment(const struct pg_place *place, uint32_t timeline, uint64_t lsn);
static char *segment_path(const struct pg_place *place, struct position at, char *path);
static size_t read_wal(const struct pg_place *place, struct position at, uint8_t *page, size_t len);
static bool has_segments(const struct pg_place *place, struct position from, uint64_t until_lsn);
static enum error scan_part(struct work *work,
                            const struct pg_place *place,
                            struct pg_lineage_question *question,
                            struct lineage_evidence *evidence);

enum error pg_lineage_scan(struct work *work,
                           const struct pg_place *place,
                           const struct pg_lineage_way *way,
                           struct lineage_evidence *evidence)
{
    struct position from = evidence->anchor;

    evidence->wal_found = from.lsn == 0 || has_segment(place, from.timeline, from.lsn - 1);
    evidence->other_wal =
        evidence->fingerprint != 0 && pg_lineage_fingerprint(place, from) != evidence->fingerprint;
    evidence->led_timeline = from.timeline;
    for (uint32_t i = 0; i <= way->count; i++) {
        bool last = i == way->count;
        struct pg_lineage_question question = {.from = from,
                                               .until_lsn = last ? 0 : way->forks[i].fork_lsn};
        /* Nothing lies behind it. */
        if (from.lsn == 0 || !has_segment(place, from.timeline, from.lsn)) {
            evidence->checkpoint_found = evidence->checkpoint_found || last;
        } else if (last || from.lsn < question.until_lsn) {
            TRY(scan_part(work, place, &question, evidence));
        }
        if (!last) {
            evidence->wal_found =
                evidence->wal_found && has_segments(place, from, question.until_lsn);
            from = lineage_fork_place(&way->forks[i]);
            evidence->led_timeline = from.timeline;
        }
    }
    return ERR_OK;
}

static enum error scan_part(struct work *work,
                            const struct pg_place *place,
                            struct pg_lineage_question *question,
                            struct lineage_evidence *evidence)
{
    static const char *const CHECKPOINTS[] = {"-r", "XLOG"};
    static const char *const TWO_RECORDS[] = {"-n", "2"};
    struct pg_lineage_records records = {0};
    struct buf text = {0};

    memcpy(question->options, CHECKPOINTS, sizeof(CHECKPOINTS));
    question->lines_with = "desc: CHECKPOINT_";
    enum error error = pg_lineage_dump(work, place, question, &text);
    if (error == ERR_OK && text.len > SCAN_OUTPUT_MAX - PG_TEXT_SIZE) {
        evidence->wal_found = false; /* too much to be read */
    }
    if (error == ERR_OK) {
        pg_lineage_read_records((const char *)text.data, evidence->checkpoint_lsn, &records);
        evidence->checkpoint_found = evidence->checkpoint_found || records.checkpoint_found;
        evidence->recovery_ended = evidence->recovery_ended || records.ends > 1;
        buf_clear(&text);
    }
    if (error == ERR_OK && records.ends == 1) {
        question->from.lsn = records.last_end_lsn;
        memcpy(question->options, TWO_RECORDS, sizeof(TWO_RECORDS));
        question->lines_with = "rmgr: ";
        error = pg_lineage_dump(work, place, question, &text);
        const char *first = error == ERR_OK ? strstr((const char *)text.data, "rmgr: ") : NULL;
        evidence->recovery_ended =
            evidence->recovery_ended || (first != NULL && strstr(first + 1, "rmgr: ") != NULL);
    }
    buf_deinit(&text);
    return error;
}

uint64_t pg_lineage_fingerprint(const struct pg_place *place, struct position end)
{
    uint8_t page[PAGE_SIZE];
    struct slice bytes = {.data = page};
    uint64_t address = 0;
    uint64_t fingerprint = 0;

    if (end.lsn == 0) {
        return 0;
    }
    struct position at = {end.timeline, end.lsn - 1 - (end.lsn - 1) % PAGE_SIZE};
    size_t len = (size_t)(end.lsn - at.lsn);
    uint32_t oldest = end.timeline > TIMELINES_BEHIND ? end.timeline - TIMELINES_BEHIND : 1;
    while (bytes.len == 0 && at.timeline >= oldest) {
        bytes.len = read_wal(place, at, page, len);
        at.timeline--;
    }
    if (bytes.len < len || len < PAGE_ADDRESS_AT + sizeof(address)) {
        return 0;
    }
    memcpy(&address, page + PAGE_ADDRESS_AT, sizeof(address));
    if (address != at.lsn) {
        return 0;
    }
    const struct sha256 digest = hash_sha256(&bytes, 1);
    memcpy(&fingerprint, digest.bytes, sizeof(fingerprint));
    return fingerprint;
}

static bool has_segment(const struct pg_place *place, uint32_t timeline, uint64_t lsn)
{
    char path[PG_PATH_SIZE * 2];

    as_user_enter(&place->user);
    bool there = access(segment_path(place, (struct position){timeline, lsn}, path), F_OK) == 0;
    as_user_leave(&place->user);
    return there;
}

static char *segment_path(const struct pg_place *place, struct position at, char *path)
{
    (void)snprintf(path,
                   (size_t)PG_PATH_SIZE * 2,
                   "%s/pg_wal/%08" PRIX32 "%08" PRIX32 "%08" PRIX32,
                   place->data,
                   at.timeline,
                   (uint32_t)(at.lsn >> 32),
                   (uint32_t)((at.lsn & UINT32_MAX) / SEGMENT_SIZE));
    return path;
}

/* How much of it is there; 0: not even the file. */
static size_t read_wal(const struct pg_place *place, struct position at, uint8_t *page, size_t len)
{
    char path[PG_PATH_SIZE * 2];
    int fd = -1;
    ssize_t got = 0;

    as_user_enter(&place->user);
    if (plain_file_open(segment_path(place, at, path), O_RDONLY, 0, &fd) == ERR_OK) {
        got = pread(fd, page, len, (off_t)(at.lsn % SEGMENT_SIZE));
        (void)close(fd);
    }
    as_user_leave(&place->user);
    return got > 0 ? (size_t)got : 0;
}

/* The segment in which its timeline is left may have been received as one of the next alone. */
static bool has_segments(const struct pg_place *place, struct position from, uint64_t until_lsn)
{
    uint64_t lsn = from.lsn - from.lsn % SEGMENT_SIZE;

    while (lsn + SEGMENT_SIZE <= until_lsn && has_segment(place, from.timeline, lsn)) {
        lsn += SEGMENT_SIZE;
    }
    return lsn + SEGMENT_SIZE > until_lsn;
}

/* It ends at the end of WAL, and calls that an error. For a segment that is not there it would wait
 * for five seconds: the end of the last one is told. */
enum error pg_lineage_dump(struct work *work,
                           const struct pg_place *place,
                           const struct pg_lineage_question *question,
                           struct buf *text)
{
    static const char *const ENDS[] = {
        "error in WAL record at", "could not find a valid record after", "could not find file"};
    const struct position from = question->from;
    struct position to = {from.timeline, from.lsn - from.lsn % SEGMENT_SIZE};
    uint64_t scan_ms = SCAN_MS;
    char program[PG_PATH_SIZE * 2];
    char folder[PG_PATH_SIZE * 2];
    char timeline[POSITION_TEXT_SIZE];
    char begin[POSITION_TEXT_SIZE];
    char end[POSITION_TEXT_SIZE];

    while (has_segment(place, to.timeline, to.lsn)) {
        to.lsn += SEGMENT_SIZE;
        scan_ms += SCAN_SEGMENT_MS;
    }
    if (question->until_lsn != 0 && question->until_lsn < to.lsn) {
        to.lsn = question->until_lsn;
    }
    (void)snprintf(program, sizeof(program), "%s/pg_waldump", place->config.bin_dir);
    (void)snprintf(folder, sizeof(folder), "%s/pg_wal", place->data);
    (void)snprintf(timeline, sizeof(timeline), "%" PRIu32, from.timeline);
    const char *from_lsn = strchr(position_format(from, begin), ':') + 1;
    const char *to_lsn = strchr(position_format(to, end), ':') + 1;
    const char *argv[WORDS_MAX + PG_LINEAGE_OPTIONS_MAX + 1] = {
        program, "-p", folder, "-t", timeline, "-s", from_lsn, "-e", to_lsn};
    memcpy(&argv[WORDS_MAX], question->options, sizeof(question->options));
    struct proc_request request = {.argv = argv,
                                   .user = &place->user,
                                   .timeout_ms = scan_ms,
                                   .output_max = SCAN_OUTPUT_MAX,
                                   .lines_with = question->lines_with};
    enum error error = proc_run(work, &request, text);
    buf_append(text, "", 1);
    for (size_t i = 0; error == ERR_SYSTEM && i < ARRAY_LEN(ENDS); i++) {
        if (strstr(work->message, ENDS[i]) != NULL) {
            error = ERR_OK;
        }
    }
    return error;
}
