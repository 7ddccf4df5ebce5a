// The bytes of TensorBoard's events: TensorFlow's event.proto, summary.proto and tensor.proto by hand, and the frame
// around each record. Pure functions; event_file.h reads and writes the files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

// The first event of every file.
std::string encode_file_version(double wall_time);

// value: kept as float32 (event files hold no doubles); beyond its range it becomes infinite. NaN is allowed.
std::string encode_scalar(std::string_view tag, double value, std::int64_t step, double wall_time);

// For the "text" plugin: a string tensor without dimensions.
std::string encode_text(std::string_view tag, std::string_view value, std::int64_t step, double wall_time);

// A PNG or JPEG file, for the "images" plugin. channels: as Summary.Image counts them (1 grey, 3 RGB, 4 RGBA).
std::string encode_image(std::string_view tag, std::string_view file, int width, int height, int channels,
                         std::int64_t step, double wall_time);

// A string tensor under the plugin name kRecordPlugin: TensorBoard keeps it and shows nothing. Rows, tables and charts
// lie in these as JSON, exactly as they were logged.
inline constexpr std::string_view kRecordPlugin = "lockstep";
inline constexpr std::string_view kRecordPrefix = "lockstep:";  // tag of the record of metric NAME: lockstep:NAME
std::string encode_record(std::string_view tag, std::string_view json, std::int64_t step, double wall_time);

// u64 length | masked CRC-32C of it | event | masked CRC-32C of the event; numbers little-endian.
std::string frame_record(std::string_view event);

// `text` with U+FFFD for every byte that is not UTF-8: one bad byte would make readers refuse the whole file.
std::string valid_utf8(std::string_view text);

}  // namespace lockstep
