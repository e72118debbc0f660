#include "process/fork_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/fd.h"
#include "process/children.h"
#include "process/fork_request.h"

#define PATIENCE_MS 30000

struct mw_fork_identity mw_fork_client_identity(void) {
  return (struct mw_fork_identity){.uid = getuid(),
                                   .effective_uid = geteuid(),
                                   .gid = getgid(),
                                   .effective_gid = getegid(),
                                   .group = getpgrp(),
                                   .session = getsid(0)};
}

int mw_fork_client_pair(int fds[2]) {
  int type = SOCK_SEQPACKET | SOCK_CLOEXEC;
  return socketpair(AF_UNIX, type, 0, fds) == 0 ? 0 : -errno;
}

static int wait_readable(int fd, int64_t deadline) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  int ready;
  do
    ready = poll(&waiting, 1, mw_deadline_poll_ms(deadline));
  while (ready == -1 && errno == EINTR);
  return ready > 0 ? 0 : ready == 0 ? -ETIMEDOUT : -errno;
}

int mw_fork_client_wait(int socket, int timeout_ms, char *reason, size_t size) {
  int rc = wait_readable(socket, mw_deadline_after(timeout_ms));
  if (rc != 0)
    return rc;
  int length = mw_fd_read(socket, reason, size - 1);
  if (length <= 0)
    return -EPIPE;
  reason[length] = '\0';
  /* One byte says that all is well. */
  return length > 1 ? -EPROTO : 0;
}

static void reap(pid_t pid) {
  while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
    continue;
}

/* What the worker, or the server in its place, says; end of file means that
   both have ended. */
static int read_report(int report_fd, int64_t deadline,
                       enum mw_spawn_stage *stage) {
  struct mw_child_report report;
  int rc = wait_readable(report_fd, deadline);
  if (rc != 0)
    return rc;
  if (mw_fd_read(report_fd, &report, sizeof report) != (int)sizeof report)
    return -ECONNRESET;
  *stage = (enum mw_spawn_stage)report.stage;
  if (report.error == 0)
    return report.pid;
  if (report.pid > 0)
    reap(report.pid);
  return -report.error;
}

/* A worker that has ended before it could say so, as its maker knows it: a
   child of ours only where it did not come in the portable way. */
static bool reap_unheard(int socket, int64_t deadline) {
  pid_t pid = 0;
  if (mw_fork_request_send_question(socket, deadline) != 0 ||
      wait_readable(socket, deadline) != 0 ||
      mw_fd_read(socket, &pid, sizeof pid) != (int)sizeof pid)
    return false;
  if (pid > 0)
    reap(pid);
  return true;
}

static int ask(const struct mw_spawn_options *options, int folder_fd,
               enum mw_spawn_stage *stage) {
  int64_t deadline = mw_deadline_after(PATIENCE_MS);
  int report[2];
  *stage = MW_STAGE_PIPE;
  int rc = mw_fd_pipe(report);
  if (rc != 0)
    return rc;
  *stage = MW_STAGE_SERVER;
  rc = mw_fork_request_send(options->server, options, report[1], folder_fd,
                            deadline);
  mw_fd_close(report[1]);
  if (rc == 0)
    rc = read_report(report[0], deadline, stage);
  mw_fd_close(report[0]);
  if (rc == -ECONNRESET && reap_unheard(options->server, deadline))
    *stage = MW_STAGE_WORKER;
  return rc;
}

/* The folder itself, not its name: it may have been moved or removed. */
static int ask_from_here(const struct mw_spawn_options *options,
                         enum mw_spawn_stage *stage) {
  *stage = MW_STAGE_CHDIR;
  int folder_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_fd == -1)
    return -errno;
  int rc = ask(options, folder_fd, stage);
  mw_fd_close(folder_fd);
  return rc;
}

/* Without memory, or without the list, a stray remains one. */
static void add_strays(const struct mw_buffer *before, pid_t worker,
                       struct mw_buffer *strays) {
  struct mw_buffer after = {.bytes = NULL};
  mw_children_list(&after);
  const pid_t *pids = (const pid_t *)(const void *)after.bytes;
  for (size_t i = 0; i < after.length / sizeof *pids; i++) {
    if (pids[i] != worker && !mw_children_include(before, pids[i]))
      mw_buffer_append(strays, &pids[i], sizeof *pids);
  }
  mw_buffer_free(&after);
}

/* Any orphan among our descendants becomes ours in that moment: no longer than
   needed. */
static int ask_as_subreaper(const struct mw_spawn_options *options,
                            enum mw_spawn_stage *stage,
                            struct mw_buffer *strays) {
  struct mw_spawn_options changed = *options;
  struct mw_buffer children = {.bytes = NULL};
  bool known = mw_children_list(&children);
  int before = 0;
  changed.double_fork = true;
  prctl(PR_GET_CHILD_SUBREAPER, &before);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  int rc = ask_from_here(&changed, stage);
  prctl(PR_SET_CHILD_SUBREAPER, before);
  if (known)
    add_strays(&children, rc, strays);
  mw_buffer_free(&children);
  return rc;
}

int mw_fork_client_start(const struct mw_spawn_options *options,
                         enum mw_spawn_stage *stage, struct mw_buffer *strays) {
  int rc = -ENOSYS;
  *stage = MW_STAGE_FORK;
  if (!options->double_fork)
    rc = ask_from_here(options, stage);
  bool refused = rc == -ENOSYS || rc == -EINVAL || rc == -EPERM;
  if (*stage == MW_STAGE_FORK && refused)
    rc = ask_as_subreaper(options, stage, strays);
  return rc;
}
