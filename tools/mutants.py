#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Deliberate bugs, each of which loses data or makes two primaries, and the tests that must notice. Each
is put into a copy of the tree alone; its tests are built and run; it must be killed. Prints a table.
A mutant whose place is not found once is an error: the code has moved on, and the table must follow.

    tools/mutants.py [NAME …]     all of them, or those whose name contains a word
    tools/mutants.py --places     only whether each place is found, which takes no time"""
import concurrent.futures
import os
import queue
import shutil
import subprocess
import sys
import time

TREES = [os.path.abspath(f"build/mutants/{number}") for number in (1, 2)]
TEST_SECONDS = 300
SIM_SEEDS = 250  # of the simulator, where a mutant names it among its tests
ELECTION, REPLICATE = "src/raft/election.c", "src/raft/replicate.c"
LEASES = "src/decide/leases.c"
VOICES = "src/peers/voices.c"
SPEAKERS = "src/replication/speakers.c"

# (what is wrong, file, code, instead, unit tests of these layers that must notice)
MUTANTS = [
    ("a vote is told before it is durable", ELECTION,
     "if (!member_id_is_none(owed) && durable_has_vote(&raft->durable, raft->term, owed)) {",
     "if (!member_id_is_none(owed)) {", "raft"),
    ("a vote is given twice in a term", ELECTION,
     "        return member_id_equal(raft->vote, candidate);\n    }\n    return member_id_is_none(",
     "        return true;\n    }\n    return member_id_is_none(", "raft"),
    ("a vote for a shorter log", ELECTION,
     "return request->last_index >= last_index;", "return true;", "raft"),
    ("a vote for an older log", ELECTION,
     "return request->last_term > last_term;", "return true;", "raft"),
    ("votes are asked for entries that are not durable", ELECTION,
     "uint64_t last_index = raft->durable.index;\n    CHECK(last_index <= log_view_last_index(",
     "uint64_t last_index = log_view_last_index(&raft->log);\n    CHECK(last_index <= "
     "log_view_last_index(", "raft"),
    ("no stickiness: whoever asks deposes a leader that is heard", ELECTION,
     "    return !member_id_is_none(raft->leader) &&\n", "    return false && !member_id_is_none("
     "raft->leader) &&\n", "raft"),
    ("an entry of an earlier term is committed by counting", REPLICATE,
     "|| log_view_term(&raft->log, reached) != raft->term", "", "raft"),
    ("entries are acknowledged before they are durable", "src/raft/append.c",
     "return raft->matched < raft->durable.index ? raft->matched : raft->durable.index;",
     "return raft->matched;", "raft"),
    ("what the leader has not made durable counts for it", REPLICATE,
     "replicate_values(raft, raft->durable.index, match_of, values);",
     "replicate_values(raft, log_view_last_index(&raft->log), match_of, values);", "raft"),
    ("a duplicate of an old append cuts what matches", "src/raft/append.c",
     "        if (log_view_matches(&raft->log, entry->index, entry->term)) {\n            continue;",
     "        if (false) {\n            continue;", "raft"),
    ("an append is taken whatever lies before it", "src/raft/append.c",
     "} else if (!log_view_matches(&raft->log, append->prev_index, append->prev_term)) {",
     "} else if (append->prev_index > log_view_last_index(&raft->log)) {", "raft"),
    ("messages of an older term are obeyed", "src/raft/receive.c",
     "    if (message->term < raft->term) {\n        answer_stale",
     "    if (message->term + 1 < raft->term) {\n        answer_stale", "raft"),
    ("entries leave for the store before they are durable", "src/raft/raft.c",
     "raft->commit < raft->durable.index ? raft->commit : raft->durable.index;",
     "raft->commit;", "raft"),
    ("entries leave for a store that a snapshot is about to replace", "src/raft/raft.c",
     "commit > raft->commit_out && !snapshot_receive_is_installing(raft)", "commit > raft->commit_out",
     "raft"),
    ("a read is served without confirmation", "src/raft/read_index.c",
     "uint64_t confirmed = quorum_value(log_view_configuration(&raft->log), values);",
     "uint64_t confirmed = raft->probe;", "raft"),
    ("a read is served before an entry of the own term", "src/raft/read_index.c",
     " || raft->commit < raft->term_start_index) {", ") {", "raft"),
    ("learners count", "src/raft/quorum.c",
     "return set == SET_NEW ? server->voter : server->voter_old;",
     "return set == SET_NEW ? true : server->voter_old;", "raft"),
    ("half is a majority", "src/raft/quorum.c",
     "return descending[count / 2];", "return descending[(count - 1) / 2];", "raft"),
    ("a joint configuration elects by the new set alone", "src/raft/quorum.c",
     "(size_old == 0 || set_count(configuration, yes, SET_OLD) > size_old / 2);", "true;", "raft"),
    ("a joint configuration commits by the new set alone", "src/raft/quorum.c",
     "return value_new < value_old ? value_new : value_old;", "return value_new;", "raft"),
    ("a change leaves no majority that answers", "src/raft/joint.c",
     "if (quorum_commit(&first, values) > 0) {", "if (first.count > 0) {", "raft"),
    ("who answers and makes nothing durable is counted on in a change", "src/raft/proof.c",
     "    if (!changes_votes(raft, first)) {", "    if (!changes_votes(raft, first) || true) {",
     "raft"),
    ("a disk that followed long ago is counted on in a change", "src/raft/proof.c",
     "bool fresh = raft->now_ms - raft->proof_ms <= raft->proof_patience_ms;", "bool fresh = true;",
     "raft"),
    ("who has just died is counted on in a change", "src/raft/replicate.c",
     "return peer->answered && !peer->lost && replicate_is_active(raft, peer);",
     "return peer->answered && replicate_is_active(raft, peer);", "raft"),
    ("a wish that stops everything goes on record", "src/node/membership_check.c",
     "bool majority = tally->heard > tally->voters / 2;", "bool majority = tally->heard > 0;",
     "node"),
    ("a snapshot replaces a suffix that matches", "src/raft/snapshot_receive.c",
     "return index <= raft->commit || log_view_matches(&raft->log, index, term);",
     "return index <= raft->commit;", "raft"),
    ("the log is cut above the snapshot", "src/raft/compaction.c",
     "    uint64_t index = raft->snapshot.index;\n    uint64_t bytes = 0;",
     "    uint64_t index = raft->applied;\n    uint64_t bytes = 0;", "raft"),
    ("a late completion of a rewritten entry counts", "src/raft/durable.c",
     "        if (write->last_index >= index) {\n            write->last_index = index - 1;",
     "        if (false) {\n            write->last_index = index - 1;", "raft"),
    ("an order of a paused leader is obeyed", "src/state/apply.c",
     "if (command->leader_term != entry->term) {", "if (false) {", "state"),
    ("one report too few is a quorum", "src/model/sync_record.c",
     "+ pair->required <= pair->members_count) {", "+ pair->required < pair->members_count) {",
     "model state"),
    ("only the newest pair of a joint record is asked", "src/model/sync_record.c",
     "    for (uint32_t i = 0; i < record->pairs_count; i++) {\n        const struct sync_pair *pair"
     " = &record->pairs[i];\n        if (count_reporters",
     "    for (uint32_t i = record->pairs_count - 1; i < record->pairs_count; i++) {\n"
     "        const struct sync_pair *pair = &record->pairs[i];\n        if (count_reporters",
     "model state"),
    ("a report of a wiped folder counts", "src/state/failover_check.c",
     "instance->incarnation.value == report->incarnation.value;", "true;", "state"),
    ("the old primary's own report counts", "src/state/failover_check.c",
     "if (!known || is_old || twice || lost || older) {",
     "if (!known || twice || lost || older) {", "state"),
    ("a sync change is finished for an older version", "src/state/sync_change.c",
     "if (sync->pairs_count < 2 || sync->version != body->version) {",
     "if (sync->pairs_count < 2) {", "state"),
    ("a base backup that streams joins the sync record", "src/decide/sync_planner.c",
     "if (!says_it_streams(input, member)) {", "if (false) {", "decide"),
    ("a base backup streams under a standby's name", "src/replication/postgres/pg_conninfo.c",
     "    TRY(write_conninfo(place, settings, other_name(\"copy\", settings, name), text));",
     "    TRY(pg_conninfo(place, settings, text));", "replication"),
    ("a start by hand streams under a standby's name", "src/replication/postgres/pg_conninfo.c",
     "    if (settings->nameless) {", "    if (false && settings->nameless) {", "replication"),
    ("a pair that is replaced is asked no more", "src/state/sync_change.c",
     "    sync->pairs[sync->pairs_count++] = body->pair;",
     "    sync->pairs_count -= replaces;\n    sync->pairs[sync->pairs_count++] = body->pair;",
     "state"),
    ("a step is taken by an order of an earlier attempt", "src/state/failover_check.c",
     "if (view_out->failover.id == 0 || body->epoch.value != view_out->failover.epoch.value) {",
     "if (view_out->failover.id == 0) {", "state"),
    ("a primary whose standbys stream is judged dead", "src/decide/detector.c",
     "                                      : streams(view, observer, now_ms)) {",
     "                                      : false) {", "decide"),
    ("one kind of evidence is enough", "src/decide/detector.c",
     "    if (witness == NULL) {", "    if (witness == NULL && false) {", "decide"),
    ("a renewal is answered after its close was proposed", LEASES,
     "row->epoch.value == pending->renewal.epoch.value &&\n"
     "           row->epoch.value > row->proposed_epoch.value;",
     "row->epoch.value == pending->renewal.epoch.value;", "decide"),
    ("a renewal is answered before its read index is applied", LEASES,
     "waiting.stage == STAGE_READY && leases->applied_index >= waiting.index;",
     "waiting.stage == STAGE_READY;", "decide"),
    ("clocks are taken to run at one rate", LEASES,
     "RATE_NUMERATOR = 11,", "RATE_NUMERATOR = 10,", "decide"),
    ("the last renewal of this office is forgotten", LEASES,
     "row->granted && row->granted_ms > leases->elected_ms ? row->granted_ms : leases->elected_ms;",
     "leases->elected_ms;", "decide"),
    ("the holder counts its lease without the margin", "src/replication/lease_holder.c",
     "(uint64_t)(answer->lease_ms - LEASE_MARGIN_MS) * NS_PER_MS;",
     "(uint64_t)answer->lease_ms * NS_PER_MS;", "replication"),
    ("the holder counts from its last send", "src/replication/lease_holder.c",
     "        holder->sends[place].send_ns + (", "        holder->last_send_ns + (", "replication"),
    ("the sidecar obeys members that were left behind", "src/replication/keeper.c",
     "    if (cluster_epoch < state->cluster_epoch) {\n        return false;",
     "    if (cluster_epoch < state->cluster_epoch) {\n        return true;", "replication"),
    ("a promotion does not look again after its promise was written",
     "src/replication/keeper_turn.c", "    if (!still) {\n", "    if (false && !still) {\n",
     "replication"),
    ("what needs a promise does not wait for it", "src/replication/keeper_turn.c",
     "    hold(action_out, &turn->state);\n}\n\nvoid keeper_turn_saved(",
     "}\n\nvoid keeper_turn_saved(", "replication"),
    ("a failover is confirmed by what was acknowledged before it", "src/decide/failover_confirm.c",
     "           primary->report.acked.timeline == fork->timeline &&\n", "", "decide"),
    ("a leader that is out of touch judges by silence", "src/decide/detector.c",
     "    if (observations->out_of_touch_ms != 0 &&\n", "    if (false &&\n", "decide"),
    ("a promotion that failed is forgotten", "src/state/failover_begin.c",
     "            instance->promotions_failed++;\n", "            (void)instance;\n", "state"),
    ("who failed is chosen like the others", "src/decide/candidate.c",
     "        return a->instance->promotions_failed < b->instance->promotions_failed;",
     "        return false;", "decide"),
    ("who failed and is alone is tried again at once", "src/decide/failover_retry.c",
     "    if (waited_ms >= pause_ms) {", "    if (waited_ms + pause_ms > 0) {", "decide"),
    ("complete ends with nobody to choose, says the planner", "src/decide/failover_planner.c",
     "if (!returns && !final_reports_have_leader(view, reports, count)) {", "if (false) {",
     "decide"),
    ("complete ends with nobody to choose, says the state", "src/state/failover_record.c",
     "            !final_reports_have_leader(&view, body->reports, body->reports_count)) {",
     "            false) {", "state"),
    ("a primary that dies in a row is restarted in place for ever", "src/decide/failover_retry.c",
     "    if (row <= RETRY_ROW_MAX) {", "    if (row > 0) {", "decide"),
    ("a forgotten successor is not asked about", "src/decide/failover_restart.c",
     "if (!fresh || heard->report.position.timeline > known) {", "if (false) {", "decide"),
    ("a forgotten timeline is reserved again", "src/state/failover_decide.c",
     "shard->timeline_reserved = timelines + 1;",
     "(void)timelines;\n    shard->timeline_reserved++;", "state"),
    ("the sidecar obeys a goal that is overtaken", "src/replication/keeper_table.c",
     "    return look->goal->epoch.value < look->state->epoch.value ||\n",
     "    return false && look->goal->epoch.value < look->state->epoch.value ||\n", "replication"),
    ("a read at a confirmed index does not wait for it", "src/node/node_requests.c",
     "        if (waiting.items[i].index <= node->submitted) {", "        if (true) {", "sim"),
    ("a majority's word against a state is not heard", "src/node/node_quarantine.c",
     "            enter(node, said->agreed_index, said->agreed_hash);", "            (void)enter;", "sim"),
    ("a leader whose state is the wrong one stays", "src/node/node_watch.c",
     "watch->state_is_ours = status->role == RAFT_LEADER && divergence_is_ours(&node->divergence);",
     "watch->state_is_ours = false;", "sim"),
    ("a store behind the newest snapshot is taken as it is", "src/node/node_recover.c",
     "    if (recovery->stored.index >= recovery->newest.index) {", "    if (true) {", "sim"),
    ("what a snapshot holds is applied once more", "src/node/node_snapshot.c",
     "        node->submitted = position->index;\n", "", "sim"),
    ("a member that has left stays on record for ever", "src/node/membership_plan.c",
     "            order_out->step = told ? MEMBERSHIP_GONE : MEMBERSHIP_WAIT;",
     "            order_out->step = MEMBERSHIP_WAIT;\n            (void)told;", "sim"),
    ("what has changed is not shown to who decides", "src/node/applier_batch.c",
     "        note_changed(changed, shard);\n", "        (void)changed;\n", "sim"),
    ("the log is not synced", "src/storage/wal.c",
     "    error = FAILPOINT_AROUND(\"wal.sync\", disk->sync(disk->ctx, wal->file));\n"
     "    if (error != ERR_OK) {\n        return die(wal, error, \"sync\");\n    }\n", "", "storage"),
    ("a snapshot gets its name before its bytes are durable", "src/storage/snapshot_file.c",
     "        writer.error = disk->sync(disk->ctx, writer.file);", "        writer.error = ERR_OK;",
     "storage"),
    ("the store runs ahead of the log", "src/storage/store.c",
     "    if (applied_index > durable_index) {", "    if (false) {", "storage"),
    ("a stranger's term is believed", VOICES,
     "return voices_standing(voices, id, name) >= VOICES_NAMED;", "return true;", "peers"),
    ("a removed member's entries are taken", VOICES,
     "if (stranger != NULL && stranger->gone) {", "if (false) {", "peers"),
    ("one member's word makes a stranger a member", VOICES,
     "return others / 2 + 1;", "return 1;", "peers"),
    ("the sidecar obeys an unknown speaker", SPEAKERS,
     "if (member_id_equal(speakers->items[i].id, id) &&", "if (", "replication"),
    ("one host's word puts a stranger on the sidecar's record", SPEAKERS,
     "return named >= 2 || (named == 1 && answered_itself(round, speaker));",
     "return named >= 1 || answered_itself(round, speaker);", "replication"),
    ("the sidecar lets one host weaken its shard", SPEAKERS,
     "return leaps || weaker;", "return leaps;", "replication"),
    ("the sidecar follows a recovery that the others know nothing of", SPEAKERS,
     "return 2 * against <= speakers->count;", "return true;", "replication"),
    ("leaves and nodes of the ledger hash alike", "src/state/merkle.c",
     "static const uint8_t PREFIX = 0x00;", "static const uint8_t PREFIX = 0x01;", "state"),
    ("a foreign history counts", "src/model/lineage.c",
     "    if (evidence->recovery_ended && !evidence->office) {", "    if (false && !evidence->office) {",
     "model"),
    ("the number of a timeline is taken for a history", "src/model/lineage.c",
     "    if (evidence->newest_timeline > evidence->led_timeline) {",
     "    if (false && evidence->newest_timeline > 0) {", "model"),
    ("WAL made anew in the place of what was seen passes for it", "src/model/lineage.c",
     "    if (evidence->other_wal) {", "    if (false && evidence->other_wal) {", "model"),
    ("the fingerprint of an older place stays with a newer one", "src/replication/keeper_notes.c",
     "        .fingerprint = facts->state == INSTANCE_STOPPED ? 0 : facts->held_fingerprint,",
     "        .fingerprint = facts->held_fingerprint != 0 ? facts->held_fingerprint\n"
     "                                                    : anchor->fingerprint,", "replication"),
    ("an epoch that was not promised leads to a timeline", "src/model/lineage.c",
     "fork->epoch <= led.value ? fork : NULL;", "fork->epoch != led.value + 99 ? fork : NULL;", "model"),
    ("a timeline is the record's by its number alone", "src/model/lineage.c",
     "return step->announced && step->parent_timeline", "return step->parent_timeline", "model"),
    ("whoever put standby.signal back is not seen", "src/replication/postgres/pg_files.c",
     "signal_line(place, line) && strcmp(line, noted) == 0;", "signal_line(place, line);",
     "replication"),
    ("a folder is started before its history is proven", "src/replication/keeper_folder.c",
     "return look->facts->lineage == LINEAGE_UNKNOWN && needs_proof(look);",
     "return false && look->facts->lineage == LINEAGE_UNKNOWN && needs_proof(look);", "replication"),
    ("a folder in doubt is started", "src/replication/keeper_folder.c",
     "return look->facts->lineage == LINEAGE_DOUBTED && needs_proof(look);",
     "return false && look->facts->lineage == LINEAGE_DOUBTED && needs_proof(look);", "replication"),
    ("marks are kept of a primary that nobody ordered", "src/replication/keeper_notes.c",
     "        return state->writable_epoch.value > state->fenced_epoch.value &&\n",
     "        return true || state->writable_epoch.value > state->fenced_epoch.value ||\n",
     "replication"),
    ("settings that somebody changed are left", "src/replication/keeper_table.c",
     "return look->facts->put_back || (look->goal->mode == SHARD_SYNC &&",
     "return (look->goal->mode == SHARD_SYNC &&", "replication"),
    ("a position counts as final though the cut was undone", "src/replication/keeper.c",
     "facts->position_final && !facts->cut_undone &&", "facts->position_final &&", "replication"),
    ("a failover during a lapse claims that nothing was lost", "src/state/failover_begin.c",
     "    memcpy(failover->could_lose, could_lose, sizeof(failover->could_lose));\n", "", "state"),
    ("a lapse is over before its end was confirmed", "src/decide/lapse_planner.c",
     "primary->report.sync_confirmed_version == shard->sync.version &&\n", "", "decide"),
    ("a standby's lapse is nobody's", "src/decide/lapse_planner.c",
     "return sync_record_contains(&shard->sync, member);", "return false;", "decide"),
    ("what was final goes on counting after the cut was undone", "src/decide/failover_planner.c",
     "if (rests_on_cuts && failover_cut_undone(input, plan_out)) {", "if (false) {", "decide"),
    ("a disk that hangs is death though WAL still arrives", "src/decide/detector.c",
     "return streams(view, observer, now_ms) && now_ms - observer->moved_ms < DETECTOR_STALL_MS;",
     "return false;", "decide"),
    ("a restart in place without who saw its start end", "src/state/failover_begin.c",
     "if (nonce != 0 && (recorded == 0 || recorded == nonce)) {", "if (true) {", "state"),
    ("a folder is promoted in place below what was once in it", "src/state/failover_record.c",
     "bool older = view.failover.in_place && position_compare(left, own_floor) < 0;",
     "bool older = false;", "state"),
    ("who is heard above does not refuse the old primary's folder", "src/state/failover_decide.c",
     "bool highest = returns || view->shard.mode == SHARD_SYNC;",
     "bool highest = !returns && view->shard.mode == SHARD_SYNC;", "state"),
    ("who is not heard is taken to hold no more", "src/state/failover_record.c",
     "if (view.shard.mode == SHARD_SYNC && !quorum) {",
     "if (view.shard.mode == SHARD_SYNC && !quorum && body->own.instance.value == 0) {", "state"),
    ("a standby below what it acknowledged is counted", "src/state/failover_check.c",
     "if (!known || is_old || twice || lost || older) {", "if (!known || is_old || twice || lost) {",
     "state"),
    ("an older copy of the old primary's folder counts as its own", "src/state/failover_check.c",
     "if (!known || lost || position_compare(own->position, failover_own_floor(failover)) < 0) {",
     "if (!known || lost) {", "state"),
    ("what a decision left behind is asked of everybody", "src/model/records.c",
     "return position.timeline < shard->branch_timeline &&",
     "return false && position.timeline < shard->branch_timeline &&", "state"),
    ("evidence against who returns to office is dropped", "src/state/failover_decide.c",
     "    if (!bootstrap && body->candidate.value != view->failover.old_primary.value) {\n",
     "    if (!bootstrap && !view->failover.in_place) {\n", "state"),
    ("a read joins a confirmation begun before it was posted", "src/node/node_port.c",
     "    TAILQ_CONCAT(&joined, &request->joined, others);\n",
     "    TAILQ_CONCAT(&joined, &request->joined, others);\n"
     "    TAILQ_CONCAT(&joined, &port->posted, others);\n", "node"),
    ("what was asked of an office that is over is proposed", "src/node/node_port.c",
     "    if (office.leads && office.term == request->term) {", "    if (office.leads) {", "node"),
    ("an answer reaches whoever has the slot now", "src/node/node_port.c",
     " ||\n        port->slots[ticket.slot]->ticket.generation != ticket.generation) {", ") {", "node"),
    ("a write that was void is told as done", "src/etcd/etcd_writes.c",
     "if (error == ERR_OK && answer->result->error != ERR_OK) {", "if (false) {", "etcd"),
    ("a read is answered by one that was not confirmed to lead", "src/etcd/etcd_reads.c",
     "    batch->refused = answer->error != ERR_OK;", "    batch->refused = false;", "etcd"),
    ("a lease that was renewed keeps its old place among those that expire",
     "src/etcd/etcd_lease_table.c",
     "    lease->deadline_ms = deadline_ms;\n    heap_settle(table, lease->heap_at);",
     "    lease->deadline_ms = deadline_ms;", "etcd"),
    ("a page that is half written is believed", "src/gate/gate_page.h", "(before & 1u) == 0 && ", "",
     "replication"),
]


def copy_tree(tree):
    """The sources and tests as they are now. What has not changed keeps its time, and with it its
    object of the run before; what a mutant left changed is newer than that."""
    os.makedirs(tree, exist_ok=True)
    for folder in ("src", "tests", "tools", "proto"):
        for where, _, names in os.walk(folder):
            os.makedirs(os.path.join(tree, where), exist_ok=True)
            kept = set(os.listdir(os.path.join(tree, where)))
            for name in names:
                put(os.path.join(where, name), os.path.join(tree, where, name))
            for name in kept - set(os.listdir(where)):
                gone = os.path.join(tree, where, name)
                shutil.rmtree(gone) if os.path.isdir(gone) else os.unlink(gone)
    put("Makefile", os.path.join(tree, "Makefile"))


def put(source, target):
    with open(source, "rb") as file:
        content = file.read()
    if os.path.exists(target):
        with open(target, "rb") as file:
            if file.read() == content:
                return
    with open(target, "wb") as file:
        file.write(content)
    shutil.copymode(source, target)


def test(tree, layers, jobs):
    """(all passed, what was said). Layers are those of unit tests; "sim" is the simulator."""
    make = ["make", "-s", f"-j{jobs}", "WERROR=-w", "OPT=-O1 -g", "UNIT_TIMEOUT=90",
            "FIRST_FAILURE=--first-failure"]
    units = [layer for layer in layers.split() if layer != "sim"]
    passed, said = run(tree, make + ["unit", "T=" + " ".join(units)]) if units else (True, "")
    if not passed or "sim" not in layers.split():
        return passed, said
    passed, built = run(tree, make + ["build/sim"])
    if not passed:
        return passed, said + built
    passed, seeds = run(tree, ["env", f"N={SIM_SEEDS}", "START=1", "build/sim"])
    return passed, said + seeds + ("" if passed else "\nFAIL sim: 0 passed, 1 failed")


def run(tree, command):
    try:
        done = subprocess.run(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
                              timeout=TEST_SECONDS)
    except subprocess.TimeoutExpired as expired:
        return False, f"timeout {expired}"
    return done.returncode == 0, done.stdout


def killer(said):
    """The first test program that failed."""
    for line in said.splitlines():
        if line.startswith("FAIL"):
            return line.split()[1].removeprefix("unit/")
    return "?"


def try_mutant(trees, path, code, instead, layers):
    """(verdict, by whom), in a tree that nobody else uses meanwhile."""
    tree = trees.get()
    try:
        return try_in(tree, path, code, instead, layers)
    finally:
        trees.put(tree)


def try_in(tree, path, code, instead, layers):
    full = os.path.join(tree, path)
    with open(full, encoding="utf-8") as file:
        original = file.read()
    if original.count(code) != 1:
        return "NOT FOUND", f"{original.count(code)} places"
    with open(full, "w", encoding="utf-8") as file:
        file.write(original.replace(code, instead))
    try:
        passed, said = test(tree, layers, 1)
    finally:
        with open(full, "w", encoding="utf-8") as file:
            file.write(original)
    if passed:
        return "SURVIVED", layers
    if " error: " in said and "passed, " not in said:
        return "NOT BUILT", said.split(" error: ", 1)[1].splitlines()[0]
    return "killed", killer(said)


def check_places():
    lost = 0
    for name, path, code, *_ in MUTANTS:
        with open(path, encoding="utf-8") as file:
            count = file.read().count(code)
        if count != 1:
            lost += 1
            print(f"{path}: the place of the mutant '{name}' is there {count} times: the table must follow",
                  file=sys.stderr)
    return 1 if lost > 0 else 0


def main():
    words = sys.argv[1:]
    if words == ["--places"]:
        return check_places()
    chosen = [one for one in MUTANTS if not words or any(word in one[0] for word in words)]
    copy_tree(TREES[0])
    layers = " ".join(sorted({layer for one in chosen for layer in one[4].split()}))
    passed, said = test(TREES[0], layers, 2)
    if not passed:
        print(said[-3000:])
        print("mutants: the tests fail without a mutant")
        return 2
    trees = queue.Queue()
    for tree in TREES:
        if tree is not TREES[0]:
            # With its objects: nothing is compiled twice.
            shutil.rmtree(tree, ignore_errors=True)
            subprocess.run(["cp", "-a", "--reflink=auto", TREES[0], tree], check=True)
        trees.put(tree)
    bad = 0
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(TREES)) as pool:
        tried = [pool.submit(try_mutant, trees, *one[1:]) for one in chosen]
        for one, ended in zip(chosen, tried):
            verdict, by = ended.result()
            bad += verdict != "killed"
            print(f"{verdict:9} {one[0]:62} {by}", flush=True)
    print(f"{len(chosen) - bad} passed, {bad} failed ({len(chosen)} deliberate bugs, "
          f"{time.monotonic() - start:.0f} s)")
    return 1 if bad > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
