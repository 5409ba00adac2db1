/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: what to do next to make an instance what its goal asks. A table of rows (goal role,
 * instance state, condition -> action, why); the first row that fits decides, and the table prints
 * itself as the one in docs/failover.md. Pure: facts, persisted state and goal in, one action out.
 * Every action is idempotent and bounded in time (CONFIRM_SYNC, CANARY: a second, then the answer
 * is "not yet"); the owner does one at a time, looks again (probe), and asks again.
 *
 * Invariants: the goal's (epoch, index) is persisted before anything is done for it; writable_epoch
 * is persisted before promotion; fenced_epoch is persisted only when nothing of the database that
 * may be writable is left, and nothing at or below it is ever made writable here again. */
#ifndef INDABA_REPLICATION_KEEPER_H
#define INDABA_REPLICATION_KEEPER_H

#include "model/lineage.h"
#include "model/report.h"

enum {
    KEEPER_HUNG_PRIMARY_MS = 5000, /* a primary that hangs so long is fenced: the epoch is over */
    KEEPER_HUNG_STANDBY_MS = 5000, /* a standby that hangs so long is stopped and started again */
    KEEPER_GAP_MS = 10000,         /* so long a standby of unknown descent may try to follow */
    KEEPER_LOST_MS = 20000,        /* so long the record may let go of who wants WAL that is gone */
    KEEPER_HUNG_CUT_MS = 1000,     /* … sooner while a failover waits for its position */
};

/* clang-format off */
#define KEEPER_ACTION_TABLE(X)                                                                     \
    X(KEEPER_NONE,           "none")           /* the goal is met, nothing to do */                \
    X(KEEPER_WAIT,           "wait")           /* nothing to do until something changes */         \
    X(KEEPER_REFUSE,         "refuse")         /* the goal is stale: forget it */                  \
    X(KEEPER_PERSIST,        "persist")        /* only write state_next */                         \
    X(KEEPER_INIT,           "init")           /* initdb under state.incarnation */                \
    X(KEEPER_CLONE,          "clone")          /* base backup of `upstream` under state.incarnation */ \
    X(KEEPER_REBUILD,        "rebuild")        /* stop, keep the folder aside: then it is empty */ \
    X(KEEPER_PROVE,          "prove")          /* does the stopped folder hold our history alone? */ \
    X(KEEPER_START,          "start")          /* always as a standby, of `upstream` or of nobody */ \
    X(KEEPER_STOP,           "stop")           /* a standby, bounded, then by force */             \
    X(KEEPER_FOLLOW,         "follow")         /* primary_conninfo := `upstream`, reload */        \
    X(KEEPER_CUT,            "cut")            /* clear conninfo, reload, SIGTERM receiver, two looks */ \
    X(KEEPER_FINAL_POSITION, "final_position") /* find the end of WAL (safety.md 3) */             \
    X(KEEPER_PROMOTE,        "promote")        /* to goal.timeline; tell the guardian first */     \
    X(KEEPER_SET_SYNC,       "set_sync")       /* synchronous_standby_names := goal.sync */        \
    X(KEEPER_SLOTS,          "slots")          /* physical slots and hba for goal.siblings */      \
    X(KEEPER_CANARY,         "canary")         /* a commit at the shard's level: confirmed or seen to wait */ \
    X(KEEPER_CONFIRM_SYNC,   "confirm_sync")   /* see goal.sync in force at every walsender */     \
    X(KEEPER_FENCE,          "fence")          /* guardian: kill and verify, epoch <= fence_epoch */

/* clang-format on */

enum keeper_action_kind {
#define X(name, text) name,
    KEEPER_ACTION_TABLE(X)
#undef X
    KEEPER_ACTION_COUNT
};

const char *keeper_action_name(enum keeper_action_kind kind);

/* What must survive a crash of the sidecar. Written by the owner: write, fsync, rename, fsync of
 * the folder. Zero is a valid first state. */
struct keeper_state {
    struct epoch epoch; /* highest goal obeyed … */
    uint64_t goal_index;
    enum goal_role goal_role;
    struct instance_id cut_from; /* from whom, for the epoch cut_epoch; 0 never */
    struct epoch cut_epoch;
    struct epoch fenced_epoch; /* this and all below are over on this instance */
    /* Of the coordinators, the highest that was ever met: those of a lower one were left behind by
     * a forced recovery, and nothing that they say counts. */
    uint32_t cluster_epoch;

    /* Of the data folder. A new incarnation starts them afresh. */
    struct incarnation incarnation; /* 0: none yet */
    bool building;                  /* incarnation chosen, its folder is not complete yet */
    struct epoch writable_epoch;    /* under which it was last made writable; 0 never */
    /* As read back after that. Epoch 0: not verified yet, only which timeline was ordered. */
    struct fork promoted_fork;
};

/* Whether the folder holds a prefix of the shard's history and nothing else (model/lineage.h). */
enum keeper_lineage {
    LINEAGE_UNKNOWN, /* not looked at since its last run; of a running one: it received from a
                        stranger */
    LINEAGE_PROVEN,
    LINEAGE_DOUBTED,
};

