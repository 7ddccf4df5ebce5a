#include "lockstep/distributed/training/training_state.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <array>
#include <cstring>
#include <sstream>
#include <vector>

#include "lockstep/distributed/checkpoint/checkpoint_description.h"
#include "lockstep/distributed/gradients/generators.h"

namespace lockstep {
namespace {

// What ranks gather is laid out as their generators' states, one after the other, then the sums of the loss window.
at::Tensor pack(const NamedTensors& states, const LossSums& window) {
  std::vector<at::Tensor> parts;
  for (const auto& [name, state] : states) parts.push_back(state);
  const at::Tensor sums = at::empty({sizeof window}, at::kByte);
  std::memcpy(sums.data_ptr(), &window, sizeof window);
  parts.push_back(sums);
  return at::cat(parts);
}

// all: [world size, bytes] of pack(); states: this rank's, for names and sizes.
void unpack(const at::Tensor& all, const NamedTensors& states, Checkpoint& checkpoint) {
  std::int64_t begin = 0;
  for (const auto& [name, state] : states) {
    checkpoint.rng.emplace_back(name, all.narrow(1, begin, state.numel()).contiguous());
    begin += state.numel();
  }
  for (std::int64_t rank = 0; rank < all.size(0); ++rank) {
    LossSums window;
    std::memcpy(&window, all[rank].narrow(0, begin, sizeof window).const_data_ptr(), sizeof window);
    checkpoint.loss_window.push_back(window);
  }
}

// Collective: [world size, bytes] on rank 0, nothing on the others, which hold `bytes` (equally many) alone.
at::Tensor gather_on_rank_0(const Session& session, const at::Tensor& bytes) {
  at::Tensor all;
  if (session.rank() == 0) all = at::empty({session.world_size(), bytes.numel()}, at::kByte);
  session.gather_bytes(bytes.const_data_ptr(), bytes.nbytes(), all.defined() ? all.data_ptr() : nullptr);
  return all;
}

NamedTensors copies(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors)
    result.emplace_back(name, tensor.detach().to(at::kCPU, /*non_blocking=*/false, /*copy=*/true));
  return result;
}

constexpr std::int64_t kAlignment = 64;

std::int64_t room_for(const at::Tensor& tensor) {
  return (static_cast<std::int64_t>(tensor.nbytes()) + kAlignment - 1) / kAlignment * kAlignment;
}

std::array<NamedTensors*, 3> tensors_of(Checkpoint& checkpoint) {
  return {&checkpoint.state_dict, &checkpoint.optimizer, &checkpoint.rng};
}

// A line "list type dimensions sizes…" and one with the name for each tensor.
std::string forms_of(Checkpoint& checkpoint) {
  std::ostringstream forms;
  const auto lists = tensors_of(checkpoint);
  for (std::size_t list = 0; list < lists.size(); ++list)
    for (const auto& [name, tensor] : *lists[list]) {
      forms << list << ' ' << static_cast<int>(tensor.scalar_type()) << ' ' << tensor.dim();
      for (const auto size : tensor.sizes()) forms << ' ' << size;
      forms << '\n' << name << '\n';
    }
  return forms.str();
}

void make_tensors(const std::string& forms, Checkpoint& checkpoint) {
  std::istringstream lines(forms);
  for (std::string form, name; std::getline(lines, form) && std::getline(lines, name);) {
    std::istringstream numbers(form);
    std::size_t list = 0, dimensions = 0;
    int type = 0;
    numbers >> list >> type >> dimensions;
    std::vector<std::int64_t> sizes(dimensions);
    for (auto& size : sizes) numbers >> size;
    const auto options = at::TensorOptions(static_cast<at::ScalarType>(type));
    tensors_of(checkpoint).at(list)->emplace_back(name, at::empty(sizes, options));
  }
}

// f(tensor, its place in the message that carries all of them).
template <typename Function>
std::int64_t for_each_tensor(Checkpoint& checkpoint, const Function& f) {
  std::int64_t place = 0;
  for (NamedTensors* list : tensors_of(checkpoint))
    for (auto& [name, tensor] : *list) {
      f(tensor, place);
      place += room_for(tensor);
    }
  return place;
}

std::string shape_text(const at::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes();
  return text.str();
}

// What the calls in apply() would refuse after others have changed something.
void require_fitting(const Checkpoint& checkpoint, const LiveState& live, const std::string& origin) {
  const auto refuse = [&](const std::string& what) { fail(ErrorKind::usage, what, {}, origin); };
  const auto [epoch, consumed] = checkpoint.position;
  const std::int64_t samples = live.source.sample_count();
  if (epoch < 0 || consumed < 0 || consumed > samples)
    refuse("the position is epoch " + std::to_string(epoch) + ", " + std::to_string(consumed) + " of " +
           std::to_string(samples) + " samples");
  const auto ranks = static_cast<std::int64_t>(checkpoint.loss_window.size());
  const NamedTensors live_states = generator_states(live.session.device());
  for (const auto& [name, states] : checkpoint.rng)
    for (const auto& [live_name, state] : live_states)
      if (name == live_name &&
          (states.scalar_type() != at::kByte || states.sizes() != at::IntArrayRef{ranks, state.numel()}))
        refuse("the generators' states of \"" + name + "\" are " + shape_text(states) + ", expected " +
               std::to_string(ranks) + " of " + std::to_string(state.numel()) + " bytes");
}

}  // namespace

