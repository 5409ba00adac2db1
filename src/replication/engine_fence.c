/* SPDX-License-Identifier: Apache-2.0 */
/* A fence: past the queue of actions, at once, by the guardian. */
#include "replication/engine_internal.h"

#include "base/failpoint.h"

static void on_fenced(enum error error, const struct guard_status *status, void *ctx);

enum error engine_fence(struct engine *engine, struct epoch epoch, driver_done *done, void *ctx)
{
    if (engine->fencing) {
        return ERR_BUSY;
    }
    TRY(FAILPOINT_AROUND("fence.ask", guard_link_kill(engine->guard, epoch, on_fenced, engine)));
    engine->fencing = true;
    engine->fence_done = done;
    engine->fence_ctx = ctx;
    worker_cancel(engine->actions);
    return ERR_OK;
}

static void on_fenced(enum error error, const struct guard_status *status, void *ctx)
{
    struct engine *engine = ctx;
    struct driver_result result = {
        .kind = KEEPER_FENCE,
        .error = error,
        .message = error == ERR_OK ? "" : "the guardian did not confirm the fence"};

    (void)status;
    FAILPOINT("fence.confirmed");
    engine->fencing = false;
    engine->fence_done(&result, engine->fence_ctx);
}
