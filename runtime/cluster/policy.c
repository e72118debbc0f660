#include "cluster/policy.h"

#include <stddef.h>
#include <string.h>

const struct mw_policy *mw_policy_named(const char *name) {
  static const struct mw_policy *const all[] = {
      &mw_policy_round_robin, &mw_policy_none,   &mw_policy_least,
      &mw_policy_reuseport,   &mw_policy_sticky, &mw_policy_custom};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    if (strcmp(all[i]->name, name) == 0)
      return all[i];
  return NULL;
}
