#include "http/connection.h"

/* Longer than most: the states of a connection and what moves it between them
   belong together. What can stand alone does: parser, body, response, output,
   deadlines. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/fd.h"
#include "base/list.h"
#include "http/body.h"
#include "http/output.h"
#include "http/response.h"
#include "http/service.h"

/* How much may wait: of what has come while nobody can take it, of what goes
   out before a writer is told, or before the next request is looked at. */
enum { IN_MAX = 65536, OUT_ENOUGH = 65536 };

/* What a peer has after our end to read it and end too. */
enum { LINGER_MS = 2000 };

enum { UNTIMED = -1, STALE = -2 /* set, and not meant any more */ };

enum state {
  WAITING, /* for a request */
  BUSY,    /* with an exchange */
  LAST,    /* what is left goes out, then comes our end */
  LINGERS, /* until the peer has ended too: closing earlier would reset */
  CLOSED
};

enum order { GO_ON, CUT, END };

struct mw_http_connection {
  uv_poll_t poll;
  struct mw_http_service *service;
  struct mw_link link, due;
  struct mw_deadline deadline;
  int timed; /* what the deadline is for, UNTIMED or STALE */
  int fd;
  int polled; /* events that the poll waits for */
  enum state state;
  uint64_t began;            /* when the first byte of the request came */
  struct mw_http_span input; /* what has come, while the connection runs */
  struct mw_buffer in;       /* what has come, while it does not */
  size_t seen;               /* of a head that is not all there */
  struct mw_http_output output;
  struct mw_http_body body;
  uint64_t body_bytes;
  struct mw_http_response response;
  void *user;
  enum order order; /* what to do at the next step */
  bool running;     /* go_on() is under way */
  bool wanted;      /* pieces of the body are to be told */
  bool end_told;
  bool told_enough;     /* on_drain is due */
  bool ended;           /* the peer has */
  bool needs_no_linger; /* the peer has said that nothing more comes */
};

static struct mw_http_connection *of_poll(uv_poll_t *poll) {
  return MW_LINKED(poll, struct mw_http_connection, poll);
}

struct mw_http_connection *mw_http_connection_of(struct mw_link *link) {
  return MW_LINKED(link, struct mw_http_connection, link);
}

/* closing */

static void on_closed(uv_handle_t *handle) {
  struct mw_http_connection *connection = of_poll((uv_poll_t *)handle);
  struct mw_http_service *service = connection->service;
  free(connection);
  service->alive--;
  service->on_left(service);
}

static void end_exchange(struct mw_http_connection *connection, int error) {
  void *user = connection->user;
  struct mw_http_service *service = connection->service;
  mw_http_service_take_back(&service->spare_block,
                            &connection->response.headers);
  if (user)
    service->events->on_over(service->user, connection, error);
  connection->user = NULL;
}

/* Frees everything but what the handle needs to close. */
static void let_go(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  connection->state = CLOSED;
  mw_deadline_clear(&connection->deadline);
  mw_list_remove(&connection->link);
  mw_list_remove(&connection->due);
  mw_http_output_drop_file(&connection->output);
  mw_buffer_free(&connection->in);
  mw_http_service_take_back(&service->spare, &connection->output.bytes);
  connection->input.length = 0;
  uv_close((uv_handle_t *)&connection->poll, on_closed);
  service->count--;
}

static void close_with(struct mw_http_connection *connection, int error) {
  if (connection->state == CLOSED)
    return;
  bool was_busy = connection->state == BUSY;
  let_go(connection);
  mw_fd_close(connection->fd);
  connection->fd = -1;
  if (was_busy)
    end_exchange(connection, error);
}

void mw_http_connection_close(struct mw_http_connection *connection) {
  close_with(connection, UV_ECONNRESET);
}

/* A body that ends with the connection would seem whole. */
static void reset(struct mw_http_connection *connection) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close_with(connection, UV_ECONNRESET);
}

