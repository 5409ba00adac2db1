/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and results of the replicated state machine, as C structs. wire/wire_command_encode.c
 * turns them into the protobuf of proto/indaba/internal/command.proto, which is what the log and
 * the ledger hold. Two kinds: requests of clients (with a request id, at most once) and orders of
 * the leader itself (with its term; never forwarded; refused at apply when the entry's term
 * differs, so that a paused ex-leader cannot act). */
#ifndef INDABA_STATE_COMMAND_H
#define INDABA_STATE_COMMAND_H

#include "base/buf.h"
#include "model/records.h"
#include "model/report.h"

/* clang-format off */
/* One row a kind, and everything that differs from kind to kind where no decision is made:
 *
 *   name       in the ledger and for people
 *   body       what it carries (COMMAND_BODY_TABLE)
 *   handler    what applies it (state/handler.h)
 *   order      proposed by the leader itself; false: asked for by a client
 *   level      that a member must know to apply it: see COMMAND_LEVEL
 *   topology   changes what members mirror of cluster, regions and members
 *   grows      what a client may repeat at will and what stays: refused when there is little room
 *
 * A kind is its place in the table, in the log for ever: new ones are appended. */
#define COMMAND_TABLE(X) \
    /* kind                      name                   body               handler                    order  level topology grows */ \
    X(COMMAND_CLUSTER_INIT,       "cluster.init",        CLUSTER_INIT,      topology_init,             true,  1, true,  false)  \
    X(COMMAND_REGION_PUT,         "region.put",          REGION_PUT,        topology_region_put,       false, 1, true,  true)   \
    X(COMMAND_SHARD_CREATE,       "shard.create",        SHARD_CREATE,      shard_create,              false, 1, false, true)   \
    X(COMMAND_SHARD_FREEZE,       "shard.freeze",        SHARD_FREEZE,      shard_freeze,              false, 1, false, false)  \
    X(COMMAND_INSTANCE_REGISTER,  "instance.register",   INSTANCE_REGISTER, instance_register,         true,  1, false, false)  \
    X(COMMAND_INSTANCE_UPDATE,    "instance.update",     INSTANCE_UPDATE,   instance_update,           true,  1, false, false)  \
    X(COMMAND_SYNC_BEGIN,         "sync.begin",          SYNC,              sync_change_begin,         true,  1, false, false)  \
    X(COMMAND_SYNC_FINISH,        "sync.finish",         SYNC,              sync_change_finish,        true,  1, false, false)  \
    X(COMMAND_FAILOVER_BEGIN,     "failover.begin",      FAILOVER,          failover_record_begin,     true,  1, false, false)  \
    X(COMMAND_FAILOVER_EXCLUDED,  "failover.excluded",   FAILOVER,          failover_record_excluded,  true,  1, false, false)  \
    X(COMMAND_FAILOVER_COMPLETED, "failover.completed",  FAILOVER,          failover_record_completed, true,  1, false, false)  \
    X(COMMAND_FAILOVER_DECIDED,   "failover.decided",    FAILOVER,          failover_record_decided,   true,  1, false, false)  \
    X(COMMAND_FAILOVER_PROMOTED,  "failover.promoted",   FAILOVER,          failover_record_promoted,  true,  1, false, false)  \
    X(COMMAND_FAILOVER_OPENED,    "failover.opened",     FAILOVER,          failover_record_opened,    true,  1, false, false)  \
    X(COMMAND_REFUSAL,            "refusal",             REFUSAL,           apply_refusal,             true,  1, false, false)  \
    X(COMMAND_KV,                 "kv",                  KV,                apply_kv,                  true,  1, false, false)  \
    X(COMMAND_FAILOVER_REQUEST,   "failover.request",    FAILOVER_REQUEST,  failover_record_request,   false, 1, false, false)  \
    X(COMMAND_MEMBER_ADD,         "member.add",          MEMBER_ADD,        roster_add,                false, 1, true,  false)  \
    X(COMMAND_MEMBER_CHANGE,      "member.change",       MEMBER_CHANGE,     roster_change,             false, 1, true,  false)  \
    X(COMMAND_MEMBER_GONE,        "member.gone",         MEMBER_GONE,       roster_gone,               true,  1, true,  false)  \
    X(COMMAND_MEMBER_LEVEL,       "member.level",        MEMBER_LEVEL,      roster_level,              true,  1, true,  false)  \
    X(COMMAND_CLUSTER_SET,        "cluster.set",         CLUSTER_SET,       settings_set,              false, 1, true,  false)  \
    X(COMMAND_CLUSTER_RECOVERED,  "cluster.recovered",   CLUSTER_RECOVERED, settings_recovered,        true,  1, true,  false)  \
    X(COMMAND_CLUSTER_CONFIRM,    "cluster.confirm",     CLUSTER_CONFIRM,   settings_confirm,          false, 1, true,  false)  \
    X(COMMAND_MEMBER_VOUCHED,     "member.vouched",      MEMBER_VOUCHED,    roster_vouched,            true,  1, false, false)  \
    X(COMMAND_SYNC_LAPSED,        "sync.lapsed",         SYNC,              sync_lapse_begin,          true,  1, false, false)  \
    X(COMMAND_SYNC_MENDED,        "sync.mended",         SYNC,              sync_lapse_end,            true,  1, false, false)  \
    X(COMMAND_FAILOVER_CONFIRMED, "failover.confirmed",  FAILOVER,          failover_record_confirmed, true,  1, false, false)

