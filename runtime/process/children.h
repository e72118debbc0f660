/*
 * The children of this process, as the kernel lists them.
 *
 * Owns nothing. Called by process/fork_client; any thread. Reads /proc, and
 * finds nobody where that is not there.
 */
#ifndef MW_PROCESS_CHILDREN_H
#define MW_PROCESS_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buffer.h"

/**
 * Adds the pids, each a pid_t, of all children of the main thread, who are also
 * those that come to the process when their parents end (proc(5), "children").
 * False where they can't be had.
 */
bool mw_children_list(struct mw_buffer *pids);

/** Whether such a list holds a pid. */
bool mw_children_include(const struct mw_buffer *pids, pid_t pid);

#endif
