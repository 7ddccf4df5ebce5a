// Which gradients travel together: a pure function of sizes and order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

// One trainable parameter, in the module's order.
struct ParameterInfo {
  std::string name;        // as in state_dict: "conv1.weight"
  std::int64_t count = 0;  // elements
  std::int64_t element_bytes = 4;
};

// A parameter's place in its bucket.
struct ParameterSlot {
  int parameter = 0;        // index into the list given to plan_buckets
  std::int64_t offset = 0;  // elements from the start of the flat buffer
  std::int64_t count = 0;
};

struct Bucket {
  std::int64_t offset = 0;  // elements from the start of the flat buffer
  std::int64_t count = 0;   // elements including padding
  std::vector<ParameterSlot> slots;
};

// Buckets begin and end at multiples of this many elements of the flat buffer, and so do their shards. Sums that are
// taken piece by piece of this size (optimizer/norm_kernel.h) have the same bits however the buckets are divided.
inline constexpr std::int64_t kShardUnit = 1024;

// Buckets in the order in which they are reduced. Slots are aligned to 64 bytes, so SIMD loads of a parameter never
// straddle.
struct BucketPlan {
  std::vector<Bucket> buckets;
  std::int64_t total_count = 0;  // elements of the flat buffer: parameters and padding
  int shards = 1;                // equal parts into which every bucket can be divided
  // A digest over everything above and the parameter names: equal on all ranks or they must not train together.
  std::uint64_t hash = 0;
};

struct BucketLimits {
  std::int64_t bytes = 25 << 20;       // of a bucket
  std::int64_t first_bytes = 1 << 20;  // of the first bucket: small, so that communication starts early
};

// What somebody has decided beforehand (plan_from_probe.h).
struct BucketLayout {
  std::vector<int> order = {};  // parameters, first completed first; empty: last parameter first
  std::vector<int> ends = {};   // per bucket one past its last position in `order`; empty: by BucketLimits
};

// Gradients in layout.order; left out, last parameter first: backward completes gradients in roughly that order.
// Buckets end at layout.ends, or, left out, where the next gradient would exceed the limit; a larger one gets a bucket
// of its own. The padding between parameters counts, that at a bucket's end does not. Throws Failure(usage) when
// layout.order is not a permutation or layout.ends do not rise to the number of parameters, Failure(internal) when
// element sizes differ or shards < 1. No parameters: no buckets.
BucketPlan plan_buckets(const std::vector<ParameterInfo>& parameters, BucketLimits limits, int shards = 1,
                        const BucketLayout& layout = {});

// The elements of the flat buffer that shard `shard` of the bucket consists of.
struct ElementRange {
  std::int64_t offset = 0, count = 0;
};
ElementRange shard_of(const BucketPlan& plan, const Bucket& bucket, int shard);

// The part of a parameter that lies in one shard. All its elements, where there is one shard.
struct ShardPiece {
  int parameter = 0;
  std::int64_t offset = 0, count = 0;  // elements of the flat buffer
  std::int64_t room = 0;               // with the padding behind it
};

// Of all buckets, in the order of the flat buffer. Every element of a parameter is in one piece of one shard.
std::vector<ShardPiece> pieces_of(const BucketPlan& plan, int shard);

// "3 buckets, 62,006 values (248 KB): [fc3.bias … fc1.bias] 45 KB, [fc1.weight] 192 KB, …": for the log and --dry-run.
std::string describe(const BucketPlan& plan, const std::vector<ParameterInfo>& parameters);

}  // namespace lockstep
