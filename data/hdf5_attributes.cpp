// Attributes of Hdf5File.
#include <limits>

#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/hdf5_id.h"

namespace lockstep {
namespace {

// More values than any attribute of ours holds; a guard against sizes made up by a hostile file.
constexpr hssize_t kMostValues = 1 << 20;

Hdf5Id value_space(bool list, std::size_t count) {
  const hsize_t extent = count;
  return list ? Hdf5Id(H5Screate_simple(1, &extent, nullptr), H5Sclose) : Hdf5Id(H5Screate(H5S_SCALAR), H5Sclose);
}

// The attribute as found: its values number `count`.
struct FoundAttribute {
  Hdf5Id id, type, space;
  std::size_t count = 0;
};

// A fixed-length string up to its padding.
std::string trimmed(const char* text, std::size_t size, H5T_str_t padding) {
  std::string value(text, size);
  if (padding == H5T_STR_SPACEPAD) return value.substr(0, value.find_last_not_of(' ') + 1);
  return value.substr(0, value.find('\0'));
}

}  // namespace

Hdf5Id hdf5_text_type() {
  Hdf5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

// The parts that need HDF5's types stay out of the public header: plain functions over (file, object, attribute).
struct Hdf5Attributes {
  static void write(Hdf5File& file, const std::string& object, const std::string& name, hid_t file_type,
                    hid_t memory_type, const Hdf5Id& space, const void* values) {
    const Hdf5Id owner(file.open_object(object), H5Oclose);
    Hdf5Id id(H5Acreate2(owner.get(), name.c_str(), file_type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const bool nothing = H5Sget_simple_extent_npoints(space.get()) == 0;  // which H5Awrite refuses
    if (!id.valid() || (!nothing && H5Awrite(id.get(), memory_type, values) < 0) || !id.close()) {
      file.refuse_write(object, "attribute " + name + " cannot be written");
    }
  }

  static FoundAttribute open(const Hdf5File& file, const std::string& object, const std::string& name) {
    const Hdf5Id owner(file.open_object(object), H5Oclose);
    if (H5Aexists(owner.get(), name.c_str()) <= 0) file.refuse(object, "attribute " + name + " is missing");
    FoundAttribute found;
    found.id = Hdf5Id(H5Aopen(owner.get(), name.c_str(), H5P_DEFAULT), H5Aclose);
    if (!found.id.valid()) file.refuse(object, "attribute " + name + " cannot be opened");
    found.type = Hdf5Id(H5Aget_type(found.id.get()), H5Tclose);
    found.space = Hdf5Id(H5Aget_space(found.id.get()), H5Sclose);
    const hssize_t count = H5Sget_simple_extent_npoints(found.space.get());
    if (count < 0 || count > kMostValues || H5Sget_simple_extent_ndims(found.space.get()) > 1) {
      file.refuse(object, "attribute " + name + " is not a value or a list of values");
    }
    found.count = static_cast<std::size_t>(count);
    return found;
  }

  template <typename T>
  static std::vector<T> read(const Hdf5File& file, const std::string& object, const std::string& name,
                             hid_t memory_type) {
    const FoundAttribute found = open(file, object, name);
    const H5T_class_t type = H5Tget_class(found.type.get());
    const bool fits = type == H5T_INTEGER || (type == H5T_FLOAT && !std::numeric_limits<T>::is_integer);
    if (!fits) file.refuse(object, "attribute " + name + " is not of the type expected");
    std::vector<T> values(found.count);
    if (found.count > 0 && H5Aread(found.id.get(), memory_type, values.data()) < 0) {
      file.refuse(object, "attribute " + name + " cannot be read: " + hdf5_reason());
    }
    return values;
  }

  static std::vector<std::string> read_fixed(const Hdf5File& file, const std::string& object, const std::string& name,
                                             const FoundAttribute& found) {
    const std::size_t size = H5Tget_size(found.type.get());
    if (size == 0 || size > (std::size_t{1} << 24) / (found.count + 1)) {
      file.refuse(object, "attribute " + name + " is larger than 16 MiB");
    }
    std::vector<char> bytes(size * found.count);
    if (H5Aread(found.id.get(), found.type.get(), bytes.data()) < 0) {
      file.refuse(object, "attribute " + name + " cannot be read: " + hdf5_reason());
    }
    std::vector<std::string> values;
    for (std::size_t i = 0; i < found.count; ++i) {
      values.push_back(trimmed(bytes.data() + i * size, size, H5Tget_strpad(found.type.get())));
    }
    return values;
  }

  static std::vector<std::string> read_text(const Hdf5File& file, const std::string& object, const std::string& name) {
    const FoundAttribute found = open(file, object, name);
    if (H5Tget_class(found.type.get()) != H5T_STRING) file.refuse(object, "attribute " + name + " is not text");
    if (found.count == 0) return {};
    if (H5Tis_variable_str(found.type.get()) <= 0) return read_fixed(file, object, name, found);
    std::vector<char*> texts(found.count, nullptr);
    const bool read = H5Aread(found.id.get(), found.type.get(), texts.data()) >= 0;
    const std::string reason = read ? "" : hdf5_reason();
    std::vector<std::string> values;
    for (const char* text : texts) values.emplace_back(text == nullptr ? "" : text);
    H5Dvlen_reclaim(found.type.get(), found.space.get(), H5P_DEFAULT, texts.data());
    if (!read) file.refuse(object, "attribute " + name + " cannot be read: " + reason);
    return values;
  }
};

void Hdf5File::write_string(const std::string& object, const std::string& attribute, const std::string& value) {
  const Hdf5Scope scope;
  const char* text = value.c_str();
  const Hdf5Id type = hdf5_text_type();
  Hdf5Attributes::write(*this, object, attribute, type.get(), type.get(), value_space(false, 1), &text);
}

void Hdf5File::write_strings(const std::string& object, const std::string& attribute,
                             std::span<const std::string> values) {
  const Hdf5Scope scope;
  std::vector<const char*> texts;
  for (const std::string& value : values) texts.push_back(value.c_str());
  const Hdf5Id type = hdf5_text_type();
  Hdf5Attributes::write(*this, object, attribute, type.get(), type.get(), value_space(true, texts.size()),
                        texts.data());
}

void Hdf5File::write_integer(const std::string& object, const std::string& attribute, std::int64_t value) {
  const Hdf5Scope scope;
  Hdf5Attributes::write(*this, object, attribute, H5T_STD_I64LE, H5T_NATIVE_INT64, value_space(false, 1), &value);
}

void Hdf5File::write_number(const std::string& object, const std::string& attribute, double value) {
  const Hdf5Scope scope;
  Hdf5Attributes::write(*this, object, attribute, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, value_space(false, 1), &value);
}

void Hdf5File::write_numbers(const std::string& object, const std::string& attribute, std::span<const double> values) {
  const Hdf5Scope scope;
  Hdf5Attributes::write(*this, object, attribute, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, value_space(true, values.size()),
                        values.data());
}

bool Hdf5File::has_attribute(const std::string& object, const std::string& attribute) const {
  const Hdf5Scope scope;
  const Hdf5Id owner(open_object(object), H5Oclose);
  return H5Aexists(owner.get(), attribute.c_str()) > 0;
}

namespace {

template <typename T>
T only(std::vector<T> values, const Hdf5File& file, const std::string& object, const std::string& attribute,
       ErrorKind damage) {
  if (values.size() == 1) return std::move(values.front());
  fail(damage, "attribute " + attribute + " has " + std::to_string(values.size()) + " values, expected one", {},
       file.path().string() + ", " + object);
}

}  // namespace

std::string Hdf5File::read_string(const std::string& object, const std::string& attribute) const {
  return only(read_strings(object, attribute), *this, object, attribute, damage_);
}

std::vector<std::string> Hdf5File::read_strings(const std::string& object, const std::string& attribute) const {
  const Hdf5Scope scope;
  return Hdf5Attributes::read_text(*this, object, attribute);
}

std::int64_t Hdf5File::read_integer(const std::string& object, const std::string& attribute) const {
  const Hdf5Scope scope;
  return only(Hdf5Attributes::read<std::int64_t>(*this, object, attribute, H5T_NATIVE_INT64), *this, object, attribute,
              damage_);
}

double Hdf5File::read_number(const std::string& object, const std::string& attribute) const {
  return only(read_numbers(object, attribute), *this, object, attribute, damage_);
}

std::vector<double> Hdf5File::read_numbers(const std::string& object, const std::string& attribute) const {
  const Hdf5Scope scope;
  return Hdf5Attributes::read<double>(*this, object, attribute, H5T_NATIVE_DOUBLE);
}

}  // namespace lockstep
