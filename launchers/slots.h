// The cores of one machine, handed out to runs first come, first served, without a server.
//
// Each supervisor that wants slots leaves a ticket: a file NUMBER_RUNID in one directory, with a number above all
// others there. Ticket order is queue order, and one rule decides alone: a run may start once the slots of all tickets
// up to and including its own fit into the machine. Tickets before one's own only ever disappear, so a run that may
// start keeps that right until it gives its ticket back. A ticket whose supervisor is dead (pid and start time) is
// removed by whoever sees it. No locks: works on NFS too, where flock may not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

struct Ticket {
  std::uint64_t number = 0;  // tickets are ordered by number, then run_id
  std::string run_id;
  int slots = 0;
  std::int64_t pid = 0;
  std::uint64_t start_time = 0;  // of that process, in clock ticks since boot
};

struct QueuePosition {
  bool may_start = false;
  int wanted = 0, free = 0, capacity = 0;
  std::vector<std::string> held_by;  // runs before this one, those that hold slots first come first
  std::string describe() const;      // "waiting for 2 of 2 slots (0 free): behind a_17…, b_17…"
};

// Pure: where `mine` stands among `tickets` (any order, with or without `mine`) on a machine with `capacity` slots.
QueuePosition queue_position(std::vector<Ticket> tickets, const Ticket& mine, int capacity);

// How many slots this machine has for this workspace: LOCKSTEP_SLOTS, else `slots = N` in compute/local.ini, else the
// whole cores this process may use. workspace: nullptr when there is none yet. Usage error for what is no number of at
// least 1.
Result<int> local_slots(const Workspace* workspace);

// One run's place in the queue of this machine. Gives the ticket back when it goes.
class SlotQueue {
 public:
  // directory: …/.lockstep/compute/local/HOST, created. slots: at least 1; more than capacity is cut to it: the run
  // then waits until it is alone and oversubscribes. Throws Failure(environment) when the directory cannot be written.
  SlotQueue(std::filesystem::path directory, std::string run_id, int slots, int capacity);
  ~SlotQueue();
  SlotQueue(const SlotQueue&) = delete;
  SlotQueue& operator=(const SlotQueue&) = delete;

  // Reads the directory; also removes tickets of the dead.
  QueuePosition position() const;

 private:
  std::vector<Ticket> read_tickets() const;
  void take_ticket();
  std::filesystem::path directory_;
  Ticket ticket_;
  int capacity_;
};

}  // namespace lockstep
