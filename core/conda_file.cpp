#include "lockstep/core/conda_file.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

namespace lockstep {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;

struct Line {
  int number = 0;
  int indent = 0;
  std::string text;  // without indent, comment and blanks at the end
};

struct Problem {
  int line;
  std::string what;
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

// Up to a # that begins the line or follows a blank and does not stand in quotation marks.
std::string_view without_comment(std::string_view line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if ((c == '"' || c == '\'') &&
               (i == 0 || std::string_view(" :[,-").find(line[i - 1]) != std::string_view::npos)) {
      quote = c;
    } else if (c == '#' && (i == 0 || line[i - 1] == ' ')) {
      return line.substr(0, i);
    }
  }
  return line;
}

std::vector<Line> split_lines(std::string_view text) {
  std::vector<Line> lines;
  int number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view raw = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (number == 1 && raw.starts_with("\xEF\xBB\xBF")) raw.remove_prefix(3);
    if (raw.ends_with('\r')) raw.remove_suffix(1);
    const std::size_t indent = std::min(raw.find_first_not_of(' '), raw.size());
    if (raw.substr(indent).starts_with('\t') && !trimmed(without_comment(raw)).empty() &&
        raw.find_first_not_of(" \t") != std::string_view::npos)
      throw Problem{number, "is indented by a tab, which YAML does not allow: use blanks"};
    const std::string_view content = trimmed(without_comment(raw.substr(indent)));
    for (const char c : content)
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t') throw Problem{number, "holds a control character"};
    if (content.empty()) continue;
    if (content == "---" && lines.empty()) continue;
    if (content == "---" || content == "...") throw Problem{number, "begins another document: a file holds one"};
    lines.push_back({number, static_cast<int>(indent), std::string(content)});
  }
  return lines;
}

std::string unquoted_double(std::string_view text, int line) {
  std::string word;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') throw Problem{line, "has a \" within quotation marks: write \\\""};
    if (text[i] != '\\') {
      word += text[i];
      continue;
    }
    if (++i == text.size()) throw Problem{line, "has a quotation that is not closed"};
    if (text[i] == '"' || text[i] == '\\' || text[i] == '/')
      word += text[i];
    else if (text[i] == 'n')
      word += '\n';
    else if (text[i] == 't')
      word += '\t';
    else
      throw Problem{line, std::string("has \\") + text[i] + ", which is not known here"};
  }
  return word;
}

std::string scalar(std::string_view text, int line) {
  text = trimmed(text);
  if (text.empty()) return {};
  const char first = text.front();
  if (first == '"' || first == '\'') {
    if (text.size() < 2 || text.back() != first) throw Problem{line, "has a quotation that is not closed"};
    text = text.substr(1, text.size() - 2);
    if (first == '"') return unquoted_double(text, line);
    std::string word;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\'' && ++i < text.size() && text[i] != '\'') throw Problem{line, "has a ' within '…': write ''"};
      if (i == text.size()) throw Problem{line, "has a quotation that is not closed"};
      word += text[i];
    }
    return word;
  }
  if (std::string_view("&*!|>%@`{").find(first) != std::string_view::npos)
    throw Problem{line, std::string("begins a word with ") + first +
                            ": of YAML only plain and quoted words, lists and mappings are read here"};
  if (first == '[') throw Problem{line, "has a list where one word is expected"};
  if (text.find(": ") != std::string_view::npos || text.ends_with(':'))
    throw Problem{line, "has a mapping where one word is expected"};
  return std::string(text);
}

