// events.jsonl: one line per change of status, appended by the supervisor alone.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/publish.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

RunEvent parse_line(const std::string& line, const fs::path& path, std::size_t number) {
  const std::string where = path.string() + ":" + std::to_string(number + 1);
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) fail(ErrorKind::corrupt_data, "not a JSON object", {}, where);
  try {
    RunEvent event = run_event_from_json(json);
    if (event.sequence != static_cast<std::int64_t>(number))
      fail(ErrorKind::corrupt_data,
           "event " + std::to_string(event.sequence) + " where " + std::to_string(number) + " was expected");
    return event;
  } catch (const Failure& failure) {
    fail(ErrorKind::corrupt_data, failure.error().what, {}, where);
  }
}

struct Log {
  std::vector<RunEvent> events;
  std::size_t complete_bytes = 0;  // up to and with the last line end
};

Log read_log(const fs::path& path) {
  Log log;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return log;
  const std::string text = read_file(path);
  for (std::size_t end; (end = text.find('\n', log.complete_bytes)) != std::string::npos; log.complete_bytes = end + 1)
    log.events.push_back(
        parse_line(text.substr(log.complete_bytes, end - log.complete_bytes), path, log.events.size()));
  return log;
}

void check_move(const Log& log, const RunEvent& next, const fs::path& path) {
  const RunStatus from = log.events.empty() ? RunStatus::NotStarted : log.events.back().status;
  if (may_follow(from, next.status)) return;
  fail(ErrorKind::internal,
       "a run that is " + std::string(status_name(from)) + " cannot become " + std::string(status_name(next.status)),
       {}, path.string());
}

// All or nothing: what a full disk let through of the line is taken back.
void append_line(const fs::path& path, const std::string& line, std::size_t complete_bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) fail_errno("cannot open " + path.string());
  // What a killed supervisor left of a line goes: followed by more it would no longer be a torn *last* line.
  bool done = ::ftruncate(file, static_cast<off_t>(complete_bytes)) == 0;
  done = done && ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  done = done && ::fsync(file) == 0;
  const int code = errno;
  if (!done) [[maybe_unused]]
    const int undone = ::ftruncate(file, static_cast<off_t>(complete_bytes));
  ::close(file);
  errno = code;
  if (!done) fail_errno("cannot append to " + path.string());
}

}  // namespace

void RunDirectory::append_event(RunEvent event) const {
  const fs::path path = path_ / "events.jsonl";
  const Log log = read_log(path);
  check_move(log, event, path);
  event.sequence = static_cast<std::int64_t>(log.events.size());
  event.time = unix_time();
  append_line(path, to_json(event).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", log.complete_bytes);
}

std::vector<RunEvent> RunDirectory::events() const { return read_log(path_ / "events.jsonl").events; }

}  // namespace lockstep