static void set_deadline(struct mw_http_connection *connection, int kind,
                         uint64_t start, uint64_t ms) {
  connection->timed = ms > 0 ? kind : UNTIMED;
  if (ms > 0)
    mw_deadline_set(&connection->service->deadlines, &connection->deadline,
                    kind, start, ms);
  else
    mw_deadline_clear(&connection->deadline);
}

static uint64_t now(const struct mw_http_connection *connection) {
  return uv_now(connection->service->loop);
}

/* The head has to come before the whole request has to. */
static void await_head(struct mw_http_connection *connection) {
  const struct mw_http_limits *limits = &connection->service->limits;
  uint64_t ms = limits->headers_timeout;
  if (ms == 0 || (limits->request_timeout && limits->request_timeout < ms))
    ms = limits->request_timeout;
  set_deadline(connection, MW_HTTP_HEAD_DEADLINE, now(connection), ms);
}

static void linger(struct mw_http_connection *connection) {
  if (connection->ended || shutdown(connection->fd, SHUT_WR) == -1) {
    close_with(connection, 0);
    return;
  }
  connection->state = LINGERS;
  mw_buffer_free(&connection->in);
  connection->input.length = 0;
  set_deadline(connection, MW_HTTP_LINGER_DEADLINE, now(connection), LINGER_MS);
}

/* going out */

static bool has_output(const struct mw_http_connection *connection) {
  return !mw_http_output_is_empty(&connection->output);
}

static struct mw_buffer *out(struct mw_http_connection *connection) {
  struct mw_buffer *bytes = &connection->output.bytes;
  mw_http_service_lend(&connection->service->spare, bytes);
  return bytes;
}

/* Returns whether all went out; a failure closes the connection. */
static bool flush(struct mw_http_connection *connection) {
  int error = mw_http_output_flush(&connection->output, connection->fd);
  if (error == 0)
    mw_http_service_take_back(&connection->service->spare,
                              &connection->output.bytes);
  else if (error != UV_EAGAIN)
    close_with(connection, error);
  return error == 0;
}

static void refuse(struct mw_http_connection *connection, int status) {
  /* Without memory it ends without an answer. */
  (void)mw_http_response_refuse(connection->service, out(connection), status);
  connection->state = LAST;
}

/* Ends an exchange that can't go well: by that status, where nothing of the
   response is out. */
static void fail(struct mw_http_connection *connection, int status, int error) {
  bool begun = connection->response.begun;
  bool needs_reset = begun && !connection->response.chunked &&
                     !connection->response.has_length;
  if (connection->response.finished)
    connection->state = LAST;
  else if (needs_reset) {
    reset(connection);
    return;
  } else if (begun || status == 0)
    connection->state = LAST;
  else
    refuse(connection, status);
  end_exchange(connection, connection->response.finished ? 0 : error);
}

/* coming in */

static void take(struct mw_http_connection *connection, size_t count) {
  connection->input.at += count;
  connection->input.length -= count;
}

/* Clients of old send an empty line behind a body. Returns whether there is
   anything else. */
static bool skip_empty_lines(struct mw_http_connection *connection) {
  const struct mw_http_span *input = &connection->input;
  while (connection->seen == 0 && input->length >= 2 &&
         memcmp(input->at, "\r\n", 2) == 0)
    take(connection, 2);
  return input->length > 1 || (input->length == 1 && *input->at != '\r');
}

static void begin_exchange(struct mw_http_connection *connection,
                           const struct mw_http_head *head) {
  connection->state = BUSY;
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
  (void)mw_buffer_append(out(connection), line, sizeof line - 1);
}