/* What commands carry: `struct command_LOWER`, the member `LOWER` of the union below, and a codec
 * of that name (wire/wire_command_internal.h). */
#define COMMAND_BODY_TABLE(X) \
    X(CLUSTER_INIT,        cluster_init)                     \
    X(REGION_PUT,          region_put)                       \
    X(SHARD_CREATE,        shard_create)                     \
    X(SHARD_FREEZE,        shard_freeze)                     \
    X(INSTANCE_REGISTER,   instance_register)                \
    X(INSTANCE_UPDATE,     instance_update)                  \
    X(SYNC,                sync)                             \
    X(FAILOVER,            failover)                         \
    X(REFUSAL,             refusal)                          \
    X(KV,                  kv)                               \
    X(FAILOVER_REQUEST,    failover_request)                 \
    X(MEMBER_ADD,          member_add)                       \
    X(MEMBER_CHANGE,       member_change)                    \
    X(MEMBER_GONE,         member_gone)                      \
    X(MEMBER_LEVEL,        member_level)                     \
    X(CLUSTER_SET,         cluster_set)                      \
    X(CLUSTER_RECOVERED,   cluster_recovered)                \
    X(CLUSTER_CONFIRM,     cluster_confirm)                  \
    X(MEMBER_VOUCHED,      member_vouched)

/* clang-format on */

enum command_kind {
    COMMAND_NONE,
#define X(kind, ...) kind,
    COMMAND_TABLE(X)
#undef X
    COMMAND_KIND_COUNT
};

enum command_body {
#define X(UPPER, lower) COMMAND_BODY_##UPPER,
    COMMAND_BODY_TABLE(X)
#undef X
    COMMAND_BODY_COUNT
};

/* Here, for the codecs: they see this header and nothing else of the room. COMMAND_BODY_COUNT for
 * what is no kind. */
static inline enum command_body command_kind_body(enum command_kind kind)
{
    static const enum command_body BODIES[COMMAND_KIND_COUNT] = {[COMMAND_NONE] =
                                                                     COMMAND_BODY_COUNT,

#define X(kind, name, body, ...) [kind] = COMMAND_BODY_##body,
                                                                 COMMAND_TABLE(X)
#undef X
    };
    return (unsigned)kind < COMMAND_KIND_COUNT ? BODIES[kind] : COMMAND_BODY_COUNT;
}

const char *command_kind_name(enum command_kind kind);
bool command_kind_is_order(enum command_kind kind);
bool command_kind_changes_topology(enum command_kind kind);
bool command_kind_grows(enum command_kind kind);

/* Levels gate what is proposed during an upgrade: a kind of a level that some member does not know
 * yet is not produced, since that member could not apply it. A release that adds kinds raises
 * COMMAND_LEVEL and gives them the new one. */
enum {
    COMMAND_LEVEL = 1 /* the highest that this program knows */
};

/* The level a member must know to apply this kind. */
uint32_t command_kind_level(enum command_kind kind);

struct command_cluster_init {
    struct cluster_id cluster;
    char name[NAME_SIZE];
    struct region regions[REGIONS_MAX]; /* ids are assigned in this order */
    uint32_t regions_count;
    struct member members[MEMBERS_MAX];
    uint32_t members_count;
    uint32_t lease_ms; /* L */
};

struct command_region_put {
    struct region region; /* by name; id is assigned or kept */
};

struct command_shard_create {
    struct shard
        spec; /* name, kind, mode, objectives, sync_required, preferred and allowed regions */
};

struct command_shard_freeze {
    char name[NAME_SIZE];
    bool frozen;
};

struct command_instance_register {
    struct hello hello;
};

/* A new incarnation, address or both, as reported. */
struct command_instance_update {
    struct shard_id shard;
    struct instance_id instance;
    char address[ADDRESS_SIZE];
    char http_address[ADDRESS_SIZE];
    struct incarnation incarnation;
};

struct command_sync {
    struct shard_id shard;
    struct epoch epoch;     /* primary_epoch under which it is done */
    struct sync_pair pair;  /* begin: the new pair. finish: what remains */
    uint64_t version;       /* finish: the version confirmed by the primary */
    char reason[TEXT_SIZE]; /* lapsed: what was found, and where */
};

