#include "lockstep/distributed/communicator/roll_call.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace lockstep {
namespace {

constexpr int kTag = 0;
constexpr int kNamed = 8;  // ranks that a message names; more would hide its end

std::string names(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < ranks.size() && i < kNamed; ++i) text += (i > 0 ? ", " : " ") + std::to_string(ranks[i]);
  if (ranks.size() > kNamed) text += " and " + std::to_string(ranks.size() - kNamed) + " more";
  return text;
}

}  // namespace

RollCall::~RollCall() {
  forget_sent();
  if (!sent_.empty()) abandon();  // nobody has taken them
}

void RollCall::abandon() {
  const std::scoped_lock alone(mutex_);
  comm_.abandon();
  (void)new std::list(std::move(sent_));  // MPI may read them as long as the process calls it
  sent_.clear();
}

void RollCall::answer(std::string_view doing) {
  const std::unique_lock alone(mutex_, std::try_to_lock);
  if (!alone) return;
  if (comm_.get() == MPI_COMM_NULL) return;
  forget_sent();
  receive(doing);
}

std::string RollCall::ask(std::string_view doing, std::chrono::milliseconds limit) {
  const std::scoped_lock alone(mutex_);
  if (comm_.get() == MPI_COMM_NULL) return {};
  heard_.assign(static_cast<std::size_t>(comm_.size()), {});
  heard_[static_cast<std::size_t>(comm_.rank())] = doing;
  for (int rank = 0; rank < comm_.size(); ++rank)
    if (rank != comm_.rank()) send(rank, /*is_question=*/true, doing);
  const auto end = std::chrono::steady_clock::now() + limit;
  const auto silent = [](const std::string& text) { return text.empty(); };
  while (std::any_of(heard_.begin(), heard_.end(), silent) && std::chrono::steady_clock::now() < end) {
    receive(doing);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return missing(doing);
}

void RollCall::send(int rank, bool is_question, std::string_view doing) {
  Outgoing& out = sent_.emplace_back();
  out.message.is_question = is_question;
  doing.copy(out.message.doing.data(), out.message.doing.size() - 1);
  const auto lock = lock_mpi();
  check_mpi(MPI_Isend(&out.message, sizeof(Message), MPI_BYTE, rank, kTag, comm_.get(), &out.request), "MPI_Isend");
}

void RollCall::receive(std::string_view doing) {
  while (true) {
    Message message;
    MPI_Status status;
    {
      const auto lock = lock_mpi();
      int waiting = 0;
      check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kTag, comm_.get(), &waiting, &status), "MPI_Iprobe");
      if (waiting == 0) return;
      check_mpi(MPI_Recv(&message, sizeof message, MPI_BYTE, status.MPI_SOURCE, kTag, comm_.get(), MPI_STATUS_IGNORE),
                "MPI_Recv");
    }
    if (!heard_.empty()) heard_[static_cast<std::size_t>(status.MPI_SOURCE)] = message.doing.data();
    if (message.is_question) send(status.MPI_SOURCE, /*is_question=*/false, doing);
  }
}

void RollCall::forget_sent() {
  const auto lock = lock_mpi();
  sent_.remove_if([](Outgoing& out) {
    int complete = 0;
    check_mpi(MPI_Test(&out.request, &complete, MPI_STATUS_IGNORE), "MPI_Test");
    return complete != 0;
  });
}

std::string RollCall::missing(std::string_view doing) const {
  std::vector<int> silent;
  for (std::size_t rank = 0; rank < heard_.size(); ++rank)
    if (heard_[rank].empty()) silent.push_back(static_cast<int>(rank));
  std::string text;
  if (!silent.empty()) text = names(silent) + (silent.size() == 1 ? " does not answer" : " do not answer");
  const std::string same(doing.substr(0, sizeof(Message::doing) - 1));
  int named = 0;
  for (std::size_t rank = 0; rank < heard_.size() && named < kNamed; ++rank) {
    if (heard_[rank].empty() || heard_[rank] == same) continue;
    text += (text.empty() ? "" : "; ") + ("rank " + std::to_string(rank)) + " waits in " + heard_[rank];
    ++named;
  }
  return text;
}

}  // namespace lockstep
