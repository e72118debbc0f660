#include "cluster/policy.h"

/* Whom the program names; in turn where it names nobody who can take it. */

#include <stddef.h>

static struct mw_member *pick(struct mw_dispatcher *dispatcher,
                              const struct mw_connection *connection) {
  struct mw_member *member = mw_dispatcher_ask(dispatcher, connection);
  if (member && mw_member_may(member, connection))
    return member;
  return mw_pick_in_turn(dispatcher, connection);
}

const struct mw_policy mw_policy_custom = {
    .name = "custom",
    .accepting = MW_MASTER_ACCEPTS,
    .pick = pick,
};
