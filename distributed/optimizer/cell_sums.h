// Sums over parameters, cell by cell (norm_kernel.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

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

// A number per slot and cell. Those of a slot are added in the order of the cells.
class CellSums {
 public:
  void add_slot(std::int64_t offset, std::int64_t count) {
    first_.push_back(static_cast<std::int64_t>(values_.size()));
    first_cell_.push_back(offset / kCell);
    values_.resize(values_.size() + static_cast<std::size_t>((offset + count - 1) / kCell - offset / kCell + 1));
  }
  // Of the cell in which `offset` lies.
  double& at(std::size_t slot, std::int64_t offset) {
    return values_[static_cast<std::size_t>(first_[slot] + offset / kCell - first_cell_[slot])];
  }
  double sum(std::size_t slot) const {
    const auto end = slot + 1 < first_.size() ? static_cast<std::size_t>(first_[slot + 1]) : values_.size();
    double total = 0;
    for (auto i = static_cast<std::size_t>(first_[slot]); i < end; ++i) total += values_[i];
    return total;
  }
  std::vector<double>& values() { return values_; }

 private:
  std::vector<double> values_;
  std::vector<std::int64_t> first_, first_cell_;  // per slot
};

}  // namespace lockstep
