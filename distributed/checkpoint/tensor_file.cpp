#include "lockstep/distributed/checkpoint/tensor_file.h"

#include <ATen/ops/empty.h>

#include <sstream>

#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

const std::string kNames = "/names";

Hdf5Type file_type(const at::Tensor& tensor, const std::string& name) {
  switch (tensor.scalar_type()) {
    case at::kByte:
    case at::kBool:
      return Hdf5Type::uint8;
    case at::kInt:
      return Hdf5Type::int32;
    case at::kLong:
      return Hdf5Type::int64;
    case at::kFloat:
      return Hdf5Type::float32;
    case at::kDouble:
      return Hdf5Type::float64;
    case at::kBFloat16:
      return Hdf5Type::bfloat16;
    default:
      fail(ErrorKind::usage,
           "\"" + name + "\" has the type " + c10::toString(tensor.scalar_type()) + ", which files do not hold",
           "use float32, float64, bfloat16, int32, int64, uint8 or bool for parameters and buffers");
  }
}

at::ScalarType tensor_type(Hdf5Type type) {
  switch (type) {
    case Hdf5Type::uint8:
      return at::kByte;
    case Hdf5Type::int32:
      return at::kInt;
    case Hdf5Type::int64:
      return at::kLong;
    case Hdf5Type::float32:
      return at::kFloat;
    case Hdf5Type::float64:
      return at::kDouble;
    case Hdf5Type::bfloat16:
      return at::kBFloat16;
  }
  fail(ErrorKind::internal, "unknown HDF5 element type");
}

std::string manifest_line(const std::string& path, const at::Tensor& tensor) {
  std::ostringstream line;
  line << sha256({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()}) << ' ' << path << ' '
       << c10::toString(tensor.scalar_type()) << ' ' << tensor.sizes();
  return line.str();
}

// In format 1, and in files of other programs, an attribute, which cannot hold more than some 4,000 names.
std::vector<std::string> names_of(const Hdf5File& file, const std::string& group) {
  return file.has_attribute(group, "names") ? file.read_strings(group, "names") : file.read_texts(kNames + group);
}

}  // namespace

void write_tensors(Hdf5File& file, const std::string& group, const NamedTensors& tensors,
                   std::vector<std::string>& manifest) {
  file.create_group(group);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) {
    const std::string path = group + "/" + name;
    at::Tensor values = tensor.detach().cpu().contiguous();
    const Hdf5Type type = file_type(values, name);
    file.write_array(path, type, values.sizes().vec(), values.const_data_ptr());
    if (values.scalar_type() == at::kBool) file.write_string(path, "dtype", "bool");
    manifest.push_back(manifest_line(path, values));
    names.push_back(name);
  }
  if (!file.has(kNames)) file.create_group(kNames);
  file.write_texts(kNames + group, names);
}

NamedTensors read_tensors(const Hdf5File& file, const std::string& group, std::vector<std::string>& manifest) {
  NamedTensors tensors;
  for (const std::string& name : names_of(file, group)) {
    const std::string path = group + "/" + name;
    const Hdf5ArrayInfo info = file.array_info(path);
    const bool is_bool =
        info.type == Hdf5Type::uint8 && file.has_attribute(path, "dtype") && file.read_string(path, "dtype") == "bool";
    const at::Tensor values = at::empty(info.shape, at::TensorOptions(is_bool ? at::kBool : tensor_type(info.type)));
    file.read_array(path, info.type, info.shape, values.data_ptr());
    manifest.push_back(manifest_line(path, values));
    tensors.emplace_back(name, values);
  }
  return tensors;
}

}  // namespace lockstep
