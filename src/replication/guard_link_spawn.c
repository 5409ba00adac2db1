/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a guardian: a session of its own, no pipe to us, its messages in a file, so that nothing
 * of us is needed for it to live. */
#include "replication/guard_link_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/durable_file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void on_guardian_exit(uv_process_t *process, int64_t status, int signal_number);

enum error guard_link_fill_arguments(struct guard_link *link,
                                     const struct guard_link_config *config)
{
    char stop_signal[16];
    (void)snprintf(stop_signal,
                   sizeof(stop_signal),
                   "%d",
                   config->stop_signal != 0 ? config->stop_signal : SIGINT);
    const char *fixed[FIXED_ARGUMENTS] = {
        config->program != NULL ? config->program : "/proc/self/exe",
        "guardian",
        "--run",
        config->run_dir,
        "--state",
        config->state_dir,
        "--data",
        config->data_dir,
        "--output",
        config->output,
        "--user",
        config->user != NULL ? config->user : "",
        "--stop-signal",
        stop_signal,
        "--",
        NULL,
    };
    uint32_t count = 0;

    for (; fixed[count] != NULL; count++) {
        link->strings[count] = mem_dup_string(fixed[count]);
    }
    for (uint32_t i = 0; config->argv[i] != NULL; i++) {
        if (count + 1 >= ARRAY_LEN(link->strings)) {
            return ERR_LIMIT;
        }
        link->strings[count++] = mem_dup_string(config->argv[i]);
    }
    link->log_file = mem_dup_string(config->log_file);
    link->address.sun_family = AF_UNIX;
    int len = snprintf(link->address.sun_path,
                       sizeof(link->address.sun_path),
                       "%s/" GUARD_SOCKET_NAME,
                       config->run_dir);
    return len > 0 && (size_t)len < sizeof(link->address.sun_path) ? ERR_OK : ERR_LIMIT;
}

void guard_link_spawn(struct guard_link *link)
{
    if (link->process != NULL) {
        return;
    }
    int log_fd = -1;
    if (durable_file_open_log(link->log_file, &log_fd) != ERR_OK) {
        log_fd = -1; /* it goes on without one */
    }
    uv_process_t *process = mem_new(sizeof(*process));
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = log_fd < 0 ? UV_IGNORE : UV_INHERIT_FD, .data.fd = log_fd},
        {.flags = log_fd < 0 ? UV_IGNORE : UV_INHERIT_FD, .data.fd = log_fd},
    };
    uv_process_options_t options = {
        .exit_cb = on_guardian_exit,
        .file = link->strings[0],
        .args = link->strings,
        .cwd = "/",
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 3,
        .stdio = stdio,
    };
    int code = uv_spawn(link->loop, process, &options);

    process->data = link;
    link->handles++;
    if (code == 0) {
        link->process = process;
        uv_unref((uv_handle_t *)process);
        log_event(LOG_INFO, "guardian.spawned", "pid=%d", process->pid);
    } else {
        log_event(LOG_ERROR, "guardian.spawn_failed", "why=%s", log_quote(uv_strerror(code)));
        uv_close((uv_handle_t *)process, guard_link_on_closed);
    }
    if (log_fd >= 0) {
        (void)close(log_fd);
    }
}

static void on_guardian_exit(uv_process_t *process, int64_t status, int signal_number)
{
    struct guard_link *link = process->data;

    link->process = NULL;
    log_event(LOG_WARN,
              "guardian.exited",
              "pid=%d status=%d signal=%d",
              process->pid,
              (int)status,
              signal_number);
    uv_close((uv_handle_t *)process, guard_link_on_closed);
}
