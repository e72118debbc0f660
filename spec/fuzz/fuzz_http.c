/*
 * Requests in any pieces. The input: one byte that counts the cuts, a byte for
 * each, the sizes of the pieces in turn, and what a client sends. Whatever the
 * pieces, the requests are the same, their bodies too; and what is taken keeps
 * the rules that stand between us and smuggled requests.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "http/body.h"
#include "http/parser.h"

enum { CUTS_MAX = 16, MESSAGES_MAX = 64, HEADERS_MAX = 20 };

/* What was found: digests of heads and bodies, and how it ended. */
struct finding {
  uint64_t digest;
  size_t messages, consumed;
  bool refused;
};

struct reader {
  struct mw_http_body body;
  bool in_body;
  size_t seen;
};

static uint64_t mix(uint64_t sum, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    sum = (sum ^ (unsigned char)bytes[i]) * 1099511628211u; /* FNV-1a */
  return sum;
}

static void check_within(struct mw_http_span span, const char *bytes,
                         size_t size, const char *what) {
  fuzz_require(span.at >= bytes && span.at + span.length <= bytes + size, what);
}

static void check_headers(struct mw_http_span head, unsigned count) {
  struct mw_http_span rest = head, name, value;
  unsigned found = 0;
  while (mw_http_next_header(&rest, &name, &value)) {
    found++;
    check_within(name, head.at, head.length, "a name is in the head");
    check_within(value, head.at, head.length, "a value is in the head");
    fuzz_require(mw_http_is_token(name.at, name.length), "a name is a token");
    fuzz_require(mw_http_is_value(value.at, value.length), "a value is one");
  }
  fuzz_require(found == count, "the headers are those that were counted");
}

static void check_head(const struct mw_http_head *head, const char *bytes,
                       size_t size) {
  check_within(head->method, bytes, size, "the method is in the head");
  check_within(head->target, bytes, size, "the target is in the head");
  fuzz_require(head->method.length > 0 && head->target.length > 0,
               "there is a method and a target");
  fuzz_require(head->header_count <= HEADERS_MAX, "the limit holds");
  fuzz_require(head->framing != MW_HTTP_UNTIL_END, "a request has an end");
  fuzz_require(!(head->has_length && head->framing == MW_HTTP_CHUNKED),
               "there is one framing");
  fuzz_require(size >= 4 && memcmp(bytes + size - 4, "\r\n\r\n", 4) == 0,
               "a head ends with an empty line");
  check_headers((struct mw_http_span){bytes, size}, head->header_count);
}

/* Takes a head; returns its size, 0 where it is not all there. */
static size_t take_head(struct reader *reader, const char *bytes, size_t length,
                        struct finding *found) {
  struct mw_http_head head;
  ptrdiff_t size = mw_http_head_find(bytes, length, &reader->seen);
  fuzz_require(reader->seen <= length, "what was seen is there");
  if (size == 0)
    return 0;
  found->refused = size < 0 || mw_http_parse_request(bytes, (size_t)size,
                                                     HEADERS_MAX, &head) != 0;
  if (found->refused)
    return 0;
  check_head(&head, bytes, (size_t)size);
  found->digest = mix(found->digest, bytes, (size_t)size);
  found->messages++;
  reader->seen = 0;
  mw_http_body_begin(&reader->body, &head);
  reader->in_body = !reader->body.over;
  return (size_t)size;
}

static size_t take_body(struct reader *reader, const char *bytes, size_t length,
                        struct finding *found) {
  struct mw_http_span piece;
  ptrdiff_t count = mw_http_body_take(&reader->body, bytes, length, &piece);
  found->refused = count < 0;
  if (count < 0)
    return 0;
  fuzz_require((size_t)count <= length, "what is taken is there");
  check_within(piece, bytes, length, "a piece is in the bytes");
  found->digest = mix(found->digest, piece.at, piece.length);
  reader->in_body = !reader->body.over;
  return (size_t)count;
}

/* Takes what there is, which lies in a block of just its size, so that
   AddressSanitizer sees a read beyond it. */
static void take_all(struct reader *reader, const char *bytes, size_t length,
                     struct finding *found) {
  char *block = malloc(length ? length : 1);
  fuzz_require(block, "there is memory");
  memcpy(block, bytes, length);
  size_t start = 0, count = 1;
  while (count > 0 && !found->refused && found->messages < MESSAGES_MAX) {
    count = reader->in_body
                ? take_body(reader, block + start, length - start, found)
                : take_head(reader, block + start, length - start, found);
    start += count;
  }
  found->consumed += start;
  free(block);
}

static struct finding take_in_pieces(const char *bytes, size_t length,
                                     const uint8_t *cuts, size_t cut_count) {
  struct finding found = {.digest = 14695981039346656037u};
  struct reader reader = {.in_body = false};
  size_t end = 0;
  for (size_t i = 0; end < length && !found.refused; i++) {
    size_t piece = cut_count ? cuts[i % cut_count] : length;
    end += piece + 1 < length - end ? piece + 1 : length - end;
    take_all(&reader, bytes + found.consumed, end - found.consumed, &found);
  }
  return found;
}

static void try_response(const char *bytes, size_t length) {
  struct mw_http_head head;
  size_t seen = 0;
  ptrdiff_t size = mw_http_head_find(bytes, length, &seen);
  if (size > 0 &&
      mw_http_parse_response(bytes, (size_t)size, false, &head) == 0)
    check_headers((struct mw_http_span){bytes, (size_t)size},
                  head.header_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1)
    return 0;
  size_t cut_count = data[0] % CUTS_MAX;
  if (size < 1 + cut_count)
    return 0;
  const char *bytes = (const char *)data + 1 + cut_count;
  size_t length = size - 1 - cut_count;
  struct finding whole = take_in_pieces(bytes, length, NULL, 0);
  struct finding pieces = take_in_pieces(bytes, length, data + 1, cut_count);
  fuzz_require(whole.messages == pieces.messages, "as many in any pieces");
  fuzz_require(whole.refused == pieces.refused, "and the same is refused");
  fuzz_require(whole.refused || whole.digest == pieces.digest,
               "the same requests in any pieces");
  fuzz_require(whole.refused || whole.consumed == pieces.consumed,
               "of the same bytes");
  try_response(bytes, length);
  return 0;
}
