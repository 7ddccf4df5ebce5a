// lockstep models
#include <unistd.h>

#include <functional>
#include <iomanip>
#include <map>
#include <nlohmann/json.hpp>

#include "lockstep/core/model_registry.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kUsage =
    "usage: lockstep models COMMAND\n"
    "\n"
    "Models: files that runs have made, by name and version, with where they come from.\n"
    "\n"
    "  register RUN NAME [PATH]       copy a file or folder of the run as the next version of NAME\n"
    "  list [NAME]                    all versions\n"
    "  show NAME[@VERSION]            one version: its files, its run, its code and data\n"
    "  download NAME[@VERSION] [DIR]  copy its files, each compared with its digest\n"
    "  tag NAME[@VERSION] KEY=VALUE…  change its tags; KEY= removes one\n"
    "  delete NAME@VERSION            for good; refused while an unfinished run uses it\n"
    "\n"
    "lockstep models COMMAND --help tells more.\n";

struct RegisterOptions {
  KeyValues tags, properties, datasets;
  std::string framework, framework_version, description;
  bool json = false;
};

struct ListOptions {
  KeyValues tag;
  bool latest = false, json = false;
};

struct JsonOption {
  bool json = false;
};

struct ForceOption {
  bool force = false;
};

std::map<std::string, std::string> as_map(const KeyValues& pairs) { return {pairs.begin(), pairs.end()}; }

Json with_tags(const ModelRecord& model) {
  Json json = to_json(model);
  json["tags"] = model.tags;
  json["directory"] = (model.directory / "files").string();
  json["path"] = model.path().string();
  return json;
}

std::string reference(const ModelRecord& model) { return model.name + "@" + std::to_string(model.version); }

int register_one(const Arguments& arguments) {
  constexpr CommandText kText{
      "lockstep models register RUN NAME [PATH] [options]",
      "Copies a file or folder of the run as the next version of the model NAME. PATH counts from the run's directory: "
      "outputs/model.h5.\nWithout one it is what is called NAME in the run, or in its outputs.",
      "  lockstep models register latest digits outputs/model.h5 --tags stage=trial --framework PyTorch"};
  RegisterOptions options;
  OptionTable<RegisterOptions> table;
  table.add("tags", &RegisterOptions::tags, "KEY=VALUE", "labels that can change");
  table.add("properties", &RegisterOptions::properties, "KEY=VALUE", "facts that never change");
  table.add("datasets", &RegisterOptions::datasets, "PURPOSE=NAME[@V]", "what it was made from: training=mnist@2");
  table.add("framework", &RegisterOptions::framework, "NAME", "PyTorch, TensorFlow, ScikitLearn, …");
  table.add("framework-version", &RegisterOptions::framework_version, "VERSION", "of the framework");
  table.add("description", &RegisterOptions::description, "TEXT", "for people");
  table.add("json", &RegisterOptions::json, "", "print the record as JSON");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 2, 3)) return 0;
  ModelRequest request{.model_name = words[1]};
  if (words.size() > 2) request.model_path = words[2];
  request.tags = as_map(options.tags);
  request.properties = as_map(options.properties);
  request.datasets = options.datasets;
  request.model_framework = options.framework;
  request.model_framework_version = options.framework_version;
  request.description = options.description;
  const ModelRecord model = register_model(workspace_here(), run_by_reference(words[0]).path(), request).value();
  if (options.json) {
    print_json(with_tags(model));
    return 0;
  }
  if (!request.model_path && model.model_path != model.name)
    std::cerr << "note: no path was given; it is " << model.model_path << '\n';
  std::cout << "model      " << reference(model) << "\nfiles      " << model.files.size() << ", "
            << format_bytes(static_cast<std::uintmax_t>(model.bytes())) << "\npath       " << model.path().string()
            << '\n';
  return 0;
}

bool has_tags(const ModelRecord& model, const KeyValues& wanted) {
  for (const auto& [key, value] : wanted) {
    const auto found = model.tags.find(key);
    if (found == model.tags.end() || (!value.empty() && found->second != value)) return false;
  }
  return true;
}

int list(const Arguments& arguments) {
  constexpr CommandText kText{"lockstep models list [NAME] [options]", "Lists registered models.", ""};
  ListOptions options;
  OptionTable<ListOptions> table;
  table.add("tag", &ListOptions::tag, "KEY[=VALUE]", "only those that have it");
  table.add("latest", &ListOptions::latest, "", "only the newest version of each name");
  table.add("json", &ListOptions::json, "", "print JSON");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 0, 1)) return 0;
  std::vector<std::string> warnings;
  std::vector<ModelRecord> models = list_models(workspace_here(), &warnings);
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << '\n';
  std::vector<ModelRecord> chosen;
  for (std::size_t i = 0; i < models.size(); ++i) {
    const bool newest = i + 1 == models.size() || models[i + 1].name != models[i].name;
    if ((!words.empty() && models[i].name != words[0]) || (options.latest && !newest)) continue;
    if (has_tags(models[i], options.tag)) chosen.push_back(std::move(models[i]));
  }
  if (options.json) {
    Json all = Json::array();
    for (const ModelRecord& model : chosen) all.push_back(with_tags(model));
    print_json(all);
    return 0;
  }
  if (chosen.empty()) std::cerr << "no models\n";
  Table rows({{"MODEL"}, {"VERSION", true}, {"SIZE", true}, {"CREATED"}, {"FRAMEWORK"}, {"RUN"}, {"TAGS"}});
  for (const ModelRecord& model : chosen) {
    std::string tags;
    for (const auto& [key, value] : model.tags)
      tags += (tags.empty() ? "" : ", ") + key + (value.empty() ? "" : "=" + value);
    rows.add({model.name, std::to_string(model.version), format_bytes(static_cast<std::uintmax_t>(model.bytes())),
              model.created, model.framework, model.run_id, tags});
  }
  if (!chosen.empty()) rows.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
  return 0;
}

