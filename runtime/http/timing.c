#include "http/timing.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "http/connection.h"
#include "http/connection_state.h"
#include "http/requests.h"

/* What a peer has after our end to read it and end too. */
enum { LINGER_MS = 2000 };

/* How many bytes the kernel holds that the peer has not taken. */
static int unacked(const struct mw_http_connection *connection) {
  int count;
  return ioctl(connection->fd, SIOCOUTQ, &count) == -1 ? 0 : count;
}

/* A request has its time, and so have the wait for one, and the client to take
   what is sent. Handlers have as long as they want, unless the client has ended
   its side: it may wait for its answer, but far more likely it has left. */
static int kind_of(const struct mw_http_connection *connection) {
  bool reads_body = connection->state == MW_HTTP_BUSY && !connection->body.over;
  if (connection->state == MW_HTTP_LINGERS)
    return MW_HTTP_LINGER_DEADLINE;
  if (reads_body && connection->service->limits.request_timeout > 0)
    return MW_HTTP_BODY_DEADLINE;
  if (!mw_http_output_is_empty(&connection->output))
    return MW_HTTP_SEND_DEADLINE;
  if (connection->state == MW_HTTP_BUSY && connection->input.ended)
    return MW_HTTP_ABANDONED_DEADLINE;
  if (connection->state != MW_HTTP_WAITING)
    return MW_HTTP_UNTIMED;
  if (connection->input.kept.length > 0 || !connection->has_served)
    return MW_HTTP_HEAD_DEADLINE;
  return MW_HTTP_IDLE_DEADLINE;
}

/* The head has to come before the whole request has to. */
static uint64_t head_timeout(const struct mw_http_limits *limits) {
  uint64_t head = limits->headers_timeout, whole = limits->request_timeout;
  return head == 0 || (whole && whole < head) ? whole : head;
}

static uint64_t timeout_of(const struct mw_http_limits *limits, int kind) {
  switch (kind) {
  case MW_HTTP_HEAD_DEADLINE: return head_timeout(limits);
  case MW_HTTP_BODY_DEADLINE: return limits->request_timeout;
  case MW_HTTP_SEND_DEADLINE: return limits->send_timeout;
  case MW_HTTP_IDLE_DEADLINE:
  case MW_HTTP_ABANDONED_DEADLINE: return limits->keep_alive_timeout;
  case MW_HTTP_LINGER_DEADLINE: return LINGER_MS;
  default: return 0;
  }
}

void mw_http_timing_set(struct mw_http_connection *connection) {
  int kind = kind_of(connection);
  if (kind == connection->timed)
    return;
  uint64_t ms = timeout_of(&connection->service->limits, kind);
  uint64_t start = kind == MW_HTTP_BODY_DEADLINE
                       ? connection->began
                       : uv_now(connection->service->loop);
  if (kind == MW_HTTP_SEND_DEADLINE)
    connection->unacked = unacked(connection);
  connection->timed = kind;
  if (ms > 0)
    mw_deadline_set(&connection->service->deadlines, &connection->deadline,
                    kind, start, ms);
  else
    mw_deadline_clear(&connection->deadline);
}

/* What the kernel holds becomes less while the peer reads, however slowly. */
static void end_if_stuck(struct mw_http_connection *connection) {
  if (unacked(connection) < connection->unacked)
    mw_http_connection_make_due(connection);
  else
    mw_http_connection_reset(connection, UV_ETIMEDOUT);
}

void mw_http_timing_expired(struct mw_deadline *deadline) {
  struct mw_http_connection *connection =
      MW_LINKED(deadline, struct mw_http_connection, deadline);
  int kind = connection->timed;
  connection->timed = MW_HTTP_UNTIMED;
  switch (kind) {
  case MW_HTTP_LINGER_DEADLINE:
    mw_http_connection_close_with(connection, 0);
    return;
  case MW_HTTP_SEND_DEADLINE: end_if_stuck(connection); return;
  case MW_HTTP_IDLE_DEADLINE: mw_http_connection_end_idle(connection); return;
  case MW_HTTP_ABANDONED_DEADLINE: mw_http_connection_close(connection); return;
  case MW_HTTP_HEAD_DEADLINE: mw_http_requests_refuse(connection, 408); break;
  default: mw_http_requests_fail(connection, 408, UV_ETIMEDOUT);
  }
  mw_http_connection_make_due(connection);
}
