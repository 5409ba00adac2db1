/* SPDX-License-Identifier: Apache-2.0 */
/* A write-ahead log on a faulty disk in memory, and short ways to write to it and look inside. */
#ifndef INDABA_TESTS_WAL_FIXTURE_H
#define INDABA_TESTS_WAL_FIXTURE_H

#include "base/reason.h"
#include "storage/wal.h"
#include "tests/support/fault_disk.h"

enum {
    FIXTURE_SEGMENT_BYTES = 4096
};

struct wal_fixture {
    struct fault_disk *disk;
    struct wal_options options;
    struct wal *wal;                /* NULL while closed */
    struct wal_recovered recovered; /* by the last open */
    struct reason reason;
};

/* A formatted, open log. */
void wal_fixture_init(struct wal_fixture *fixture, uint64_t seed, uint64_t segment_bytes);
void wal_fixture_deinit(struct wal_fixture *fixture);
/* Opens again; any error comes back and leaves it closed. */
MUST_CHECK enum error wal_fixture_open(struct wal_fixture *fixture);
void wal_fixture_close(struct wal_fixture *fixture);
/* Power is cut, and the log opened again; fails the test if that fails. */
void wal_fixture_crash_and_open(struct wal_fixture *fixture);

/* A write of `count` entries from `first` on, of `term`, each with a payload of `payload_len` bytes
 * made from index and term. Release with wal_fixture_free_write. */
struct raft_write
wal_fixture_write(uint64_t first, uint32_t count, uint64_t term, uint32_t payload_len);
void wal_fixture_free_write(struct raft_write *write);
/* Makes and appends such a write. */
MUST_CHECK enum error
wal_fixture_append(struct wal_fixture *fixture, uint64_t first, uint32_t count, uint64_t term);

/* The only, or last, segment's path. */
const char *wal_fixture_last_segment(struct wal_fixture *fixture);
/* Asserts that `recovered` holds exactly entries first..last with payloads as made above; `terms`
 * gives the term of each index from 1 on, NULL for term 1 throughout. */
void wal_fixture_expect(const struct wal_fixture *fixture, uint64_t first, uint64_t last);

#endif