int show(const Arguments& arguments) {
  constexpr CommandText kText{"lockstep models show NAME[@VERSION] [options]", "Shows one version of a model.", ""};
  JsonOption options;
  OptionTable<JsonOption> table;
  table.add("json", &JsonOption::json, "", "print JSON");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  const ModelRecord model = find_model(workspace_here(), words[0]).value();
  if (options.json) {
    print_json(with_tags(model));
    return 0;
  }
  const auto line = [](const char* title, const std::string& text) {
    if (!text.empty()) std::cout << std::left << std::setw(11) << title << printable(text) << '\n';
  };
  line("model", reference(model));
  line("about", model.description);
  line("created", model.created + " by " + model.user);
  line("run", model.run_id);
  line("from", model.model_path);
  line("framework", model.framework + (model.framework_version.empty() ? "" : " " + model.framework_version));
  for (const auto& [purpose, dataset] : model.datasets) line("data", purpose + ": " + dataset);
  if (model.lineage.contains("git")) line("code", model.lineage["git"].value("commit", ""));
  for (const auto& [key, value] : model.tags) line("tag", key + "=" + value);
  for (const auto& [key, value] : model.properties) line("property", key + "=" + value);
  line("path", model.path().string());
  for (const ModelFile& file : model.files)
    line("file", file.path + "  " + format_bytes(static_cast<std::uintmax_t>(file.bytes)) + "  " + file.sha256);
  return 0;
}

int download(const Arguments& arguments) {
  constexpr CommandText kText{"lockstep models download NAME[@VERSION] [DIR] [options]",
                              "Copies the files of a model into DIR, or here, and compares each with its digest.", ""};
  ForceOption options;
  OptionTable<ForceOption> table;
  table.add("force", &ForceOption::force, "", "replace files that are there");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 2)) return 0;
  const ModelRecord model = find_model(workspace_here(), words[0]).value();
  for (const auto& path : download_model(model, words.size() > 1 ? words[1] : ".", options.force))
    std::cout << path.string() << '\n';
  return 0;
}

int tag(const Arguments& arguments) {
  constexpr CommandText kText{"lockstep models tag NAME[@VERSION] KEY=VALUE…",
                              "Changes tags of a model; KEY= removes one. Without pairs the tags are printed.", ""};
  JsonOption options;
  OptionTable<JsonOption> table;
  table.add("json", &JsonOption::json, "", "print the tags as JSON");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, arguments.size())) return 0;
  const ModelRecord model = find_model(workspace_here(), words[0]).value();
  std::map<std::string, std::optional<std::string>> changes;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    if (equals == std::string::npos || equals == 0)
      fail(ErrorKind::usage, "\"" + words[i] + "\" is no KEY=VALUE", "write stage=trial; stage= removes the tag");
    const std::string value = words[i].substr(equals + 1);
    changes[words[i].substr(0, equals)] = value.empty() ? std::nullopt : std::optional(value);
  }
  const auto tags = changes.empty() ? model.tags : change_model_tags(model, changes);
  if (options.json) return print_json(Json(tags)), 0;
  for (const auto& [key, value] : tags) std::cout << key << '=' << value << '\n';
  return 0;
}

int remove(const Arguments& arguments) {
  constexpr CommandText kText{"lockstep models delete NAME@VERSION [options]",
                              "Deletes one version of a model for good.", ""};
  ForceOption options;
  OptionTable<ForceOption> table;
  table.add("force", &ForceOption::force, "", "even while an unfinished run uses it");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  const Workspace workspace = workspace_here();
  const ModelRecord model = find_model(workspace, words[0]).value();
  if (words[0].find('@') == std::string::npos)
    fail(ErrorKind::usage, "which version of " + model.name + " is meant?",
         "lockstep models delete " + reference(model));
  const std::vector<std::string> users = runs_that_use(workspace, model);
  if (!users.empty() && !options.force) {
    std::string ids;
    for (const std::string& id : users) ids += (ids.empty() ? "" : ", ") + id;
    fail(ErrorKind::usage, reference(model) + " is used by unfinished runs: " + ids,
         "wait for their end, or delete it with --force");
  }
  remove_model(model);
  return 0;
}

}  // namespace

int models_command(const Arguments& arguments) {
  const std::map<std::string, std::function<int(const Arguments&)>> commands{
      {"register", register_one}, {"list", list}, {"show", show},
      {"download", download},     {"tag", tag},   {"delete", remove}};
  if (arguments.empty()) {
    std::cerr << kUsage;
    return 2;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    std::cout << kUsage;
    return 0;
  }
  const auto found = commands.find(arguments[0]);
  if (found != commands.end()) return found->second({arguments.begin() + 1, arguments.end()});
  std::vector<std::string> names;
  for (const auto& [name, command] : commands) names.push_back(name);
  fail(ErrorKind::usage, "there is no command models " + arguments[0] + suggestion(arguments[0], names));
}

}  // namespace lockstep
