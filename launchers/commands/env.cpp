// lockstep env
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "lockstep/core/environment_pieces.h"
#include "lockstep/core/environment_registry.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/publish.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/environment_plan.h"
#include "lockstep/launchers/prepare_environment.h"
#include "lockstep/launchers/run_text.h"
#include "lockstep/launchers/table.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

constexpr const char* kUsage =
    "usage: lockstep env COMMAND\n"
    "\n"
    "Environments: the software that runs need, by name and version.\n"
    "\n"
    "  create NAME [FILE]   register one: from requirements.txt, conda's environment.yml or options\n"
    "  list                 all of them, and those that come with Lockstep\n"
    "  show NAME[@VERSION]  its definition, and what this machine makes of it\n"
    "  build NAME[@VERSION] build it now and not with the first run\n"
    "  log NAME[@VERSION]   what its last build printed\n"
    "  delete NAME@VERSION  take it out of the registry\n"
    "\n"
    "lockstep env COMMAND --help tells more. A run takes one by --environment-definition NAME.\n";

struct CreateOptions {
  Words pip_packages, conda_packages, modules, cmake_arguments;
  std::string python, image, shm_size, description, cmake_build_type, cmake_target;
  KeyValues variables;
  bool strict = false, json = false;
};

struct ShowOptions {
  bool json = false;
};

struct BuildOptions {
  bool force = false;
};

// For listings, which work without a workspace too.
std::optional<Workspace> workspace_if_any() {
  auto found = Workspace::from_config();
  return found ? std::optional(*found) : std::nullopt;
}

OptionTable<CreateOptions> create_table() {
  OptionTable<CreateOptions> table;
  table.group("Python")
      .add("pip-packages", &CreateOptions::pip_packages, "PACKAGE", "as in requirements.txt: torch==2.1")
      .add("conda-packages", &CreateOptions::conda_packages, "PACKAGE", "as conda has it: numpy=1.21, python=3.10")
      .add("python", &CreateOptions::python, "PYTHON",
           "a Python, virtual or conda environment that is there; its packages are recorded");
  table.group("Around it")
      .add("modules", &CreateOptions::modules, "MODULE", "module load, in order")
      .add("variables", &CreateOptions::variables, "NAME=VALUE", "of the ranks' environment")
      .add("custom-docker-image", &CreateOptions::image, "IMAGE", "ranks run in a container of it")
      .add("shm-size", &CreateOptions::shm_size, "SIZE", "of the container's /dev/shm: 2g");
  table.group("C++ source trees")
      .add("cmake-arguments", &CreateOptions::cmake_arguments, "-DNAME=VALUE", "handed to cmake")
      .add("cmake-build-type", &CreateOptions::cmake_build_type, "TYPE", "Release when left out")
      .add("cmake-target", &CreateOptions::cmake_target, "TARGET", "which of several executables is run");
  table.group("Record")
      .add("description", &CreateOptions::description, "TEXT", "for people")
      .add("strict", &CreateOptions::strict, "", "what cannot be had exactly as asked for is an error and no notice")
      .add("json", &CreateOptions::json, "", "print the record as JSON");
  return table;
}

Json record_json(const EnvironmentRecord& record) {
  Json json = to_json(record.environment);
  if (!record.created.empty()) json["created"] = record.created;
  if (!record.user.empty()) json["user"] = record.user;
  json["curated"] = record.curated;
  return json;
}

std::string reference(const Environment& environment) {
  return environment.name + "@" + std::to_string(environment.version);
}

// "4 packages, python 3.10, modules gcc/12"
std::string contents(const Environment& environment) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  const PythonDefinition& python = environment.python;
  if (!python.version.empty()) add("python " + python.version);
  if (!python.interpreter.empty()) add(python.interpreter);
  Words packages = python.conda;
  packages.insert(packages.end(), python.pip.begin(), python.pip.end());
  for (std::size_t i = 0; i < packages.size() && i < 5; ++i) add(packages[i]);
  if (packages.size() > 5) add("and " + std::to_string(packages.size() - 5) + " more");
  for (const std::string& module : environment.modules) add("module " + module);
  if (!environment.image.empty()) add("image " + environment.image);
  if (!environment.variables.empty()) add(std::to_string(environment.variables.size()) + " variables");
  return text.empty() ? "what the machine has" : text;
}

