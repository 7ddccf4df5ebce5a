// Datasets of Hdf5File: contiguous arrays, so that they can be mapped and are found at one offset.
#include <array>

#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/hdf5_id.h"

namespace lockstep {
namespace {

constexpr int kMostDimensions = 16;
constexpr std::int64_t kMostTexts = 1 << 24;  // a guard against sizes made up by a hostile file
constexpr const char* kDtype = "dtype";       // attribute that tells bfloat16 from uint16

struct TypeRow {
  Hdf5Type type;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<TypeRow, 6> kTypes{{{Hdf5Type::uint8, "uint8", 1},
                                         {Hdf5Type::int32, "int32", 4},
                                         {Hdf5Type::int64, "int64", 8},
                                         {Hdf5Type::float32, "float32", 4},
                                         {Hdf5Type::float64, "float64", 8},
                                         {Hdf5Type::bfloat16, "bfloat16", 2}}};

hid_t file_type(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::uint8:
      return H5T_STD_U8LE;
    case Hdf5Type::int32:
      return H5T_STD_I32LE;
    case Hdf5Type::int64:
      return H5T_STD_I64LE;
    case Hdf5Type::float32:
      return H5T_IEEE_F32LE;
    case Hdf5Type::float64:
      return H5T_IEEE_F64LE;
    case Hdf5Type::bfloat16:
      return H5T_STD_U16LE;
  }
  return -1;
}

hid_t memory_type(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::uint8:
      return H5T_NATIVE_UINT8;
    case Hdf5Type::int32:
      return H5T_NATIVE_INT32;
    case Hdf5Type::int64:
      return H5T_NATIVE_INT64;
    case Hdf5Type::float32:
      return H5T_NATIVE_FLOAT;
    case Hdf5Type::float64:
      return H5T_NATIVE_DOUBLE;
    case Hdf5Type::bfloat16:
      return H5T_NATIVE_UINT16;
  }
  return -1;
}

// Only the types written here: a big-endian array would need a conversion that mapped bytes do not get.
bool matches(hid_t found, Hdf5Type type) { return H5Tequal(found, file_type(type)) > 0; }

std::vector<hsize_t> extents(const Hdf5Shape& shape) { return {shape.begin(), shape.end()}; }

Hdf5Id array_space(const Hdf5Shape& shape) {
  if (shape.empty()) return Hdf5Id(H5Screate(H5S_SCALAR), H5Sclose);
  const auto extent = extents(shape);
  return Hdf5Id(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose);
}

// Contiguous, with its place in the file fixed at once and no time stamps: the same data give the same bytes.
Hdf5Id creation_list() {
  Hdf5Id list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_layout(list.get(), H5D_CONTIGUOUS);
  H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(list.get(), H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(list.get(), false);
  return list;
}

std::string shape_text(const Hdf5Shape& shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

// Bytes of an array, or -1 when that overflows.
std::int64_t array_bytes(Hdf5Type type, const Hdf5Shape& shape) {
  std::int64_t bytes = static_cast<std::int64_t>(byte_size(type));
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) return -1;
  }
  return bytes;
}

}  // namespace

std::size_t byte_size(Hdf5Type type) { return kTypes.at(static_cast<std::size_t>(type)).bytes; }
std::string_view type_name(Hdf5Type type) { return kTypes.at(static_cast<std::size_t>(type)).name; }

void Hdf5File::create_array(const std::string& dataset, Hdf5Type type, const Hdf5Shape& shape) {
  const Hdf5Scope scope;
  if (array_bytes(type, shape) < 0) refuse_write(dataset, "shape " + shape_text(shape) + " is too large");
  const Hdf5Id space = array_space(shape);
  const Hdf5Id list = creation_list();
  Hdf5Id id(H5Dcreate2(id_, dataset.c_str(), file_type(type), space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT),
            H5Dclose);
  if (!id.valid() || !id.close()) refuse_write(dataset, "the dataset cannot be created");
  if (type == Hdf5Type::bfloat16) write_string(dataset, kDtype, "bfloat16");
}

