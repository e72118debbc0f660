#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "http/connection_state.h"
#include "http/requests.h"
#include "http/timing.h"

static struct mw_http_connection *of_poll(uv_poll_t *poll) {
  return MW_LINKED(poll, struct mw_http_connection, poll);
}

struct mw_http_connection *mw_http_connection_of(struct mw_link *link) {
  return MW_LINKED(link, struct mw_http_connection, link);
}

/* closing */

void mw_http_connection_free(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  mw_list_remove(&connection->link);
  free(connection);
  service->alive--;
  service->on_left(service);
}

static void on_closed(uv_handle_t *handle) {
  mw_http_connection_free(of_poll((uv_poll_t *)handle));
}

static void leave_arrivals(struct mw_http_connection *connection) {
  struct mw_arrivals *arrivals = &connection->service->arrivals;
  if (connection->watch == MW_HTTP_ARRIVING)
    mw_arrivals_remove(arrivals, connection->fd, connection);
}

/* Frees everything but what the handle needs to close. */
static void let_go(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  connection->state = MW_HTTP_GONE;
  service->count--;
  mw_deadline_clear(&connection->deadline);
  mw_list_remove(&connection->link);
  mw_list_remove(&connection->due);
  mw_http_output_drop_file(&connection->output);
  mw_http_input_drop(&connection->input);
  mw_http_service_take_back(&service->spare, &connection->output.bytes);
  leave_arrivals(connection);
  if (connection->watch == MW_HTTP_POLLED)
    uv_close((uv_handle_t *)&connection->poll, on_closed);
  else
    mw_http_service_add_gone(service, &connection->link);
}

void mw_http_connection_close_with(struct mw_http_connection *connection,
                                   int error) {
  if (connection->state == MW_HTTP_GONE)
    return;
  bool was_busy = connection->state == MW_HTTP_BUSY;
  let_go(connection);
  mw_fd_close(connection->fd);
  connection->fd = -1;
  if (was_busy)
    mw_http_requests_end_exchange(connection, error);
}

void mw_http_connection_close(struct mw_http_connection *connection) {
  mw_http_connection_close_with(connection, UV_ECONNRESET);
}

void mw_http_connection_reset(struct mw_http_connection *connection,
                              int error) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  mw_http_connection_close_with(connection, error);
}

int mw_http_connection_give_away(struct mw_http_connection *connection) {
  int fd = connection->fd;
  if (connection->watch == MW_HTTP_ARRIVED)
    mw_arrivals_forget(&connection->service->arrivals, fd);
  connection->fd = -1;
  connection->user = NULL;
  mw_buffer_free(&connection->response.headers);
  let_go(connection);
  return fd;
}

/* Closing while bytes are unread, or come later, resets the connection, which
   might cut the answer. It tells the peer nothing as long as who has handed the
   connection over has a copy. */
static void linger(struct mw_http_connection *connection) {
  bool closes = connection->input.ended || connection->needs_no_linger;
  if (closes && connection->handed_over)
    shutdown(connection->fd, SHUT_WR);
  if (closes || shutdown(connection->fd, SHUT_WR) == -1) {
    mw_http_connection_close_with(connection, 0);
    return;
  }
  connection->state = MW_HTTP_LINGERS;
  mw_http_input_drop(&connection->input);
}

/* going out */

struct mw_buffer *
mw_http_connection_out(struct mw_http_connection *connection) {
  struct mw_buffer *bytes = &connection->output.bytes;
  mw_http_service_lend(&connection->service->spare, bytes);
  return bytes;
}

/* What is written is a whole answer, or all there is of it: to wait for more
   would only be late. The first packet never waits. Unix sockets have no such
   option. */
static void set_no_delay(struct mw_http_connection *connection) {
  int on = 1;
  setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connection->may_delay = false;
}

/* Returns whether all went out; a failure closes the connection. */
static bool flush(struct mw_http_connection *connection) {
  struct mw_http_output *output = &connection->output;
  if (mw_http_output_is_empty(output))
    return true;
  if (connection->may_delay && connection->has_sent)
    set_no_delay(connection);
  connection->has_sent = true;
  size_t unsent = mw_http_output_unsent(output);
  uint64_t file_left = output->file_left;
  int error = mw_http_output_flush(output, connection->fd);
  if (connection->timed == MW_HTTP_ABANDONED_DEADLINE)
    connection->timed = MW_HTTP_STALE;
  if (error == 0)
    mw_http_service_take_back(&connection->service->spare, &output->bytes);
  else if (error != UV_EAGAIN)
    mw_http_connection_close_with(connection, error);
  else if (mw_http_output_unsent(output) < unsent ||
           output->file_left < file_left)
    connection->timed = MW_HTTP_STALE;
  return error == 0;
}

