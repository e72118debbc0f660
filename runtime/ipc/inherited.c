#include "ipc/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"

/* A whole number from 0 up; -1 for all else. */
static int parse_number(const char *text) {
  char *end;
  errno = 0;
  long number = strtol(text, &end, 10);
  if (errno || end == text || *end || number < 0 || number > INT_MAX)
    return -1;
  return (int)number;
}

static bool is_stream_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_STREAM;
}

/* A standard descriptor that is the channel becomes /dev/null: what prints or
   reads must not get into the messages. */
static int move_above_standard(int fd) {
  int moved = fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (moved == -1 || moved == fd)
    return fd;
  mw_fd_close(fd);
  open("/dev/null", O_RDWR); /* takes its place, the lowest that is free */
  return moved;
}

/* Node has another one, that only Node can read. */
static bool is_known_mode(const char *mode) {
  return !mode || strcmp(mode, "json") == 0;
}

/* A whole number in the environment, which it leaves; `absent` where there is
   none. */
static int take_number(const char *name, int absent) {
  const char *text = getenv(name);
  int number = text ? parse_number(text) : -1;
  unsetenv(name);
  return number >= 0 ? number : absent;
}

struct mw_inherited_channel mw_inherited_channel_take(void) {
  struct mw_inherited_channel inherited = {.fd = -1};
  const char *text = getenv("MW_CHANNEL_FD");
  if (!text) {
    text = getenv("NODE_CHANNEL_FD");
    inherited.json = text != NULL;
    if (!is_known_mode(getenv("NODE_CHANNEL_SERIALIZATION_MODE")))
      text = NULL;
  }
  if (text)
    inherited.fd = parse_number(text);
  if (inherited.fd >= 0 && !is_stream_socket(inherited.fd))
    inherited.fd = -1;
  if (inherited.fd >= 0) {
    inherited.fd = move_above_standard(inherited.fd);
    fcntl(inherited.fd, F_SETFD, FD_CLOEXEC);
  }
  int worker_id = take_number("MW_UNIQUE_ID", 0);
  int worker_slot = take_number("MW_WORKER_SLOT", worker_id);
  if (inherited.fd >= 0) {
    inherited.worker_id = worker_id;
    inherited.worker_slot = worker_slot;
  }
  inherited.flush_timeout =
      take_number("MW_EXIT_FLUSH_TIMEOUT", MW_FLUSH_TIMEOUT);
  unsetenv("MW_CHANNEL_FD");
  unsetenv("NODE_CHANNEL_FD");
  unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
  return inherited;
}
