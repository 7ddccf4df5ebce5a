// Tags, which change, and properties, which do not.
#include <filesystem>

#include "lockstep/core/publish.h"
#include "lockstep/core/run_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// Records never fail for bytes that are not UTF-8; they become U+FFFD.
std::string to_text(const ordered_json& json) {
  return json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

// {"key": "value", …}; an absent file is an empty one.
ordered_json read_object(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return ordered_json::object();
  ordered_json json = ordered_json::parse(read_file(path, 16 << 20), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    fail(ErrorKind::corrupt_data, "not a JSON object", "restore it, or delete it to start anew", path.string());
  return json;
}

}  // namespace

void Run::tag(const std::string& key, const std::string& value) {
  if (!state_->writes) return;
  if (state_->offline) {
    state_->tags[key] = value;
    return;
  }
  const fs::path path = state_->directory / "tags.json";
  ordered_json tags = read_object(path);
  tags[key] = value;
  publish_file(path, to_text(tags));
}

void Run::add_property(const std::string& key, const std::string& value) {
  if (!state_->writes) return;
  const fs::path path = state_->directory / "properties.json";
  ordered_json properties = state_->offline ? state_->properties : read_object(path);
  if (const auto known = properties.find(key); known != properties.end()) {
    if (*known == value) return;
    const std::string old = known->is_string() ? known->get<std::string>() : known->dump();
    fail(ErrorKind::usage, "the property " + key + " is '" + old + "' already and cannot become '" + value + "'",
         "properties are written once; a tag can change");
  }
  properties[key] = value;
  if (state_->offline) {
    state_->properties = std::move(properties);
  } else {
    publish_file(path, to_text(properties));
  }
}

}  // namespace lockstep
