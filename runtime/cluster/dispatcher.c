#include "cluster/dispatcher.h"

#include <stdlib.h>

#include "base/fd.h"
#include "cluster/policy.h"
#include "net/acceptor.h"

enum {
  SOON_MS = 1,
  RETRY_MS = 6,     /* then who has not answered is passed over */
  REFUSAL_MS = 100, /* then who has refused is tried with one connection */
  WAITING_MAX = 64  /* then what comes waits in the kernel */
};

struct mw_dispatcher {
  uv_timer_t retry;
  uv_check_t passer; /* after all that one turn of the loop has brought */
  int open_parts;    /* handles, and connections that were passed */
  struct mw_acceptor *acceptor;
  uint32_t key;
  const struct mw_policy *policy;
  const struct mw_dispatcher_events *events;
  void *user;
  struct mw_link members;
  struct mw_link waiting; /* connections, in order */
  size_t waiting_count;
  bool accepting, paused, closing;
};

#define OWNER(handle, member) MW_LINKED(handle, struct mw_dispatcher, member)

#define EACH_MEMBER(link, dispatcher)                                          \
  struct mw_link *link = (dispatcher)->members.next;                           \
  link != &(dispatcher)->members;                                              \
  link = link->next

static struct mw_member *member_at(struct mw_link *link) {
  return MW_LINKED(link, struct mw_member, of_dispatcher);
}

static void drop(struct mw_connection *connection) {
  mw_fd_close(connection->fd);
  free(connection);
}

static void keep(struct mw_dispatcher *dispatcher,
                 struct mw_connection *connection) {
  mw_list_append(&dispatcher->waiting, &connection->link);
  dispatcher->waiting_count++;
}

static void unkeep(struct mw_dispatcher *dispatcher,
                   struct mw_connection *connection) {
  mw_list_remove(&connection->link);
  dispatcher->waiting_count--;
}

static void part_closed(struct mw_dispatcher *dispatcher) {
  if (--dispatcher->open_parts > 0)
    return;
  dispatcher->events->on_closed(dispatcher->user);
  free(dispatcher);
}

/* passing on */

static uint64_t now_of(const struct mw_dispatcher *dispatcher) {
  return uv_now(dispatcher->retry.loop);
}

static bool refuses(const struct mw_member *member) {
  return member->refused &&
         now_of(member->dispatcher) - member->refused < REFUSAL_MS;
}

bool mw_member_may(const struct mw_member *member,
                   const struct mw_connection *connection) {
  const struct mw_outlet *outlet = member->outlet;
  return mw_outlet_is_active(outlet) && !mw_outlet_is_full(outlet) &&
         (connection->stage == MW_BEYOND || !refuses(member));
}

static bool is_for_anybody(const struct mw_dispatcher *dispatcher,
                           const struct mw_connection *connection) {
  for (EACH_MEMBER(link, dispatcher))
    if (mw_member_may(member_at(link), connection))
      return true;
  return false;
}

struct mw_member *mw_dispatcher_ask(struct mw_dispatcher *dispatcher,
                                    const struct mw_connection *connection) {
  return dispatcher->events->on_pick(dispatcher->user, connection);
}

static bool pass(struct mw_dispatcher *dispatcher,
                 struct mw_connection *connection) {
  struct mw_member *member = NULL;
  if (is_for_anybody(dispatcher, connection))
    member = dispatcher->policy->pick(dispatcher, connection);
  if (!member)
    return false;
  member->turns++;
  if (member->refused)
    member->refused = now_of(dispatcher);
  dispatcher->open_parts++;
  unkeep(dispatcher, connection);
  mw_outlet_put(member->outlet, connection);
  return true;
}

static bool has_active_member(const struct mw_dispatcher *dispatcher) {
  for (EACH_MEMBER(link, dispatcher))
    if (mw_outlet_is_active(member_at(link)->outlet))
      return true;
  return false;
}

static bool all_refuse(const struct mw_dispatcher *dispatcher) {
  for (EACH_MEMBER(link, dispatcher))
    if (mw_outlet_is_active(member_at(link)->outlet) &&
        !refuses(member_at(link)))
      return false;
  return has_active_member(dispatcher);
}

/* Where all refuse, somebody is to say so to the client; who can't do that
   leaves it waiting. */
static void pass_or_keep(struct mw_dispatcher *dispatcher,
                         struct mw_connection *connection) {
  if (pass(dispatcher, connection) || dispatcher->closing ||
      connection->stage != MW_NEW || !all_refuse(dispatcher))
    return;
  connection->stage = MW_BEYOND;
  pass(dispatcher, connection);
}

