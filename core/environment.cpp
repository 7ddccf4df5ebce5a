#include "lockstep/core/environment.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "lockstep/core/conda_file.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/python_program.h"
#include "lockstep/core/requirements_file.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/words.h"
#include "lockstep/core/workspace.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

constexpr int kFormat = 1;

Error usage(std::string field, std::string what, std::string hint = {}) {
  return {ErrorKind::usage, std::move(what), std::move(field), std::move(hint)};
}

bool is_variable_name(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name.front()))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return (std::isalnum(c) && c < 0x80) || c == '_'; });
}

bool has_only(std::string_view text, std::string_view others) {
  return std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return (c < 0x80 && std::isalnum(c)) || others.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

void check_packages(const PythonDefinition& python, std::vector<Error>& errors) {
  for (const std::string& line : python.pip)
    if (!line.starts_with('-'))
      if (const std::string problem = requirement_problem(line); !problem.empty())
        errors.push_back(usage("pip_packages", "\"" + line + "\" " + problem, "for example: torch==2.1.0"));
  CondaFile scratch;
  for (const std::string& package : python.conda)
    if (const std::string problem = add_conda_package(scratch, package); !problem.empty())
      errors.push_back(usage("conda_packages", "\"" + package + "\" " + problem, "for example: numpy=1.21"));
  const bool packages = !python.pip.empty() || !python.conda.empty() || !python.version.empty();
  if (!python.interpreter.empty() && packages)
    errors.push_back(usage("python",
                           "packages are asked for, and a Python that its user looks after: " + python.interpreter,
                           "install them there yourself, or leave out python: Lockstep then builds an environment"));
  if (!has_only(python.version, "."))
    errors.push_back(
        usage("conda_packages", "\"" + python.version + "\" is no version of Python", "for example: 3.10"));
}

Words strings(const Json& json, const char* key) { return json.value(key, Words{}); }

Json without_empty(Json json) {
  for (auto at = json.begin(); at != json.end();) at = at->empty() || *at == "" ? json.erase(at) : std::next(at);
  return json;
}

Json definition(const Environment& environment) {
  const PythonDefinition& python = environment.python;
  Json json = Json::object();
  json["python"] = without_empty({{"interpreter", python.interpreter},
                                  {"present", python.present},
                                  {"version", python.version},
                                  {"pip", python.pip},
                                  {"conda", python.conda},
                                  {"channels", python.channels}});
  json["modules"] = environment.modules;
  json["variables"] = environment.variables;
  json["image"] = environment.image;
  json["shm_size"] = environment.shm_size;
  const CMakeDefinition &cmake = environment.cmake, usual;
  Json build = Json::object();
  if (!cmake.arguments.empty()) build["arguments"] = cmake.arguments;
  if (cmake.build_type != usual.build_type) build["build_type"] = cmake.build_type;
  if (!cmake.target.empty()) build["target"] = cmake.target;
  json["cmake"] = build;
  json = without_empty(std::move(json));
  if (environment.strict) json["strict"] = true;
  return json;
}

std::string without_blanks(const std::string& text) {
  std::string result;
  for (const char c : text)
    if (c != ' ' && c != '\t') result += c;
  return result;
}

// Options of pip keep their places before the packages; the order of packages means nothing.
Words canonical(const Words& packages) {
  Words options, names;
  for (const std::string& line : packages)
    line.starts_with('-') ? options.push_back(line) : names.push_back(without_blanks(line));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  options.insert(options.end(), names.begin(), names.end());
  return options;
}

Environment named(std::string name) {
  Environment environment;
  environment.name = std::move(name);
  return environment;
}

std::optional<Error> check_name(const std::string& name) {
  if (name.empty() || is_valid_name(name)) return {};
  return usage({}, "\"" + name + "\" cannot name an environment",
               "use letters, digits and . _ -, beginning with a letter or digit, at most 128");
}

}  // namespace

Result<Environment> Environment::from_pip_requirements(std::string name, const fs::path& file, Words*) {
  if (auto bad = check_name(name)) return *bad;
  auto lines = read_requirements(file);
  if (!lines) return lines.error();
  Environment environment = named(std::move(name));
  environment.python.pip = std::move(lines).value();
  return environment;
}

Result<Environment> Environment::from_conda_specification(std::string name, const fs::path& file, Words* notices) {
  if (auto bad = check_name(name)) return *bad;
  std::string text;
  try {
    text = read_file(file, 1 << 20);
  } catch (const Failure& failure) {
    return Error{ErrorKind::usage, failure.error().what, {}, failure.error().hint};
  }
  auto parsed = parse_conda_file(text, file.filename().string());
  if (!parsed) return parsed.error();
  Environment environment = named(std::move(name));
  environment.python.version = parsed->python_version;
  environment.python.conda = parsed->conda;
  environment.python.pip = parsed->pip;
  environment.python.channels = parsed->channels;
  environment.variables = parsed->variables;
  for (const std::string& line : environment.python.pip)
    if (line.starts_with("-r") || line.starts_with("--requirement"))
      return Error{ErrorKind::usage, "\"" + line + "\": a requirements file within a conda file is not followed",
                   file.filename().string(), "write its lines below \"- pip:\""};
  if (notices) {
    for (const std::string& notice : parsed->notices) notices->push_back(file.filename().string() + ": " + notice);
    if (parsed->python_version.empty())
      notices->push_back(file.filename().string() + " asks for no version of python: the one of this machine is taken");
  }
  if (auto errors = validate(environment); !errors.empty()) {
    errors.front().where = file.filename().string();
    return errors.front();
  }
  return environment;
}

