#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "http/connection.h"
#include "http/service.h"
#include "http/timing.h"
#include "net/acceptor.h"

/* Past the limit so many more get an answer; others are closed. */
enum { TURNED_AWAY_MAX = 1024 };

struct mw_http_server {
  struct mw_http_service service;
  struct mw_acceptor *acceptor; /* NULL where it does not listen */
  struct mw_deadline drain;
  bool referenced;
  bool closing;
  int open_handles; /* those of acceptors that still close too */
};

static struct mw_http_server *of_service(struct mw_http_service *service) {
  return MW_LINKED(service, struct mw_http_server, service);
}

static void free_if_over(struct mw_http_server *server) {
  if (!server->closing || server->open_handles > 0 || server->service.alive > 0)
    return;
  server->service.events->on_closed(server->service.user);
  mw_buffer_free(&server->service.spare);
  mw_buffer_free(&server->service.spare_block);
  free(server);
}

static void on_left(struct mw_http_service *service) {
  struct mw_http_server *server = of_service(service);
  if (service->alive == 0 && service->draining && !server->closing)
    service->events->on_empty(service->user);
  else
    free_if_over(server);
}

/* taking connections */

static int take(struct mw_http_server *server, int fd, bool handed_over,
                struct mw_http_span unread) {
  struct mw_http_service *service = &server->service;
  size_t most = service->limits.max_connections;
  if (server->closing || (most && service->count >= most + TURNED_AWAY_MAX))
    return UV_ECANCELED;
  int error = mw_http_connection_open(service, fd, handed_over, unread);
  if (!error && most && service->count > most)
    mw_http_connection_turn_away(
        mw_http_connection_of(service->connections.prev));
  return error;
}

int mw_http_server_take_accepted(struct mw_http_server *server, int fd) {
  return take(server, fd, false, (struct mw_http_span){NULL, 0});
}

int mw_http_server_take(struct mw_http_server *server, int fd) {
  return take(server, fd, true, (struct mw_http_span){NULL, 0});
}

int mw_http_server_take_begun(struct mw_http_server *server, int fd,
                              const char *unread, size_t length) {
  return take(server, fd, true, (struct mw_http_span){unread, length});
}

static void on_connection(void *user, int fd) {
  if (mw_http_server_take_accepted(user, fd) < 0)
    mw_fd_close(fd);
}

static void on_refused(void *user, int error) {
  struct mw_http_server *server = user;
  server->service.events->on_refused(server->service.user, error);
}

static void handle_closed(struct mw_http_server *server) {
  server->open_handles--;
  free_if_over(server);
}

static void on_acceptor_closed(void *user) {
  handle_closed(user);
}

static const struct mw_acceptor_events acceptor_events = {
    .on_connection = on_connection,
    .on_refused = on_refused,
    .on_closed = on_acceptor_closed,
};

