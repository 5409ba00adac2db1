/* SPDX-License-Identifier: Apache-2.0 */
/* What a sidecar says of its instance: who it is (hello), how it stands (report, on every change
 * and at least every heartbeat), and its wish to renew a lease. */
#ifndef INDABA_MODEL_REPORT_H
#define INDABA_MODEL_REPORT_H

#include "model/goal.h"

/* What a gate says that lets no commit out which another primary could lack. */
#define GATE_IN_FORCE "in force"

struct hello {
    char shard[NAME_SIZE];
    char instance[NAME_SIZE];
    char region[NAME_SIZE];
    char address[ADDRESS_SIZE];
    char http_address[ADDRESS_SIZE];
    struct cluster_id cluster; /* none on a sidecar's very first start */
    char kind[NAME_SIZE]; /* of its database; "": postgres, says one of before there were kinds */
};

/* How the upstream, or the primary by the last goal, looks from here: a new TCP connection and
 * PostgreSQL's SSLRequest, so that a hung postmaster is seen. */
enum reach {
    REACH_UNKNOWN,
    REACH_OK,
    REACH_REFUSED, /* RST or ECONNREFUSED: nobody listens */
    REACH_SILENT,  /* no answer within the probe's deadline */
};

const char *reach_name(enum reach reach);

struct report {
    struct instance_id instance; /* as assigned by the hello's answer */
    struct incarnation incarnation;
    struct epoch epoch;       /* highest obeyed, persisted */
    uint64_t goal_index;      /* index of the goal obeyed */
    enum goal_role goal_role; /* role of that goal */
    bool goal_met;            /* the goal's role is reached (and, CUT: position is final) */
    enum instance_state state;
    uint64_t system_identifier;
    struct position position;    /* standby: received; primary: flushed */
    bool position_final;         /* cut, receiver verified gone, end of WAL known (safety.md 3) */
    struct instance_id cut_from; /* with goal CUT met: from whom */
    uint64_t replay_lag_bytes;
    uint64_t redo_bytes; /* WAL a crash recovery would replay, estimated */

    /* Standby: its link to the upstream. */
    bool receiver_streaming;
    uint32_t receiver_silence_ms; /* since the last message from the upstream */
    struct instance_id upstream;
    /* Everyone but the primary: the primary's database port. */
    enum reach primary_reach;
    struct instance_id primary_reach_of;
    uint32_t primary_reach_ms; /* for how long it has been so */

    /* Primary */
    struct epoch writable_epoch; /* epoch under which this folder was last made writable; 0 never */
    struct epoch lease_epoch;    /* lease held now, 0 none */
    struct epoch promoted_epoch; /* promoted under it and verified (timeline, fork read back) */
    struct fork promoted_fork;
    bool canary_ok;        /* a canary commit was confirmed or seen to wait, this epoch */
    struct position acked; /* at most this is known to be acknowledged (sync: W-th flush) */
    uint64_t sync_confirmed_version; /* setting of this version seen in force by every walsender */
    struct sync_member caught_up[SYNC_SET_MAX]; /* standbys streaming and near the flush position */
    uint32_t caught_up_count;
    struct sync_member streaming[SYNC_SET_MAX]; /* standbys connected and streaming */
    uint32_t streaming_count;
    uint32_t write_stalled_ms; /* a small write of its own has not become durable for so long */

    /* What was set is watched (safety.md 3). */
    bool cut_undone;         /* after a final position of this epoch it received again */
    char lapse[TEXT_SIZE];   /* since when commits may be acknowledged too early; "" not so */
    char concern[TEXT_SIZE]; /* what else people should know, "" nothing */
    char gate[TEXT_SIZE];    /* the commit gate: "in force", or why not; "" not known */

    /* Fence: verified, process by process, that nothing of the database is left, and persisted that
     * `fenced_epoch` and all below it are over here. 0: none. */
    struct epoch fenced_epoch;
    bool data_intact; /* the folder can be restarted in place (no half-done rebuild) */
    /* Of the guardian's memory: the start under which it last made this folder writable, 0 if it
     * did not, or if the folder was out of its hands since. */
    uint64_t start_nonce;
    /* That guardian saw the database end, and the folder is still the one that it was started on:
     * same device and inode, same nonce in it and in the state folder. */
    bool continuous;
    uint64_t number;    /* grows from report to report, while the machine is not rolled back */
    struct marks marks; /* all this sidecar knows, also of others */
    /* Times in a row that what the goal asks for next was tried and failed, under this goal. */
    uint32_t failures;
    char detail[TEXT_SIZE]; /* what the keeper does now and why, for people */
};

struct renewal {
    uint64_t id; /* chosen by the sidecar, never reused */
    struct epoch epoch;
};

struct renewal_answer {
    uint64_t id;
    bool granted;
    struct epoch epoch;
    uint32_t lease_ms; /* L; the holder counts from its own send */
};

#endif
