#include "lockstep/distributed/training/resume.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"
#include "lockstep/distributed/training/training_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string resume_from_environment() {
  const char* value = std::getenv(contract::kResumeFrom);
  return value ? value : "";
}

void warn(const std::string& sentence) { std::fprintf(stderr, "warning: %s\n", sentence.c_str()); }

StartingPoint newest_in(const CheckpointStore& store) {
  auto found = store.newest_valid(warn);
  if (!found) return {};
  return {std::move(found->checkpoint), found->path.string()};
}

// A checkpoint file, a folder of checkpoints (or one that has outputs/checkpoints), or a run of the workspace.
StartingPoint named(const std::string& name) {
  if (fs::is_regular_file(name)) return {read_checkpoint(name), name};
  fs::path folder = name;
  if (!fs::is_directory(folder)) {
    const auto workspace = Workspace::from_config();
    const auto run = workspace ? find_run(*workspace, name) : Result<RunDirectory>(workspace.error());
    if (!run)
      fail(ErrorKind::usage, "nothing to resume from: \"" + name + "\" is no file and no run", run.error().what);
    folder = run->path();
  }
  for (const fs::path& place : {folder, folder / "checkpoints", folder / contract::kCheckpoints})
    if (StartingPoint start = newest_in(CheckpointStore(place)); start.checkpoint) return start;
  fail(ErrorKind::usage, "there is no checkpoint in " + folder.string(),
       "give a step_<number>.h5 file, or leave --resume out");
}

StartingPoint look_for(const Session& session, Run& run, std::string request, const CheckpointStore& store) {
  const std::string inherited = resume_from_environment();
  if (request.empty()) request = run.attempt() > 1 || !inherited.empty() ? "auto" : "none";
  if (session.rank() != 0 || request == "none") return {};
  if (request != "auto") return named(request);
  StartingPoint own = newest_in(store);
  return own.checkpoint || inherited.empty() ? std::move(own) : named(inherited);
}

void check_identity(const Checkpoint& checkpoint, const std::map<std::string, std::string>& identity,
                    const std::string& origin) {
  for (const auto& [name, value] : identity) {
    const auto found = checkpoint.identity.find(name);
    const std::string before = found == checkpoint.identity.end() ? "unknown" : found->second;
    if (before != value)
      fail(ErrorKind::usage, "the checkpoint was made with " + name + " " + before + ", now it is " + value,
           "give the same options to go on; --resume none starts from the beginning, --weights takes only the values",
           origin);
  }
}

}  // namespace

StartingPoint find_starting_point(Session& session, const std::string& request, const CheckpointStore& store,
                                  const std::map<std::string, std::string>& identity) {
  StartingPoint start = session.agree([&] {
    StartingPoint found = look_for(session, session.run(), request, store);
    if (!found.checkpoint) return found;
    check_identity(*found.checkpoint, identity, found.origin);
    return found;
  });
  session.broadcast_text(start.origin);
  if (!start.origin.empty()) {
    if (!start.checkpoint) start.checkpoint.emplace();
    share(session, *start.checkpoint);
  }
  session.agree([&] {
    if (session.rank() != 0) return;
    const fs::path aside = store.set_aside_after(start.checkpoint ? start.checkpoint->step : -1);
    if (!aside.empty()) std::printf("checkpoints of an earlier training are kept in %s\n", aside.c_str());
  });
  return start;
}

}  // namespace lockstep
