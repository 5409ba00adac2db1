/* SPDX-License-Identifier: Apache-2.0 */
/* The names of the deliberate bugs; their worlds are in sim_mutant.c. */
#ifndef INDABA_TESTS_SIM_SIM_BUGS_H
#define INDABA_TESTS_SIM_SIM_BUGS_H

/* Deliberate bugs of the fake parts: each must be caught (tests/sim/sim_mutant.c). */
enum sim_mutant {
    MUTANT_NONE,
    MUTANT_LEASE_FROM_REPLY,  /* the sidecar counts its lease from the reply, not from the send */
    MUTANT_POSITION_OPEN,     /* a cut reports a position that is not final */
    MUTANT_SYNC_UNCONFIRMED,  /* a sync change is confirmed before the walsenders saw it */
    MUTANT_RECEIVER_LIVES,    /* a cut clears the setting, the receiver streams on */
    MUTANT_FENCE_UNVERIFIED,  /* a fence is reported while backends still run */
    MUTANT_NO_PLACEHOLDER,    /* synchronous_standby_names is empty until it is set */
    MUTANT_STATE_FORGOTTEN,   /* the sidecar loses its state file when it crashes */
    MUTANT_DEADLINE_IGNORED,  /* neither guardian nor gate look at the lease deadline */
    MUTANT_CLOCKS_6,          /* clock rates of 6 %: beyond what the proof allows */
    MUTANT_COPY_RUNS,         /* a sidecar says that its database runs while it is copied */
    MUTANT_LAPSE_UNTOLD,      /* a sidecar does not tell that the sync names were empty */
    MUTANT_NOT_PUT_BACK,      /* … or tells, and leaves them so */
    MUTANT_FOLDER_UNCHECKED,  /* a restart in place on whatever folder lies there */
    MUTANT_MARK_IGNORED,      /* a standby below what it acknowledged is counted */
    MUTANT_PROMISE_UNWRITTEN, /* what needs a promise is done before that is durable */
    MUTANT_FOREIGN_COUNTS,    /* a folder that somebody wrote into is taken for what it was */
    MUTANT_READ_UNCONFIRMED,  /* a leader answers reads without asking the others */
    MUTANT_READ_BEHIND,       /* a read is answered before the state has reached its index */
    MUTANT_ACK_EARLY,         /* a put is answered before it is committed */
    MUTANT_DISK_LIES,         /* members are told of writes that were not made yet */
    MUTANT_STRANGER_HEARD,    /* a message reaches the core whoever sent it */
    MUTANT_COUNT
};

#endif
