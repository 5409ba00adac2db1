/* SPDX-License-Identifier: Apache-2.0 */
/* What the guardian's files share: its one state and who does what with it. Nobody else includes
 * this. */
#ifndef INDABA_REPLICATION_GUARDIAN_INTERNAL_H
#define INDABA_REPLICATION_GUARDIAN_INTERNAL_H

#include "gate/gate_page.h"
#include "replication/guard_protocol.h"
#include "replication/guardian.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
    GUARDIAN_GROUPS_MAX = 64,
    GUARDIAN_STOP_MS = 5000, /* for a standby, when we are told to leave */
};

enum guardian_kill {
    KILL_IDLE,
    KILL_STOPPING, /* its signal sent; kills at stop_deadline_ns */
    KILL_KILLING,  /* until nothing is left */
};

struct guardian_client {
    int fd; /* -1 free */
    pid_t pid;
};

/* A request whose answer waits for something. */
struct guardian_pending {
    int client; /* index, -1 free */
    struct guard_request request;
};

struct guardian_census {
    uint32_t alive;      /* can still run */
    uint32_t unkillable; /* in D state, kill pending: cannot run user code any more */
    uint32_t zombies;    /* dead, somebody else has to reap them */
};

struct guardian {
    struct guardian_config config;
    char data_dir[PATH_MAX]; /* resolved at the start */
    char state_path[PATH_MAX];
    int signal_fd;
    int timer_fd;
    int listen_fd;
    int lock_fd;
    struct guardian_client clients[GUARD_CLIENTS_MAX];
    struct guardian_pending pending[GUARD_PENDING_MAX];
    struct guard_answer pushed; /* last pushed, to see changes */

    bool change_user;
    uid_t uid;
    gid_t gid;
    gid_t groups[GUARDIAN_GROUPS_MAX];
    int groups_count;

    char cgroup[PATH_MAX]; /* "": none */
    int cgroup_kill_fd;    /* -1: none */
    int cgroup_procs_fd;

    pid_t child;
    int last_exit;
    uint64_t starts;
    int spawn_errno;
    struct guard_folder folder; /* of the last start */
    uint64_t office_nonce;

    bool writable;
    uint64_t epoch;
    uint64_t deadline_ns;
    uint64_t fenced_epoch;

    enum guardian_kill kill;
    uint64_t kill_passes;
    uint64_t kill_begun_ns;
    uint64_t dead_ns; /* since when nothing of it is alive, but something left; 0: it is not so */
    uint64_t stop_deadline_ns;
    struct guardian_census census;

    /* What the file says, and the child that writes it now. */
    uint64_t durable_epoch;
    uint64_t durable_fenced_epoch;
    pid_t writer;
    uint64_t writer_epoch;
    uint64_t writer_fenced_epoch;
    uint64_t writer_retry_ns;
    int writer_errno;

    /* What the database's gate goes by (guardian_page.c). */
    struct gate_page *page; /* NULL: there is none */
    int page_fd;
    struct gate_view shown;
    struct gate_view members; /* sync, required and names alone */
    uint64_t members_epoch;   /* of which they are */

    bool leaving;
};

/* guardian_setup.c */
int guardian_setup(struct guardian *guardian, const struct guardian_config *config);

/* guardian_store.c: the file of (epoch, fenced epoch). */
int guardian_store_load(struct guardian *guardian);
/* Starts a writer if the file is behind and none runs. */
void guardian_store_update(struct guardian *guardian, uint64_t now_ns);
void guardian_store_reaped(struct guardian *guardian, int status, uint64_t now_ns);

/* guardian_spawn.c: 0, or an errno value. */
int guardian_spawn(struct guardian *guardian);

/* guardian_kill.c: SIGKILLs every process of the database and counts what is left. */
void guardian_census_kill(struct guardian *guardian);

/* guardian_page.c: the page; best effort, the database lives without one. */
void guardian_page_open(struct guardian *guardian);
/* What changed since is shown, before it is answered to anybody. */
void guardian_page_update(struct guardian *guardian);
/* In the child that becomes the database. */
void guardian_page_hand_over(const struct guardian *guardian);
enum guard_verdict guardian_page_members(struct guardian *guardian,
                                         const struct guard_members *members);

/* guardian_cgroup.c: a cgroup of its own for the database, where there can be one. */
void guardian_cgroup_open(struct guardian *guardian);
void guardian_cgroup_close(struct guardian *guardian);
void guardian_cgroup_enter(const struct guardian *guardian);
void guardian_cgroup_kill(const struct guardian *guardian);
void guardian_cgroup_members(const struct guardian *guardian, void (*found)(pid_t pid));

/* guardian_serve.c: clients, requests, answers. */
void guardian_serve_accept(struct guardian *guardian);
void guardian_serve_read(struct guardian *guardian, int client);
/* Answers what is complete; pushes a changed status. */
void guardian_serve_flush(struct guardian *guardian);

/* guardian.c: the ways to end a database. */
void guardian_fence(struct guardian *guardian, uint64_t epoch, const char *why);
void guardian_stop(struct guardian *guardian, uint64_t bound_ms);
void guardian_leave(struct guardian *guardian);
bool guardian_is_still(const struct guardian *guardian);
/* What is left cannot run any more, and has not gone away for a while either. */
bool guardian_is_stuck(const struct guardian *guardian);

#endif
