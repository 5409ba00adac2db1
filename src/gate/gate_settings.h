/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that the sidecar writes, and nobody else: safety rests on them. The gate refuses ALTER
 * SYSTEM of them; whoever writes them into postgresql.auto.conf all the same finds them gone
 * (replication/postgres/pg_auto_conf.c). */
#ifndef INDABA_GATE_GATE_SETTINGS_H
#define INDABA_GATE_GATE_SETTINGS_H

/* clang-format off */
#define GATE_SETTINGS(X)              \
    X(synchronous_standby_names)      \
    X(primary_conninfo)               \
    X(primary_slot_name)              \
    X(restart_after_crash)            \
    X(promote_trigger_file)           \
    X(fsync)                          \
    X(full_page_writes)               \
    X(synchronous_commit)             \
    X(wal_receiver_status_interval)   \
    X(wal_level)                      \
    X(hot_standby)                    \
    X(wal_log_hints)                  \
    X(port)                           \
    X(listen_addresses)               \
    X(unix_socket_directories)        \
    X(hba_file)                       \
    X(ident_file)                     \
    X(cluster_name)                   \
    X(max_slot_wal_keep_size)         \
    X(wal_retrieve_retry_interval)    \
    X(recovery_min_apply_delay)       \
    X(restore_command)                \
    X(recovery_end_command)           \
    X(archive_cleanup_command)        \
    X(wal_sender_timeout)             \
    X(wal_receiver_timeout)           \
    X(logging_collector)              \
    X(log_destination)                \
    X(log_line_prefix)                \
    X(log_min_messages)               \
    X(lc_messages)                    \
    X(data_directory)
#define GATE_ONE_SETTING(name)        +1

/* clang-format on */

enum {
    GATE_SETTINGS_COUNT = GATE_SETTINGS(GATE_ONE_SETTING)
};

#endif
