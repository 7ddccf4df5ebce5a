// What a run has logged, read back.
#include "lockstep/core/metric_values.h"
#include "lockstep/core/run_state.h"

namespace lockstep {

MetricValues Run::get_metrics(std::string_view name, bool recursive) const {
  MetricValues all = read_metrics(state_->logs_directory());
  if (recursive) {
    for (const Run& child : get_children(/*recursive=*/true)) {
      MetricValues more = read_metrics(child.state_->logs_directory());
      for (Metric& metric : more.metrics) {
        metric.name = child.id() + "/" + metric.name;
        all.metrics.push_back(std::move(metric));
      }
      all.warnings.insert(all.warnings.end(), more.warnings.begin(), more.warnings.end());
    }
  }
  if (!name.empty()) {
    std::erase_if(all.metrics, [&](const Metric& metric) {
      return metric.name != name && !(recursive && metric.name.ends_with("/" + std::string(name)));
    });
  }
  return all;
}

}  // namespace lockstep
