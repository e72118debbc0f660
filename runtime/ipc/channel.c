#include "ipc/channel.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/deadline.h"
#include "base/fd.h"
#include "ipc/fd_queue.h"
#include "ipc/send_queue.h"

enum {
  READ_MIN = 16 * 1024, /* room for what comes in, of a quiet channel */
  READ_MAX = 256 * 1024,
  FLUSH_SIZE = 64 * 1024, /* so much does not wait for the end of the turn */
  SEND_BUFFER = 1024 * 1024,
  READS_A_TURN = 8,      /* then others have their turn */
  FDS_A_READ = 253,      /* SCM_MAX_FD: no sender can put in more */
  FDS_WAITING_MAX = 512, /* more than any frames can lack */
  RETRY_DELAY = 10,      /* ms, while too many descriptors are under way */
  HANDLE_COUNT = 3
};

struct mw_channel {
  uv_poll_t poll;
  /* Active while something was queued this turn. A prepare handle would not do:
     started by what the flush itself calls, it lets the loop go to sleep. */
  uv_idle_t flusher;
  uv_timer_t retry;
  int fd;
  int polled; /* the events that the poll is started for */
  int open_handles;
  enum mw_framing framing;
  const struct mw_channel_events *events;
  void *user;

  struct mw_send_queue out;
  struct mw_buffer *frame; /* the one that was begun */
  size_t frame_start;
  uint64_t told; /* the offset of the last on_sent */

  struct mw_buffer in;
  size_t read_size; /* room for the next read, which grows with the flow */
  struct mw_fd_queue in_fds;
  size_t seen; /* of the frame that has not come whole */

  bool reading, referenced;
  bool drained; /* the last read took all that there was */
  bool resumed; /* whole frames may wait from before the last read_stop */
  bool blocked; /* the kernel took no more: wait until it does */
  bool ended;   /* on_end was called */
  bool closing;
  int broken; /* why nothing can be sent any more, or 0 */
  bool told_broken;
};

#define OWNER(handle, member)                                                  \
  ((struct mw_channel *)(void *)((char *)(handle)-offsetof(struct mw_channel,  \
                                                           member)))

static void on_poll(uv_poll_t *poll, int status, int events);
static void handle_rest(struct mw_channel *channel);

static void watch(struct mw_channel *channel, int events) {
  channel->polled = events;
  if (events)
    uv_poll_start(&channel->poll, events, on_poll);
  else
    uv_poll_stop(&channel->poll);
}

/* Brings the handles in line with what the channel waits for. */
static void update_handles(struct mw_channel *channel) {
  int events = 0;
  if (channel->closing)
    return;
  if (channel->reading && !channel->ended)
    events |= UV_READABLE;
  if (channel->blocked && !channel->broken)
    events |= UV_WRITABLE;
  if (events != channel->polled) /* each start costs two system calls */
    watch(channel, events);
  if ((channel->referenced && !channel->ended) || channel->blocked)
    uv_ref((uv_handle_t *)&channel->poll);
  else
    uv_unref((uv_handle_t *)&channel->poll);
}

static void end(struct mw_channel *channel, int error) {
  if (channel->ended || channel->closing)
    return;
  channel->ended = true;
  update_handles(channel);
  channel->events->on_end(channel->user, error);
}

/* sending */

static void on_retry(uv_timer_t *timer) {
  mw_channel_flush(OWNER(timer, retry));
}

static void on_idle(uv_idle_t *flusher) {
  struct mw_channel *channel = OWNER(flusher, flusher);
  mw_channel_flush(channel);
  if (channel->reading && channel->resumed && !channel->closing)
    handle_rest(channel);
}

/* Sends what the kernel takes, and tells nobody. */
static void send_out(struct mw_channel *channel) {
  int error = mw_send_queue_flush(&channel->out, channel->fd);
  if (error == -ETOOMANYREFS)
    uv_timer_start(&channel->retry, on_retry, RETRY_DELAY, 0);
  else if (error && error != UV_EAGAIN)
    channel->broken = error;
  channel->blocked = error == UV_EAGAIN;
  update_handles(channel);
}

/* What waits cannot go out. The frame that an error may have left is in it. */
static void tell_broken(struct mw_channel *channel) {
  if (channel->told_broken || channel->closing)
    return;
  channel->told_broken = true;
  channel->frame = NULL;
  mw_send_queue_close(&channel->out);
  channel->events->on_broken(channel->user, channel->broken);
}

void mw_channel_flush(struct mw_channel *channel) {
  if (channel->closing)
    return;
  uv_idle_stop(&channel->flusher);
  send_out(channel);
  if (channel->out.sent > channel->told) {
    channel->told = channel->out.sent;
    channel->events->on_sent(channel->user, channel->told);
  }
  if (channel->broken)
    tell_broken(channel);
  /* What the peer has sent before it went can still be read, and its end ends
     the channel; but nobody waits for that who is not reading. */
  if (channel->broken && !channel->reading)
    end(channel, 0);
}

