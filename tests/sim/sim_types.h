/* SPDX-License-Identifier: Apache-2.0 */
/* The things of the simulated world: clocks, streams, members, databases, guardians, sidecars, and
 * what the checkers keep of writes and shards. Plain data; sim_world.h says who changes what. */
#ifndef INDABA_TESTS_SIM_SIM_TYPES_H
#define INDABA_TESTS_SIM_SIM_TYPES_H

#include "base/prng.h"
#include "decide/controller.h"
#include "replication/keeper_turn.h"
#include "replication/lease_holder.h"
#include "state/apply.h"
#include "tests/sim/sim_bugs.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_member.h"
#include "tests/sim/sim_pipe.h"
#include "tests/sim/sim_swarm.h"
#include "tests/support/sim_net.h"
#include "tests/support/sim_queue.h"

#include <stdio.h>

enum {
    SIM_SHARDS_MAX = 3,
    SIM_INSTANCES_MAX = 9,
    SIM_REGIONS = 3,
    SIM_LSN_PER_ENTRY = 100,
    SIM_LEASE_MS = 3000,
    SIM_MS = 1000, /* microseconds */
};

struct sim_clock {
    uint64_t offset_us;
    uint64_t rate_ppm; /* 1000000: exact */
    uint64_t frozen_us;
    bool standing;
    uint64_t standing_since_us;
};

enum sim_event_kind {
    EV_MEMBER_TIMER = 1, /* node: member; number: generation */
    EV_MEMBER_TICK,      /* the same */
    EV_MEMBER_APPLY,     /* the same: its apply thread goes on */
    EV_MEMBER_DISK,      /* number: write seq; data: generation */
    EV_MEMBER_REDIAL,    /* number: generation */
    EV_MEMBER_FILE,      /* data: struct sim_file_task */
    EV_MEMBER_START,
    EV_PARCEL, /* data: struct sim_parcel */
    EV_STREAM, /* number: stream << 1 | direction */
    EV_CAR_TIMER,
    EV_CAR_ACTION,   /* effect on the database; number: action serial */
    EV_CAR_FINISHED, /* the sidecar sees it done */
    EV_CAR_SAVED,    /* what it promises is durable */
    EV_GUARD,        /* deadline */
    EV_GUARD_KILLED,
    EV_DB_STARTED,
    EV_DB_FLUSHED, /* number: entries flushed */
    EV_DB_RELOAD,  /* a walsender sees the setting; number: walsender */
    EV_DB_CONNECT, /* a receiver tries to connect */
    EV_DB_FORK_READ,
    EV_CLIENT,
    EV_KEYS_CLIENT,      /* number: client, serial of its operation */
    EV_KEYS_ASK,         /* data: struct sim_ask; node: member */
    EV_KEYS_ANSWER,      /* data: struct sim_answer */
    EV_KEYS_INDEX_ASKED, /* data: struct sim_index; node: member */
    EV_KEYS_INDEX,
    EV_FAULT,
    EV_OPERATOR,
    EV_FLAP, /* number: link, until */
    EV_UNDO,
    EV_CHECK,
    EV_LOAD,
    EV_STOP,
};

/* --- streams -------------------------------------------------------------------------------- */

enum sim_body_kind {
    BODY_HELLO = 1,
    BODY_REPORT,
    BODY_RENEWAL,
    BODY_WELCOME,
    BODY_GOAL,
    BODY_ANSWER,
    BODY_PING,
    BODY_CLOSE,
    BODY_WAL, /* everything up to `number` entries, read at the upstream when sent */
    BODY_WAL_ACK,
};

struct wal_entry {
    uint64_t write; /* > 0: a client's write; 0: other records */
    uint32_t timeline;
    uint32_t serial; /* makes records of different promotions different */
};

struct sim_body {
    enum sim_body_kind kind;
    uint64_t arrive_us;
    bool lapsed; /* a report's sidecar knows of a lapse, whatever it says */
    uint64_t made_us;

