/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about members share: asking for them, following one until the consensus core
 * has it as the record wants it, and asking a person before something risky. */
#ifndef INDABA_CMD_CLI_MEMBER_H
#define INDABA_CMD_CLI_MEMBER_H

#include "cmd/cli.h"
#include "indaba/v1/cluster.pb-c.h"

/* CLI_OK with the answer in the arena, or an exit code with its message printed. */
int cli_member_get(struct cli *cli,
                   bool stale,
                   const Indaba__V1__GetMembersResponse **response_out);

/* After a call that was not answered, which may have been done all the same: what is on record now.
 * NULL, and said so, if that cannot be seen either. */
const Indaba__V1__GetMembersResponse *cli_member_look_again(struct cli *cli);
/* Says whether what was asked for is `done` after all; the exit code for that. */
int cli_member_say_done(const struct cli *cli, bool done);

/* NULL if there is none of this name. */
const Indaba__V1__MemberStatus *cli_member_find(const Indaba__V1__GetMembersResponse *response,
                                                const char *name);

/* How many of the record's members are wanted as voters, besides `except` (NULL: nobody). */
uint32_t cli_member_voters(const Indaba__V1__GetMembersResponse *response, const char *except);

/* Shows, line by line, how the core gets to where the record wants this member; "" for all of them.
 * CLI_OK once it is there (or gone, if it leaves); CLI_FAILED when that takes longer than people
 * wait: it goes on all the same. */
int cli_member_wait(struct cli *cli, const char *name);

/* "leader", "follower", "UNREACHABLE", or that nobody was asked who could say. */
const char *cli_member_role(const Indaba__V1__MemberStatus *member);

/* What the cluster says against a change that it took; "" for nothing. */
void cli_member_warn(const struct cli *cli, const char *warning);

/* One line of how a member stands, for people: "voter", "learner, 512 entries behind", … */
void cli_member_describe(const Indaba__V1__GetMembersResponse *response,
                         const Indaba__V1__MemberStatus *member,
                         char *text,
                         size_t size);

#endif