struct mw_buffer *mw_channel_begin_frame(struct mw_channel *channel) {
  if (channel->frame) /* its maker was stopped by an error */
    mw_channel_drop_frame(channel);
  struct mw_buffer *buffer = mw_send_queue_tail(&channel->out);
  if (!buffer)
    return NULL;
  channel->frame = buffer;
  channel->frame_start = buffer->length;
  if (channel->framing == MW_FRAMING_LINES)
    return buffer;
  if (!mw_buffer_reserve(buffer, MW_FRAME_HEADER_SIZE))
    return NULL;
  buffer->length += MW_FRAME_HEADER_SIZE;
  return buffer;
}

void mw_channel_drop_frame(struct mw_channel *channel) {
  if (!channel->frame)
    return;
  channel->frame->length = channel->frame_start;
  channel->frame = NULL;
}

static int finish_frame(struct mw_channel *channel, enum mw_frame_kind kind,
                        unsigned fd_count) {
  struct mw_buffer *buffer = channel->frame;
  size_t length = buffer->length - channel->frame_start;
  bool lines = channel->framing == MW_FRAMING_LINES;
  if (length > MW_FRAME_PAYLOAD_MAX)
    return UV_EMSGSIZE;
  if (lines)
    return mw_buffer_append(buffer, "\n", 1) ? 0 : UV_ENOMEM;
  struct mw_frame frame = {.kind = kind,
                           .fd_count = fd_count,
                           .length = length - MW_FRAME_HEADER_SIZE};
  mw_frame_write_header(buffer->bytes + channel->frame_start, &frame);
  return 0;
}

int mw_channel_end_frame(struct mw_channel *channel, enum mw_frame_kind kind,
                         const int *fds, unsigned fd_count) {
  int error = channel->closing ? UV_EPIPE : channel->broken;
  if (!error)
    error = finish_frame(channel, kind, fd_count);
  if (!error && fd_count > 0)
    error = mw_send_queue_attach(&channel->out, fds, fd_count);
  if (error) {
    mw_channel_drop_frame(channel);
    return error;
  }
  mw_send_queue_commit(&channel->out,
                       channel->frame->length - channel->frame_start);
  channel->frame = NULL;
  if (channel->blocked)
    return 0;
  /* What comes of it is told by the loop, after the sender has returned. */
  if (mw_channel_pending(channel) >= FLUSH_SIZE)
    send_out(channel);
  uv_idle_start(&channel->flusher, on_idle);
  return 0;
}

uint64_t mw_channel_queued(const struct mw_channel *channel) {
  return channel->out.queued;
}

uint64_t mw_channel_sent(const struct mw_channel *channel) {
  return channel->out.sent;
}

size_t mw_channel_pending(const struct mw_channel *channel) {
  return (size_t)(channel->out.queued - channel->out.sent);
}

int mw_channel_drain(struct mw_channel *channel, int timeout_ms) {
  int64_t deadline = mw_deadline_after(timeout_ms);
  while (!channel->closing && mw_channel_pending(channel) > 0) {
    int error = mw_send_queue_flush(&channel->out, channel->fd);
    struct pollfd waited = {.fd = channel->fd, .events = POLLOUT};
    int left = mw_deadline_poll_ms(deadline);
    if (!error)
      return 0;
    if (left == 0)
      return UV_ETIMEDOUT;
    if (error == -ETOOMANYREFS)
      poll(NULL, 0, left < RETRY_DELAY ? left : RETRY_DELAY);
    else if (error == UV_EAGAIN)
      poll(&waited, 1, left);
    else
      return error;
  }
  return 0;
}

/* receiving */

static int note(struct mw_channel *channel, int marker) {
  if (channel->in_fds.count >= FDS_WAITING_MAX)
    return UV_EPROTO;
  return mw_fd_queue_push(&channel->in_fds, &marker, 1);
}

/* Keeps descriptors that have come, or closes them: after an error too. */
static int keep_fds(struct mw_channel *channel, const struct cmsghdr *control,
                    int error) {
  int fds[FDS_A_READ];
  size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  memcpy(fds, CMSG_DATA(control), count * sizeof(int));
  if (!error && channel->in_fds.count + count > FDS_WAITING_MAX)
    error = UV_EPROTO;
  if (!error)
    error = mw_fd_queue_push(&channel->in_fds, fds, count);
  for (size_t i = 0; error && i < count; i++)
    mw_fd_close(fds[i]);
  return error;
}

