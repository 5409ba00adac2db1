/* SPDX-License-Identifier: Apache-2.0 */
/* What the replicated state holds of regions, members, shards, instances and failovers, as plain
 * structs. No times decide anything here; wall-clock stamps (…_wall_ms) come from commands and are
 * for people. docs/failover.md tells how they change. */
#ifndef INDABA_MODEL_RECORDS_H
#define INDABA_MODEL_RECORDS_H

#include "model/marks.h"
#include "model/position.h"
#include "model/role.h"
#include "model/sync_record.h"

enum {
    NAME_SIZE = 64,    /* names: [a-z0-9][a-z0-9._-]{0,62} */
    ADDRESS_SIZE = 64, /* numeric "host:port", "[v6]:port" */
    TEXT_SIZE = 256,   /* evidence and reasons, for people */
    ACTOR_SIZE = 192,  /* a SPIFFE id; " via " and the path of the member that passed it on */
    REGIONS_MAX = 16,
    MEMBERS_MAX = 16,
    SHARD_INSTANCES_MAX = 9,
    SHARD_FORKS_MAX = 64, /* the newest are kept */
    SHARDS_MAX = 4096,
    /* Timers of the consensus core, in milliseconds. */
    TIMER_HEARTBEAT_MS_MIN = 5,
    TIMER_HEARTBEAT_MS_MAX = 5000,
    TIMER_ELECTION_MS_MAX = 60000,
    LEASE_MS_MAX = 60000,
    LEASE_MARGIN_MS = 500,   /* the fence must be complete, not begun, at send + L */
    LEASE_RENEW_DIVISOR = 4, /* renewed every L/4 */
};

/* A name of ours: 1–63 bytes of [a-z0-9._-], starting with a letter or digit. */
bool name_is_valid(const char *name);
/* "10.0.0.1:5432" or "[fd00::1]:5432", the port from 1 to 65535; no host that could not be dialled.
 * Numeric only: looking a name up would block a cut (safety.md 3). */
bool address_is_valid(const char *address);

/* The shortest lease that outlives an election of the members with these timers: its last renewal
 * may have left L/4 before the leader died, an election may take twice its timer, and the next
 * leader must be found and have answered, in four round trips, before the margin begins. A
 * heartbeat is at least a round trip. With a shorter one every silent end of a leader fences every
 * healthy primary. */
uint32_t lease_least_ms(uint32_t heartbeat_ms, uint32_t election_ms);

enum region_state {
    REGION_ACTIVE,
    REGION_DRAINING,
    REGION_MAINTENANCE
};

struct region {
    struct region_id id;
    char name[NAME_SIZE];
    char jurisdiction[NAME_SIZE]; /* "" if not stated */
    uint32_t rank;                /* smaller is preferred */
    enum region_state state;
};

/* What the cluster wants a member to be; the consensus core follows, one change after the other. */
#define MEMBER_STANDING_TABLE(X)                                                          \
    X(MEMBER_VOTER, "voter")     /* counts for majorities, as soon as it has caught up */ \
    X(MEMBER_LEARNER, "learner") /* gets the log, counts for nothing */                   \
    X(MEMBER_LEAVING, "leaving") /* to be removed; its record goes when it is */

#define X(name, text) name,

enum member_standing {
    MEMBER_STANDING_TABLE(X) MEMBER_STANDING_COUNT
};

#undef X

const char *member_standing_name(enum member_standing standing);
/* ERR_INVALID for a text that is none of them. */
MUST_CHECK enum error member_standing_parse(const char *text, enum member_standing *standing_out);

struct member {
    struct member_id id;
    char name[NAME_SIZE];
    char region[NAME_SIZE];
    char peer_address[ADDRESS_SIZE];
    char api_address[ADDRESS_SIZE];
    char ops_address[ADDRESS_SIZE];
    enum member_standing standing;
    uint32_t level; /* highest command level it said it knows (state/command.h); 0: not said yet */
};

enum shard_kind {
    SHARD_POSTGRES = 1,
    SHARD_REDIS = 2,
    SHARD_KEYVALUE = 3 /* of the tests (tests/keyvalue) */
};

enum shard_mode {
    SHARD_SYNC = 1,
    SHARD_ASYNC = 2
};

enum lease_state {
    LEASE_NONE,
    LEASE_OPEN,
    LEASE_CLOSED
};

struct shard {
    struct shard_id id;
    char name[NAME_SIZE];
    enum shard_kind kind;
    enum shard_mode mode;
    uint32_t rto_ms;                              /* objectives */
    uint32_t rpo_ms;                              /* 0 in sync mode */
    uint32_t sync_required;                       /* W wanted, default 1 */
    char preferred_region[NAME_SIZE];             /* "" for none */
    char allowed_regions[REGIONS_MAX][NAME_SIZE]; /* none: all */
    uint32_t allowed_regions_count;
    bool frozen; /* no automatic failover */

