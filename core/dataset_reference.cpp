#include "lockstep/core/dataset_reference.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/words.h"
#include "lockstep/core/workspace.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kModes{"mount", "download", "direct"};
constexpr const char* kForms =
    "write NAME, NAME@VERSION or NAME:download; modes are :mount, :download and :direct, and :to=PATH says where below "
    "the working directory";

Error unreadable(std::string_view text, const std::string& why) {
  return {ErrorKind::usage, "\"" + std::string(text) + "\" names no data set: " + why, {}, kForms};
}

// A path that stays below the working directory, and is not that itself.
bool stays_inside(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return path.is_relative() && !normal.empty() && normal != "." && *normal.begin() != "..";
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), rest_(text) {
    if (rest_.starts_with(kDatasetPrefix)) rest_.remove_prefix(kDatasetPrefix.size());
  }

  Result<DatasetReference> read() {
    std::string problem = read_name(next());
    while (problem.empty() && at_part_) problem = rest_.starts_with("to=") ? read_to() : read_part(next());
    if (!problem.empty()) return unreadable(text_, problem);
    return std::move(reference_);
  }

 private:
  // What stands before the next colon.
  std::string next() {
    const auto colon = rest_.find(':');
    std::string part(rest_.substr(0, colon));
    at_part_ = colon != std::string_view::npos;
    rest_.remove_prefix(at_part_ ? colon + 1 : rest_.size());
    return part;
  }

  std::string read_name(const std::string& part) {
    const auto at = part.find('@');
    reference_.name = part.substr(0, at);
    if (!is_valid_name(reference_.name)) return "\"" + reference_.name + "\" cannot be the name of one";
    if (at == std::string::npos) return {};
    const std::string_view version = std::string_view(part).substr(at + 1);
    int number = 0;
    const auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), number);
    if (error != std::errc() || end != version.data() + version.size() || number < 1)
      return "the version \"" + std::string(version) + "\" is no number from 1";
    reference_.version = number;
    return {};
  }

  std::string read_part(const std::string& part) {
    if (part.starts_with("as=")) {
      reference_.input = part.substr(3);
      return is_variable_name(reference_.input) ? "" : "\"" + reference_.input + "\" cannot name an input";
    }
    const auto mode = std::find(kModes.begin(), kModes.end(), part);
    if (mode == kModes.end())
      return "\"" + part + "\" is no mode" + suggestion(part, std::vector<std::string>(kModes.begin(), kModes.end()));
    reference_.mode = static_cast<DatasetMode>(mode - kModes.begin());
    return {};
  }

  // A path may hold colons: it is the last part.
  std::string read_to() {
    reference_.to = fs::path(rest_.substr(3));
    at_part_ = false;
    if (!stays_inside(reference_.to))
      return "to=" + reference_.to.string() + " leads out of the working directory, or is that itself";
    return {};
  }

  std::string_view text_, rest_;
  bool at_part_ = false;  // a further part follows
  DatasetReference reference_;
};

class Inputs {
 public:
  Result<std::vector<NamedInput>> collect(const Estimator& estimator) {
    for (const auto& [name, text] : estimator.inputs) add(name, text, "inputs");
    for (const auto& [name, value] : estimator.script_params) {
      look_at(name, "script_params");
      look_at(value, "script_params");
    }
    if (const auto words = split_words(estimator.command))
      for (const std::string& word : *words) look_at(word, "command");
    if (error_.what.empty()) return std::move(inputs_);
    return error_;
  }

 private:
  void look_at(const std::string& word, const std::string& field) {
    const std::size_t at = reference_position(word);
    if (at == std::string::npos) return;
    const std::string text = word.substr(at);
    if (text.starts_with(kDatasetPrefix)) return add({}, text, field);
    const std::string name = text.substr(kInputPrefix.size());
    std::vector<std::string> names;
    for (const NamedInput& input : inputs_) names.push_back(input.name);
    if (std::find(names.begin(), names.end(), name) == names.end())
      refuse({ErrorKind::usage, "there is no input \"" + name + "\"" + (names.empty() ? "" : suggestion(name, names)),
              field, "inputs name data sets: inputs = " + (is_variable_name(name) ? name : "NAME") + "=DATASET"});
  }

  // name: "" where the reference says it, or the data set's own.
  void add(const std::string& given, const std::string& text, const std::string& field) {
    const auto parsed = parse_dataset_reference(text);
    if (!parsed) return refuse({ErrorKind::usage, parsed.error().what, field, parsed.error().hint});
    DatasetReference reference = *parsed;
    if (!given.empty()) reference.input = given;
    const std::string name = input_name(reference);
    if (!is_variable_name(name))
      return refuse({ErrorKind::usage, "\"" + name + "\" cannot name an input", field,
                     field == "inputs"
                         ? "use letters, digits and _, not beginning with a digit: it names a variable too"
                         : "give it a name: " + text + ":as=NAME"});
    const auto same = std::find_if(inputs_.begin(), inputs_.end(), [&](const NamedInput& i) { return i.name == name; });
    reference.input.clear();
    if (same == inputs_.end()) return inputs_.push_back({name, reference, field});
    // Where one of them names a version, that is meant by both.
    DatasetReference& known = same->reference;
    if (!known.version) known.version = reference.version;
    if (!reference.version) reference.version = known.version;
    if (known.text() == reference.text()) return;
    refuse({ErrorKind::usage,
            "the input " + name + " is two data sets: " + same->reference.text() + " (" + same->field + ") and " +
                reference.text(),
            field, "give one of them another name: dataset:" + reference.text() + ":as=NAME"});
  }

