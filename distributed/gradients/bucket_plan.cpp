#include "lockstep/distributed/gradients/bucket_plan.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr std::int64_t alignment_bytes = 64;

std::int64_t rounded_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// The order in which gradients are laid out; checked, since a wrong one would leave parameters untrained.
std::vector<int> order_of(std::size_t parameter_count, const std::vector<int>& wanted) {
  std::vector<int> order(parameter_count);
  std::iota(order.rbegin(), order.rend(), 0);
  if (wanted.empty()) return order;
  if (!std::is_permutation(wanted.begin(), wanted.end(), order.begin(), order.end())) {
    fail(ErrorKind::usage,
         "the order of gradients is not a permutation of the " + std::to_string(parameter_count) + " parameters",
         "give plan_buckets the layout that was made for this module");
  }
  return wanted;
}

// Per position whether a bucket begins there; nothing where limits decide.
std::vector<bool> begins_of(std::size_t parameter_count, const std::vector<int>& ends) {
  if (ends.empty()) return {};
  const bool rise = std::adjacent_find(ends.begin(), ends.end(), std::greater_equal<>()) == ends.end();
  if (!rise || ends.front() < 1 || ends.back() != static_cast<int>(parameter_count)) {
    fail(ErrorKind::usage,
         "the ends of buckets do not rise to the number of parameters, " + std::to_string(parameter_count),
         "give plan_buckets the layout that was made for this module");
  }
  std::vector<bool> begins(parameter_count + 1, false);
  begins[0] = true;
  for (const int end : ends) begins[static_cast<std::size_t>(end)] = true;
  return begins;
}

std::int64_t common_element_bytes(const std::vector<ParameterInfo>& parameters) {
  for (const auto& parameter : parameters) {
    if (parameter.element_bytes == parameters[0].element_bytes) continue;
    fail(ErrorKind::internal, "elements of '" + parameters[0].name + "' and '" + parameter.name +
                                  "' differ in size: " + std::to_string(parameters[0].element_bytes) + " and " +
                                  std::to_string(parameter.element_bytes) + " bytes");
  }
  return parameters[0].element_bytes;
}

// 64-bit FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv: not against attackers, only against differing ranks.
class Digest {
 public:
  void add(std::int64_t value) {
    for (int shift = 0; shift < 64; shift += 8) add_byte(static_cast<std::uint64_t>(value) >> shift);
  }
  void add(const std::string& text) {
    add(static_cast<std::int64_t>(text.size()));
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
  }
  std::uint64_t value() const { return value_; }

 private:
  void add_byte(std::uint64_t byte) { value_ = (value_ ^ (byte & 0xff)) * 0x100000001b3; }
  std::uint64_t value_ = 0xcbf29ce484222325;
};

std::uint64_t digest(const BucketPlan& plan, const std::vector<ParameterInfo>& parameters) {
  Digest result;
  for (const auto& bucket : plan.buckets) {
    result.add(bucket.offset);
    result.add(bucket.count);
    for (const auto& slot : bucket.slots) {
      result.add(slot.offset);
      result.add(slot.count);
      result.add(parameters[slot.parameter].name);
      result.add(parameters[slot.parameter].element_bytes);
    }
  }
  result.add(plan.total_count);
  result.add(plan.shards);
  return result.value();
}

// "62,016"
std::string grouped(std::int64_t value) {
  auto text = std::to_string(value);
  for (auto place = static_cast<std::int64_t>(text.size()) - 3; place > 0; place -= 3) text.insert(place, ",");
  return text;
}

// Powers of 1000, as network speeds are given.
std::string readable_bytes(std::int64_t bytes) {
  static constexpr const char* units[] = {"bytes", "KB", "MB", "GB", "TB"};
  if (bytes < 1000) return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 4) value /= 1000, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return text;
}

}  // namespace

BucketPlan plan_buckets(const std::vector<ParameterInfo>& parameters, BucketLimits limits, int shards,
                        const BucketLayout& layout) {
  if (shards < 1) fail(ErrorKind::internal, "buckets cannot be divided into " + std::to_string(shards) + " shards");
  BucketPlan plan{.buckets = {}, .shards = shards};
  if (parameters.empty()) return plan;
  const auto element_bytes = common_element_bytes(parameters);
  const auto aligned = std::max<std::int64_t>(1, alignment_bytes / element_bytes);
  const auto close_last = [&] {
    if (plan.buckets.empty()) return;
    auto& bucket = plan.buckets.back();
    bucket.count = rounded_up(std::max<std::int64_t>(bucket.count, 1), kShardUnit * shards);
    plan.total_count = bucket.offset + bucket.count;
  };
  const auto begins = begins_of(parameters.size(), layout.ends);
  std::size_t position = 0;
  for (const int index : order_of(parameters.size(), layout.order)) {
    const auto count = parameters[index].count;
    const auto padded = rounded_up(count, aligned);
    const auto limit = plan.buckets.size() > 1 ? limits.bytes : limits.first_bytes;
    const bool is_full = plan.buckets.empty() || (plan.buckets.back().count + padded) * element_bytes > limit;
    if (begins.empty() ? is_full : begins[position]) {
      close_last();
      plan.buckets.push_back({.offset = plan.total_count, .count = 0, .slots = {}});
    }
    auto& bucket = plan.buckets.back();
    bucket.slots.push_back({.parameter = index, .offset = bucket.offset + bucket.count, .count = count});
    bucket.count += padded;
    ++position;
  }
  close_last();
  plan.hash = digest(plan, parameters);
  return plan;
}

ElementRange shard_of(const BucketPlan& plan, const Bucket& bucket, int shard) {
  const auto count = bucket.count / plan.shards;
  return {bucket.offset + count * shard, count};
}

std::vector<ShardPiece> pieces_of(const BucketPlan& plan, int shard) {
  std::vector<ShardPiece> pieces;
  for (const auto& bucket : plan.buckets) {
    const auto [begin, count] = shard_of(plan, bucket, shard);
    const auto end = begin + count;
    for (std::size_t i = 0; i < bucket.slots.size(); ++i) {
      const auto& slot = bucket.slots[i];
      const auto next = i + 1 < bucket.slots.size() ? bucket.slots[i + 1].offset : bucket.offset + bucket.count;
      const auto from = std::max(begin, slot.offset), to = std::min(end, slot.offset + slot.count);
      if (from >= to) continue;
      pieces.push_back(
          {.parameter = slot.parameter, .offset = from, .count = to - from, .room = std::min(end, next) - from});
    }
  }
  return pieces;
}

std::string describe(const BucketPlan& plan, const std::vector<ParameterInfo>& parameters) {
  if (plan.buckets.empty()) return "0 buckets";
  const auto element_bytes = parameters[0].element_bytes;
  std::int64_t values = 0;
  for (const auto& parameter : parameters) values += parameter.count;
  std::string text = std::to_string(plan.buckets.size()) + (plan.buckets.size() == 1 ? " bucket, " : " buckets, ") +
                     grouped(values) + " values (" + readable_bytes(values * element_bytes) + "): ";
  for (const auto& bucket : plan.buckets) {
    if (&bucket != &plan.buckets.front()) text += ", ";
    text += "[" + parameters[bucket.slots.front().parameter].name;
    if (bucket.slots.size() > 1) text += " … " + parameters[bucket.slots.back().parameter].name;
    std::int64_t count = 0;
    for (const auto& slot : bucket.slots) count += slot.count;
    text += "] " + readable_bytes(count * element_bytes);
  }
  return text;
}

}  // namespace lockstep