// "[a, 'b', c]"
std::vector<std::string> flow_list(std::string_view text, int line) {
  if (!text.ends_with(']')) throw Problem{line, "has a [ without its ] on the same line"};
  text = text.substr(1, text.size() - 2);
  std::vector<std::string> words;
  while (!trimmed(text).empty()) {
    text = trimmed(text);
    std::size_t end;
    if (text.front() == '"' || text.front() == '\'') {
      end = text.find(text.front(), 1);
      if (end == std::string_view::npos) throw Problem{line, "has a quotation that is not closed"};
      end = text.find(',', end);
    } else {
      end = text.find(',');
    }
    words.push_back(scalar(text.substr(0, end), line));
    if (words.back().empty()) throw Problem{line, "has an empty word in its list"};
    if (words.back().find_first_of("[]{}") != std::string::npos) throw Problem{line, "has a list within a list"};
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return words;
}

// "key: value" with the place of the colon; a key may be quoted.
std::optional<std::pair<std::string, std::string>> key_value(const Line& line) {
  std::size_t colon;
  if (line.text.front() == '"' || line.text.front() == '\'') {
    const std::size_t end = line.text.find(line.text.front(), 1);
    colon = end == std::string::npos ? end : line.text.find(':', end);
    if (colon != std::string::npos && !trimmed(std::string_view(line.text).substr(end + 1, colon - end - 1)).empty())
      return {};
  } else {
    colon = line.text.find(": ");
    if (colon == std::string::npos && line.text.ends_with(':')) colon = line.text.size() - 1;
  }
  if (colon == std::string::npos || (colon + 1 < line.text.size() && line.text[colon + 1] != ' ')) return {};
  return std::pair(scalar(std::string_view(line.text).substr(0, colon), line.number),
                   std::string(trimmed(std::string_view(line.text).substr(colon + 1))));
}

bool is_item(const Line& line) { return line.text == "-" || line.text.starts_with("- "); }

class Parser {
 public:
  explicit Parser(std::vector<Line> lines) : lines_(std::move(lines)) {}

  CondaFile parse() {
    if (lines_.empty()) throw Problem{1, "says nothing: a list of dependencies is expected"};
    std::set<std::string> seen;
    while (at_ < lines_.size()) {
      const Line& line = lines_[at_];
      if (line.indent != lines_.front().indent)
        throw Problem{line.number, "is indented differently from the lines before it"};
      const auto pair = key_value(line);
      if (!pair || is_item(line)) throw Problem{line.number, "is not \"key: value\""};
      if (!seen.insert(pair->first).second) throw Problem{line.number, "gives " + pair->first + " a second time"};
      ++at_;
      take(pair->first, pair->second, line);
    }
    if (!seen.contains("dependencies")) throw Problem{lines_.front().number, "begins a file without dependencies"};
    return std::move(file_);
  }

 private:
  void take(const std::string& key, const std::string& value, const Line& line) {
    if (key == "name")
      file_.name = scalar(value, line.number);
    else if (key == "channels")
      file_.channels = words(value, line);
    else if (key == "dependencies")
      dependencies(value, line);
    else if (key == "variables")
      variables(value, line);
    else
      skip(key, line);
  }

  void skip(const std::string& key, const Line& line) {
    while (at_ < lines_.size() &&
           (lines_[at_].indent > line.indent || (lines_[at_].indent == line.indent && is_item(lines_[at_]))))
      ++at_;
    file_.notices.push_back("line " + std::to_string(line.number) + ": " + key + " is left out" +
                            (key == "prefix" ? ": Lockstep chooses the place" : ": it is not known"));
  }

  // A list may stand at the key's own indent, as conda itself writes it.
  bool has_item(const Line& key) const {
    return at_ < lines_.size() && is_item(lines_[at_]) && lines_[at_].indent >= key.indent;
  }

  std::vector<std::string> words(const std::string& value, const Line& key) {
    if (value.starts_with('[')) return flow_list(value, key.number);
    if (!value.empty()) throw Problem{key.number, "has one word where a list is expected"};
    std::vector<std::string> list;
    const int indent = has_item(key) ? lines_[at_].indent : 0;
    while (has_item(key)) {
      const Line& line = lines_[at_];
      if (line.indent != indent) throw Problem{line.number, "is indented differently from the items before it"};
      list.push_back(item(line));
      ++at_;
    }
    check_indent(key);
    return list;
  }

  void check_indent(const Line& key) const {
    if (at_ < lines_.size() && lines_[at_].indent > key.indent)
      throw Problem{lines_[at_].number, "belongs to no list: \"- \" is expected at its beginning"};
  }

  static std::string item(const Line& line) {
    const std::string word = scalar(std::string_view(line.text).substr(1), line.number);
    if (word.empty()) throw Problem{line.number, "is an empty item"};
    return word;
  }

  void add_package(const std::string& package, int line) {
    if (const std::string problem = add_conda_package(file_, package); !problem.empty())
      throw Problem{line, "\"" + package + "\" " + problem};
  }

  void dependencies(const std::string& value, const Line& key) {
    if (value.starts_with('[')) {
      for (const std::string& package : flow_list(value, key.number)) add_package(package, key.number);
      return;
    }
    if (!value.empty()) throw Problem{key.number, "has one word where a list is expected"};
    const int indent = has_item(key) ? lines_[at_].indent : 0;
    while (has_item(key)) {
      const Line line = lines_[at_];
      if (line.indent != indent) throw Problem{line.number, "is indented differently from the items before it"};
      // "- pip:" opens a list; its words count as indented by the two letters "- ".
      const std::string_view rest = trimmed(std::string_view(line.text).substr(1));
      const Line inner{line.number, line.indent + 2, std::string(rest)};
      ++at_;
      if (const auto pair = rest.empty() ? std::nullopt : key_value(inner)) {
        if (pair->first != "pip")
          throw Problem{line.number, "\"" + pair->first + ":\": only pip has a list of its own"};
        const Line list{line.number, line.indent + 1, ""};
        const auto lines = words(pair->second, list);
        file_.pip.insert(file_.pip.end(), lines.begin(), lines.end());
      } else {
        add_package(item(line), line.number);
      }
    }
    check_indent(key);
  }

  void variables(const std::string& value, const Line& key) {
    if (!value.empty()) throw Problem{key.number, "has one word where variables are expected"};
    const int indent = at_ < lines_.size() ? lines_[at_].indent : 0;
    for (; at_ < lines_.size() && lines_[at_].indent > key.indent; ++at_) {
      const Line& line = lines_[at_];
      const auto pair = key_value(line);
      if (!pair || line.indent != indent) throw Problem{line.number, "is not \"NAME: value\""};
      file_.variables.emplace_back(pair->first, scalar(pair->second, line.number));
    }
  }

  std::vector<Line> lines_;
  std::size_t at_ = 0;
  CondaFile file_;
};

bool is_name_letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.'; }

std::string_view without_channel(std::string_view package) {
  const std::size_t channel = package.find("::");
  return channel == std::string_view::npos ? package : package.substr(channel + 2);
}

// What follows the name: "=1.21", ">=1,<2", "" …
std::string_view version_part(std::string_view package) {
  package = without_channel(package);
  std::size_t at = 0;
  while (at < package.size() && is_name_letter(package[at])) ++at;
  return trimmed(package.substr(at));
}

}  // namespace

