#include "lockstep/core/workspace.h"

#include <cctype>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
constexpr const char* kFolder = ".lockstep";
constexpr const char* kConfig = "config.json";

bool is_letter_or_digit(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// A directory may be called anything; a workspace may not.
std::string name_after(const fs::path& directory) {
  std::string name = directory.filename().string().substr(0, 128);
  for (char& c : name) {
    if (!is_letter_or_digit(c) && c != '.' && c != '-') c = '_';
  }
  name.erase(0, name.find_first_not_of("._-"));
  return name.empty() ? "workspace" : name;
}

// Absolute, without "." and "..", and without a slash at the end.
fs::path normal(const fs::path& directory) {
  const fs::path path = fs::absolute(directory).lexically_normal();
  return path.filename().empty() && path.has_relative_path() ? path.parent_path() : path;
}

std::optional<fs::path> find_root(const fs::path& start) {
  for (fs::path directory = normal(start);; directory = directory.parent_path()) {
    std::error_code ignored;
    if (fs::exists(directory / kFolder / kConfig, ignored)) return directory / kFolder;
    if (directory == directory.parent_path()) return std::nullopt;
  }
}

// The place where the file lies counts, not the "root" in it: a workspace can be moved.
Result<std::string> read_name(const fs::path& root) {
  const fs::path file = root / kConfig;
  try {
    const auto config = nlohmann::json::parse(read_file(file, 1 << 20));
    const std::string name = config.at("workspace").get<std::string>();
    if (is_valid_name(name)) return name;
    return Error{ErrorKind::corrupt_data, "the workspace's name '" + name + "' is not valid", file.string(), {}};
  } catch (const Failure& failure) {
    return failure.error();
  } catch (const nlohmann::json::exception&) {
    return Error{ErrorKind::corrupt_data, "the workspace's file is not {\"workspace\": NAME, …}", file.string(),
                 "restore it, or write {\"workspace\": \"NAME\"} into it: the runs beside it are not affected"};
  }
}

}  // namespace

bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > 128 || !is_letter_or_digit(name.front())) return false;
  for (const char c : name) {
    if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

Result<Workspace> Workspace::create(const fs::path& directory, std::string name) try {
  const fs::path place = normal(directory);
  if (name.empty()) name = name_after(place);
  if (!is_valid_name(name)) {
    return Error{ErrorKind::usage,
                 "'" + name + "' cannot name a workspace",
                 {},
                 "use letters, digits, '.', '_' and '-', at most 128, and begin with a letter or a digit"};
  }
  const fs::path root = place / kFolder;
  make_directories(root);
  const nlohmann::ordered_json config = {{"workspace", name}, {"root", root.string()}};
  const std::string text = config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (!publish_new_file(root / kConfig, text)) return from_config(place);
  Workspace workspace;
  workspace.name_ = std::move(name);
  workspace.root_ = root;
  return workspace;
} catch (const Failure& failure) {
  return failure.error();
}

Result<Workspace> Workspace::from_config(const fs::path& start) {
  const auto root = find_root(start);
  if (!root) {
    return Error{
        ErrorKind::usage,
        "there is no workspace: no .lockstep/config.json in " + normal(start).string() + " or in a directory above it",
        {},
        "go to the workspace's directory, or submit a run here: that creates one"};
  }
  auto name = read_name(*root);
  if (!name) return name.error();
  Workspace workspace;
  workspace.name_ = *name;
  workspace.root_ = *root;
  return workspace;
}

Result<Workspace> Workspace::find_or_create(const fs::path& start) {
  if (find_root(start)) return from_config(start);
  auto workspace = create(start);
  if (workspace)
    std::fprintf(stderr, "lockstep: new workspace %s in %s\n", workspace->name().c_str(), workspace->root().c_str());
  return workspace;
}

}  // namespace lockstep
