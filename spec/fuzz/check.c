#include "check.h"

#include <stdio.h>
#include <stdlib.h>

void fuzz_require(bool holds, const char *what) {
  if (holds)
    return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}
