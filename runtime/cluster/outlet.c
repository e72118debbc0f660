#include "cluster/outlet.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "cluster/dispatcher.h"
#include "cluster/handoff.h"

enum {
  WINDOW_MIN = 1, /* unanswered connections, of a worker that was quiet */
  WINDOW_MAX = 64,
  PENDING_MAX = 1024, /* each is a descriptor here */
  QUICK_MS = 5,       /* an answer that comes in time */
  PATIENCE_MS = 25,   /* with who has answered in time until now */
  COLLECT_MS = 2,     /* an answer that nobody waits for may lie so long */
  RETRY_MS = 10       /* after a refusal by the kernel */
};

struct mw_outlet {
  uv_poll_t poll;
  uv_timer_t retry, collector;
  int fd;
  int open_handles;
  const struct mw_outlet_events *events;
  void *user;

  struct mw_link queued, sent; /* connections, in order */
  size_t pending;              /* how many there are in both */
  size_t window;               /* grows while answers come in time */
  struct mw_board *board;
  uint64_t heard; /* verdicts, of those that are on it */
  uint32_t rooms; /* as it was on it last */
  struct mw_link members;
  bool slow; /* its last answer did not come in time */
  bool active, blocked, ended, closing;
};

#define OWNER(handle, member) MW_LINKED(handle, struct mw_outlet, member)

static void on_poll(uv_poll_t *poll, int status, int events);

static uint64_t now_of(const struct mw_outlet *outlet) {
  return uv_now(outlet->poll.loop);
}

static struct mw_connection *first_of(const struct mw_link *list) {
  return MW_LINKED(list->next, struct mw_connection, link);
}

/* The oldest that the worker has not spoken of. */
static const struct mw_connection *oldest(const struct mw_outlet *outlet) {
  if (!mw_list_is_empty(&outlet->sent))
    return first_of(&outlet->sent);
  return mw_list_is_empty(&outlet->queued) ? NULL : first_of(&outlet->queued);
}

bool mw_outlet_is_stalled(const struct mw_outlet *outlet) {
  const struct mw_connection *first = oldest(outlet);
  uint64_t patience = outlet->slow ? QUICK_MS : PATIENCE_MS;
  return first && now_of(outlet) - first->passed > patience;
}

bool mw_outlet_is_busy(const struct mw_outlet *outlet) {
  return outlet->pending >= outlet->window;
}

bool mw_outlet_is_full(const struct mw_outlet *outlet) {
  return outlet->pending >= PENDING_MAX;
}

size_t mw_outlet_pending(const struct mw_outlet *outlet) {
  return outlet->pending;
}

size_t mw_outlet_load(const struct mw_outlet *outlet) {
  return outlet->pending + mw_board_open(outlet->board);
}

int mw_outlet_fd(const struct mw_outlet *outlet) {
  return outlet->fd;
}

void *mw_outlet_user(const struct mw_outlet *outlet) {
  return outlet->user;
}

struct mw_link *mw_outlet_members(struct mw_outlet *outlet) {
  return &outlet->members;
}

/* Those who have waited for this worker go on. */
static void tell_dispatchers(struct mw_outlet *outlet) {
  for (struct mw_link *link = outlet->members.next; link != &outlet->members;
       link = link->next)
    mw_dispatcher_go_on(
        MW_LINKED(link, struct mw_member, of_outlet)->dispatcher);
}

bool mw_outlet_is_active(const struct mw_outlet *outlet) {
  return outlet->active && !outlet->ended && !outlet->closing;
}

void mw_outlet_set_active(struct mw_outlet *outlet, bool active) {
  outlet->active = active;
  tell_dispatchers(outlet);
}

/* what comes back */

static void settle(struct mw_outlet *outlet, struct mw_connection *connection) {
  mw_list_remove(&connection->link);
  outlet->pending--;
}

static void give_back(struct mw_outlet *outlet,
                      struct mw_connection *connection) {
  settle(outlet, connection);
  mw_dispatcher_take_back(connection->dispatcher, connection);
}

static void pass_verdict(struct mw_outlet *outlet,
                         struct mw_connection *connection, bool taken) {
  struct mw_dispatcher *dispatcher = connection->dispatcher;
  mw_dispatcher_note_verdict(dispatcher, outlet, connection, taken);
  if (!taken) {
    give_back(outlet, connection);
    return;
  }
  settle(outlet, connection);
  mw_dispatcher_let_go(dispatcher, connection);
}

