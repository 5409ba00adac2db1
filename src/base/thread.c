/* SPDX-License-Identifier: Apache-2.0 */
/* See base/thread.h. */
#include "base/thread.h"

#include "base/check.h"

#include <signal.h>
#include <string.h>

enum {
    NAME_MAX_BYTES = 15
};

enum error thread_start(const char *name, void *(*run)(void *ctx), void *ctx, pthread_t *thread_out)
{
    return thread_start_sized(name, 0, run, ctx, thread_out);
}

enum error thread_start_sized(
    const char *name, size_t stack_bytes, void *(*run)(void *ctx), void *ctx, pthread_t *thread_out)
{
    CHECK(strlen(name) <= NAME_MAX_BYTES);
    sigset_t all;
    sigset_t before;
    CHECK(sigfillset(&all) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(stack_bytes == 0 || pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
    int failure = pthread_create(&thread, &attributes, run, ctx);
    CHECK(pthread_attr_destroy(&attributes) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (failure != 0) {
        return error_from_errno(failure);
    }
    (void)pthread_setname_np(thread, name);
    *thread_out = thread;
    return ERR_OK;
}
