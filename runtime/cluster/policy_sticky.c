#include "cluster/policy.h"

/* The same client address, the same worker, as long as that is there: each
   worker has a rank for each address (rendezvous hashing), so that one that
   comes or goes moves its own clients only. A replacement has the rank of the
   worker whose slot it takes. */

#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t hash(const void *data, size_t length) {
  const unsigned char *bytes = data;
  uint64_t value = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < length; i++)
    value = (value ^ bytes[i]) * UINT64_C(1099511628211);
  return value;
}

/* The last step of SplitMix64, which spreads every bit over all others. */
static uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
  return value ^ (value >> 31);
}

/* False where the client has no address. IPv4 on an IPv6 socket is IPv4. */
static bool hash_of_client(int fd, uint64_t *value) {
  struct sockaddr_storage storage = {0};
  socklen_t length = sizeof storage;
  if (getpeername(fd, (struct sockaddr *)&storage, &length))
    return false;
  const struct sockaddr_in *in = (const void *)&storage;
  const struct sockaddr_in6 *in6 = (const void *)&storage;
  if (storage.ss_family == AF_INET)
    *value = hash(&in->sin_addr, sizeof in->sin_addr);
  else if (storage.ss_family == AF_INET6 &&
           IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
    *value = hash(&in6->sin6_addr.s6_addr[12], 4);
  else if (storage.ss_family == AF_INET6)
    *value = hash(&in6->sin6_addr, sizeof in6->sin6_addr);
  else
    return false;
  return true;
}

static struct mw_member *highest_rank(struct mw_link *members,
                                      const struct mw_connection *connection,
                                      uint64_t client) {
  struct mw_member *best = NULL;
  uint64_t highest = 0;
  for (struct mw_link *link = members->next; link != members;
       link = link->next) {
    struct mw_member *member = MW_LINKED(link, struct mw_member, of_dispatcher);
    uint64_t rank = mix(client ^ mix(member->slot + 1));
    if (mw_member_may(member, connection) && (!best || rank > highest)) {
      best = member;
      highest = rank;
    }
  }
  return best;
}

static struct mw_member *pick(struct mw_dispatcher *dispatcher,
                              struct mw_connection *connection) {
  uint64_t client;
  if (!hash_of_client(connection->fd, &client))
    return mw_pick_in_turn(dispatcher, connection);
  return highest_rank(mw_dispatcher_members(dispatcher), connection, client);
}

const struct mw_policy mw_policy_sticky = {
    .name = "sticky",
    .accepting = MW_MASTER_ACCEPTS,
    .pick = pick,
};
