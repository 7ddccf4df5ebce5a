#include "lockstep/core/glob.h"

#include <array>
#include <cctype>
#include <optional>
#include <string>

namespace lockstep {
namespace {

using Set = std::bitset<256>;

constexpr std::size_t kBroken = std::string_view::npos;
constexpr std::string_view kSpecial = "*?[\\";

std::size_t byte(char c) { return static_cast<unsigned char>(c); }

Set any_but_slash() { return ~Set().set(byte('/')); }

std::optional<Set> named_class(std::string_view name) {
  using Test = int (*)(int);
  constexpr std::array<std::pair<std::string_view, Test>, 12> kClasses{{
      {"alnum", std::isalnum},
      {"alpha", std::isalpha},
      {"blank", std::isblank},
      {"cntrl", std::iscntrl},
      {"digit", std::isdigit},
      {"graph", std::isgraph},
      {"lower", std::islower},
      {"print", std::isprint},
      {"punct", std::ispunct},
      {"space", std::isspace},
      {"upper", std::isupper},
      {"xdigit", std::isxdigit},
  }};
  for (const auto& [known, test] : kClasses) {
    if (known != name) continue;
    Set set;
    for (int c = 0; c < 128; ++c) set[static_cast<std::size_t>(c)] = test(c) != 0;  // the same in any locale
    return set;
  }
  return {};
}

}  // namespace

Glob::Glob(std::string_view pattern, bool whole_path) { valid_ = parse(pattern, whole_path); }

bool Glob::parse(std::string_view pattern, bool whole_path) {
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    if (c == '*') {
      at = parse_stars(pattern, at, whole_path);
    } else if (c == '[') {
      at = parse_set(pattern, at + 1);
      if (at == kBroken) return false;
    } else if (c == '?') {
      steps_.push_back({Step::one, any_but_slash()});
      ++at;
    } else {
      if (c == '\\' && ++at == pattern.size()) return false;
      steps_.push_back({Step::one, Set().set(byte(pattern[at++]))});
    }
  }
  return true;
}

// Two or more stars reach across folders where they fill the space between slashes. git compares what stands before
// the first special character as plain text and takes the rest for a pattern of its own: stars count as being at
// its beginning there, so that "a**/b" is "a", then any folders.
std::size_t Glob::parse_stars(std::string_view pattern, std::size_t at, bool whole_path) {
  std::size_t end = pattern.find_first_not_of('*', at);
  if (end == std::string_view::npos) end = pattern.size();
  const bool begins = at == 0 || pattern[at - 1] == '/' || pattern.find_first_of(kSpecial) == at;
  const bool escaped_slash = pattern.substr(end, 2) == "\\/";
  const bool closes = end == pattern.size() || pattern[end] == '/' || escaped_slash;
  const bool deep = whole_path && end - at >= 2 && begins && closes;
  if (!deep) {
    steps_.push_back({Step::run, any_but_slash()});
    return end;
  }
  if (end == pattern.size() || escaped_slash) {
    steps_.push_back({Step::run, Set().set()});
    return end;
  }
  steps_.push_back({Step::folders, {}});
  return end + 1;
}

// `at` is behind the "[". Returns the place behind the closing "]".
std::size_t Glob::parse_set(std::string_view pattern, std::size_t at) {
  const auto more = [&] { return at < pattern.size(); };
  const bool negated = more() && (pattern[at] == '!' || pattern[at] == '^');
  if (negated) ++at;
  Set set;
  constexpr std::size_t kNone = 256;
  std::size_t range_begin = kNone;  // what a - would make a range of
  for (bool first = true; more() && (first || pattern[at] != ']'); first = false) {
    if (pattern.substr(at, 2) == "[:") {
      const std::size_t close = pattern.find(']', at + 2);
      if (close == std::string_view::npos) return kBroken;
      if (close > at + 2 && pattern[close - 1] == ':') {
        const auto named = named_class(pattern.substr(at + 2, close - at - 3));
        if (!named) return kBroken;
        set |= *named;
        range_begin = kNone;
        at = close + 1;
        continue;
      }
    }
    const bool is_range =
        pattern[at] == '-' && range_begin != kNone && at + 1 < pattern.size() && pattern[at + 1] != ']';
    if (is_range) ++at;
    if (pattern[at] == '\\' && ++at == pattern.size()) return kBroken;
    const std::size_t c = byte(pattern[at++]);
    for (std::size_t i = is_range ? range_begin : c; i <= c; ++i) set.set(i);
    range_begin = is_range ? kNone : c;
  }
  if (!more()) return kBroken;
  if (negated) set.flip();
  set.reset(byte('/'));
  steps_.push_back({Step::one, set});
  return at + 1;
}

// All places in the pattern that the text read so far can have led to, at once.
bool Glob::matches(std::string_view text) const {
  if (!valid_) return false;
  std::vector<bool> reached(steps_.size() + 1), next;
  // Runs and folders may stand for nothing.
  const auto reach = [&](std::vector<bool>& places, std::size_t place) {
    while (!places[place]) {
      places[place] = true;
      if (place == steps_.size() || steps_[place].kind == Step::one) break;
      ++place;
    }
  };
  // Inside `folders` text was read that did not end in a slash yet: the place itself is then not open to what follows.
  std::vector<bool> inside(steps_.size() + 1), next_inside;
  reach(reached, 0);
  for (const char c : text) {
    next.assign(steps_.size() + 1, false);
    next_inside.assign(steps_.size() + 1, false);
    for (std::size_t place = 0; place < steps_.size(); ++place) {
      const Step& step = steps_[place];
      if (step.kind == Step::folders && (reached[place] || inside[place])) {
        next_inside[place] = true;
        if (c == '/') reach(next, place + 1);
      } else if (reached[place] && step.set[byte(c)]) {
        reach(next, step.kind == Step::one ? place + 1 : place);
      }
    }
    reached.swap(next);
    inside.swap(next_inside);
  }
  return reached[steps_.size()];
}

}  // namespace lockstep
