/*
 * What a child does between its birth and its program.
 *
 * Owns the child for that short time. Called by process/spawn, where the child
 * shares the parent's memory and the parent's thread stands still until
 * execve(2), and by process/fork_server: nothing here allocates, takes a lock
 * or uses a wrapper that knows of threads, and only `sources` and the exec plan
 * are written to. What fails is written to a pipe.
 */
#ifndef MW_PROCESS_CHILD_SETUP_H
#define MW_PROCESS_CHILD_SETUP_H

#include <signal.h>

#include "process/exec_plan.h"
#include "process/spawn_options.h"

/** The step of a start that failed. */
enum mw_spawn_stage {
  MW_STAGE_NONE,
  MW_STAGE_MEMORY,
  MW_STAGE_WATCH,
  MW_STAGE_PIPE,
  MW_STAGE_FORK,
  MW_STAGE_SERVER,
  MW_STAGE_WORKER,
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
  pid_t pid; /* its own */
};

struct mw_child_setup {
  const struct mw_spawn_options *options;
  struct mw_exec_plan *plan; /* NULL where there is no program to exec */
  int *sources;              /* room for max(3, fd_count) ints */
  sigset_t changed_signals;  /* whose action may not be the default one */
  int report_fd;             /* becomes one above the wanted ones */
  pid_t parent;
};

/** Writes what became of a start. */
void mw_child_report_write(int report_fd, struct mw_child_report report);

/** How many descriptors the child gets: 0 up to this number. */
int mw_child_fd_count(const struct mw_spawn_options *options);

/**
 * Gives the child all that its options say, but no program. All signals must
 * be blocked; afterwards none are, and all have their default action
 * (signal-safety(7)). Descriptors above the wanted ones are left to exec to
 * close. Where a step fails, reports it and ends the process with _exit(127).
 */
void mw_child_setup_apply(struct mw_child_setup *setup);

/**
 * The same, then becomes the program, or reports why not and ends
 * (execve(2)).
 */
_Noreturn void mw_child_setup_run(struct mw_child_setup *setup);

#endif
