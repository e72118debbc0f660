#include "process/children.h"

#include <stdio.h>
#include <unistd.h>

bool mw_children_list(struct mw_buffer *pids) {
  char path[64];
  pid_t pid;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  FILE *list = fopen(path, "re");
  if (list == NULL)
    return false;
  bool done = true;
  while (done && fscanf(list, "%d", &pid) == 1)
    done = mw_buffer_append(pids, &pid, sizeof pid);
  fclose(list);
  return done;
}

bool mw_children_include(const struct mw_buffer *pids, pid_t pid) {
  const pid_t *list = (const pid_t *)(const void *)pids->bytes;
  for (size_t i = 0; i < pids->length / sizeof pid; i++) {
    if (list[i] == pid)
      return true;
  }
  return false;
}
