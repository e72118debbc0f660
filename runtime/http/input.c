#include "http/input.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

ptrdiff_t mw_http_input_receive(struct mw_http_input *input, int socket,
                                char *bytes, size_t size) {
  ssize_t count;
  do
    count = recv(socket, bytes, size, 0);
  while (count == -1 && errno == EINTR);
  if (count == -1)
    return errno == EWOULDBLOCK ? UV_EAGAIN : -errno;
  input->ended = count == 0;
  return count;
}

void mw_http_input_open(struct mw_http_input *input) {
  input->now = (struct mw_http_span){input->kept.bytes, input->kept.length};
}

bool mw_http_input_add(struct mw_http_input *input, const char *bytes,
                       size_t count) {
  if (input->kept.length == 0) {
    input->now = (struct mw_http_span){bytes, count};
    return true;
  }
  bool added = mw_buffer_append(&input->kept, bytes, count);
  mw_http_input_open(input);
  return added;
}

void mw_http_input_take(struct mw_http_input *input, size_t count) {
  input->now.at += count;
  input->now.length -= count;
}

bool mw_http_input_skip_empty_lines(struct mw_http_input *input) {
  const struct mw_http_span *now = &input->now;
  while (input->seen == 0 && now->length >= 2 &&
         memcmp(now->at, "\r\n", 2) == 0)
    mw_http_input_take(input, 2);
  return now->length > 1 || (now->length == 1 && *now->at != '\r');
}

bool mw_http_input_keep(struct mw_http_input *input) {
  struct mw_http_span left = input->now;
  struct mw_buffer *kept = &input->kept;
  bool is_there = true;
  if (left.length == 0)
    mw_buffer_free(kept);
  else if (kept->length > 0) {
    memmove(kept->bytes, left.at, left.length);
    kept->length = left.length;
  } else
    is_there = mw_buffer_append(kept, left.at, left.length);
  input->now = (struct mw_http_span){NULL, 0};
  return is_there;
}

void mw_http_input_drop(struct mw_http_input *input) {
  mw_buffer_free(&input->kept);
  input->now = (struct mw_http_span){NULL, 0};
}