static void start_exchange(struct mw_http_connection *connection,
                           const struct mw_http_head *head, const char *bytes,
                           size_t size) {
  const struct mw_http_events *events = connection->service->events;
  void *user = connection->service->user;
  begin_exchange(connection, head);
  if (head->upgrade) {
    if (events->on_upgrade(user, connection, head, bytes, size) ||
        connection->state != BUSY)
      return;
    if (head->method.length == 7 && memcmp(bytes, "CONNECT", 7) == 0) {
      close_with(connection, 0);
      return;
    }
  }
  if (head->expects_continue && !connection->body.over &&
      connection->input.length == 0)
    put_continue(connection);
  events->on_request(user, connection, head, bytes, size);
}

static bool take_request(struct mw_http_connection *connection) {
  const struct mw_http_limits *limits = &connection->service->limits;
  struct mw_http_head head;
  if (!skip_empty_lines(connection))
    return false;
  const char *bytes = connection->input.at;
  ptrdiff_t size =
      mw_http_head_find(bytes, connection->input.length, &connection->seen);
  size_t known = size > 0 ? (size_t)size : connection->input.length;
  int refusal = size < 0 ? 400 : known > limits->max_header_size ? 431 : 0;
  if (!refusal && size == 0)
    return false;
  if (!refusal)
    refusal = mw_http_parse_request(bytes, known, limits->max_headers, &head);
  if (!refusal)
    refusal = refusal_of(connection, &head);
  if (refusal) {
    refuse(connection, refusal);
    return false;
  }
  connection->seen = 0;
  take(connection, known);
  start_exchange(connection, &head, bytes, known);
  return true;
}

static void tell_end(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  if (!connection->body.over || !connection->wanted || connection->end_told)
    return;
  connection->end_told = true;
  service->events->on_data(service->user, connection, NULL, 0);
}

/* Takes one piece of the body; whether there was anything. */
static bool take_body(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  struct mw_http_span piece;
  ptrdiff_t count = mw_http_body_take(&connection->body, connection->input.at,
                                      connection->input.length, &piece);
  if (count < 0) {
    fail(connection, 400, UV_EPROTO);
    return false;
  }
  connection->body_bytes += piece.length;
  if (connection->body_bytes > service->limits.max_body) {
    fail(connection, 413, UV_EFBIG);
    return false;
  }
  take(connection, (size_t)count);
  if (piece.length > 0 && connection->wanted)
    service->events->on_data(service->user, connection, piece.at, piece.length);
  return count > 0;
}

/* After the whole exchange. */
static void go_over(struct mw_http_connection *connection) {
  const struct mw_http_response *response = &connection->response;
  connection->state = response->is_last ? LAST : WAITING;
  connection->needs_no_linger = response->is_asked_last &&
                                connection->body.over &&
                                connection->input.length == 0;
  connection->timed = STALE;
  end_exchange(connection, 0);
}

static bool go_on_with_exchange(struct mw_http_connection *connection) {
  const struct mw_http_response *response = &connection->response;
  if (response->finished && (connection->body.over || response->is_last)) {
    go_over(connection);
    return true;
  }
  if (connection->body.over) {
    tell_end(connection);
    return connection->state == BUSY && response->finished;
  }
  if (!connection->wanted && !response->finished)
    return false;
  if (take_body(connection))
    return true;
  if (connection->state == BUSY && connection->ended)
    fail(connection, 0, UV_ECONNRESET);
  return false;
}

/* What was asked for from outside the connection's own events, where none may
   be told. */
static void obey(struct mw_http_connection *connection) {
  enum order order = connection->order;
  connection->order = GO_ON;
  if (order == END)
    close_with(connection, UV_ECONNRESET);
  else if (connection->state == BUSY)
    fail(connection, 0, UV_ECONNRESET);
}

static bool step(struct mw_http_connection *connection) {
  if (connection->order != GO_ON)
    obey(connection);
  switch (connection->state) {
  case WAITING:
    return mw_http_output_unsent(&connection->output) < OUT_ENOUGH &&
           connection->output.file_left == 0 && take_request(connection);
  case BUSY: return go_on_with_exchange(connection);
  default: return false;
  }
}

/* the loop */

