/*
 * What every fuzz target needs: its entry, and a way to say what is broken.
 */
#ifndef MW_FUZZ_CHECK_H
#define MW_FUZZ_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What libFuzzer calls; every target defines it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Aborts where it does not hold, and says what: libFuzzer keeps the input. */
void fuzz_require(bool holds, const char *what);

#endif
