// Tags, which change, and properties, which do not. A job and people outside may write at once: each change is read,
// made and published under a claim.
#include <filesystem>
#include <functional>

#include "lockstep/core/claim.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_state.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Labels = std::map<std::string, std::string>;

constexpr const char* kTags = "tags.json";
constexpr const char* kProperties = "properties.json";
constexpr double kPatienceSeconds = 30;

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

std::string text_of(const ordered_json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

Labels to_labels(const ordered_json& json) {
  Labels labels;
  for (const auto& [key, value] : json.items()) labels[key] = text_of(value);
  return labels;
}

// change: returns false when nothing is to be written.
void change_file(const fs::path& path, const std::function<bool(ordered_json&)>& change) {
  const Claim claim = Claim::take(path.parent_path() / ("." + path.stem().string() + ".claim"), kPatienceSeconds);
  ordered_json json = read_object(path);
  if (change(json)) publish_file(path, to_text(json));
}

bool add_facts(ordered_json& properties, const Labels& facts) {
  bool changed = false;
  for (const auto& [key, value] : facts) {
    const auto known = properties.find(key);
    if (known == properties.end()) {
      changed = true;
    } else if (text_of(*known) != value) {
      fail(ErrorKind::usage,
           "the property " + key + " is '" + text_of(*known) + "' already and cannot become '" + value + "'",
           "properties are written once; a tag can change");
    }
  }
  for (const auto& [key, value] : facts) properties[key] = value;
  return changed;
}

}  // namespace

void Run::tag(const std::string& key, const std::string& value) { set_tags({{key, value}}); }

void Run::set_tags(const Labels& tags) {
  if (!state_->writes) return;
  const auto change = [&](ordered_json& json) {
    for (const auto& [key, value] : tags) json[key] = value;
    return !tags.empty();
  };
  if (state_->offline)
    change(state_->tags);
  else
    change_file(state_->directory / kTags, change);
}

void Run::remove_tags(const std::vector<std::string>& keys) {
  if (!state_->writes) return;
  const auto change = [&](ordered_json& json) {
    bool changed = false;
    for (const std::string& key : keys) changed = json.erase(key) > 0 || changed;
    return changed;
  };
  if (state_->offline)
    change(state_->tags);
  else
    change_file(state_->directory / kTags, change);
}

Labels Run::get_tags() const {
  return to_labels(state_->offline ? state_->tags : read_object(state_->directory / kTags));
}

void Run::add_property(const std::string& key, const std::string& value) { add_properties({{key, value}}); }

void Run::add_properties(const Labels& properties) {
  if (!state_->writes) return;
  if (state_->offline) {
    add_facts(state_->properties, properties);
    return;
  }
  change_file(state_->directory / kProperties, [&](ordered_json& json) { return add_facts(json, properties); });
}

Labels Run::get_properties() const {
  return to_labels(state_->offline ? state_->properties : read_object(state_->directory / kProperties));
}

}  // namespace lockstep