/* waiting */

static void on_poll(uv_poll_t *poll, int status, int events);

static bool wants_input(const struct mw_http_connection *connection) {
  const struct mw_http_input *input = &connection->input;
  return !input->ended && (connection->state == MW_HTTP_LINGERS ||
                           input->kept.length < MW_HTTP_IN_MAX ||
                           (connection->state == MW_HTTP_WAITING &&
                            mw_http_output_is_empty(&connection->output)));
}

static int events_of(const struct mw_http_connection *connection) {
  int events = wants_input(connection) ? UV_READABLE : 0;
  if (!mw_http_output_is_empty(&connection->output))
    events |= UV_WRITABLE;
  /* Nothing but that the connection is gone. */
  return events ? events : UV_PRIORITIZED;
}

static int open_poll(struct mw_http_connection *connection) {
  struct mw_http_service *service = connection->service;
  leave_arrivals(connection);
  if (connection->watch == MW_HTTP_ARRIVED)
    mw_arrivals_forget(&service->arrivals, connection->fd);
  connection->watch = MW_HTTP_NEW;
  int error = uv_poll_init(service->loop, &connection->poll, connection->fd);
  connection->poll.data = NULL;
  if (!error)
    connection->watch = MW_HTTP_POLLED;
  return error;
}

static int poll_for(struct mw_http_connection *connection, int events) {
  int error = connection->watch == MW_HTTP_POLLED ? 0 : open_poll(connection);
  if (!error && events != connection->polled)
    error = uv_poll_start(&connection->poll, events, on_poll);
  connection->polled = events;
  return error;
}

static int await_arrival(struct mw_http_connection *connection) {
  if (connection->watch == MW_HTTP_ARRIVING)
    return 0;
  connection->watch = MW_HTTP_ARRIVING;
  return mw_arrivals_add(&connection->service->arrivals, connection->fd,
                         connection);
}

static void watch(struct mw_http_connection *connection) {
  int events = events_of(connection);
  bool may_be_short =
      connection->watch <= MW_HTTP_ARRIVING && events == UV_READABLE &&
      connection->state == MW_HTTP_WAITING && !connection->has_served;
  int error =
      may_be_short ? await_arrival(connection) : poll_for(connection, events);
  if (error)
    mw_http_connection_close_with(connection, error);
}

/* Ends the connection where that is due and everything is out. */
static void end_if_due(struct mw_http_connection *connection) {
  const struct mw_http_input *input = &connection->input;
  bool is_over = connection->state == MW_HTTP_WAITING && input->ended &&
                 input->seen == input->kept.length;
  if (is_over)
    mw_http_connection_close_with(connection, 0);
  else if (connection->state == MW_HTTP_LAST)
    linger(connection);
}

/* going on */

/* Whether there is more to do now that all is out: a writer was told so, or
   requests waited for that. */
static bool has_more_to_do(struct mw_http_connection *connection,
                           bool had_output) {
  const struct mw_http_input *input = &connection->input;
  return mw_http_requests_tell_drain(connection) ||
         (had_output && connection->state == MW_HTTP_WAITING &&
          input->now.length > input->seen);
}

/* Does all that can be done now, with what has come. What a batch of requests
   is answered goes out at once. */
static void run(struct mw_http_connection *connection) {
  bool had_output;
  connection->running = true;
  do {
    while (mw_http_requests_step(connection))
      ;
    had_output = !mw_http_output_is_empty(&connection->output);
  } while (connection->state != MW_HTTP_GONE && flush(connection) &&
           has_more_to_do(connection, had_output));
  connection->running = false;
}

static void keep_input(struct mw_http_connection *connection) {
  if (connection->state > MW_HTTP_BUSY)
    mw_http_input_drop(&connection->input);
  else if (!mw_http_input_keep(&connection->input))
    mw_http_connection_close_with(connection, UV_ENOMEM);
}

