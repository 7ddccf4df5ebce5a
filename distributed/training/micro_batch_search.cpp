#include "lockstep/distributed/training/micro_batch_search.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>
#include <vector>

#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/progress_line.h"

namespace lockstep {
namespace {

constexpr std::int64_t kFits = -1;

// The bytes missing of one attempt on this rank, or kFits.
std::int64_t missing_in(const std::function<void()>& attempt) {
  try {
    attempt();
    return kFits;
  } catch (const std::exception& e) {
    if (const auto missing = bytes_missing(e)) return *missing;
    throw;
  }
}

// What a GPU's allocator keeps for later is no use to pieces of another size.
void drop_cached_memory(c10::Device device) {
  if (!device.is_cpu()) c10::getDeviceAllocator(device.type())->emptyCache();
}

std::string samples(std::int64_t count) { return grouped(count) + (count == 1 ? " sample" : " samples"); }

std::int64_t piece_size(std::int64_t count, std::int64_t pieces) { return (count + pieces - 1) / pieces; }

}  // namespace

std::optional<std::int64_t> bytes_missing(const std::exception& e) {
  const std::string_view text = e.what();
  const auto has = [&](std::string_view words) { return text.find(words) != std::string_view::npos; };
  const bool is_short = dynamic_cast<const std::bad_alloc*>(&e) || dynamic_cast<const c10::OutOfMemoryError*>(&e) ||
                        has("can't allocate memory") || has("out of memory") || has("could not allocate memory");
  if (!is_short) return {};
  constexpr std::string_view before = "you tried to allocate ";
  const auto at = text.find(before);
  return at == std::string_view::npos ? 0 : std::strtoll(text.data() + at + before.size(), nullptr, 10);
}

std::int64_t find_pieces(const MicroBatchSearch& search, std::int64_t pieces,
                         const std::function<void(std::int64_t pieces)>& attempt) {
  const auto gather = [&](std::int64_t value) { return gather_values(search.communicator, search.device, value); };
  const auto counts = gather(search.local_count);
  const std::int64_t largest = *std::max_element(counts.begin(), counts.end());
  for (;; pieces *= 2) {
    const auto missing = gather(missing_in([&] { attempt(pieces); }));
    const auto short_of =
        std::find_if(missing.begin(), missing.end(), [](std::int64_t bytes) { return bytes != kFits; });
    if (short_of == missing.end()) return pieces;
    search.restore();
    drop_cached_memory(search.device);
    const auto rank = short_of - missing.begin();
    const std::int64_t size = piece_size(counts[static_cast<std::size_t>(rank)], pieces);
    const std::string what = samples(size) + " at a time " + (size == 1 ? "does" : "do") +
                             " not fit into the memory of rank " + std::to_string(rank) +
                             (*short_of > 0 ? " (no " + grouped(*short_of) + " bytes more)" : "");
    if (pieces >= largest) {
      throw AgreedFailure(
          {ErrorKind::environment,
           what,
           {},
           "a smaller model, --checkpoint-activations, --shard-optimizer, fewer ranks on the machine, or "
           "more memory"},
          search.communicator.rank() == 0);
    }
    search.say("--accumulate auto: " + what + ": now in " + std::to_string(2 * pieces) + " pieces of " +
               samples(piece_size(largest, 2 * pieces)) + " at most");
  }
}

}  // namespace lockstep