void Hdf5File::write_array(const std::string& dataset, Hdf5Type type, const Hdf5Shape& shape, const void* data) {
  const Hdf5Scope scope;
  create_array(dataset, type, shape);
  if (array_bytes(type, shape) == 0) return;
  Hdf5Id id(H5Dopen2(id_, dataset.c_str(), H5P_DEFAULT), H5Dclose);
  if (!id.valid() || H5Dwrite(id.get(), memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0 || !id.close()) {
    refuse_write(dataset, "the elements cannot be written");
  }
}

void Hdf5File::write_rows(const std::string& dataset, std::int64_t first, std::int64_t count, const void* data) {
  const Hdf5Scope scope;
  const Hdf5ArrayInfo info = array_info(dataset);
  if (info.shape.empty() || first < 0 || count < 0 || first > info.shape[0] - count) {
    fail(ErrorKind::internal,
         "rows " + std::to_string(first) + " to " + std::to_string(first + count) + " are outside of " +
             shape_text(info.shape),
         {}, path_.string() + ", " + dataset);
  }
  if (count == 0) return;
  std::vector<hsize_t> start(info.shape.size(), 0), extent = extents(info.shape);
  start[0] = static_cast<hsize_t>(first);
  extent[0] = static_cast<hsize_t>(count);
  Hdf5Id id(H5Dopen2(id_, dataset.c_str(), H5P_DEFAULT), H5Dclose);
  const Hdf5Id rows(H5Dget_space(id.get()), H5Sclose);
  const Hdf5Id memory(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose);
  H5Sselect_hyperslab(rows.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr);
  if (H5Dwrite(id.get(), memory_type(info.type), memory.get(), rows.get(), H5P_DEFAULT, data) < 0 || !id.close()) {
    refuse_write(dataset,
                 "rows " + std::to_string(first) + " to " + std::to_string(first + count) + " cannot be written");
  }
}

// What array_info() looks at, one question each.
struct Hdf5Arrays {
  static Hdf5Shape shape(const Hdf5File& file, const std::string& dataset, hid_t id) {
    const Hdf5Id space(H5Dget_space(id), H5Sclose);
    const int dimensions = H5Sget_simple_extent_ndims(space.get());
    if (H5Sget_simple_extent_type(space.get()) == H5S_NULL || dimensions < 0 || dimensions > kMostDimensions) {
      file.refuse(dataset, "has no elements or more than " + std::to_string(kMostDimensions) + " dimensions");
    }
    std::vector<hsize_t> extent(static_cast<std::size_t>(dimensions));
    H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr);
    return {extent.begin(), extent.end()};  // beyond 2^63: negative, refused by array_bytes
  }

  static Hdf5Type type(const Hdf5File& file, const std::string& dataset, hid_t id) {
    const Hdf5Id found(H5Dget_type(id), H5Tclose);
    for (const TypeRow& row : kTypes) {
      if (!matches(found.get(), row.type)) continue;
      if (row.type != Hdf5Type::bfloat16) return row.type;
      if (file.has_attribute(dataset, kDtype) && file.read_string(dataset, kDtype) == "bfloat16") return row.type;
    }
    file.refuse(dataset,
                "has an element type other than uint8, int32, int64, float32, float64 (little-endian), bfloat16");
  }

  // Plain storage inside this very file. External storage would read any file; filters would load plug-ins.
  static H5D_layout_t layout(const Hdf5File& file, const std::string& dataset, hid_t id) {
    const Hdf5Id list(H5Dget_create_plist(id), H5Pclose);
    const H5D_layout_t layout = H5Pget_layout(list.get());
    if (H5Pget_external_count(list.get()) != 0) file.refuse(dataset, "keeps its elements in another file");
    if (H5Pget_nfilters(list.get()) != 0)
      file.refuse(dataset, "is compressed or filtered; store it contiguous and unfiltered");
    if (layout != H5D_CONTIGUOUS && layout != H5D_COMPACT)
      file.refuse(dataset, "is chunked or virtual; store it contiguous");
    return layout;
  }
};

