#include "cluster/policy.h"

/* The workers share one listening socket, and whoever is first accepts. */

const struct mw_policy mw_policy_none = {
    .name = "none",
    .accepting = MW_WORKERS_SHARE,
    .pick = mw_pick_in_turn,
};