    struct epoch epoch;         /* the highest ballot ever used */
    struct instance_id primary; /* decided; none before the first decision */
    struct epoch primary_epoch; /* the epoch that decided it */
    /* The data folder that took office; 0 from a bootstrap's decision to its promotion. Only this
     * folder may restart in place. */
    struct incarnation primary_incarnation;
    /* The start under which that folder was promoted, as its guardian knows it; 0 until a promotion
     * is recorded. Only who saw the end of this start may say that the folder is what it was. */
    uint64_t primary_nonce;
    enum lease_state lease;     /* of (primary, primary_epoch) */
    bool opened;                /* clients were let in under primary_epoch */
    struct position floor;      /* nobody below this is promoted without --accept-loss */
    uint32_t timeline_reserved; /* highest timeline number given to an epoch */
    /* Above every timeline that the last decision for another folder than that of the old primary
     * knew of. What lies above `floor` on a lower one was decided away: no folder is asked to hold
     * it any more. 0 before the first. */
    uint32_t branch_timeline;
    struct fork forks[SHARD_FORKS_MAX]; /* promoted epochs, oldest first */
    uint32_t forks_count;
    uint64_t system_identifier; /* PostgreSQL's, set by the bootstrap; 0 before */
    struct sync_record sync;
    /* Since when its settings do not hold a commit back until enough standbys have it, in words; ""
     * not so. A failover now could lose what was acknowledged meanwhile. */
    char lapse[TEXT_SIZE];
    uint64_t lapse_wall_ms;
    uint64_t
        changed_index; /* log index of the last command that changed shard, instances or failover */
};

struct instance {
    struct instance_id id;
    struct shard_id shard;
    char name[NAME_SIZE];
    char region[NAME_SIZE];
    char address[ADDRESS_SIZE];      /* of the database */
    char http_address[ADDRESS_SIZE]; /* of the sidecar's role endpoints, "" if none */
    struct incarnation incarnation;  /* of the data folder; 0: none reported */
    /* Promotions that did not get through since the shard was last open. */
    uint32_t promotions_failed;
    /* … and why the last one did not, for people; kept until it is promoted or its data folder is
     * another one. "": none, or forgotten. */
    char promotion_trouble[TEXT_SIZE];
};

/* clang-format off */
#define FAILOVER_STEP_TABLE(X)                                                                     \
    X(FAILOVER_NONE,     "none")     /* never one */                                               \
    X(FAILOVER_EXCLUDE,  "exclude")  /* begun: lease closed, standbys told to cut */               \
    X(FAILOVER_COMPLETE, "complete") /* the old primary can acknowledge nothing more */            \
    X(FAILOVER_DECIDE,   "decide")   /* final positions are known; the candidate is chosen next */ \
    X(FAILOVER_PROMOTE,  "promote")  /* decided; the candidate is being promoted */                \
    X(FAILOVER_OPEN,     "open")     /* promoted; siblings re-attach, the canary commits */        \
    X(FAILOVER_DONE,     "done")                                                                   \
    X(FAILOVER_ABORTED,  "aborted")  /* replaced by a later epoch */

#define FAILOVER_CAUSE_TABLE(X)                                                                    \
    X(CAUSE_NONE,      "none")                                                                     \
    X(CAUSE_BOOTSTRAP, "bootstrap")  /* the shard's first primary */                               \
    X(CAUSE_PROCESS,   "process")    /* the database is gone, its sidecar says so */               \
    X(CAUSE_INSTANCE,  "instance")   /* sidecar's session closed, database refuses or is unheard */ \
    X(CAUSE_SILENT,    "silent")     /* nothing is heard of either, no socket closed */            \
    X(CAUSE_OPERATOR,  "operator")                                                                 \
    X(CAUSE_STUCK,     "stuck")      /* the attempt before did not get through */                  \
    X(CAUSE_DISK,      "disk")       /* its writes hang, and others see none arrive */

#define EXCLUSION_PROOF_TABLE(X)                                                                   \
    X(PROOF_NONE,   "-")                                                                           \
    X(PROOF_CLOCK,  "clock")                                                                       \
    X(PROOF_QUORUM, "quorum")                                                                      \
    X(PROOF_FENCE,  "fence")
/* clang-format on */

#define X(name, text) name,

enum failover_step {
    FAILOVER_STEP_TABLE(X) FAILOVER_STEP_COUNT
};

enum failover_cause {
    FAILOVER_CAUSE_TABLE(X) FAILOVER_CAUSE_COUNT
};

enum exclusion_proof {
    EXCLUSION_PROOF_TABLE(X) EXCLUSION_PROOF_COUNT
};

#undef X

