#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "host.h"
#include "process/title.h"

/* Where we were started without a standard descriptor, the next file to be
   opened would become it. The null device takes its place, the wrong way
   round, so that reading and writing fail as on a closed one. */
static void fill_standard_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) == -1)
      open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

int main(int argc, char **argv) {
  fill_standard_descriptors();
  mw_title_keep(argc, argv);
  /* libuv copies the arguments, so that the title may overwrite them. */
  return mw_host_run(argc, uv_setup_args(argc, argv));
}
