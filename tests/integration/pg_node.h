/* SPDX-License-Identifier: Apache-2.0 */
/* Real PostgreSQL instances for tests: each a driver with its guardian, all on one loop, in a
 * folder of its own. Everything asserts; what a test leaves running is ended when it is torn down.
 * A test program hands its arguments to pg_node_main first: guardians are started from the same
 * binary. */
#ifndef INDABA_TESTS_PG_NODE_H
#define INDABA_TESTS_PG_NODE_H

#include "base/clock.h"
#include "replication/postgres/pg_driver.h"

#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h> /* needs the four std headers before it */

enum {
    PG_NODES_MAX = 4,
    PG_NODE_WAIT_MS = 30000,
    PG_NODE_LEASE_MS = 600000,
};

struct pg_node {
    struct engine *engine;
    struct guard_link *guard;
    struct instance_id id;
    struct incarnation incarnation;
    uint16_t port;
    char address[ADDRESS_SIZE];
    char dir[PG_PATH_SIZE];
    struct driver_result result; /* of the last action, or of the one under way */
    char message[WORK_MESSAGE_SIZE];
    bool done;
    bool fenced;
    enum error fence_error;
};

struct pg_world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct pg_node nodes[PG_NODES_MAX];
    uint32_t nodes_count;
    uint64_t index;
    const char *dir;
};

/* True if this process was started as a guardian: *code_out is what main returns. */
bool pg_node_main(int argc, char **argv, int *code_out);

/* cmocka fixtures: *state is a struct pg_world. */
int pg_world_setup(void **state);
int pg_world_teardown(void **state);

/* A node without data; ids count from 1. */
struct pg_node *pg_world_add(struct pg_world *world);
/* Runs the loop until the condition holds, or fails the test. */
void pg_world_wait(struct pg_world *world, bool (*condition)(void *ctx), void *ctx);
/* Runs the loop for a while. */
void pg_world_run(struct pg_world *world, uint64_t ms);

/* A goal for this node at `epoch`; the test fills in the rest. */
struct goal pg_node_goal(struct pg_world *world, const struct pg_node *node, uint64_t epoch);
/* Begins an action; pg_node_end waits for it. */
void pg_node_begin(struct pg_world *world,
                   struct pg_node *node,
                   enum keeper_action_kind kind,
                   const struct goal *goal,
                   const struct pg_node *upstream);
enum error pg_node_end(struct pg_world *world, struct pg_node *node);
/* Both, and ERR_OK is asserted. */
void pg_node_do(struct pg_world *world,
                struct pg_node *node,
                enum keeper_action_kind kind,
                const struct goal *goal,
                const struct pg_node *upstream);
void pg_node_fence(struct pg_world *world, struct pg_node *node, uint64_t epoch);
void pg_node_wait_state(struct pg_world *world, struct pg_node *node, enum instance_state state);
struct keeper_facts pg_node_facts(const struct pg_node *node);
/* Arms the lease of `epoch` for `ms` from now. */
void pg_node_arm(struct pg_world *world, struct pg_node *node, uint64_t epoch, uint64_t ms);

/* init, start, arm, promote to timeline 2 at epoch 1, in async mode (`sync` false) or with `sync`'s
 * pair set. */
void pg_node_bootstrap(struct pg_world *world, struct pg_node *node, bool sync);
/* Slots on the primary, clone, start; waits until it streams. */
void pg_node_attach(struct pg_world *world,
                    struct pg_node *primary,
                    struct pg_node *standby,
                    bool sync,
                    uint64_t epoch);
/* Sets and confirms ANY `required` of these standbys on the primary. */
void pg_node_set_sync(struct pg_world *world,
                      struct pg_node *primary,
                      uint64_t epoch,
                      struct pg_node *const *standbys,
                      uint32_t required);
struct sync_pair pg_node_pair(struct pg_node *const *standbys, uint32_t required);

/* A client over TCP; blocking. */
PGconn *pg_node_connect(const struct pg_node *node);
/* One statement that must succeed; the first field of its result is copied into `text` of 128
 * bytes. */
void pg_node_sql(PGconn *conn, const char *sql, char *text);
/* Sends a statement and does not wait. */
void pg_node_send(PGconn *conn, const char *sql);
/* True if the statement sent has ended within `ms`, running the loop meanwhile; *ok_out: with
 * success and without a warning. */
bool pg_node_ended(struct pg_world *world, PGconn *conn, uint64_t ms, bool *ok_out);

#endif
