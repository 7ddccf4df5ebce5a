#include "lockstep/core/event_parser.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "lockstep/core/event_encoding.h"
#include "lockstep/core/wire_format.h"

namespace lockstep {
namespace {

// What a TensorProto holds, as far as it is of one of the types below.
struct Tensor {
  enum Type : std::uint64_t { kFloat = 1, kDouble = 2, kString = 7 };
  std::uint64_t type = 0;
  std::string_view content, floats, doubles;
  std::string single;  // unpacked float_val or double_val
  std::vector<std::string_view> strings;

  // Absent: bytes that are no message.
  static std::optional<Tensor> parse(std::string_view message) {
    Tensor tensor;
    wire::Reader reader(message);
    for (wire::Field field; reader.next(field);) {
      if (field.is(1, wire::Type::varint)) tensor.type = field.integer;
      if (field.is(4, wire::Type::bytes)) tensor.content = field.bytes;
      if (field.is(5, wire::Type::bytes)) tensor.floats = field.bytes;
      if (field.is(6, wire::Type::bytes)) tensor.doubles = field.bytes;
      if (field.is(8, wire::Type::bytes)) tensor.strings.push_back(field.bytes);
      if (field.is(5, wire::Type::fixed32)) wire::append_fixed(tensor.single, field.as_float());
      if (field.is(6, wire::Type::fixed64)) wire::append_fixed(tensor.single, field.as_double());
    }
    if (reader.damaged()) return std::nullopt;
    return tensor;
  }

  // The one number in it. Absent: another type or shape.
  std::optional<double> number() const {
    if (type != kFloat && type != kDouble) return std::nullopt;
    std::string_view bytes = !content.empty() ? content : type == kFloat ? floats : doubles;
    if (bytes.empty()) bytes = single;
    if (bytes.size() != (type == kFloat ? sizeof(float) : sizeof(double))) return std::nullopt;
    float narrow = 0;
    double wide = 0;
    std::memcpy(type == kFloat ? static_cast<void*>(&narrow) : &wide, bytes.data(), bytes.size());
    return type == kFloat ? narrow : wide;
  }
};

// SummaryMetadata.plugin_data.plugin_name
std::string_view plugin_name(std::string_view metadata) {
  std::string_view name;
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

// Summary.Image. Absent: no sound message.
std::optional<ParsedImage> parse_image(std::string_view message) {
  ParsedImage image;
  wire::Reader reader(message);
  for (wire::Field field; reader.next(field);) {
    if (field.is(1, wire::Type::varint)) image.height = static_cast<int>(field.integer);
    if (field.is(2, wire::Type::varint)) image.width = static_cast<int>(field.integer);
    if (field.is(4, wire::Type::bytes)) image.bytes = field.bytes.size();
  }
  if (reader.damaged()) return std::nullopt;
  return image;
}

int to_int(std::string_view text) {
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A tensor of the plugin's, as values. Absent: another shape than the plugin's.
std::optional<decltype(ParsedValue::content)> content_of(const Tensor& tensor, std::string_view plugin) {
  if (plugin == "scalars") {
    const auto number = tensor.number();
    if (number) return *number;
    return std::nullopt;
  }
  if (tensor.type != Tensor::kString) return std::nullopt;
  if (plugin == "images") {  // width, height, pictures
    if (tensor.strings.size() < 3) return std::nullopt;
    return ParsedImage{to_int(tensor.strings[0]), to_int(tensor.strings[1]), tensor.strings[2].size()};
  }
  if (plugin != "text" && plugin != kRecordPlugin) return std::nullopt;
  ParsedText text{{}, plugin == kRecordPlugin};
  for (std::size_t i = 0; i < tensor.strings.size(); ++i) {
    if (i > 0) text.text += '\n';
    text.text += tensor.strings[i];
  }
  return text;
}

}  // namespace

bool EventParser::parse(std::string_view event, const std::function<void(ParsedValue&&)>& sink) {
  ParsedValue value;
  std::string_view first;  // nearly always there is one summary
  std::vector<std::string_view> more;
  wire::Reader reader(event);
  for (wire::Field field; reader.next(field);) {
    if (field.is(1, wire::Type::fixed64)) value.wall_time = field.as_double();
    if (field.is(2, wire::Type::varint)) value.step = static_cast<std::int64_t>(field.integer);
    if (field.is(5, wire::Type::bytes)) {
      if (first.data() == nullptr)
        first = field.bytes;
      else
        more.push_back(field.bytes);
    }
  }
  if (reader.damaged() || std::isnan(value.wall_time)) return false;
  const auto parse_summary = [&](std::string_view summary) {
    wire::Reader values(summary);
    for (wire::Field field; values.next(field);) {
      if (field.is(1, wire::Type::bytes) && !parse_value(field.bytes, value, sink)) return false;
    }
    return !values.damaged();
  };
  if (!parse_summary(first)) return false;
  for (const std::string_view summary : more) {
    if (!parse_summary(summary)) return false;
  }
  return true;
}

bool EventParser::parse_value(std::string_view message, ParsedValue value,
                              const std::function<void(ParsedValue&&)>& sink) {
  std::optional<double> simple;
  std::optional<std::string_view> tensor, image;
  std::string_view plugin;
  wire::Reader reader(message);
  for (wire::Field field; reader.next(field);) {
    if (field.is(1, wire::Type::bytes)) value.tag = field.bytes;
    if (field.is(2, wire::Type::fixed32)) simple = field.as_float();
    if (field.is(4, wire::Type::bytes)) image = field.bytes;
    if (field.is(8, wire::Type::bytes)) tensor = field.bytes;
    if (field.is(9, wire::Type::bytes)) plugin = plugin_name(field.bytes);
  }
  if (reader.damaged()) return false;
  if (!plugin.empty()) plugins_.insert_or_assign(std::string(value.tag), std::string(plugin));
  if (simple) {
    value.content = *simple;
  } else if (image) {
    const auto parsed = parse_image(*image);
    if (!parsed) return false;
    value.content = *parsed;
  } else if (tensor) {
    const auto known = plugins_.find(value.tag);
    const auto parsed = Tensor::parse(*tensor);
    if (known == plugins_.end() || !parsed) return true;
    auto content = content_of(*parsed, known->second);
    if (!content) return true;
    value.content = std::move(*content);
  } else {
    return true;
  }
  sink(std::move(value));
  return true;
}

}  // namespace lockstep
