#include "cluster/policy.h"

/* Whom the program names; in turn where it names nobody who can take it. */

#include <stddef.h>

static struct mw_member *pick(struct mw_dispatcher *dispatcher,
                              struct mw_connection *connection) {
  if (connection->left_to_turns)
    return mw_pick_in_turn(dispatcher, connection);
  connection->left_to_turns = true; /* the program may close the dispatcher */
  struct mw_member *member = mw_dispatcher_ask(dispatcher, connection);
  if (!member || !mw_member_may(member, connection))
    return mw_pick_in_turn(dispatcher, connection);
  connection->left_to_turns = false;
  return member;
}

const struct mw_policy mw_policy_custom = {
    .name = "custom",
    .accepting = MW_MASTER_ACCEPTS,
    .pick = pick,
};
