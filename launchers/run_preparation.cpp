#include "lockstep/launchers/run_preparation.h"

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/prepare_environment.h"
#include "lockstep/launchers/source_build.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class Preparation {
 public:
  Preparation(const RunDirectory& run, const Json& record, WaitSignals& signals, const PreparationCallbacks& callbacks)
      : run_(run), record_(record), signals_(signals) {
    callbacks_.on_tick = callbacks.on_tick;
    callbacks_.wants_stop = callbacks.wants_stop;
    callbacks_.on_detail = [this, &callbacks](const std::string& detail) {
      write("--- " + detail + "\n");
      callbacks.on_detail(detail);
    };
    callbacks_.on_text = [this](const std::string& text) { write(text); };
  }

  bool prepare(LaunchPlan& launch) {
    request_.variables = current_environment();
    request_.run_id = run_.id();
    request_.source = run_.path() / "snapshot";
    if (const auto json = record_.find("environment"); json != record_.end())
      if (!make_environment(environment_plan_from_json(*json), launch)) return false;
    if (const auto json = record_.find("source_build"); json != record_.end())
      if (!build_source(source_build_plan_from_json(*json))) return false;
    if (!facts_.empty())
      publish_file(run_.path() / "environment.json", facts_.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return true;
  }

 private:
  void write(const std::string& text) {
    if (!log_) {
      const fs::path path = run_.path() / contract::kLogs / "20_environment_log.txt";
      log_ = FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
      if (!log_) fail_errno("cannot write " + path.string());
    }
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t written = ::write(log_.get(), text.data() + at, text.size() - at);
      if (written <= 0) return;  // a full disk ends the build itself, and with a better word
      at += static_cast<std::size_t>(written);
    }
  }

  bool make_environment(const EnvironmentPlan& plan, LaunchPlan& launch) {
    if (plan.needs_preparation()) callbacks_.on_detail("preparing the environment");
    auto prepared = prepare_environment(plan, request_, signals_, callbacks_);
    if (!prepared) return false;
    facts_ = std::move(prepared->record);
    for (const auto& [name, value] : prepared->variables) {
      request_.variables[name] = value;
      launch.environment.emplace(name, value);
    }
    return true;
  }

  bool build_source(const SourceBuildPlan& plan) {
    const std::string taken = record_.at("snapshot").value("digest", "");
    if (taken != plan.source_digest)
      fail(ErrorKind::environment, "the source changed while it was submitted", "submit again");
    BuildCallbacks callbacks = callbacks_;
    callbacks.on_built = [&](Json& record) {
      link_program(plan);
      record["program"] = plan.program.string();
    };
    const auto built = shared_build(plan.build, request_, signals_, callbacks);
    if (!built) return false;
    facts_["program"] = *built;
    return true;
  }

  const RunDirectory& run_;
  const Json& record_;
  WaitSignals& signals_;
  BuildCallbacks callbacks_;
  BuildRequest request_;
  FileDescriptor log_;
  Json facts_ = Json::object();
};

}  // namespace

bool prepare_run(const RunDirectory& run, const Json& record, LaunchPlan& launch, WaitSignals& signals,
                 const PreparationCallbacks& callbacks) {
  return Preparation(run, record, signals, callbacks).prepare(launch);
}

}  // namespace lockstep
