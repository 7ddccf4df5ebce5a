// lockstep data: registered data sets. What needs to look into them is the program lockstep-data's.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/dataset_content.h"
#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/entry_script.h"
#include "lockstep/core/process.h"
#include "lockstep/core/run_store.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct RegisterOptions {
  std::string description;
  std::string digest = "sha256";
  KeyValues tags;
  bool json = false;
};

struct JsonOption {
  bool json = false;
};

constexpr CommandText kAbout{"lockstep data COMMAND …",
                             "Data sets that are found by name in the workspace, in versions.\n\n"
                             "  register  give files a name; they stay where they are\n"
                             "  list      the registered data sets\n"
                             "  delete    take a version's record away; the files stay\n"
                             "  import, fetch, show, verify   what looks into them: of the program lockstep-data",
                             "  lockstep data register photos /scratch/photos\n"
                             "  lockstep submit -- train.py --data dataset:photos:download"};

constexpr CommandText kRegisterText{
    "lockstep data register NAME PATH [options]",
    "Gives a file or folder of any kind a name in this workspace; it stays where it is. Other contents under the same "
    "name are a\n"
    "new version. HDF5 files that lockstep-train takes are checked first, where the program lockstep-data is "
    "installed.",
    "  lockstep data register photos /scratch/photos --tags split=train\n"
    "  lockstep submit -- train.py --data dataset:photos"};

constexpr CommandText kListText{"lockstep data list [--json]",
                                "The data sets registered in this workspace, all versions.", "  lockstep data list"};

constexpr CommandText kDeleteText{
    "lockstep data delete NAME@VERSION",
    "Takes the record of a version away; its files stay. Refused while a run that is not over uses it.",
    "  lockstep data delete photos@1"};

Json to_json(const DatasetRecord& record) {
  return {{"name", record.name},          {"version", record.version}, {"kind", record.kind},
          {"path", record.path.string()}, {"sha256", record.sha256},   {"bytes", record.bytes},
          {"files", record.files},        {"source", record.source},   {"description", record.description},
          {"created", record.created},    {"tags", record.tags}};
}

std::string title(const DatasetRecord& record) { return record.name + "@" + std::to_string(record.version); }

bool has_data_program() {
  const ProgramPlaces places = program_places();
  return find_program("lockstep-data", places.programs.string()) || find_program("lockstep-data", places.path);
}

bool looks_like_hdf5(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  char start[8] = {};
  std::ifstream(path, std::ios::binary).read(start, sizeof start);
  return std::string_view(start, sizeof start) == std::string_view("\x89HDF\r\n\x1a\n", 8);
}

int register_command(const Arguments& arguments) {
  RegisterOptions options;
  OptionTable<RegisterOptions> table;
  table.add("description", &RegisterOptions::description, "TEXT", "what it is")
      .add("digest", &RegisterOptions::digest, "sha256|none",
           "none: of a huge data set the contents are not read; changed ones are then not noticed")
      .add("tags", &RegisterOptions::tags, "KEY=VALUE", "a label of this version")
      .add("json", &RegisterOptions::json, "", "print the record as JSON");
  Arguments words;
  if (!parse_arguments(kRegisterText, table, arguments, &options, &words, 2, 2)) return 0;
  if (options.digest != "sha256" && options.digest != "none")
    fail(ErrorKind::usage, "--digest is \"" + options.digest + "\"; known are sha256, none");
  if (looks_like_hdf5(words[1]) && has_data_program() && arguments.size() == 2)
    return run_companion("data", {"register", words[0], words[1]});
  DatasetRecord record;
  record.name = words[0];
  record.path = words[1];
  record.description = options.description;
  for (const auto& [key, value] : options.tags) record.tags[key] = value;
  // Before a workspace is made for it.
  if (const auto content = look_at_dataset(record.path, false); !content) throw Failure(content.error());
  record = register_files(Workspace::find_or_create().value(), record, options.digest == "sha256").value();
  if (options.json) return print_json(to_json(record)), 0;
  std::cout << title(record) << ": " << printable(record.description) << ", "
            << format_bytes(static_cast<std::uintmax_t>(record.bytes)) << "\n  " << record.kind << "  "
            << printable(record.path.string()) << "\n  next  lockstep submit -- PROGRAM --data dataset:" << record.name
            << '\n';
  return 0;
}

int list_command(const Arguments& arguments) {
  JsonOption options;
  OptionTable<JsonOption> table;
  table.add("json", &JsonOption::json, "", "as a JSON array");
  Arguments words;
  if (!parse_arguments(kListText, table, arguments, &options, &words, 0, 0)) return 0;
  std::vector<std::string> warnings;
  const auto records = list_datasets(Workspace::from_config().value(), &warnings);
  for (const std::string& warning : warnings) std::cerr << "lockstep data: " << warning << '\n';
  Json list = Json::array();
  for (const DatasetRecord& record : records) {
    list.push_back(to_json(record));
    if (!options.json)
      std::cout << title(record) << "  " << record.kind << "  "
                << format_bytes(static_cast<std::uintmax_t>(record.bytes)) << "  " << printable(record.description)
                << "  " << printable(record.path.string()) << '\n';
  }
  if (options.json) print_json(list);
  return 0;
}

// Runs that are not over and have this version among their inputs.
std::vector<std::string> users_of(const Workspace& workspace, const DatasetRecord& record) {
  std::vector<std::string> users;
  for (const RunSummary& run : list_runs(workspace)) {
    if (is_terminal(run.status)) continue;
    const Json inputs = RunDirectory::open(run.directory).value().record().value("input_datasets", Json::array());
    for (const Json& input : inputs)
      if (input.value("dataset", "") == record.name && input.value("version", 0) == record.version)
        users.push_back(run.id);
  }
  return users;
}

int delete_command(const Arguments& arguments) {
  JsonOption options;
  OptionTable<JsonOption> table;
  table.add("json", &JsonOption::json, "", "print the record as JSON");
  Arguments words;
  if (!parse_arguments(kDeleteText, table, arguments, &options, &words, 1, 1)) return 0;
  if (words.front().find('@') == std::string::npos)
    fail(ErrorKind::usage, "\"" + words.front() + "\" names no version",
         "write NAME@VERSION; lockstep data list shows all");
  const Workspace workspace = Workspace::from_config().value();
  const DatasetRecord record = find_dataset(workspace, words.front()).value();
  const auto users = users_of(workspace, record);
  if (!users.empty())
    fail(ErrorKind::usage, title(record) + " is in use by " + users.front() + ", which is not over",
         "wait for its end, or end it: lockstep cancel " + users.front());
  remove_dataset(workspace, record.name, record.version).value();
  if (options.json) return print_json(to_json(record)), 0;
  std::cout << title(record) << " is not registered any more; " << printable(record.path.string()) << " stays\n";
  return 0;
}

}  // namespace

int data_command(const Arguments& arguments) {
  const std::string word = arguments.empty() ? "--help" : arguments.front();
  const Arguments rest(arguments.begin() + !arguments.empty(), arguments.end());
  if (word == "register") return register_command(rest);
  if (word == "list") return list_command(rest);
  if (word == "delete") return delete_command(rest);
  if (word == "--help" || word == "-h") {
    print_help(kAbout, OptionTableBase(), nullptr);
    return arguments.empty() ? 2 : 0;
  }
  if (has_data_program()) return run_companion("data", arguments);
  fail(ErrorKind::usage, "there is no command \"data " + word + "\" here",
       "register, list and delete are lockstep's own; the others are those of lockstep-data, which is not installed");
}

}  // namespace lockstep
