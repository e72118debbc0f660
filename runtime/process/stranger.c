#include "process/stranger.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"

struct mw_stranger {
  uv_poll_t poll;
  const struct mw_stranger_events *events;
  void *user;
  int fd;
  bool closing;
};

static struct mw_stranger *of_poll(uv_poll_t *poll) {
  return MW_LINKED(poll, struct mw_stranger, poll);
}

/* By number: not every C library has functions for these. */

int mw_stranger_find(pid_t pid) {
  long fd = syscall(SYS_pidfd_open, pid, 0);
  return fd == -1 ? -errno : (int)fd;
}

int mw_stranger_kill(const struct mw_stranger *stranger, int signum) {
  if (stranger->closing)
    return -ESRCH;
  long rc = syscall(SYS_pidfd_send_signal, stranger->fd, signum, NULL, 0);
  return rc == -1 ? -errno : 0;
}

/* Readable means ended, and so does a descriptor that can't be polled. */
static void on_ended(uv_poll_t *poll, int status, int events) {
  struct mw_stranger *stranger = of_poll(poll);
  (void)status;
  (void)events;
  uv_poll_stop(poll);
  stranger->events->on_end(stranger->user);
}

int mw_stranger_watch(uv_loop_t *loop, int fd,
                      const struct mw_stranger_events *events, void *user,
                      struct mw_stranger **stranger) {
  struct mw_stranger *made = calloc(1, sizeof *made);
  if (!made)
    return UV_ENOMEM;
  int error = uv_poll_init(loop, &made->poll, fd);
  if (error) {
    free(made);
    return error;
  }
  made->poll.data = NULL;
  made->events = events;
  made->user = user;
  made->fd = fd;
  uv_poll_start(&made->poll, UV_READABLE, on_ended);
  *stranger = made;
  return 0;
}

int mw_stranger_fd(const struct mw_stranger *stranger) {
  return stranger->fd;
}

void mw_stranger_set_referenced(struct mw_stranger *stranger, bool referenced) {
  if (referenced)
    uv_ref((uv_handle_t *)&stranger->poll);
  else
    uv_unref((uv_handle_t *)&stranger->poll);
}

static void on_poll_closed(uv_handle_t *handle) {
  struct mw_stranger *stranger = of_poll((uv_poll_t *)handle);
  stranger->events->on_closed(stranger->user);
  free(stranger);
}

void mw_stranger_close(struct mw_stranger *stranger) {
  if (stranger->closing)
    return;
  stranger->closing = true;
  uv_close((uv_handle_t *)&stranger->poll, on_poll_closed);
  mw_fd_close(stranger->fd);
}
