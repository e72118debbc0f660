#include "bindings/msgpack_decode.h"
#include "bindings/msgpack_encode.h"
#include "check.h"
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct fuzz_codec codec = {mw_msgpack_encode, mw_msgpack_decode};
  fuzz_round_trip(&codec, data, size);
  return 0;
}
