/*
 * Descriptors in order: those that have arrived and wait for the frame that
 * counts them, or those that wait to be sent. Whose they are, its user says.
 */
#ifndef MW_IPC_FD_QUEUE_H
#define MW_IPC_FD_QUEUE_H

#include <stddef.h>

/* Stand in the queue beside descriptors. */
enum {
  MW_FDS_BATCH = -1, /* those that have come together begin here */
  MW_FDS_LOST = -2   /* what else came with them found no room here */
};

/** All zero is an empty queue. */
struct mw_fd_queue {
  int *fds;
  size_t first, count, capacity;
};

/** Adds descriptors at the end; UV_ENOMEM leaves them to the caller. */
int mw_fd_queue_push(struct mw_fd_queue *queue, const int *fds, size_t count);

/** The first `count` of them, which must be there, without taking them. */
const int *mw_fd_queue_peek(const struct mw_fd_queue *queue);

/** Takes the first `count`, which are the caller's from then on. */
void mw_fd_queue_drop(struct mw_fd_queue *queue, size_t count);

/** Closes all that are left, and frees the memory. */
void mw_fd_queue_close(struct mw_fd_queue *queue);

/** Frees the memory; the descriptors stay open. */
void mw_fd_queue_free(struct mw_fd_queue *queue);

#endif
