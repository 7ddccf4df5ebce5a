// Sums over parameters, cell by cell (norm_kernel.h), of all ranks' shards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"
#include "lockstep/distributed/optimizer/norm_kernel.h"

namespace lockstep {

// f(begin, count) for the pieces into which the cells divide `count` elements from `offset`.
template <typename Function>
void for_each_cell(std::int64_t offset, std::int64_t count, const Function& f) {
  for (std::int64_t begin = offset; begin < offset + count;) {
    const std::int64_t end = std::min((begin / kCell + 1) * kCell, offset + count);
    f(begin, end - begin);
    begin = end;
  }
}

// Shards must not divide a cell, or the bits of a sum would depend on their number.
static_assert(kShardUnit % kCell == 0);

// A number per parameter and cell. Those of a parameter are added in the order of the cells.
class CellSums {
 public:
  explicit CellSums(const BucketPlan& plan) {
    for (const auto& bucket : plan.buckets) {
      for (const auto& [parameter, offset, count] : bucket.slots) {
        const auto i = static_cast<std::size_t>(parameter);
        if (places_.size() <= i) places_.resize(i + 1);
        places_[i] = {static_cast<std::int64_t>(values_.size()), offset / kCell, 0};
        if (count > 0) places_[i].cells = (offset + count - 1) / kCell - offset / kCell + 1;
        values_.resize(values_.size() + static_cast<std::size_t>(places_[i].cells));
      }
    }
  }

  // Of the cell in which `offset` lies.
  double& at(int parameter, std::int64_t offset) {
    const auto& place = places_[static_cast<std::size_t>(parameter)];
    return values_[static_cast<std::size_t>(place.first + offset / kCell - place.first_cell)];
  }

  double sum(int parameter) const {
    const auto& place = places_[static_cast<std::size_t>(parameter)];
    double total = 0;
    for (std::int64_t i = 0; i < place.cells; ++i) total += values_[static_cast<std::size_t>(place.first + i)];
    return total;
  }

  // For sharded models: zeros, then each rank its own cells, then gather(). Every number is one rank's, so nothing is
  // rounded.
  void clear() { values_.assign(values_.size(), 0); }
  Work gather(Communicator& communicator) {
    return communicator.all_reduce({values_.data(), static_cast<std::int64_t>(values_.size()), DataType::float64},
                                   ReduceOp::sum);
  }

 private:
  struct Place {
    std::int64_t first = 0, first_cell = 0, cells = 0;
  };
  std::vector<double> values_;
  std::vector<Place> places_;  // per parameter
};

}  // namespace lockstep
