#include "lockstep/distributed/optimizer/piece_state.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <map>

#include "lockstep/distributed/gradients/flat_buffers.h"
#include "lockstep/distributed/gradients/module_tensors.h"

namespace lockstep {

PieceState::PieceState(DataParallel& model, const std::vector<ShardPiece>& pieces, std::string name,
                       std::vector<bool> has, at::ScalarType type)
    : model_(model), pieces_(pieces), name_(std::move(name)), has_(std::move(has)) {
  std::int64_t count = 0;
  for (const auto& piece : pieces_) {
    const bool wanted = has_[static_cast<std::size_t>(piece.parameter)];
    begin_.push_back(wanted ? count : -1);
    if (wanted) count += piece.room;
  }
  values_ = at::zeros({count}, model.flat_parameters().options().requires_grad(false).dtype(type));
}

NamedTensors PieceState::per_parameter(const std::function<at::Tensor(std::size_t)>& value) const {
  NamedTensors named;
  for (std::size_t i = 0; i < has_.size(); ++i)
    if (has_[i]) named.emplace_back(name_ + "." + model_.parameters()[i].name, value(i));
  return named;
}

// With one shard a piece is a whole parameter.
std::vector<at::Tensor> PieceState::views() const {
  std::vector<at::Tensor> views(has_.size());
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const auto parameter = static_cast<std::size_t>(pieces_[i].parameter);
    if (has_[parameter])
      views[parameter] =
          slot_view(values_, {.parameter = pieces_[i].parameter, .offset = begin_[i], .count = pieces_[i].count},
                    model_.tensors()[parameter]);
  }
  for (std::size_t i = 0; i < views.size(); ++i)  // of no elements: in no piece
    if (has_[i] && !views[i].defined()) views[i] = at::empty(model_.tensors()[i].sizes(), values_.options());
  return views;
}

// Bucket by bucket, so that no rank but the first holds more than its shard and one bucket.
std::vector<at::Tensor> PieceState::gathered() const {
  const auto& plan = model_.plan();
  Communicator& communicator = model_.communicator();
  std::vector<at::Tensor> whole(has_.size());
  std::size_t piece = 0;
  for (const auto& bucket : plan.buckets) {
    const auto mine = shard_of(plan, bucket, model_.shard());
    const auto all = at::zeros({bucket.count}, values_.options());
    for (; piece < pieces_.size() && pieces_[piece].offset < mine.offset + mine.count; ++piece) {
      if (begin_[piece] < 0) continue;
      all.narrow(0, pieces_[piece].offset - bucket.offset, pieces_[piece].count)
          .copy_(values_.narrow(0, begin_[piece], pieces_[piece].count));
    }
    const DataType type = data_type(all.scalar_type());
    auto* const data = static_cast<char*>(all.data_ptr());
    communicator
        .all_gather({data + (mine.offset - bucket.offset) * all.element_size(), mine.count, type},
                    {data, bucket.count, type})
        .wait();
    if (communicator.rank() != 0) continue;
    for (const auto& slot : bucket.slots) {
      const auto parameter = static_cast<std::size_t>(slot.parameter);
      if (!has_[parameter]) continue;
      const ParameterSlot place = {
          .parameter = slot.parameter, .offset = slot.offset - bucket.offset, .count = slot.count};
      whole[parameter] =
          slot_view(all, place, model_.tensors()[parameter]).to(at::kCPU, /*non_blocking=*/false, /*copy=*/true);
    }
  }
  return whole;
}

void PieceState::append_state(NamedTensors& to) {
  const c10::AutoGradMode no_graph(false);
  const auto tensors = model_.plan().shards == 1 ? views() : gathered();
  for (auto& entry : per_parameter([&](std::size_t i) { return tensors[i]; })) to.push_back(std::move(entry));
}

void PieceState::append_form(NamedTensors& to) const {
  for (auto& entry : per_parameter(
           [&](std::size_t i) { return at::empty(model_.tensors()[i].sizes(), values_.options().device(at::kMeta)); }))
    to.push_back(std::move(entry));
}

void PieceState::load(const NamedTensors& values) {
  const c10::AutoGradMode no_graph(false);
  std::map<std::string, at::Tensor> by_name(values.begin(), values.end());
  const auto& plan = model_.plan();
  std::size_t piece = 0;
  for (const auto& bucket : plan.buckets) {
    for (const auto& slot : bucket.slots) {
      if (piece == pieces_.size() || pieces_[piece].parameter != slot.parameter) continue;  // in another rank's shard
      const auto& [parameter, offset, count, room] = pieces_[piece];
      const std::int64_t begin = begin_[piece++];
      if (begin < 0) continue;
      // In the order in which the parameter's own values lie in memory, which need not be row-major.
      const auto& tensor = model_.tensors()[static_cast<std::size_t>(parameter)];
      const at::Tensor whole = at::empty({slot.count}, values_.options());
      slot_view(whole, {.parameter = parameter, .offset = 0, .count = slot.count}, tensor)
          .copy_(by_name.at(name_ + "." + model_.parameters()[static_cast<std::size_t>(parameter)].name));
      values_.narrow(0, begin, count).copy_(whole.narrow(0, offset - slot.offset, count));
    }
  }
}

}  // namespace lockstep
