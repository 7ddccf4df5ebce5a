// Options are declared once: one table per config struct parses the command line and an INI file, checks, prints the
// help and writes the values back. The parsing itself is Boost.Program_options' work (in options.cpp).
//
//   struct TrainConfig { int epochs = 2; std::optional<double> clip; KeyValues tags; };
//   OptionTable<TrainConfig> table;
//   table.group("Training").add("epochs", &TrainConfig::epochs, "N", "passes over the data set", at_least(1));
//   table.add("clip", &TrainConfig::clip, "NORM", "limit of the gradient's norm");
//   table.add("tags", &TrainConfig::tags, "KEY=VALUE", "labels of the run");
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// A value whose text can appear several times, in order: script_params, environment_variables, tags.
using KeyValues = std::vector<std::pair<std::string, std::string>>;

// How a single value is written in JSON.
enum class ValueKind { text, integer, number, boolean };

// How one option's text becomes a struct's member and back. Made by OptionTable::add, not by hand.
struct OptionEntry {
  std::string name;            // with dashes: "batch-size"; underscores are accepted wherever the name is typed
  std::string value_name;      // "N", "PATH"; empty for a switch
  std::string help;            // one sentence; the default is appended by the table
  std::string group;           // heading in the help
  bool repeated = false;       // may be given several times
  bool is_key_values = false;  // KeyValues: a section of the INI file as well
  bool is_switch = false;      // bool: "--name" alone means true; "--name=false" works too
  ValueKind kind = ValueKind::text;
  std::vector<std::string> old_names;  // with dashes: still taken, not shown in the help
  std::function<std::string(void* config, const std::string& text)> set;  // "" or what is wrong with the text
  std::function<std::vector<std::string>(const void* config)> get;        // the value(s) as text that `set` understands
  std::function<void(void* config)> reset;                                // back to T{}: an empty list
  // KeyValues only: the pairs as they are, and one more of them. Unlike texts they tell a key that holds an '='.
  std::function<KeyValues(const void* config)> pairs;
  std::function<void(void* config, const std::string& key, const std::string& value)> add_pair;
  // KeyValues only: finds the value of a key that was typed without "="; "" or what is wrong. Without it: no value.
  std::function<std::string(const std::string& key, std::string& value)> bare_value;
};

class OptionTableBase {
 public:
  // Starts a new heading for the entries that follow.
  void group(std::string title) { group_ = std::move(title); }
  const std::vector<OptionEntry>& entries() const { return entries_; }
  // By its name in either spelling, or an old name; nullptr when there is none.
  const OptionEntry* find(std::string_view name) const;

  // The help: usage line, then groups with aligned columns, defaults read from `defaults`.
  std::string help(const void* defaults, std::string_view usage) const;

  // Where each value came from, for messages: "job.ini:3" or "command line". Keys are names with dashes; a value given
  // by an old name is there under both names.
  using Origins = std::map<std::string, std::string>;

  // argv without the program's name: "--name value" and "--name=value". Unknown option: usage error with the nearest
  // names. A single value given twice: usage error. What follows "--" and positional words go to `positional`; where
  // that is null, a positional word is a usage error. On an error `config` is unspecified.
  // Against what `config` held before, a list is replaced, and of KeyValues the keys named again are.
  Result<Origins> parse_command_line(const std::vector<std::string>& argv, void* config,
                                     std::vector<std::string>* positional = nullptr) const;

  // For messages about `word` of a command line: what to write instead where it directly follows the one value that an
  // option of KeyValues takes ("--tags a=1 b=2"). "" where it does not.
  std::string repeat_hint(const std::vector<std::string>& argv, const std::string& word) const;

  // "name = value" lines, # comments, no sections needed; errors carry file:line, and all fields that are unknown or
  // have a bad value are told at once. Repeated names where allowed.
  // KeyValues also as a section: "[tags]", then "key = value" lines up to the next section. The whole syntax:
  // core/README.md.
  Result<Origins> parse_ini(std::string_view text, std::string_view file_name, void* config) const;

  // The INI text that gives this config again when parsed onto `defaults`; values equal to the default are left out.
  std::string to_ini(const void* config, const void* defaults) const;

  // An object with a member per field, named with underscores: numbers, booleans, strings, a list of strings, and for
  // KeyValues a list of pairs, since keys are ordered and may come twice. What is empty and is so in `defaults` is left
  // out.
  nlohmann::ordered_json to_json(const void* config, const void* defaults) const;
  // The members it knows; others are ignored. Throws Failure(corrupt_data) for a member of another type.
  void from_json(const nlohmann::ordered_json& json, void* config) const;

 protected:
  OptionEntry& add_entry(OptionEntry entry);
  std::vector<OptionEntry> entries_;
  std::string group_;
};

// Text <-> value. Specialised for: bool, int, std::int64_t, std::uint64_t, double, std::string, std::filesystem::path,
// std::optional<T>, and KeyValues ("key=value", repeated), std::vector<std::string> (repeated).
// parse returns "" or what is wrong ("is not a whole number"); a repeated type gains an element by it. Numbers are
// decimal, fit their type and are finite. An empty text makes an optional empty.
template <typename T>
struct OptionValue {
  static std::string parse(const std::string& text, T& value);
  static std::vector<std::string> format(const T& value);
};

