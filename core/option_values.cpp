// Text <-> value for every type that an option may have.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "lockstep/core/options.h"

namespace lockstep {
namespace {

template <typename T>
std::string parse_whole(const std::string& text, T& value) {
  T parsed{};
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, parsed);
  if (stop != end || code == std::errc::invalid_argument) {
    const bool negative =
        std::is_unsigned_v<T> && text.size() > 1 && text[0] == '-' &&
        std::all_of(text.begin() + 1, text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    return negative ? "must not be negative" : "is not a whole number";
  }
  if (code == std::errc::result_out_of_range) {
    return "must be between " + std::to_string(std::numeric_limits<T>::min()) + " and " +
           std::to_string(std::numeric_limits<T>::max());
  }
  value = parsed;
  return {};
}

}  // namespace

template <>
std::string OptionValue<bool>::parse(const std::string& text, bool& value) {
  std::string word;
  for (const char c : text) word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool yes = word == "true" || word == "yes" || word == "on" || word == "1";
  if (!yes && word != "false" && word != "no" && word != "off" && word != "0") return "is neither true nor false";
  value = yes;
  return {};
}

template <>
std::string OptionValue<int>::parse(const std::string& text, int& value) {
  return parse_whole(text, value);
}

template <>
std::string OptionValue<std::int64_t>::parse(const std::string& text, std::int64_t& value) {
  return parse_whole(text, value);
}

template <>
std::string OptionValue<std::uint64_t>::parse(const std::string& text, std::uint64_t& value) {
  return parse_whole(text, value);
}

template <>
std::string OptionValue<double>::parse(const std::string& text, double& value) {
  double parsed = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, parsed);
  if (stop != end || code == std::errc::invalid_argument) return "is not a number";
  if (code == std::errc::result_out_of_range) return "is too large or too small for a number";
  if (!std::isfinite(parsed)) return "is not a finite number";
  value = parsed;
  return {};
}

template <>
std::string OptionValue<std::string>::parse(const std::string& text, std::string& value) {
  value = text;
  return {};
}

template <>
std::string OptionValue<std::filesystem::path>::parse(const std::string& text, std::filesystem::path& value) {
  value = text;
  return {};
}

// "key=value"; "key" and "key=" give an empty value.
template <>
std::string OptionValue<KeyValues>::parse(const std::string& text, KeyValues& value) {
  const auto equals = text.find('=');
  if (text.empty() || equals == 0) return "has no key: expected KEY=VALUE";
  value.emplace_back(text.substr(0, equals), equals == std::string::npos ? std::string() : text.substr(equals + 1));
  return {};
}

template <>
std::string OptionValue<std::vector<std::string>>::parse(const std::string& text, std::vector<std::string>& value) {
  value.push_back(text);
  return {};
}

template <>
std::vector<std::string> OptionValue<bool>::format(const bool& value) {
  return {value ? "true" : "false"};
}

template <>
std::vector<std::string> OptionValue<int>::format(const int& value) {
  return {std::to_string(value)};
}

template <>
std::vector<std::string> OptionValue<std::int64_t>::format(const std::int64_t& value) {
  return {std::to_string(value)};
}

template <>
std::vector<std::string> OptionValue<std::uint64_t>::format(const std::uint64_t& value) {
  return {std::to_string(value)};
}

template <>
std::vector<std::string> OptionValue<double>::format(const double& value) {
  char text[32];  // the shortest digits that give the same double again
  return {std::string(text, std::to_chars(text, text + sizeof text, value).ptr)};
}

template <>
std::vector<std::string> OptionValue<std::string>::format(const std::string& value) {
  return {value};
}

template <>
std::vector<std::string> OptionValue<std::filesystem::path>::format(const std::filesystem::path& value) {
  return {value.string()};
}

template <>
std::vector<std::string> OptionValue<KeyValues>::format(const KeyValues& value) {
  std::vector<std::string> texts;
  for (const auto& [key, text] : value) texts.push_back(key + "=" + text);
  return texts;
}

template <>
std::vector<std::string> OptionValue<std::vector<std::string>>::format(const std::vector<std::string>& value) {
  return value;
}

}  // namespace lockstep
