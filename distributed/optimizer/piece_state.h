// State with one value per value of the parameters, for this rank's pieces of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/gradients/named_tensors.h"

namespace lockstep {

class PieceState {
 public:
  // has: per parameter, whether it has this state. pieces: of model.plan() and model.shard(). Zeros of `type`.
  PieceState(DataParallel& model, const std::vector<ShardPiece>& pieces, std::string name, std::vector<bool> has,
             at::ScalarType type);

  const std::string& name() const { return name_; }
  // Flat: the pieces' values one after the other, each padded as in the parameters.
  at::Tensor& values() { return values_; }
  const at::Tensor& values() const { return values_; }
  // Where the values of a piece begin; -1: its parameter has none.
  std::int64_t begin(std::size_t piece) const { return begin_[piece]; }

  // As Stateful: a tensor "<name>.<parameter>" per parameter that has this state, in the parameters' order and shape.
  void append_state(NamedTensors& to);
  void append_form(NamedTensors& to) const;
  // Takes its own tensors out of `values`.
  void load(const NamedTensors& values);

 private:
  NamedTensors per_parameter(const std::function<at::Tensor(std::size_t parameter)>& value) const;
  std::vector<at::Tensor> views() const;
  std::vector<at::Tensor> gathered() const;

  DataParallel& model_;
  const std::vector<ShardPiece> pieces_;
  std::string name_;
  std::vector<bool> has_;
  std::vector<std::int64_t> begin_;
  at::Tensor values_;
};

}  // namespace lockstep
