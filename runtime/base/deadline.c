#include "base/deadline.h"

#include <limits.h>
#include <time.h>

#define NS_PER_MS 1000000LL

static int64_t now_ns(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (int64_t)ts.tv_sec * 1000 * NS_PER_MS + ts.tv_nsec;
}

int64_t mw_deadline_after(int64_t timeout_ms) {
  int64_t now = now_ns();
  if (timeout_ms < 0 || timeout_ms > (MW_DEADLINE_NEVER - now) / NS_PER_MS)
    return MW_DEADLINE_NEVER;
  return now + timeout_ms * NS_PER_MS;
}

int mw_deadline_poll_ms(int64_t deadline) {
  int64_t left;
  if (deadline == MW_DEADLINE_NEVER)
    return -1;
  left = deadline - now_ns();
  if (left <= 0)
    return 0;
  left = (left + NS_PER_MS - 1) / NS_PER_MS;
  return left > INT_MAX ? INT_MAX : (int)left;
}
