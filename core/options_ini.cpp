// Option tables and INI files: values from a file, and the file that gives them again.
#include <algorithm>
#include <set>

#include "lockstep/core/error_list.h"
#include "lockstep/core/given_options.h"
#include "lockstep/core/ini_text.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/options.h"

namespace lockstep {
namespace {

// Files spell names as the structs do.
std::string with_underscores(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::vector<std::string> names_of(const OptionTableBase& table, bool sections_only) {
  std::vector<std::string> names;
  for (const OptionEntry& entry : table.entries()) {
    if (!sections_only || entry.is_key_values) names.push_back(with_underscores(entry.name));
  }
  return names;
}

Result<GivenOption> read_field(const OptionTableBase& table, const IniLine& line) {
  const OptionEntry* entry = table.find(line.key);
  if (entry == nullptr) {
    return Error{
        ErrorKind::usage, "unknown field " + line.key + suggestion(line.key, names_of(table, false)), line.where, {}};
  }
  if (!line.value)
    return Error{ErrorKind::usage, line.key + " has no value: expected " + line.key + " = …", line.where, {}};
  const bool no_value = entry->repeated && line.value->empty() && !line.value_quoted;
  return GivenOption{entry, line.key, *line.value, line.where, no_value};
}

// A line below [script_params], [tags] …: its key is the user's own word.
Result<GivenOption> read_section_line(const OptionTableBase& table, const IniLine& line) {
  const OptionEntry* section = table.find(line.section);
  if (section == nullptr || !section->is_key_values) {
    const std::string what =
        section == nullptr ? "unknown section [" + line.section + "]" + suggestion(line.section, names_of(table, true))
                           : "[" + line.section + "] is a field, not a section";
    return Error{ErrorKind::usage, what, line.where,
                 section == nullptr ? "" : "write " + line.section + " = … above the first section"};
  }
  if (!line.key_quoted && table.find(line.key) != nullptr) {
    return Error{
        ErrorKind::usage, line.key + " is a field, but stands in the section [" + line.section + "]", line.where,
        "move it above the first section, or write \"" + line.key + "\" in quotation marks if the key is meant"};
  }
  const std::string text = line.value ? line.key + "=" + *line.value : line.key;
  return GivenOption{section, line.section, text, line.where, false, std::pair(line.key, line.value)};
}

// Would be read as something else than this key.
bool key_needs_quotes(const OptionTableBase& table, const std::string& key) {
  return key.empty() || key.find('=') != std::string::npos || table.find(key) != nullptr || key.starts_with('[') ||
         key.starts_with('#');
}

std::string section_text(const OptionTableBase& table, const OptionEntry& entry, const KeyValues& pairs) {
  std::string section = "\n[" + with_underscores(entry.name) + "]\n";
  for (const auto& [key, value] : pairs) {
    section += (key_needs_quotes(table, key) ? ini_quoted(key) : ini_word(key)) + " =" +
               (value.empty() ? "" : " " + ini_word(value)) + "\n";
  }
  return section;
}

}  // namespace

Result<OptionTableBase::Origins> OptionTableBase::parse_ini(std::string_view text, std::string_view file_name,
                                                            void* config) const {
  auto lines = read_ini(text, file_name);
  if (!lines) return lines.error();
  std::vector<GivenOption> given;
  std::vector<Error> errors;
  std::set<std::string> refused;  // sections: once is enough for all their lines
  for (const IniLine& line : *lines) {
    const OptionEntry* section = find(line.section);
    const bool no_section = !line.section.empty() && (section == nullptr || !section->is_key_values);
    if (no_section && !refused.insert(line.section).second) continue;
    auto option = line.section.empty() ? read_field(*this, line) : read_section_line(*this, line);
    if (option)
      given.push_back(*option);
    else
      errors.push_back(option.error());
  }
  Origins origins;
  for (Error& error : assign_options(given, config, origins)) errors.push_back(std::move(error));
  if (!errors.empty()) return combine(errors);
  return origins;
}

std::string OptionTableBase::to_ini(const void* config, const void* defaults) const {
  std::string fields, sections;
  for (const OptionEntry& entry : entries_) {
    const auto values = entry.get(config), usual = entry.get(defaults);
    if (entry.is_key_values ? entry.pairs(config) == entry.pairs(defaults) : values == usual) continue;
    const std::string name = with_underscores(entry.name);
    const bool emptied =
        values.empty() || (entry.is_key_values && !usual.empty());  // KeyValues would add to the default
    if (emptied) fields += name + " =\n";
    if (entry.is_key_values) {
      if (!values.empty()) sections += section_text(*this, entry, entry.pairs(config));
      continue;
    }
    for (const std::string& value : values) {
      fields += name + " =" +
                (value.empty() && !entry.repeated ? "" : " " + (value.empty() ? ini_quoted(value) : ini_word(value))) +
                "\n";
    }
  }
  return fields + sections;
}

}  // namespace lockstep
