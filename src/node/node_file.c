/* SPDX-License-Identifier: Apache-2.0 */
/* Work on files of the folder that a node asks for while it runs (struct node_file_job): small ones
 * are read and removed here, on a thread that may wait for a disk; all come back to the part that
 * wanted them. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/mem.h"

void node_file_small(const struct node_ground *ground, struct node_file_job *job)
{
    const char *dir = ground->paths->dir;
    switch (job->kind) {
    case NODE_FILE_VOUCHES:
        job->vouches = mem_new(sizeof(*job->vouches));
        job->error = vouch_file_read(ground->disk, dir, &job->reason, job->vouches);
        return;
    case NODE_FILE_UNMARK:
        job->error = quarantine_mark_remove(ground->disk, dir, &job->reason);
        return;
    case NODE_FILE_TAKE:
    case NODE_FILE_READ:
    case NODE_FILE_WRITE:
        break;
    }
    UNREACHABLE("a file that is not small");
}

void node_file_done(struct node *node, struct node_file_job *job)
{
    if (node->closing) {
        node_file_free(job);
        return;
    }
    switch (job->kind) {
    case NODE_FILE_TAKE:
    case NODE_FILE_READ:
    case NODE_FILE_WRITE:
        node_snapshot_file_done(node, job);
        break;
    case NODE_FILE_VOUCHES:
        node_vouched_read(node, job);
        break;
    case NODE_FILE_UNMARK:
        node_quarantine_unmarked(node, job);
        break;
    }
    node_file_free(job);
    node_run(node);
}

void node_file_free(struct node_file_job *job)
{
    blob_unref(job->chunk);
    mem_free(job->vouches);
    mem_free(job);
}