Checkpoint capture(LiveState& live) {
  const Session& session = live.session;
  const NamedTensors states = generator_states(session.device());
  const at::Tensor all = gather_on_rank_0(session, pack(states, live.meter.sums()));
  NamedTensors optimizer;
  for (Stateful* part : live.optimizer)
    for (auto& entry : part->state()) optimizer.push_back(std::move(entry));
  Checkpoint checkpoint;
  if (session.rank() != 0) return checkpoint;
  checkpoint.position = live.source.position();
  checkpoint.learning_rate = live.learning_rate;
  unpack(all, states, checkpoint);
  checkpoint.state_dict = copies(state_dict(live.module));
  checkpoint.optimizer = copies(optimizer);
  return checkpoint;
}

// Two messages, whatever the number of tensors: all that is text, and the bytes of all tensors.
void share(Session& session, Checkpoint& checkpoint) {
  if (session.world_size() == 1) return;
  const bool owner = session.rank() == 0;
  // JSON has no line ends of its own.
  std::string text = owner ? describe(checkpoint) + "\n" + forms_of(checkpoint) : "";
  session.broadcast_text(text);
  if (!owner) {
    const std::size_t end = text.find('\n');
    checkpoint = {};
    take_description(text.substr(0, end), checkpoint);
    make_tensors(text.substr(end + 1), checkpoint);
  }
  const std::int64_t bytes = for_each_tensor(checkpoint, [](const at::Tensor&, std::int64_t) {});
  const at::Tensor message = at::empty({bytes}, at::kByte);
  auto* const data = static_cast<char*>(message.data_ptr());
  if (owner)
    for_each_tensor(checkpoint, [&](const at::Tensor& tensor, std::int64_t place) {
      const at::Tensor values = tensor.contiguous();
      std::memcpy(data + place, values.const_data_ptr(), values.nbytes());
    });
  session.broadcast_bytes(data, static_cast<std::size_t>(bytes));
  if (!owner)
    for_each_tensor(checkpoint, [&](at::Tensor& tensor, std::int64_t place) {
      std::memcpy(tensor.data_ptr(), data + place, tensor.nbytes());
    });
}

void apply(const Checkpoint& checkpoint, LiveState& live, std::uint64_t seed, const std::string& origin) {
  const auto state = state_dict(live.module);
  NamedTensors optimizer;
  for (Stateful* part : live.optimizer)
    for (auto& entry : part->state_form()) optimizer.push_back(std::move(entry));
  require_same_form(state, checkpoint.state_dict, origin);
  require_same_form(optimizer, checkpoint.optimizer, origin + ", optimizer");
  require_fitting(checkpoint, live, origin);
  copy_into(state, checkpoint.state_dict, origin);
  for (Stateful* part : live.optimizer) part->load_state(checkpoint.optimizer);
  live.source.seek(checkpoint.position);

  const int rank = live.session.rank();
  const std::uint64_t new_seed = rank_seed(seed, rank, checkpoint.step);
  if (checkpoint.loss_window.size() == static_cast<std::size_t>(live.session.world_size())) {
    NamedTensors mine;
    for (const auto& [name, states] : checkpoint.rng) mine.emplace_back(name, states[rank].clone());
    set_generator_states(live.session.device(), mine, new_seed);
    live.meter.reset(checkpoint.loss_window[static_cast<std::size_t>(rank)]);
    return;
  }
  set_generator_states(live.session.device(), {}, new_seed);
  LossSums total;
  for (const LossSums& window : checkpoint.loss_window) {
    total.loss += window.loss;
    total.samples += window.samples;
  }
  live.meter.reset(rank == 0 ? total : LossSums{});
}

}  // namespace lockstep
