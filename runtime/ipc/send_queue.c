#include "ipc/send_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <uv.h>

enum { CHUNK_SIZE = 64 * 1024, CHUNKS_A_SEND = 16 };

struct mw_send_chunk {
  struct mw_send_chunk *next;
  struct mw_buffer buffer;
  size_t sent; /* bytes of the buffer that the kernel has */
};

/* chunks */

static struct mw_send_chunk *take_empty_chunk(struct mw_send_queue *queue) {
  struct mw_send_chunk *chunk = queue->spare;
  queue->spare = NULL;
  return chunk ? chunk : calloc(1, sizeof *chunk);
}

static void free_chunk(struct mw_send_chunk *chunk) {
  mw_buffer_free(&chunk->buffer);
  free(chunk);
}

/* Keeps one of the usual size, so that a steady flow allocates nothing. */
static void put_back_chunk(struct mw_send_queue *queue,
                           struct mw_send_chunk *chunk) {
  if (queue->spare || chunk->buffer.capacity > 2 * CHUNK_SIZE) {
    free_chunk(chunk);
    return;
  }
  chunk->next = NULL;
  chunk->buffer.length = 0;
  chunk->sent = 0;
  queue->spare = chunk;
}

struct mw_buffer *mw_send_queue_tail(struct mw_send_queue *queue) {
  if (queue->last && queue->last->buffer.length < CHUNK_SIZE)
    return &queue->last->buffer;
  struct mw_send_chunk *chunk = take_empty_chunk(queue);
  if (!chunk)
    return NULL;
  if (queue->last)
    queue->last->next = chunk;
  else
    queue->first = chunk;
  queue->last = chunk;
  return &chunk->buffer;
}

void mw_send_queue_commit(struct mw_send_queue *queue, size_t count) {
  queue->queued += count;
}

static void drop_sent_bytes(struct mw_send_queue *queue, size_t count) {
  queue->sent += count;
  while (count > 0) {
    struct mw_send_chunk *chunk = queue->first;
    size_t here = chunk->buffer.length - chunk->sent;
    if (count < here) {
      chunk->sent += count;
      return;
    }
    count -= here;
    queue->first = chunk->next;
    if (!queue->first)
      queue->last = NULL;
    put_back_chunk(queue, chunk);
  }
}

/* marks */

static int make_room_for_mark(struct mw_send_queue *queue) {
  if (queue->mark_first + queue->mark_count < queue->mark_capacity)
    return 0;
  if (queue->mark_first > 0) {
    memmove(queue->marks, queue->marks + queue->mark_first,
            queue->mark_count * sizeof *queue->marks);
    queue->mark_first = 0;
    return 0;
  }
  size_t capacity = queue->mark_capacity ? 2 * queue->mark_capacity : 8;
  struct mw_send_mark *marks =
      realloc(queue->marks, capacity * sizeof *queue->marks);
  if (!marks)
    return UV_ENOMEM;
  queue->marks = marks;
  queue->mark_capacity = capacity;
  return 0;
}

int mw_send_queue_attach(struct mw_send_queue *queue, const int *fds,
                         unsigned count) {
  int error = make_room_for_mark(queue);
  if (!error)
    error = mw_fd_queue_push(&queue->fds, fds, count);
  if (error)
    return error;
  queue->marks[queue->mark_first + queue->mark_count++] =
      (struct mw_send_mark){.offset = queue->queued, .fd_count = count};
  return 0;
}

static void drop_sent_fds(struct mw_send_queue *queue, size_t marks,
                          size_t count) {
  if (marks == 0)
    return;
  mw_fd_queue_drop(&queue->fds, count);
  queue->mark_first += marks;
  queue->mark_count -= marks;
  if (queue->mark_count == 0)
    queue->mark_first = 0;
}

/* sending */

/* What goes into one sendmsg: a stretch of bytes, and the descriptors of the
   marks in it. Descriptors go out with the first byte of a frame of theirs, so
   that a receiver who loses some knows whose they were. A mark that cannot go
   along ends the stretch before its byte. Lines say nothing of descriptors:
   there each goes with its own. */
struct stretch {
  uint64_t end;
  size_t marks, fds;
};

static struct stretch next_stretch(const struct mw_send_queue *queue) {
  struct stretch stretch = {.end = queue->queued};
  for (size_t i = 0; i < queue->mark_count; i++) {
    const struct mw_send_mark *mark = &queue->marks[queue->mark_first + i];
    bool fits = i == 0 ? mark->offset == queue->sent
                       : queue->framing == MW_FRAMING_BINARY &&
                             stretch.fds + mark->fd_count <= MW_FRAME_FDS_MAX;
    if (!fits) {
      stretch.end = mark->offset;
      break;
    }
    stretch.marks++;
    stretch.fds += mark->fd_count;
  }
  return stretch;
}

static void mark_batch(const struct mw_send_queue *queue) {
  if (queue->framing == MW_FRAMING_BINARY)
    mw_frame_start_batch(queue->first->buffer.bytes + queue->first->sent);
}

static size_t fill_vectors(const struct mw_send_queue *queue, uint64_t end,
                           struct iovec *vectors) {
  uint64_t left = end - queue->sent;
  size_t count = 0;
  for (struct mw_send_chunk *chunk = queue->first;
       chunk && left > 0 && count < CHUNKS_A_SEND; chunk = chunk->next) {
    size_t here = chunk->buffer.length - chunk->sent;
    if (here > left)
      here = (size_t)left;
    vectors[count++] = (struct iovec){chunk->buffer.bytes + chunk->sent, here};
    left -= here;
  }
  return count;
}

static void add_fds(struct msghdr *message, const int *fds, size_t count) {
  struct cmsghdr *control = CMSG_FIRSTHDR(message);
  message->msg_controllen = CMSG_SPACE(count * sizeof(int));
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(control), fds, count * sizeof(int));
}

static int send_stretch(struct mw_send_queue *queue, int fd) {
  struct iovec vectors[CHUNKS_A_SEND];
  _Alignas(
      struct cmsghdr) char control[CMSG_SPACE(MW_FRAME_FDS_MAX * sizeof(int))];
  struct stretch stretch = next_stretch(queue);
  struct msghdr message = {.msg_iov = vectors};
  message.msg_iovlen = fill_vectors(queue, stretch.end, vectors);
  if (stretch.fds > 0) {
    memset(control, 0, sizeof control);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    mark_batch(queue);
    add_fds(&message, mw_fd_queue_peek(&queue->fds), stretch.fds);
  }
  ssize_t sent;
  do
    sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent == -1 && errno == EINTR);
  if (sent == -1)
    return errno == EWOULDBLOCK || errno == ENOBUFS ? UV_EAGAIN : -errno;
  drop_sent_fds(queue, stretch.marks, stretch.fds);
  drop_sent_bytes(queue, (size_t)sent);
  return 0;
}

int mw_send_queue_flush(struct mw_send_queue *queue, int fd) {
  while (queue->sent < queue->queued) {
    int error = send_stretch(queue, fd);
    if (error)
      return error;
  }
  return 0;
}

void mw_send_queue_close(struct mw_send_queue *queue) {
  while (queue->first) {
    struct mw_send_chunk *chunk = queue->first;
    queue->first = chunk->next;
    free_chunk(chunk);
  }
  if (queue->spare)
    free_chunk(queue->spare);
  mw_fd_queue_free(&queue->fds);
  free(queue->marks);
  *queue = (struct mw_send_queue){.first = NULL};
}
