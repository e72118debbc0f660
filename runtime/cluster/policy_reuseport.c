#include "cluster/policy.h"

/* Each worker has a listening socket of its own on the same port, and the
   kernel spreads (socket(7), SO_REUSEPORT). To close one would reset what is
   queued on it: so the master keeps all of them, and passes on what comes at
   one whose worker has gone until another has taken it over. */

const struct mw_policy mw_policy_reuseport = {
    .name = "reuseport",
    .accepting = MW_WORKERS_HAVE_ONE_EACH,
    .pick = mw_pick_in_turn,
};
