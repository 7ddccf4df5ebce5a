#include "lockstep/distributed/gradients/data_parallel.h"

#include <torch/csrc/autograd/variable.h>
#include <torch/nn/module.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/gradients/flat_buffers.h"
#include "lockstep/distributed/gradients/gradient_sync.h"
#include "lockstep/distributed/gradients/module_tensors.h"
#include "lockstep/distributed/gradients/packed_broadcast.h"

namespace lockstep {
namespace {

// Called by autograd when a parameter's gradient is complete. It lives in the tensor; ~State takes it out again.
class GradientHook : public torch::autograd::PostAccumulateGradHook {
 public:
  GradientHook(GradientSync& sync, int parameter) : sync_(sync), parameter_(parameter) {}
  void operator()(const at::Tensor&) override { sync_.gradient_ready(parameter_); }

 private:
  GradientSync& sync_;
  int parameter_;
};

// The hooks of all parameters; taken out again whatever happens.
class Hooks {
 public:
  explicit Hooks(const std::vector<at::Tensor>& tensors) : tensors_(tensors) {}
  ~Hooks() {
    for (const auto& tensor : tensors_) torch::autograd::impl::set_post_acc_grad_hooks(tensor, nullptr);
  }
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  void set(GradientSync& sync) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      torch::autograd::impl::set_post_acc_grad_hooks(tensors_[i],
                                                     std::make_unique<GradientHook>(sync, static_cast<int>(i)));
    }
  }

 private:
  const std::vector<at::Tensor>& tensors_;
};

BucketPlan make_equal_plan(const ModuleTensors& tensors, Communicator& communicator,
                           const DataParallelOptions& options) {
  auto plan = plan_buckets(tensors.infos, {options.bucket_bytes, options.first_bucket_bytes},
                           options.shard_optimizer ? communicator.size() : 1, options.layout);
  const auto hashes = gather_values(communicator, device_of(tensors), static_cast<std::int64_t>(plan.hash));
  for (int rank = 1; rank < communicator.size(); ++rank) {
    if (hashes[rank] == hashes[0]) continue;
    fail(ErrorKind::usage, "ranks 0 and " + std::to_string(rank) + " have planned different buckets",
         "give every rank the same bucket_bytes, first_bucket_bytes, layout and shard_optimizer");
  }
  return plan;
}

}  // namespace

struct DataParallel::State {
  State(torch::nn::Module& trained, Communicator& comm, DataParallelOptions chosen)
      : module(&trained),
        keep_alive(trained.weak_from_this().lock()),
        communicator(comm),
        options(std::move(chosen)),
        tensors(collect_equal_tensors(trained, comm)),
        plan(make_equal_plan(tensors, comm, options)),
        flat(tensors.trainable, plan, comm),
        sync(tensors.infos, plan, flat, comm, options.reduction),
        gathers(plan.buckets.size()) {
    // All values, not only the trainable ones, are rank 0's from here on.
    communicator
        .broadcast({flat.parameters().data_ptr(), plan.total_count, data_type(flat.parameters().scalar_type())}, 0)
        .wait();
    auto rest = tensors.frozen;
    rest.insert(rest.end(), tensors.buffers.begin(), tensors.buffers.end());
    broadcast_packed(communicator, rest, device_of(tensors), 0);
    hooks.set(sync);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  torch::nn::Module* module;
  std::shared_ptr<torch::nn::Module> keep_alive;  // null for a module that no shared_ptr owns
  Communicator& communicator;
  DataParallelOptions options;
  ModuleTensors tensors;
  BucketPlan plan;
  FlatBuffers flat;
  GradientSync sync;
  std::vector<Work> gathers;       // per bucket
  Hooks hooks{tensors.trainable};  // last: gone before what they call
};

DataParallel::DataParallel(torch::nn::Module& module, Communicator& communicator, DataParallelOptions options)
    : state_(std::make_unique<State>(module, communicator, std::move(options))) {}

DataParallel::~DataParallel() = default;

DataParallel::NoSync::NoSync(DataParallel& parent) : parent_(parent), previous_(parent.state_->sync.enable(false)) {}
DataParallel::NoSync::~NoSync() { parent_.state_->sync.enable(previous_); }

void DataParallel::zero_grad() { state_->sync.zero_grad(); }
void DataParallel::synchronize() { state_->sync.synchronize(); }
const std::vector<bool>& DataParallel::prepare_update() { return state_->sync.prepare_update(); }
const std::vector<void*>& DataParallel::gradients_in_place() { return state_->sync.gradients_in_place(); }
bool DataParallel::has_local_gradients() const { return state_->sync.has_local_gradients(); }

void DataParallel::broadcast_buffers() {
  if (!state_->options.broadcast_buffers || state_->tensors.buffers.empty() || !state_->module->is_training()) return;
  broadcast_packed(state_->communicator, state_->tensors.buffers, device_of(state_->tensors), 0);
}

const std::vector<ParameterInfo>& DataParallel::parameters() const { return state_->tensors.infos; }
const std::vector<at::Tensor>& DataParallel::tensors() const { return state_->tensors.trainable; }
const BucketPlan& DataParallel::plan() const { return state_->plan; }
Communicator& DataParallel::communicator() const { return state_->communicator; }
at::Tensor& DataParallel::flat_parameters() { return state_->flat.parameters(); }
at::Tensor& DataParallel::flat_gradients() { return state_->flat.gradients(); }
int DataParallel::shard() const { return state_->plan.shards > 1 ? state_->communicator.rank() : 0; }

void DataParallel::gather_shards(const at::Tensor& flat) {
  const auto& plan = state_->plan;
  if (plan.shards == 1) return;
  auto* const data = static_cast<char*>(flat.data_ptr());
  const auto buffer = [&](std::int64_t offset, std::int64_t count) {
    return Buffer{data + offset * flat.element_size(), count, data_type(flat.scalar_type())};
  };
  for (std::size_t i = 0; i < plan.buckets.size(); ++i) {
    const auto& bucket = plan.buckets[i];
    const auto mine = shard_of(plan, bucket, shard());
    state_->gathers[i] =
        state_->communicator.all_gather(buffer(mine.offset, mine.count), buffer(bucket.offset, bucket.count));
  }
  for (auto& work : state_->gathers) {
    work.wait();
    work = {};
  }
}

const std::vector<bool>& DataParallel::has_gradient() const { return state_->sync.has_gradient(); }
SyncTiming DataParallel::last_sync() const { return state_->sync.timing(); }
bool DataParallel::measure_exposed_time(bool on) { return state_->sync.measure_exposed_time(on); }
BucketReduction* DataParallel::reduction() const { return state_->sync.reduction(); }

}  // namespace lockstep
