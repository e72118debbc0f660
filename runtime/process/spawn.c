#include "process/spawn.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "process/fork_client.h"

const char *mw_spawn_stage_name(enum mw_spawn_stage stage) {
  switch (stage) {
  case MW_STAGE_NONE: return "none";
  case MW_STAGE_MEMORY: return "memory";
  case MW_STAGE_WATCH: return "watch";
  case MW_STAGE_PIPE: return "pipe";
  case MW_STAGE_FORK: return "fork";
  case MW_STAGE_SERVER: return "server";
  case MW_STAGE_WORKER: return "worker";
  case MW_STAGE_SETSID: return "setsid";
  case MW_STAGE_SETPGID: return "setpgid";
  case MW_STAGE_STDIO: return "stdio";
  case MW_STAGE_CHDIR: return "chdir";
  case MW_STAGE_LIMITS: return "limits";
  case MW_STAGE_IDS: return "ids";
  case MW_STAGE_NO_NEW_PRIVS: return "no_new_privs";
  case MW_STAGE_DEATH_SIGNAL: return "death_signal";
  case MW_STAGE_EXEC: return "exec";
  }
  return "unknown";
}

/* The function that calls vfork must not return in the child, and its frame
 * is the parent's too: it does nothing else. */
static __attribute__((noinline)) int start_child(struct mw_child_setup *setup) {
  pid_t pid = vfork();
  if (pid == 0)
    mw_child_setup_run(setup);
  return pid == -1 ? -errno : pid;
}

/* No handler of the parent may run in the child, on the parent's memory. */
static int start_with_signals_blocked(struct mw_child_setup *setup) {
  sigset_t all, old;
  int pid;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pid = start_child(setup);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return pid;
}

static void reap(pid_t pid) {
  while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
    continue;
}

/* End of file means that exec has closed the child's end. */
static int read_report(int report_fd, pid_t pid, enum mw_spawn_stage *stage) {
  struct mw_child_report report;
  int n = mw_fd_read(report_fd, &report, sizeof report);
  if (n != (int)sizeof report)
    return pid;
  reap(pid);
  *stage = (enum mw_spawn_stage)report.stage;
  return -report.error;
}

static int start_and_listen(struct mw_child_setup *setup,
                            enum mw_spawn_stage *stage) {
  int report[2];
  int pid;

  *stage = MW_STAGE_PIPE;
  int rc = mw_fd_pipe(report);
  if (rc != 0)
    return rc;

  *stage = MW_STAGE_FORK;
  setup->report_fd = report[1];
  pid = start_with_signals_blocked(setup);
  mw_fd_close(report[1]);
  if (pid > 0) {
    *stage = MW_STAGE_NONE;
    pid = read_report(report[0], pid, stage);
  }
  mw_fd_close(report[0]);
  return pid;
}

static int start_program(const struct mw_spawn_options *options,
                         enum mw_spawn_stage *stage) {
  struct mw_exec_plan plan;
  struct mw_child_setup setup = {
      .options = options, .plan = &plan, .parent = getpid()};
  int pid = -ENOMEM;

  sigfillset(&setup.changed_signals);
  *stage = MW_STAGE_MEMORY;
  if (mw_exec_plan_init(&plan, options) != 0)
    return -ENOMEM;
  setup.sources = calloc((size_t)mw_child_fd_count(options), sizeof(int));
  if (setup.sources != NULL)
    pid = start_and_listen(&setup, stage);
  free(setup.sources);
  mw_exec_plan_free(&plan);
  return pid;
}

int mw_spawn(const struct mw_spawn_options *options, enum mw_spawn_stage *stage,
             struct mw_buffer *strays) {
  return options->from_server ? mw_fork_client_start(options, stage, strays)
                              : start_program(options, stage);
}
