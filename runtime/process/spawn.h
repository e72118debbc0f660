/*
 * Starting a program in a child process.
 *
 * Owns nothing after it returns: the pid is the caller's, who must wait for it
 * (process/reaper or process/spawn_sync). Called by those two; any thread,
 * which stands still until the program runs.
 */
#ifndef MW_PROCESS_SPAWN_H
#define MW_PROCESS_SPAWN_H

#include "base/buffer.h"
#include "process/child_setup.h"
#include "process/spawn_options.h"

/**
 * Starts a child. Returns its pid once the program runs; otherwise a negative
 * uv code, with the step that failed in `stage`, no child and no descriptor
 * left (vfork(2), execve(2)). The large parent is never copied. Where the
 * child is to come from a fork server, as mw_fork_client_start; only then are
 * there `strays`.
 */
int mw_spawn(const struct mw_spawn_options *options, enum mw_spawn_stage *stage,
             struct mw_buffer *strays);

/** The step's name, as "exec". */
const char *mw_spawn_stage_name(enum mw_spawn_stage stage);

#endif
