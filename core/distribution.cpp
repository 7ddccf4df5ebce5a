#include "lockstep/core/distribution.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "lockstep/core/nearest_names.h"

namespace lockstep {
namespace {

Error refused(std::string what, std::string hint) {
  return {ErrorKind::usage, std::move(what), "distributed_training", std::move(hint)};
}

// "MpiConfiguration", "parameter_server" -> "mpi", "parameterserver".
std::string plain(std::string_view text) {
  std::string word;
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c))) word += static_cast<char>(std::tolower(c));
  constexpr std::string_view kEnd = "configuration";
  if (word.size() > kEnd.size() && word.ends_with(kEnd)) word.resize(word.size() - kEnd.size());
  return word;
}

std::optional<int> whole_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<Distribution> parse_counts(const std::string& text, std::string_view counts) {
  Distribution distribution{.kind = "mpi", .node_count = {}, .process_count_per_node = {}};
  const auto x = counts.find('x');
  if (x != std::string_view::npos) distribution.node_count = whole_number(counts.substr(0, x));
  distribution.process_count_per_node = whole_number(x == std::string_view::npos ? counts : counts.substr(x + 1));
  const bool sound = distribution.process_count_per_node.value_or(0) >= 1 &&
                     (x == std::string_view::npos || distribution.node_count.value_or(0) >= 1);
  if (!sound)
    return refused("distributed_training is \"" + text + "\": \"" + std::string(counts) + "\" are no counts",
                   "write mpi:4 for four processes on each node, or mpi:2x4 for two nodes of four");
  return distribution;
}

}  // namespace

Result<Distribution> parse_distribution(const std::string& text) {
  const auto colon = text.find(':');
  const std::string kind = plain(std::string_view(text).substr(0, colon));
  if (kind == "parameterserver" || kind == "tensorflow")
    return refused("distributed_training = " + text + " is not supported: there are no parameter servers",
                   "all ranks average their gradients by an allreduce, which needs no server and sends each gradient "
                   "once: use mpi");
  if (kind == "nccl" || kind == "gloo" || kind == "pytorch")
    return refused("distributed_training = " + text + " names how gradients travel, not how ranks are started",
                   "use mpi: it starts the ranks; the training program chooses the way of its gradients itself "
                   "(lockstep-train --communicator nccl)");
  const bool mpi = kind == "mpi" || kind == "openmpi" || kind == "intelmpi";
  if (mpi && colon != std::string::npos) return parse_counts(text, std::string_view(text).substr(colon + 1));
  if (colon == std::string::npos && (mpi || kind == "none" || text.empty()))
    return Distribution{.kind = mpi ? "mpi" : kind, .node_count = {}, .process_count_per_node = {}};
  return refused("distributed_training is \"" + text + "\"" + suggestion(text, std::vector<std::string>{"mpi", "none"}),
                 {});
}

Estimator with_plain_distribution(Estimator estimator) {
  const Distribution distribution = parse_distribution(estimator.distributed_training).value();
  estimator.distributed_training = distribution.kind;
  estimator.node_count = distribution.node_count.value_or(estimator.node_count);
  estimator.process_count_per_node = distribution.process_count_per_node.value_or(estimator.process_count_per_node);
  return estimator;
}

std::string Mpi::text() const {
  if (!process_count_per_node && !node_count) return "mpi";
  return "mpi:" + (node_count ? std::to_string(*node_count) + "x" : "") +
         std::to_string(process_count_per_node.value_or(1));
}

}  // namespace lockstep
