#include "lockstep/core/event_encoding.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "lockstep/core/crc32c.h"
#include "lockstep/core/wire_format.h"

namespace lockstep {
namespace {

constexpr std::int64_t kTypeString = 7;   // DataType.DT_STRING
constexpr std::int64_t kClassTensor = 2;  // DataClass.DATA_CLASS_TENSOR

std::string event_at(double wall_time, std::int64_t step) {
  std::string event;
  event.reserve(96);
  wire::append_double(event, 1, wall_time);
  if (step != 0) wire::append_integer(event, 2, step);
  return event;
}

// Event.summary (5) with one Summary.value (1).
std::string with_value(std::string event, std::string_view value) {
  std::string summary;
  summary.reserve(value.size() + 8);
  wire::append_bytes(summary, 1, value);
  wire::append_bytes(event, 5, summary);
  return event;
}

// A string tensor without dimensions.
std::string encode_string(std::string_view plugin_name, std::string_view tag, std::string_view value, std::int64_t step,
                          double wall_time) {
  std::string tensor;
  wire::append_integer(tensor, 1, kTypeString);
  wire::append_bytes(tensor, 2, {});  // tensor_shape: no dimensions
  wire::append_bytes(tensor, 8, valid_utf8(value));

  std::string plugin, metadata;
  wire::append_bytes(plugin, 1, plugin_name);
  wire::append_bytes(metadata, 1, plugin);
  wire::append_integer(metadata, 4, kClassTensor);

  std::string content;
  wire::append_bytes(content, 1, valid_utf8(tag));
  wire::append_bytes(content, 8, tensor);
  wire::append_bytes(content, 9, metadata);
  return with_value(event_at(wall_time, step), content);
}

// A conversion out of range would be undefined behaviour.
float to_float(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (std::abs(value) > kLargest)
    return std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(std::copysign(1.0, value)));
  return static_cast<float>(value);
}

// How many bytes the UTF-8 character at the front of `text` has; 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : (lead & 0xF0) == 0xE0       ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) >= 0xA0;
  const bool beyond = lead == 0xF4 && byte(1) >= 0x90;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

std::string encode_file_version(double wall_time) {
  std::string event = event_at(wall_time, 0);
  wire::append_bytes(event, 3, "brain.Event:2");
  return event;
}

std::string encode_scalar(std::string_view tag, double value, std::int64_t step, double wall_time) {
  std::string content;
  content.reserve(tag.size() + 16);
  wire::append_bytes(content, 1, valid_utf8(tag));
  wire::append_float(content, 2, to_float(value));  // Value.simple_value
  return with_value(event_at(wall_time, step), content);
}

std::string encode_text(std::string_view tag, std::string_view value, std::int64_t step, double wall_time) {
  return encode_string("text", tag, value, step, wall_time);
}

std::string encode_record(std::string_view tag, std::string_view json, std::int64_t step, double wall_time) {
  return encode_string(kRecordPlugin, tag, json, step, wall_time);
}

std::string encode_image(std::string_view tag, std::string_view file, int width, int height, int channels,
                         std::int64_t step, double wall_time) {
  std::string image, content;
  wire::append_integer(image, 1, height);
  wire::append_integer(image, 2, width);
  wire::append_integer(image, 3, channels);
  wire::append_bytes(image, 4, file);
  wire::append_bytes(content, 1, valid_utf8(tag));
  wire::append_bytes(content, 4, image);
  return with_value(event_at(wall_time, step), content);
}

std::string frame_record(std::string_view event) {
  std::string record;
  record.reserve(event.size() + 16);
  wire::append_fixed(record, static_cast<std::uint64_t>(event.size()));
  wire::append_fixed(record, masked_crc32c(record));
  record += event;
  wire::append_fixed(record, masked_crc32c(event));
  return record;
}

std::string valid_utf8(std::string_view text) {
  const auto ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), ascii)) return std::string(text);
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    valid += length == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

}  // namespace lockstep
