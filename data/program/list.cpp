// lockstep data list, show, verify: looking at data sets.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "lockstep/core/dataset_content.h"
#include "lockstep/core/workspace.h"
#include "lockstep/data/describe_dataset.h"
#include "lockstep/data/program/commands.h"
#include "lockstep/data/program/guarded_open.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

struct JsonFlag {
  bool json = false;
};

const OptionTable<JsonFlag>& json_flag() {
  static const OptionTable<JsonFlag> table = [] {
    OptionTable<JsonFlag> t;
    t.add("json", &JsonFlag::json, "", "print JSON");
    return t;
  }();
  return table;
}

void print_json(const ordered_json& json) {
  std::cout << json.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
}

ordered_json to_json(const DatasetRecord& record) {
  return {{"name", record.name},      {"version", record.version},    {"kind", record.kind},
          {"files", record.files},    {"path", record.path.string()}, {"sha256", record.sha256},
          {"bytes", record.bytes},    {"source", record.source},      {"description", record.description},
          {"created", record.created}};
}

ordered_json to_json(const DatasetSummary& summary) {
  ordered_json json{
      {"name", summary.name},     {"path", summary.path.string()},      {"bytes", summary.bytes},
      {"source", summary.source}, {"image_shape", summary.image_shape}, {"class_names", summary.class_names},
      {"mean", summary.mean},     {"std", summary.std_deviation},       {"splits", ordered_json::object()}};
  for (const SplitSummary& split : summary.splits) {
    json["splits"][split.name] = {
        {"count", split.count}, {"images_sha256", split.images_sha256}, {"labels_sha256", split.labels_sha256}};
  }
  return json;
}

// A file as it is named, else a registered data set.
struct Found {
  fs::path path;
  std::optional<DatasetRecord> record;
};

Found find(const std::string& reference) {
  const auto workspace = Workspace::from_config();
  if (workspace) {
    const auto record = find_dataset(*workspace, reference);
    if (record) return {record->path, *record};
    if (!fs::exists(reference)) fail(record.error().kind, record.error().what, record.error().hint);
  }
  return {reference, {}};
}

// Text that came from files, safe for a terminal.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return text;
}

void print_numbers(const char* title, const std::vector<float>& values) {
  std::cout << "  " << title;
  for (const float value : values) std::cout << ' ' << value;
  std::cout << '\n';
}

void print_summary(const DatasetSummary& summary) {
  std::cout << printable(summary.name) << ": " << describe(summary) << "\n  file    " << summary.path.string() << " ("
            << megabytes(summary.bytes) << ")\n  source  " << printable(summary.source) << "\n  classes ";
  for (std::size_t i = 0; i < summary.class_names.size(); ++i)
    std::cout << (i == 0 ? "" : ", ") << printable(summary.class_names[i]);
  std::cout << '\n';
  print_numbers("mean   ", summary.mean);
  print_numbers("std    ", summary.std_deviation);
  for (const SplitSummary& split : summary.splits) {
    std::cout << "  " << split.name << std::string(8 - std::min<std::size_t>(split.name.size(), 7), ' ') << split.count
              << " samples, images " << split.images_sha256.substr(0, 16) << ", labels "
              << split.labels_sha256.substr(0, 16) << '\n';
  }
}

}  // namespace

int list_command(const Arguments& arguments) {
  static const CommandText text{"lockstep data list [--json]",
                                "The data sets registered in this workspace, all versions.",
                                "  lockstep data list\n  lockstep data list --json | jq -r '.[].path'\n"};
  JsonFlag flag;
  std::vector<std::string> words, warnings;
  if (!parse_arguments(text, json_flag(), arguments, &flag, &words, 0, 0)) return 0;
  const auto records = list_datasets(Workspace::from_config().value(), &warnings);
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << '\n';
  if (flag.json) {
    ordered_json all = ordered_json::array();
    for (const DatasetRecord& record : records) all.push_back(to_json(record));
    print_json(all);
    return 0;
  }
  if (records.empty()) std::cout << "no data set is registered; `lockstep data fetch fashion-mnist` gets one\n";
  std::size_t width = 0;
  for (const DatasetRecord& record : records)
    width = std::max(width, record.name.size() + std::to_string(record.version).size() + 1);
  for (const DatasetRecord& record : records) {
    const std::string name = record.name + "@" + std::to_string(record.version);
    std::cout << name << std::string(width + 2 - name.size(), ' ') << printable(record.description) << "  "
              << record.path.string() << '\n';
  }
  return 0;
}

int show_command(const Arguments& arguments) {
  static const CommandText text{"lockstep data show NAME|FILE [--json]",
                                "What is in a data set: a registered one (NAME or NAME@VERSION) or an HDF5 file.",
                                "  lockstep data show fashion-mnist\n  lockstep data show ./digits.h5 --json\n"};
  JsonFlag flag;
  std::vector<std::string> words;
  if (!parse_arguments(text, json_flag(), arguments, &flag, &words, 1, 1)) return 0;
  const Found found = find(words[0]);
  if (found.record && found.record->kind != "hdf5") {
    if (flag.json)
      print_json({{"record", to_json(*found.record)}});
    else
      std::cout << found.record->name << '@' << found.record->version << ": " << found.record->description << "\n  "
                << found.record->kind << "  " << found.path.string() << '\n';
    return 0;
  }
  look_first(found.path);
  const DatasetSummary summary = describe_dataset(found.path).value();
  if (flag.json) {
    ordered_json json = to_json(summary);
    if (found.record) json["record"] = to_json(*found.record);
    print_json(json);
    return 0;
  }
  print_summary(summary);
  if (found.record)
    std::cout << "  version " << found.record->version << ", registered " << found.record->created << '\n';
  return 0;
}

int verify_command(const Arguments& arguments) {
  static const CommandText text{"lockstep data verify NAME|FILE…",
                                "Computes the digests of images, labels and, for a registered data set, of the file "
                                "anew, and checks every label.\n"
                                "Exit code 1 when something differs from what was recorded.",
                                "  lockstep data verify fashion-mnist\n"};
  JsonFlag flag;
  std::vector<std::string> words;
  if (!parse_arguments(text, json_flag(), arguments, &flag, &words, 1, 1000)) return 0;
  ordered_json all = ordered_json::array();
  bool sound = true;
  for (const std::string& word : words) {
    const Found found = find(word);
    const bool files_only = found.record && found.record->kind != "hdf5";
    std::vector<std::string> differences;
    if (!files_only) {
      look_first(found.path);
      differences = verify_dataset(found.path);
    }
    if (found.record && !found.record->sha256.empty()) {
      const std::string digest = look_at_dataset(found.path).value().sha256;
      if (digest != found.record->sha256)
        differences.push_back("the " + std::string(files_only ? found.record->kind : "file") + ": SHA-256 is " +
                              digest + ", registered is " + found.record->sha256);
    }
    sound = sound && differences.empty();
    all.push_back({{"path", found.path.string()}, {"sound", differences.empty()}, {"differences", differences}});
    if (flag.json) continue;
    std::cout << found.path.string() << (differences.empty() ? ": sound\n" : ": DIFFERS\n");
    for (const std::string& difference : differences) std::cout << "  " << difference << '\n';
  }
  if (flag.json) print_json(all);
  return sound ? 0 : 1;
}

}  // namespace lockstep
