#include "lockstep/distributed/communicator/shared_operation.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace lockstep {

void SharedOperation::start(std::shared_ptr<ProgressEngine> engine, const Call& call, std::uint64_t sequence,
                            const Buffer& input, const Buffer& output) {
  call_ = call;
  sequence_ = sequence;
  input_ = input;
  output_ = output;
  path_ = Path::unknown;
  arrived_ = 0;
  checked_ = false;
  chunks_ = in_ = summed_ = departed_ = reduced_ = out_ = 0;
  location_ = contribution().count > 0 ? region_.locate(contribution().data, bytes_of(contribution())) : Location{};
  restart(std::move(engine));
}

void SharedOperation::advance(Stage limit) {
  if (stage() == Stage::queued && limit >= Stage::announced && announce()) reach(Stage::announced);
  if (stage() == Stage::announced && limit >= Stage::begun && begin()) reach(Stage::begun);
  if (stage() == Stage::begun && limit >= Stage::published && publish()) reach(Stage::published);
  if (stage() == Stage::published && limit >= Stage::done && complete_for_all()) reach(Stage::done);
}

const Buffer& SharedOperation::contribution() const {
  const bool has_input = call_.kind == CallKind::reduce_scatter || call_.kind == CallKind::all_gather;
  return has_input ? input_ : output_;
}

bool SharedOperation::announce() {
  // The slot was used before: everybody must have finished reading what it said then.
  if (sequence_ > Board::slot_count && !region_.all_reached(Progress::finished, sequence_ - Board::slot_count)) {
    return false;
  }
  Slot& slot = region_.slot(region_.rank(), sequence_);
  slot.call = call_;
  slot.location = location_;
  slot.announced_at =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (fits_in_slot() && contributes() && contribution().count > 0) {
    std::memcpy(slot.payload, contribution().data, static_cast<std::size_t>(bytes_of(contribution())));
  }
  slot.stamp.store(sequence_, std::memory_order_release);
  region_.wake_others();
  return true;
}

bool SharedOperation::begin() {
  if (!checked_ && all_arrived() && other_nodes_agree()) {
    check_calls_on_node();
    note_who_came_last();
    checked_ = true;
    if (path_ == Path::unknown) choose_path();
    if (path_ == Path::direct) begin_direct();
    if (path_ == Path::small) reduce_from_slots();
  }
  // Memory that the others cannot see must be staged, whatever they have: no need to wait for them to begin with that.
  if (path_ == Path::unknown && !fits_in_slot() && contributes() && !location_.direct()) {
    path_ = Path::staged;
    plan_chunks();
  }
  if (path_ == Path::staged) return run_chunks();
  if (path_ == Path::direct && sends_slices()) return send_own_slices();
  return checked_;
}

bool SharedOperation::all_arrived() {
  while (arrived_ < region_.size() && region_.has_arrived(arrived_, sequence_)) ++arrived_;
  return arrived_ == region_.size();
}

void SharedOperation::check_calls_on_node() {
  if (!context_.verify) return;
  const Call& first = region_.slot(0, sequence_).call;
  for (int rank = 1; rank < region_.size(); ++rank) {
    const Call& call = region_.slot(rank, sequence_).call;
    if (!(call == first)) {
      const auto& ranks = context_.layout.own_node();
      fail_different_call(ranks[static_cast<std::size_t>(rank)], call, ranks[0], first, sequence_);
    }
  }
}

// The announcements carry the time: a rank need not have been looking when the others came.
void SharedOperation::note_who_came_last() {
  std::int64_t latest = 0, last_but_one = 0;
  std::size_t last = 0;
  for (int rank = 0; rank < region_.size(); ++rank) {
    const std::int64_t at = region_.slot(rank, sequence_).announced_at;
    last_but_one = std::max(last_but_one, std::min(at, latest));
    if (at <= latest) continue;
    latest = at;
    last = static_cast<std::size_t>(rank);
  }
  if (last_but_one == 0) return;  // one rank waits for nobody
  auto& arrivals = context_.arrivals[last];
  ++arrivals.last;
  arrivals.late_seconds += 1e-9 * static_cast<double>(latest - last_but_one);
}

// A slot can be read for nothing; what other nodes call is asked for now and then.
bool SharedOperation::other_nodes_agree() {
  if (!context_.several_nodes() || !context_.verify || !CallCheck::is_due(sequence_)) return true;
  if (!check_.under_way()) check_.start(context_.world, call_, sequence_);
  return check_.passed();
}

// From the announcements of all ranks alone, so that all choose the same.
void SharedOperation::choose_path() {
  path_ = Path::direct;
  if (fits_in_slot()) {
    path_ = Path::small;
    return;
  }
  if (gathers_columns() || scatters_whole()) path_ = Path::staged;
  for (int rank = 0; rank < region_.size(); ++rank) {
    const bool matters = call_.kind != CallKind::broadcast || rank == call_.root;
    if (matters && !region_.slot(rank, sequence_).location.direct()) path_ = Path::staged;
  }
  if (path_ == Path::staged) plan_chunks();
}

bool SharedOperation::publish() {
  if (sends_slices() && !receive_own_slices()) return false;
  region_.publish(Progress::finished, sequence_);
  return true;
}

bool SharedOperation::complete_for_all() {
  if (path_ != Path::direct)
    return true;  // the data went through slots or staging: nobody looks at this rank's buffers
  if (call_.kind == CallKind::broadcast && call_.root != region_.rank()) return true;
  return region_.all_reached(Progress::finished, sequence_);
}

std::string SharedOperation::waiting_for() const {
  std::string absent, unfinished;
  for (int rank = 0; rank < region_.size(); ++rank) {
    const std::string name = " " + std::to_string(context_.layout.own_node()[static_cast<std::size_t>(rank)]);
    if (!region_.has_arrived(rank, sequence_)) {
      absent += name;
    } else if (rank != region_.rank() && !region_.has_reached(rank, Progress::finished, sequence_)) {
      unfinished += name;
    }
  }
  if (!absent.empty()) return "not arrived: rank" + absent;
  if (context_.several_nodes()) return "all ranks of this node have arrived; missing is a rank of another node";
  return unfinished.empty() ? std::string{} : "arrived, but have not done their part: rank" + unfinished;
}

}  // namespace lockstep
