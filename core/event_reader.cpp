// The reader of event files: scalars of one directory, whoever wrote them.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "lockstep/core/crc32c.h"
#include "lockstep/core/event_file.h"
#include "lockstep/core/wire_format.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// Goes through the records of one file. Bounded by the file's size: a length in it can promise no more than is there.
class RecordReader {
 public:
  explicit RecordReader(const fs::path& path) : file_(std::fopen(path.c_str(), "rbe"), &std::fclose) {
    struct stat info {};
    if (file_ == nullptr || ::fstat(::fileno(file_.get()), &info) != 0) {
      problem_ = "cannot be read";
    } else {
      rest_ = static_cast<std::uint64_t>(info.st_size);
    }
  }

  // False at the end of what is complete, and at damage, which problem() then names.
  bool next(std::string& event) {
    constexpr std::uint64_t kHeader = 12, kTrailer = 4, kLongestRecord = 1 << 30;
    if (!problem_.empty() || rest_ < kHeader) return false;
    char header[kHeader];
    if (!take(header, kHeader)) return false;
    std::uint64_t length = 0;
    std::memcpy(&length, header, 8);
    if (stored_checksum(header + 8) != masked_crc32c({header, 8}))
      return damage("the checksum of a record's length is wrong");
    if (length > kLongestRecord) return damage("a record is longer than 1 GiB");
    if (length + kTrailer > rest_) return false;  // torn: the writer was killed
    event.resize(length);
    char trailer[kTrailer];
    if (!take(event.data(), length) || !take(trailer, kTrailer)) return false;
    if (stored_checksum(trailer) != masked_crc32c(event)) return damage("a record's checksum is wrong");
    return true;
  }

  bool damage(const std::string& what) {
    problem_ = what;
    return false;
  }
  const std::string& problem() const { return problem_; }
  std::uint64_t position() const { return position_; }

 private:
  static std::uint32_t stored_checksum(const char* bytes) {
    std::uint32_t value = 0;
    std::memcpy(&value, bytes, 4);
    return value;
  }

  bool take(char* bytes, std::uint64_t count) {
    if (std::fread(bytes, 1, count, file_.get()) != count) return damage("cannot be read to its end");
    rest_ -= count;
    position_ += count;
    return true;
  }

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::uint64_t rest_ = 0;
  std::uint64_t position_ = 0;
  std::string problem_;
};

// TensorProto: the one number in it. Absent: another type or shape, or bytes that are no message.
std::optional<double> tensor_number(std::string_view message) {
  constexpr std::uint64_t kFloat = 1, kDouble = 2;
  std::uint64_t type = 0;
  std::string_view content, floats, doubles;
  std::string single;  // unpacked float_val or double_val
  wire::Reader reader(message);
  for (wire::Field field; reader.next(field);) {
    if (field.is(1, wire::Type::varint)) type = field.integer;
    if (field.is(4, wire::Type::bytes)) content = field.bytes;
    if (field.is(5, wire::Type::bytes)) floats = field.bytes;
    if (field.is(6, wire::Type::bytes)) doubles = field.bytes;
    if (field.is(5, wire::Type::fixed32)) wire::append_fixed(single, field.as_float());
    if (field.is(6, wire::Type::fixed64)) wire::append_fixed(single, field.as_double());
  }
  if (reader.damaged() || (type != kFloat && type != kDouble)) return std::nullopt;
  std::string_view bytes = !content.empty() ? content : type == kFloat ? floats : doubles;
  if (bytes.empty()) bytes = single;
  if (bytes.size() != (type == kFloat ? sizeof(float) : sizeof(double))) return std::nullopt;
  float narrow = 0;
  double wide = 0;
  std::memcpy(type == kFloat ? static_cast<void*>(&narrow) : &wide, bytes.data(), bytes.size());
  return type == kFloat ? narrow : wide;
}

// SummaryMetadata.plugin_data.plugin_name
std::string plugin_name(std::string_view metadata) {
  std::string name;
  wire::Reader outer(metadata);
  for (wire::Field field; outer.next(field);) {
    if (!field.is(1, wire::Type::bytes)) continue;
    wire::Reader inner(field.bytes);
    for (wire::Field part; inner.next(part);) {
      if (part.is(1, wire::Type::bytes)) name = part.bytes;
    }
  }
  return name;
}

