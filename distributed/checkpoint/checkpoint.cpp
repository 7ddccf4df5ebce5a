#include "lockstep/distributed/checkpoint/checkpoint.h"

#include <ATen/ops/stack.h>

#include "lockstep/core/sha256.h"
#include "lockstep/distributed/checkpoint/checkpoint_description.h"
#include "lockstep/distributed/checkpoint/seal.h"
#include "lockstep/distributed/checkpoint/tensor_file.h"

namespace lockstep {
namespace {

constexpr const char* kFormat = "lockstep-checkpoint";
constexpr std::int64_t kVersion = 2;

// Format 1 had a dataset rank_<n> for each rank, of the CPU's generator.
NamedTensors one_for_all_ranks(const NamedTensors& by_rank) {
  std::vector<at::Tensor> states;
  for (const auto& [name, state] : by_rank) states.push_back(state);
  return {{"cpu", at::stack(states)}};
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

// Covers all that the manifest lists and the description: a change anywhere changes it.
std::string digest(std::int64_t version, const std::string& description, const std::string& manifest) {
  return sha256(std::string(kFormat) + "\n" + std::to_string(version) + "\n" + description + "\n" + manifest);
}

void write(Hdf5File& file, const Checkpoint& checkpoint) {
  std::vector<std::string> manifest;
  file.write_string("/", "format", kFormat);
  file.write_integer("/", "format_version", kVersion);
  write_tensors(file, "/state_dict", checkpoint.state_dict, manifest);
  write_tensors(file, "/optimizer", checkpoint.optimizer, manifest);
  write_tensors(file, "/rng", checkpoint.rng, manifest);
  const std::string description = describe(checkpoint);
  file.write_string("/", "training", description);
  file.write_string("/", "manifest", joined(manifest));
  file.write_string("/", "manifest_sha256", digest(kVersion, description, joined(manifest)));
  file.close();
  seal_file(file.path());
}

// Returns the version.
std::int64_t check_format(const Hdf5File& file) {
  const std::string where = file.path().string();
  if (!file.has_attribute("/", "format") || file.read_string("/", "format") != kFormat)
    fail(ErrorKind::corrupt_data, "is not a checkpoint of Lockstep", {}, where);
  const std::int64_t version = file.read_integer("/", "format_version");
  if (version < 1 || version > kVersion)
    fail(ErrorKind::usage,
         "has checkpoint format " + std::to_string(version) + ", this program reads 1 to " + std::to_string(kVersion),
         "use the version of Lockstep that wrote it", where);
  return version;
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  Hdf5File file = Hdf5File::create(path);
  try {
    write(file, checkpoint);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    throw;
  }
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
  if (const Seal seal = check_seal(path); seal != Seal::intact)
    fail(ErrorKind::corrupt_data,
         seal == Seal::broken ? "does not match the SHA-256 digest at its end"
                              : "has no digest at its end: it is incomplete or no checkpoint",
         "the file is damaged", path.string());
  const Hdf5File file = Hdf5File::open(path);
  const std::int64_t version = check_format(file);
  Checkpoint checkpoint;
  std::vector<std::string> manifest;
  checkpoint.state_dict = read_tensors(file, "/state_dict", manifest);
  checkpoint.optimizer = read_tensors(file, "/optimizer", manifest);
  checkpoint.rng = read_tensors(file, "/rng", manifest);
  const std::string description = file.read_string("/", "training");
  // Before anything read is believed.
  const std::string found = joined(manifest);
  if (found != file.read_string("/", "manifest") ||
      digest(version, description, found) != file.read_string("/", "manifest_sha256"))
    fail(ErrorKind::corrupt_data, "does not match its SHA-256 digests", "the file is damaged", path.string());
  if (version == 1) checkpoint.rng = one_for_all_ranks(checkpoint.rng);
  try {
    take_description(description, checkpoint);
  } catch (const std::exception& e) {
    fail(ErrorKind::corrupt_data, std::string("has an unreadable description: ") + e.what(), {}, path.string());
  }
  return checkpoint;
}

}  // namespace lockstep
