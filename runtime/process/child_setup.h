/*
 * What a child does between vfork(2) and execve(2).
 *
 * Owns the child for that short time. Called by process/spawn only. The child
 * shares the parent's memory and the parent's thread stands still: nothing
 * here allocates, takes a lock or uses a wrapper that knows of threads, and
 * only `sources` and the exec plan are written to. What fails is written to a
 * pipe that a successful exec closes.
 */
#ifndef MW_PROCESS_CHILD_SETUP_H
#define MW_PROCESS_CHILD_SETUP_H

#include "process/exec_plan.h"
#include "process/spawn_options.h"

/** The step of a start that failed. */
enum mw_spawn_stage {
  MW_STAGE_NONE,
  MW_STAGE_MEMORY,
  MW_STAGE_WATCH,
  MW_STAGE_PIPE,
  MW_STAGE_FORK,
  MW_STAGE_SETSID,
  MW_STAGE_SETPGID,
  MW_STAGE_STDIO,
  MW_STAGE_CHDIR,
  MW_STAGE_LIMITS,
  MW_STAGE_IDS,
  MW_STAGE_NO_NEW_PRIVS,
  MW_STAGE_DEATH_SIGNAL,
  MW_STAGE_EXEC
};

/** What the child reports; smaller than PIPE_BUF, hence in one piece. */
struct mw_child_report {
  int stage;
  int error; /* errno */
};

struct mw_child_setup {
  const struct mw_spawn_options *options;
  struct mw_exec_plan *plan;
  int *sources; /* room for max(3, fd_count) ints */
  int report_fd;
  pid_t parent;
};

/**
 * Becomes the program, or reports why not and ends with _exit(127). All
 * signals must be blocked; none are in the program (execve(2),
 * signal-safety(7)).
 */
_Noreturn void mw_child_setup_run(const struct mw_child_setup *setup);

#endif