int create(const Arguments& arguments) {
  const CommandText text{
      "lockstep env create NAME [FILE] [options]",
      "Registers an environment: of requirements.txt, conda's environment.yml or an environment.json, "
      "with what the options add. The same definition again gives the same version, another one the "
      "next.",
      "  lockstep env create torch --pip-packages torch==2.1.0 --pip-packages numpy\n"
      "  lockstep env create pytorch-env environment.yml\n"
      "  lockstep env create mine --python ~/venvs/mine"};
  CreateOptions options;
  Words words;
  if (!parse_arguments(text, create_table(), arguments, &options, &words, 1, 2)) return 0;
  const std::string& name = words[0];
  Words notices;
  Environment environment;
  if (!options.python.empty()) environment = Environment::from_existing(name, options.python).value();
  if (words.size() == 2) {
    const Environment read = read_environment(name, words[1], &notices).value();
    if (!options.python.empty() && (!read.python.pip.empty() || !read.python.conda.empty()))
      fail(ErrorKind::usage, "packages are asked for by " + words[1] + ", and a Python that its user looks after",
           "leave out --python: Lockstep then builds an environment");
    const PythonDefinition existing = environment.python;
    environment = read;
    if (!options.python.empty()) environment.python = existing;
  }
  const Environment more = assemble_environment({.conda_packages = options.conda_packages,
                                                 .pip_packages = options.pip_packages,
                                                 .modules = options.modules,
                                                 .image = options.image,
                                                 .shm_size = options.shm_size},
                                                ".", nullptr, &notices)
                               .value();
  const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(environment.python.pip, more.python.pip);
  append(environment.python.conda, more.python.conda);
  append(environment.modules, more.modules);
  append(environment.variables, options.variables);
  append(environment.cmake.arguments, options.cmake_arguments);
  if (!more.python.version.empty()) environment.python.version = more.python.version;
  if (!more.image.empty()) environment.image = more.image;
  if (!more.shm_size.empty()) environment.shm_size = more.shm_size;
  if (!options.cmake_build_type.empty()) environment.cmake.build_type = options.cmake_build_type;
  if (!options.cmake_target.empty()) environment.cmake.target = options.cmake_target;
  environment.strict = environment.strict || options.strict;
  environment.description = options.description;
  environment.name = name;
  const auto record = register_environment(Workspace::find_or_create().value(), environment).value();
  for (const std::string& notice : notices) std::cerr << "note: " << notice << '\n';
  if (options.json)
    print_json(record_json(record));
  else
    std::cout << "environment " << reference(record.environment) << ": " << contents(record.environment) << '\n';
  return 0;
}

template <typename Options>
OptionTable<Options> json_table(const char* help) {
  OptionTable<Options> table;
  table.add("json", &Options::json, "", help);
  return table;
}

int list(const Arguments& arguments) {
  const CommandText text{"lockstep env list [options]", "Lists all versions of all environments.", ""};
  ShowOptions options;
  Words words;
  if (!parse_arguments(text, json_table<ShowOptions>("as a JSON array"), arguments, &options, &words, 0, 0)) return 0;
  Words warnings;
  const auto workspace = workspace_if_any();
  const auto records = list_environments(workspace ? &*workspace : nullptr, &warnings);
  if (options.json) {
    Json json = Json::array();
    for (const EnvironmentRecord& record : records) json.push_back(record_json(record));
    print_json(json);
  } else {
    Table table({{"ENVIRONMENT"}, {"CREATED"}, {"USER"}, {"WHAT"}});
    for (const EnvironmentRecord& record : records)
      table.add({reference(record.environment), record.curated ? "with Lockstep" : record.created,
                 record.user.empty() ? "-" : record.user, contents(record.environment)});
    table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
  }
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << '\n';
  return 0;
}

// The environment and what this machine makes of it.
struct Planned {
  EnvironmentRecord record;
  EnvironmentPlan plan;
};

Planned planned(const std::string& name, const std::optional<Workspace>& workspace) {
  Planned result{find_environment(workspace ? &*workspace : nullptr, name).value(), {}};
  const fs::path root = workspace ? workspace->root() : fs::absolute(".lockstep");
  const Environment& environment = result.record.environment;
  result.plan = plan_environment(environment, root, probe_environment_tools(environment)).value();
  return result;
}

