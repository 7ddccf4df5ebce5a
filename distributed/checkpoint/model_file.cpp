#include "lockstep/distributed/checkpoint/model_file.h"

#include <cstdio>

#include "lockstep/core/publish.h"
#include "lockstep/distributed/checkpoint/checkpoint.h"
#include "lockstep/distributed/checkpoint/safetensors_file.h"
#include "lockstep/distributed/checkpoint/seal.h"
#include "lockstep/distributed/checkpoint/temporary_name.h"
#include "lockstep/distributed/checkpoint/tensor_file.h"

namespace lockstep {
namespace {

constexpr const char* kFormat = "lockstep-model";
constexpr std::int64_t kVersion = 2;

void write(const std::filesystem::path& path, const ModelFacts& facts, const NamedTensors& state_dict,
           const std::string& digest) {
  Hdf5File file = Hdf5File::create(path);
  std::vector<std::string> manifest;
  write_tensors(file, "/state_dict", state_dict, manifest);
  file.write_string("/", "format", kFormat);
  file.write_integer("/", "format_version", kVersion);
  file.write_string("/", "model", facts.model);
  file.write_strings("/", "class_names", facts.class_names);
  file.write_numbers("/", "input_shape", std::vector<double>(facts.input_shape.begin(), facts.input_shape.end()));
  file.write_string("/", "normalize", facts.normalize);
  file.write_numbers("/", "mean", facts.mean);
  file.write_numbers("/", "std", facts.std_deviation);
  file.write_integer("/", "step", facts.step);
  file.write_string("/", "weights_sha256", digest);
  file.close();
  seal_file(path);
}

std::string format_of(const Hdf5File& file) {
  return file.has_attribute("/", "format") ? file.read_string("/", "format") : "";
}

}  // namespace

std::string write_model(const std::filesystem::path& path, const ModelFacts& facts, const NamedTensors& state_dict) {
  const std::filesystem::path temporary = temporary_name(path);
  const std::string digest = weights_sha256(state_dict);
  try {
    make_directories(path.parent_path());
    remove_abandoned(path);  // this process's too: in containers the next attempt gets the same number
    write(temporary, facts, state_dict, digest);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail_errno("cannot be renamed", {}, temporary.string());
    sync_path(path.parent_path().empty() ? "." : path.parent_path());
  } catch (const Failure& failure) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    Error error = failure.error();
    error.what = "the model could not be written: " + error.what;
    error.where = path.string();
    if (is_full_disk(error)) error.hint = "make room (df " + path.parent_path().string() + ")";
    error.hint += std::string(error.hint.empty() ? "" : ", then ") +
                  "go on with --resume auto: the last checkpoint has the same weights";
    throw Failure(std::move(error));
  }
  return digest;
}

bool is_model_file(const std::filesystem::path& path) try {
  return check_seal(path) == Seal::intact && format_of(Hdf5File::open(path)) == kFormat;
} catch (const Failure&) {
  return false;
}

NamedTensors read_weights(const std::filesystem::path& path) {
  if (path.extension() == ".safetensors") return read_safetensors(path);
  if (check_seal(path) == Seal::broken)
    fail(ErrorKind::corrupt_data, "does not match the SHA-256 digest at its end", "the file is damaged", path.string());
  const Hdf5File file = Hdf5File::open(path);
  const std::string format = format_of(file);
  if (format == "lockstep-checkpoint") return read_checkpoint(path).state_dict;
  if (format != kFormat)
    fail(ErrorKind::usage, "is neither a model file nor a checkpoint of Lockstep",
         "give outputs/model.h5 of an earlier training, or a file that ends in .safetensors", path.string());
  std::vector<std::string> manifest;
  NamedTensors weights = read_tensors(file, "/state_dict", manifest);
  if (file.has_attribute("/", "weights_sha256") && weights_sha256(weights) != file.read_string("/", "weights_sha256"))
    fail(ErrorKind::corrupt_data, "does not match its SHA-256 digest", "the file is damaged", path.string());
  return weights;
}

}  // namespace lockstep
