#include "lockstep/launchers/stage_inputs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "lockstep/core/claim.h"
#include "lockstep/core/dataset_content.h"
#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// Far longer than any copy takes that makes progress: its owner's death is noticed much earlier.
constexpr double kPatienceSeconds = 6 * 3600;

std::string title(const InputPlan& input) {
  return "data set " + input.dataset + "@" + std::to_string(input.version) + " (input " + input.name + ")";
}

// Contents decide where a copy lies: equal ones are shared, whatever they are called.
std::string key_of(const InputPlan& input) {
  return input.sha256.empty() ? sha256(input.dataset + "@" + std::to_string(input.version) + " " + input.source)
                              : input.sha256;
}

fs::path copy_of(const InputPlan& input, const fs::path& stage) {
  return stage / key_of(input) / fs::path(input.source).filename();
}

class Stager {
 public:
  Stager(const fs::path& run, const fs::path& work, const fs::path& stage) : run_(run), work_(work), stage_(stage) {}

  std::string place(const InputPlan& input) const {
    fs::path path = input.source;
    if (input.mode == DatasetMode::mount) check_source(input);
    if (input.mode == DatasetMode::download) path = download(input);
    return input.to.empty() ? path.string() : link(input, path);
  }

 private:
  void check_source(const InputPlan& input) const {
    std::error_code error;
    if (!fs::exists(input.source, error))
      fail(ErrorKind::usage, title(input) + " is not there" + (error ? ": " + error.message() : ""),
           "register its new place, and submit again", input.source);
    if (input.kind == "folder" || !fs::is_regular_file(input.source, error)) return;
    const auto bytes = static_cast<std::int64_t>(fs::file_size(input.source));
    if (bytes != input.bytes)
      fail(ErrorKind::usage,
           title(input) + " is " + std::to_string(bytes) + " bytes long, but was registered with " +
               std::to_string(input.bytes),
           "register it again if the change was meant, and submit again", input.source);
  }

  fs::path download(const InputPlan& input) const {
    const fs::path place = copy_of(input, stage_);
    if (fs::exists(place)) return place;
    make_directories(stage_);
    Claim claim = Claim::take(stage_ / (key_of(input) + ".claim"), kPatienceSeconds);
    if (!fs::exists(place)) copy(input, place, claim);
    return place;
  }

  void copy(const InputPlan& input, const fs::path& place, Claim& claim) const {
    const auto begin = std::chrono::steady_clock::now();
    const fs::path part = place.parent_path().string() + ".part";  // ours while we hold the claim
    fs::remove_all(part);
    fs::create_directory(part);
    check_source(input);
    const DatasetContent copied = copy_dataset(input.source, part / place.filename(), [&] { claim.renew(); });
    if (!input.sha256.empty() && copied.sha256 != input.sha256) {
      fs::remove_all(part);
      fail(ErrorKind::usage,
           title(input) + " has the SHA-256 " + copied.sha256 + ", but was registered with " + input.sha256,
           "register it again if the change was meant, and submit again", input.source);
    }
    fs::rename(part, place.parent_path());
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    log(title(input) + ": " + std::to_string(copied.files) + " files, " + std::to_string(copied.bytes) +
        " bytes copied from " + input.source + " to " + place.string() + " in " + std::to_string(seconds.count()) +
        " s");
  }

  // All ranks of all nodes make the same link; the first one does.
  std::string link(const InputPlan& input, const fs::path& target) const {
    const fs::path path = work_ / input.to;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (!error && ::symlink(target.c_str(), path.c_str()) != 0 && errno != EEXIST)
      error = std::error_code(errno, std::generic_category());
    if (error)
      fail(ErrorKind::environment, "cannot make the link to " + title(input) + ": " + error.message(), {},
           path.string());
    if (fs::read_symlink(path, error) != target || error)
      fail(ErrorKind::usage, "there is something else where " + title(input) + " should be",
           "choose another place than to=" + input.to, path.string());
    return path.string();
  }

  void log(const std::string& line) const {
    const fs::path path = run_ / contract::kLogs / ("65_job_prep_" + host_name() + ".txt");
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string text = line + "\n";
    if (file && ::write(file.get(), text.data(), text.size()) < 0) return;  // a full disk: the copy itself is there
  }

  const fs::path &run_, &work_, &stage_;
};

}  // namespace

fs::path stage_directory(const fs::path& run) {
  const char* given = std::getenv(contract::kStage);
  if (given && *given) return given;
  return run.parent_path().parent_path().parent_path() / "stage" / host_name();
}

fs::path input_place(const InputPlan& input, const fs::path& work, const fs::path& stage) {
  if (!input.to.empty()) return work / input.to;
  return input.mode == DatasetMode::download ? copy_of(input, stage) : fs::path(input.source);
}

std::map<std::string, std::string> stage_inputs(const std::vector<InputPlan>& inputs, const fs::path& run,
                                                const fs::path& work, const fs::path& stage) {
  const Stager stager(run, work, stage);
  std::map<std::string, std::string> variables;
  for (const InputPlan& input : inputs)
    variables[input.name] = variables[input_variable(input.name)] = stager.place(input);
  return variables;
}

}  // namespace lockstep
