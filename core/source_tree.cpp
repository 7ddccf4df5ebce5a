#include "lockstep/core/source_tree.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "lockstep/core/ignore_rules.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kIgnoreFiles{".amlignore", ".lockstepignore", ".gitignore"};
constexpr std::size_t kIgnoreFileLimit = 1 << 20;

// The rules of one folder, with the folder's path ("" or "sub/") that they are relative to.
struct Layer {
  std::string prefix;
  IgnoreRules rules;
};

class Walk {
 public:
  Walk(fs::path source, std::size_t most_files) : source_(std::move(source)), most_files_(most_files) {
    for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
      struct stat status {};
      if (::fstat(stream, &status) == 0) own_outputs_.push_back(status);
    }
  }

  SourceTree run() {
    for (const char* name : kIgnoreFiles) {
      std::error_code ignored;
      if (!tree_.ignore_file.empty() || !fs::is_regular_file(source_ / name, ignored)) continue;
      tree_.ignore_file = name;
    }
    visit("");
    std::sort(tree_.files.begin(), tree_.files.end(),
              [](const auto& a, const auto& b) { return a.path.native() < b.path.native(); });
    return std::move(tree_);
  }

 private:
  // prefix: "" or "sub/folder/".
  void visit(const std::string& prefix) {
    const bool has_rules = push_rules(prefix);
    std::error_code error;
    fs::directory_iterator entry(source_ / prefix, error);
    for (const fs::directory_iterator end; !error && entry != end && tree_.complete; entry.increment(error))
      add(prefix, entry->path().filename().string());
    if (error) refuse(source_ / prefix, "cannot read the folder: " + error.message());
    if (has_rules) layers_.pop_back();
  }

  bool push_rules(const std::string& prefix) {
    std::error_code ignored;
    const fs::path file = source_ / prefix / tree_.ignore_file;
    if (tree_.ignore_file.empty() || !fs::is_regular_file(file, ignored)) return false;
    layers_.push_back({prefix, IgnoreRules(read_file(file, kIgnoreFileLimit))});
    return true;
  }

  // The deepest ignore file that says something about the path decides.
  bool is_left_out(const std::string& path, bool is_directory) const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      const auto verdict = layer->rules.verdict(std::string_view(path).substr(layer->prefix.size()), is_directory);
      if (verdict) return *verdict;
    }
    return false;
  }

  bool is_never_taken(const std::string& path, const std::string& name) {
    if (name == ".git" || name == ".lockstep") return true;
    if (path != contract::kOutputs && path != contract::kLogs) return false;
    tree_.notices.push_back("./" + path +
                            " of the source directory is not part of the run: the ranks see the run's own ./" + path);
    return true;
  }

  void add(const std::string& prefix, const std::string& name) {
    const std::string path = prefix + name;
    struct stat status {};
    if (::lstat((source_ / path).c_str(), &status) != 0) {
      if (errno == ENOENT) return;  // gone since the folder was read
      refuse(source_ / path, std::string("cannot look at it: ") + std::strerror(errno));
    }
    const bool is_directory = S_ISDIR(status.st_mode);
    if (is_left_out(path, is_directory) || is_never_taken(path, name)) return;
    if (is_directory)
      visit(path + "/");
    else if (S_ISLNK(status.st_mode))
      add_link(path);
    else if (S_ISREG(status.st_mode))
      add_file(path, status);
  }

  // Where this process' own words go: `lockstep submit … > log.txt` in the source directory.
  bool is_own_output(const struct stat& status) const {
    return std::any_of(own_outputs_.begin(), own_outputs_.end(), [&](const struct stat& own) {
      return own.st_dev == status.st_dev && own.st_ino == status.st_ino;
    });
  }

  void add_file(const std::string& path, const struct stat& status) {
    if (is_own_output(status)) {
      tree_.notices.push_back("./" + path + " takes what this command prints: it is not part of the snapshot");
      return;
    }
    if (::access((source_ / path).c_str(), R_OK) != 0)
      refuse(source_ / path, std::string("cannot be read: ") + std::strerror(errno), path);
    keep({path, static_cast<std::int64_t>(status.st_size), (status.st_mode & S_IXUSR) != 0, {}, {}});
  }

  void add_link(const std::string& path) {
    std::error_code error;
    const fs::path target = fs::read_symlink(source_ / path, error);
    if (error) refuse(source_ / path, "cannot read the link: " + error.message());
    if (target.is_absolute()) refuse(source_ / path, "is a link to the absolute path " + target.string(), path);
    if (leads_out(path, target))
      refuse(source_ / path, "is a link out of the source directory, to " + target.string(), path);
    keep({path, 0, false, target.string(), {}});
  }

  // By its words, and, where it leads to something, by where that really is: a link on the way may lead out.
  bool leads_out(const fs::path& link, const fs::path& target) const {
    const auto begins_with_up = [](const fs::path& path) { return !path.empty() && *path.begin() == ".."; };
    if (begins_with_up((link.parent_path() / target).lexically_normal())) return true;
    std::error_code dangling;
    const fs::path real = fs::canonical(source_ / link, dangling);
    if (dangling) return false;
    return begins_with_up(real.lexically_relative(fs::canonical(source_)));
  }

  void keep(SnapshotFile file) {
    tree_.files.push_back(std::move(file));
    tree_.complete = tree_.files.size() < most_files_;
  }

  [[noreturn]] void refuse(const fs::path& path, std::string what, const std::string& to_leave_out = {}) const {
    std::string hint;
    if (!to_leave_out.empty()) {
      const std::string file = tree_.ignore_file.empty() ? ".lockstepignore" : tree_.ignore_file;
      hint = "to leave it out of the snapshot add the line " + ignore_line(to_leave_out) + " to " +
             (source_ / file).string();
    }
    fail(ErrorKind::usage, std::move(what), hint, path.string());
  }

  fs::path source_;
  std::size_t most_files_;
  std::vector<struct stat> own_outputs_;
  SourceTree tree_;
  std::vector<Layer> layers_;
};

}  // namespace

SourceTree list_source(const fs::path& source, std::size_t most_files) { return Walk(source, most_files).run(); }

}  // namespace lockstep