    union {
        struct hello hello;
        struct report report;
        struct renewal renewal;
        struct goal goal;
        struct renewal_answer answer;

        struct {
            struct instance_id instance;
            struct cluster_id cluster;
        } welcome;

        struct {
            uint64_t from; /* first entry's place */
            uint32_t count;
            struct wal_entry *entries; /* owned */
        } wal;

        uint64_t number;
    };
};

enum sim_stream_kind {
    STREAM_SESSION, /* a: sidecar, b: member */
    STREAM_WAL,     /* a: standby, b: upstream */
};

struct sim_stream {
    enum sim_stream_kind kind;
    bool open;
    uint32_t a; /* nodes */
    uint32_t b;
    bool a_closed; /* that end has gone; what it is sent disappears */
    bool b_closed;

    struct sim_body **queue[2]; /* to b, to a */
    uint32_t queue_count[2];
    uint32_t queue_cap[2];
    uint64_t last_us[2];
    bool pumping[2];
    uint64_t session; /* member's session id */
};

/* --- instances ------------------------------------------------------------------------------ */

enum db_process {
    DB_DOWN,
    DB_STARTING,
    DB_STANDBY,
    DB_PRIMARY
};

struct walsender {
    bool connected;
    bool copy; /* a base backup under way: flushes what it is sent, runs nothing */
    uint32_t stream;
    struct incarnation incarnation;
    uint64_t sent;
    uint64_t flushed;
    uint64_t seen_version; /* of the setting: what this process has read */
    uint64_t alive_us;     /* true time at which the standby was last heard */
};

struct sim_db {
    enum db_process process;
    bool hung;
    bool dies_promoted;        /* whenever it is */
    uint32_t promotion_deaths; /* … so often, since that began */
    bool leftovers;            /* the postmaster is gone, its backends still run */
    bool folder;
    uint64_t folder_id;  /* another one when it is replaced */
    uint64_t nonce;      /* of the last start, in the folder */
    bool by_hand;        /* somebody wrote into it while its sidecar was away */
    uint64_t generation; /* of the process; events of older ones are void */
    struct wal_entry *wal;
    uint64_t wal_count;
    uint64_t wal_cap;
    uint64_t flushed;
    bool flushing;
    uint64_t flushing_generation;
    bool connecting;
    uint64_t visible;    /* what a restarted standby says it holds before it knows (E3) */
    bool position_known; /* visible is the truth */
    bool position_final;
    /* As a standby. */
    uint32_t upstream; /* instance number by primary_conninfo, 0 none */
    char upstream_address[ADDRESS_SIZE];
    bool receiver;
    uint32_t receiver_stream;
    uint64_t receiver_heard_us;
    uint64_t receiver_alive_us; /* … or a keep-alive of it */
    /* As the primary. */
    struct epoch epoch;
    struct fork fork;
    bool fork_read;
    struct sync_pair settings[2]; /* what is set now, and what it was before */
    uint64_t settings_version[2];
    uint64_t set_version; /* goal.sync_version it stands for */
    uint64_t confirmed_version;
    uint64_t marker;
    bool marker_is_last; /* it was written when every walsender had taken the setting */
    uint64_t acked;      /* entries released */
    bool emptied;        /* by a superuser: commits wait for nobody */
    uint64_t emptied_us;
    uint64_t found_us; /* when the sidecar found the first of what lapsed; 0: not yet */
    bool lapsed;       /* some were acknowledged so, and are not known to be held by enough … */
    uint64_t lapsed_epoch; /* … under this epoch */
    struct epoch canary_epoch;
    struct epoch slots_epoch;
    uint64_t slots_index;
    struct walsender senders[SIM_INSTANCES_MAX + 1];
};

struct sim_guardian {
    struct epoch epoch;
    uint64_t deadline_us; /* own clock; 0 none */
    bool writable;
    bool killing;
    /* Of its memory: the start it made last, on which folder; the one that became writable. */
    uint64_t nonce;
    uint64_t folder_id;
    uint64_t office_nonce;
};

