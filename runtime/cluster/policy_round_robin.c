#include "cluster/policy.h"

/* In turn, so that nobody has two more than another. Who does not answer is
   passed over, and gets what it has missed afterwards, within limits; who is
   merely behind is waited for, which takes a few milliseconds at most. */

#include <stddef.h>

enum { MADE_UP_FOR = 64 }; /* turns that somebody may have missed */

static struct mw_member *fewest_turns(struct mw_link *members,
                                      const struct mw_connection *connection) {
  struct mw_member *best = NULL;
  for (struct mw_link *link = members->next; link != members;
       link = link->next) {
    struct mw_member *member = MW_LINKED(link, struct mw_member, of_dispatcher);
    if (mw_member_may(member, connection) &&
        !mw_outlet_is_stalled(member->outlet) &&
        (!best || member->turns < best->turns))
      best = member;
  }
  return best;
}

/* Who has missed more gets the rest never. */
static void forgive(struct mw_link *members, uint64_t turns) {
  for (struct mw_link *link = members->next; link != members;
       link = link->next) {
    struct mw_member *member = MW_LINKED(link, struct mw_member, of_dispatcher);
    if (member->turns + MADE_UP_FOR < turns)
      member->turns = turns - MADE_UP_FOR;
  }
}

struct mw_member *mw_pick_in_turn(struct mw_dispatcher *dispatcher,
                                  struct mw_connection *connection) {
  struct mw_link *members = mw_dispatcher_members(dispatcher);
  struct mw_member *best = fewest_turns(members, connection);
  if (!best || mw_outlet_is_busy(best->outlet))
    return NULL;
  forgive(members, best->turns);
  return best;
}

const struct mw_policy mw_policy_round_robin = {
    .name = "rr",
    .accepting = MW_MASTER_ACCEPTS,
    .pick = mw_pick_in_turn,
};
