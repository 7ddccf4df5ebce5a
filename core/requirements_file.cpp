#include "lockstep/core/requirements_file.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 1 << 20;
constexpr int kMostDepth = 10;

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\f\v");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\f\v") + 1 - begin));
}

// A # that begins the line or follows a blank, as pip has it: one within an address stays.
std::string without_comment(std::string_view line) {
  for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1))
    if (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t') return std::string(line.substr(0, at));
  return std::string(line);
}

// "-rfile", "-r file", "--requirement=file": the file.
std::optional<std::string> file_option(const std::string& line, std::string_view letter, std::string_view word) {
  for (const std::string_view option : {letter, word}) {
    if (line.rfind(option, 0) != 0) continue;
    std::string_view rest = std::string_view(line).substr(option.size());
    if (option == word && !rest.empty() && rest.front() != '=' && rest.front() != ' ') continue;
    if (!rest.empty() && rest.front() == '=') rest.remove_prefix(1);
    return trimmed(rest);
  }
  return {};
}

bool is_path(std::string_view text) {
  if (text.find("://") != std::string_view::npos) return false;
  return text.starts_with(".") || text.starts_with("file:") || text.starts_with("~") ||
         (text.find('/') != std::string_view::npos && text.front() != '/' && text.find('@') == std::string_view::npos);
}

class Reader {
 public:
  explicit Reader(fs::path folder) : folder_(std::move(folder)) {}

  std::optional<Error> read(const fs::path& file, int depth) {
    std::error_code error;
    const fs::path real = fs::canonical(file, error);
    if (error || !fs::is_regular_file(real, error))
      return Error{ErrorKind::usage, "there is no requirements file " + file.string(), {}, {}};
    const fs::path inside = real.lexically_relative(folder_);
    if (inside.empty() || *inside.begin() == "..")
      return Error{ErrorKind::usage,
                   file.string() + " lies outside " + folder_.string(),
                   {},
                   "copy it beside the file that names it"};
    if (depth > kMostDepth)
      return Error{ErrorKind::usage, "requirements files include each other: " + file.string(), {}, {}};
    std::string text;
    try {
      text = read_file(real, kMostBytes);
    } catch (const Failure& failure) {
      return Error{ErrorKind::usage, failure.error().what, failure.error().where, failure.error().hint};
    }
    if (text.find('\0') != std::string::npos) return Error{ErrorKind::usage, file.string() + " is no text", {}, {}};
    return read_lines(text, real, depth);
  }

  std::vector<std::string> lines;

 private:
  std::optional<Error> read_lines(const std::string& text, const fs::path& file, int depth) {
    int number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      ++number;
      const std::string where = file.filename().string() + ":" + std::to_string(number);
      std::string line = next_line(text, begin);
      // As pip: a comment ends a line even where a \ follows it; the joined line is looked at again.
      while (line.ends_with('\\') && begin < text.size() && trimmed(without_comment(line)) != "") {
        line.pop_back();
        line += next_line(text, begin);
        ++number;
      }
      if (line.ends_with('\\')) line.pop_back();
      line = trimmed(without_comment(line));
      if (line.empty()) continue;
      if (auto error = take(line, where, file, depth)) return error;
    }
    return {};
  }

  static std::string next_line(const std::string& text, std::size_t& begin) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }

  std::optional<Error> take(const std::string& line, const std::string& where, const fs::path& file, int depth) {
    if (const auto other = file_option(line, "-r", "--requirement")) {
      if (other->find("://") != std::string::npos)
        return Error{ErrorKind::usage, "a requirements file at an address cannot be part of a definition: " + *other,
                     where, "write its lines here"};
      auto error = read(file.parent_path() / *other, depth + 1);
      if (error && error->where.empty()) error->where = where;
      return error;
    }
    if (file_option(line, "-c", "--constraint"))
      return Error{ErrorKind::usage, "a constraints file is not supported: " + line, where,
                   "write the versions beside the names"};
    const auto editable = file_option(line, "-e", "--editable");
    const std::string subject = editable ? *editable : line;
    if (is_path(subject))
      return Error{ErrorKind::usage, "\"" + line + "\" is a path: what lies there would not be part of the environment",
                   where,
                   "put the module into the source directory, or give an address or the path of a built wheel "
                   "that begins with /"};
    if (line.front() != '-')
      if (const std::string problem = requirement_problem(line); !problem.empty())
        return Error{ErrorKind::usage, "\"" + line + "\" " + problem, where, "for example: torch==2.1.0"};
    lines.push_back(line);
    return {};
  }

  fs::path folder_;
};

bool is_name_letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.'; }

}  // namespace

Result<std::vector<std::string>> read_requirements(const fs::path& file) {
  std::error_code error;
  const fs::path real = fs::canonical(file, error);
  if (error) return Error{ErrorKind::usage, "there is no requirements file " + file.string(), {}, {}};
  Reader reader(real.parent_path());
  if (auto problem = reader.read(real, 0)) return *problem;
  return std::move(reader.lines);
}

std::string package_name(std::string_view requirement) {
  std::string name;
  if (requirement.starts_with('-')) return name;
  for (const char c : requirement) {
    if (!is_name_letter(c)) break;
    const bool joint = c == '-' || c == '_' || c == '.';
    if (joint && name.ends_with('-')) continue;
    name += joint ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  while (name.ends_with('-')) name.pop_back();
  return name;
}

std::string requirement_problem(std::string_view requirement) {
  if (requirement.empty()) return "is empty";
  for (const char c : requirement)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
  if (requirement.front() == '-') return "is an option of pip, not a package";
  if (requirement.front() == '/' || requirement.find("://") != std::string_view::npos) return {};
  if (!std::isalnum(static_cast<unsigned char>(requirement.front()))) return "does not begin with a package's name";
  std::size_t at = 0;
  while (at < requirement.size() && is_name_letter(requirement[at])) ++at;
  const auto skip = [&] {
    while (at < requirement.size() && requirement[at] == ' ') ++at;
  };
  skip();
  if (at < requirement.size() && requirement[at] == '[') {
    at = requirement.find(']', at);
    if (at == std::string_view::npos) return "has a [ without its ]";
    ++at;
    skip();
  }
  if (at == requirement.size() || std::string_view("=<>!~;@(").find(requirement[at]) != std::string_view::npos) {
    if (at < requirement.size() && requirement[at] == '=' && requirement.substr(at, 2) != "==")
      return "has a single =, which conda reads and pip does not: write ==";
    return {};
  }
  return "has \"" + std::string(requirement.substr(at, 10)) + "\" where pip expects a version";
}

}  // namespace lockstep
