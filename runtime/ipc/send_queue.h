/*
 * What waits to be sent on a channel: bytes in chunks, and descriptors that
 * travel with certain bytes. Owns the bytes; the descriptors are lent. Used by
 * channel.c alone.
 */
#ifndef MW_IPC_SEND_QUEUE_H
#define MW_IPC_SEND_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "ipc/fd_queue.h"
#include "ipc/frame.h"

struct mw_send_chunk;

/* Where a frame with descriptors begins. */
struct mw_send_mark {
  uint64_t offset;
  unsigned fd_count;
};

struct mw_send_queue {
  struct mw_send_chunk *first, *last;
  struct mw_send_chunk *spare; /* an empty one, for the next message */
  uint64_t queued;             /* bytes ever put in */
  uint64_t sent;               /* bytes ever taken by the kernel */
  struct mw_fd_queue fds;      /* lent: never closed here */
  struct mw_send_mark *marks;
  size_t mark_first, mark_count, mark_capacity;
  enum mw_framing framing;
};

/**
 * The buffer to append the next bytes to, until mw_send_queue_commit(). NULL
 * without memory.
 */
struct mw_buffer *mw_send_queue_tail(struct mw_send_queue *queue);

/** Takes note of `count` bytes that were appended to the tail's buffer. */
void mw_send_queue_commit(struct mw_send_queue *queue, size_t count);

/**
 * Makes descriptors travel with the frame that is committed next. They must
 * stay open until it is sent, or the queue is closed.
 */
int mw_send_queue_attach(struct mw_send_queue *queue, const int *fds,
                         unsigned count);

/**
 * Sends as much as the kernel takes (sendmsg(2)): 0 where nothing is left,
 * UV_EAGAIN where it is full, -ETOOMANYREFS where too many descriptors are
 * under way, or why the connection is over.
 */
int mw_send_queue_flush(struct mw_send_queue *queue, int fd);

/** Frees all that is left. */
void mw_send_queue_close(struct mw_send_queue *queue);

#endif
