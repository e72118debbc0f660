#include "ipc/fd_queue.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/fd.h"

static void move_to_front(struct mw_fd_queue *queue) {
  if (queue->first == 0)
    return;
  memmove(queue->fds, queue->fds + queue->first, queue->count * sizeof(int));
  queue->first = 0;
}

static int make_room(struct mw_fd_queue *queue, size_t more) {
  if (queue->first + queue->count + more <= queue->capacity)
    return 0;
  move_to_front(queue);
  if (queue->count + more <= queue->capacity)
    return 0;
  size_t capacity = 2 * (queue->count + more);
  int *fds = realloc(queue->fds, capacity * sizeof(int));
  if (!fds)
    return UV_ENOMEM;
  queue->fds = fds;
  queue->capacity = capacity;
  return 0;
}

int mw_fd_queue_push(struct mw_fd_queue *queue, const int *fds, size_t count) {
  if (count == 0)
    return 0;
  int error = make_room(queue, count);
  if (error)
    return error;
  memcpy(queue->fds + queue->first + queue->count, fds, count * sizeof(int));
  queue->count += count;
  return 0;
}

const int *mw_fd_queue_peek(const struct mw_fd_queue *queue) {
  return queue->fds + queue->first;
}

void mw_fd_queue_drop(struct mw_fd_queue *queue, size_t count) {
  queue->first += count;
  queue->count -= count;
  if (queue->count == 0)
    queue->first = 0;
}

void mw_fd_queue_close(struct mw_fd_queue *queue) {
  for (size_t i = 0; i < queue->count; i++)
    if (queue->fds[queue->first + i] >= 0)
      mw_fd_close(queue->fds[queue->first + i]);
  mw_fd_queue_free(queue);
}

void mw_fd_queue_free(struct mw_fd_queue *queue) {
  free(queue->fds);
  *queue = (struct mw_fd_queue){.fds = NULL};
}
