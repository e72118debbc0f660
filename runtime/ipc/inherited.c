#include "ipc/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>

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

struct mw_inherited_channel mw_inherited_channel_take(void) {
  struct mw_inherited_channel inherited = {.fd = -1};
  const char *text = getenv("MW_CHANNEL_FD");
  if (!text) {
    text = getenv("NODE_CHANNEL_FD");
    inherited.json = text != NULL;
  }
  if (text)
    inherited.fd = parse_fd(text);
  if (inherited.fd >= 0 && !is_stream_socket(inherited.fd))
    inherited.fd = -1;
  if (inherited.fd >= 0)
    fcntl(inherited.fd, F_SETFD, FD_CLOEXEC);
  unsetenv("MW_CHANNEL_FD");
  unsetenv("NODE_CHANNEL_FD");
  unsetenv("NODE_CHANNEL_SERIALIZATION_MODE");
  return inherited;
}
