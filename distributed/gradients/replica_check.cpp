#include "lockstep/distributed/gradients/replica_check.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr std::uint64_t odd1 = 0x9E3779B97F4A7C15u, odd2 = 0xD6E8FEB86659FD93u;  // any two that mix well

std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ (value >> 32)) * odd2;
  return value ^ (value >> 29);
}

// Four sums that do not wait for each other: the multiplications overlap, and memory is the limit.
std::uint64_t digest_bytes(const char* data, std::size_t bytes) {
  std::uint64_t lanes[4] = {odd1, odd1 * 3, odd1 * 5, odd1 * 7};
  std::size_t at = 0;
  for (; at + sizeof lanes <= bytes; at += sizeof lanes) {
    std::uint64_t words[4];
    std::memcpy(words, data + at, sizeof words);
    for (int i = 0; i < 4; ++i) lanes[i] = (lanes[i] ^ words[i]) * odd1, lanes[i] ^= lanes[i] >> 32;
  }
  std::uint64_t rest[4] = {};
  std::memcpy(rest, data + at, bytes - at);
  std::uint64_t digest = bytes;
  for (int i = 0; i < 4; ++i) digest = mixed(digest * odd1 ^ mixed(lanes[i] ^ mixed(rest[i] + odd2)));
  return digest;
}

// digests: [ranks][parameters].
std::optional<ReplicaDifference> compare(const std::int64_t* digests, int ranks,
                                         const std::vector<ParameterInfo>& parameters) {
  std::optional<ReplicaDifference> found;
  const auto count = static_cast<std::int64_t>(parameters.size());
  for (std::int64_t p = 0; p < count; ++p) {
    std::map<std::int64_t, std::vector<int>> ranks_with;
    for (int rank = 0; rank < ranks; ++rank) ranks_with[digests[rank * count + p]].push_back(rank);
    if (ranks_with.size() == 1) continue;
    if (found) {
      ++found->parameters;
      continue;
    }
    found = ReplicaDifference{.parameter = parameters[static_cast<std::size_t>(p)].name, .parameters = 1, .ranks = {}};
    for (const auto& [digest, group] : ranks_with) {
      if (2 * group.size() > static_cast<std::size_t>(ranks))
        found->has_majority = true;
      else
        found->ranks.insert(found->ranks.end(), group.begin(), group.end());
    }
    std::sort(found->ranks.begin(), found->ranks.end());
  }
  return found;
}

std::string listed(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += std::to_string(ranks[i]);
  }
  return text;
}

}  // namespace

std::string ReplicaDifference::message() const {
  std::string text = "the weights of ";
  if (has_majority)
    text += listed(ranks) +
            (ranks.size() == 1 ? " differ from those of the other ranks" : " differ from those of most ranks");
  else
    text += listed(ranks) + " differ, and no values are those of most ranks";
  text += ", first in parameter '" + parameter + "'";
  if (parameters > 1) text += " and then in " + std::to_string(parameters - 1) + " more";
  return text;
}

std::uint64_t digest_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().contiguous().cpu();
  return digest_bytes(static_cast<const char*>(host.const_data_ptr()), host.nbytes());
}

std::optional<ReplicaDifference> find_replica_difference(const DataParallel& model) {
  const c10::AutoGradMode no_graph(false);
  Communicator& communicator = model.communicator();
  const auto& tensors = model.tensors();
  const auto count = static_cast<std::int64_t>(tensors.size());
  if (communicator.size() == 1) return {};
  at::Tensor mine = at::empty({count}, at::kLong);
  for (std::int64_t i = 0; i < count; ++i)
    mine.mutable_data_ptr<std::int64_t>()[i] =
        static_cast<std::int64_t>(digest_of(tensors[static_cast<std::size_t>(i)]));
  mine = mine.to(tensors[0].device());
  at::Tensor all = at::empty({communicator.size() * count}, mine.options());
  communicator.all_gather({mine.data_ptr(), count, DataType::int64}, {all.data_ptr(), all.numel(), DataType::int64})
      .wait();
  all = all.cpu();
  return compare(all.const_data_ptr<std::int64_t>(), communicator.size(), model.parameters());
}

void fail_of(const ReplicaDifference& difference, const std::string& where) {
  fail(ErrorKind::peer_lost, difference.message(),
       "a fault of memory or arithmetic on that machine, or code that changes weights on some ranks only; go on from a "
       "checkpoint of before",
       where);
}

void check_replicas(const DataParallel& model) {
  if (const auto difference = find_replica_difference(model)) fail_of(*difference, {});
}

}  // namespace lockstep
