#include "http/requests.h"

#include <string.h>

#include "http/connection.h"
#include "http/connection_state.h"

/* ends */

void mw_http_requests_end_exchange(struct mw_http_connection *connection,
                                   int error) {
  void *user = connection->user;
  struct mw_http_service *service = connection->service;
  mw_http_service_take_back(&service->spare_block,
                            &connection->response.headers);
  if (user)
    service->events->on_over(service->user, connection, error);
  connection->user = NULL;
}

void mw_http_requests_refuse(struct mw_http_connection *connection,
                             int status) {
  /* Without memory it ends without an answer. */
  (void)mw_http_response_refuse(connection->service,
                                mw_http_connection_out(connection), status);
  connection->state = MW_HTTP_LAST;
}

void mw_http_requests_fail(struct mw_http_connection *connection, int status,
                           int error) {
  const struct mw_http_response *response = &connection->response;
  bool finished = response->finished;
  /* A body that ends with the connection would seem whole. */
  bool needs_reset = response->begun && !finished && !response->chunked &&
                     !response->has_length;
  if (needs_reset) {
    mw_http_connection_reset(connection, error);
    return;
  }
  if (response->begun || status == 0)
    connection->state = MW_HTTP_LAST;
  else
    mw_http_requests_refuse(connection, status);
  mw_http_requests_end_exchange(connection, finished ? 0 : error);
}

/* requests */

static void begin_exchange(struct mw_http_connection *connection,
                           const struct mw_http_head *head) {
  connection->state = MW_HTTP_BUSY;
  connection->has_served = true;
  connection->wanted = connection->end_told = connection->told_enough = false;
  connection->body_bytes = 0;
  mw_http_body_begin(&connection->body, head);
  mw_http_service_lend(&connection->service->spare_block,
                       &connection->response.headers);
  mw_http_response_open(&connection->response, head);
}

/* Why a request whose head is sound can't be taken; 0 where it can. */
static int refusal_of(const struct mw_http_connection *connection,
                      const struct mw_http_head *head) {
  if (head->expects_other)
    return 417;
  return head->content_length > connection->service->limits.max_body ? 413 : 0;
}

/* Without memory the peer waits a while, and sends all the same. */
static void put_continue(struct mw_http_connection *connection) {
  static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
  (void)mw_buffer_append(mw_http_connection_out(connection), line,
                         sizeof line - 1);
}

static bool is_connect(const struct mw_http_head *head) {
  return head->method.length == 7 && memcmp(head->method.at, "CONNECT", 7) == 0;
}

/* Whether there is nothing left to do for one that asks for another
   protocol. */
static bool offer_upgrade(struct mw_http_connection *connection,
                          const struct mw_http_head *head, const char *bytes,
                          size_t size) {
  const struct mw_http_service *service = connection->service;
  if (service->events->on_upgrade(service->user, connection, head, bytes,
                                  size) ||
      connection->state != MW_HTTP_BUSY)
    return true;
  if (is_connect(head))
    mw_http_connection_close_with(connection, 0);
  return is_connect(head);
}

static void start_exchange(struct mw_http_connection *connection,
                           const struct mw_http_head *head, const char *bytes,
                           size_t size) {
  const struct mw_http_service *service = connection->service;
  begin_exchange(connection, head);
  if (head->upgrade && offer_upgrade(connection, head, bytes, size))
    return;
  if (head->expects_continue && !connection->body.over &&
      connection->input.now.length == 0)
    put_continue(connection);
  service->events->on_request(service->user, connection, head, bytes, size);
}