static void give_all_back(struct mw_outlet *outlet) {
  while (!mw_list_is_empty(&outlet->sent))
    give_back(outlet, first_of(&outlet->sent));
  while (!mw_list_is_empty(&outlet->queued))
    give_back(outlet, first_of(&outlet->queued));
}

/* A worker that answers in time is trusted with more at once. */
static void adapt_window(struct mw_outlet *outlet,
                         const struct mw_connection *connection) {
  bool quick = now_of(outlet) - connection->passed <= QUICK_MS;
  outlet->slow = !quick;
  if (outlet->slow)
    outlet->window = WINDOW_MIN;
  else if (mw_outlet_is_busy(outlet) && outlet->window < WINDOW_MAX)
    outlet->window *= 2;
}

/* The worker speaks up: it may have room again. */
static void forget_refusals(struct mw_outlet *outlet) {
  for (struct mw_link *link = outlet->members.next; link != &outlet->members;
       link = link->next)
    MW_LINKED(link, struct mw_member, of_outlet)->refused = 0;
}

/* False where the worker answers for more than it was passed. */
static bool hear(struct mw_outlet *outlet) {
  uint64_t said = mw_board_said(outlet->board);
  for (bool is_first = true; outlet->heard != said; is_first = false) {
    if (mw_list_is_empty(&outlet->sent))
      return false;
    struct mw_connection *connection = first_of(&outlet->sent);
    if (is_first)
      adapt_window(outlet, connection);
    pass_verdict(outlet, connection,
                 mw_board_verdict(outlet->board, outlet->heard++));
  }
  if (outlet->rooms != mw_board_rooms(outlet->board))
    forget_refusals(outlet);
  outlet->rooms = mw_board_rooms(outlet->board);
  return true;
}

static void end(struct mw_outlet *outlet) {
  if (outlet->ended || outlet->closing)
    return;
  outlet->ended = true;
  uv_poll_stop(&outlet->poll);
  uv_timer_stop(&outlet->retry);
  uv_timer_stop(&outlet->collector);
  give_all_back(outlet);
  outlet->events->on_end(outlet->user);
}

void mw_outlet_collect(struct mw_outlet *outlet) {
  if (outlet->ended || outlet->closing || hear(outlet))
    return;
  shutdown(outlet->fd, SHUT_RDWR); /* to end calls the program: the poll may */
}

static void on_collector(uv_timer_t *timer) {
  struct mw_outlet *outlet = OWNER(timer, collector);
  mw_outlet_collect(outlet);
  if (outlet->pending > 0)
    mw_outlet_hurry(outlet);
  tell_dispatchers(outlet);
}

/* An answer that nobody waits for is read when the next connection is passed,
   or a moment later: to be woken for each costs more than all the rest. Who has
   still not answered then is to wake us. */
static void collect_later(struct mw_outlet *outlet) {
  bool is_due = uv_is_active((uv_handle_t *)&outlet->collector);
  if (outlet->pending > 0 && !outlet->ended && !is_due)
    uv_timer_start(&outlet->collector, on_collector, COLLECT_MS, 0);
}

/* What was said before the call is looked at in the next turn. */
void mw_outlet_hurry(struct mw_outlet *outlet) {
  if (outlet->ended || outlet->closing)
    return;
  mw_board_call(outlet->board);
  if (outlet->heard != mw_board_said(outlet->board) ||
      outlet->rooms != mw_board_rooms(outlet->board))
    uv_timer_start(&outlet->collector, on_collector, 0, 0);
}

/* sending */

static void watch(struct mw_outlet *outlet) {
  int events = UV_READABLE | (outlet->blocked ? UV_WRITABLE : 0);
  uv_poll_start(&outlet->poll, events, on_poll);
}

static void set_blocked(struct mw_outlet *outlet, bool blocked) {
  if (outlet->blocked == blocked)
    return;
  outlet->blocked = blocked;
  watch(outlet);
}

static void on_retry(uv_timer_t *timer) {
  mw_outlet_flush(OWNER(timer, retry));
}

void mw_outlet_put(struct mw_outlet *outlet, struct mw_connection *connection) {
  connection->passed = now_of(outlet);
  mw_list_append(&outlet->queued, &connection->link);
  outlet->pending++;
}

/* The first that are queued, as many as a packet holds. */
static void fill(struct mw_handoff *handoff, const struct mw_outlet *outlet) {
  handoff->count = 0;
  for (const struct mw_link *link = outlet->queued.next;
       link != &outlet->queued && handoff->count < MW_HANDOFF_MAX;
       link = link->next) {
    struct mw_connection *connection =
        MW_LINKED(link, struct mw_connection, link);
    handoff->records[handoff->count].key =
        mw_dispatcher_key(connection->dispatcher);
    handoff->records[handoff->count].beyond = connection->stage != MW_NEW;
    handoff->fds[handoff->count++] = connection->fd;
  }
}

