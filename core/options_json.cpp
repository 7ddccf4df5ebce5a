// Option tables and JSON: a config as an object, and back.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/options.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

std::string member_name(const OptionEntry& entry) {
  std::string name = entry.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

Json value_to_json(const OptionEntry& entry, const std::string& text) {
  // The texts of numbers and booleans are JSON already.
  return entry.kind == ValueKind::text ? Json(text) : Json::parse(text);
}

[[noreturn]] void refuse(const OptionEntry& entry, const Json& value, const std::string& why) {
  fail(ErrorKind::corrupt_data,
       member_name(entry) + " is " + value.dump(-1, ' ', false, Json::error_handler_t::replace) + ", " + why);
}

std::string text_of(const OptionEntry& entry, const Json& value) {
  const bool sound = entry.kind == ValueKind::text      ? value.is_string()
                     : entry.kind == ValueKind::boolean ? value.is_boolean()
                     : entry.kind == ValueKind::integer ? value.is_number_integer()
                                                        : value.is_number();
  constexpr const char* kNames[] = {"not a string", "not a whole number", "not a number", "neither true nor false"};
  if (!sound) refuse(entry, value, kNames[static_cast<int>(entry.kind)]);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void read_pairs(const OptionEntry& entry, const Json& list, void* config) {
  KeyValues pairs;
  try {
    list.get_to(pairs);
  } catch (const Json::exception&) {
    refuse(entry, list, "not a list of pairs of strings");
  }
  entry.reset(config);
  for (const auto& [key, value] : pairs) entry.add_pair(config, key, value);
}

void read_member(const OptionEntry& entry, const Json& value, void* config) {
  if (entry.is_key_values) return read_pairs(entry, value, config);
  if (entry.repeated && !value.is_array()) refuse(entry, value, "not a list");
  if (entry.repeated) entry.reset(config);
  for (const Json& element : entry.repeated ? value : Json::array({value}))
    if (const std::string problem = entry.set(config, text_of(entry, element)); !problem.empty())
      refuse(entry, element, problem);
}

}  // namespace

Json OptionTableBase::to_json(const void* config, const void* defaults) const {
  Json json = Json::object();
  for (const OptionEntry& entry : entries_) {
    const auto values = entry.get(config);
    const bool empty = values.empty() || (!entry.repeated && values.front().empty());
    if (empty && values == entry.get(defaults)) continue;
    Json& member = json[member_name(entry)];
    if (entry.is_key_values) {
      member = Json::array();
      for (const auto& [key, value] : entry.pairs(config)) member.push_back({key, value});
    } else if (entry.repeated) {
      member = values;
    } else if (values.empty()) {
      json.erase(member_name(entry));  // an optional without a value has no text
    } else {
      member = value_to_json(entry, values.front());
    }
  }
  return json;
}

void OptionTableBase::from_json(const Json& json, void* config) const {
  if (!json.is_object()) fail(ErrorKind::corrupt_data, "not a JSON object");
  for (const OptionEntry& entry : entries_)
    if (const auto member = json.find(member_name(entry)); member != json.end()) read_member(entry, *member, config);
}

}  // namespace lockstep