static void on_poll(uv_poll_t *poll, int status, int events);

static bool wants_input(const struct mw_http_connection *connection) {
  return !connection->ended &&
         (connection->state == LINGERS || connection->in.length < IN_MAX ||
          (connection->state == WAITING && !has_output(connection)));
}

static void watch(struct mw_http_connection *connection) {
  int events = wants_input(connection) ? UV_READABLE : 0;
  if (has_output(connection))
    events |= UV_WRITABLE;
  if (events == 0)
    events = UV_PRIORITIZED; /* nothing but that the connection is gone */
  if (events != connection->polled)
    uv_poll_start(&connection->poll, events, on_poll);
  connection->polled = events;
}

static void clear_deadline(struct mw_http_connection *connection) {
  if (connection->timed == UNTIMED)
    return;
  mw_deadline_clear(&connection->deadline);
  connection->timed = UNTIMED;
}

/* A request has its time, and so has the wait for one; handlers and clients
   that take what is sent have as long as they want. */
static void set_timing(struct mw_http_connection *connection) {
  const struct mw_http_limits *limits = &connection->service->limits;
  int timed = connection->timed;
  if (connection->state == LINGERS)
    return;
  if (connection->state == BUSY && !connection->body.over) {
    if (timed != MW_HTTP_BODY_DEADLINE)
      set_deadline(connection, MW_HTTP_BODY_DEADLINE, connection->began,
                   limits->request_timeout);
  } else if (connection->state != WAITING || has_output(connection))
    clear_deadline(connection);
  else if (connection->in.length > 0) {
    if (timed != MW_HTTP_HEAD_DEADLINE)
      await_head(connection);
  } else if (timed < 0)
    set_deadline(connection, MW_HTTP_IDLE_DEADLINE, now(connection),
                 limits->keep_alive_timeout);
}

static void keep_input(struct mw_http_connection *connection) {
  struct mw_http_span *input = &connection->input;
  struct mw_buffer *in = &connection->in;
  bool is_kept = in->length > 0;
  if (connection->state > BUSY)
    input->length = 0;
  if (input->length == 0)
    mw_buffer_free(in);
  else if (is_kept) {
    memmove(in->bytes, input->at, input->length);
    in->length = input->length;
  } else if (!mw_buffer_append(in, input->at, input->length))
    close_with(connection, UV_ENOMEM);
  *input = (struct mw_http_span){NULL, 0};
}

static bool tell_drain(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  if (connection->state != BUSY || !connection->told_enough)
    return false;
  connection->told_enough = false;
  service->events->on_drain(service->user, connection);
  return true;
}

/* Ends the connection where that is due and everything is out. */
static void end_if_due(struct mw_http_connection *connection) {
  bool is_over = connection->state == WAITING && connection->ended &&
                 connection->seen == connection->in.length;
  if (is_over || (connection->state == LAST && connection->needs_no_linger))
    close_with(connection, 0);
  else if (connection->state == LAST)
    linger(connection);
}

/* Whether there is more to do now that all is out: a writer was told so, or
   requests waited for that. */
static bool has_more_to_do(struct mw_http_connection *connection,
                           bool had_output) {
  return tell_drain(connection) ||
         (had_output && connection->state == WAITING &&
          connection->input.length > connection->seen);
}

/* Does all that can be done now, with what has come. What a batch of requests
   is answered goes out at once. */
static void run(struct mw_http_connection *connection) {
  bool had_output;
  connection->running = true;
  do {
    while (step(connection))
      ;
    had_output = has_output(connection);
  } while (connection->state != CLOSED && flush(connection) &&
           has_more_to_do(connection, had_output));
  connection->running = false;
}

static void go_on(struct mw_http_connection *connection) {
  run(connection);
  if (connection->state != CLOSED)
    keep_input(connection);
  if (connection->state != CLOSED && !has_output(connection))
    end_if_due(connection);
  if (connection->state == CLOSED)
    return;
  set_timing(connection);
  watch(connection);
}

