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
  std::int64_t count = 0;   // elements including padding; of the last bucket also including the used flags
  std::vector<ParameterSlot> slots;
};

// Buckets in the order in which they are reduced. Slots are aligned to 64 bytes, so SIMD loads of a parameter never
// straddle. Behind the last slot stands one element per parameter, in the module's order: 1 where the rank had a
// gradient for it, else 0. They travel with the last bucket, so ranks learn at no extra collective which parameters
// were used anywhere.
struct BucketPlan {
  std::vector<Bucket> buckets;
  std::int64_t value_count = 0;  // elements that hold parameters and their padding; the used flags start here
  std::int64_t total_count = 0;  // elements of the flat buffer
  // A digest over everything above and the parameter names: equal on all ranks or they must not train together.
  std::uint64_t hash = 0;
};

// Last parameter first (backward completes gradients in roughly that order), or by `ready_order` (indices, first
// completed first) when given. A bucket is closed when the next gradient would exceed its limit; a larger one gets a
// bucket of its own. first_limit_bytes: limit of the first bucket, small so that communication starts early. Padding
// counts. Throws Failure(internal) when element sizes differ or ready_order is not a permutation. No parameters: no
// buckets.
BucketPlan plan_buckets(const std::vector<ParameterInfo>& parameters, std::int64_t limit_bytes,
                        std::int64_t first_limit_bytes, const std::vector<int>& ready_order = {});

// "3 buckets, 62,064 values (248 KB): [fc3.bias … fc1.bias] 45 KB, [fc1.weight] 192 KB, …": for the log and --dry-run.
std::string describe(const BucketPlan& plan, const std::vector<ParameterInfo>& parameters);

}  // namespace lockstep
