// Options are declared once: one table per config struct parses the command line and an INI file, checks, prints the
// help and writes the values back. The parsing itself is Boost.Program_options' work (in options.cpp).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// A value whose text can appear several times, in order: script_params, environment_variables, tags.
using KeyValues = std::vector<std::pair<std::string, std::string>>;

// How one option's text becomes a struct's member and back. Made by OptionTable::add, not by hand.
struct OptionEntry {
  std::string name;          // with dashes: "batch-size"; underscores are accepted wherever the name is typed
  std::string value_name;    // "N", "PATH"; empty for a switch
  std::string help;          // one sentence; the default is appended by the table
  std::string group;         // heading in the help
  bool repeated = false;     // may be given several times
  bool is_switch = false;    // bool: "--name" alone means true; "--name=false" works too
  std::function<std::string(void* config, const std::string& text)> set;   // "" or what is wrong with the text
  std::function<std::vector<std::string>(const void* config)> get;         // the value(s) as text that `set` understands
};

class OptionTableBase {
 public:
  // Starts a new heading for the entries that follow.
  void group(std::string title) { group_ = std::move(title); }
  const std::vector<OptionEntry>& entries() const { return entries_; }

  // The help: usage line, then groups with aligned columns, defaults read from `defaults`.
  std::string help(const void* defaults, std::string_view usage) const;

  // Where each value came from, for messages: "job.ini:3" or "command line".
  using Origins = std::map<std::string, std::string>;

  // argv without the program's name. Unknown option: usage error with the nearest names. What follows "--" and
  // positional words go to `positional`. On an error `config` is unspecified.
  Result<Origins> parse_command_line(const std::vector<std::string>& argv, void* config,
                                     std::vector<std::string>* positional = nullptr) const;
  // "name = value" lines, # comments, no sections needed; errors carry file:line. Repeated names where allowed.
  Result<Origins> parse_ini(std::string_view text, std::string_view file_name, void* config) const;
  // The INI text that gives this config again; values equal to the default are left out.
  std::string to_ini(const void* config, const void* defaults) const;

 protected:
  OptionEntry& add_entry(OptionEntry entry);
  std::vector<OptionEntry> entries_;
  std::string group_;
};

// Text <-> value. Specialised for: bool, int, std::int64_t, std::uint64_t, double, std::string, std::filesystem::path,
// std::optional<T>, and KeyValues ("key=value", repeated), std::vector<std::string> (repeated).
// parse returns "" or what is wrong ("is not a whole number").
template <typename T>
struct OptionValue;

template <typename Config>
class OptionTable : public OptionTableBase {
 public:
  // check: "" or what is wrong with the parsed value, for example "must be at least 1".
  template <typename T>
  OptionTable& add(std::string name, T Config::*member, std::string value_name, std::string help,
                   std::function<std::string(const T&)> check = {});
};

}  // namespace lockstep
