#include "process/fork_request.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/deadline.h"
#include "base/fd.h"
#include "process/child_setup.h"

#define PIECE_SIZE 65536
#define MOST_FDS 253 /* in one packet (unix(7)) */

enum { REPORT, FOLDER, PASSED_ALWAYS };

/* Its pointers mean nothing to the server, which puts in its own. */
struct header {
  struct mw_spawn_options options;
  size_t size; /* of the whole request */
  size_t argc;
  size_t envc;
  size_t passed; /* descriptors that come along */
  pid_t parent;
};

union control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(MOST_FDS * sizeof(int))];
};

/* sending */

static bool add_texts(struct mw_buffer *bytes, char *const *texts,
                      size_t *count) {
  for (*count = 0; texts[*count] != NULL; ++*count) {
    const char *text = texts[*count];
    if (!mw_buffer_append(bytes, text, strlen(text) + 1))
      return false;
  }
  return true;
}

/* The table names descriptors by their place among those passed. */
static bool add_fds(const struct mw_spawn_options *options,
                    struct mw_buffer *bytes, struct mw_buffer *passed) {
  for (size_t i = 0; i < options->fd_count; i++) {
    struct mw_spawn_fd item = options->fds[i];
    if (item.fd >= 0) {
      int place = (int)(passed->length / sizeof(int));
      if (!mw_buffer_append(passed, &item.fd, sizeof item.fd))
        return false;
      item.fd = place;
    }
    if (!mw_buffer_append(bytes, &item, sizeof item))
      return false;
  }
  return true;
}

static bool encode(const struct mw_spawn_options *options,
                   struct mw_buffer *bytes, struct mw_buffer *passed) {
  static char *const nothing[] = {NULL};
  char *const *envp = options->envp != NULL ? options->envp : environ;
  char *const cwd[] = {(char *)options->cwd, NULL};
  struct header header = {.options = *options, .parent = getpid()};
  size_t cwd_count;
  bool done =
      mw_buffer_append(bytes, &header, sizeof header) &&
      (options->limit_count == 0 ||
       mw_buffer_append(bytes, options->limits,
                        options->limit_count * sizeof *options->limits)) &&
      add_fds(options, bytes, passed) && add_texts(bytes, cwd, &cwd_count) &&
      add_texts(bytes, options->argv, &header.argc) &&
      add_texts(bytes, envp != NULL ? envp : nothing, &header.envc);
  if (!done)
    return false;
  header.size = bytes->length;
  header.passed = passed->length / sizeof(int);
  memcpy(bytes->bytes, &header, sizeof header);
  return true;
}

static int wait_writable(int socket, int64_t deadline) {
  struct pollfd waiting = {.fd = socket, .events = POLLOUT};
  int ready;
  do
    ready = poll(&waiting, 1, mw_deadline_poll_ms(deadline));
  while (ready == -1 && errno == EINTR);
  return ready == 1 ? 0 : ready == 0 ? -ETIMEDOUT : -errno;
}