static void go_on(struct mw_http_connection *connection) {
  run(connection);
  keep_input(connection);
  if (mw_http_output_is_empty(&connection->output))
    end_if_due(connection);
  if (connection->state == MW_HTTP_GONE)
    return;
  mw_http_timing_set(connection);
  watch(connection);
}

static void go_on_with_kept(struct mw_http_connection *connection) {
  mw_http_input_open(&connection->input);
  go_on(connection);
}

static void go_on_with(struct mw_http_connection *connection, size_t count) {
  struct mw_http_input *input = &connection->input;
  if (connection->state == MW_HTTP_WAITING && input->kept.length == 0)
    connection->began = uv_now(connection->service->loop);
  if (mw_http_input_add(input, connection->service->scratch, count))
    go_on(connection);
  else
    mw_http_connection_close_with(connection, UV_ENOMEM);
}

static void receive(struct mw_http_connection *connection) {
  ptrdiff_t count =
      mw_http_input_receive(&connection->input, connection->fd,
                            connection->service->scratch, MW_HTTP_SCRATCH_SIZE);
  bool lingers = connection->state == MW_HTTP_LINGERS;
  if (count == UV_EAGAIN || (count > 0 && lingers))
    return;
  if (count < 0 || lingers)
    mw_http_connection_close_with(connection, (int)count);
  else if (count == 0)
    go_on_with_kept(connection);
  else
    go_on_with(connection, (size_t)count);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct mw_http_connection *connection = of_poll(poll);
  if (status < 0 || (events & UV_PRIORITIZED)) {
    mw_http_connection_close_with(connection, UV_ECONNRESET);
    return;
  }
  if (events & UV_WRITABLE)
    go_on_with_kept(connection);
  if ((events & UV_READABLE) && connection->state != MW_HTTP_GONE)
    receive(connection);
}

/* before the loop waits */

void mw_http_connection_make_due(struct mw_http_connection *connection) {
  if (!connection->running && connection->state != MW_HTTP_GONE)
    mw_http_service_add_due(connection->service, &connection->due);
}

/* The request of a new one may be there already. */
void mw_http_connection_go_on_due(struct mw_link *link) {
  struct mw_http_connection *connection =
      MW_LINKED(link, struct mw_http_connection, due);
  bool is_new =
      connection->watch == MW_HTTP_NEW && connection->state == MW_HTTP_WAITING;
  mw_list_remove(link);
  if (is_new)
    receive(connection);
  if (!is_new ||
      (connection->watch == MW_HTTP_NEW && connection->state != MW_HTTP_GONE))
    go_on_with_kept(connection);
}

void mw_http_connection_arrived(void *user) {
  struct mw_http_connection *connection = user;
  connection->watch = MW_HTTP_ARRIVED;
  receive(connection);
  if (connection->watch == MW_HTTP_ARRIVED && connection->state != MW_HTTP_GONE)
    watch(connection); /* in vain */
}

void mw_http_connection_end_idle(struct mw_http_connection *connection) {
  if (connection->state != MW_HTTP_WAITING || connection->input.kept.length > 0)
    return;
  connection->state = MW_HTTP_LAST;
  mw_http_connection_make_due(connection);
}

void mw_http_connection_turn_away(struct mw_http_connection *connection) {
  mw_http_requests_refuse(connection, 503);
  mw_http_connection_make_due(connection);
}

/* birth */

int mw_http_connection_open(struct mw_http_service *service, int fd,
                            bool handed_over, struct mw_http_span unread) {
  struct mw_http_connection *connection = calloc(1, sizeof *connection);
  if (!connection)
    return UV_ENOMEM;
  if (!mw_buffer_append(&connection->input.kept, unread.at, unread.length)) {
    free(connection);
    return UV_ENOMEM;
  }
  connection->service = service;
  connection->fd = fd;
  connection->timed = MW_HTTP_UNTIMED;
  connection->handed_over = connection->may_delay = handed_over;
  connection->began = uv_now(connection->service->loop);
  mw_list_init(&connection->due);
  mw_deadline_init(&connection->deadline);
  mw_list_append(&service->connections, &connection->link);
  service->count++;
  service->alive++;
  mw_http_connection_make_due(connection);
  return 0;
}
