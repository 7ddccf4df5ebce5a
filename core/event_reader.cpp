#include "lockstep/core/event_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "lockstep/core/event_file.h"
#include "lockstep/core/event_parser.h"
#include "lockstep/core/event_records.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// One kind of content of one tag.
template <typename T>
struct Series {
  std::size_t earlier = 0;                                          // so many are from earlier files
  std::int64_t resumed = std::numeric_limits<std::int64_t>::max();  // the lowest step of the current file

  void add(std::vector<T>& items, T item) {
    resumed = std::min(resumed, item.step);
    items.push_back(std::move(item));
  }

  // What a file says of a step and later replaces what earlier files said: the run was resumed there.
  void settle(std::vector<T>& items, bool file_ends) {
    const auto by_step = [](const T& a, const T& b) { return a.step < b.step; };
    const auto current = items.begin() + static_cast<std::ptrdiff_t>(earlier);
    if (!std::is_sorted(current, items.end(), by_step)) std::stable_sort(current, items.end(), by_step);
    const auto kept = std::remove_if(items.begin(), current, [&](const T& item) { return item.step >= resumed; });
    earlier = static_cast<std::size_t>(kept - items.begin());
    items.erase(kept, current);
    if (!file_ends) return;
    earlier = items.size();
    resumed = std::numeric_limits<std::int64_t>::max();
  }
};

struct TagLog {
  EventTag tag;
  Series<EventPoint> numbers;
  Series<EventText> texts, records;
  Series<EventImage> images;

  void settle(bool file_ends) {
    numbers.settle(tag.numbers, file_ends);
    texts.settle(tag.texts, file_ends);
    records.settle(tag.records, file_ends);
    images.settle(tag.images, file_ends);
  }
};

std::vector<fs::path> event_files(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const bool named_so = entry.path().filename().string().find("tfevents") != std::string::npos;
    if (named_so && entry.is_regular_file(ignored)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

// The event files of one directory.
class EventReader::Folder {
 public:
  Folder(fs::path path, std::string prefix) : path_(std::move(path)), prefix_(std::move(prefix)) {}

  const fs::path& path() const { return path_; }

  bool update(std::vector<std::string>& warnings) {
    const std::vector<fs::path> paths = event_files(path_);
    bool anew = paths.size() < files_.size();
    for (std::size_t i = 0; i < files_.size() && !anew; ++i) {
      // Order is by name: a file before others, or growing though others follow, changes what supersedes what.
      anew = files_[i]->path() != paths[i] || (i + 1 < files_.size() && files_[i]->refresh());
    }
    if (anew) start_anew();
    bool changed = anew;
    if (files_.empty() && !paths.empty()) files_.push_back(std::make_unique<RecordReader>(paths[0]));
    if (files_.empty()) return changed;
    for (std::size_t i = files_.size() - 1; i < paths.size(); ++i) {
      if (i == files_.size()) {
        settle(/*file_ends=*/true);
        files_.push_back(std::make_unique<RecordReader>(paths[i]));
      }
      changed |= read(*files_[i], warnings);
    }
    settle(/*file_ends=*/false);
    return changed;
  }

  void list(std::vector<const EventTag*>& tags) const {
    for (const auto& log : tags_) tags.push_back(&log->tag);
  }

 private:
  void start_anew() {
    files_.clear();
    tags_.clear();
    places_.clear();
    parser_ = {};
  }

  bool read(RecordReader& file, std::vector<std::string>& warnings) {
    if (!file.refresh()) return false;
    bool changed = false;
    const auto sink = [&](ParsedValue&& value) { changed |= add(std::move(value)); };
    for (std::string event; file.next(event);) {
      if (!parser_.parse(event, sink)) file.damage("a record is no TensorBoard event");
    }
    if (!file.problem().empty()) {
      warnings.push_back(file.path().string() + ": " + file.problem() + " (before byte " +
                         std::to_string(file.position()) + "); what follows is left out");
    }
    return changed;
  }

  bool add(ParsedValue&& value) {
    TagLog& log = tag_log(value.tag);
    if (const auto* number = std::get_if<double>(&value.content)) {
      log.numbers.add(log.tag.numbers, {value.step, value.wall_time, *number});
    } else if (auto* image = std::get_if<ParsedImage>(&value.content)) {
      log.images.add(log.tag.images, {value.step, value.wall_time, image->width, image->height, image->bytes});
    } else {
      auto& text = std::get<ParsedText>(value.content);
      auto& series = text.is_record ? log.records : log.texts;
      series.add(text.is_record ? log.tag.records : log.tag.texts, {value.step, value.wall_time, std::move(text.text)});
    }
    return true;
  }

  TagLog& tag_log(std::string_view tag) {
    if (const auto at = places_.find(tag); at != places_.end()) return *tags_[at->second];
    places_.emplace(tag, tags_.size());
    tags_.push_back(std::make_unique<TagLog>());
    tags_.back()->tag.name = prefix_ + std::string(tag);
    return *tags_.back();
  }

  void settle(bool file_ends) {
    for (const auto& log : tags_) log->settle(file_ends);
  }

  fs::path path_;
  std::string prefix_;
  std::vector<std::unique_ptr<RecordReader>> files_;
  std::vector<std::unique_ptr<TagLog>> tags_;
  std::map<std::string, std::size_t, std::less<>> places_;
  EventParser parser_;
};

EventReader::EventReader(fs::path directory, bool subdirectories)
    : directory_(std::move(directory)), subdirectories_(subdirectories) {
  folders_.push_back(std::make_unique<Folder>(directory_, ""));
}

EventReader::~EventReader() = default;

// Adds the subdirectories that are new, in the order of their names.
void EventReader::find_folders() {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory_, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_directory(ignored) && !entry->is_symlink(ignored)) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) {
    const auto known = [&](const auto& folder) { return folder->path() == path; };
    if (std::any_of(folders_.begin(), folders_.end(), known)) continue;
    folders_.push_back(std::make_unique<Folder>(path, path.lexically_relative(directory_).string() + "/"));
  }
}

bool EventReader::update() {
  if (subdirectories_) find_folders();
  bool changed = false;
  for (const auto& folder : folders_) changed |= folder->update(warnings_);
  return changed;
}

std::vector<const EventTag*> EventReader::tags() const {
  std::vector<const EventTag*> tags;
  for (const auto& folder : folders_) folder->list(tags);
  return tags;
}

ScalarLog read_scalars(const fs::path& directory) {
  EventReader reader(directory, /*subdirectories=*/false);
  reader.update();
  ScalarLog log{{}, reader.warnings()};
  for (const EventTag* tag : reader.tags())
    for (const EventPoint& point : tag->numbers)
      log.events.push_back({tag->name, point.step, point.wall_time, point.value});
  return log;
}

}  // namespace lockstep
