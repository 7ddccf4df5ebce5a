// TensorBoard event files: the form in which metrics are kept. Record framing and messages are those of
// TensorFlow's record_writer and event.proto; they are encoded by hand, so no protobuf is needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// One scalar as read back. `value` is a float32 widened (event files hold no doubles). event_reader.h reads more.
struct ScalarEvent {
  std::string tag;
  std::int64_t step = 0;
  double wall_time = 0;  // seconds since 1970
  double value = 0;
};

// Writes one new event file. Each record is handed to the kernel by one write(), so a killed process loses nothing it
// logged; a torn last record (power loss) is skipped by every reader. Not thread-safe: one owner per file.
class EventFileWriter {
 public:
  // Creates directory/events.out.tfevents.<seconds>.<host>.<pid>.<n> with O_EXCL; sorts after the files already there.
  // Throws Failure(environment) when the directory cannot be written.
  explicit EventFileWriter(const std::filesystem::path& directory);
  ~EventFileWriter();
  EventFileWriter(EventFileWriter&& other) noexcept;
  EventFileWriter& operator=(EventFileWriter&&) = delete;

  // wall_time: seconds since 1970; now when absent. A full disk must not kill training: false means "not written",
  // and the caller warns once.
  bool scalar(std::string_view tag, double value, std::int64_t step, std::optional<double> wall_time = {});
  // Shown by TensorBoard's text plugin (markdown).
  bool text(std::string_view tag, std::string_view value, std::int64_t step, std::optional<double> wall_time = {});

  // A picture for TensorBoard's images: a PNG or JPEG file (image_size.h knows the three numbers).
  bool image(std::string_view tag, std::string_view file, int width, int height, int channels, std::int64_t step);
  // JSON that TensorBoard does not show (event_encoding.h, kRecordPlugin).
  bool record(std::string_view tag, std::string_view json, std::int64_t step);

  const std::filesystem::path& path() const { return path_; }

 private:
  bool write_record(std::string_view event);
  std::filesystem::path path_;
  int file_ = -1;
};

// All scalars below `directory` (not its subdirectories), files in name order, whoever wrote them: both the old form
// (simple_value) and the tensor form (plugin "scalars", DT_FLOAT or DT_DOUBLE) are understood. A record with step s
// removes what the tag holds at steps >= s from *earlier files* (a resumed attempt supersedes), as TensorBoard does. A
// torn tail ends a file silently; any other damage ends that file with a line in `warnings`.
struct ScalarLog {
  std::vector<ScalarEvent> events;  // grouped by tag in order of first appearance, ascending by step
  std::vector<std::string> warnings;
};
ScalarLog read_scalars(const std::filesystem::path& directory);

}  // namespace lockstep
