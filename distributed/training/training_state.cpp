#include "lockstep/distributed/training/training_state.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>

#include <cstring>
#include <mutex>
#include <sstream>

#include "lockstep/distributed/checkpoint/checkpoint_description.h"
#include "lockstep/distributed/training/small_sums.h"

namespace lockstep {
namespace {

at::Tensor generator_state() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_generator_state(const at::Tensor& state) {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state);
}

// What one rank adds to a checkpoint, as 64-bit words: its generator's state (padded), the two sums of its loss window.
std::vector<std::int64_t> pack(const at::Tensor& rng, const LossSums& window) {
  std::vector<std::int64_t> words((rng.nbytes() + 7) / 8 + 2);
  std::memcpy(words.data(), rng.const_data_ptr(), rng.nbytes());
  std::memcpy(&words[words.size() - 2], &window.loss, sizeof window.loss);
  words.back() = window.samples;
  return words;
}

void unpack(const std::int64_t* words, std::size_t count, std::int64_t rng_bytes, Checkpoint& checkpoint) {
  const at::Tensor rng = at::empty({rng_bytes}, at::kByte);
  std::memcpy(rng.data_ptr(), words, static_cast<std::size_t>(rng_bytes));
  LossSums window;
  std::memcpy(&window.loss, words + count - 2, sizeof window.loss);
  window.samples = words[count - 1];
  checkpoint.rng.push_back(rng);
  checkpoint.loss_window.push_back(window);
}

NamedTensors copies(const NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors)
    result.emplace_back(name, tensor.detach().to(at::kCPU, /*non_blocking=*/false, /*copy=*/true));
  return result;
}

NamedTensors empty_tensors(const std::string& forms) {
  NamedTensors tensors;
  std::istringstream lines(forms);
  for (std::string name, form; std::getline(lines, name) && std::getline(lines, form);) {
    std::istringstream numbers(form);
    int type = 0;
    std::size_t dimensions = 0;
    numbers >> type >> dimensions;
    std::vector<std::int64_t> sizes(dimensions);
    for (auto& size : sizes) numbers >> size;
    tensors.emplace_back(name, at::empty(sizes, at::TensorOptions(static_cast<at::ScalarType>(type))));
  }
  return tensors;
}

// Forms first, as one text, then the bytes of each tensor. On other ranks than 0 `tensors` is replaced.
void share_tensors(const Session& session, NamedTensors& tensors) {
  std::ostringstream forms;
  for (const auto& [name, tensor] : tensors) {
    forms << name << '\n' << static_cast<int>(tensor.scalar_type()) << ' ' << tensor.dim();
    for (const auto size : tensor.sizes()) forms << ' ' << size;
    forms << '\n';
  }
  std::string text = forms.str();
  session.broadcast_text(text);
  if (session.rank() != 0) tensors = empty_tensors(text);
  for (const auto& [name, tensor] : tensors) session.broadcast_bytes(tensor.data_ptr(), tensor.nbytes());
}

NamedTensors rng_tensors(const Checkpoint& checkpoint) {
  NamedTensors tensors;
  for (const auto& state : checkpoint.rng) tensors.emplace_back("", state);
  return tensors;
}

// What the calls in apply() would refuse after others have changed something.
void require_fitting(const Checkpoint& checkpoint, const LiveState& live, const std::string& origin) {
  const auto refuse = [&](const std::string& what) { fail(ErrorKind::usage, what, {}, origin); };
  const auto started = checkpoint.optimizer_started.size(), parameters = live.optimizer.started().size();
  if (started != parameters)
    refuse("the optimizer's state is for " + std::to_string(started) + " parameters, the model has " +
           std::to_string(parameters));
  const auto [epoch, consumed] = checkpoint.position;
  const std::int64_t samples = live.source.sample_count();
  if (epoch < 0 || consumed < 0 || consumed > samples)
    refuse("the position is epoch " + std::to_string(epoch) + ", " + std::to_string(consumed) + " of " +
           std::to_string(samples) + " samples");
  const std::int64_t expected = generator_state().numel();
  for (const at::Tensor& state : checkpoint.rng)
    if (state.numel() != expected || state.scalar_type() != at::kByte)
      refuse("a generator's state has " + std::to_string(state.numel()) + " bytes, this LibTorch's has " +
             std::to_string(expected));
}

}  // namespace

Checkpoint capture(LiveState& live) {
  const Session& session = live.session;
  const at::Tensor rng = generator_state();
  const auto mine = pack(rng, live.meter.sums());
  std::vector<std::int64_t> all(mine.size() * static_cast<std::size_t>(session.world_size()));
  gather_words(live.model.communicator(), session.device(), mine, all);

  Checkpoint checkpoint;
  checkpoint.position = live.source.position();
  checkpoint.learning_rate = live.optimizer.learning_rate();
  checkpoint.optimizer_started = live.optimizer.started();
  for (int rank = 0; rank < session.world_size(); ++rank)
    unpack(all.data() + static_cast<std::size_t>(rank) * mine.size(), mine.size(), rng.numel(), checkpoint);
  if (session.rank() == 0) {
    checkpoint.state_dict = copies(state_dict(live.module));
    checkpoint.optimizer = copies(live.optimizer.state());
  }
  return checkpoint;
}

void share(Session& session, Checkpoint& checkpoint) {
  if (session.world_size() == 1) return;
  const bool owner = session.rank() == 0;
  std::string text = owner ? describe(checkpoint) : "";
  session.broadcast_text(text);
  if (!owner) {
    checkpoint = {};
    take_description(text, checkpoint);
  }
  share_tensors(session, checkpoint.state_dict);
  share_tensors(session, checkpoint.optimizer);
  NamedTensors rng = rng_tensors(checkpoint);
  share_tensors(session, rng);
  if (!owner)
    for (const auto& [name, state] : rng) checkpoint.rng.push_back(state);
}

void apply(const Checkpoint& checkpoint, LiveState& live, std::uint64_t seed, const std::string& origin) {
  const auto state = state_dict(live.module);
  const auto optimizer = live.optimizer.state();
  require_same_form(state, checkpoint.state_dict, origin);
  require_same_form(optimizer, checkpoint.optimizer, origin + ", optimizer");
  require_fitting(checkpoint, live, origin);
  copy_into(state, checkpoint.state_dict, origin);
  copy_into(optimizer, checkpoint.optimizer, origin + ", optimizer");
  live.optimizer.set_started(checkpoint.optimizer_started);
  live.source.seek(checkpoint.position);

  const auto rank = static_cast<std::size_t>(live.session.rank());
  if (checkpoint.rng.size() == static_cast<std::size_t>(live.session.world_size())) {
    set_generator_state(checkpoint.rng[rank]);
    live.meter.reset(checkpoint.loss_window[rank]);
    return;
  }
  auto generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(rank_seed(seed, live.session.rank(), checkpoint.step));
  LossSums total;
  for (const LossSums& window : checkpoint.loss_window) {
    total.loss += window.loss;
    total.samples += window.samples;
  }
  live.meter.reset(rank == 0 ? total : LossSums{});
}

// SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014) over the three numbers in turn: neighbours get unrelated
// seeds.
std::uint64_t rank_seed(std::uint64_t seed, int rank, std::int64_t step) {
  std::uint64_t x = seed;
  for (const std::uint64_t part : {static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(step)}) {
    x += part + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
  }
  return x;
}

}  // namespace lockstep
