/* SPDX-License-Identifier: Apache-2.0 */
/* What a database must offer to the agent: facts, and the keeper's actions. The agent's turn is
 *   driver_facts -> keeper_step -> (state_file_save) -> driver_run, again on every change.
 * One action runs at a time. Slow work is done on threads of the driver's own, so that neither a
 * hung database nor a dead disk holds up the loop; all calls and callbacks are on the loop thread.
 *
 * What the agent adds to the facts itself: fresh_incarnation and lease_epoch. Everything else comes
 * from driver_facts. After an action that failed the agent should wait (250 ms and growing) before
 * it asks for the same one again. */
#ifndef INDABA_REPLICATION_DRIVER_H
#define INDABA_REPLICATION_DRIVER_H

#include "replication/guard_link.h"
#include "replication/keeper.h"

struct driver;

struct driver_request {
    enum keeper_action_kind kind; /* any but NONE, WAIT, REFUSE, PERSIST */
    struct instance_id upstream;  /* of the keeper's action: START, FOLLOW, CLONE; 0 nobody */
    char upstream_address[ADDRESS_SIZE];
    struct epoch fence_epoch;       /* FENCE */
    struct incarnation incarnation; /* of keeper_state: names the standby and the folder aside */
    struct goal goal;               /* by which the action was chosen */
};

struct driver_result {
    enum keeper_action_kind kind;
    enum error error; /* ERR_CANCELLED: a fence came in between */
    const char
        *message; /* for people: what, where, what to do; "" on success; for this call only */
};

typedef void driver_done(const struct driver_result *result, void *ctx);

/* The operations of one kind of database. `ops` of an instance never change. */
struct driver_ops {
    const char *kind; /* "postgres" */
    enum error (*run)(struct driver *driver,
                      const struct driver_request *request,
                      driver_done *done,
                      void *ctx);
    void (*set_goal)(struct driver *driver, const struct goal *goal);
    void (*facts)(const struct driver *driver, struct keeper_facts *facts_out);
    void (*free)(struct driver *driver, void (*closed)(void *ctx), void *ctx);
};

/* The first member of every driver. */
struct driver {
    const struct driver_ops *ops;
};

/* Starts an action; `done` is called once, later, from the loop. ERR_BUSY while another one runs,
 * but FENCE is always taken: it cancels what runs, and goes to the guardian at once. ERR_INVALID
 * for an action that needs no driver. */
MUST_CHECK static inline enum error driver_run(struct driver *driver,
                                               const struct driver_request *request,
                                               driver_done *done,
                                               void *ctx)
{
    return driver->ops->run(driver, request, done, ctx);
}

/* Tells the newest goal, each time a new one arrives (copied): whose port to look at, which pair
 * counts for `acked`, the names of this standby. */
static inline void driver_set_goal(struct driver *driver, const struct goal *goal)
{
    driver->ops->set_goal(driver, goal);
}

/* What is known now; never waits. Fields the driver does not know are zero. */
static inline void driver_facts(const struct driver *driver, struct keeper_facts *facts_out)
{
    driver->ops->facts(driver, facts_out);
}

/* Ends the driver's threads and handles; the database and the guardian run on. `closed` comes from
 * the loop when nothing is left; no other callback comes after this call. */
static inline void driver_free(struct driver *driver, void (*closed)(void *ctx), void *ctx)
{
    driver->ops->free(driver, closed, ctx);
}

#endif
