/* SPDX-License-Identifier: Apache-2.0 */
/* Where everything of an instance lies, and the settings that are ours. Layout of DIR:
 *   pgdata/    the data folder           run/    sockets, settings, passwords, the guardian's lock
 *   state/     keeper and guardian       log/    postgres.log, guardian.log
 *   stranded/  data folders kept aside
 * pgdata/postgresql.conf includes run/indaba.conf, which only the sidecar writes: a foreign start
 * of the database fails without it. Settings of ours that somebody put into postgresql.auto.conf
 * are taken out at every start and change. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_CONFIG_FILE_H
#define INDABA_REPLICATION_POSTGRES_PG_CONFIG_FILE_H

#include "base/reason.h"
#include "model/goal.h"
#include "replication/work.h"

enum {
    PG_PATH_SIZE = 256,
    PG_DIR_MAX = 80, /* so that sockets below it fit into sun_path */
    PG_TEXT_SIZE = 4096,
    PG_NAMES_SIZE = SYNC_SET_MAX * (SYNC_NAME_SIZE + 8) + 64,
};

/* Is the commit gate loaded into the server (pg_gate.h)? */
enum pg_gate_wish {
    PG_GATE_OFF,
    PG_GATE_ON,       /* where it can be; what cannot be is told, and starts all the same */
    PG_GATE_REQUIRED, /* nothing is started without it */
};

struct pg_config {
    char dir[PG_PATH_SIZE];              /* absolute, at most PG_DIR_MAX bytes */
    char bin_dir[PG_PATH_SIZE];          /* "": /usr/lib/postgresql/15/bin */
    char listen_addresses[ADDRESS_SIZE]; /* "": all of IPv4 and IPv6, "*" */
    uint16_t port;
    char user[OS_USER_NAME_SIZE];         /* of the operating system; "": "postgres" if we are root,
                                             else whoever we are */
    char superuser[NAME_SIZE];            /* of the database; "": postgres */
    char replication_user[NAME_SIZE];     /* "": indaba_replication */
    char replication_password[NAME_SIZE]; /* the same on every instance of the shard; required */
    char hba[PG_TEXT_SIZE];           /* lines for applications, after ours; "": host all all all
                                         scram-sha-256 */
    char settings[PG_TEXT_SIZE];      /* extra lines "name = value", before ours */
    char bootstrap_sql[PG_TEXT_SIZE]; /* run once after initdb, statements ended by ";\n" */
    uint32_t probe_ms;                /* 0: 250 */
    enum pg_gate_wish gate;
};

struct pg_written;

/* Filled from pg_config once; constant afterwards and read by all threads. */
struct pg_place {
    struct pg_config config; /* defaults filled in */
    struct os_user user;
    char data[PG_PATH_SIZE];
    char data_new[PG_PATH_SIZE]; /* being built; renamed to `data` when complete */
    char run[PG_PATH_SIZE];      /* ours, as `log`, `state` and `stranded` are */
    char sock[PG_PATH_SIZE];     /* the database's sockets; its own */
    char state[PG_PATH_SIZE];
    char log[PG_PATH_SIZE];
    char stranded[PG_PATH_SIZE];
    struct pg_written *written; /* what became of our files is noted there; NULL: nowhere */
};

/* Checks, fills defaults, makes missing folders with their owners. */
MUST_CHECK enum error
pg_place_init(struct pg_place *place, const struct pg_config *config, struct reason *reason);

/* What changes while an instance runs. */
struct pg_settings {
    struct shard_id shard;
    struct sync_member self;     /* this data folder */
    struct instance_id upstream; /* 0: primary_conninfo is empty */
    char upstream_address[ADDRESS_SIZE];
    uint64_t system_identifier; /* of the shard; 0 not known yet */
    bool nameless;              /* it goes by a name in its upstream that confirms nothing */
    bool closed;                /* a cut: nobody but the sidecar is let in */
    int probe_pid;              /* backend of the sidecar's other session, 0 none */
    int32_t postmaster;         /* its pid, to make it reload; 0: asked by a statement */
    char *gate_why;             /* START: why it is not loaded goes there, PG_GATE_WHY_SIZE */
    bool gate_page;             /* the guardian has a page for the gate */
    bool sync;                  /* of a sync shard: synchronous_standby_names is never empty */
    struct sync_pair pair;      /* required 0 or no members: the placeholder */
};

/* Value of synchronous_standby_names without quotes around it; `text` of PG_NAMES_SIZE bytes. */
char *pg_settings_sync_names(const struct pg_settings *settings, char *text);
/* "indaba_7": the slot that instance 7 uses, on whichever primary. `text` of NAME_SIZE bytes. */
char *pg_slot_name(struct instance_id instance, char *text);
/* Connection string to `address` for replication; `text` of PG_TEXT_SIZE bytes. The host name in it
 * says which instance it is meant to be (nothing resolves it: hostaddr is given). */
enum error
pg_conninfo(const struct pg_place *place, const struct pg_settings *settings, char *text);
/* The same for a base backup. Its stream of WAL reports what it has flushed, but nothing can run on
 * it yet: under a standby's name it would confirm writes that are gone when the copy ends early. */
enum error
pg_conninfo_of_copy(const struct pg_place *place, const struct pg_settings *settings, char *text);
/* Reads instance and "host:port" back from such a string; both none for any other. */
void pg_conninfo_parse(const char *conninfo, struct instance_id *instance_out, char *address_out);
/* Whether a receiver is that of these settings, by what pg_stat_wal_receiver shows of its own:
 * every parameter, in libpq's order. */
bool pg_conninfo_is_of(const struct pg_settings *settings, const char *shown);

/* True for one under which nothing is confirmed. */
bool pg_conninfo_is_nameless(const char *conninfo);

/* Writes run/indaba.conf, durably, and who is let in. */
MUST_CHECK enum error pg_config_write(struct work *work,
                                      const struct pg_place *place,
                                      const struct pg_settings *settings);
/* Only the last part: in force after a reload. */
MUST_CHECK enum error
pg_config_write_doors(struct work *work, const struct pg_place *place, bool closed);
/* Writes postgresql.conf, pg_hba.conf, pg_ident.conf and standby.signal into `data_dir`, and takes
 * our settings out of postgresql.auto.conf. Before every start. */
MUST_CHECK enum error
pg_config_prepare(struct work *work, const struct pg_place *place, const char *data_dir);
/* All of that in the folder of a server that runs, but for standby.signal; in force by a reload. */
MUST_CHECK enum error pg_config_rewrite(struct work *work, const struct pg_place *place);
/* False if a setting of ours is in postgresql.auto.conf. */
bool pg_config_auto_is_clean(const struct pg_place *place);

#endif