struct sim_car {
    bool up;
    bool paused;
    uint64_t generation;
    struct keeper_turn turn;
    bool writing;   /* turn.action.state_next, or what MUTANT_PROMISE_UNWRITTEN has obeyed */
    bool disk_hung; /* of the state folder */
    struct keeper_state behind; /* of that mutant: what is on disk meanwhile */
    uint64_t start_nonce;       /* durable, in the state folder */
    struct marks marks;
    struct marks marks_saved;   /* durable, … */
    uint64_t marks_saved_us;    /* … as it was then */
    uint64_t number;            /* of reports */
    uint64_t last_office_nonce; /* of MUTANT_FOLDER_UNCHECKED */
    struct lease_holder holder;
    bool has_goal;
    struct goal goal;
    struct instance_id instance; /* as welcomed */
    struct cluster_id cluster;   /* durable */
    uint32_t stream;             /* session, 0 none */
    bool put_back;               /* what somebody changed is to be written anew */
    bool lapsed;                 /* … and commits may have been acknowledged too early since */
    uint64_t heard_us;
    uint64_t asked_us;
    uint32_t next_member;
    enum keeper_action_kind running;
    struct keeper_action action;
    struct goal action_goal;
    uint64_t action_serial;
    uint64_t hung_since_us;
    uint32_t fresh_last;
    enum reach reach;
    struct instance_id reach_of;
    uint64_t reach_since_us;
    uint64_t pinged_us;
    uint64_t reported_us;
    struct report reported;
    uint64_t timer_at_us;
};

/* A data folder as it was, and the state folder beside it. */
struct sim_image {
    bool taken;
    bool with_state;
    struct wal_entry *wal; /* owned */
    uint64_t count;
    uint64_t nonce;
    uint64_t start_nonce;
    struct keeper_state state;
    struct marks marks;
};

struct sim_instance {
    uint32_t number; /* from 1 over the world */
    uint32_t node;
    uint32_t shard; /* from 1 */
    uint32_t region;
    struct instance_id id; /* as last welcomed; 0 before */
    bool up;               /* the machine */
    bool paused;
    struct incarnation ran; /* the newest whose database has run */
    struct sim_db db;
    struct sim_guardian guardian;
    struct sim_car car;
    struct sim_image image;
    uint64_t told_us;           /* when the report was made that a leader heard last */
    struct incarnation by_hand; /* somebody wrote into that folder, or set it back; 0: never */
    struct position older_than; /* once set back to it; timeline 0: never */
};

/* One client's write, for the checkers. */
struct sim_write {
    uint32_t shard;
    uint32_t instance;
    uint64_t epoch;
    uint64_t checked_us; /* the pre-commit check */
    uint64_t acked_us;   /* 0: not acknowledged */
    uint64_t place;      /* of its record in the WAL, from 1 */
    bool lapsed;         /* while the sync names were empty: it may be lost */
};

struct sim_shard {
    enum shard_mode mode;
    uint32_t required;
    uint32_t instances[SIM_INSTANCES_MAX];
    uint32_t instances_count;
    /* Of the checkers. */
    uint64_t promoted_epoch; /* highest that a database was promoted under */
    uint32_t promoted_instance;
    uint64_t acked_epoch;    /* highest an acknowledgement was given under */
    uint64_t first_check_us; /* of the first write checked and acknowledged under it */
    uint64_t acked_count;
    uint64_t last_acked_us;
    uint64_t last_acked_epoch;
    uint64_t view_index;
    uint64_t told_term; /* in which a leader last heard of a lapse, of whom */
    uint32_t told_instance;
    uint64_t done_id;
    struct epoch view_epoch;
    struct position view_floor;
    uint64_t failovers;
    uint64_t in_place;
};

struct sim_applied {
    uint64_t term;
    uint64_t state_hash;
    uint64_t root_hash;
};

#endif
