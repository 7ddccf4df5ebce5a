#include "lockstep/distributed/training/progress_line.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

namespace lockstep {
namespace {

template <typename... Args>
std::string format(const char* pattern, Args... args) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

std::string percent(double part) { return format("%.0f%%", 100 * std::clamp(part, 0.0, 1.0)); }

double part_done(const Progress& progress) {
  return progress.total_steps > 0 ? static_cast<double>(progress.step) / static_cast<double>(progress.total_steps) : 1;
}

std::string bar(double part) {
  constexpr int kWidth = 16;
  const int done = static_cast<int>(part * kWidth);
  std::string text(static_cast<std::size_t>(done), '=');
  if (done < kWidth) text += '>';
  text.resize(kWidth, ' ');
  return std::string("[").append(text).append("]");
}

}  // namespace

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number < 0 ? -number : number);
  for (auto place = static_cast<std::ptrdiff_t>(digits.size()) - 3; place > 0; place -= 3)
    digits.insert(static_cast<std::size_t>(place), 1, ',');
  if (number < 0) digits.insert(0, 1, '-');
  return digits;
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto whole = static_cast<long long>(std::llround(seconds));
  const long long days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60, rest = whole % 60;
  if (days > 0) return format("%lld d %lld:%02lld:%02lld", days, hours, minutes, rest);
  if (hours > 0) return format("%lld:%02lld:%02lld", hours, minutes, rest);
  return format("%lld:%02lld", minutes, rest);
}

std::string progress_line(const Progress& progress, int columns) {
  const double part = part_done(progress);
  std::string head = progress.epochs > 0 ? format("epoch %lld/%lld",
                                                  static_cast<long long>(std::min(progress.epoch + 1, progress.epochs)),
                                                  static_cast<long long>(progress.epochs))
                                         : format("epoch %lld", static_cast<long long>(progress.epoch + 1));
  // By importance: what does not fit is left out from the end of this list, then the bar.
  std::vector<std::string> fields = {percent(part), "ETA " + duration_text(progress.seconds_left)};
  if (std::isfinite(progress.loss)) fields.push_back(format("loss %.4g", progress.loss));
  fields.push_back(grouped(std::llround(progress.samples_per_second)) + " samples/s");
  fields.push_back("step " + std::to_string(progress.step) + "/" + std::to_string(progress.total_steps));
  if (progress.exposed_fraction > 0) fields.push_back("comm " + percent(progress.exposed_fraction));

  const auto room = static_cast<std::size_t>(std::max(columns - 1, 0));
  std::string line = head;
  if (const std::string with_bar = head + "  " + bar(part); with_bar.size() + 20 <= room) line = with_bar;
  for (const auto& field : fields) {
    if (line.size() + 2 + field.size() > room) break;
    line += "  " + field;
  }
  return line.substr(0, room);
}

std::string loss_line(std::int64_t epoch, std::int64_t batch, double loss) {
  return format("epoch=%lld, batch=%5lld: loss %.2f", static_cast<long long>(epoch + 1), static_cast<long long>(batch),
                loss);
}

}  // namespace lockstep
