#include "lockstep/distributed/gradients/plan_from_probe.h"

#include <cstdio>
#include <numeric>
#include <vector>

#include "lockstep/distributed/gradients/backward_probe.h"
#include "lockstep/distributed/gradients/bucket_partition.h"
#include "lockstep/distributed/gradients/collective_cost.h"
#include "lockstep/distributed/gradients/module_tensors.h"

namespace lockstep {
namespace {

// "12 us + 0.08 ms/MB (measured)"
std::string describe(const CollectiveCost& cost) {
  char text[96];
  std::snprintf(text, sizeof text, "%.2g us + %.2g ms/MB (%s)", 1e6 * cost.link.alpha, 1e9 * cost.link.beta,
                cost.origin.c_str());
  return text;
}

}  // namespace

ProbedBuckets plan_from_probe(const torch::nn::Module& module, Communicator& communicator,
                              const ProbeOptions& options) {
  if (communicator.size() == 1) return {.layout = {}, .origin = "one rank: no buckets are sent"};
  const bool overlaps = communicator.overlaps();
  // Times, unlike the order, are those of a second pass.
  const BackwardProbe probe =
      probe_backward(module, communicator, options.backward, overlaps ? 2 : 1, options.layers_communicate);
  if (!probe.failure.empty())
    return {.layout = {}, .origin = "buckets by size, as the first backward could not be tried: " + probe.failure};
  const ModuleTensors tensors = collect_tensors(module);
  std::vector<ReadyGradient> gradients;
  std::int64_t bytes = 0;
  for (std::size_t i = 0; i < probe.order.order.size(); ++i) {
    const auto& info = tensors.infos[static_cast<std::size_t>(probe.order.order[i])];
    gradients.push_back({info.count * info.element_bytes, options.time_factor * probe.order.seconds[i]});
    bytes += gradients.back().bytes;
  }
  ProbedBuckets result{.layout = {.order = probe.order.order, .ends = {}}, .origin = {}};
  const auto cost = options.measure_seconds > 0
                        ? all_reduce_cost(communicator, device_of(tensors), bytes, options.measure_seconds)
                        : std::nullopt;
  if (!cost) {
    result.origin = "buckets by size, in the order of the first backward";
    return result;
  }
  result.layout.ends = partition_gradients(gradients, {cost->link, overlaps, options.bucket_bytes});
  result.origin = "planned from " + describe(*cost) + " and the order of the first backward";
  return result;
}

}  // namespace lockstep