static void flush(struct mw_dispatcher *dispatcher) {
  for (EACH_MEMBER(link, dispatcher))
    mw_outlet_flush(member_at(link)->outlet);
}

/* Accepts as long as there is reason for it. */
static void update(struct mw_dispatcher *dispatcher) {
  if (dispatcher->closing)
    return;
  bool accepts = has_active_member(dispatcher) && !dispatcher->paused &&
                 dispatcher->waiting_count < WAITING_MAX;
  if (dispatcher->accepting == accepts)
    return;
  dispatcher->accepting = accepts;
  if (accepts)
    mw_acceptor_start(dispatcher->acceptor);
  else
    mw_acceptor_stop(dispatcher->acceptor);
}

static void on_retry(uv_timer_t *timer) {
  mw_dispatcher_go_on(OWNER(timer, retry));
}

/* What a policy looks at should be what is so. A worker that speaks nonsense is
   no member any more. */
static void collect(struct mw_dispatcher *dispatcher) {
  struct mw_link *link = dispatcher->members.next;
  while (link != &dispatcher->members) {
    struct mw_member *member = member_at(link);
    link = link->next;
    mw_outlet_collect(member->outlet);
  }
}

static void hurry(struct mw_dispatcher *dispatcher) {
  for (EACH_MEMBER(link, dispatcher))
    mw_outlet_hurry(member_at(link)->outlet);
}

static void pass_all(struct mw_dispatcher *dispatcher) {
  collect(dispatcher);
  struct mw_link *link = dispatcher->waiting.next;
  while (!dispatcher->closing && link != &dispatcher->waiting) {
    struct mw_connection *connection =
        MW_LINKED(link, struct mw_connection, link);
    link = link->next;
    pass_or_keep(dispatcher, connection);
  }
  flush(dispatcher);
}

static void on_turn(uv_check_t *passer) {
  struct mw_dispatcher *dispatcher = OWNER(passer, passer);
  uv_check_stop(passer);
  uv_timer_stop(&dispatcher->retry);
  pass_all(dispatcher);
  update(dispatcher);
  if (dispatcher->waiting_count == 0)
    return;
  hurry(dispatcher);
  if (has_active_member(dispatcher))
    uv_timer_start(&dispatcher->retry, on_retry, RETRY_MS, 0);
}

void mw_dispatcher_go_on(struct mw_dispatcher *dispatcher) {
  update(dispatcher);
  if (dispatcher->waiting_count == 0 || dispatcher->closing)
    return;
  uv_check_start(&dispatcher->passer, on_turn);
  uv_timer_start(&dispatcher->retry, on_retry, SOON_MS, 0);
}

void mw_dispatcher_note_verdict(struct mw_dispatcher *dispatcher,
                                const struct mw_outlet *outlet,
                                struct mw_connection *connection, bool taken) {
  struct mw_member *member = mw_dispatcher_member(dispatcher, outlet);
  if (member)
    member->refused = taken ? 0 : now_of(dispatcher);
  if (!taken && connection->stage == MW_BEYOND)
    connection->stage = MW_MUST_WAIT;
}

void mw_dispatcher_take_back(struct mw_dispatcher *dispatcher,
                             struct mw_connection *connection) {
  if (dispatcher->closing) {
    mw_dispatcher_let_go(dispatcher, connection);
    return;
  }
  dispatcher->open_parts--;
  keep(dispatcher, connection);
  mw_dispatcher_go_on(dispatcher);
}

void mw_dispatcher_let_go(struct mw_dispatcher *dispatcher,
                          struct mw_connection *connection) {
  drop(connection);
  part_closed(dispatcher);
}

/* accepting */

static void on_connection(void *user, int fd) {
  struct mw_dispatcher *dispatcher = user;
  struct mw_connection *connection = calloc(1, sizeof *connection);
  if (!connection) {
    mw_fd_close(fd);
    return;
  }
  connection->dispatcher = dispatcher;
  connection->fd = fd;
  keep(dispatcher, connection);
  mw_dispatcher_go_on(dispatcher);
}

/* What could not be accepted waits in the kernel: there is nobody to tell. */
static void on_refused(void *user, int error) {
  (void)user;
  (void)error;
}

/* members */

struct mw_link *mw_dispatcher_members(struct mw_dispatcher *dispatcher) {
  return &dispatcher->members;
}

uint32_t mw_dispatcher_key(const struct mw_dispatcher *dispatcher) {
  return dispatcher->key;
}

