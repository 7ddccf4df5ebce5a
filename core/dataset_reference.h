// How an estimator names a data set: in its inputs, and in the parameters of its program.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/estimator.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

// mount: the registered place itself. download: a copy on the node's own disk, verified, made once and shared by runs.
// direct: the registered place, not even looked at before the program starts.
enum class DatasetMode { mount, download, direct };
std::string_view mode_name(DatasetMode mode);

struct DatasetReference {
  std::string name;  // of the data set
  std::optional<int> version;
  DatasetMode mode = DatasetMode::mount;
  std::string input;         // name of the input; "": named after the data set
  std::filesystem::path to;  // where the program finds it, below its working directory; "": where it lies

  std::string text() const;  // "mnist@2:download:to=data", which parses to the same
};

inline constexpr std::string_view kDatasetPrefix = "dataset:";
inline constexpr std::string_view kInputPrefix = "input:";

// "NAME[@VERSION][:mount|:download|:direct][:as=INPUT][:to=PATH]", with or without "dataset:" before it. Usage error
// for anything else, with the forms there are.
Result<DatasetReference> parse_dataset_reference(std::string_view text);

// The name of an input made from a data set's name: '-' and '.' become '_'.
std::string input_name(const DatasetReference& reference);
// "LOCKSTEP_INPUT_mnist": the variable that holds the path of the input "mnist" on the node.
std::string input_variable(std::string_view input);
// Letters, digits and _, not beginning with a digit.
bool is_variable_name(std::string_view name);

// Where a word of a command line names a data set or an input: the whole word, or what follows the "=" of a flag
// (--data=dataset:mnist). npos: nowhere.
std::size_t reference_position(std::string_view word);

// All inputs of an estimator: those it names, then one for each data set that its parameters or its command name,
// every name once. Usage error for a reference that cannot be read, and for one name that means two data sets; `where`
// names the field.
struct NamedInput {
  std::string name;
  DatasetReference reference;
  std::string field;  // that named it first
};
Result<std::vector<NamedInput>> inputs_of(const Estimator& estimator);

// The estimator with a version in every reference that has none: that of `versions`, by the data set's name.
Estimator with_versions(Estimator estimator, const std::map<std::string, int>& versions);

// Azure ML's way to write such a text, for C++:
//   {"--data", Dataset::get(workspace, "mnist").as_named_input("digits").as_mount()}
class Dataset {
 public:
  class Input {
   public:
    std::string as_mount(const std::filesystem::path& to = {}) const { return text(DatasetMode::mount, to); }
    std::string as_download(const std::filesystem::path& to = {}) const { return text(DatasetMode::download, to); }
    std::string as_direct() const { return text(DatasetMode::direct, {}); }

   private:
    friend class Dataset;
    std::string text(DatasetMode mode, const std::filesystem::path& to) const;
    DatasetReference reference_;
  };

  // The newest version, or the one named. Throws Failure(usage) when there is none.
  static Dataset get(const Workspace& workspace, const std::string& name, std::optional<int> version = {});
  Input as_named_input(std::string name) const;

  const std::string& name() const { return name_; }
  int version() const { return version_; }

 private:
  std::string name_;
  int version_ = 0;
};

}  // namespace lockstep
