#include "lockstep/distributed/gradients/bucket_partition.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace lockstep {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();
constexpr double indistinguishable = 0.02;  // of the communication's length

class Partition {
 public:
  Partition(const std::vector<ReadyGradient>& gradients, const CommunicationModel& model) : model_(model) {
    for (const auto& gradient : gradients) {
      bytes_before_.push_back(bytes_before_.back() + gradient.bytes);
      ready_.push_back(model.overlaps ? gradient.seconds : 0);
    }
  }

  int size() const { return static_cast<int>(ready_.size()); }

  // The bucket [first, end) after communication that ends at `free`.
  double end_of(int first, int end, double free) const {
    const double ready = *std::max_element(ready_.begin() + first, ready_.begin() + end);
    return std::max(free, ready) + cost(first, end);
  }
  double cost(int first, int end) const { return model_.cost.seconds(bytes(first, end)); }

  // f(first) for every bucket [first, end) that is allowed, from the smallest on, with the time its last gradient is
  // ready.
  template <typename Function>
  void for_each_first(int end, const Function& f) const {
    double ready = 0;
    for (int first = end - 1; first >= 0; --first) {
      if (first < end - 1 && bytes(first, end) > model_.limit_bytes) return;
      ready = std::max(ready, ready_[static_cast<std::size_t>(first)]);
      f(first, ready);
    }
  }

  // The latest end that is as good as the earliest.
  double good_end() const {
    std::vector<double> earliest(ready_.size() + 1, never), spent(ready_.size() + 1, 0);
    earliest[0] = 0;
    for (int end = 1; end <= size(); ++end) {
      const auto i = static_cast<std::size_t>(end);
      for_each_first(end, [&](int first, double ready) {
        const auto j = static_cast<std::size_t>(first);
        const double arrival = std::max(earliest[j], ready) + cost(first, end);
        if (arrival >= earliest[i]) return;
        earliest[i] = arrival;
        spent[i] = spent[j] + cost(first, end);
      });
    }
    return earliest.back() + indistinguishable * spent.back();
  }

  std::vector<int> fewest() const {
    const double good = good_end();
    const std::size_t prefixes = ready_.size() + 1;
    std::vector<double> earliest(prefixes, never);
    earliest[0] = 0;
    std::vector<std::vector<int>> begins;  // per number of buckets and prefix: where its last bucket begins
    while (!(earliest.back() <= good)) {
      std::vector<double> next(prefixes, never);
      begins.emplace_back(prefixes, 0);
      for (int end = 1; end <= size(); ++end) {
        const auto i = static_cast<std::size_t>(end);
        for_each_first(end, [&](int first, double ready) {
          const double before = earliest[static_cast<std::size_t>(first)];
          if (before == never) return;
          const double arrival = std::max(before, ready) + cost(first, end);
          if (arrival >= next[i]) return;
          next[i] = arrival;
          begins.back()[i] = first;
        });
      }
      earliest = std::move(next);
    }
    std::vector<int> ends;
    for (int end = size(); !begins.empty(); begins.pop_back()) {
      ends.push_back(end);
      end = begins.back()[static_cast<std::size_t>(end)];
    }
    return {ends.rbegin(), ends.rend()};
  }

 private:
  std::int64_t bytes(int first, int end) const {
    return bytes_before_[static_cast<std::size_t>(end)] - bytes_before_[static_cast<std::size_t>(first)];
  }

  const CommunicationModel& model_;
  std::vector<std::int64_t> bytes_before_ = {0};
  std::vector<double> ready_;
};

}  // namespace

double modelled_end(const std::vector<ReadyGradient>& gradients, const CommunicationModel& model,
                    const std::vector<int>& ends) {
  const Partition partition(gradients, model);
  double time = 0;
  int first = 0;
  for (const int end : ends) {
    time = partition.end_of(first, end, time);
    first = end;
  }
  return time;
}

std::vector<int> partition_gradients(const std::vector<ReadyGradient>& gradients, const CommunicationModel& model) {
  if (gradients.empty()) return {};
  return Partition(gradients, model).fewest();
}

}  // namespace lockstep
