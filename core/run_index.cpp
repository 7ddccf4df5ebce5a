#include "lockstep/core/run_index.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_map>

#include "lockstep/core/experiment_record.h"
#include "lockstep/core/publish.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kFile = ".index.jsonl";
constexpr std::string_view kHead = R"({"format":1,"index":"finished runs"})";
constexpr std::string_view kIdPrefix = R"({"id":")";  // each line begins with it: found without parsing the line
constexpr std::size_t kWorthWriting = 50;

std::string line_of(const RunSummary& summary) {
  Json json = to_json(summary);
  json.erase("directory");
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Nothing when the line is damaged: the run itself is read then.
std::optional<RunSummary> parse_line(std::string_view line, const fs::path& experiment) try {
  const Json json = Json::parse(line);
  RunSummary summary;
  summary.id = json.at("id").get<std::string>();
  summary.experiment = experiment.filename().string();
  summary.directory = experiment / summary.id;
  const auto status = parse_status(json.at("status").get<std::string>());
  if (!status || !is_terminal(*status)) return {};
  summary.status = *status;
  summary.detail = json.value("detail", "");
  if (const auto cause = json.find("cause"); cause != json.end()) summary.cause = end_cause_from_json(*cause);
  summary.attempts = json.at("attempts").get<int>();
  summary.submitted = json.at("submitted").get<double>();
  summary.started = json.value("started", 0.0);
  summary.ended = json.value("ended", 0.0);
  summary.target = json.at("target").get<std::string>();
  summary.node_count = json.at("node_count").get<int>();
  summary.process_count_per_node = json.at("process_count_per_node").get<int>();
  summary.command = json.at("command").get<std::string>();
  summary.parent = json.value("parent", "");
  return summary;
} catch (const std::exception&) {
  return {};
}

class Index {
 public:
  explicit Index(fs::path experiment) : experiment_(std::move(experiment)) {
    std::error_code ignored;
    if (!fs::exists(experiment_ / kFile, ignored)) return;
    try {
      text_ = read_file(experiment_ / kFile);
    } catch (const Failure&) {
      return;  // of another user
    }
    std::string_view rest = text_;
    for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
      const std::string_view line = rest.substr(0, end);
      if (line.data() == text_.data() && line != kHead) return;  // of another version
      if (!line.starts_with(kIdPrefix)) continue;
      const std::string_view id = line.substr(kIdPrefix.size());
      lines_.emplace(id.substr(0, id.find('"')), line);
    }
  }

  std::optional<RunSummary> find(const std::string& id) const {
    const auto found = lines_.find(id);
    if (found == lines_.end()) return {};
    auto summary = parse_line(found->second, experiment_);
    return summary && summary->id == id ? std::move(summary) : std::nullopt;
  }

  void add(const RunSummary& summary) {
    added_ += line_of(summary);
    ++count_;
  }

  // present: ids of the runs that are there.
  void save(const std::vector<std::string>& present) const noexcept try {
    if (count_ < kWorthWriting) return;
    std::string text = std::string(kHead) + "\n" + added_;
    for (const std::string& id : present)
      if (const auto line = lines_.find(id); line != lines_.end() && parse_line(line->second, experiment_))
        text += std::string(line->second) + "\n";
    publish_file(experiment_ / kFile, text);
  } catch (const std::exception&) {
    // Of another user, or a full disk: the next listing takes as long as this one did.
  }

 private:
  fs::path experiment_;
  std::string text_, added_;
  std::size_t count_ = 0;
  std::unordered_map<std::string_view, std::string_view> lines_;  // id -> its line in text_
};

void read_tags(RunSummary& summary) {
  std::error_code ignored;
  const fs::path path = summary.directory / "tags.json";
  if (!fs::exists(path, ignored)) return;
  const Json json = Json::parse(read_file(path, 16 << 20), nullptr, false);
  if (!json.is_object()) fail(ErrorKind::corrupt_data, "not a JSON object", {}, path.string());
  for (const auto& [key, value] : json.items())
    summary.tags[key] = value.is_string() ? value.get<std::string>() : value.dump();
}

// Names of an experiment's runs, newest second first.
std::vector<std::string> ids_in(const fs::path& experiment, std::vector<std::string>* warnings) {
  std::vector<std::string> ids;
  for (const fs::path& folder : folders_of(experiment, warnings)) ids.push_back(folder.filename().string());
  return ids;
}

struct Candidate {
  std::size_t experiment;
  std::string id;
};

// Those among which the `newest` are: ids are precise to a second, records are more precise.
void keep_newest(std::vector<Candidate>& candidates, std::size_t newest) {
  if (newest == 0 || candidates.size() <= newest) return;
  const auto seconds = [](const Candidate& candidate) { return seconds_in_id(candidate.id); };
  const auto newer = [&](const Candidate& a, const Candidate& b) { return seconds(a) > seconds(b); };
  const auto last = candidates.begin() + static_cast<std::ptrdiff_t>(newest) - 1;
  std::nth_element(candidates.begin(), last, candidates.end(), newer);
  std::erase_if(candidates, [&, oldest = seconds(*last)](const Candidate& c) { return seconds(c) < oldest; });
}

}  // namespace

std::vector<RunSummary> query_runs(const Workspace& workspace, const RunQuery& query,
                                   std::vector<std::string>* warnings) {
  std::vector<fs::path> experiments;
  if (!query.experiment.empty())
    experiments.push_back(workspace.runs() / query.experiment);
  else
    for (const fs::path& folder : folders_of(workspace.runs(), warnings))
      if (query.archived || !is_archived(folder)) experiments.push_back(folder);

  std::vector<std::vector<std::string>> present;
  std::vector<Index> indexes;
  indexes.reserve(experiments.size());  // their lines point into their own text
  std::vector<Candidate> candidates;
  for (std::size_t i = 0; i < experiments.size(); ++i) {
    present.push_back(ids_in(experiments[i], warnings));
    indexes.emplace_back(experiments[i]);
    for (const std::string& id : present.back()) candidates.push_back({i, id});
  }
  keep_newest(candidates, query.newest);

  std::vector<RunSummary> summaries;
  summaries.reserve(candidates.size());
  for (const auto& [experiment, id] : candidates) {
    try {
      auto known = indexes[experiment].find(id);
      RunSummary summary =
          known ? std::move(*known) : RunDirectory::open(experiments[experiment] / id).value().summary();
      if (summary.cause) summary.cause->last_lines.clear();
      if (!known && is_terminal(summary.status) && !summary.derived_end) indexes[experiment].add(summary);
      if (query.tags) read_tags(summary);
      summaries.push_back(std::move(summary));
    } catch (const std::exception& e) {
      if (warnings) warnings->push_back(to_error(e).message());
    }
  }
  for (std::size_t i = 0; i < experiments.size(); ++i) indexes[i].save(present[i]);
  std::sort(summaries.begin(), summaries.end(), [](const RunSummary& a, const RunSummary& b) {
    return std::tie(a.submitted, a.id) > std::tie(b.submitted, b.id);
  });
  if (query.newest > 0 && summaries.size() > query.newest) summaries.resize(query.newest);
  return summaries;
}

std::vector<RunSummary> list_runs(const Workspace& workspace, std::string_view experiment,
                                  std::vector<std::string>* warnings) {
  return query_runs(workspace, {.experiment = std::string(experiment), .archived = true}, warnings);
}

}  // namespace lockstep