Result<CondaFile> parse_conda_file(std::string_view text, std::string_view file_name) try {
  if (text.size() > kMostBytes) throw Problem{1, "begins a file larger than 1 MiB"};
  return Parser(split_lines(text)).parse();
} catch (const Problem& problem) {
  return Error{ErrorKind::usage, "this line " + problem.what,
               std::string(file_name) + ":" + std::to_string(problem.line),
               "as in: dependencies, then lines such as \"  - numpy=1.21\""};
}

std::string conda_package_name(std::string_view package) {
  package = trimmed(without_channel(package));
  std::size_t at = 0;
  while (at < package.size() && is_name_letter(package[at])) ++at;
  std::string name(package.substr(0, at));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

std::string add_conda_package(CondaFile& file, std::string_view package) {
  package = trimmed(package);
  const std::string name = conda_package_name(package);
  if (name.empty() || !std::isalnum(static_cast<unsigned char>(name.front())))
    return "does not begin with a package's name";
  for (const char c : package)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
  const std::string_view version = version_part(package);
  if (!version.empty() && !std::isdigit(static_cast<unsigned char>(version.front())) &&
      std::string_view("=<>!~*").find(version.front()) == std::string_view::npos)
    return "has \"" + std::string(version.substr(0, 10)) + "\" where a version is expected";
  if (name == "pip") return {};
  if (name != "python") {
    file.conda.emplace_back(package);
    return {};
  }
  const std::size_t digits = version.find_first_not_of("=> ");
  if (digits == std::string_view::npos) return {};
  std::string wanted(version.substr(digits, version.find_first_of("=<>!,* ", digits) - digits));
  while (wanted.ends_with('.')) wanted.pop_back();
  if (wanted.empty() || wanted.find_first_not_of("0123456789.") != std::string::npos)
    return "does not say which version of Python: write python=3.10";
  if (version.starts_with('>') || version.find('<') != std::string_view::npos)
    file.notices.push_back("\"" + std::string(package) + "\" is taken as python=" + wanted);
  file.python_version = wanted;
  return {};
}

std::string pip_form(std::string_view conda_package) {
  static const std::map<std::string, std::string> kNames{{"pytorch", "torch"},
                                                         {"pytorch-cpu", "torch"},
                                                         {"pytorch-gpu", "torch"},
                                                         {"torchvision-cpu", "torchvision"},
                                                         {"tensorflow-gpu", "tensorflow"},
                                                         {"tensorflow-mkl", "tensorflow"},
                                                         {"tensorflow-eigen", "tensorflow"},
                                                         {"keras-gpu", "keras"},
                                                         {"opencv", "opencv-python"},
                                                         {"py-opencv", "opencv-python"},
                                                         {"matplotlib-base", "matplotlib"},
                                                         {"pytables", "tables"},
                                                         {"msgpack-python", "msgpack"},
                                                         {"py-xgboost", "xgboost"},
                                                         {"python-graphviz", "graphviz"},
                                                         {"dask-core", "dask"},
                                                         {"numpy-base", "numpy"},
                                                         {"scikit-image", "scikit-image"},
                                                         {"cudatoolkit", ""},
                                                         {"cudnn", ""},
                                                         {"nccl", ""},
                                                         {"pytorch-cuda", ""},
                                                         {"cpuonly", ""},
                                                         {"mkl", ""},
                                                         {"mkl-service", ""},
                                                         {"openmpi", ""},
                                                         {"mpich", ""},
                                                         {"libgcc-ng", ""},
                                                         {"libstdcxx-ng", ""},
                                                         {"libgcc", ""},
                                                         {"gcc_linux-64", ""},
                                                         {"gxx_linux-64", ""},
                                                         {"openssl", ""},
                                                         {"ca-certificates", ""},
                                                         {"zlib", ""},
                                                         {"hdf5", ""},
                                                         {"openblas", ""},
                                                         {"libblas", ""},
                                                         {"ffmpeg", ""}};
  std::string name = conda_package_name(conda_package);
  if (const auto known = kNames.find(name); known != kNames.end()) name = known->second;
  if (name.empty() || name.starts_with('_')) return {};
  std::string version(version_part(conda_package));
  if (version.empty() || version == "*") return name;
  if (std::isdigit(static_cast<unsigned char>(version.front()))) version = "==" + version.substr(0, version.find(' '));
  if (version.starts_with('=') && !version.starts_with("==")) {
    version.erase(0, 1);  // "=1.21" is any 1.21.x; "=1.21.0=py36_0" names one build of 1.21.0
    const std::size_t build = version.find('=');
    const bool one = build != std::string::npos;
    version = version.substr(0, build);
    if (version.ends_with(".*")) version.resize(version.size() - 2);
    version = "==" + version + (one ? "" : ".*");
  } else if (const std::size_t build = version.find('=', 2); version.starts_with("==") && build != std::string::npos) {
    version.resize(build);
  }
  return name + version;
}

}  // namespace lockstep