static int send_packet(int socket, struct msghdr *message, int64_t deadline) {
  for (;;) {
    ssize_t n = sendmsg(socket, message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
      return (int)n;
    if (errno == EINTR)
      continue;
    if (errno != EAGAIN)
      return errno == ECONNRESET ? -EPIPE : -errno;
    int rc = wait_writable(socket, deadline);
    if (rc != 0)
      return rc;
  }
}

static void attach(struct msghdr *message, union control *control,
                   const int *fds, size_t count) {
  message->msg_control = control->bytes;
  message->msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *cmsg = CMSG_FIRSTHDR(message);
  cmsg->cmsg_level = SOL_SOCKET;
  cmsg->cmsg_type = SCM_RIGHTS;
  cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
}

/* A packet takes so many descriptors and no more; one byte is left at least
   for each packet that brings the others. */
static int send_all(int socket, const struct mw_buffer *bytes,
                    const struct mw_buffer *passed, int64_t deadline) {
  const int *fds = (const int *)(const void *)passed->bytes;
  size_t left = passed->length / sizeof(int);
  for (size_t sent = 0; sent < bytes->length;) {
    size_t rest = bytes->length - sent;
    size_t count = left < MOST_FDS ? left : MOST_FDS;
    size_t size = count < left ? 1 : rest < PIECE_SIZE ? rest : PIECE_SIZE;
    struct iovec piece = {bytes->bytes + sent, size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    union control control = {.align = {.cmsg_len = 0}};
    if (count > 0)
      attach(&message, &control, fds, count);
    int rc = send_packet(socket, &message, deadline);
    if (rc < 0)
      return rc;
    sent += size;
    fds += count;
    left -= count;
  }
  return 0;
}

int mw_fork_request_send(int socket, const struct mw_spawn_options *options,
                         int report_fd, int folder_fd, int64_t deadline) {
  struct mw_buffer bytes = {.bytes = NULL}, passed = {.bytes = NULL};
  const int always[PASSED_ALWAYS] = {
      [REPORT] = report_fd, [FOLDER] = folder_fd};
  int rc = -ENOMEM;
  if (mw_buffer_append(&passed, always, sizeof always) &&
      encode(options, &bytes, &passed))
    rc = send_all(socket, &bytes, &passed, deadline);
  mw_buffer_free(&bytes);
  mw_buffer_free(&passed);
  return rc;
}

int mw_fork_request_send_question(int socket, int64_t deadline) {
  struct header header = {.size = sizeof header};
  const struct mw_buffer bytes = {.bytes = (char *)&header,
                                  .length = sizeof header};
  const struct mw_buffer nothing = {.bytes = NULL};
  return send_all(socket, &bytes, &nothing, deadline);
}

/* receiving */

static int take_fds(struct msghdr *message, struct mw_fork_request *request) {
  struct cmsghdr *cmsg = CMSG_FIRSTHDR(message);
  if (message->msg_flags & MSG_CTRUNC)
    request->error = EMFILE; /* the kernel had no room in our table */
  if (cmsg == NULL || cmsg->cmsg_type != SCM_RIGHTS)
    return 0;
  size_t size = cmsg->cmsg_len - CMSG_LEN(0);
  return mw_buffer_append(&request->passed, CMSG_DATA(cmsg), size) ? 0
                                                                   : -ENOMEM;
}

static int receive_packet(int socket, struct mw_fork_request *request) {
  struct mw_buffer *bytes = &request->bytes;
  if (!mw_buffer_reserve(bytes, PIECE_SIZE))
    return -ENOMEM;
  struct iovec piece = {bytes->bytes + bytes->length, PIECE_SIZE};
  union control control;
  struct msghdr message = {.msg_iov = &piece,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
  ssize_t n;
  do
    n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (n == -1 && errno == EINTR);
  if (n <= 0)
    return n == 0 ? 0 : -errno;
  bytes->length += (size_t)n;
  int rc = take_fds(&message, request);
  return rc != 0 ? rc : (int)n;
}

static struct header *header_of(struct mw_fork_request *request) {
  return (struct header *)(void *)request->bytes.bytes;
}

static bool is_complete(struct mw_fork_request *request) {
  return request->bytes.length >= sizeof(struct header) &&
         request->bytes.length >= header_of(request)->size;
}

static char *take_texts(char *text, size_t count, char **list) {
  for (size_t i = 0; i < count; i++) {
    list[i] = text;
    text += strlen(text) + 1;
  }
  list[count] = NULL;
  return text;
}

/* Room for all pointers and numbers that the options of the request need. */
static char **reserve_tables(struct mw_fork_request *request) {
  const struct header *header = header_of(request);
  size_t pointers = header->argc + header->envc + 2;
  size_t size = pointers * sizeof(char *) +
                (size_t)mw_child_fd_count(&header->options) * sizeof(int);
  request->tables.length = 0;
  if (!mw_buffer_reserve(&request->tables, size))
    return NULL;
  char **list = (char **)(void *)request->tables.bytes;
  request->sources = (int *)(void *)(list + pointers);
  return list;
}

/* What the kernel could not deliver is caught by request->error. */
static void name_fds(struct mw_fork_request *request, struct mw_spawn_fd *table,
                     size_t count) {
  const int *passed = (const int *)(const void *)request->passed.bytes;
  size_t have = request->passed.length / sizeof(int);
  request->report_fd = have > REPORT ? passed[REPORT] : -1;
  request->folder_fd = have > FOLDER ? passed[FOLDER] : -1;
  for (size_t i = 0; i < count; i++) {
    size_t place = (size_t)table[i].fd;
    if (table[i].fd >= 0)
      table[i].fd = place < have ? passed[place] : MW_FD_IGNORE;
  }
}

static int decode(struct mw_fork_request *request) {
  struct header *header = header_of(request);
  struct mw_spawn_options *options = &request->options;
  char **list = reserve_tables(request);
  if (list == NULL)
    return -ENOMEM;
  *options = header->options;
  struct mw_spawn_limit *limits = (void *)(header + 1);
  struct mw_spawn_fd *fds = (void *)(limits + options->limit_count);
  char *text = (char *)(fds + options->fd_count);
  name_fds(request, fds, options->fd_count);
  options->limits = limits;
  options->fds = fds;
  if (options->cwd != NULL) {
    options->cwd = text;
    text += strlen(text) + 1;
  }
  options->argv = list;
  text = take_texts(text, header->argc, list);
  options->envp = list + header->argc + 1;
  take_texts(text, header->envc, list + header->argc + 1);
  request->argc = (int)header->argc;
  request->parent = header->parent;
  return 1;
}

int mw_fork_request_receive(int socket, struct mw_fork_request *request) {
  request->bytes.length = request->passed.length = 0;
  request->error = 0;
  do {
    int rc = receive_packet(socket, request);
    if (rc <= 0)
      return rc;
  } while (!is_complete(request));
  return decode(request);
}

void mw_fork_request_release(struct mw_fork_request *request) {
  const int *fds = (const int *)(const void *)request->passed.bytes;
  for (size_t i = 0; i < request->passed.length / sizeof(int); i++)
    mw_fd_close(fds[i]);
  request->passed.length = 0;
}

void mw_fork_request_free(struct mw_fork_request *request) {
  mw_fork_request_release(request);
  mw_buffer_free(&request->bytes);
  mw_buffer_free(&request->passed);
  mw_buffer_free(&request->tables);
}
