#include "lockstep/data/hdf5_dataset.h"

#include <cmath>
#include <cstring>

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/mapped_file.h"

namespace lockstep {

namespace {

namespace format = dataset_format;

// What open() finds out.
struct Split {
  MappedFile map;
  std::string name;
  std::vector<std::string> class_names;
  std::vector<float> mean, std_deviation;
  std::int64_t count = 0;
  std::array<std::int64_t, 3> shape{};
  std::int64_t image_bytes = 0;
  const std::uint8_t* images = nullptr;
  const std::uint8_t* labels = nullptr;
  Hdf5Type label_type = Hdf5Type::uint8;

  std::int64_t label(std::int64_t sample) const {
    if (label_type == Hdf5Type::uint8) return labels[sample];
    std::int64_t value = 0;  // little-endian, at any address
    std::memcpy(&value, labels + sample * 8, sizeof value);
    return value;
  }
};

[[noreturn]] void refuse(const Hdf5File& file, const std::string& object, const std::string& what,
                         std::string hint = {}) {
  fail(ErrorKind::usage, what, std::move(hint), file.path().string() + (object.empty() ? "" : ", " + object));
}

void check_format(const Hdf5File& file) {
  const bool named = file.has_attribute("/", "format") && file.read_string("/", "format") == format::kFormat;
  if (!named) {
    refuse(file, {}, "is an HDF5 file, but no data set of Lockstep (attribute format is not \"lockstep-dataset\")",
           "data/README.md describes the layout; `lockstep data import` makes such files");
  }
  const std::int64_t version = file.read_integer("/", "format_version");
  if (version != format::kVersion) {
    refuse(file, {},
           "has format_version " + std::to_string(version) + ", this program reads " + std::to_string(format::kVersion),
           version > format::kVersion ? "update Lockstep" : "");
  }
}

// One finite value per channel.
std::vector<float> channel_values(const Hdf5File& file, const std::string& name, std::int64_t channels) {
  const std::vector<double> values = file.read_numbers("/", name);
  if (static_cast<std::int64_t>(values.size()) != channels) {
    refuse(file, {},
           "attribute " + name + " has " + std::to_string(values.size()) + " values, expected one for each of " +
               std::to_string(channels) + " channels");
  }
  for (const double value : values) {
    if (!std::isfinite(value) || (name == "std" && value <= 0))
      refuse(file, {}, "attribute " + name + " holds " + std::to_string(value));
  }
  return {values.begin(), values.end()};
}

// The array's bytes must have a place in the file to be mapped.
Hdf5ArrayInfo mappable(const Hdf5File& file, const std::string& dataset) {
  const Hdf5ArrayInfo info = file.array_info(dataset);
  if (info.bytes == 0) refuse(file, dataset, "has no samples");
  if (info.offset < 0) refuse(file, dataset, "lies in the object's header; store it contiguous");
  return info;
}

std::string split_names(const Hdf5File& file) {
  std::string text;
  for (const std::string& name : file.names("/")) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

void read_split(const Hdf5File& file, const std::string& split, Split& state) {
  if (!file.has(format::group(split))) refuse(file, {}, "has no split \"" + split + "\"; it has: " + split_names(file));
  const std::string images = format::images(split), labels = format::labels(split);
  const Hdf5ArrayInfo pixel = mappable(file, images), label = mappable(file, labels);
  if (pixel.type != Hdf5Type::uint8 || pixel.shape.size() != 4) {
    refuse(file, images, "is not an array of uint8 with 4 dimensions (samples, channels, height, width)");
  }
  if ((label.type != Hdf5Type::uint8 && label.type != Hdf5Type::int64) || label.shape.size() != 1) {
    refuse(file, labels, "is not a list of uint8 or int64");
  }
  if (label.shape[0] != pixel.shape[0]) {
    refuse(file, labels,
           "holds " + std::to_string(label.shape[0]) + " labels for " + std::to_string(pixel.shape[0]) + " images");
  }
  state.count = pixel.shape[0];
  state.shape = {pixel.shape[1], pixel.shape[2], pixel.shape[3]};
  state.image_bytes = pixel.bytes / state.count;
  state.label_type = label.type;
  state.map = MappedFile(file.path());
  state.images = state.map.at(pixel.offset, pixel.bytes);
  state.labels = state.map.at(label.offset, label.bytes);
}

void check_labels(const Hdf5File& file, const std::string& split, const Split& state) {
  const auto classes = static_cast<std::int64_t>(state.class_names.size());
  for (std::int64_t sample = 0; sample < state.count; ++sample) {
    const std::int64_t label = state.label(sample);
    if (label >= 0 && label < classes) continue;
    refuse(file, format::labels(split),
           "sample " + std::to_string(sample) + " has label " + std::to_string(label) + ", expected 0 to " +
               std::to_string(classes - 1));
  }
}

}  // namespace

struct Hdf5Dataset::State : Split {};

Result<Hdf5Dataset> Hdf5Dataset::open(const std::filesystem::path& path, const std::string& split, Labels labels) {
  try {
    const Hdf5File file = Hdf5File::open(path, ErrorKind::usage);
    check_format(file);
    auto state = std::make_unique<State>();
    state->name = file.has_attribute("/", "name") ? file.read_string("/", "name") : path.stem().string();
    state->class_names = file.read_strings("/", "class_names");
    if (state->class_names.empty()) refuse(file, {}, "attribute class_names is empty");
    read_split(file, split, *state);
    state->mean = channel_values(file, "mean", state->shape[0]);
    state->std_deviation = channel_values(file, "std", state->shape[0]);
    if (labels == Labels::checked) check_labels(file, split, *state);
    return Hdf5Dataset(std::move(state));
  } catch (const Failure& failure) {
    return failure.error();
  }
}

Hdf5Dataset::Hdf5Dataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hdf5Dataset::Hdf5Dataset(Hdf5Dataset&&) noexcept = default;
Hdf5Dataset& Hdf5Dataset::operator=(Hdf5Dataset&&) noexcept = default;
Hdf5Dataset::~Hdf5Dataset() = default;

std::int64_t Hdf5Dataset::count() const { return state_->count; }
std::array<std::int64_t, 3> Hdf5Dataset::image_shape() const { return state_->shape; }
std::int64_t Hdf5Dataset::class_count() const { return static_cast<std::int64_t>(state_->class_names.size()); }
const std::vector<std::string>& Hdf5Dataset::class_names() const { return state_->class_names; }
const std::vector<float>& Hdf5Dataset::mean() const { return state_->mean; }
const std::vector<float>& Hdf5Dataset::std_deviation() const { return state_->std_deviation; }
const std::string& Hdf5Dataset::name() const { return state_->name; }
const std::uint8_t* Hdf5Dataset::image(std::int64_t sample) const {
  return state_->images + sample * state_->image_bytes;
}
std::int64_t Hdf5Dataset::label(std::int64_t sample) const { return state_->label(sample); }

}  // namespace lockstep