Hdf5ArrayInfo Hdf5File::array_info(const std::string& dataset) const {
  const Hdf5Scope scope;
  const Hdf5Id id(open_object(dataset), H5Oclose);
  if (H5Iget_type(id.get()) != H5I_DATASET) refuse(dataset, "is not a dataset");
  Hdf5ArrayInfo info;
  const H5D_layout_t layout = Hdf5Arrays::layout(*this, dataset, id.get());
  info.type = Hdf5Arrays::type(*this, dataset, id.get());
  info.shape = Hdf5Arrays::shape(*this, dataset, id.get());
  info.bytes = array_bytes(info.type, info.shape);
  const auto stored = static_cast<std::int64_t>(H5Dget_storage_size(id.get()));
  if (info.bytes < 0 || stored != info.bytes) {
    refuse(dataset, "claims the shape " + shape_text(info.shape) + " of " + std::string(type_name(info.type)) +
                        ", but " + std::to_string(stored) + " bytes are stored");
  }
  if (layout == H5D_CONTIGUOUS && info.bytes > 0) {
    const haddr_t offset = H5Dget_offset(id.get());
    if (offset != HADDR_UNDEF) info.offset = static_cast<std::int64_t>(offset);
  }
  const bool reading = file_bytes_ > 0;
  if (reading && layout == H5D_CONTIGUOUS && info.bytes > 0 &&
      (info.offset < 0 || info.bytes > file_bytes_ || info.offset > file_bytes_ - info.bytes)) {
    refuse(dataset, "needs bytes " + std::to_string(info.offset) + " to " + std::to_string(info.offset + info.bytes) +
                        ", but the file has " + std::to_string(file_bytes_));
  }
  return info;
}

void Hdf5File::read_array(const std::string& dataset, Hdf5Type type, const Hdf5Shape& shape, void* data) const {
  const Hdf5Scope scope;
  const Hdf5ArrayInfo info = array_info(dataset);
  if (info.type != type || info.shape != shape) {
    refuse(dataset, "is " + std::string(type_name(info.type)) + " " + shape_text(info.shape) + ", expected " +
                        std::string(type_name(type)) + " " + shape_text(shape));
  }
  if (info.bytes == 0) return;
  const Hdf5Id id(open_object(dataset), H5Oclose);
  if (H5Dread(id.get(), memory_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    refuse(dataset, "cannot be read: " + hdf5_reason());
  }
}

void Hdf5File::write_texts(const std::string& dataset, std::span<const std::string> values) {
  const Hdf5Scope scope;
  const Hdf5Id space = array_space({static_cast<std::int64_t>(values.size())}), type = hdf5_text_type();
  const Hdf5Id list = creation_list();
  H5Pset_fill_time(list.get(), H5D_FILL_TIME_IFSET);  // text needs it: the references must not be chance bytes
  std::vector<const char*> texts;
  for (const std::string& value : values) texts.push_back(value.c_str());
  Hdf5Id id(H5Dcreate2(id_, dataset.c_str(), type.get(), space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT), H5Dclose);
  const bool written =
      id.valid() && (texts.empty() || H5Dwrite(id.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, texts.data()) >= 0);
  if (!written || !id.close()) refuse_write(dataset, "the texts cannot be written");
}

std::vector<std::string> Hdf5File::read_texts(const std::string& dataset) const {
  const Hdf5Scope scope;
  const Hdf5Id id(open_object(dataset), H5Oclose);
  if (H5Iget_type(id.get()) != H5I_DATASET) refuse(dataset, "is not a dataset");
  Hdf5Arrays::layout(*this, dataset, id.get());
  const Hdf5Id found(H5Dget_type(id.get()), H5Tclose);
  if (H5Tget_class(found.get()) != H5T_STRING || H5Tis_variable_str(found.get()) <= 0)
    refuse(dataset, "is not text of variable length");
  const Hdf5Shape shape = Hdf5Arrays::shape(*this, dataset, id.get());
  if (shape.size() != 1 || shape[0] < 0 || shape[0] > kMostTexts) refuse(dataset, "is not a list of texts");
  std::vector<char*> texts(static_cast<std::size_t>(shape[0]), nullptr);
  if (texts.empty()) return {};
  const bool read = H5Dread(id.get(), found.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, texts.data()) >= 0;
  const std::string reason = read ? "" : hdf5_reason();
  std::vector<std::string> values;
  for (const char* text : texts) values.emplace_back(text == nullptr ? "" : text);
  const Hdf5Id space(H5Dget_space(id.get()), H5Sclose);
  H5Dvlen_reclaim(found.get(), space.get(), H5P_DEFAULT, texts.data());
  if (!read) refuse(dataset, "cannot be read: " + reason);
  return values;
}

}  // namespace lockstep
