/* SPDX-License-Identifier: Apache-2.0 */
/* Statements whose effect comes before, or beside, the commit of the transaction that they are in:
 * the end of a prepared transaction, whose record is written inside the statement; what makes or
 * removes folders; what acts on another server. And the promotion, which the sidecar alone orders.
 */
#include "gate/gate_parts.h"
#include "gate/gate_settings.h"

#include <access/xlog.h>
#include <catalog/objectaccess.h>
#include <miscadmin.h>
#include <tcop/utility.h>
#include <utils/fmgroids.h>

static void on_utility(PlannedStmt *pstmt,
                       const char *query,
                       bool read_only_tree,
                       ProcessUtilityContext context,
                       ParamListInfo params,
                       QueryEnvironment *environment,
                       DestReceiver *dest,
                       QueryCompletion *completion);
static void
on_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument);
static bool ends_prepared(const Node *statement);
static bool acts_at_once(const Node *statement);
static void refuse_setting(const AlterSystemStmt *statement);

static ProcessUtility_hook_type next_utility;
static object_access_hook_type next_access;

void gate_watch_statements(void)
{
    next_utility = ProcessUtility_hook;
    ProcessUtility_hook = on_utility;
    next_access = object_access_hook;
    object_access_hook = on_access;
}

static void on_utility(PlannedStmt *pstmt, /* NOLINT(readability-function-size): their hook */
                       const char *query,
                       bool read_only_tree,
                       ProcessUtilityContext context,
                       ParamListInfo params,
                       QueryEnvironment *environment,
                       DestReceiver *dest,
                       QueryCompletion *completion)
{
    ProcessUtility_hook_type next = next_utility != NULL ? next_utility : standard_ProcessUtility;
    bool prepared = ends_prepared(pstmt->utilityStmt);

    if (IsA(pstmt->utilityStmt, AlterSystemStmt)) {
        refuse_setting((const AlterSystemStmt *)(const void *)pstmt->utilityStmt);
    }
    /* A standby refuses these itself. */
    if ((prepared || acts_at_once(pstmt->utilityStmt)) && !RecoveryInProgress()) {
        gate_before(prepared ? "end a prepared transaction" : "do that");
    }
    next(pstmt, query, read_only_tree, context, params, environment, dest, completion);
    if (prepared) {
        gate_after(GetFlushRecPtr(NULL)); /* the record of the end was flushed by now */
    }
}

static bool ends_prepared(const Node *statement)
{
    if (!IsA(statement, TransactionStmt)) {
        return false;
    }
    TransactionStmtKind kind = ((const TransactionStmt *)(const void *)statement)->kind;
    return kind == TRANS_STMT_COMMIT_PREPARED || kind == TRANS_STMT_ROLLBACK_PREPARED;
}

static bool acts_at_once(const Node *statement)
{
    switch ((int)nodeTag(statement)) {
    case T_CreatedbStmt:
    case T_DropdbStmt:
    case T_AlterDatabaseStmt:
    case T_CreateTableSpaceStmt:
    case T_DropTableSpaceStmt:
    case T_CreateSubscriptionStmt:
    case T_AlterSubscriptionStmt:
    case T_DropSubscriptionStmt:
        return true;
    default:
        return false;
    }
}

/* It would be put back a moment later, and commits of that moment be in doubt. To reset one is
 * harmless: the sidecar's files have it. */
static void refuse_setting(const AlterSystemStmt *statement)
{
#define NAME(name) #name,
    static const char *const OURS[] = {GATE_SETTINGS(NAME)};
#undef NAME
    const VariableSetStmt *set = statement->setstmt;

    for (size_t i = 0; set->name != NULL && i < lengthof(OURS); i++) {
        if (pg_strcasecmp(set->name, OURS[i]) == 0 && set->kind != VAR_RESET && !gate_is_exempt()) {
            ereport(ERROR,
                    (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                     errmsg("indaba: \"%s\" is set by the sidecar alone", OURS[i]),
                     errhint("Modes, standbys and addresses are changed with \"indaba shard\" and "
                             "the sidecar's configuration.")));
        }
    }
}

static void
on_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument)
{
    if (next_access != NULL) {
        next_access(access, class_id, object_id, sub_id, argument);
    }
    if (access == OAT_FUNCTION_EXECUTE && object_id == F_PG_PROMOTE && !gate_is_exempt()) {
        ereport(ERROR,
                (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                 errmsg("indaba: a promotion is the coordinators' choice"),
                 errhint("Use \"indaba failover start SHARD --to INSTANCE\".")));
    }
}
