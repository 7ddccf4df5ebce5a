// The run as seen from inside the job: where to log, where to write. Works without a launcher too (an offline run).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lockstep/core/error.h"

namespace lockstep {

// Movable handle. Only one process per run may log (rank 0): a file has one writer. Not thread-safe.
class Run {
 public:
  // The run this process belongs to, by LOCKSTEP_RUN_DIR; when that is unset an offline run, which writes
  // ./outputs and ./logs below the current directory. Nothing is created before it is needed.
  // allow_offline = false: throws Failure(usage) when there is no run, as Azure ML's get_context does.
  // Failure(environment): LOCKSTEP_RUN_DIR is no directory on this host. Failure(usage): LOCKSTEP_ATTEMPT is no number.
  static Run get_context(bool allow_offline = true);
  // An offline run, whatever LOCKSTEP_RUN_DIR says: for a training beside the one that the run is about.
  static Run none();

  Run(Run&&) noexcept;
  Run& operator=(Run&&) noexcept;
  ~Run();

  bool offline() const;
  const std::string& id() const;            // "offline" for an offline run
  const std::string& experiment() const;    // "" for an offline run
  int attempt() const;                      // 1 for the first start of the processes
  std::filesystem::path directory() const;  // the run directory; the current directory when offline

  // Absolute; created on first use (Failure(environment) when that is impossible). Overridable before it
  // (lockstep-train
  // --outputs, --logs); set_logs_directory after the first metric throws Failure(usage).
  std::filesystem::path outputs_directory() const;
  std::filesystem::path logs_directory() const;
  void set_outputs_directory(std::filesystem::path path);
  void set_logs_directory(std::filesystem::path path);

  // A point of the metric `name`. step: optimizer steps done; without one, points count 0, 1, 2, … per name.
  // Goes into one TensorBoard event file in the logs directory: a few microseconds, no buffering.
  // Never throws for a full disk: one warning on stderr, training goes on.
  void log(std::string_view name, double value, std::optional<std::int64_t> step = {});
  // values[i] becomes the point of step i.
  void log_list(std::string_view name, std::span<const double> values);
  // A string, shown by TensorBoard's text tab.
  void log_text(std::string_view name, std::string_view value, std::optional<std::int64_t> step = {});

  // Mutable labels, in tags.json. An offline run keeps them in memory. Failure(environment) when it cannot be written.
  void tag(const std::string& key, const std::string& value = {});
  // Facts, write-once: throws Failure(usage) when the key exists with another value. In properties.json.
  void add_property(const std::string& key, const std::string& value);

  // attempts/NNN/started: tells the supervisor that work began. No effect offline. Failure(environment) when it cannot
  // be written.
  void mark_started();
  // attempts/NNN/progress: one line of text that `lockstep submit --wait` and `lockstep show` display while the run is
  // under way, for example "epoch 1/2  41%  ETA 1:02". For the eye only: replaced as a whole, not synced to disk, and a
  // full disk is no error. Once a second is often enough. No effect offline.
  void show_progress(std::string_view line) noexcept;
  // attempts/NNN/error_<rank>.json: tells the supervisor who failed and why; safe from any rank, never throws. A rank's
  // first report stays.
  void report_error(int rank, const Error& error) noexcept;

 private:
  struct State;
  explicit Run(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace lockstep
