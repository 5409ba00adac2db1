/* SPDX-License-Identifier: Apache-2.0 */
/* All that a node asks of the outside, and all that it is told. A node is a state machine of one
 * thread: it reads no clock, opens nothing and waits for nothing, so that the same one runs on a
 * loop with threads (node_uv*.c) and in the simulator (tests/sim).
 *
 * Whoever holds it calls the functions at the end of this file, each when something happened, those
 * of its links (peers/peers_io.h), and node_flush whenever it has come to rest. No function of
 * struct node_io calls back: what it begins ends later, in a call of its own. */
#ifndef INDABA_NODE_NODE_IO_H
#define INDABA_NODE_NODE_IO_H

#include "node/applier_batch.h"
#include "node/node.h"
#include "storage/snapshot_dir.h"
#include "storage/vouch_file.h"
#include "storage/wal.h"

/* Of the member's folder. */
struct node_paths {
    char dir[CONFIG_PATH_SIZE];
    char snapshots[SNAPSHOT_PATH_SIZE];
    char store[SNAPSHOT_PATH_SIZE];
};

/* What the disk is like just now. */
struct node_disk_look {
    bool busy;         /* writes or a probe are under way, or wait */
    uint64_t progress; /* how many of them have ended: a number that stands still while it is busy
                          is a disk that hangs */
    uint64_t free_bytes;
    bool is_low; /* there is little room, in the sense of storage/space.h */
    bool has_reserve;
    uint64_t batches; /* of writes made durable so far */
};

/* Work on files that takes as long as a disk does. */
struct node_file_job {
    enum {
        NODE_FILE_TAKE,
        NODE_FILE_READ,
        NODE_FILE_WRITE,
        NODE_FILE_VOUCHES, /* this and the next: node_file_small does them */
        NODE_FILE_UNMARK
    } kind;

    void *reader;                   /* TAKE: of io.read; ended by the work */
    struct snapshot_header header;  /* TAKE */
    struct snapshot_info info;      /* TAKE: out; WRITE: size as announced */
    struct raft_snapshot_read read; /* READ */
    uint64_t offset;                /* WRITE */
    struct blob *chunk;             /* READ: out; WRITE */
    struct vouches *vouches;        /* VOUCHES: out */
    enum error error;               /* READ: if it is not to be done, why */
    struct reason reason;
};

/* What is durable, as a start finds it. The rest of a node's life goes through struct node_io. */
struct node_ground {
    const struct disk *disk; /* of snapshots, and of small files in the folder */
    const struct node_paths *paths;
    MUST_CHECK enum error (*open_log)(void *ctx,
                                      struct reason *reason,
                                      struct wal_recovered *log_out);
    /* The tables: makes whole what an exchange left half done; empties; exchanges for a snapshot.
     * Nothing has them open. */
    MUST_CHECK enum error (*settle_store)(void *ctx, struct reason *reason);
    MUST_CHECK enum error (*clear_store)(void *ctx, struct reason *reason);
    MUST_CHECK enum error (*install_store)(void *ctx, const char *snapshot, struct reason *reason);
    MUST_CHECK enum error (*open_store)(void *ctx,
                                        struct reason *reason,
                                        struct apply_position *position_out);
    void (*close_store)(void *ctx);
};

struct node_io {
    struct node_ground ground;
    /* Monotonic; and what people call the time. */
    uint64_t (*now_ms)(void *ctx);
    uint64_t (*wall_ms)(void *ctx);
    /* node_timer is to be called then, and not for what was said before; UINT64_MAX: never. */
    void (*arm_timer)(void *ctx, uint64_t deadline_ms);
    /* Ends the process at once, its connections first; nothing that it promised may leave any more.
     * It may return, and then nothing else is called. With `exit_code` 0: by a failure that is
     * worth a core dump. */
    void (*die)(void *ctx, int exit_code);

    /* As wal_writer_submit: ERR_EXHAUSTED, and nothing was taken; a write that was is told by
     * node_persisted. */
    MUST_CHECK enum error (*submit_write)(void *ctx, const struct raft_write *write);
    bool (*log_has_room)(void *ctx);
    void (*cut_log)(void *ctx, uint64_t index);
    /* Looks after the disk once: a write, if none is under way, and its room. */
    void (*probe_disk)(void *ctx);
    void (*look_at_disk)(void *ctx, struct node_disk_look *look_out);

    /* All on the thread of the tables, in the order in which they were asked for. Entries end with
     * node_applied, a query with `done`, a reader with node_read_began, an exchange of the tables
     * for a received snapshot with node_installed. */
    void (*apply)(void *ctx, const struct raft_entry *entries, uint32_t count);
    void (*query)(void *ctx, applier_query_fn run, applier_done_fn done, void *query_ctx);
    void (*read)(void *ctx);
    void (*end_read)(void *ctx, void *reader);
    void (*install)(void *ctx, const struct snapshot_info *info);
    /* Takes the job; it ends with node_file_done. */
    void (*begin_file)(void *ctx, struct node_file_job *job);
};

/* --- the life of a node, for whoever holds it ---------------------------------------------------
 */

struct node_core {
    const struct node_io *io; /* outlives the node, as the configuration does */
    void *ctx;
    const struct peers_io *links; /* outlives the node, too */
    void *links_ctx;
    const struct member_config *config;
    uint64_t incarnation;   /* of this process: random, not 0 */
    const char *vouch_hint; /* see peers.h */
    uint64_t seed;
    /* Empty for a member that joins. */
    struct raft_configuration founding;
    /* 0: as the core has it, or as the configuration says. */
    uint32_t log_tail_entries;
    uint32_t snapshot_chunk_bytes;
};

/* Nothing is read yet. */
struct node *node_new(const struct node_core *core);
/* Reads log, tables and snapshots, and checks that they tell one story. On an error what the ground
 * opened is to be closed by whoever holds it, and the node freed. */
MUST_CHECK enum error node_recover(struct node *node, struct reason *reason);
/* Everything else is there: begins. */
void node_start(struct node *node);
/* Waiters are not called any more, and connections are forgotten. From here on only node_free. */
void node_stop(struct node *node);
void node_free(struct node *node);

/* The core's deadline has come; a tick of CONTROLLER_TICK_MS. */
void node_timer(struct node *node);
void node_tick(struct node *node);
/* What was asked for since goes to the core. True if there was anything: then once more, for what
 * is asked for meanwhile. */
bool node_flush(struct node *node);
/* Writes up to `seq` are durable, and there may be room for more. */
void node_persisted(struct node *node, uint64_t seq);
void node_applied(struct node *node, const struct applier_batch *batch);
void node_read_began(struct node *node, void *reader, const struct apply_position *position);
/* `position` is of the tables as they are now. */
void node_installed(struct node *node,
                    enum error error,
                    const char *why,
                    const struct apply_position *position);
/* Small files of the folder, on whatever thread may wait for them; the job then is done. */
void node_file_small(const struct node_ground *ground, struct node_file_job *job);
/* Takes the job. */
void node_file_done(struct node *node, struct node_file_job *job);
void node_file_free(struct node_file_job *job);
/* Tells people, then ends as io.die does. Any thread, for those of the outside. */
void node_die(struct node *node, const char *event, enum error error, const char *reason);

#endif
