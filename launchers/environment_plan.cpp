#include "lockstep/launchers/environment_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/conda_file.h"
#include "lockstep/core/requirements_file.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/container_command.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

Error lacking(std::string what, std::string hint) {
  return {ErrorKind::environment, std::move(what), {}, std::move(hint)};
}

std::string joined(const Words& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

// "3.6" fits 3.6.2, "3.1" does not fit 3.11.
bool fits(const std::string& version, const std::string& wanted) {
  return wanted.empty() || version == wanted || version.rfind(wanted + ".", 0) == 0;
}

class Planner {
 public:
  Planner(const Environment& environment, const fs::path& root, const EnvironmentTools& tools)
      : tools_(tools), built_(root / "environments" / ".built") {
    plan_.environment = environment;
  }

  Result<EnvironmentPlan> plan() {
    const Environment& environment = plan_.environment;
    if (!environment.image.empty() && tools_.container.empty())
      return lacking("the ranks are to run in the image " + environment.image +
                         ", and no program for containers is on PATH: podman, apptainer (singularity) or ch-run",
                     "install one of them, or leave custom_docker_image out");
    if (!environment.modules.empty() && tools_.modulecmd.empty())
      return lacking("modules are to be loaded (" + joined(environment.modules, ", ") +
                         "), and there is no module command: neither LMOD_CMD nor MODULES_CMD is set, and modulecmd is "
                         "not on PATH",
                     "submit where `module` works, or leave modules out");
    if (!environment.modules.empty()) plan_.modulecmd = tools_.modulecmd;
    if (!environment.image.empty()) plan_.container = tools_.container;
    for (const auto& [name, value] : environment.variables) plan_.variables[name] = value;
    take_packages();
    if (!environment.python.interpreter.empty())
      use_existing();
    else if (wants_packages())
      if (auto error = build_python()) return *error;
    if (environment.strict && !plan_.notices.empty())
      return lacking("the environment cannot be had as it was asked for: " + joined(plan_.notices, "; "),
                     "change its definition, or leave strict out");
    // Modules and containers bring a python3 of their own, which is found on the ranks' PATH.
    if (plan_.python.empty() && (!environment.image.empty() || !environment.modules.empty())) plan_.python = "python3";
    return std::move(plan_);
  }

 private:
  bool wants_packages() const { return !pip_.empty() || !conda_.empty() || !plan_.environment.python.version.empty(); }

  // Packages of the service whose scripts we run have nothing to do here.
  void take_packages() {
    const auto take = [this](const Words& from, Words& to, bool conda) {
      for (const std::string& package : from) {
        const std::string name = conda ? conda_package_name(package) : package_name(package);
        if (name == "azureml" || name.rfind("azureml-", 0) == 0)
          plan_.notices.push_back(name + " is left out: its part is played by lockstep.py");
        else
          to.push_back(package);
      }
    };
    take(plan_.environment.python.pip, pip_, false);
    take(plan_.environment.python.conda, conda_, true);
  }

  void use_existing() {
    const std::string& interpreter = plan_.environment.python.interpreter;
    plan_.python = plan_.inspected = interpreter;
    plan_.prepended["PATH"] = fs::path(interpreter).parent_path().string();
  }

  // A container has a python3 of its own.
  bool by_container() const { return !plan_.container.empty(); }
  std::string base_python() const {
    return by_container() || !plan_.modulecmd.empty() ? std::string("python3") : tools_.python;
  }

  std::optional<Error> build_python() {
    const std::string& wanted = plan_.environment.python.version;
    const bool fitting = by_container() || fits(tools_.python_version, wanted);
    if (!tools_.conda.empty() && !by_container() && (!conda_.empty() || !fitting)) return build_with_conda();
    if (base_python().empty())
      return lacking("packages are asked for, and there is neither python3 nor conda on PATH to install them with",
                     "install python3 with its venv (Debian: apt-get install python3-venv), or load its module");
    if (!fitting)
      plan_.notices.push_back("python=" + wanted + " is not on this machine and there is no conda to get it: Python " +
                              tools_.python_version + " is taken");
    for (const std::string& package : conda_) {
      const std::string form = pip_form(package);
      if (form.empty())
        plan_.notices.push_back("conda package " + package +
                                " is left out: there is no conda here, and pip has no such "
                                "package");
      else
        pip_.push_back(form);
      if (!form.empty() && form != package)
        plan_.notices.push_back("conda package " + package + " is taken from pip as " + form +
                                ": there is no conda here");
    }
    if (pip_.empty() && plan_.environment.python.version.empty()) return {};
    return build_with_pip();
  }

  std::string key(const std::string& kind, const std::string& content) const {
    const Json parts{{"kind", kind},
                     {"content", content},
                     {"python", base_python()},
                     {"version", by_container() ? "" : tools_.python_version},
                     {"modules", plan_.environment.modules},
                     {"image", plan_.environment.image},
                     {"architecture", tools_.architecture}};
    return "py-" + sha256(parts.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 16);
  }

  void place(const std::string& kind, const std::string& content) {
    const std::string name = key(kind, content);
    plan_.build.directory = built_ / name;
    plan_.build.title =
        "environment " + (plan_.environment.name.empty() ? name : plan_.environment.name + " (" + name + ")");
  }

  std::optional<Error> add_step(std::string title, Words argv, std::string hint = {}) {
    if (by_container()) {
      auto wrapped = container_command({.program = plan_.container,
                                        .image = plan_.environment.image,
                                        .binds = {built_.string()},
                                        .directory = plan_.build.directory.string()},
                                       argv);
      if (!wrapped) return wrapped.error();
      argv = std::move(wrapped).value();
    }
    plan_.build.steps.push_back({std::move(title), std::move(argv), std::move(hint)});
    return {};
  }

  void use(const fs::path& prefix) {
    plan_.python = (prefix / "bin/python3").string();
    if (!by_container()) plan_.inspected = plan_.python;
    plan_.prepended["PATH"] = (prefix / "bin").string();
    plan_.variables.emplace("PYTHONNOUSERSITE", "1");  // what lies in the user's home is no part of the environment
  }

  std::optional<Error> build_with_pip() {
    std::sort(pip_.begin(), pip_.end(), [](const std::string& a, const std::string& b) {
      return std::pair(!a.starts_with('-'), a) < std::pair(!b.starts_with('-'), b);
    });
    pip_.erase(std::unique(pip_.begin(), pip_.end()), pip_.end());
    const std::string requirements = pip_.empty() ? std::string() : joined(pip_, "\n") + "\n";
    place("venv", requirements);
    const fs::path venv = plan_.build.directory / "venv", file = plan_.build.directory / "requirements.txt";
    plan_.build.files["requirements.txt"] = requirements;
    use(venv);
    plan_.variables.emplace("VIRTUAL_ENV", venv.string());
    auto error = add_step("make a virtual environment", {base_python(), "-m", "venv", venv.string()},
                          "where ensurepip is missing: apt-get install python3-venv (Debian)");
    if (error || pip_.empty()) return error;
    return add_step(
        "pip install",
        {plan_.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off",
         "--requirement", file.string()},
        "pip takes its settings from the environment of `lockstep submit` and from pip.conf: PIP_INDEX_URL, "
        "PIP_FIND_LINKS, HTTPS_PROXY …");
  }

  std::optional<Error> build_with_conda() {
    const PythonDefinition& python = plan_.environment.python;
    // A JSON string is one of YAML as well.
    const auto line = [](int indent, const std::string& word) {
      return std::string(indent, ' ') + "- " + Json(word).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    };
    std::string text;
    if (!python.channels.empty()) text += "channels:\n";
    for (const std::string& channel : python.channels) text += line(2, channel);
    text += "dependencies:\n" + line(2, python.version.empty() ? "python" : "python=" + python.version);
    std::sort(conda_.begin(), conda_.end());
    for (const std::string& package : conda_) text += line(2, package);
    if (!pip_.empty()) text += line(2, "pip") + "  - pip:\n";
    for (const std::string& package : pip_) text += line(4, package);
    place("conda", text);
    const fs::path prefix = plan_.build.directory / "conda", file = plan_.build.directory / "conda.yml";
    plan_.build.files["conda.yml"] = text;
    use(prefix);
    plan_.variables.emplace("CONDA_PREFIX", prefix.string());
    Words argv{tools_.conda};
    if (fs::path(tools_.conda).filename() == "micromamba")
      argv.insert(argv.end(), {"create", "--yes"});
    else
      argv.insert(argv.end(), {"env", "create"});
    argv.insert(argv.end(), {"--prefix", prefix.string(), "--file", file.string()});
    return add_step(fs::path(tools_.conda).filename().string() + " create", argv,
                    "conda takes its settings from ~/.condarc");
  }

  EnvironmentPlan plan_;
  const EnvironmentTools& tools_;
  const fs::path built_;
  Words pip_, conda_;
};

}  // namespace