/* Takes the descriptors that came with a read, and notes where some did not. */
static int take_control(struct mw_channel *channel, struct msghdr *message) {
  bool lost = message->msg_flags & MSG_CTRUNC;
  int error = 0;
  if (message->msg_controllen == 0 && !lost)
    return 0;
  if (channel->framing == MW_FRAMING_BINARY)
    error = note(channel, MW_FDS_BATCH);
  for (struct cmsghdr *control = CMSG_FIRSTHDR(message); control;
       control = CMSG_NXTHDR(message, control))
    if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS)
      error = keep_fds(channel, control, error);
  if (!error && lost)
    error = note(channel, MW_FDS_LOST);
  return error;
}

/* Reads once; returns the count, 0 at the end, or a negative code. */
static int read_once(struct mw_channel *channel) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_A_READ * sizeof(int))];
  if (!mw_buffer_reserve(&channel->in, channel->read_size))
    return UV_ENOMEM;
  struct iovec vector = {channel->in.bytes + channel->in.length,
                         channel->in.capacity - channel->in.length};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t count;
  do
    count = recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (count == -1 && errno == EINTR);
  if (count == -1)
    return errno == ECONNRESET ? 0 : uv_translate_sys_error(errno);
  int error = take_control(channel, &message);
  if (error)
    return error;
  channel->in.length += (size_t)count;
  bool filled = (size_t)count == vector.iov_len;
  if (filled && channel->read_size < READ_MAX)
    channel->read_size *= 2;
  /* A read also stops where descriptors come: then there may be more. */
  channel->drained = !filled && message.msg_controllen == 0;
  return (int)count;
}

/* A descriptor that waits, or a marker: that of a batch behind the last. */
static int fd_at(const struct mw_channel *channel, size_t index) {
  return index < channel->in_fds.count
             ? mw_fd_queue_peek(&channel->in_fds)[index]
             : MW_FDS_BATCH;
}

/* The descriptors of a batch are there, from its first frame on. */
static int start_batch(struct mw_channel *channel) {
  if (fd_at(channel, 0) == MW_FDS_LOST) /* the last one's */
    mw_fd_queue_drop(&channel->in_fds, 1);
  if (channel->in_fds.count == 0 || fd_at(channel, 0) != MW_FDS_BATCH)
    return UV_EPROTO;
  mw_fd_queue_drop(&channel->in_fds, 1);
  return 0;
}

/* Whether they have come; a loss counts, for it will be told. */
static bool has_fds(const struct mw_channel *channel, unsigned count) {
  for (unsigned i = 0; i < count && fd_at(channel, i) != MW_FDS_LOST; i++)
    if (fd_at(channel, i) == MW_FDS_BATCH)
      return false;
  return true;
}

static int handle_frame(struct mw_channel *channel,
                        const struct mw_frame *frame) {
  if (frame->starts_batch && start_batch(channel))
    return UV_EPROTO;
  if (!has_fds(channel, frame->fd_count))
    return UV_EPROTO;
  return channel->events->on_frame(channel->user, frame);
}

/* Forgets bytes that were handled, and the memory when the flow ends. */
static void drop_handled(struct mw_channel *channel, size_t count) {
  struct mw_buffer *in = &channel->in;
  if (count == 0)
    return;
  in->length -= count;
  memmove(in->bytes, in->bytes + count, in->length);
  if (in->length == 0 && count < in->capacity / 8 &&
      in->capacity > 2 * READ_MIN) {
    mw_buffer_free(in);
    channel->read_size = READ_MIN;
  }
}

/* Hands out every frame that has come whole, and keeps the rest. */
static int handle_frames(struct mw_channel *channel) {
  size_t start = 0, wanted = 0;
  ptrdiff_t size = 0;
  while (channel->reading && !channel->closing) {
    struct mw_frame frame;
    size = mw_frame_find(channel->framing, channel->in.bytes + start,
                         channel->in.length - start, &frame, &channel->seen,
                         &wanted);
    if (size <= 0)
      break;
    start += (size_t)size;
    int error = handle_frame(channel, &frame);
    if (error)
      return error;
  }
  if (channel->closing)
    return 0;
  drop_handled(channel, start);
  return size < 0 ? (int)size : 0;
}

/* What came before reading was stopped. */
static void handle_rest(struct mw_channel *channel) {
  channel->resumed = false;
  int error = handle_frames(channel);
  if (error)
    end(channel, error);
}