/* One struct for all failover.* orders; each kind reads the fields named in docs/failover.md. */
struct command_failover {
    struct shard_id shard;
    struct epoch
        epoch; /* begin: the new ballot, must be shard.epoch + 1; later: that of the record */
    enum failover_cause cause;
    enum exclusion_proof proof;
    bool in_place;
    bool witnessed;       /* begin: the old primary's folder may be chosen by the witness rule */
    uint64_t start_nonce; /* begin in place: the start whose end was seen; promoted: the new one */
    struct final_report own; /* completed: the old primary's; instance 0: not reported */
    struct marks marks;      /* begin, completed: all that the leader has heard */
    uint32_t in_place_row;   /* begin */
    struct instance_id candidate;
    struct position acked_floor;
    struct final_report reports[SHARD_INSTANCES_MAX];
    uint32_t reports_count;
    struct sync_pair pair;      /* decided: the new pair (required 0 in async mode) */
    struct fork fork;           /* promoted: as read back */
    uint64_t system_identifier; /* promoted */
    uint64_t loss_bound_bytes;
    uint64_t detected_wall_ms;
    char evidence[TEXT_SIZE];
    char reason[TEXT_SIZE];
    char could_lose[TEXT_SIZE]; /* begin: the lapse of the old primary; "" none is known */
};

/* A refused or denied request that deserves a leaf of its own (rate-limited by the proposer). */
struct command_refusal {
    char method[NAME_SIZE * 2];
    char reason[TEXT_SIZE];
    uint32_t count;
};

/* Writes of etcd's API, many in one entry: a batch of operations (state/kv_op.h), each for itself.
 * Its clients send no request ids: an operation is done at most once for each time it is proposed.
 * An order of the leader: in another term the batch is refused whole, expiries of leases with it.
 */
struct command_kv {
    struct slice batch; /* borrowed from the entry */
};

/* An operator wants another primary. Recorded, so that the ledger names who asked; the leader takes
 * it up when it is applied. */
struct command_failover_request {
    char shard[NAME_SIZE];
    char instance[NAME_SIZE]; /* "": the best one */
    char reason[TEXT_SIZE];
};

/* A new member; standing MEMBER_VOTER (once it has caught up) or MEMBER_LEARNER. Its id must never
 * have been used. `level` is not read. */
struct command_member_add {
    struct member member;
};

/* A member by its name; an empty address keeps the one it has. */
struct command_member_change {
    char name[NAME_SIZE];
    enum member_standing standing;
    char peer_address[ADDRESS_SIZE];
    char api_address[ADDRESS_SIZE];
    char ops_address[ADDRESS_SIZE];
};

/* A leaving member that no configuration names any more. */
struct command_member_gone {
    struct member_id id;
};

/* A person on the machine of `by` made it believe `name`, which it did not know. Only said here. */
struct command_member_vouched {
    struct member_id by;
    struct member_id id;
    char name[NAME_SIZE];
    char who[NAME_SIZE]; /* the system user there */
    char reason[TEXT_SIZE];
    uint64_t said_wall_ms;
};

/* What a member's process said of itself. */
struct command_member_level {
    struct member_id id;
    uint32_t level;
};

/* Zero and "" keep what there is; a leader region of "-" means none. */
struct command_cluster_set {
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint32_t commit_regions; /* 1: a majority is enough */
    uint32_t lease_ms;       /* at least so long: a lease is never shortened */
    char leader_region[NAME_SIZE];
};

/* Written by `indaba member force-recover` into the log of the one member that goes on alone. */
struct command_cluster_recovered {
    struct member_id survivor;
    uint32_t cluster_epoch; /* the one before + 1 */
    char reason[TEXT_SIZE];
};

/* After a recovery: an operator states that the members left behind are off for good. */
struct command_cluster_confirm {
    uint32_t cluster_epoch;
    char reason[TEXT_SIZE];
};

struct command {
    enum command_kind kind;
    uint64_t leader_term;      /* orders: the proposer's term; 0 in requests */
    uint64_t wall_ms;          /* stamped by the leader when it proposes; for people */
    char actor[ACTOR_SIZE];    /* SPIFFE id of who asked; "leader" for orders */
    struct request_id request; /* requests only; none in orders */

    union {
#define X(UPPER, lower) struct command_##lower lower;
        COMMAND_BODY_TABLE(X)
#undef X
    };
};

/* What applying gave. Stored for requests, so that a retry gets the first answer. */
struct command_result {
    enum error error;
    char message[TEXT_SIZE]; /* what, where, what to do; "" when ok */
    uint64_t index;          /* log index it was applied at (the first time) */
    uint64_t id; /* of what was created or changed (shard, instance, failover); 0 if none */
};

#endif
