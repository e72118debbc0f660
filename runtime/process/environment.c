#include "process/environment.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static char *const *or_ours(char *const *env) {
  static char *const nothing[] = {NULL};
  if (env != NULL)
    return env;
  return environ != NULL ? environ : nothing;
}

static size_t length_of(char *const *list) {
  size_t length = 0;
  while (list[length] != NULL)
    length++;
  return length;
}

static bool is_changed(const char *variable, char *const *changes) {
  for (; *changes != NULL; changes++) {
    size_t length = strcspn(*changes, "=");
    if (strncmp(variable, *changes, length) == 0 && variable[length] == '=')
      return true;
  }
  return false;
}

size_t mw_environment_room(char *const *env, char *const *changes) {
  return length_of(or_ours(env)) + length_of(changes) + 1;
}

void mw_environment_change(char *const *env, char *const *changes,
                           char **result) {
  for (env = or_ours(env); *env != NULL; env++) {
    if (!is_changed(*env, changes))
      *result++ = *env;
  }
  for (; *changes != NULL; changes++) {
    if (strchr(*changes, '=') != NULL)
      *result++ = *changes;
  }
  *result = NULL;
}
