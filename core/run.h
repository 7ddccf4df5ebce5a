// A run: from inside the job, where to log and where to write; from outside, everything known about it. Works without a
// launcher too (an offline run).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct ConfusionMatrix;  // metric_values.h
struct MetricTable;
struct MetricValues;
struct ModelRecord;  // model_registry.h
struct ModelRequest;
class RunDirectory;  // run_store.h
struct RunSummary;
enum class RunStatus;

using MetricCell = std::variant<double, std::string>;

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
  // A run of a workspace, from outside the job. It logs nothing.
  static Run open(const RunDirectory& directory);

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
  // One row of a table: columns by name. Every call adds a row; numbers become metrics "name/column" too.
  void log_row(std::string_view name, std::span<const std::pair<std::string, MetricCell>> columns);
  // A whole table at once.
  void log_table(std::string_view name, const MetricTable& table);
  // A PNG or JPEG file. Failure(usage) for any other.
  void log_image(std::string_view name, const std::filesystem::path& file, std::optional<std::int64_t> step = {});
  // Kept as numbers, and drawn for TensorBoard's images tab.
  void log_confusion_matrix(std::string_view name, const ConfusionMatrix& matrix);
  // Azure ML's charts of its schema "accuracy_table", "residuals", "predictions": kept as they are.
  void log_accuracy_table(std::string_view name, const nlohmann::ordered_json& value);
  void log_residuals(std::string_view name, const nlohmann::ordered_json& value);
  void log_predictions(std::string_view name, const nlohmann::ordered_json& value);
  // false: all that logs does nothing, tags and properties included. What rank 0 says, the others need not say again.
  void set_writer(bool writes);
  // A string, shown by TensorBoard's text tab.
  void log_text(std::string_view name, std::string_view value, std::optional<std::int64_t> step = {});

  // Mutable labels, in tags.json. An offline run keeps them in memory. Failure(environment) when it cannot be written.
  void tag(const std::string& key, const std::string& value = {});
  // Facts, write-once: throws Failure(usage) when the key exists with another value. In properties.json.
  void add_property(const std::string& key, const std::string& value);

  void set_tags(const std::map<std::string, std::string>& tags);
  std::map<std::string, std::string> get_tags() const;
  void remove_tags(const std::vector<std::string>& keys);
  void add_properties(const std::map<std::string, std::string>& properties);
  std::map<std::string, std::string> get_properties() const;

  // What was logged: of one metric, or of all ("": all). recursive: of child runs too, as "child name/metric".
  MetricValues get_metrics(std::string_view name = {}, bool recursive = false) const;

  // Of outputs and logs, relative to the run directory, sorted.
  std::vector<std::string> get_file_names() const;
  // name: as get_file_names() says. path: a file, or a directory that is there ("": here); parents are made.
  // Throws Failure(usage) for a name that is none of the run's, with the nearest ones.
  void download_file(std::string_view name, const std::filesystem::path& path = {}) const;
  // All whose names begin with `prefix`. append_prefix: below `directory` names keep it.
  void download_files(std::string_view prefix, const std::filesystem::path& directory, bool append_prefix = true) const;
  // Copies all logs into `directory` and returns the paths.
  std::vector<std::filesystem::path> get_all_logs(const std::filesystem::path& directory) const;
  // Copies a file or directory into the run, as `name` below outputs.
  void upload_file(std::string_view name, const std::filesystem::path& path);
  // The code as it was submitted, into a directory that is empty or not there. Verifies every file.
  void restore_snapshot(const std::filesystem::path& directory) const;

  RunStatus get_status() const;
  // Azure ML's keys: runId, target, status, startTimeUtc, endTimeUtc, error, warnings, properties, inputDatasets,
  // runDefinition, logFiles.
  nlohmann::ordered_json get_details() const;
  std::string get_portal_url() const;  // file:// of the run directory
  // Blocks until the run has ended or nobody looks after it any more. raise_on_error: throws Failure(environment) with
  // the cause when it has not completed.
  RunSummary wait_for_completion(bool show_output = false, bool raise_on_error = false) const;
  void cancel();
  // The end of a run that this process has begun itself (Experiment::start_logging, child_run).
  void complete();
  void fail_with(const Error& error);

  // A run below this one, begun by this process; ends with complete() or fail_with(), or with the handle.
  Run child_run(std::string_view name = {});
  std::vector<Run> get_children(bool recursive = false) const;
  std::optional<Run> parent() const;

  // Paths of the data sets that the estimator named as inputs, by their names.
  std::map<std::string, std::filesystem::path> input_datasets() const;
  // Copies a file or directory of the run into the registry, as the next version of its name.
  ModelRecord register_model(const ModelRequest& request) const;

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