bool EnvironmentPlan::needs_preparation() const {
  return !build.directory.empty() || !modulecmd.empty() || !inspected.empty();
}

Result<EnvironmentPlan> plan_environment(const Environment& environment, const fs::path& root,
                                         const EnvironmentTools& tools) {
  return Planner(environment, root, tools).plan();
}

Result<LaunchPlan> in_environment(LaunchPlan launch, const EnvironmentPlan& plan, bool use_gpu, const Words& binds) {
  for (const auto& [name, value] : plan.variables) launch.environment.emplace(name, value);
  for (const auto& [name, folders] : plan.prepended) {
    std::string& before = launch.prepended[name];
    before = before.empty() ? folders : folders + ":" + before;
  }
  if (plan.container.empty()) return launch;
  Container container{.program = plan.container,
                      .image = plan.environment.image,
                      .shm_size = plan.environment.shm_size,
                      .binds = {"$LOCKSTEP_RUN_DIR"},
                      .directory = "$LOCKSTEP_RUN_DIR/" + launch.work_directory,
                      .gpu = use_gpu};
  if (!plan.build.directory.empty()) container.binds.push_back(plan.build.directory.string());
  container.binds.insert(container.binds.end(), binds.begin(), binds.end());
  auto wrapped = container_command(container, launch.rank_argv);
  if (!wrapped) return wrapped.error();
  launch.launch_argv.resize(launch.launch_argv.size() - launch.rank_argv.size());
  launch.launch_argv.insert(launch.launch_argv.end(), wrapped->begin(), wrapped->end());
  launch.rank_argv = std::move(wrapped).value();
  return launch;
}

