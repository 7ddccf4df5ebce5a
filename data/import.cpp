#include "lockstep/data/import.h"

#include <algorithm>
#include <system_error>

#include "lockstep/core/nearest_names.h"
#include "lockstep/data/import_files.h"

namespace lockstep {

namespace fs = std::filesystem;

const std::vector<std::string> kFashionMnistClasses{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                                    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

const std::vector<std::string> kCifarBatches{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                             "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

namespace {

// The one of stem-kind-ubyte(.gz) and stem.kind-ubyte(.gz) that exists; empty when none does.
fs::path find_idx_file(const fs::path& folder, const std::string& stem, const std::string& kind) {
  std::error_code ignored;
  for (const char* separator : {"-", "."}) {
    for (const char* ending : {"", ".gz"}) {
      fs::path path = folder / (stem + separator + kind + "-ubyte" + ending);
      if (fs::exists(path, ignored)) return path;
    }
  }
  return {};
}

bool is_tar(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".tar.gz") || name.ends_with(".tgz") || name.ends_with(".tar");
}

}  // namespace

Result<IdxFolder> find_idx_files(const fs::path& folder) {
  if (!fs::is_directory(folder))
    return Error{ErrorKind::usage, "is not a folder; give the folder with the four IDX files", folder.string(), {}};
  IdxFolder found{{find_idx_file(folder, "train-images", "idx3"), find_idx_file(folder, "train-labels", "idx1")},
                  {find_idx_file(folder, "t10k-images", "idx3"), find_idx_file(folder, "t10k-labels", "idx1")}};
  std::string missing;
  const auto note = [&](const fs::path& path, const std::string& name) {
    if (path.empty()) missing += (missing.empty() ? "" : ", ") + name;
  };
  note(found.train.images, "train-images-idx3-ubyte");
  note(found.train.labels, "train-labels-idx1-ubyte");
  note(found.test.images, "t10k-images-idx3-ubyte");
  note(found.test.labels, "t10k-labels-idx1-ubyte");
  if (missing.empty()) return found;
  return Error{ErrorKind::usage, "these files are missing, plain or as .gz: " + missing, folder.string(), {}};
}

std::string recognise_importer(const fs::path& source) {
  std::error_code ignored;
  if (!fs::is_directory(source, ignored)) return is_tar(source) ? "cifar10" : "";
  const auto there = [&](const std::string& name) { return fs::exists(source / name, ignored); };
  if (std::any_of(kCifarBatches.begin(), kCifarBatches.end(), there)) return "cifar10";
  const bool idx =
      !find_idx_file(source, "train-images", "idx3").empty() || !find_idx_file(source, "t10k-images", "idx3").empty();
  return idx ? "idx" : "";
}

std::vector<fs::path> importer_files(const std::string& importer, const fs::path& source) {
  if (importer == "idx") {
    const IdxFolder found = find_idx_files(source).value();
    return {found.train.images, found.train.labels, found.test.images, found.test.labels};
  }
  if (!fs::is_directory(source)) return {source};
  std::vector<fs::path> files;
  for (const std::string& name : kCifarBatches) files.push_back(source / name);
  if (fs::exists(source / kCifarMeta)) files.push_back(source / kCifarMeta);
  return files;
}

void run_importer(const std::string& importer, const fs::path& source, const ImportOptions& options) {
  if (importer == "cifar10") return import_cifar10(source, options);
  if (importer == "idx") return import_idx(source, options);
  const std::vector<std::string> known{"cifar10", "idx"};
  fail(ErrorKind::usage, "there is no importer '" + importer + "'" + suggestion(importer, known));
}

}  // namespace lockstep