/* What driver, guardian and lease holder say now. */
struct keeper_facts {
    enum instance_state state;       /* STOPPED: verified that no process of the folder is left */
    uint32_t hung_ms;                /* with state HUNG: for how long */
    enum keeper_action_kind running; /* the action under way; KEEPER_NONE if idle */
    uint64_t fresh_incarnation;      /* random, not 0; used if a new data folder is made */
    struct epoch lease_epoch;        /* of the lease that runs now; 0 none */
    uint64_t system_identifier;      /* 0 unknown */
    struct position
        position; /* standby: received; primary: flushed; stopped: end of WAL if known */
    bool position_final;
    uint64_t replay_lag_bytes;
    uint64_t redo_bytes;
    struct position held; /* end of a record that this folder durably holds; timeline 0 unknown */
    uint64_t held_fingerprint; /* of the WAL that ends there; 0: not known */
    struct marks confirmed;    /* primary: what its standbys have confirmed, likewise */
    struct marks marks;        /* all that is known here of the shard's folders, itself included */
    uint64_t start_nonce;      /* see report.h */
    bool continuous;
    enum keeper_lineage lineage;
    struct position proven_from; /* stopped and proven: from here on; timeline 0 else */
    struct position needs; /* stopped: only a history with this is followed; timeline 0: any */

    /* What was set is watched. */
    bool put_back;           /* settings of ours were changed by somebody else: write them anew */
    bool cut_undone;         /* after a final position of this epoch it received again */
    char lapse[TEXT_SIZE];   /* since when commits may be acknowledged too early; "" not so */
    char concern[TEXT_SIZE]; /* what else people should know; "" nothing */
    char gate[TEXT_SIZE];    /* "in force", or why it is not; "": not known, or there is none */

    /* Running as a standby. */
    struct instance_id conninfo_of; /* whom primary_conninfo names in the running server; 0 none */
    char conninfo_address[ADDRESS_SIZE];
    bool nameless;         /* … under a name that confirms nothing */
    bool receiver_running; /* a walreceiver process is there, or was in one of the last two looks */
    bool receiver_streaming;
    uint32_t receiver_silence_ms;

    bool wal_lost;         /* … what it needs next is not there any more, says its upstream … */
    uint32_t wal_lost_ms;  /* … for so long */
    bool settings_too_low; /* … for WAL of its primary, or to be primary, until another start */

    bool cannot_start; /* stopped: it was started more than once, and ended before it answered */
    const char *note;  /* what else people should know, NULL or "": nothing; the driver's */

    /* Everybody: the primary's port (see report.h). */
    enum reach primary_reach;
    struct instance_id primary_reach_of;
    uint32_t primary_reach_ms;

    /* Running as the primary. */
    struct fork fork;                /* newest timeline, its parent and fork point; epoch unused */
    uint64_t sync_set_version;       /* goal.sync_version of the setting written and reloaded */
    uint64_t sync_confirmed_version; /* … and seen in force */
    struct epoch slots_epoch;        /* slots made for the goal of this epoch … */
    uint64_t slots_index;            /* … and index */
    struct epoch canary_epoch;       /* a canary commit was seen under this epoch */
    struct position acked;
    struct sync_member caught_up[SYNC_SET_MAX];
    uint32_t caught_up_count;
    struct sync_member streaming[SYNC_SET_MAX];
    uint32_t streaming_count;
    uint32_t write_stalled_ms; /* a small write of its own has not become durable for so long */
};

struct keeper_action {
    enum keeper_action_kind kind;
    const char *reason; /* of the row; for people; static */
    uint32_t row;       /* its number in the table */
    /* Write state_next durably and take it as the state, then do `kind`; never the other way round.
     * If the write fails, do nothing. */
    bool persist;
    struct keeper_state state_next; /* equals the state given when persist is false */
    struct instance_id upstream;    /* START, FOLLOW, CLONE; 0: of nobody */
    char upstream_address[ADDRESS_SIZE];
    struct epoch fence_epoch; /* FENCE: this epoch and all below end here */
};

/* The next action. `goal` is the newest received in this run of the sidecar, NULL before the first.
 * While facts.running is not KEEPER_NONE the answer is WAIT, except FENCE, which cancels whatever
 * runs. */
void keeper_step(const struct keeper_facts *facts,
                 const struct keeper_state *state,
                 const struct goal *goal,
                 struct keeper_action *action_out);

/* A leader of this cluster epoch speaks. False: it was left behind, obey nothing of it. True: with
 * the state to persist before anything of it is obeyed, if it differs. */
bool keeper_may_obey(const struct keeper_state *state,
                     uint32_t cluster_epoch,
                     struct keeper_state *state_next_out);

/* Fills the report from facts, state, goal (NULL before the first) and the last action. `instance`
 * is as welcomed. */
void keeper_report(const struct keeper_facts *facts,
                   const struct keeper_state *state,
                   const struct goal *goal,
                   struct instance_id instance,
                   struct report *report_out);

/* Notes in `marks` what the facts show of this folder and, on a primary, of its standbys'. */
void keeper_note_marks(const struct keeper_facts *facts,
                       const struct keeper_state *state,
                       struct instance_id self,
                       struct marks *marks);

/* Moves the anchor of this folder on, if the facts show that it was watched up to there. */
void keeper_note_anchor(const struct keeper_facts *facts,
                        const struct keeper_state *state,
                        const struct goal *goal,
                        struct lineage_anchor *anchor);

/* The epochs, up to which one that was promoted may have been followed: it is asked of a state that
 * was durable before its database could. */
struct epoch keeper_led_epoch(const struct keeper_state *state);

/* Of a sidecar that kept none yet: what it knows that its folder held stands for it. */
void keeper_adopt_anchor(const struct keeper_state *state,
                         const struct marks *marks,
                         struct lineage_anchor *anchor);

/* True if a running database under this state may be taking writes. */
bool keeper_may_be_writable(const struct keeper_facts *facts, const struct keeper_state *state);

/* The table, as Markdown: docs/failover.md holds it, and `make golden` compares. */
void keeper_print_table(struct buf *out);
uint32_t keeper_rows_count(void);

#endif
