#include "cluster/intake.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/list.h"
#include "cluster/handoff.h"

/* A server under its key. One that has left stays while connections that were
   taken for it are handed out. */
struct service {
  struct mw_link link;
  uint32_t key;
  const struct mw_sink *sink;
  void *user;
  size_t room;  /* for the packet that is being answered */
  bool refuses; /* it has had no room, and the master knows */
  bool referenced, left;
};

struct mw_intake {
  uv_poll_t poll;
  uv_check_t observer;
  int fd;
  int open_handles;
  const struct mw_intake_events *events;
  void *user;
  struct mw_link services;
  struct mw_board *board;
  struct mw_handoff handoff; /* the packet, with descriptors of ours */
  uint8_t verdicts[MW_HANDOFF_MAX];
  uint32_t open; /* as the board has it */
  bool counts, handing_out, closing;
};

#define OWNER(handle, member) MW_LINKED(handle, struct mw_intake, member)

static void observe(uv_check_t *observer);

static struct service *service_at(struct mw_link *link) {
  return MW_LINKED(link, struct service, link);
}

static struct service *find(const struct mw_intake *intake, uint32_t key) {
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next)
    if (service_at(link)->key == key && !service_at(link)->left)
      return service_at(link);
  return NULL;
}

/* Whether some server wants the loop to live. */
static void update_reference(struct mw_intake *intake) {
  bool referenced = false;
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next)
    referenced |= service_at(link)->referenced && !service_at(link)->left;
  if (referenced)
    uv_ref((uv_handle_t *)&intake->poll);
  else
    uv_unref((uv_handle_t *)&intake->poll);
}

/* answering */

static uint32_t count_open(const struct mw_intake *intake) {
  size_t open = 0;
  for (struct mw_link *link = intake->services.next;
       intake->counts && link != &intake->services; link = link->next) {
    const struct service *service = service_at(link);
    open += service->sink->open(service->user);
  }
  return open < UINT32_MAX ? (uint32_t)open : UINT32_MAX;
}

static void ask_for_room(struct mw_intake *intake) {
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next) {
    struct service *service = service_at(link);
    service->room = service->left ? 0 : service->sink->room(service->user);
  }
}

static bool takes(const struct mw_intake *intake, size_t index) {
  struct service *service = find(intake, intake->handoff.records[index].key);
  if (!service || intake->handoff.fds[index] < 0)
    return false;
  bool has_room = service->room > 0;
  if (has_room)
    service->room--;
  service->refuses |= !has_room;
  return has_room ||
         (intake->handoff.records[index].beyond && service->sink->turns_away);
}

static bool has_room_again(const struct mw_intake *intake) {
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next) {
    const struct service *service = service_at(link);
    if (service->refuses && !service->left &&
        service->sink->room(service->user) > 0)
      return true;
  }
  return false;
}

static void refuse_no_more(struct mw_intake *intake) {
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next)
    service_at(link)->refuses = false;
}

static bool any_refuses(const struct mw_intake *intake) {
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next)
    if (service_at(link)->refuses)
      return true;
  return false;
}

/* There is something to tell once it changes. */
static void update_observer(struct mw_intake *intake) {
  if (intake->counts || any_refuses(intake))
    uv_check_start(&intake->observer, observe);
  else
    uv_check_stop(&intake->observer);
}

static void set_open(struct mw_intake *intake, uint32_t open) {
  intake->open = open;
  mw_board_set_open(intake->board, open);
}

static void wake_master(struct mw_intake *intake) {
  if (mw_board_take_call(intake->board))
    mw_handoff_wake(intake->fd);
}

/* Says what becomes of the packet, before anything does. */
static void judge(struct mw_intake *intake) {
  size_t count = intake->handoff.count;
  uint32_t taken = 0;
  ask_for_room(intake);
  for (size_t i = 0; i < count; i++) {
    intake->verdicts[i] = takes(intake, i);
    taken += intake->verdicts[i];
  }
  if (intake->counts)
    set_open(intake, count_open(intake) + taken);
  mw_board_say(intake->board, intake->verdicts, count);
  wake_master(intake);
  update_observer(intake);
}

/* handing out */

static void forget_those_that_left(struct mw_intake *intake) {
  struct mw_link *link = intake->services.next;
  while (link != &intake->services) {
    struct service *service = service_at(link);
    link = link->next;
    if (!service->left)
      continue;
    mw_list_remove(&service->link);
    service->sink->released(service->user);
    free(service);
  }
}

/* The server that took it, also where it has left in the meantime. */
static struct service *taker(const struct mw_intake *intake, uint32_t key) {
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next)
    if (service_at(link)->key == key)
      return service_at(link);
  return NULL;
}

