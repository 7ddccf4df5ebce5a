#include "lockstep/launchers/slots.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "lockstep/core/options.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/launchers/launch_plan.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

bool is_before(const Ticket& a, const Ticket& b) { return std::tie(a.number, a.run_id) < std::tie(b.number, b.run_id); }

std::string ticket_name(const Ticket& ticket) {
  char number[32];
  std::snprintf(number, sizeof number, "%012llu_", static_cast<unsigned long long>(ticket.number));
  return number + ticket.run_id;
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

std::string to_text(const Ticket& ticket) {
  return nlohmann::json{
      {"run", ticket.run_id}, {"slots", ticket.slots}, {"pid", ticket.pid}, {"start_time", ticket.start_time}}
      .dump();
}

// Nothing for a temporary file, for one that vanished meanwhile and for one that is not a ticket.
std::optional<Ticket> read_ticket(const fs::path& path) {
  try {
    const auto json = nlohmann::json::parse(read_file(path, 65536));
    const std::string name = path.filename().string();
    const Ticket ticket{std::strtoull(name.c_str(), nullptr, 10), json.at("run"), json.at("slots"), json.at("pid"),
                        json.at("start_time")};
    if (ticket_name(ticket) == name) return ticket;
  } catch (const std::exception&) {
  }
  return {};
}

struct LocalTarget {
  int slots = 0;
};

Result<int> checked_slots(int slots, const std::string& origin) {
  if (slots >= 1) return slots;
  return Error{ErrorKind::usage, "the number of slots must be at least 1, not " + std::to_string(slots), origin, {}};
}

}  // namespace

std::string QueuePosition::describe() const {
  std::string text = "waiting for " + std::to_string(wanted) + " of " + std::to_string(capacity) + " slots (" +
                     std::to_string(free) + " free): ";
  if (held_by.empty()) return text + "about to start";
  text += "behind ";
  for (std::size_t i = 0; i < held_by.size(); ++i) {
    if (i == 3) return text + " and " + std::to_string(held_by.size() - i) + " more";
    text += (i ? ", " : "") + held_by[i];
  }
  return text;
}

QueuePosition queue_position(std::vector<Ticket> tickets, const Ticket& mine, int capacity) {
  std::sort(tickets.begin(), tickets.end(), is_before);
  QueuePosition position;
  position.capacity = capacity;
  position.wanted = std::min(mine.slots, capacity);
  int needed = 0;  // by the tickets before this one
  int held = 0;    // by those of them that may run
  for (const Ticket& ticket : tickets) {
    if (!is_before(ticket, mine)) break;
    // Cut: other supervisors may see another capacity, and the sum must not overflow.
    needed = std::min(needed + std::min(ticket.slots, capacity), 2 * capacity);
    if (needed <= capacity) held = needed;
    position.held_by.push_back(ticket.run_id);
  }
  position.free = capacity - held;
  position.may_start = needed + position.wanted <= capacity;
  return position;
}

Result<int> local_slots(const Workspace* workspace) try {
  if (const char* text = std::getenv("LOCKSTEP_SLOTS"); text && *text) {
    char* end = nullptr;
    const long slots = std::strtol(text, &end, 10);
    if (*end != '\0' || slots < 1 || slots > 1'000'000)
      return Error{ErrorKind::usage,
                   "LOCKSTEP_SLOTS is \"" + std::string(text) + "\", not a number of at least 1",
                   {},
                   "unset it, or set it to the number of processes this machine should run at once"};
    return static_cast<int>(slots);
  }
  const fs::path file = workspace ? workspace->root() / "compute" / "local.ini" : fs::path();
  if (std::error_code ignored; fs::exists(file, ignored)) {
    OptionTable<LocalTarget> table;
    table.add("slots", &LocalTarget::slots, "N", "processes this machine runs at once");
    LocalTarget target;
    const auto parsed = table.parse_ini(read_file(file, 65536), file.string(), &target);
    if (!parsed) return parsed.error();
    return checked_slots(target.slots, file.string());
  }
  return usable_cores();
} catch (const Failure& unreadable) {
  return unreadable.error();
}

SlotQueue::SlotQueue(fs::path directory, std::string run_id, int slots, int capacity)
    : directory_(std::move(directory)), capacity_(capacity) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error) fail(ErrorKind::environment, "cannot create " + directory_.string() + ": " + error.message());
  ticket_.run_id = std::move(run_id);
  ticket_.slots = std::clamp(slots, 1, capacity);
  ticket_.pid = ::getpid();
  ticket_.start_time = process_start_time(::getpid()).value_or(0);
  take_ticket();
}

SlotQueue::~SlotQueue() { remove_quietly(directory_ / ticket_name(ticket_)); }

// The number must be above every ticket that stands, or a run that already started could find this one before it. Two
// supervisors may choose at the same moment: whoever then sees a higher ticket than its own withdraws and tries again.
void SlotQueue::take_ticket() {
  while (true) {
    std::uint64_t highest = 0;
    for (const Ticket& ticket : read_tickets()) highest = std::max(highest, ticket.number);
    ticket_.number = highest + 1;
    const fs::path path = directory_ / ticket_name(ticket_);
    publish_file(path, to_text(ticket_));
    const auto tickets = read_tickets();
    const bool last =
        std::none_of(tickets.begin(), tickets.end(), [&](const Ticket& other) { return is_before(ticket_, other); });
    if (last) return;
    remove_quietly(path);
  }
}

std::vector<Ticket> SlotQueue::read_tickets() const {
  std::vector<Ticket> tickets;
  std::error_code error;
  for (fs::directory_iterator entry(directory_, error), end; !error && entry != end; entry.increment(error)) {
    const auto ticket = read_ticket(entry->path());
    if (!ticket) continue;
    if (process_start_time(static_cast<pid_t>(ticket->pid)) == ticket->start_time)
      tickets.push_back(*ticket);
    else
      remove_quietly(entry->path());
  }
  return tickets;
}

QueuePosition SlotQueue::position() const { return queue_position(read_tickets(), ticket_, capacity_); }

}  // namespace lockstep