static void note_sent(struct mw_outlet *outlet, size_t count) {
  for (; count > 0; count--) {
    struct mw_link *link = outlet->queued.next;
    mw_list_remove(link);
    mw_list_append(&outlet->sent, link);
  }
}

/* The kernel has no memory, or too many descriptors are under way; if it is the
   worker's end, reading tells. */
static void wait_for_room(struct mw_outlet *outlet, int error) {
  if (error == UV_EAGAIN)
    set_blocked(outlet, true);
  else if (error)
    uv_timer_start(&outlet->retry, on_retry, RETRY_MS, 0);
}

void mw_outlet_flush(struct mw_outlet *outlet) {
  struct mw_handoff handoff;
  int error = 0;
  if (outlet->blocked || outlet->ended || outlet->closing ||
      mw_list_is_empty(&outlet->queued))
    return;
  while (!error && !mw_list_is_empty(&outlet->queued)) {
    fill(&handoff, outlet);
    error = mw_handoff_send(outlet->fd, &handoff);
    if (!error)
      note_sent(outlet, handoff.count);
  }
  wait_for_room(outlet, error);
  collect_later(outlet);
}

/* The worker has something to say, or is gone: then all that it has said is on
   the board. */
static void wake(struct mw_outlet *outlet) {
  int result = mw_handoff_receive_wake(outlet->fd);
  if (result == UV_EAGAIN)
    return;
  mw_outlet_collect(outlet);
  if (result <= 0)
    end(outlet);
  collect_later(outlet);
  tell_dispatchers(outlet);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  struct mw_outlet *outlet = OWNER(poll, poll);
  if (events & UV_WRITABLE) {
    set_blocked(outlet, false);
    mw_outlet_flush(outlet);
  }
  if (status < 0) /* the poll was stopped; reading says why */
    watch(outlet);
  if (status < 0 || (events & UV_READABLE))
    wake(outlet);
}

/* life */

static void handle_closed(struct mw_outlet *outlet) {
  if (--outlet->open_handles > 0)
    return;
  mw_board_unmap(outlet->board);
  outlet->events->on_closed(outlet->user);
  free(outlet);
}

static void on_poll_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, poll));
}

static void on_retry_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, retry));
}

static void on_collector_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, collector));
}

int mw_outlet_open(uv_loop_t *loop, int fd,
                   const struct mw_outlet_events *events, void *user,
                   struct mw_outlet **result) {
  struct mw_outlet *outlet = calloc(1, sizeof *outlet);
  if (!outlet)
    return UV_ENOMEM;
  int error = mw_handoff_send_board(fd, &outlet->board);
  if (error) {
    free(outlet);
    return error;
  }
  error = uv_poll_init(loop, &outlet->poll, fd);
  if (error) {
    mw_board_unmap(outlet->board);
    free(outlet);
    return error;
  }
  uv_timer_init(loop, &outlet->retry);
  uv_timer_init(loop, &outlet->collector);
  outlet->poll.data = outlet->retry.data = outlet->collector.data = NULL;
  outlet->open_handles = 3;
  outlet->fd = fd;
  outlet->events = events;
  outlet->user = user;
  outlet->window = WINDOW_MIN;
  outlet->active = true;
  mw_list_init(&outlet->queued);
  mw_list_init(&outlet->sent);
  mw_list_init(&outlet->members);
  watch(outlet);
  /* A master lives for its workers, not for this. */
  uv_unref((uv_handle_t *)&outlet->poll);
  uv_unref((uv_handle_t *)&outlet->retry);
  uv_unref((uv_handle_t *)&outlet->collector);
  *result = outlet;
  return 0;
}

void mw_outlet_close(struct mw_outlet *outlet) {
  if (outlet->closing)
    return;
  outlet->closing = true;
  while (!mw_list_is_empty(&outlet->members)) {
    struct mw_member *member =
        MW_LINKED(outlet->members.next, struct mw_member, of_outlet);
    mw_dispatcher_remove(member->dispatcher, outlet);
  }
  give_all_back(outlet);
  mw_fd_close(outlet->fd);
  uv_close((uv_handle_t *)&outlet->poll, on_poll_closed);
  uv_close((uv_handle_t *)&outlet->retry, on_retry_closed);
  uv_close((uv_handle_t *)&outlet->collector, on_collector_closed);
}