static void hand_out(struct mw_intake *intake) {
  struct mw_handoff *handoff = &intake->handoff;
  size_t count = handoff->count;
  intake->handing_out = true;
  handoff->count = 0;
  for (size_t i = 0; i < count; i++) {
    struct service *service =
        intake->verdicts[i] ? taker(intake, handoff->records[i].key) : NULL;
    if (service)
      service->sink->take(service->user, handoff->fds[i]);
    else if (handoff->fds[i] >= 0)
      mw_fd_close(handoff->fds[i]);
  }
  intake->handing_out = false;
  forget_those_that_left(intake);
}

static void end(struct mw_intake *intake) {
  uv_poll_stop(&intake->poll);
  intake->events->on_end(intake->user);
}

/* Another image of the master goes on with the way: on the board that it knows
   is said what follows. Without that the way is of no use, and the master is to
   hear so. */
static void change_board(struct mw_intake *intake) {
  struct mw_board *board;
  int error = mw_handoff_take_board(&intake->handoff, &board);
  intake->handoff.count = 0;
  if (error) {
    shutdown(intake->fd, SHUT_RDWR);
    return;
  }
  mw_board_unmap(intake->board);
  intake->board = board;
  mw_board_set_open(board, intake->open);
}

static void receive(struct mw_intake *intake) {
  int count = mw_handoff_receive(intake->fd, &intake->handoff);
  if (count == UV_EAGAIN)
    return;
  if (count <= 0) {
    end(intake);
    return;
  }
  if (mw_handoff_has_board(&intake->handoff)) {
    change_board(intake);
    return;
  }
  judge(intake);
  hand_out(intake);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)events;
  if (status <
      0) /* the poll was stopped by an error, which is the next call's */
    uv_poll_start(poll, UV_READABLE, on_poll);
  receive(OWNER(poll, poll));
}

/* Once a turn: connections also come and go without the master. */
static void observe(uv_check_t *observer) {
  struct mw_intake *intake = OWNER(observer, observer);
  uint32_t open = count_open(intake);
  bool has_room = has_room_again(intake);
  if (open == intake->open && !has_room)
    return;
  set_open(intake, open);
  if (has_room) {
    mw_board_say_room(intake->board);
    refuse_no_more(intake);
  }
  wake_master(intake);
  update_observer(intake);
}

/* servers */

int mw_intake_serve(struct mw_intake *intake, uint32_t key,
                    const struct mw_sink *sink, void *user) {
  struct service *service = calloc(1, sizeof *service);
  if (!service)
    return UV_ENOMEM;
  service->key = key;
  service->sink = sink;
  service->user = user;
  service->referenced = true;
  mw_list_append(&intake->services, &service->link);
  update_reference(intake);
  return 0;
}

void mw_intake_leave(struct mw_intake *intake, uint32_t key) {
  struct service *service = find(intake, key);
  if (!service)
    return;
  service->left = true;
  if (!intake->handing_out)
    forget_those_that_left(intake);
  if (!intake->closing)
    update_reference(intake);
}

void mw_intake_set_referenced(struct mw_intake *intake, uint32_t key,
                              bool referenced) {
  struct service *service = find(intake, key);
  if (!service || intake->closing)
    return;
  service->referenced = referenced;
  update_reference(intake);
}

/* life */

static void handle_closed(struct mw_intake *intake) {
  if (--intake->open_handles > 0)
    return;
  for (struct mw_link *link = intake->services.next; link != &intake->services;
       link = link->next)
    service_at(link)->left = true;
  forget_those_that_left(intake);
  mw_board_unmap(intake->board);
  intake->events->on_closed(intake->user);
  free(intake);
}

static void on_poll_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, poll));
}

static void on_observer_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, observer));
}

int mw_intake_open(uv_loop_t *loop, int fd, bool counts,
                   const struct mw_intake_events *events, void *user,
                   struct mw_intake **result) {
  struct mw_intake *intake = calloc(1, sizeof *intake);
  if (!intake)
    return UV_ENOMEM;
  int error = mw_handoff_receive_board(fd, &intake->board);
  if (!error)
    error = uv_poll_init(loop, &intake->poll, fd);
  if (error) {
    if (intake->board)
      mw_board_unmap(intake->board);
    free(intake);
    return error;
  }
  uv_check_init(loop, &intake->observer);
  intake->poll.data = intake->observer.data = NULL;
  intake->open_handles = 2;
  intake->fd = fd;
  intake->counts = counts;
  intake->events = events;
  intake->user = user;
  mw_list_init(&intake->services);
  uv_poll_start(&intake->poll, UV_READABLE, on_poll);
  uv_unref((uv_handle_t *)&intake->poll);
  update_observer(intake);
  uv_unref((uv_handle_t *)&intake->observer);
  *result = intake;
  return 0;
}

void mw_intake_close(struct mw_intake *intake) {
  if (intake->closing)
    return;
  intake->closing = true;
  mw_fd_close(intake->fd);
  uv_close((uv_handle_t *)&intake->poll, on_poll_closed);
  uv_close((uv_handle_t *)&intake->observer, on_observer_closed);
}
