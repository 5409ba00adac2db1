/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the database: what it is, where it stands, who streams from it. Runs on the driver's
 * probe thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_PROBE_H
#define INDABA_REPLICATION_POSTGRES_PG_PROBE_H

#include "replication/guard_protocol.h"
#include "replication/postgres/pg_prober.h"
#include "replication/postgres/pg_watch.h"

enum {
    PG_WALSENDERS_MAX = 32,
};

struct pg_walsender {
    struct sync_member member;
    bool streaming;
    uint64_t flush_lsn;
    uint32_t sync_priority;
};

struct pg_look {
    bool folder;              /* there is a complete data folder */
    struct guard_folder left; /* only if nothing runs: the folder, with the nonce in it */
    enum error answered;      /* ERR_OK: all below is known */
    bool starting;            /* not answered: it says that it starts (or stops) */
    int backend_pid;          /* of the session that looked */
    bool in_recovery;
    uint64_t system_identifier;
    uint32_t timeline;
    uint64_t receive_lsn; /* 0: nothing received since this start */
    uint64_t replay_lsn;
    uint64_t flush_lsn;   /* primary */
    uint64_t insert_lsn;  /* primary: end of a record, always */
    uint64_t held_lsn;    /* end of a record that is durable here; 0 unknown … */
    uint64_t fingerprint; /* … and of the WAL there (pg_lineage.h) */
    uint64_t redo_lsn;
    struct instance_id conninfo_of; /* UINT32_MAX: not one of ours */
    char conninfo_address[ADDRESS_SIZE];
    bool nameless;
    bool receiver_running;
    bool receiver_streaming;
    uint32_t receiver_silence_ms;
    bool wal_lost; /* the upstream has not what the receiver asked for last */
    bool replay_paused;
    char too_low[WORK_MESSAGE_SIZE]; /* a standby's settings that only a start can raise; "" none */
    struct fork fork;                /* primary; timeline 0 until read */
    struct pg_walsender walsenders[PG_WALSENDERS_MAX];
    uint32_t walsenders_count;
    uint32_t strangers;   /* primary: that stream under the name of a standby, and were ended */
    uint32_t slots_count; /* … slots of siblings */
    struct pg_watch_look watch;
    char gate[NAME_SIZE];             /* what the commit gate says of itself; "": it is not there */
    char set_back[WORK_MESSAGE_SIZE]; /* settings with which it did not start, for people */
    char refused[WORK_MESSAGE_SIZE];  /* answered ERR_DENIED: why nobody is let in */
    char locked[WORK_MESSAGE_SIZE];   /* answered over a connection from before: nobody gets in */
};

/* `running`: the guardian says that the database runs; otherwise only the folder is looked at. Its
 * own result is in `look`; never fails as a call. */
void pg_probe(struct work *work,
              struct pg_prober *prober,
              bool running,
              const struct pg_watch_wants *wants,
              struct pg_look *look_out);

#endif
