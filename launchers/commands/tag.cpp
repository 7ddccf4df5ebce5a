// lockstep tag
#include <nlohmann/json.hpp>

#include "lockstep/core/run.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

struct TagOptions {
  std::vector<std::string> remove;
  KeyValues properties;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep tag RUN [KEY[=VALUE]...] [options]",
    "Sets, removes and shows the tags of a run, also while it goes on. Properties are facts: once "
    "set they stay.",
    "  lockstep tag latest best team=vision\n"
    "  lockstep tag latest --remove best\n"
    "  lockstep tag latest --properties dataset_rows=50000"};

void print(const char* title, const std::map<std::string, std::string>& labels) {
  if (labels.empty()) return;
  std::cout << title << ":\n";
  for (const auto& [key, value] : labels)
    std::cout << "  " << printable(key) << (value.empty() ? "" : " = " + printable(value)) << '\n';
}

}  // namespace

int tag_command(const Arguments& arguments) {
  TagOptions options;
  OptionTable<TagOptions> table;
  table.add("remove", &TagOptions::remove, "KEY", "take this tag away");
  table.add("properties", &TagOptions::properties, "KEY=VALUE", "add a property");
  table.add("json", &TagOptions::json, "", "print tags and properties as a JSON object");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1000)) return 0;
  Run run = Run::open(run_by_reference(words.front()));
  std::map<std::string, std::string> tags;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const std::string key = words[i].substr(0, equals);
    if (key.empty()) fail(ErrorKind::usage, "\"" + words[i] + "\" has no key", "write KEY or KEY=VALUE");
    tags[key] = equals == std::string::npos ? "" : words[i].substr(equals + 1);
  }
  // Facts first: where one cannot become another, nothing is changed.
  run.add_properties({options.properties.begin(), options.properties.end()});
  run.set_tags(tags);
  run.remove_tags(options.remove);
  if (options.json) return print_json(Json{{"tags", run.get_tags()}, {"properties", run.get_properties()}}), 0;
  print("tags", run.get_tags());
  print("properties", run.get_properties());
  return 0;
}

}  // namespace lockstep
