// lockstep show
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/publish.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/commands/as_ini.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/run_text.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct ShowOptions {
  bool json = false;
  bool as_ini = false;
  bool from_snapshot = false;
};

constexpr CommandText kText{"lockstep show RUN [options]",
                            "Everything known about a run. RUN is an id, a unique part of one, or \"latest\".",
                            "  lockstep show latest\n"
                            "  lockstep show latest --as-ini > again.ini && lockstep submit again.ini"};

struct FileEntry {
  std::string path;
  std::uintmax_t bytes;
};

// outputs/ and logs/, sorted.
std::vector<FileEntry> files_of(const RunDirectory& run) {
  std::vector<FileEntry> files;
  for (const char* folder : {"outputs", "logs"}) {
    std::error_code error;
    for (fs::recursive_directory_iterator entry(run.path() / folder, error), end; !error && entry != end;
         entry.increment(error)) {
      std::error_code ignored;
      if (!entry->is_regular_file(ignored)) continue;
      const std::uintmax_t bytes = entry->file_size(ignored);
      files.push_back({entry->path().lexically_relative(run.path()).string(), ignored ? 0 : bytes});
    }
  }
  std::sort(files.begin(), files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  return files;
}

Json mutable_file(const RunDirectory& run, const char* name) {
  std::error_code ignored;
  if (!fs::exists(run.path() / name, ignored)) return Json::object();
  const Json json = Json::parse(read_file(run.path() / name), nullptr, false);
  return json.is_object() ? json : Json::object();
}

Json everything(const RunDirectory& run) {
  Json json = to_json(run.summary());
  json["progress"] = progress_text(run, run.summary());
  json["record"] = run.record();
  json["tags"] = mutable_file(run, "tags.json");
  json["properties"] = mutable_file(run, "properties.json");
  json["events"] = Json::array();
  for (const RunEvent& event : run.events()) json["events"].push_back(to_json(event));
  json["files"] = Json::array();
  for (const FileEntry& file : files_of(run)) json["files"].push_back({{"path", file.path}, {"bytes", file.bytes}});
  return json;
}

void line(const std::string& name, const std::string& value) {
  if (!value.empty())
    std::cout << "  " << name << std::string(18 - std::min<std::size_t>(name.size(), 16), ' ') << printable(value)
              << '\n';
}

std::string plain(const Json& json) {
  return json.is_string() ? json.get<std::string>() : json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A line per member of an object: git properties, tags. Whatever is in the record is shown, known or not.
void print_object(const std::string& title, const Json& object) {
  if (!object.is_object() || object.empty()) return;
  std::cout << title << ":\n";
  for (const auto& [name, value] : object.items()) {
    if (value.is_structured() && value.size() > 8) continue;  // long lists are in --json
    if (value != "") line(name, plain(value));
  }
}

void print_summary(const RunDirectory& directory, const RunSummary& run, const TerminalStyle& style) {
  const Cell status = status_cell(run.status);
  std::cout << "run " << run.id << '\n';
  std::cout << "  status            " << coloured(status.text, status.colour, style) << '\n';
  if (run.cause) {
    line("cause", run.cause->message);
    line("to do", run.cause->hint);
  } else {
    line("detail", run.detail);
  }
  const double now = unix_time();
  line("submitted", format_time(run.submitted) + " (" + format_age(now - run.submitted) + ")");
  if (run.started > 0)
    line("started", format_time(run.started) + ", " + format_duration(run.started - run.submitted) + " after submit");
  if (run.ended > 0) line("ended", format_time(run.ended));
  line("duration", duration_text(run, now));
  line("progress", progress_text(directory, run));
  line("experiment", run.experiment);
  line("target", run.target);
  line("ranks", ranks_text(run) + " (nodes x processes per node)");
  if (run.attempts > 1) line("attempts", std::to_string(run.attempts));
  line("command", run.command);
  line("directory", run.directory.string());
}

void print_inputs(const Json& inputs) {
  Json lines = Json::object();
  for (const Json& input : inputs)
    lines[input.value("name", "")] = input.value("dataset", "") + "@" + std::to_string(input.value("version", 0)) +
                                     ", " + input.value("mode", "") + " of " + input.value("source", "");
  print_object("inputs", lines);
}

void print_record(const RunDirectory& run) {
  const Json record = run.record();
  if (record.contains("launch_plan"))
    std::cout << "started by:\n  " << printable(shell_quote(launch_plan_from_json(record["launch_plan"]).launch_argv))
              << '\n';
  Json rest = Json::object();
  for (const auto& [name, value] : record.items()) {
    if (name == "estimator" || name == "estimator_as_given" || name == "launch_plan") continue;
    if (name == "input_datasets" && value.is_array())
      print_inputs(value);
    else if (value.is_object())
      print_object(name, value);
    else if (name != "submitted" && name != "command" && name != "target")
      rest[name] = value;
  }
  print_object("record", rest);
  print_object("tags", mutable_file(run, "tags.json"));
  print_object("properties", mutable_file(run, "properties.json"));
}

void print_events(const RunDirectory& run, const TerminalStyle& style) {
  std::cout << "events:\n";
  for (const RunEvent& event : run.events()) {
    const Cell status = status_cell(event.status);
    std::cout << "  " << format_time(event.time) << "  " << (event.attempt ? std::to_string(event.attempt) : "-")
              << "  " << coloured(status.text, status.colour, style)
              << (event.detail.empty() ? "" : "  " + printable(event.detail)) << '\n';
    if (event.cause && !is_terminal(event.status))
      std::cout << "      cause: " << printable(event.cause->message) << '\n';
  }
}

void print_all(const RunDirectory& run) {
  const TerminalStyle style = TerminalStyle::of(STDOUT_FILENO);
  const RunSummary summary = run.summary();
  print_summary(run, summary, style);
  print_record(run);
  print_events(run, style);
  if (summary.cause && !summary.cause->last_lines.empty()) {
    std::cout << "last lines" << (summary.cause->rank ? " of rank " + std::to_string(*summary.cause->rank) : "")
              << ":\n";
    for (const std::string& last : summary.cause->last_lines) std::cout << "  | " << printable(last) << '\n';
  }
  const auto files = files_of(run);
  std::cout << "files:\n";
  for (const FileEntry& file : files)
    std::cout << "  " << printable(file.path) << "  " << format_bytes(file.bytes) << '\n';
}

}  // namespace

int show_command(const Arguments& arguments) {
  ShowOptions options;
  OptionTable<ShowOptions> table;
  table.add("json", &ShowOptions::json, "", "as one JSON object, times in seconds since 1970");
  table.add("as-ini", &ShowOptions::as_ini, "", "the estimator as an INI file that `lockstep submit` takes");
  table.add("from-snapshot", &ShowOptions::from_snapshot, "",
            "with --as-ini: its code is the run's snapshot, whatever the source directory holds now");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  if (options.json && options.as_ini) fail(ErrorKind::usage, "--json and --as-ini exclude each other");
  if (options.from_snapshot && !options.as_ini) fail(ErrorKind::usage, "--from-snapshot belongs to --as-ini");
  const RunDirectory run = run_by_reference(words.front());
  if (options.json)
    print_json(everything(run));
  else if (options.as_ini)
    std::cout << as_ini(run, options.from_snapshot);
  else
    print_all(run);
  return 0;
}

}  // namespace lockstep
