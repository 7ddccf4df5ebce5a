#include "lockstep/distributed/gradients/packed_broadcast.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

namespace lockstep {
namespace {

constexpr std::int64_t word_bytes = 8;

// Each tensor starts at a whole word, so its part can be seen as its own type.
std::int64_t words_of(const at::Tensor& tensor) {
  return (static_cast<std::int64_t>(tensor.nbytes()) + word_bytes - 1) / word_bytes;
}

// The part of `message` that holds `tensor`, seen as a tensor of its type and shape.
at::Tensor part(const at::Tensor& message, std::int64_t first_word, const at::Tensor& tensor) {
  return message.narrow(0, first_word, words_of(tensor))
      .view(at::kByte)
      .narrow(0, 0, static_cast<std::int64_t>(tensor.nbytes()))
      .view(tensor.scalar_type())
      .view(tensor.sizes());
}

}  // namespace

void broadcast_packed(Communicator& communicator, const std::vector<at::Tensor>& tensors, at::Device device, int root) {
  const c10::AutoGradMode no_graph(false);
  std::int64_t words = 0;
  for (const auto& tensor : tensors) words += words_of(tensor);
  if (words == 0 || communicator.size() == 1) return;
  const auto message = at::empty({words}, at::TensorOptions(at::kLong).device(device));
  const auto for_each_part = [&](const auto& visit) {
    std::int64_t first_word = 0;
    for (const auto& tensor : tensors) {
      if (tensor.numel() > 0) visit(tensor, part(message, first_word, tensor));
      first_word += words_of(tensor);
    }
  };
  if (communicator.rank() == root) {
    for_each_part([](const at::Tensor& tensor, const at::Tensor& place) { place.copy_(tensor); });
  }
  communicator.broadcast({message.data_ptr(), words, DataType::int64}, root).wait();
  if (communicator.rank() != root) {
    for_each_part([](const at::Tensor& tensor, const at::Tensor& place) { tensor.copy_(place); });
  }
}

}  // namespace lockstep