/* What is kept is what there is to go on with. */
static void go_on_with_kept(struct mw_http_connection *connection) {
  connection->input =
      (struct mw_http_span){connection->in.bytes, connection->in.length};
  go_on(connection);
}

void mw_http_connection_go_on_due(struct mw_link *link) {
  struct mw_http_connection *connection =
      MW_LINKED(link, struct mw_http_connection, due);
  mw_list_remove(link);
  go_on_with_kept(connection);
}

/* Something was done from outside: the connection goes on before the loop
   waits. */
static void make_due(struct mw_http_connection *connection) {
  if (!connection->running && connection->state != CLOSED &&
      mw_list_is_empty(&connection->due))
    mw_list_append(&connection->service->due, &connection->due);
}

static void go_on_with(struct mw_http_connection *connection, size_t count) {
  struct mw_http_service *service = connection->service;
  if (connection->in.length == 0) {
    connection->input = (struct mw_http_span){service->scratch, count};
    if (connection->state == WAITING)
      connection->began = now(connection);
    go_on(connection);
  } else if (mw_buffer_append(&connection->in, service->scratch, count))
    go_on_with_kept(connection);
  else
    close_with(connection, UV_ENOMEM);
}

static void receive(struct mw_http_connection *connection) {
  ssize_t count;
  do
    count = recv(connection->fd, connection->service->scratch,
                 MW_HTTP_SCRATCH_SIZE, 0);
  while (count == -1 && errno == EINTR);
  if (count == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return;
  if (count == -1)
    close_with(connection, -errno);
  else if (count == 0) {
    connection->ended = true;
    if (connection->state == LINGERS)
      close_with(connection, 0);
    else
      go_on_with_kept(connection);
  } else if (connection->state != LINGERS)
    go_on_with(connection, (size_t)count);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct mw_http_connection *connection = of_poll(poll);
  if (status < 0 || (events & UV_PRIORITIZED)) {
    close_with(connection, UV_ECONNRESET);
    return;
  }
  if (events & UV_WRITABLE)
    go_on_with_kept(connection);
  if ((events & UV_READABLE) && connection->state != CLOSED)
    receive(connection);
}

/* deadlines */

void mw_http_connection_end_idle(struct mw_http_connection *connection) {
  if (connection->state != WAITING || connection->in.length > 0)
    return;
  connection->state = LAST;
  make_due(connection);
}

void mw_http_connection_expired(struct mw_deadline *deadline) {
  struct mw_http_connection *connection =
      MW_LINKED(deadline, struct mw_http_connection, deadline);
  int kind = connection->timed;
  connection->timed = UNTIMED;
  if (kind == MW_HTTP_LINGER_DEADLINE)
    close_with(connection, 0);
  else if (kind == MW_HTTP_IDLE_DEADLINE)
    mw_http_connection_end_idle(connection);
  else if (kind == MW_HTTP_HEAD_DEADLINE)
    refuse(connection, 408);
  else if (kind == MW_HTTP_BODY_DEADLINE)
    fail(connection, 408, UV_ETIMEDOUT);
  make_due(connection);
}

void mw_http_connection_turn_away(struct mw_http_connection *connection) {
  refuse(connection, 503);
  make_due(connection);
}

/* birth */

int mw_http_connection_open(struct mw_http_service *service, int fd) {
  struct mw_http_connection *connection = calloc(1, sizeof *connection);
  if (!connection)
    return UV_ENOMEM;
  int error = uv_poll_init(service->loop, &connection->poll, fd);
  if (error) {
    free(connection);
    return error;
  }
  connection->poll.data = NULL;
  connection->service = service;
  connection->fd = fd;
  connection->timed = UNTIMED;
  mw_list_init(&connection->due);
  mw_deadline_init(&connection->deadline);
  mw_list_append(&service->connections, &connection->link);
  service->count++;
  service->alive++;
  await_head(connection);
  watch(connection);
  return 0;
}

/* the exchange */

void **mw_http_connection_user(struct mw_http_connection *connection) {
  return &connection->user;
}

struct mw_buffer *mw_http_headers(struct mw_http_connection *connection) {
  return &connection->response.headers;
}

bool mw_http_connection_has_begun(const struct mw_http_connection *connection) {
  return connection->response.begun;
}

int mw_http_connection_begin(struct mw_http_connection *connection, int status,
                             struct mw_http_span reason) {
  int error = mw_http_response_begin(&connection->response, connection->service,
                                     out(connection), status, reason, -1);
  make_due(connection);
  return error;
}

int mw_http_connection_write(struct mw_http_connection *connection,
                             const char *bytes, size_t length) {
  int error = mw_http_response_write(&connection->response, out(connection),
                                     bytes, length);
  make_due(connection);
  if (error)
    return error;
  if (mw_http_output_unsent(&connection->output) >= OUT_ENOUGH)
    connection->told_enough = true;
  return connection->told_enough;
}

int mw_http_connection_finish(struct mw_http_connection *connection) {
  int error = mw_http_response_finish(&connection->response, out(connection));
  if (error == UV_EPROTO)
    mw_http_connection_cut(connection);
  make_due(connection);
  return error;
}

static int begin_whole(struct mw_http_connection *connection, int status,
                       struct mw_http_span reason, uint64_t length) {
  return mw_http_response_begin(&connection->response, connection->service,
                                out(connection), status, reason,
                                (int64_t)length);
}

int mw_http_connection_respond(struct mw_http_connection *connection,
                               int status, struct mw_http_span reason,
                               const char *bytes, size_t length) {
  int error = begin_whole(connection, status, reason, length);
  if (error)
    return error;
  error = mw_http_connection_write(connection, bytes, length);
  if (error) {
    mw_http_connection_cut(connection);
    return error;
  }
  return mw_http_connection_finish(connection);
}

int mw_http_connection_respond_file(struct mw_http_connection *connection,
                                    int status, struct mw_http_span reason,
                                    int fd, uint64_t offset, uint64_t length) {
  struct mw_http_response *response = &connection->response;
  int error = begin_whole(connection, status, reason, length);
  if (error)
    return error;
  make_due(connection);
  response->finished = true;
  if (response->has_no_body || length == 0)
    mw_fd_close(fd);
  else
    mw_http_output_add_file(&connection->output, fd, offset, length);
  return 0;
}

void mw_http_connection_want(struct mw_http_connection *connection,
                             bool wanted) {
  connection->wanted = wanted;
  if (wanted)
    make_due(connection);
}

bool mw_http_connection_body_is_over(
    const struct mw_http_connection *connection) {
  return connection->body.over;
}

bool mw_http_connection_is_done(const struct mw_http_connection *connection) {
  return connection->response.finished && connection->body.over;
}

void mw_http_connection_cut(struct mw_http_connection *connection) {
  if (connection->order == GO_ON)
    connection->order = CUT;
  make_due(connection);
}

void mw_http_connection_end(struct mw_http_connection *connection) {
  connection->order = END;
  make_due(connection);
}

void mw_http_connection_rest(const struct mw_http_connection *connection,
                             struct mw_http_span *unread,
                             struct mw_http_span *unsent_bytes) {
  *unread = connection->input;
  const struct mw_http_output *output = &connection->output;
  *unsent_bytes = (struct mw_http_span){output->bytes.bytes + output->sent,
                                        mw_http_output_unsent(output)};
}

int mw_http_connection_give_away(struct mw_http_connection *connection) {
  int fd = connection->fd;
  connection->fd = -1;
  connection->user = NULL;
  mw_buffer_free(&connection->response.headers);
  let_go(connection);
  return fd;
}

int mw_http_connection_fd(const struct mw_http_connection *connection) {
  return connection->fd;
}
