#include "net/arrivals.h"

#include <errno.h>

#include "base/fd.h"
#include "base/list.h"

/* How many are told before others have their turn. */
enum { BATCH = 64 };

static void set_waiting(struct mw_arrivals *arrivals, size_t waiting) {
  arrivals->waiting = waiting;
  if (waiting > 0)
    uv_ref((uv_handle_t *)&arrivals->poll);
  else
    uv_unref((uv_handle_t *)&arrivals->poll);
}

/* Who is told may remove others. */
static void on_poll(uv_poll_t *poll, int status, int events) {
  struct mw_arrivals *arrivals = MW_LINKED(poll, struct mw_arrivals, poll);
  struct epoll_event batch[BATCH];
  (void)status;
  (void)events;
  arrivals->batch = batch;
  arrivals->left = epoll_wait(arrivals->set, batch, BATCH, 0);
  while (arrivals->left > 0) {
    void *connection = batch[--arrivals->left].data.ptr;
    if (!connection)
      continue;
    set_waiting(arrivals, arrivals->waiting - 1);
    arrivals->on_arrival(connection);
  }
}

int mw_arrivals_open(struct mw_arrivals *arrivals, uv_loop_t *loop,
                     void (*on_arrival)(void *connection)) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  if (set == -1)
    return -errno;
  int error = uv_poll_init(loop, &arrivals->poll, set);
  if (error) {
    mw_fd_close(set);
    return error;
  }
  arrivals->poll.data = NULL;
  arrivals->set = set;
  arrivals->waiting = 0;
  arrivals->left = 0;
  arrivals->on_arrival = on_arrival;
  uv_poll_start(&arrivals->poll, UV_READABLE, on_poll);
  uv_unref((uv_handle_t *)&arrivals->poll);
  return 0;
}

int mw_arrivals_add(struct mw_arrivals *arrivals, int fd, void *connection) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT,
                              .data.ptr = connection};
  if (epoll_ctl(arrivals->set, EPOLL_CTL_ADD, fd, &event) == -1)
    return -errno;
  set_waiting(arrivals, arrivals->waiting + 1);
  return 0;
}

void mw_arrivals_remove(struct mw_arrivals *arrivals, int fd,
                        const void *connection) {
  mw_arrivals_forget(arrivals, fd);
  set_waiting(arrivals, arrivals->waiting - 1);
  for (int i = 0; i < arrivals->left; i++)
    if (arrivals->batch[i].data.ptr == connection)
      arrivals->batch[i].data.ptr = NULL;
}

void mw_arrivals_forget(struct mw_arrivals *arrivals, int fd) {
  epoll_ctl(arrivals->set, EPOLL_CTL_DEL, fd, NULL);
}

void mw_arrivals_close(struct mw_arrivals *arrivals, uv_close_cb on_closed) {
  uv_close((uv_handle_t *)&arrivals->poll, on_closed);
  mw_fd_close(arrivals->set);
}
