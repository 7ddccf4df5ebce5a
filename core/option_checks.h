// The usual checks for OptionTable::add: each gives "" or what is wrong with a value.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/options.h"

namespace lockstep {

// A check of a number serves an optional of it too: an absent one is sound.
template <typename Sound>
auto number_check(Sound sound, std::string otherwise) {
  return [sound, otherwise = std::move(otherwise)](const auto& value) {
    if constexpr (requires { value.has_value(); }) {
      return !value || sound(*value) ? std::string() : otherwise;
    } else {
      return sound(value) ? std::string() : otherwise;
    }
  };
}

template <typename T>
auto at_least(T lowest) {
  return number_check([lowest](auto value) { return value >= lowest; },
                      "must be at least " + OptionValue<T>::format(lowest).front());
}

template <typename T>
auto above(T limit) {
  return number_check([limit](auto value) { return value > limit; },
                      "must be greater than " + OptionValue<T>::format(limit).front());
}

template <typename T>
auto between(T lowest, T highest) {
  return number_check(
      [lowest, highest](auto value) { return lowest <= value && value <= highest; },
      "must be between " + OptionValue<T>::format(lowest).front() + " and " + OptionValue<T>::format(highest).front());
}

// One word out of a fixed set; names the nearest when it is another.
inline std::function<std::string(const std::string&)> one_of(std::vector<std::string> words) {
  return [words = std::move(words)](const std::string& value) {
    if (std::find(words.begin(), words.end(), value) != words.end()) return std::string();
    return "is not known" + suggestion(value, words);
  };
}

}  // namespace lockstep