static void receive(struct mw_channel *channel) {
  for (int i = 0; i < READS_A_TURN && channel->reading; i++) {
    int count = read_once(channel);
    if (count == UV_EAGAIN)
      return;
    int error = count > 0 ? handle_frames(channel) : count;
    if (channel->closing)
      return;
    if (count <= 0 || error) {
      end(channel, error);
      return;
    }
    if (channel->drained)
      return;
  }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct mw_channel *channel = OWNER(poll, poll);
  /* An error is how the peer's end looks where it has not read everything.
     What it has sent is still there: sending and reading tell the rest. The
     poll was stopped, so it starts again. */
  if (status < 0)
    events = UV_READABLE | UV_WRITABLE;
  /* A peer that closes its reading direction wakes nobody who waits to write:
     so every event is a chance to see that. */
  if ((events & UV_WRITABLE) || channel->blocked)
    mw_channel_flush(channel);
  if ((events & UV_READABLE) && !channel->closing)
    receive(channel);
  if (status < 0 && !channel->closing)
    watch(channel, channel->polled);
}

/* A loss stays noted for the rest of its batch; a line has no more to lose. */
static void drop_loss(struct mw_channel *channel) {
  if (channel->framing == MW_FRAMING_LINES && channel->in_fds.count > 0)
    mw_fd_queue_drop(&channel->in_fds, 1);
}

bool mw_channel_take_fds(struct mw_channel *channel, int *fds, unsigned count) {
  unsigned taken = 0;
  while (taken < count && fd_at(channel, 0) >= 0) {
    fds[taken++] = fd_at(channel, 0);
    mw_fd_queue_drop(&channel->in_fds, 1);
  }
  if (taken == count)
    return true;
  for (unsigned i = 0; i < taken; i++)
    mw_fd_close(fds[i]);
  drop_loss(channel);
  return false;
}

void mw_channel_read_start(struct mw_channel *channel) {
  channel->reading = true;
  channel->resumed = channel->in.length > 0;
  if (channel->resumed && !channel->closing)
    uv_idle_start(&channel->flusher, on_idle);
  update_handles(channel);
}

void mw_channel_read_stop(struct mw_channel *channel) {
  channel->reading = false;
  update_handles(channel);
}

ptrdiff_t mw_channel_unread(const struct mw_channel *channel,
                            const char **bytes) {
  for (size_t i = 0; i < channel->in_fds.count; i++)
    if (fd_at(channel, i) != MW_FDS_LOST)
      return UV_EAGAIN;
  *bytes = channel->in.bytes;
  return (ptrdiff_t)channel->in.length;
}

int mw_channel_preload(struct mw_channel *channel, const char *bytes,
                       size_t length) {
  return mw_buffer_append(&channel->in, bytes, length) ? 0 : UV_ENOMEM;
}

void mw_channel_set_referenced(struct mw_channel *channel, bool referenced) {
  channel->referenced = referenced;
  update_handles(channel);
}

/* life */

/* Room for what goes out: with the usual 208 KiB, large messages wait more for
   the peer to wake up than for the copying. The kernel may give less. */
static void widen(int fd) {
  int size = SEND_BUFFER;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static int init_handles(struct mw_channel *channel, uv_loop_t *loop) {
  int error = uv_poll_init(loop, &channel->poll, channel->fd);
  if (error)
    return error;
  uv_idle_init(loop, &channel->flusher);
  uv_timer_init(loop, &channel->retry);
  channel->poll.data = channel->flusher.data = channel->retry.data = NULL;
  channel->open_handles = HANDLE_COUNT;
  uv_unref((uv_handle_t *)&channel->poll);
  return 0;
}

int mw_channel_open(uv_loop_t *loop, int fd, enum mw_framing framing,
                    const struct mw_channel_events *events, void *user,
                    struct mw_channel **channel) {
  struct mw_channel *made = calloc(1, sizeof *made);
  if (!made)
    return UV_ENOMEM;
  made->fd = fd;
  made->framing = framing;
  made->events = events;
  made->user = user;
  made->out.framing = framing;
  made->read_size = READ_MIN;
  widen(fd);
  int error = init_handles(made, loop);
  if (error) {
    free(made);
    return error;
  }
  *channel = made;
  return 0;
}

static void handle_closed(struct mw_channel *channel) {
  if (--channel->open_handles > 0)
    return;
  mw_fd_close(channel->fd);
  channel->events->on_closed(channel->user);
  mw_send_queue_close(&channel->out); /* a frame may have been begun since */
  free(channel);
}

static void on_poll_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, poll));
}

static void on_flusher_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, flusher));
}

static void on_retry_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, retry));
}

void mw_channel_close(struct mw_channel *channel) {
  if (channel->closing)
    return;
  channel->closing = true;
  channel->frame = NULL;
  mw_send_queue_close(&channel->out);
  mw_buffer_free(&channel->in);
  mw_fd_queue_close(&channel->in_fds);
  uv_close((uv_handle_t *)&channel->poll, on_poll_closed);
  uv_close((uv_handle_t *)&channel->flusher, on_flusher_closed);
  uv_close((uv_handle_t *)&channel->retry, on_retry_closed);
}

int mw_channel_fd(const struct mw_channel *channel) {
  return channel->closing ? -1 : channel->fd;
}