std::string describe(const EnvironmentPlan& plan) {
  const Environment& environment = plan.environment;
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (!plan.build.directory.empty())
    add("built in " + plan.build.directory.string());
  else if (!environment.python.interpreter.empty())
    add("as it is: " + environment.python.interpreter);
  if (!environment.modules.empty()) add("modules " + joined(environment.modules, " "));
  if (!environment.image.empty()) add("in a container of " + environment.image);
  if (text.empty()) return {};
  text = "software      " + text + "\n";
  for (const BuildStep& step : plan.build.steps) text += "  " + quote_words(step.argv) + "\n";
  return text;
}

Json to_json(const EnvironmentPlan& plan) {
  Json json{{"environment", to_json(plan.environment)}};
  if (!plan.build.directory.empty()) json["build"] = to_json(plan.build);
  json["modulecmd"] = plan.modulecmd;
  json["python"] = plan.python;
  json["inspected"] = plan.inspected;
  json["container"] = plan.container;
  json["prepended"] = plan.prepended;
  json["variables"] = plan.variables;
  json["notices"] = plan.notices;
  return json;
}

EnvironmentPlan environment_plan_from_json(const Json& json) try {
  EnvironmentPlan plan;
  plan.environment = environment_from_json(json.at("environment"));
  if (const auto build = json.find("build"); build != json.end()) plan.build = build_plan_from_json(*build);
  plan.modulecmd = json.value("modulecmd", "");
  plan.python = json.value("python", "");
  plan.inspected = json.value("inspected", "");
  plan.container = json.value("container", "");
  plan.prepended = json.value("prepended", plan.prepended);
  plan.variables = json.value("variables", plan.variables);
  plan.notices = json.value("notices", plan.notices);
  return plan;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not a plan of an environment: ") + e.what());
}

}  // namespace lockstep
