#include "lockstep/distributed/training/resume.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"
#include "lockstep/distributed/checkpoint/model_file.h"
#include "lockstep/distributed/training/training_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char *kAuto = "auto", *kNone = "none";

std::string resume_from_environment() {
  const char* value = std::getenv(contract::kResumeFrom);
  return value ? value : "";
}

bool is_name(const std::string& text) { return !text.empty() && text != kAuto && text != kNone; }

void warn(const std::string& sentence) { std::fprintf(stderr, "warning: %s\n", sentence.c_str()); }

StartingPoint newest_in(const CheckpointStore& store) {
  auto found = store.newest_valid(warn);
  if (!found) return {};
  return {std::move(found->checkpoint), found->path.string()};
}

// A file that the user chose: what is wrong with it is bad input.
StartingPoint named_file(const std::string& name) {
  try {
    return {read_checkpoint(name), name};
  } catch (const Failure& failure) {
    Error error = failure.error();
    if (error.kind == ErrorKind::corrupt_data) error.kind = ErrorKind::usage;
    if (is_model_file(name))
      error.hint = "--weights takes a model.h5, --resume a checkpoint: outputs/checkpoints/step_<number>.h5";
    throw Failure(std::move(error));
  }
}

// A checkpoint file, a folder of checkpoints (or one that has outputs/checkpoints), or a run of the workspace.
StartingPoint named(const std::string& name) {
  if (fs::is_regular_file(name)) return named_file(name);
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
  const bool again = run.attempt() > 1;
  if (request.empty()) request = again || !inherited.empty() ? kAuto : kNone;
  if (session.rank() != 0 || request == kNone) return {};
  const std::string base = is_name(request) ? request : inherited;
  // A run that is started again gets the same options as before: its own checkpoints already go on from the base.
  if (again || request == kAuto)
    if (StartingPoint own = newest_in(store); own.checkpoint) return own;
  if (is_name(base)) return named(base);
  std::printf("there is no checkpoint in %s yet: training starts from the beginning\n", store.folder().c_str());
  return {};
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
