#include "http/exchange.h"

#include "base/fd.h"
#include "http/connection.h"
#include "http/connection_state.h"

void **mw_http_exchange_user(struct mw_http_connection *connection) {
  return &connection->user;
}

struct mw_buffer *mw_http_exchange_head(struct mw_http_connection *connection) {
  return &connection->response.headers;
}

bool mw_http_exchange_has_begun(const struct mw_http_connection *connection) {
  return connection->response.begun;
}

int mw_http_exchange_begin(struct mw_http_connection *connection, int status,
                           struct mw_http_span reason) {
  int error = mw_http_response_begin(&connection->response, connection->service,
                                     mw_http_connection_out(connection), status,
                                     reason, -1);
  mw_http_connection_make_due(connection);
  return error;
}

int mw_http_exchange_write(struct mw_http_connection *connection,
                           const char *bytes, size_t length) {
  int error = mw_http_response_write(
      &connection->response, mw_http_connection_out(connection), bytes, length);
  mw_http_connection_make_due(connection);
  if (error)
    return error;
  if (mw_http_output_unsent(&connection->output) >= MW_HTTP_OUT_ENOUGH)
    connection->told_enough = true;
  return connection->told_enough;
}

int mw_http_exchange_finish(struct mw_http_connection *connection) {
  int error = mw_http_response_finish(&connection->response,
                                      mw_http_connection_out(connection));
  if (error == UV_EPROTO)
    mw_http_exchange_cut(connection);
  mw_http_connection_make_due(connection);
  return error;
}

static int begin_whole(struct mw_http_connection *connection, int status,
                       struct mw_http_span reason, uint64_t length) {
  return mw_http_response_begin(&connection->response, connection->service,
                                mw_http_connection_out(connection), status,
                                reason, (int64_t)length);
}

int mw_http_exchange_respond(struct mw_http_connection *connection, int status,
                             struct mw_http_span reason, const char *bytes,
                             size_t length) {
  int error = begin_whole(connection, status, reason, length);
  if (error)
    return error;
  error = mw_http_exchange_write(connection, bytes, length);
  if (error) {
    mw_http_exchange_cut(connection);
    return error;
  }
  return mw_http_exchange_finish(connection);
}

int mw_http_exchange_respond_file(struct mw_http_connection *connection,
                                  int status, struct mw_http_span reason,
                                  int fd, uint64_t offset, uint64_t length) {
  struct mw_http_response *response = &connection->response;
  int error = begin_whole(connection, status, reason, length);
  if (error)
    return error;
  mw_http_connection_make_due(connection);
  response->finished = true;
  if (response->has_no_body || length == 0)
    mw_fd_close(fd);
  else
    mw_http_output_add_file(&connection->output, fd, offset, length);
  return 0;
}

void mw_http_exchange_want(struct mw_http_connection *connection, bool wanted) {
  connection->wanted = wanted;
  if (wanted)
    mw_http_connection_make_due(connection);
}

bool mw_http_exchange_body_is_over(
    const struct mw_http_connection *connection) {
  return connection->body.over;
}

bool mw_http_exchange_is_done(const struct mw_http_connection *connection) {
  return connection->response.finished && connection->body.over;
}

void mw_http_exchange_cut(struct mw_http_connection *connection) {
  if (connection->order == MW_HTTP_GO_ON)
    connection->order = MW_HTTP_CUT;
  mw_http_connection_make_due(connection);
}

void mw_http_connection_end(struct mw_http_connection *connection) {
  connection->order = MW_HTTP_END;
  mw_http_connection_make_due(connection);
}

void mw_http_exchange_rest(const struct mw_http_connection *connection,
                           struct mw_http_span *unread,
                           struct mw_http_span *unsent_bytes) {
  *unread = connection->input.now;
  const struct mw_http_output *output = &connection->output;
  *unsent_bytes = (struct mw_http_span){output->bytes.bytes + output->sent,
                                        mw_http_output_unsent(output)};
}

int mw_http_exchange_fd(const struct mw_http_connection *connection) {
  return connection->fd;
}