  void refuse(Error error) {
    if (error_.what.empty()) error_ = std::move(error);
  }

  std::vector<NamedInput> inputs_;
  Error error_;
};

// "dataset:mnist:mount" -> "dataset:mnist@3"; unchanged where there is nothing to add.
std::string versioned(const std::string& text, const std::map<std::string, int>& versions) {
  const auto parsed = parse_dataset_reference(text);
  if (!parsed || parsed->version || !versions.contains(parsed->name)) return text;
  DatasetReference reference = *parsed;
  reference.version = versions.at(reference.name);
  return (text.starts_with(kDatasetPrefix) ? std::string(kDatasetPrefix) : "") + reference.text();
}

void add_version(std::string& word, const std::map<std::string, int>& versions) {
  const std::size_t at = reference_position(word);
  if (at != std::string::npos && word.compare(at, kDatasetPrefix.size(), kDatasetPrefix) == 0)
    word = word.substr(0, at) + versioned(word.substr(at), versions);
}

// Of a command the text stays as it was typed: quotes and variables mean something there.
void add_version_in(std::string& command, const std::string& reference, const std::string& replacement) {
  for (std::size_t at = command.find(reference); at != std::string::npos; at = command.find(reference, at)) {
    const std::size_t end = at + reference.size();
    const bool whole = end == command.size() || std::string_view(" \t\n'\"").find(command[end]) != std::string::npos;
    if (whole) command.replace(at, reference.size(), replacement);
    at += whole ? replacement.size() : reference.size();
  }
}

}  // namespace

std::string_view mode_name(DatasetMode mode) { return kModes[static_cast<std::size_t>(mode)]; }

std::string DatasetReference::text() const {
  std::string result = name;
  if (version) result += "@" + std::to_string(*version);
  if (mode != DatasetMode::mount) result += ":" + std::string(mode_name(mode));
  if (!input.empty()) result += ":as=" + input;
  if (!to.empty()) result += ":to=" + to.string();
  return result;
}

Result<DatasetReference> parse_dataset_reference(std::string_view text) { return Reader(text).read(); }

std::string input_name(const DatasetReference& reference) {
  if (!reference.input.empty()) return reference.input;
  std::string name = reference.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}

std::string input_variable(std::string_view input) { return contract::kInput + std::string(input); }

bool is_variable_name(std::string_view name) {
  const auto sound = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.end(), sound);
}

std::size_t reference_position(std::string_view word) {
  const auto begins = [](std::string_view text) {
    return text.starts_with(kDatasetPrefix) || text.starts_with(kInputPrefix);
  };
  if (begins(word)) return 0;
  const std::size_t equals = word.find('=');
  const bool flag = word.starts_with('-') && equals != std::string_view::npos && begins(word.substr(equals + 1));
  return flag ? equals + 1 : std::string_view::npos;
}

Result<std::vector<NamedInput>> inputs_of(const Estimator& estimator) { return Inputs().collect(estimator); }

Estimator with_versions(Estimator estimator, const std::map<std::string, int>& versions) {
  for (auto& [name, reference] : estimator.inputs) reference = versioned(reference, versions);
  for (auto& [name, value] : estimator.script_params) {
    add_version(name, versions);
    add_version(value, versions);
  }
  if (const auto words = split_words(estimator.command))
    for (const std::string& word : *words)
      if (const std::size_t at = reference_position(word); at != std::string::npos)
        add_version_in(estimator.command, word.substr(at), versioned(word.substr(at), versions));
  return estimator;
}

Dataset Dataset::get(const Workspace& workspace, const std::string& name, std::optional<int> version) {
  const DatasetRecord record = find_dataset(workspace, version ? name + "@" + std::to_string(*version) : name).value();
  Dataset dataset;
  dataset.name_ = record.name;
  dataset.version_ = record.version;
  return dataset;
}

Dataset::Input Dataset::as_named_input(std::string name) const {
  if (!is_variable_name(name))
    fail(ErrorKind::usage, "\"" + name + "\" cannot name an input",
         "use letters, digits and _, not beginning with a digit: it names a variable too");
  Input input;
  input.reference_.name = name_;
  input.reference_.version = version_;
  input.reference_.input = std::move(name);
  return input;
}

std::string Dataset::Input::text(DatasetMode mode, const fs::path& to) const {
  DatasetReference reference = reference_;
  reference.mode = mode;
  reference.to = to;
  return std::string(kDatasetPrefix) + reference.text();
}

}  // namespace lockstep
