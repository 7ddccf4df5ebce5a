// conda's environment.yml: the part of YAML that such files are written in, and no more.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/options.h"

namespace lockstep {

struct CondaFile {
  std::string name;
  std::vector<std::string> channels;
  std::vector<std::string> conda;  // as written, without python and pip
  std::vector<std::string> pip;    // the lines below "- pip:"
  std::string python_version;      // of "python=3.6.2"; "" when none is given
  KeyValues variables;
  std::vector<std::string> notices;  // for people: what was left out
};

// Mappings, lists ("- item" or "[a, b]"), plain and quoted words, comments. Usage error with file:line for everything
// else (anchors, tags, blocks of text, several documents, tabs, nesting deeper than dependencies/pip), for keys given
// twice and for dependencies that are no package. prefix and keys that conda ignores become a notice.
Result<CondaFile> parse_conda_file(std::string_view text, std::string_view file_name);

// One entry of a list of conda packages, put where it belongs: "python=3.6" sets python_version, "pip" is left out.
// Returns "" or what is wrong with it.
std::string add_conda_package(CondaFile& file, std::string_view package);

// "conda-forge::scikit-learn=0.24" -> "scikit-learn"
std::string conda_package_name(std::string_view package);

// The same package for pip: "numpy=1.21" -> "numpy==1.21.*", "pytorch" -> "torch". "" when pip has none (cudatoolkit,
// mkl, compilers).
std::string pip_form(std::string_view conda_package);

}  // namespace lockstep
