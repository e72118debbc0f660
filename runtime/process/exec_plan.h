/*
 * What to try to exec: worked out in the parent, where memory may be had.
 *
 * Owns one block of memory with the candidate paths and an argument vector
 * for /bin/sh. Called by process/spawn, read by process/child_setup; lives for
 * one mw_spawn call.
 */
#ifndef MW_PROCESS_EXEC_PLAN_H
#define MW_PROCESS_EXEC_PLAN_H

#include <stdbool.h>

#include "process/spawn_options.h"

struct mw_exec_plan {
  char **candidates; /* NULL-terminated, in the order of PATH */
  char **shell_argv; /* "/bin/sh", a free slot, argv[1]..., NULL */
  char *const *argv;
  char *const *envp;
  bool searched; /* candidates come from PATH */
};

/**
 * Fills in `plan` as execvp(3) would look for options->file, but with the
 * PATH of the environment that the child gets. 0 or UV_ENOMEM.
 */
int mw_exec_plan_init(struct mw_exec_plan *plan,
                      const struct mw_spawn_options *options);

void mw_exec_plan_free(struct mw_exec_plan *plan);

#endif
