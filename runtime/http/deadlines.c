#include "http/deadlines.h"

static struct mw_deadline *deadline_of(struct mw_link *link) {
  return MW_LINKED(link, struct mw_deadline, link);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct mw_deadlines *deadlines, uint64_t at) {
  uint64_t now = uv_now(deadlines->timer.loop);
  deadlines->armed_for = at;
  uv_timer_start(&deadlines->timer, on_timer, at > now ? at - now : 0, 0);
}

/* The earliest one that is set; NULL where none is. */
static struct mw_deadline *earliest(struct mw_deadlines *deadlines) {
  struct mw_deadline *first = NULL;
  for (int kind = 0; kind < MW_DEADLINE_KINDS; kind++) {
    struct mw_link *list = &deadlines->lists[kind];
    if (mw_list_is_empty(list))
      continue;
    struct mw_deadline *deadline = deadline_of(list->next);
    if (!first || deadline->at < first->at)
      first = deadline;
  }
  return first;
}

static void on_timer(uv_timer_t *timer) {
  struct mw_deadlines *deadlines = MW_LINKED(timer, struct mw_deadlines, timer);
  struct mw_deadline *deadline;
  deadlines->armed_for = 0;
  while ((deadline = earliest(deadlines)) &&
         deadline->at <= uv_now(timer->loop)) {
    mw_deadline_clear(deadline);
    deadlines->on_expired(deadlines->user, deadline);
  }
  if (deadline && !uv_is_closing((uv_handle_t *)timer))
    arm(deadlines, deadline->at);
}

void mw_deadlines_init(struct mw_deadlines *deadlines, uv_loop_t *loop,
                       void (*on_expired)(void *user,
                                          struct mw_deadline *deadline),
                       void *user) {
  uv_timer_init(loop, &deadlines->timer);
  uv_unref((uv_handle_t *)&deadlines->timer);
  deadlines->timer.data = NULL;
  deadlines->armed_for = 0;
  deadlines->on_expired = on_expired;
  deadlines->user = user;
  for (int kind = 0; kind < MW_DEADLINE_KINDS; kind++)
    mw_list_init(&deadlines->lists[kind]);
}

void mw_deadline_init(struct mw_deadline *deadline) {
  mw_list_init(&deadline->link);
}

void mw_deadline_set(struct mw_deadlines *deadlines,
                     struct mw_deadline *deadline, int kind, uint64_t start,
                     uint64_t ms) {
  struct mw_link *list = &deadlines->lists[kind];
  mw_list_remove(&deadline->link);
  deadline->at = start + ms;
  struct mw_link *before = list->prev;
  while (before != list && deadline_of(before)->at > deadline->at)
    before = before->prev;
  mw_list_insert_after(before, &deadline->link);
  if (!deadlines->armed_for || deadline->at < deadlines->armed_for)
    if (!uv_is_closing((uv_handle_t *)&deadlines->timer))
      arm(deadlines, deadline->at);
}

void mw_deadline_clear(struct mw_deadline *deadline) {
  mw_list_remove(&deadline->link);
}