Result<Environment> Environment::from_existing(std::string name, const std::string& where) {
  if (auto bad = check_name(name)) return *bad;
  const auto python = find_python(where);
  if (!python) return python.error();
  const auto facts = inspect_python(*python, true);
  if (!facts) return facts.error();
  Environment environment = named(std::move(name));
  environment.python.interpreter = *python;
  for (const auto& [package, version] : facts->packages) environment.python.present.push_back(package + "==" + version);
  std::sort(environment.python.present.begin(), environment.python.present.end());
  return environment;
}

Result<Environment> Environment::from_docker_image(std::string name, const std::string& image) {
  if (auto bad = check_name(name)) return *bad;
  Environment environment = named(std::move(name));
  environment.image = image;
  if (image.empty()) return usage("custom_docker_image", "an image has no name");
  if (const auto errors = validate(environment); !errors.empty()) return errors.front();
  return environment;
}

Result<Environment> Environment::load_from_directory(const fs::path& directory) {
  const fs::path file = directory / "environment.json";
  try {
    return environment_from_json(Json::parse(read_file(file, 1 << 20)));
  } catch (const Json::exception&) {
    return Error{ErrorKind::usage, file.string() + " is no JSON", {}, {}};
  } catch (const Failure& failure) {
    return Error{ErrorKind::usage, failure.error().what, file.string(), failure.error().hint};
  }
}

void Environment::save_to_directory(const fs::path& directory) const {
  make_directories(directory);
  publish_file(directory / "environment.json", to_json(*this).dump(2) + "\n");
}

Environment Environment::clone(std::string new_name) const {
  Environment copy = *this;
  copy.name = std::move(new_name);
  copy.version = 0;
  return copy;
}

std::string Environment::hash() const {
  Environment form = *this;
  form.python.pip = canonical(python.pip);
  form.python.conda = canonical(python.conda);
  std::sort(form.variables.begin(), form.variables.end());
  return sha256(definition(form).dump(-1, ' ', false, Json::error_handler_t::replace));
}

bool Environment::is_empty() const { return definition(*this).empty(); }

std::vector<Error> validate(const Environment& environment) {
  std::vector<Error> errors;
  check_packages(environment.python, errors);
  for (const std::string& module : environment.modules)
    if (module.empty() || module.front() == '-' || !has_only(module, "._-+/:"))
      errors.push_back(usage("modules", "\"" + module + "\" cannot name a module", "for example: gcc/12.2"));
  for (const auto& [name, value] : environment.variables) {
    if (!is_variable_name(name))
      errors.push_back(usage("environment_variables", "\"" + name + "\" cannot name an environment variable",
                             "use letters, digits and _, not beginning with a digit"));
    if (is_secret_name(name))
      errors.push_back(usage("environment_variables",
                             "variable " + name +
                                 " looks like a secret and would be kept with the "
                                 "environment",
                             "give it with each submit: --environment-variables " + name));
  }
  const std::string& image = environment.image;
  if (!image.empty() && (!has_only(image, "._-/:@") || !std::isalnum(static_cast<unsigned char>(image.front()))) &&
      !(image.front() == '/' && has_only(image, "._-/+ ")))
    errors.push_back(usage("custom_docker_image", "\"" + image + "\" does not name an image",
                           "for example: docker.io/library/python:3.12, or the path of a .sif file"));
  const std::string& shm = environment.shm_size;
  const std::size_t digits = std::min(shm.find_first_not_of("0123456789"), shm.size());
  if (!shm.empty() && (digits == 0 || (digits < shm.size() &&
                                       (digits + 1 < shm.size() ||
                                        std::string_view("bkmgBKMG").find(shm[digits]) == std::string_view::npos))))
    errors.push_back(usage("shm_size", "\"" + shm + "\" is no size", "for example: 2g, 512m"));
  if (!shm.empty() && image.empty())
    errors.push_back(usage("shm_size", "shm_size is " + shm + ", and there is no container that it could be given to",
                           "give custom_docker_image as well, or leave it out"));
  return errors;
}

Json to_json(const Environment& environment) {
  Json json{{"format", kFormat}};
  if (!environment.name.empty()) json["name"] = environment.name;
  if (environment.version > 0) json["version"] = environment.version;
  if (!environment.description.empty()) json["description"] = environment.description;
  json["hash"] = environment.hash();
  json["definition"] = definition(environment);
  return json;
}

Environment environment_from_json(const Json& json) try {
  if (json.value("format", kFormat) > kFormat)
    fail(ErrorKind::usage,
         "this environment was made by a newer Lockstep (format " + std::to_string(json.value("format", 0)) + ")",
         "use that one");
  Environment environment;
  environment.name = json.value("name", "");
  environment.version = json.value("version", 0);
  environment.description = json.value("description", "");
  const Json definition = json.at("definition");
  const Json python = definition.value("python", Json::object());
  environment.python.interpreter = python.value("interpreter", "");
  environment.python.present = strings(python, "present");
  environment.python.version = python.value("version", "");
  environment.python.pip = strings(python, "pip");
  environment.python.conda = strings(python, "conda");
  environment.python.channels = strings(python, "channels");
  environment.modules = strings(definition, "modules");
  environment.variables = definition.value("variables", KeyValues{});
  environment.image = definition.value("image", "");
  environment.shm_size = definition.value("shm_size", "");
  environment.strict = definition.value("strict", false);
  const Json cmake = definition.value("cmake", Json::object());
  environment.cmake.arguments = strings(cmake, "arguments");
  environment.cmake.build_type = cmake.value("build_type", environment.cmake.build_type);
  environment.cmake.target = cmake.value("target", "");
  return environment;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not an environment: ") + e.what());
}

}  // namespace lockstep