// Collects the scalars of all files, in the order in which tags appear.
class ScalarCollector {
 public:
  // False: `event` is no sound Event message.
  bool add(std::string_view event) {
    ScalarEvent scalar;
    std::vector<std::string_view> summaries;
    wire::Reader reader(event);
    for (wire::Field field; reader.next(field);) {
      if (field.is(1, wire::Type::fixed64)) scalar.wall_time = field.as_double();
      if (field.is(2, wire::Type::varint)) scalar.step = static_cast<std::int64_t>(field.integer);
      if (field.is(5, wire::Type::bytes)) summaries.push_back(field.bytes);
    }
    if (reader.damaged() || std::isnan(scalar.wall_time)) return false;
    for (const std::string_view summary : summaries) {
      wire::Reader values(summary);
      for (wire::Field field; values.next(field);) {
        if (field.is(1, wire::Type::bytes) && !add_value(field.bytes, scalar)) return false;
      }
      if (values.damaged()) return false;
    }
    return true;
  }

  // What a file says of a step and later replaces what earlier files said: the run was resumed there.
  void end_file() {
    for (Tag& tag : tags_) {
      const auto earlier = tag.events.begin() + static_cast<std::ptrdiff_t>(tag.earlier);
      if (earlier == tag.events.end()) continue;
      const auto by_step = [](const ScalarEvent& a, const ScalarEvent& b) { return a.step < b.step; };
      const std::int64_t resumed = std::min_element(earlier, tag.events.end(), by_step)->step;
      tag.events.erase(std::remove_if(tag.events.begin(), earlier, [&](const auto& e) { return e.step >= resumed; }),
                       earlier);
      std::stable_sort(tag.events.begin(), tag.events.end(), by_step);
      tag.earlier = tag.events.size();
    }
  }

  std::vector<ScalarEvent> events() && {
    std::vector<ScalarEvent> all;
    for (Tag& tag : tags_) std::move(tag.events.begin(), tag.events.end(), std::back_inserter(all));
    return all;
  }

 private:
  struct Tag {
    std::vector<ScalarEvent> events;
    std::size_t earlier = 0;  // so many of them are from earlier files
  };

  bool add_value(std::string_view message, ScalarEvent scalar) {
    std::string_view tensor;
    bool simple = false, has_tensor = false;
    std::string plugin;
    wire::Reader reader(message);
    for (wire::Field field; reader.next(field);) {
      if (field.is(1, wire::Type::bytes)) scalar.tag = field.bytes;
      if (field.is(2, wire::Type::fixed32)) simple = true, scalar.value = field.as_float();
      if (field.is(8, wire::Type::bytes)) has_tensor = true, tensor = field.bytes;
      if (field.is(9, wire::Type::bytes)) plugin = plugin_name(field.bytes);
    }
    if (reader.damaged()) return false;
    if (plugin == "scalars") tensor_scalars_.insert(scalar.tag);  // said only once per tag
    if (!simple && has_tensor && tensor_scalars_.contains(scalar.tag)) {
      const auto number = tensor_number(tensor);
      if (!number) return true;
      scalar.value = *number;
      simple = true;
    }
    if (simple) tag_log(scalar.tag).events.push_back(std::move(scalar));
    return true;
  }

  Tag& tag_log(const std::string& tag) {
    const auto [at, is_new] = places_.try_emplace(tag, tags_.size());
    if (is_new) tags_.emplace_back();
    return tags_[at->second];
  }

  std::vector<Tag> tags_;
  std::map<std::string, std::size_t> places_;
  std::set<std::string> tensor_scalars_;
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

ScalarLog read_scalars(const fs::path& directory) {
  ScalarLog log;
  ScalarCollector collector;
  for (const fs::path& path : event_files(directory)) {
    RecordReader reader(path);
    std::string event;
    while (reader.next(event)) {
      if (!collector.add(event)) reader.damage("a record is no TensorBoard event");
    }
    if (!reader.problem().empty()) {
      log.warnings.push_back(path.string() + ": " + reader.problem() + " (before byte " +
                             std::to_string(reader.position()) + "); what follows is left out");
    }
    collector.end_file();
  }
  log.events = std::move(collector).events();
  return log;
}

}  // namespace lockstep
