// What a run logs as pictures and charts.
#include "lockstep/core/event_encoding.h"
#include "lockstep/core/image_size.h"
#include "lockstep/core/metric_values.h"
#include "lockstep/core/plot_png.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_state.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

void check(std::string_view name, const ConfusionMatrix& matrix) {
  const std::size_t classes = matrix.labels.size();
  const auto refuse = [&](const std::string& what) {
    fail(ErrorKind::usage, "the confusion matrix " + std::string(name) + " has " + what,
         "one row and one column for each label");
  };
  if (classes == 0) refuse("no labels");
  if (matrix.values.size() != classes)
    refuse(std::to_string(classes) + " labels and " + std::to_string(matrix.values.size()) + " rows");
  for (std::size_t i = 0; i < classes; ++i) {
    if (matrix.values[i].size() != classes)
      refuse(std::to_string(classes) + " labels, and row " + std::to_string(i) + " has " +
             std::to_string(matrix.values[i].size()) + " values");
  }
}

// The numbers with their labels, for TensorBoard's text tab.
std::string markdown(const ConfusionMatrix& matrix) {
  std::string text = "|true \\ predicted", rule = "|---";
  for (const std::string& label : matrix.labels) text += "|" + label, rule += "|---:";
  text += "|\n" + rule + "|\n";
  for (std::size_t i = 0; i < matrix.labels.size(); ++i) {
    text += "|" + matrix.labels[i];
    for (const double value : matrix.values[i]) text += "|" + to_line(value);
    text += "|\n";
  }
  return text;
}

}  // namespace

void Run::log_image(std::string_view name, const std::filesystem::path& file, std::optional<std::int64_t> step) {
  if (!state_->logs || !state_->writes) return;
  std::string bytes;
  try {
    bytes = read_file(file);
  } catch (const Failure& failure) {
    fail(ErrorKind::usage, failure.error().what, failure.error().hint, "image " + std::string(name));
  }
  const auto size = image_size(bytes);
  if (!size)
    fail(ErrorKind::usage, file.string() + " is neither a PNG nor a JPEG file", "save the picture as one of the two",
         "image " + std::string(name));
  const std::int64_t at = state_->step_for(name, step);
  state_->write([&](EventFileWriter& writer) {
    return writer.image(name, bytes, size->width, size->height, size->channels, at);
  });
}

void Run::log_confusion_matrix(std::string_view name, const ConfusionMatrix& matrix) {
  check(name, matrix);
  const std::int64_t step = state_->step_for(name, {});
  const ordered_json chart = {{"schema_type", "confusion_matrix"},
                              {"schema_version", "v1"},
                              {"data", {{"class_labels", matrix.labels}, {"matrix", matrix.values}}}};
  state_->write([&](EventFileWriter& writer) {
    const Picture picture = draw(matrix);
    return writer.record(std::string(kRecordPrefix) + std::string(name), to_line({{"chart", chart}}), step) &&
           writer.image(name, encode_png(picture), picture.width, picture.height, 3, step) &&
           writer.text(std::string(name) + "/table", markdown(matrix), step);
  });
}

void Run::State::log_chart(std::string_view name, const ordered_json& value) {
  if (!value.is_object())
    fail(ErrorKind::usage, "the chart " + std::string(name) + " is " + to_line(value) + ", expected a JSON object",
         "give the object of Azure ML's schema: schema_type, schema_version, data");
  const std::int64_t step = step_for(name, {});
  write([&](EventFileWriter& writer) {
    const std::string text = value.dump(2, ' ', false, ordered_json::error_handler_t::replace);
    return writer.record(std::string(kRecordPrefix) + std::string(name), to_line({{"chart", value}}), step) &&
           writer.text(name, "```json\n" + text + "\n```", step);
  });
}

void Run::log_accuracy_table(std::string_view name, const ordered_json& value) { state_->log_chart(name, value); }
void Run::log_residuals(std::string_view name, const ordered_json& value) { state_->log_chart(name, value); }
void Run::log_predictions(std::string_view name, const ordered_json& value) { state_->log_chart(name, value); }

}  // namespace lockstep
