#include "bindings/json_decode.h"
#include "bindings/json_encode.h"
#include "check.h"
#include "round_trip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct fuzz_codec codec = {mw_json_encode, mw_json_decode};
  fuzz_round_trip(&codec, data, size);
  return 0;
}
