/*
 * Process trees: a signal to a process and all its descendants.
 *
 * Owns nothing after it returns. Called by lua_process; any thread. Reads
 * /proc, so it sees what the caller may see there. A descendant that has lost
 * its parent is found only while it is in the group or the session that the
 * root leads.
 */
#ifndef MW_PROCESS_TREE_H
#define MW_PROCESS_TREE_H

#include <sys/types.h>

/**
 * Sends `signum` to `pid`, to its descendants, and to the members of the
 * group and the session with that number (kill(2), proc(5)). They are stopped
 * while they are collected, so that none escapes by fork(2), and continued
 * after; signal 0 only counts them. Never reaches the calling process, its
 * threads, or pid 1. Returns how many got it; UV_ESRCH if nobody is left,
 * UV_EINVAL for a pid that names no single other process.
 */
int mw_tree_kill(pid_t pid, int signum);

#endif
