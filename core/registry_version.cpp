#include "lockstep/core/registry_version.h"

#include <charconv>
#include <chrono>
#include <ctime>

namespace lockstep {

std::optional<int> parse_version(std::string_view text) {
  int version = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), version);
  const bool sound = code == std::errc() && end == text.data() + text.size() && version >= 1 && text.front() != '0';
  return sound ? std::optional(version) : std::nullopt;
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace lockstep
