/* SPDX-License-Identifier: Apache-2.0 */
/* What a stopped data folder shows of its history: gathers the evidence that model/lineage.h
 * judges. WAL is read by PostgreSQL's own pg_waldump: the records of ended recoveries behind the
 * anchor, and whether anything follows the last of them. Blocking, on the action thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_LINEAGE_H
#define INDABA_REPLICATION_POSTGRES_PG_LINEAGE_H

#include "base/buf.h"
#include "base/hash.h"
#include "model/lineage.h"
#include "replication/driver.h"
#include "replication/postgres/pg_config_file.h"

struct pg_lineage {
    const char *doubt;    /* NULL: proven */
    struct position from; /* … from here on; timeline 0: it never ran, and holds nothing to prove */
    struct position needs; /* no history without this is taken by a start; timeline 0: any is */
    struct sha256 control; /* of the control file that was looked at */
};

/* An error says that it could not be looked at, and nothing of the folder. */
MUST_CHECK enum error pg_lineage_look(struct work *work,
                                      const struct pg_place *place,
                                      const struct driver_request *request,
                                      struct pg_lineage *lineage_out);
/* ERR_PRECONDITION if the folder has run since it was looked at, or runs now. */
MUST_CHECK enum error
pg_lineage_still(struct work *work, const struct pg_place *place, const struct pg_lineage *lineage);

/* For a start that needs no proof of more: ERR_PRECONDITION if its WAL is not what was seen in it,
 * or if a backup_label would have it begin elsewhere. */
MUST_CHECK enum error pg_lineage_same_wal(struct work *work,
                                          const struct pg_place *place,
                                          const struct driver_request *request);

/* pg_lineage_led.c: the timelines from the anchor's on that the record led the folder to. */
struct pg_lineage_way {
    struct fork forks[SHARD_FORKS_MAX]; /* oldest first */
    uint32_t count;
};

MUST_CHECK enum error pg_lineage_find_way(struct work *work,
                                          const struct pg_place *place,
                                          const struct driver_request *request,
                                          const struct lineage_evidence *evidence,
                                          struct pg_lineage_way *way_out);

/* pg_lineage_wal.c: what the WAL behind `evidence->anchor` shows, along that way. */
MUST_CHECK enum error pg_lineage_scan(struct work *work,
                                      const struct pg_place *place,
                                      const struct pg_lineage_way *way,
                                      struct lineage_evidence *evidence);

enum {
    PG_LINEAGE_OPTIONS_MAX = 4
};

struct pg_lineage_question {
    struct position from;
    uint64_t until_lsn; /* 0: to its end */
    const char *options[PG_LINEAGE_OPTIONS_MAX + 1];
    const char *lines_with; /* is kept of the answer */
};

/* Asks pg_waldump; `text` gets its lines, and a NUL. */
MUST_CHECK enum error pg_lineage_dump(struct work *work,
                                      const struct pg_place *place,
                                      const struct pg_lineage_question *question,
                                      struct buf *text);

/* A fingerprint of the WAL in the folder that ends at `end`, back to the beginning of its page: of
 * the newest timeline that has it, `end`'s at most, as PostgreSQL reads it. 0: it is not there. */
uint64_t pg_lineage_fingerprint(const struct pg_place *place, struct position end);

/* What pg_waldump shows of its records of rmgr XLOG, in order. */
struct pg_lineage_records {
    uint32_t ends;         /* ended recoveries, and ends of a server in order */
    uint64_t last_end_lsn; /* the last of them */
    bool checkpoint_found; /* a checkpoint at `checkpoint_lsn` */
};

/* Reads pg_waldump's output. Pure. */
void pg_lineage_read_records(const char *text,
                             uint64_t checkpoint_lsn,
                             struct pg_lineage_records *records_out);
/* Reads pg_controldata's output: was its last run no standby's, and its checkpoint. ERR_CORRUPT. */
MUST_CHECK enum error
pg_lineage_read_control(const char *text, bool *writable_out, uint64_t *checkpoint_lsn_out);
/* Reads the same: up to where recovery must come, as a standby that was stopped has to. Timeline 0:
 * it is not said, or nowhere. */
void pg_lineage_read_needs(const char *text, struct position *needs_out);
/* Reads a backup_label: where the backup began. ERR_CORRUPT. */
MUST_CHECK enum error pg_lineage_read_label(const char *text, struct position *begin_out);

#endif