template <typename T>
struct OptionValue<std::optional<T>> {
  static std::string parse(const std::string& text, std::optional<T>& value) {
    if (text.empty()) return value.reset(), std::string();
    return OptionValue<T>::parse(text, value.emplace());
  }
  static std::vector<std::string> format(const std::optional<T>& value) {
    return value ? OptionValue<T>::format(*value) : std::vector<std::string>();
  }
};

// clang-format off
template <> std::string OptionValue<bool>::parse(const std::string&, bool&);
template <> std::string OptionValue<int>::parse(const std::string&, int&);
template <> std::string OptionValue<std::int64_t>::parse(const std::string&, std::int64_t&);
template <> std::string OptionValue<std::uint64_t>::parse(const std::string&, std::uint64_t&);
template <> std::string OptionValue<double>::parse(const std::string&, double&);
template <> std::string OptionValue<std::string>::parse(const std::string&, std::string&);
template <> std::string OptionValue<std::filesystem::path>::parse(const std::string&, std::filesystem::path&);
template <> std::string OptionValue<KeyValues>::parse(const std::string&, KeyValues&);
template <> std::string OptionValue<std::vector<std::string>>::parse(const std::string&, std::vector<std::string>&);
template <> std::vector<std::string> OptionValue<bool>::format(const bool&);
template <> std::vector<std::string> OptionValue<int>::format(const int&);
template <> std::vector<std::string> OptionValue<std::int64_t>::format(const std::int64_t&);
template <> std::vector<std::string> OptionValue<std::uint64_t>::format(const std::uint64_t&);
template <> std::vector<std::string> OptionValue<double>::format(const double&);
template <> std::vector<std::string> OptionValue<std::string>::format(const std::string&);
template <> std::vector<std::string> OptionValue<std::filesystem::path>::format(const std::filesystem::path&);
template <> std::vector<std::string> OptionValue<KeyValues>::format(const KeyValues&);
template <> std::vector<std::string> OptionValue<std::vector<std::string>>::format(const std::vector<std::string>&);
// clang-format on

template <typename T>
struct WithoutOptional {
  using type = T;
};
template <typename T>
struct WithoutOptional<std::optional<T>> {
  using type = T;
};

template <typename T>
constexpr ValueKind value_kind() {
  using Value = typename WithoutOptional<T>::type;
  if (std::is_same_v<Value, bool>) return ValueKind::boolean;
  if (std::is_integral_v<Value>) return ValueKind::integer;
  return std::is_floating_point_v<Value> ? ValueKind::number : ValueKind::text;
}

template <typename Config>
class OptionTable : public OptionTableBase {
 public:
  OptionTable& group(std::string title) {
    OptionTableBase::group(std::move(title));
    return *this;
  }

  // check: "" or what is wrong with the parsed value, for example "must be at least 1" (option_checks.h has the usual
  // ones).
  template <typename T>
  OptionTable& add(std::string name, T Config::*member, std::string value_name, std::string help,
                   std::type_identity_t<std::function<std::string(const T&)>> check = {}) {
    OptionEntry entry;
    entry.name = std::move(name);
    entry.value_name = std::move(value_name);
    entry.help = std::move(help);
    entry.is_key_values = std::is_same_v<T, KeyValues>;
    entry.repeated = entry.is_key_values || std::is_same_v<T, std::vector<std::string>>;
    entry.kind = value_kind<T>();
    entry.is_switch = entry.kind == ValueKind::boolean;
    entry.set = [member, check = std::move(check)](void* config, const std::string& text) {
      T& value = static_cast<Config*>(config)->*member;
      std::string problem = OptionValue<T>::parse(text, value);
      return problem.empty() && check ? check(value) : problem;
    };
    entry.get = [member](const void* config) {
      return OptionValue<T>::format(static_cast<const Config*>(config)->*member);
    };
    entry.reset = [member](void* config) { static_cast<Config*>(config)->*member = T{}; };
    if constexpr (std::is_same_v<T, KeyValues>) add_pairs(entry, member);
    add_entry(std::move(entry));
    return *this;
  }

  // For the option of KeyValues added last: what a key without "=" means (OptionEntry::bare_value).
  OptionTable& bare_value(std::function<std::string(const std::string& key, std::string& value)> find) {
    entries_.back().bare_value = std::move(find);
    return *this;
  }

  // For the option added last: a name it once had, with dashes.
  OptionTable& old_name(std::string name) {
    entries_.back().old_names.push_back(std::move(name));
    return *this;
  }

 private:
  static void add_pairs(OptionEntry& entry, KeyValues Config::*member) {
    entry.pairs = [member](const void* config) { return static_cast<const Config*>(config)->*member; };
    entry.add_pair = [member](void* config, const std::string& key, const std::string& value) {
      (static_cast<Config*>(config)->*member).emplace_back(key, value);
    };
  }
};

}  // namespace lockstep
