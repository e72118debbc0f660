#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/deadline.h"

int mw_fd_pipe(int fds[2]) {
  return pipe2(fds, O_CLOEXEC) == 0 ? 0 : -errno;
}

int mw_fd_socketpair(int fds[2]) {
  int type = SOCK_STREAM | SOCK_CLOEXEC;
  return socketpair(AF_UNIX, type, 0, fds) == 0 ? 0 : -errno;
}

int mw_fd_memory(const char *name) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  return fd == -1 ? -errno : fd;
}

int mw_fd_close(int fd) {
  if (close(fd) == 0 || errno == EINTR)
    return 0;
  return -errno;
}

int mw_fd_dup(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy == -1 ? -errno : copy;
}

int mw_fd_replace(int fd, int replaced) {
  int flags = replaced > STDERR_FILENO ? O_CLOEXEC : 0;
  return dup3(fd, replaced, flags) == -1 ? -errno : 0;
}

int mw_fd_lock(int fd) {
  return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

int mw_fd_access_mode(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags == -1 ? -errno : flags & O_ACCMODE;
}

int mw_fd_claim(int fd) {
  int flags = fcntl(fd, F_GETFD);
  if (flags == -1)
    return -errno;
  if (flags & FD_CLOEXEC)
    return -EBADF;
  return fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == -1 ? -errno : 0;
}

int mw_fd_set_nonblocking(int fd, bool nonblocking) {
  int old = fcntl(fd, F_GETFL);
  int new;
  if (old == -1)
    return -errno;
  new = nonblocking ? old | O_NONBLOCK : old & ~O_NONBLOCK;
  if (new != old && fcntl(fd, F_SETFL, new) == -1)
    return -errno;
  return 0;
}

int mw_fd_read(int fd, void *data, size_t len) {
  ssize_t n;
  if (len > INT_MAX)
    len = INT_MAX;
  do
    n = read(fd, data, len);
  while (n == -1 && errno == EINTR);
  return n == -1 ? -errno : (int)n;
}

static bool is_socket(int fd) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static ssize_t write_some(int fd, const char *data, size_t len) {
  ssize_t n;
  do
    n = write(fd, data, len);
  while (n == -1 && errno == EINTR);
  return n == -1 ? -errno : n;
}

static ssize_t send_some(int fd, const char *data, size_t len, int flags) {
  ssize_t n;
  do
    n = send(fd, data, len, MSG_NOSIGNAL | flags);
  while (n == -1 && errno == EINTR);
  return n == -1 ? -errno : n;
}

static int wait_writable(int fd) {
  struct pollfd waiting = {.fd = fd, .events = POLLOUT};
  while (poll(&waiting, 1, -1) == -1) {
    if (errno != EINTR)
      return -errno;
  }
  return 0;
}

int mw_fd_write_all(int fd, const void *data, size_t len) {
  const char *next = data;
  bool socket = is_socket(fd);

  while (len > 0) {
    ssize_t n =
        socket ? send_some(fd, next, len, 0) : write_some(fd, next, len);
    if (n == -EAGAIN) {
      int rc = wait_writable(fd);
      if (rc != 0)
        return rc;
      continue;
    }
    if (n <= 0)
      return n == 0 ? -EIO : (int)n;
    next += n;
    len -= (size_t)n;
  }
  return 0;
}

/* A blocking pipe that polls as writable has room for PIPE_BUF bytes and may
 * block for more; a socket is asked not to wait. */
static void drain_begin(struct mw_fd_item *item) {
  int flags = fcntl(item->fd, F_GETFL);
  item->written = 0;
  item->error = flags == -1 ? -errno : 0;
  item->is_socket = is_socket(item->fd);
  item->chunk = item->is_socket || (flags & O_NONBLOCK) ? SIZE_MAX : PIPE_BUF;
}

static bool drain_pending(const struct mw_fd_item *item) {
  return item->error == 0 && item->written < item->len;
}

static void drain_step(struct mw_fd_item *item) {
  const char *next = item->data + item->written;
  size_t len = item->len - item->written;
  ssize_t n;

  if (len > item->chunk)
    len = item->chunk;
  n = item->is_socket ? send_some(item->fd, next, len, MSG_DONTWAIT)
                      : write_some(item->fd, next, len);
  if (n > 0)
    item->written += (size_t)n;
  else if (n != -EAGAIN)
    item->error = n == 0 ? -EIO : (int)n;
}

static size_t drain_wanted(struct mw_fd_item *items, size_t count,
                           struct pollfd *polls) {
  size_t pending = 0;
  for (size_t i = 0; i < count; i++) {
    bool wanted = drain_pending(&items[i]);
    polls[i].fd = wanted ? items[i].fd : -1;
    polls[i].events = POLLOUT;
    polls[i].revents = 0;
    pending += wanted;
  }
  return pending;
}

static void drain_give_up(struct mw_fd_item *items, size_t count, int error) {
  for (size_t i = 0; i < count; i++) {
    if (drain_pending(&items[i]))
      items[i].error = error;
  }
}

int mw_fd_drain(struct mw_fd_item *items, size_t count, int timeout_ms) {
  int64_t deadline = mw_deadline_after(timeout_ms);
  struct pollfd *polls = calloc(count + 1, sizeof *polls);
  if (polls == NULL)
    return -ENOMEM;
  for (size_t i = 0; i < count; i++)
    drain_begin(&items[i]);

  while (drain_wanted(items, count, polls) > 0) {
    int left = mw_deadline_poll_ms(deadline);
    int ready = poll(polls, (nfds_t)count, left);
    if (ready == -1 && errno != EINTR) {
      drain_give_up(items, count, -errno);
      break;
    }
    for (size_t i = 0; ready > 0 && i < count; i++) {
      if (polls[i].revents != 0)
        drain_step(&items[i]);
    }
    if (left == 0) {
      drain_give_up(items, count, -ETIMEDOUT);
      break;
    }
  }
  free(polls);
  return 0;
}

/* A pipe says so by POLLHUP alone; a socket is readable too. */
int mw_fd_at_end(int fd) {
  struct pollfd asked = {.fd = fd, .events = POLLIN};
  char byte;
  if (poll(&asked, 1, 0) == -1)
    return -errno;
  if ((asked.revents & POLLIN) == 0)
    return (asked.revents & POLLHUP) != 0;
  return is_socket(fd) && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

int mw_fd_watch(int fd) {
  struct epoll_event readable = {.events = EPOLLIN};
  int watcher = epoll_create1(EPOLL_CLOEXEC);
  int code;
  if (watcher == -1)
    return -errno;
  if (epoll_ctl(watcher, EPOLL_CTL_ADD, fd, &readable) == 0)
    return watcher;
  code = -errno;
  close(watcher);
  return code;
}

int mw_fd_kind(int fd, const char **kind) {
  struct stat st;
  if (fstat(fd, &st) == -1)
    return -errno;
  switch (st.st_mode & S_IFMT) {
  case S_IFIFO: *kind = "fifo"; break;
  case S_IFSOCK: *kind = "socket"; break;
  case S_IFCHR: *kind = isatty(fd) ? "tty" : "char"; break;
  case S_IFDIR: *kind = "directory"; break;
  case S_IFBLK: *kind = "block"; break;
  default: *kind = "file"; break;
  }
  return 0;
}