void mw_http_server_prepare(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int mw_http_server_listen(struct mw_http_server *server, int fd) {
  int error = mw_acceptor_open(server->service.loop, fd, false,
                               &acceptor_events, server, &server->acceptor);
  if (error)
    return error;
  mw_http_server_prepare(fd);
  server->open_handles++;
  server->service.draining = false;
  mw_acceptor_set_referenced(server->acceptor, server->referenced);
  mw_acceptor_start(server->acceptor);
  return 0;
}

static void stop_listening(struct mw_http_server *server) {
  if (server->acceptor)
    mw_acceptor_close(server->acceptor);
  server->acceptor = NULL;
}

void mw_http_server_set_referenced(struct mw_http_server *server,
                                   bool referenced) {
  server->referenced = referenced;
  if (server->acceptor)
    mw_acceptor_set_referenced(server->acceptor, referenced);
}

/* connections */

/* Calls it for each connection, also where it closes some. */
static void for_each(struct mw_http_server *server,
                     void (*call)(struct mw_http_connection *connection)) {
  struct mw_link *list = &server->service.connections, todo;
  mw_list_init(&todo);
  while (!mw_list_is_empty(list)) {
    struct mw_link *link = list->next;
    mw_list_remove(link);
    mw_list_append(&todo, link);
  }
  while (!mw_list_is_empty(&todo)) {
    struct mw_link *link = todo.next;
    mw_list_remove(link);
    mw_list_append(list, link);
    call(mw_http_connection_of(link));
  }
}

void mw_http_server_end_idle(struct mw_http_server *server) {
  for_each(server, mw_http_connection_end_idle);
}

void mw_http_server_end_all(struct mw_http_server *server) {
  for_each(server, mw_http_connection_end);
}

size_t mw_http_server_room(const struct mw_http_server *server) {
  size_t most = server->service.limits.max_connections;
  size_t count = server->service.count;
  if (!most)
    return SIZE_MAX;
  return count < most ? most - count : 0;
}

size_t mw_http_server_count(const struct mw_http_server *server) {
  return server->service.count;
}

void mw_http_server_drain(struct mw_http_server *server) {
  struct mw_http_service *service = &server->service;
  stop_listening(server);
  service->draining = true;
  mw_deadline_set(&service->deadlines, &server->drain, MW_HTTP_DRAIN_DEADLINE,
                  uv_now(service->loop), service->limits.drain_timeout);
}

/* the loop */

static void on_expired(void *user, struct mw_deadline *deadline) {
  struct mw_http_server *server = user;
  if (deadline == &server->drain)
    mw_http_server_end_idle(server);
  else
    mw_http_timing_expired(deadline);
}

static void free_gone(struct mw_http_service *service) {
  while (!mw_list_is_empty(&service->gone))
    mw_http_connection_free(mw_http_connection_of(service->gone.next));
}

/* Those that become due meanwhile stand behind the end, and have their turn
   next time, until which the loop does not wait. */
static void on_before_wait(uv_idle_t *before_wait) {
  struct mw_http_service *service =
      MW_LINKED(before_wait, struct mw_http_service, before_wait);
  struct mw_link end;
  mw_list_append(&service->due, &end);
  while (service->due.next != &end)
    mw_http_connection_go_on_due(service->due.next);
  mw_list_remove(&end);
  if (mw_list_is_empty(&service->due))
    uv_idle_stop(before_wait);
  free_gone(service);
}

/* life */

static void write_keep_alive(struct mw_http_service *service) {
  unsigned long long seconds = service->limits.keep_alive_timeout / 1000;
  snprintf(service->keep_alive, sizeof service->keep_alive,
           "Connection: keep-alive\r\n");
  if (seconds > 0)
    snprintf(service->keep_alive, sizeof service->keep_alive,
             "Connection: keep-alive\r\nKeep-Alive: timeout=%llu\r\n",
             seconds % 1000000000);
}

static int init_service(struct mw_http_server *server, uv_loop_t *loop) {
  struct mw_http_service *service = &server->service;
  int error =
      mw_arrivals_open(&service->arrivals, loop, mw_http_connection_arrived);
  if (error)
    return error;
  service->loop = loop;
  service->on_left = on_left;
  mw_list_init(&service->connections);
  mw_list_init(&service->gone);
  mw_list_init(&service->due);
  mw_deadlines_init(&service->deadlines, loop, on_expired, server);
  uv_idle_init(loop, &service->before_wait);
  service->before_wait.data = NULL;
  service->on_before_wait = on_before_wait;
  server->open_handles = 3;
  mw_deadline_init(&server->drain);
  write_keep_alive(service);
  return 0;
}

int mw_http_server_open(uv_loop_t *loop, const struct mw_http_limits *limits,
                        const struct mw_http_events *events, void *user,
                        struct mw_http_server **server) {
  struct mw_http_server *made = calloc(1, sizeof *made);
  if (!made)
    return UV_ENOMEM;
  made->referenced = true;
  made->service.limits = *limits;
  made->service.events = events;
  made->service.user = user;
  int error = init_service(made, loop);
  if (error)
    free(made);
  else
    *server = made;
  return error;
}

static void on_timer_closed(uv_handle_t *handle) {
  handle_closed(
      of_service(MW_LINKED(handle, struct mw_http_service, deadlines.timer)));
}

static void on_idle_closed(uv_handle_t *handle) {
  handle_closed(
      of_service(MW_LINKED(handle, struct mw_http_service, before_wait)));
}

static void on_arrivals_closed(uv_handle_t *handle) {
  handle_closed(
      of_service(MW_LINKED(handle, struct mw_http_service, arrivals.poll)));
}

void mw_http_server_close(struct mw_http_server *server) {
  if (server->closing)
    return;
  server->closing = true;
  stop_listening(server);
  for_each(server, mw_http_connection_close);
  free_gone(&server->service);
  mw_deadline_clear(&server->drain);
  uv_close((uv_handle_t *)&server->service.deadlines.timer, on_timer_closed);
  uv_close((uv_handle_t *)&server->service.before_wait, on_idle_closed);
  mw_arrivals_close(&server->service.arrivals, on_arrivals_closed);
}
