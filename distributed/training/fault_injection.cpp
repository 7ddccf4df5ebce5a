#include "lockstep/distributed/training/fault_injection.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <map>
#include <sstream>
#include <thread>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  fail(ErrorKind::usage, "LOCKSTEP_FAULT is \"" + text + "\"",
       "it reads rank=R:step=S:kind=throw, kill, exit0, nan, stop, slow or bit; unset it for normal work");
}

std::map<std::string, std::string> fields(const std::string& text) {
  std::map<std::string, std::string> found;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ':');) {
    const auto equals = part.find('=');
    if (equals == std::string::npos) refuse(text);
    found[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return found;
}

std::int64_t number(const std::string& value, const std::string& text) {
  std::int64_t result = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
  if (error != std::errc() || end != value.data() + value.size()) refuse(text);
  return result;
}

std::string from_environment() {
  const char* text = std::getenv("LOCKSTEP_FAULT");
  return text ? text : "";
}

}  // namespace

FaultInjection::FaultInjection(int rank) : FaultInjection(rank, from_environment()) {}

FaultInjection::FaultInjection(int rank, const std::string& text) {
  if (text.empty()) return;
  const std::map<std::string, Kind> kinds = {{"throw", Kind::raise}, {"kill", Kind::kill}, {"exit0", Kind::exit0},
                                             {"nan", Kind::nan},     {"stop", Kind::stop}, {"slow", Kind::slow},
                                             {"bit", Kind::bit}};
  std::int64_t failing_rank = 0, step = 1;
  for (const auto& [name, value] : fields(text)) {
    if (name == "rank")
      failing_rank = number(value, text);
    else if (name == "step")
      step = number(value, text);
    else if (name == "kind" && kinds.contains(value))
      kind_ = kinds.at(value);
    else
      refuse(text);
  }
  if (kind_ == Kind::none) refuse(text);
  step_of_any_ = step;
  if (failing_rank == rank) step_ = step;
}

std::int64_t FaultInjection::next_strike(std::int64_t step) const {
  if (kind_ == Kind::slow && step_of_any_ > 0) return std::max(step, step_of_any_);
  return step <= step_of_any_ ? step_of_any_ : std::numeric_limits<std::int64_t>::max();
}

bool FaultInjection::strike_now() const {
  switch (kind_) {
    case Kind::raise:
      fail(ErrorKind::internal, "fault injected before step " + std::to_string(step_) + " (LOCKSTEP_FAULT)");
    case Kind::kill:
      std::raise(SIGKILL);
      break;
    case Kind::exit0:
      _exit(0);
    case Kind::stop:
      std::raise(SIGSTOP);
      break;
    case Kind::slow:
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      break;
    case Kind::nan:
      return true;
    case Kind::bit:
    case Kind::none:
      break;
  }
  return false;
}

void flip_bit(const at::Tensor& tensor) {
  const at::Tensor value = tensor.detach().as_strided({1}, {1});
  const at::Tensor bits = value.view(at::kInt);
  bits.copy_(bits.bitwise_xor(1 << 22));
}

}  // namespace lockstep
