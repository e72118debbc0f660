#include <stdlib.h>
#include <uv.h>

#include "host.h"

int main(int argc, char **argv) {
  /* libuv copies the arguments, so that the title may overwrite them. */
  return mw_host_run(argc, uv_setup_args(argc, argv));
}
