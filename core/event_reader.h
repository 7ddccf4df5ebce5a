// Event files read back, whoever wrote them: numbers, texts, pictures and Lockstep's own records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {

struct EventPoint {
  std::int64_t step = 0;
  double wall_time = 0;  // seconds since 1970
  double value = 0;      // mostly a float32 widened
};

struct EventText {
  std::int64_t step = 0;
  double wall_time = 0;
  std::string value;
};

struct EventImage {
  std::int64_t step = 0;
  double wall_time = 0;
  int width = 0, height = 0;
  std::size_t bytes = 0;  // of the picture's file; the picture itself is not kept
};

// All that one tag holds, each kind ascending by step.
struct EventTag {
  std::string name;                 // below a subdirectory "train" of the logs: "train/loss"
  std::vector<EventPoint> numbers;  // simple_value, or plugin "scalars" with a float or double
  std::vector<EventText> texts;     // plugin "text"
  std::vector<EventText> records;   // plugin "lockstep": JSON
  std::vector<EventImage> images;
};

// Goes through the event files of a directory, and once more through what is appended to them later. A record with
// step s removes what the tag holds at steps >= s from *earlier files* of the same directory (a resumed attempt
// supersedes), as TensorBoard does. A torn tail waits for its rest; any other damage ends that file with a line in
// warnings().
class EventReader {
 public:
  // subdirectories: their files too; each is a log of its own, with its path before its tags.
  explicit EventReader(std::filesystem::path directory, bool subdirectories = true);
  ~EventReader();

  // Reads what is new; false when nothing is. Tags and points keep their places unless a resumed attempt replaces them.
  bool update();
  // In order of first appearance, directory by directory.
  std::vector<const EventTag*> tags() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  class Folder;
  void find_folders();
  std::filesystem::path directory_;
  bool subdirectories_;
  std::vector<std::unique_ptr<Folder>> folders_;
  std::vector<std::string> warnings_;
};

}  // namespace lockstep
