#include "http/output.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/fd.h"

/* How much of a file goes out before others have their turn. */
enum { FILE_TURN = 4 << 20 };

size_t mw_http_output_unsent(const struct mw_http_output *output) {
  return output->bytes.length - output->sent;
}

bool mw_http_output_is_empty(const struct mw_http_output *output) {
  return mw_http_output_unsent(output) == 0 && output->file_left == 0;
}

void mw_http_output_add_file(struct mw_http_output *output, int fd,
                             uint64_t offset, uint64_t length) {
  output->file = fd;
  output->file_offset = (off_t)offset;
  output->file_left = length;
}

void mw_http_output_drop_file(struct mw_http_output *output) {
  if (output->file_left > 0)
    mw_fd_close(output->file);
  output->file_left = 0;
}

/* The code of a failed call; 0 where it was interrupted, and is to be tried
   again. */
static int failure(void) {
  if (errno == EINTR)
    return 0;
  return errno == EWOULDBLOCK ? UV_EAGAIN : -errno;
}

static int send_bytes(struct mw_http_output *output, int socket) {
  int flags = MSG_NOSIGNAL | (output->file_left > 0 ? MSG_MORE : 0);
  int error = 0;
  while (mw_http_output_unsent(output) > 0 && !error) {
    ssize_t count = send(socket, output->bytes.bytes + output->sent,
                         mw_http_output_unsent(output), flags);
    if (count >= 0)
      output->sent += (size_t)count;
    else
      error = failure();
  }
  if (!error)
    output->bytes.length = output->sent = 0;
  return error;
}

static int send_file(struct mw_http_output *output, int socket) {
  size_t turn = FILE_TURN;
  while (output->file_left > 0) {
    size_t most = output->file_left < turn ? (size_t)output->file_left : turn;
    if (most == 0)
      return UV_EAGAIN;
    ssize_t count = sendfile(socket, output->file, &output->file_offset, most);
    int error = count == 0 ? UV_EPROTO : count < 0 ? failure() : 0;
    if (error)
      return error;
    if (count < 0)
      continue;
    turn -= (size_t)count;
    if (output->file_left == (uint64_t)count)
      mw_fd_close(output->file);
    output->file_left -= (uint64_t)count;
  }
  return 0;
}

int mw_http_output_flush(struct mw_http_output *output, int socket) {
  int error = send_bytes(output, socket);
  return error ? error : send_file(output, socket);
}
