/*
 * Connections that wait for their first bytes. Many of them are answered and
 * ended once these are there, and for one such wait a handle of libuv costs
 * more than all else: it has the kernel add and remove the descriptor twice.
 * Here it is added once, to a set of its own that one handle watches; closing
 * the descriptor removes it.
 *
 * Owns the set and the handle, whose `data` stays NULL; the descriptors are the
 * caller's. The loop is kept alive while one waits. The loop's thread.
 */
#ifndef MW_NET_ARRIVALS_H
#define MW_NET_ARRIVALS_H

#include <stddef.h>
#include <sys/epoll.h>
#include <uv.h>

struct mw_arrivals {
  uv_poll_t poll;
  int set; /* of epoll(7) */
  size_t waiting;
  struct epoll_event *batch; /* those that are being told */
  int left;                  /* of these */
  void (*on_arrival)(void *connection);
};

/**
 * Opens an empty set. `on_arrival` is told each connection once, when there are
 * bytes or its end. Negative uv codes.
 */
int mw_arrivals_open(struct mw_arrivals *arrivals, uv_loop_t *loop,
                     void (*on_arrival)(void *connection));

/** Lets a connection wait. Negative uv codes. */
int mw_arrivals_add(struct mw_arrivals *arrivals, int fd, void *connection);

/** Lets one wait no more that was not told yet; before it is closed. */
void mw_arrivals_remove(struct mw_arrivals *arrivals, int fd,
                        const void *connection);

/** Forgets one that was told, and is not closed but watched elsewhere. */
void mw_arrivals_forget(struct mw_arrivals *arrivals, int fd);

/** Closes the set, in which none waits any more. */
void mw_arrivals_close(struct mw_arrivals *arrivals, uv_close_cb on_closed);

#endif
