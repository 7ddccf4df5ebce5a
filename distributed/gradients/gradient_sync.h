// The life of the gradients between zero_grad() and the optimizer: filled by backward, reduced bucket by bucket.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"
#include "lockstep/distributed/gradients/bucket_reduction.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/gradients/exposed_time.h"
#include "lockstep/distributed/gradients/flat_buffers.h"

namespace lockstep {

// Buckets start in plan order, not in filling order: ranks may fill them in different orders, but a collective needs
// the same one everywhere. A full bucket waits until those before it have started; what backward leaves open starts at
// its end.
class GradientSync {
 public:
  // Collective.
  GradientSync(const std::vector<ParameterInfo>& infos, const BucketPlan& plan, FlatBuffers& flat,
               Communicator& communicator, const MakeReduction& make_reduction);
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  // Whether the next backward synchronises. Returns what held before.
  bool enable(bool synchronising);

  // Makes all gradients undefined and forgets a backward that ended in an exception.
  void zero_grad();

  // The gradient of this parameter is complete; called from inside backward.
  void gradient_ready(int parameter);

  // See DataParallel::synchronize.
  void synchronize();

  // See DataParallel::prepare_update.
  const std::vector<bool>& prepare_update();
  const std::vector<void*>& gradients_in_place();

  BucketReduction* reduction() const { return reduction_.get(); }  // null: there is one rank
  bool has_local_gradients() const { return has_local_gradients_; }
  const std::vector<bool>& has_gradient() const { return has_gradient_; }
  SyncTiming timing() const { return timing_; }
  bool measure_exposed_time(bool on) { return exposed_.enable(on); }

 private:
  void call_at_end_of_backward();
  void start_full_buckets();
  void start_bucket(std::size_t index);
  bool finish_bucket(std::size_t index);
  void fill_missing_slots();
  void finish_buckets();
  void send_used_flags();
  void receive_used_flags();
  void refuse_stale_gradient(int parameter);
  void prepare_next_backward();
  void check_update() const;
  bool still_synchronised() const;
  bool is_used(std::size_t parameter) const { return flat_.tensors()[parameter].grad().defined(); }

  const std::vector<ParameterInfo>& infos_;
  const BucketPlan& plan_;
  FlatBuffers& flat_;
  Communicator& communicator_;
  std::unique_ptr<BucketReduction> reduction_;
  at::Tensor used_here_, used_flags_;  // float32 per parameter: 1 where this rank had a gradient; > 0 where any had
  std::vector<float> sent_flags_;      // what used_here_ holds
  Work flags_work_;
  std::vector<int> bucket_of_;           // per parameter
  std::vector<std::uint32_t> versions_;  // per parameter: of its gradient's view when it was synchronised
  std::vector<bool> stale_;              // per parameter: with shards, not zeroed since it was synchronised
  std::vector<bool> ready_;              // per parameter: complete in this backward
  std::vector<std::size_t> missing_;     // per bucket: slots not ready
  std::size_t next_bucket_ = 0;          // the first that has not started
  std::vector<bool> finished_;           // per bucket, while they finish
  std::vector<bool> has_gradient_;
  std::vector<void*> places_;  // see gradients_in_place()
  bool synchronising_ = true;
  bool callback_queued_ = false;
  bool synchronised_ = false;  // a synchronised backward has ended since zero_grad()
  bool has_local_gradients_ = false;
  SyncTiming timing_;
  ExposedTime exposed_;
};

}  // namespace lockstep
