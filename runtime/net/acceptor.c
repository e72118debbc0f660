#include "net/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/list.h"

/* The most that are accepted before others have their turn, how long none is
   where there is nothing left to accept with, and how long libuv has to begin
   its polling. */
enum { BATCH_MAX = 64, PAUSE_MS = 100, SETTLE_MS = 1 };

struct mw_acceptor {
  uv_poll_t poll;
  uv_timer_t timer;
  const struct mw_acceptor_events *events;
  void *user;
  int fd;
  int open_handles;
  int batch; /* how many are expected at once */
  bool exclusive, started, closing;
};

static struct mw_acceptor *of_poll(uv_poll_t *poll) {
  return MW_LINKED(poll, struct mw_acceptor, poll);
}

static struct mw_acceptor *of_timer(uv_timer_t *timer) {
  return MW_LINKED(timer, struct mw_acceptor, timer);
}

static void on_connections(uv_poll_t *poll, int status, int events);

/* accepting */

static void on_pause_over(uv_timer_t *timer) {
  struct mw_acceptor *acceptor = of_timer(timer);
  acceptor->started = false;
  mw_acceptor_start(acceptor);
}

/* To poll on would only fail for ever. */
static void pause_polling(struct mw_acceptor *acceptor, int error) {
  uv_poll_stop(&acceptor->poll);
  uv_timer_start(&acceptor->timer, on_pause_over, PAUSE_MS, 0);
  acceptor->events->on_refused(acceptor->user, error);
}

/* Errors of one connection that is gone already; accept(2). */
static bool is_passing(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO ||
         error == EPERM || error == ENETDOWN || error == ENOPROTOOPT ||
         error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
         error == EOPNOTSUPP || error == ENETUNREACH;
}

/* Returns whether there may be more. */
static bool accept_one(struct mw_acceptor *acceptor) {
  int fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    acceptor->events->on_connection(acceptor->user, fd);
    return acceptor->started;
  }
  int error = errno;
  if (error == EAGAIN || error == EWOULDBLOCK)
    return false;
  if (is_passing(error))
    return true;
  pause_polling(acceptor, -error);
  return false;
}

/* Where they come one at a time, it is not asked for a second one in vain: the
   poll tells. */
static void accept_batch(struct mw_acceptor *acceptor) {
  int accepted = 0;
  while (accepted < acceptor->batch && accept_one(acceptor))
    accepted++;
  if (accepted == acceptor->batch)
    acceptor->batch = accepted < BATCH_MAX / 2 ? accepted * 2 : BATCH_MAX;
  else if (accepted > 0)
    acceptor->batch = accepted;
}

static void on_connections(uv_poll_t *poll, int status, int events) {
  struct mw_acceptor *acceptor = of_poll(poll);
  (void)events;
  if (status < 0)
    pause_polling(acceptor, status);
  else
    accept_batch(acceptor);
}

/* one process only */

static void on_settled(uv_timer_t *timer);

static void start_polling(struct mw_acceptor *acceptor) {
  uv_poll_start(&acceptor->poll, UV_READABLE, on_connections);
  if (acceptor->exclusive)
    uv_timer_start(&acceptor->timer, on_settled, SETTLE_MS, 0);
}

/* libuv has no such flag, and the kernel takes it at the beginning only: so
   what libuv has added is added anew. To libuv nothing has changed, since it
   removes what it stops, and adds what it starts. */
static void on_settled(uv_timer_t *timer) {
  struct mw_acceptor *acceptor = of_timer(timer);
  int epoll = uv_backend_fd(timer->loop);
  struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                              .data.fd = acceptor->fd};
  if (epoll_ctl(epoll, EPOLL_CTL_DEL, acceptor->fd, NULL) == -1)
    uv_timer_start(timer, on_settled, SETTLE_MS, 0); /* not there yet */
  else if (epoll_ctl(epoll, EPOLL_CTL_ADD, acceptor->fd, &event) == -1) {
    acceptor->exclusive = false;
    start_polling(acceptor);
  }
}

/* life */

void mw_acceptor_start(struct mw_acceptor *acceptor) {
  if (acceptor->closing || acceptor->started)
    return;
  acceptor->started = true;
  start_polling(acceptor);
}

void mw_acceptor_stop(struct mw_acceptor *acceptor) {
  if (acceptor->closing)
    return;
  acceptor->started = false;
  uv_poll_stop(&acceptor->poll);
  uv_timer_stop(&acceptor->timer);
}

static void set_referenced(uv_handle_t *handle, bool referenced) {
  if (referenced)
    uv_ref(handle);
  else
    uv_unref(handle);
}

void mw_acceptor_set_referenced(struct mw_acceptor *acceptor, bool referenced) {
  set_referenced((uv_handle_t *)&acceptor->poll, referenced);
  set_referenced((uv_handle_t *)&acceptor->timer, referenced);
}

int mw_acceptor_open(uv_loop_t *loop, int fd, bool exclusive,
                     const struct mw_acceptor_events *events, void *user,
                     struct mw_acceptor **acceptor) {
  struct mw_acceptor *made = calloc(1, sizeof *made);
  if (!made)
    return UV_ENOMEM;
  int error = uv_poll_init(loop, &made->poll, fd);
  if (error) {
    free(made);
    return error;
  }
  uv_timer_init(loop, &made->timer);
  made->poll.data = made->timer.data = NULL;
  made->open_handles = 2;
  made->events = events;
  made->user = user;
  made->fd = fd;
  made->batch = 1;
  made->exclusive = exclusive;
  *acceptor = made;
  return 0;
}

static void handle_closed(struct mw_acceptor *acceptor) {
  if (--acceptor->open_handles > 0)
    return;
  acceptor->events->on_closed(acceptor->user);
  free(acceptor);
}

static void on_poll_closed(uv_handle_t *handle) {
  handle_closed(of_poll((uv_poll_t *)handle));
}

static void on_timer_closed(uv_handle_t *handle) {
  handle_closed(of_timer((uv_timer_t *)handle));
}

void mw_acceptor_close(struct mw_acceptor *acceptor) {
  if (acceptor->closing)
    return;
  mw_acceptor_stop(acceptor);
  acceptor->closing = true;
  uv_close((uv_handle_t *)&acceptor->poll, on_poll_closed);
  uv_close((uv_handle_t *)&acceptor->timer, on_timer_closed);
  mw_fd_close(acceptor->fd);
}
