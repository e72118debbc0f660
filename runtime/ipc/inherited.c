#include "ipc/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int parse_fd(const char *text) {
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
  if (fd > STDERR_FILENO)
    return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  int null = moved == -1 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null == -1)
    return moved == -1 ? fd : moved;
  dup2(null, fd);
  close(null);
  return moved;
}

/* Node has another one, that only Node can read. */
static bool is_known_mode(const char *mode) {
  return !mode || strcmp(mode, "json") == 0;
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
    inherited.fd = parse_fd(text);
  if (inherited.fd >= 0 && !is_stream_socket(inherited.fd))
    inherited.fd = -1;
  if (inherited.fd >= 0) {
    inherited.fd = move_above_standard(inherited.fd);
    fcntl(inherited.fd, F_SETFD, FD_CLOEXEC);
  }
  unsetenv("MW_CHANNEL_FD");
  unsetenv("NODE_CHANNEL_FD");
  unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
  return inherited;
}
