#include "lockstep/distributed/gradients/backward_probe.h"

#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/gradients/generators.h"
#include "lockstep/distributed/gradients/module_tensors.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double no_gradient = -1;

// The time at which each parameter's gradient was complete; the last time counts, where backward adds in several parts.
class Recorder {
 public:
  Recorder(const std::vector<at::Tensor>& tensors, at::Device device)
      : tensors_(tensors), device_(device), at_(tensors.size(), no_gradient) {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      torch::autograd::impl::set_post_acc_grad_hooks(tensors[i], std::make_unique<Hook>(*this, i));
  }
  ~Recorder() {
    for (const auto& tensor : tensors_) torch::autograd::impl::set_post_acc_grad_hooks(tensor, nullptr);
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void begin() {
    std::fill(at_.begin(), at_.end(), no_gradient);
    begin_ = Clock::now();
  }

  BackwardOrder order() const {
    BackwardOrder found{.order = std::vector<int>(at_.size()), .seconds = {}};
    std::iota(found.order.rbegin(), found.order.rend(), 0);
    const auto time = [&](int parameter) { return at_[static_cast<std::size_t>(parameter)]; };
    const double last = *std::max_element(at_.begin(), at_.end());
    const auto key = [&](int parameter) { return time(parameter) == no_gradient ? 2 * last + 1 : time(parameter); };
    std::stable_sort(found.order.begin(), found.order.end(), [&](int a, int b) { return key(a) < key(b); });
    const double first = std::max(0.0, time(found.order.front()));
    for (const int parameter : found.order) {
      const double since = time(parameter) == no_gradient ? last : time(parameter);
      found.seconds.push_back(std::max(0.0, since - first));
    }
    return found;
  }

 private:
  struct Hook : torch::autograd::PostAccumulateGradHook {
    Hook(Recorder& of, std::size_t number) : recorder(of), parameter(number) {}
    void operator()(const at::Tensor&) override { recorder.note(parameter); }
    Recorder& recorder;
    std::size_t parameter;
  };

  void note(std::size_t parameter) {
    if (!device_.is_cpu()) c10::impl::VirtualGuardImpl(device_.type()).getStream(device_).synchronize();
    at_[parameter] = std::chrono::duration<double>(Clock::now() - begin_).count();
  }

  const std::vector<at::Tensor>& tensors_;
  at::Device device_;
  std::vector<double> at_;  // seconds since begin(); no_gradient
  Clock::time_point begin_;
};

// What forward and backward change besides their results; put back at the end.
class Unchanged {
 public:
  Unchanged(const ModuleTensors& tensors, at::Device device)
      : tensors_(tensors), device_(device), random_(generator_states(device)) {
    for (const auto& buffer : tensors.buffers) buffers_.push_back(buffer.clone());
    for (const auto& tensor : tensors.trainable) {
      gradients_.push_back(tensor.grad());
      tensor.mutable_grad().reset();
    }
  }
  ~Unchanged() {
    const c10::AutoGradMode no_graph(false);
    for (std::size_t i = 0; i < buffers_.size(); ++i) tensors_.buffers[i].copy_(buffers_[i]);
    for (std::size_t i = 0; i < gradients_.size(); ++i) tensors_.trainable[i].mutable_grad() = gradients_[i];
    set_generator_states(device_, random_, 0);
  }
  Unchanged(const Unchanged&) = delete;
  Unchanged& operator=(const Unchanged&) = delete;

 private:
  const ModuleTensors& tensors_;
  at::Device device_;
  NamedTensors random_;
  std::vector<at::Tensor> buffers_, gradients_;
};

BackwardOrder observe(const ModuleTensors& tensors, at::Device device, const std::function<void()>& backward,
                      int passes) {
  const Unchanged unchanged(tensors, device);
  Recorder recorder(tensors.trainable, device);
  for (int pass = 0; pass < passes; ++pass) {
    for (const auto& tensor : tensors.trainable) tensor.mutable_grad().reset();
    recorder.begin();
    backward();
  }
  return recorder.order();
}

std::string to_text(const BackwardOrder& order) {
  std::ostringstream text;
  text << std::setprecision(17);
  for (std::size_t i = 0; i < order.order.size(); ++i) text << order.order[i] << ' ' << order.seconds[i] << '\n';
  return text.str();
}

BackwardOrder parse(const std::string& text) {
  BackwardOrder order;
  std::istringstream lines(text);
  int parameter = 0;
  double seconds = 0;
  while (lines >> parameter >> seconds) {
    order.order.push_back(parameter);
    order.seconds.push_back(seconds);
  }
  return order;
}

// The text of the lowest rank that has one, on all ranks.
std::string first_text(Communicator& communicator, at::Device device, const std::string& text) {
  try {
    agree(communicator, device, text, {});
  } catch (const Failure& failure) {
    if (failure.error().kind == ErrorKind::usage) return failure.error().what;
    throw;
  }
  return {};
}

}  // namespace

BackwardProbe probe_backward(const torch::nn::Module& module, Communicator& communicator,
                             const std::function<void()>& backward, int passes, bool layers_communicate) {
  const ModuleTensors tensors = collect_equal_tensors(module, communicator);
  const at::Device device = device_of(tensors);
  BackwardOrder seen;
  std::string problem;
  try {
    seen = observe(tensors, device, backward, passes);
  } catch (const std::exception& e) {
    if (layers_communicate || communicator.failed()) throw;
    const std::string what = to_error(e).what;
    problem = what.substr(0, what.find('\n')) + " on rank " + std::to_string(communicator.rank());
  }
  if (std::string failure = first_text(communicator, device, problem); !failure.empty())
    return {.failure = std::move(failure)};
  return {.order = parse(text_of_rank0(communicator, device, to_text(seen)))};
}

}  // namespace lockstep
