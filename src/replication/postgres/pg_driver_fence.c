/* SPDX-License-Identifier: Apache-2.0 */
/* A fence: past the queue of actions, at once, by the guardian. */
#include "replication/postgres/pg_driver_internal.h"

static void on_fenced(enum error error, const struct guard_status *status, void *ctx);

enum error
pg_driver_fence(struct pg_driver *driver, struct epoch epoch, driver_done *done, void *ctx)
{
    if (driver->fencing) {
        return ERR_BUSY;
    }
    TRY(guard_link_kill(driver->guard, epoch, on_fenced, driver));
    driver->fencing = true;
    driver->fence_done = done;
    driver->fence_ctx = ctx;
    worker_cancel(driver->actions);
    return ERR_OK;
}

static void on_fenced(enum error error, const struct guard_status *status, void *ctx)
{
    struct pg_driver *driver = ctx;
    struct driver_result result = {
        .kind = KEEPER_FENCE,
        .error = error,
        .message = error == ERR_OK ? "" : "the guardian did not confirm the fence"};

    (void)status;
    driver->fencing = false;
    driver->fence_done(&result, driver->fence_ctx);
}
