/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes of integration tests: started with their output in a file, waited for with a
 * deadline, killed when the fixture is freed. */
#ifndef INDABA_SUPPORT_SUPPORT_PROCESS_H
#define INDABA_SUPPORT_SUPPORT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct support_process;

/* Starts `argv` (NULL-terminated; argv[0] is searched in PATH) in a process group of its own, stdin
 * empty, stdout and stderr appended to the file `log_path` or, when NULL, inherited. The child is
 * killed if this process dies. Fails the test when it cannot be started. */
struct support_process *support_process_spawn(const char *const argv[], const char *log_path);

/* True once the process has ended; *status_out is then its exit code, or 128 + the signal. False
 * when `timeout_ms` has passed first. */
bool support_process_wait(struct support_process *process, uint64_t timeout_ms, int *status_out);

/* Sends a signal to the process alone; nothing once it has been waited for. */
void support_process_signal(const struct support_process *process, int signal_number);

pid_t support_process_pid(const struct support_process *process);

/* Kills the process group, reaps the process, frees. NULL is allowed. */
void support_process_free(struct support_process *process);

#endif