struct mw_member *mw_dispatcher_member(struct mw_dispatcher *dispatcher,
                                       const struct mw_outlet *outlet) {
  for (EACH_MEMBER(link, dispatcher))
    if (member_at(link)->outlet == outlet)
      return member_at(link);
  return NULL;
}

/* Who comes later is owed nothing. */
static uint64_t fewest_turns(const struct mw_dispatcher *dispatcher) {
  uint64_t fewest = UINT64_MAX;
  for (EACH_MEMBER(link, dispatcher))
    if (member_at(link)->turns < fewest)
      fewest = member_at(link)->turns;
  return fewest == UINT64_MAX ? 0 : fewest;
}

int mw_dispatcher_add(struct mw_dispatcher *dispatcher,
                      struct mw_outlet *outlet, unsigned slot) {
  if (mw_dispatcher_member(dispatcher, outlet))
    return 0;
  struct mw_member *member = calloc(1, sizeof *member);
  if (!member)
    return UV_ENOMEM;
  member->dispatcher = dispatcher;
  member->outlet = outlet;
  member->slot = slot;
  member->turns = fewest_turns(dispatcher);
  mw_list_append(&dispatcher->members, &member->of_dispatcher);
  mw_list_append(mw_outlet_members(outlet), &member->of_outlet);
  mw_dispatcher_go_on(dispatcher);
  return 0;
}

void mw_dispatcher_set_paused(struct mw_dispatcher *dispatcher, bool paused) {
  dispatcher->paused = paused;
  update(dispatcher);
}

size_t mw_dispatcher_waiting(const struct mw_dispatcher *dispatcher) {
  return dispatcher->waiting_count;
}

static void remove_member(struct mw_member *member) {
  mw_list_remove(&member->of_dispatcher);
  mw_list_remove(&member->of_outlet);
  free(member);
}

void mw_dispatcher_remove(struct mw_dispatcher *dispatcher,
                          struct mw_outlet *outlet) {
  struct mw_member *member = mw_dispatcher_member(dispatcher, outlet);
  if (!member)
    return;
  mw_outlet_flush(outlet);
  remove_member(member);
  mw_dispatcher_go_on(dispatcher);
}

/* life */

static void on_timer_closed(uv_handle_t *handle) {
  part_closed(OWNER(handle, retry));
}

static void on_passer_closed(uv_handle_t *handle) {
  part_closed(OWNER(handle, passer));
}

static void on_acceptor_closed(void *user) {
  part_closed(user);
}

static const struct mw_acceptor_events acceptor_events = {
    .on_connection = on_connection,
    .on_refused = on_refused,
    .on_closed = on_acceptor_closed,
};

int mw_dispatcher_open(uv_loop_t *loop, int fd, uint32_t key,
                       const struct mw_policy *policy,
                       const struct mw_dispatcher_events *events, void *user,
                       struct mw_dispatcher **result) {
  struct mw_dispatcher *dispatcher = calloc(1, sizeof *dispatcher);
  if (!dispatcher)
    return UV_ENOMEM;
  int error = mw_acceptor_open(loop, fd, false, &acceptor_events, dispatcher,
                               &dispatcher->acceptor);
  if (error) {
    free(dispatcher);
    return error;
  }
  mw_acceptor_set_referenced(dispatcher->acceptor, false);
  uv_timer_init(loop, &dispatcher->retry);
  uv_check_init(loop, &dispatcher->passer);
  uv_unref((uv_handle_t *)&dispatcher->retry);
  uv_unref((uv_handle_t *)&dispatcher->passer);
  dispatcher->retry.data = dispatcher->passer.data = NULL;
  dispatcher->open_parts = 3;
  dispatcher->key = key;
  dispatcher->policy = policy;
  dispatcher->events = events;
  dispatcher->user = user;
  mw_list_init(&dispatcher->members);
  mw_list_init(&dispatcher->waiting);
  *result = dispatcher;
  return 0;
}

void mw_dispatcher_close(struct mw_dispatcher *dispatcher) {
  if (dispatcher->closing)
    return;
  dispatcher->closing = true;
  flush(dispatcher);
  while (!mw_list_is_empty(&dispatcher->members))
    remove_member(member_at(dispatcher->members.next));
  while (!mw_list_is_empty(&dispatcher->waiting)) {
    struct mw_connection *connection =
        MW_LINKED(dispatcher->waiting.next, struct mw_connection, link);
    unkeep(dispatcher, connection);
    drop(connection);
  }
  mw_acceptor_close(dispatcher->acceptor);
  uv_close((uv_handle_t *)&dispatcher->retry, on_timer_closed);
  uv_close((uv_handle_t *)&dispatcher->passer, on_passer_closed);
}
