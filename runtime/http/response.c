#include "http/response.h"

#include <string.h>

#include "http/header_block.h"

/* Room for all that is put out besides the headers and the reason. */
enum { HEAD_ROOM = 320, NUMBER_MAX = 20 };

#define CHUNK_END "0\r\n\r\n"

void mw_http_response_open(struct mw_http_response *response,
                           const struct mw_http_head *head) {
  struct mw_buffer headers = response->headers;
  headers.length = 0;
  *response = (struct mw_http_response){
      .headers = headers,
      .to_head =
          head->method.length == 4 && memcmp(head->method.at, "HEAD", 4) == 0,
      .to_1_0 = head->minor == 0,
      .is_asked_last = !head->keep_alive,
      .is_last = !head->keep_alive,
  };
}

/* For what fits into the room that was reserved. */
static void put(struct mw_buffer *out, const char *bytes, size_t length) {
  if (length > 0)
    memcpy(out->bytes + out->length, bytes, length);
  out->length += length;
}

#define PUT(out, text) put(out, text, sizeof(text) - 1)

static void put_number(struct mw_buffer *out, uint64_t number, unsigned base) {
  char digits[NUMBER_MAX];
  size_t at = NUMBER_MAX;
  do {
    digits[--at] = "0123456789abcdef"[number % base];
    number /= base;
  } while (number > 0);
  put(out, digits + at, NUMBER_MAX - at);
}

static void put_status_line(struct mw_buffer *out, int status,
                            struct mw_http_span reason) {
  if (status == 200 && reason.length == 0) {
    PUT(out, "HTTP/1.1 200 OK\r\n");
    return;
  }
  if (reason.length == 0) {
    reason.at = mw_http_reason(status);
    reason.length = strlen(reason.at);
  }
  PUT(out, "HTTP/1.1 ");
  put_number(out, (unsigned)status, 10);
  PUT(out, " ");
  put(out, reason.at, reason.length);
  PUT(out, "\r\n");
}

/* headers that the program has set */

struct declared {
  bool date, connection;
};

static bool is(struct mw_http_span span, const char *name) {
  return mw_http_same_name(span.at, span.length, name, strlen(name));
}

static void remove_header(struct mw_http_response *response, const char *name) {
  struct mw_http_span span = {name, strlen(name)};
  mw_http_header_remove(&response->headers, span);
}

static uint64_t number_of(struct mw_http_span value) {
  uint64_t number = 0;
  for (size_t i = 0; i < value.length; i++)
    number = number * 10 + (uint64_t)(value.at[i] - '0') % 10;
  return number;
}

static bool names_close(struct mw_http_span value) {
  static const char word[] = "close";
  for (size_t i = 0; i + 5 <= value.length; i++)
    if (mw_http_same_name(value.at + i, 5, word, 5))
      return true;
  return false;
}

/* Looks what there is; the framing is ours, but for a length. */
static struct declared look_through(struct mw_http_response *response) {
  struct declared declared = {false, false};
  struct mw_http_span name, value;
  size_t offset = 0;
  bool has_framing = false;
  while (mw_http_header_next(&response->headers, &offset, &name, &value)) {
    if (name.length == 4 && is(name, "date"))
      declared.date = true;
    else if (name.length == 10 && is(name, "connection")) {
      declared.connection = true;
      response->is_last = response->is_last || names_close(value);
    } else if (name.length == 14 && is(name, "content-length")) {
      response->has_length = true;
      response->left = number_of(value);
    } else if (name.length == 17 && is(name, "transfer-encoding"))
      has_framing = true;
  }
  if (has_framing)
    remove_header(response, "transfer-encoding");
  return declared;
}

/* headers that are ours */

static void put_connection(struct mw_http_response *response,
                           struct mw_http_service *service,
                           struct mw_buffer *out) {
  if (response->is_last)
    PUT(out, "Connection: close\r\n");
  else
    put(out, service->keep_alive, strlen(service->keep_alive));
}

static void put_framing(struct mw_http_response *response,
                        struct mw_buffer *out) {
  if (response->has_length)
    return;
  if (response->chunked)
    PUT(out, "Transfer-Encoding: chunked\r\n");
}

static void put_length(struct mw_buffer *out, uint64_t length) {
  PUT(out, "Content-Length: ");
  put_number(out, length, 10);
  PUT(out, "\r\n");
}

static bool has_no_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

/* Which framing the body gets, where the program has not said its length. */
static void decide_framing(struct mw_http_response *response, int status,
                           int64_t length) {
  bool bodyless = has_no_body(status);
  response->has_no_body = bodyless || response->to_head;
  if ((status < 200 || status == 204) && response->has_length) {
    remove_header(response, "content-length");
    response->has_length = false;
  }
  if (response->has_length || bodyless || length >= 0)
    return;
  response->chunked = !response->to_1_0;
  /* Its end is that of the connection. */
  if (response->to_1_0 && !response->to_head)
    response->is_last = true;
}

int mw_http_response_begin(struct mw_http_response *response,
                           struct mw_http_service *service,
                           struct mw_buffer *out, int status,
                           struct mw_http_span reason, int64_t length) {
  if (response->begun)
    return UV_EINVAL;
  if (!mw_buffer_reserve(out,
                         HEAD_ROOM + reason.length + response->headers.length))
    return UV_ENOMEM;
  response->is_last = response->is_last || service->draining;
  struct declared declared = look_through(response);
  decide_framing(response, status, length);
  if (declared.connection && response->is_last) {
    remove_header(response, "connection");
    declared.connection = false;
  }
  put_status_line(out, status, reason);
  put(out, response->headers.bytes, response->headers.length);
  if (!declared.date) {
    struct mw_http_span date = mw_http_service_date(service);
    put(out, date.at, date.length);
  }
  if (!declared.connection)
    put_connection(response, service, out);
  if (length >= 0 && !response->has_length && !has_no_body(status)) {
    put_length(out, (uint64_t)length);
    response->has_length = true;
    response->left = (uint64_t)length;
  }
  put_framing(response, out);
  PUT(out, "\r\n");
  response->begun = true;
  return 0;
}

int mw_http_response_write(struct mw_http_response *response,
                           struct mw_buffer *out, const char *bytes,
                           size_t length) {
  if (!response->begun || response->finished)
    return UV_EINVAL;
  if (response->has_no_body || length == 0)
    return 0;
  if (response->has_length && length > response->left)
    return UV_EMSGSIZE;
  if (!mw_buffer_reserve(out, length + NUMBER_MAX + 4))
    return UV_ENOMEM;
  if (response->has_length)
    response->left -= length;
  if (response->chunked) {
    put_number(out, length, 16);
    PUT(out, "\r\n");
  }
  put(out, bytes, length);
  if (response->chunked)
    PUT(out, "\r\n");
  return 0;
}

int mw_http_response_finish(struct mw_http_response *response,
                            struct mw_buffer *out) {
  if (!response->begun || response->finished)
    return UV_EINVAL;
  bool has_body = !response->has_no_body;
  if (has_body && response->has_length && response->left > 0)
    return UV_EPROTO;
  if (has_body && response->chunked &&
      !mw_buffer_append(out, CHUNK_END, sizeof CHUNK_END - 1))
    return UV_ENOMEM;
  response->finished = true;
  return 0;
}

bool mw_http_response_refuse(struct mw_http_service *service,
                             struct mw_buffer *out, int status) {
  struct mw_http_response refusal = {.is_last = true};
  struct mw_http_span reason = {NULL, 0};
  return mw_http_response_begin(&refusal, service, out, status, reason, 0) == 0;
}
