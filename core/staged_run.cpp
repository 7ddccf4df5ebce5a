#include "lockstep/core/staged_run.h"

#include <chrono>

#include "lockstep/core/machine.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = ".new-", kClaimSuffix = ".claim";
constexpr double kForeignSilenceSeconds = 24 * 3600;

fs::path claim_of(const fs::path& stage) { return stage.string() + std::string(kClaimSuffix); }

bool is_abandoned(const fs::path& stage) try {
  const auto owner = Claim::owner(claim_of(stage));
  if (!owner) return fs::exists(stage) && !Claim::owner(claim_of(stage));  // a claim removed by hand, and not published
  if (owner->alive) return false;
  if (owner->host == host_name()) return true;
  const auto written = fs::last_write_time(claim_of(stage));
  return std::chrono::duration<double>(fs::file_time_type::clock::now() - written).count() > kForeignSilenceSeconds;
} catch (const std::exception&) {
  return false;
}

std::vector<fs::path> entries_of(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    entries.push_back(entry->path());
  return entries;
}

}  // namespace

StagedRun::StagedRun(const Workspace& workspace, const std::string& experiment)
    : run_(RunDirectory::stage(workspace, experiment, [this](const fs::path& path) {
             claim_.emplace(Claim::take(claim_of(path), 10));
           }).value()) {}

StagedRun::~StagedRun() {
  std::error_code ignored;
  if (!published_) fs::remove_all(run_.path(), ignored);
}

RunDirectory StagedRun::publish() {
  RunDirectory run = run_.publish();
  published_ = true;
  return run;
}

std::vector<fs::path> abandoned_stages(const Workspace& workspace, std::string_view experiment) {
  std::vector<fs::path> stages;
  const auto folders =
      experiment.empty() ? entries_of(workspace.runs()) : std::vector{workspace.runs() / std::string(experiment)};
  for (const fs::path& folder : folders) {
    for (const fs::path& entry : entries_of(folder)) {
      const std::string name = entry.filename().string();
      if (!name.starts_with(kPrefix)) continue;
      const bool is_claim = name.ends_with(kClaimSuffix);
      const fs::path stage = is_claim ? fs::path(entry).replace_extension() : entry;
      std::error_code ignored;
      if (is_claim && fs::exists(stage, ignored)) continue;  // comes by itself
      if (is_abandoned(stage)) stages.push_back(stage);
    }
  }
  return stages;
}

bool remove_abandoned(const fs::path& stage) noexcept try {
  if (!is_abandoned(stage)) return false;
  const auto claim = Claim::try_take(claim_of(stage));
  if (!claim) return false;
  std::error_code error;
  fs::remove_all(stage, error);
  return !error;
} catch (const std::exception&) {
  return false;
}

}  // namespace lockstep
