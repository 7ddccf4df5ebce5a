#include "lockstep/distributed/gradients/agreement.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstring>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

// Text travels as 64-bit words: the only integers a communicator knows.
std::string broadcast_text(Communicator& communicator, at::Device device, const std::string& text, int root) {
  const auto bytes = gather_values(communicator, device, static_cast<std::int64_t>(text.size())).at(root);
  const auto words = (bytes + 7) / 8;
  auto host = at::empty({words}, at::kLong).zero_();
  if (communicator.rank() == root) std::memcpy(host.data_ptr(), text.data(), text.size());
  auto message = host.to(device);
  communicator.broadcast({message.data_ptr(), words, DataType::int64}, root).wait();
  host = message.to(at::kCPU);
  return std::string(static_cast<const char*>(host.data_ptr()), bytes);
}

}  // namespace

std::string text_of_rank0(Communicator& communicator, at::Device device, const std::string& text) {
  return broadcast_text(communicator, device, text, 0);
}

std::vector<std::int64_t> gather_values(Communicator& communicator, at::Device device, std::int64_t value) {
  auto mine = at::empty({1}, at::TensorOptions(at::kLong).device(device)).fill_(value);
  auto all = at::empty({communicator.size()}, mine.options());
  communicator.all_gather({mine.data_ptr(), 1, DataType::int64}, {all.data_ptr(), all.numel(), DataType::int64}).wait();
  all = all.to(at::kCPU);
  const auto* values = all.const_data_ptr<std::int64_t>();
  return {values, values + communicator.size()};
}

void agree(Communicator& communicator, at::Device device, const std::string& problem, const std::string& hint) {
  const auto found = gather_values(communicator, device, problem.empty() ? 0 : 1);
  for (int rank = 0; rank < communicator.size(); ++rank) {
    if (found[rank] != 0) fail(ErrorKind::usage, broadcast_text(communicator, device, problem, rank), hint);
  }
}

}  // namespace lockstep