static bool take_request(struct mw_http_connection *connection) {
  const struct mw_http_limits *limits = &connection->service->limits;
  struct mw_http_input *input = &connection->input;
  struct mw_http_head head;
  if (!mw_http_input_skip_empty_lines(input))
    return false;
  const char *bytes = input->now.at;
  ptrdiff_t size = mw_http_head_find(bytes, input->now.length, &input->seen);
  size_t known = size > 0 ? (size_t)size : input->now.length;
  int refusal = size < 0 ? 400 : known > limits->max_header_size ? 431 : 0;
  if (!refusal && size == 0)
    return false;
  if (!refusal)
    refusal = mw_http_parse_request(bytes, known, limits->max_headers, &head);
  if (!refusal)
    refusal = refusal_of(connection, &head);
  if (refusal) {
    mw_http_requests_refuse(connection, refusal);
    return false;
  }
  input->seen = 0;
  mw_http_input_take(input, known);
  start_exchange(connection, &head, bytes, known);
  return true;
}

/* bodies */

static void tell_end(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  if (!connection->wanted || connection->end_told)
    return;
  connection->end_told = true;
  service->events->on_data(service->user, connection, NULL, 0);
}

/* Takes one piece of the body; whether there was anything. */
static bool take_body(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  struct mw_http_input *input = &connection->input;
  struct mw_http_span piece;
  ptrdiff_t count = mw_http_body_take(&connection->body, input->now.at,
                                      input->now.length, &piece);
  if (count < 0) {
    mw_http_requests_fail(connection, 400, UV_EPROTO);
    return false;
  }
  connection->body_bytes += piece.length;
  if (connection->body_bytes > service->limits.max_body) {
    mw_http_requests_fail(connection, 413, UV_EFBIG);
    return false;
  }
  mw_http_input_take(input, (size_t)count);
  if (piece.length > 0 && connection->wanted)
    service->events->on_data(service->user, connection, piece.at, piece.length);
  return count > 0;
}

/* the exchange as a whole */

static void go_over(struct mw_http_connection *connection) {
  const struct mw_http_response *response = &connection->response;
  connection->state = response->is_last ? MW_HTTP_LAST : MW_HTTP_WAITING;
  /* Behind a body, clients of old send an empty line. */
  connection->needs_no_linger = response->is_asked_last &&
                                connection->body.framing == MW_HTTP_NO_BODY &&
                                connection->input.now.length == 0;
  connection->timed = MW_HTTP_STALE;
  mw_http_requests_end_exchange(connection, 0);
}

static bool go_on_with_exchange(struct mw_http_connection *connection) {
  const struct mw_http_response *response = &connection->response;
  if (response->finished && (connection->body.over || response->is_last)) {
    go_over(connection);
    return true;
  }
  if (connection->body.over) {
    tell_end(connection);
    return connection->state == MW_HTTP_BUSY && response->finished;
  }
  if (!connection->wanted && !response->finished)
    return false;
  if (take_body(connection))
    return true;
  if (connection->state == MW_HTTP_BUSY && connection->input.ended)
    mw_http_requests_fail(connection, 0, UV_ECONNRESET);
  return false;
}

bool mw_http_requests_tell_drain(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  if (connection->state != MW_HTTP_BUSY || !connection->told_enough)
    return false;
  connection->told_enough = false;
  service->events->on_drain(service->user, connection);
  return true;
}

/* What was asked for from outside the connection's own events, where none may
   be told. */
static void obey(struct mw_http_connection *connection) {
  enum mw_http_order order = connection->order;
  connection->order = MW_HTTP_GO_ON;
  if (order == MW_HTTP_END)
    mw_http_connection_close_with(connection, UV_ECONNRESET);
  else if (connection->state == MW_HTTP_BUSY)
    mw_http_requests_fail(connection, 0, UV_ECONNRESET);
}

bool mw_http_requests_step(struct mw_http_connection *connection) {
  const struct mw_http_output *output = &connection->output;
  if (connection->order != MW_HTTP_GO_ON)
    obey(connection);
  switch (connection->state) {
  case MW_HTTP_WAITING:
    return mw_http_output_unsent(output) < MW_HTTP_OUT_ENOUGH &&
           output->file_left == 0 && take_request(connection);
  case MW_HTTP_BUSY: return go_on_with_exchange(connection);
  default: return false;
  }
}
