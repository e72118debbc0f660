#include "process/limits.h"

#include <string.h>
#include <sys/resource.h>

static const struct {
  const char *name;
  int resource;
} limits[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS},
    {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

#define LIMIT_COUNT (sizeof limits / sizeof limits[0])

int mw_limits_number(const char *name) {
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    if (strcmp(limits[i].name, name) == 0)
      return limits[i].resource;
  }
  return -1;
}

const char *mw_limits_name_at(size_t index) {
  return index < LIMIT_COUNT ? limits[index].name : NULL;
}
