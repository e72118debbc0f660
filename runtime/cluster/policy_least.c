#include "cluster/policy.h"

/* To the worker with the fewest open connections; in turn where several have.
 */

#include <stddef.h>

static bool is_better(const struct mw_member *member,
                      const struct mw_member *best) {
  size_t load = mw_outlet_load(member->outlet);
  size_t least = best ? mw_outlet_load(best->outlet) : SIZE_MAX;
  return load < least || (load == least && member->turns < best->turns);
}

static struct mw_member *pick(struct mw_dispatcher *dispatcher,
                              struct mw_connection *connection) {
  struct mw_link *members = mw_dispatcher_members(dispatcher);
  struct mw_member *best = NULL;
  for (struct mw_link *link = members->next; link != members;
       link = link->next) {
    struct mw_member *member = MW_LINKED(link, struct mw_member, of_dispatcher);
    if (mw_member_may(member, connection) &&
        !mw_outlet_is_stalled(member->outlet) && is_better(member, best))
      best = member;
  }
  return best;
}

const struct mw_policy mw_policy_least = {
    .name = "least",
    .accepting = MW_MASTER_ACCEPTS,
    .pick = pick,
};
