#include "lockstep/core/nearest_names.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

namespace lockstep {
namespace {

std::string plain(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Edits that turn a into b: insert, delete, replace, swap two neighbours (optimal string alignment). Three rows are
// enough.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string joined(std::span<const std::string> names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> nearest_names(std::string_view typed, std::span<const std::string> names) {
  const std::string wanted = plain(typed);
  const std::size_t limit = std::max<std::size_t>(2, wanted.size() / 3);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& name : names) {
    if (wanted.size() >= 3 && plain(name).starts_with(wanted)) {
      near.emplace_back(0, name);
      continue;
    }
    const std::size_t longer = std::max(name.size(), wanted.size());
    if (longer - std::min(name.size(), wanted.size()) > limit) continue;  // too far already; keeps long input cheap
    const std::size_t edits = distance(wanted, plain(name));
    if (edits <= limit && edits < longer) near.emplace_back(edits, name);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> best;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, near.size()); ++i) best.push_back(near[i].second);
  return best;
}

std::string suggestion(std::string_view typed, std::span<const std::string> names) {
  constexpr std::size_t kShown = 20;
  if (names.empty()) return {};
  if (const auto near = nearest_names(typed, names); !near.empty()) return "; did you mean " + joined(near) + "?";
  if (names.size() <= kShown) return "; known are " + joined(names);
  return "; known are " + joined(names.first(kShown)) + " and " + std::to_string(names.size() - kShown) + " more";
}

}  // namespace lockstep
