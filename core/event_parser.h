// TensorBoard's Event messages taken apart.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace lockstep {

struct ParsedText {
  std::string text;
  bool is_record = false;  // plugin "lockstep", and not "text"
};

struct ParsedImage {
  int width = 0, height = 0;
  std::size_t bytes = 0;
};

struct ParsedValue {
  std::string_view tag;  // into the event
  std::int64_t step = 0;
  double wall_time = 0;
  std::variant<double, ParsedText, ParsedImage> content;
};

// Remembers which plugin a tag belongs to: that is said with its first value alone.
class EventParser {
 public:
  // Hands each value that Lockstep understands to `sink`. False: `event` is no sound Event message. Any bytes are safe.
  bool parse(std::string_view event, const std::function<void(ParsedValue&&)>& sink);

 private:
  bool parse_value(std::string_view message, ParsedValue value, const std::function<void(ParsedValue&&)>& sink);
  std::map<std::string, std::string, std::less<>> plugins_;
};

}  // namespace lockstep
