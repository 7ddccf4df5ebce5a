#include "lockstep/data/progress.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

volatile std::sig_atomic_t g_signal = 0;

extern "C" void note_signal(int signal) { g_signal = signal; }

}  // namespace

std::string with_thousands(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = text.size(); at > first + 3;) text.insert(at -= 3, 1, ',');
  return text;
}

Progress::Progress(std::string label, std::int64_t total, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
}

void Progress::end_on_signals() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

std::string Progress::line(std::int64_t done, double seconds) const {
  std::string text = label_ + ": ";
  if (total_ > 0)
    text += std::to_string(100 * done / total_) + "% of " + with_thousands(total_) + " " + unit_;
  else
    text += with_thousands(done) + " " + unit_;
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  if (rate > 0) text += ", " + with_thousands(static_cast<std::int64_t>(rate)) + "/s";
  if (rate > 0 && total_ > done) {
    const auto left = static_cast<std::int64_t>(static_cast<double>(total_ - done) / rate + 0.5);
    char clock[32];
    std::snprintf(clock, sizeof clock, ", %ld:%02ld left", static_cast<long>(left / 60), static_cast<long>(left % 60));
    text += clock;
  }
  return text;
}

void Progress::update(std::int64_t done) {
  if (g_signal != 0) fail(ErrorKind::environment, "interrupted by signal " + std::to_string(g_signal), {}, label_);
  const auto now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10);
  if (now - last_ < pause) return;
  last_ = now;
  shown_ = true;
  const std::string text = line(done, std::chrono::duration<double>(now - start_).count());
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", text.c_str());
  std::fflush(stderr);
}

}  // namespace lockstep
