#include "process/title.h"

#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <uv.h>

static char *start, *end;

void mw_title_keep(int argc, char **argv) {
  start = argc > 0 ? argv[0] : NULL;
  end = argc > 0 ? argv[argc - 1] + strlen(argv[argc - 1]) + 1 : NULL;
}

/* libuv, which answers what the title is, clears all behind the first one; and
   takes it for the name as well. */
void mw_title_show(char *const *argv, const char *path) {
  const char *slash = strrchr(path, '/');
  uv_set_process_title(argv[0]);
  char *place = start + strlen(argv[0]) + 1;
  for (size_t i = 1; argv[i] != NULL; i++) {
    size_t size = strlen(argv[i]) + 1;
    if (place >= end || size > (size_t)(end - place))
      break;
    memcpy(place, argv[i], size);
    place += size;
  }
  prctl(PR_SET_NAME, slash != NULL ? slash + 1 : path);
}