int show(const Arguments& arguments) {
  const CommandText text{"lockstep env show NAME[@VERSION] [options]",
                         "The definition of an environment, how this machine builds it, and, once it is built, what is "
                         "in it. Without a version: the newest.",
                         "  lockstep env show lockstep-pytorch"};
  ShowOptions options;
  Words words;
  if (!parse_arguments(text, json_table<ShowOptions>("as JSON"), arguments, &options, &words, 1, 1)) return 0;
  const auto workspace = workspace_if_any();
  const EnvironmentRecord record = find_environment(workspace ? &*workspace : nullptr, words[0]).value();
  Json json = record_json(record);
  std::optional<EnvironmentPlan> plan;
  try {  // a machine that lacks a tool can still show the definition
    plan = planned(words[0], workspace).plan;
    json["plan"] = to_json(*plan);
    json["plan"].erase("environment");
    if (const auto built = built_record(plan->build.directory)) json["built"] = *built;
  } catch (const Failure& failure) {
    json["problem"] = failure.error().what;
  }
  if (options.json) {
    print_json(json);
    return 0;
  }
  std::cout << "environment   " << reference(record.environment) << "\n"
            << "hash          " << record.environment.hash() << "\n";
  if (!record.environment.description.empty()) std::cout << "about         " << record.environment.description << "\n";
  std::cout << "definition    " << contents(record.environment) << "\n";
  if (plan) std::cout << describe(*plan);
  if (plan)
    for (const std::string& notice : plan->notices) std::cout << "note          " << notice << "\n";
  if (json.contains("problem")) std::cout << "not here      " << json["problem"].get<std::string>() << "\n";
  if (const auto built = json.find("built"); built != json.end()) {
    std::cout << "built         " << format_age(unix_time() - built->value("built", 0.0)) << " on "
              << built->value("host", "") << ", Python " << built->value("python", "") << "\n";
    const Json packages = built->value("packages", Json::object());
    for (const auto& [package, version] : packages.items())
      std::cout << "  " << package << " " << version.get<std::string>() << "\n";
  } else if (plan && !plan->build.directory.empty()) {
    std::cout << "built         not yet: by the first run, or lockstep env build " << reference(record.environment)
              << "\n";
  }
  return 0;
}

int build(const Arguments& arguments) {
  const CommandText text{"lockstep env build NAME[@VERSION] [options]",
                         "Builds the environment now; the first run need not wait for it then. Of one that is there "
                         "nothing is done.",
                         "  lockstep env build lockstep-sklearn"};
  OptionTable<BuildOptions> table;
  table.add("force", &BuildOptions::force, "", "build it anew; runs that use it meanwhile may fail");
  BuildOptions options;
  Words words;
  if (!parse_arguments(text, table, arguments, &options, &words, 1, 1)) return 0;
  const Workspace workspace = Workspace::find_or_create().value();
  const Planned what = planned(words[0], workspace);
  if (!what.plan.needs_preparation()) {
    std::cout << reference(what.record.environment) << ": nothing is to be built\n";
    return 0;
  }
  WaitSignals signals(/*child=*/true, /*stop=*/true);
  BuildCallbacks callbacks;
  callbacks.on_text = [](const std::string& output) { std::cout << output << std::flush; };
  callbacks.on_detail = [](const std::string& detail) { std::cerr << detail << std::endl; };
  callbacks.on_tick = [] {};
  callbacks.wants_stop = [&] { return signals.stop_signal() != 0; };
  BuildRequest request{.variables = current_environment(), .force = options.force};
  try {
    if (!prepare_environment(what.plan, std::move(request), signals, callbacks)) return 128 + signals.stop_signal();
  } catch (const BuildFailure& failure) {
    fail(failure.error().kind, failure.error().what,
         failure.error().hint + (failure.error().hint.empty() ? "" : "; ") + "lockstep env log " +
             reference(what.record.environment) + " shows all");
  }
  return 0;
}

int log(const Arguments& arguments) {
  const CommandText text{"lockstep env log NAME[@VERSION]", "What the last build of this environment printed here.",
                         ""};
  OptionTable<BuildOptions> none;
  BuildOptions options;
  Words words;
  if (!parse_arguments(text, none, arguments, &options, &words, 1, 1)) return 0;
  const auto what = planned(words[0], workspace_here());
  const fs::path file = what.plan.build.directory.string() + ".log";
  std::error_code ignored;
  if (what.plan.build.directory.empty() || !fs::exists(file, ignored))
    fail(ErrorKind::usage, reference(what.record.environment) + " has not been built in this workspace");
  std::cout << read_file(file);
  return 0;
}

int remove(const Arguments& arguments) {
  const CommandText text{"lockstep env delete NAME@VERSION",
                         "Takes one version out of the registry. Runs that used it keep their record; what was built "
                         "stays.",
                         "  lockstep env delete mine@1"};
  OptionTable<BuildOptions> none;
  BuildOptions options;
  Words words;
  if (!parse_arguments(text, none, arguments, &options, &words, 1, 1)) return 0;
  const auto record = delete_environment(workspace_here(), words[0]).value();
  std::cout << "deleted " << reference(record.environment) << '\n';
  return 0;
}

}  // namespace

int env_command(const Arguments& arguments) {
  const std::map<std::string, std::function<int(const Arguments&)>> commands{
      {"create", create}, {"list", list}, {"show", show}, {"build", build}, {"log", log}, {"delete", remove}};
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
  Words names;
  for (const auto& [name, command] : commands) names.push_back(name);
  fail(ErrorKind::usage, "there is no command env " + arguments[0] + suggestion(arguments[0], names));
}

}  // namespace lockstep