const char *failover_step_name(enum failover_step step);
const char *failover_cause_name(enum failover_cause cause);
const char *exclusion_proof_name(enum exclusion_proof proof);

/* A final position, as a member of a recorded set reported it for an epoch. */
struct final_report {
    struct instance_id instance;
    struct incarnation incarnation;
    struct position position;
    uint64_t replay_lag_bytes;
};

struct failover {
    uint64_t id; /* dense from 1 over the cluster; 0: none */
    struct shard_id shard;
    struct epoch epoch;
    enum failover_step step;
    enum failover_cause cause;
    enum exclusion_proof proof;
    bool in_place; /* the old primary is restarted on its own data, which it never left alone */
    /* The old primary's folder may be chosen like the others', if final positions of enough of the
     * sync record show that nobody holds more. Then it is asked for its own, here. */
    bool witnessed;
    struct final_report own; /* instance 0: not reported */
    /* In place: how many such restarts this is in a row, each soon after the one before; by the
     * leaders' clocks. */
    uint32_t in_place_row;
    struct instance_id old_primary;
    struct epoch old_epoch;
    struct instance_id candidate;
    uint32_t timeline;           /* reserved for the candidate */
    struct position acked_floor; /* the last acknowledged position the old primary reported */
    struct marks marks;          /* as known when it began, or when final positions were taken */
    struct final_report reports[SHARD_INSTANCES_MAX];
    uint32_t reports_count;
    uint64_t loss_bound_bytes;  /* async: at most this much WAL may be stranded */
    char could_lose[TEXT_SIZE]; /* sync: the lapse that the old primary was in; "" none known */
    char evidence[TEXT_SIZE];
    char reason[TEXT_SIZE]; /* why this candidate, or why it was aborted */
    /* Wall clock of the leader when each step was reached, for the timeline shown to people. */
    uint64_t detected_wall_ms; /* first evidence */
    /* When it was heard that enough of the sync record hold a write of the new history, so that one
     * can be acknowledged; the outage lasted until then. 0: not yet. It holds nothing up. */
    uint64_t confirmed_wall_ms;
    uint64_t step_wall_ms[FAILOVER_STEP_COUNT];
};

/* Everything a decider needs of one shard, copied out of the state after each change. */
struct shard_view {
    struct shard shard;
    struct instance instances[SHARD_INSTANCES_MAX];
    uint32_t instances_count;
    struct failover failover; /* the last one; id 0 if never one */
};

/* Below this the old primary's folder is an older copy of itself: whoever held more, held it by
 * then.
 */
struct position failover_own_floor(const struct failover *failover);
/* May it be chosen for its own final position? Nobody who reported stands above. */
bool failover_own_may_lead(const struct shard_view *view,
                           const struct final_report *own,
                           const struct final_report *reports,
                           uint32_t count);

/* The ballot that follows `epoch`. A forced recovery of the coordinators may have forgotten ballots
 * that instances have seen; so each cluster epoch begins far above all of the one before. */
struct epoch epoch_next(struct epoch epoch, uint32_t cluster_epoch);

enum {
    /* So many decisions of one shard may be lost with a forced recovery and still be recognized.
     * Each costs the next promotion a small file. */
    LOST_TIMELINES_MAX = 64
};

/* The highest timeline that may exist. Decisions that a forced recovery forgot have reserved
 * timelines, too, and databases may be on them; the first decision after it reserves above all. */
uint32_t shard_timelines_given(const struct shard *shard, uint32_t cluster_epoch);
/* Whether this position is on a branch that the last decision for another folder left behind. */
bool shard_left_behind(const struct shard *shard, struct position position);
/* Takes out of `marks` what was left behind. */
void shard_forget_left_behind(const struct shard *shard, struct marks *marks);

/* True if the instance of reports[at] may become primary of the failover of the view, as far as its
 * report tells: in an allowed region, at or above every floor, and in sync mode nobody of `reports`
 * holds more (docs/safety.md 1). */
bool final_report_may_lead(const struct shard_view *view,
                           const struct final_report *reports,
                           uint32_t count,
                           uint32_t at);
/* True if anybody of `reports` may. */
bool final_reports_have_leader(const struct shard_view *view,
                               const struct final_report *reports,
                               uint32_t count);

/* A planned move, before its primary has stopped: that one stops in order and its standbys are not
 * cut, so that whoever was asked for can hold everything. Excluded by its fence alone. */
bool failover_drains(const struct failover *failover);
/* NULL if the id is not of this shard. Borrowed from the view. */
const struct instance *shard_view_instance(const struct shard_view *view, struct instance_id id);
bool shard_allows_region(const struct shard *shard, const char *region);
/* True while a failover is between begin and done. */
bool shard_view_in_failover(const struct shard_view *view);

#endif
