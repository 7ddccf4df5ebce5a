// Importers: published files of labelled images -> one HDF5 data set, as a stream and in constant memory.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct ImportOptions {
  std::string name = {};                      // of the data set; empty: the importer's
  std::filesystem::path output = {};          // the HDF5 file
  bool replace = false;                       // an existing output
  std::vector<std::string> class_names = {};  // empty: the importer's
  std::string source = {};                    // where the files came from; empty: their path
};

// CIFAR-10's binary version: a folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin (records of one
// label byte and 3x32x32 pixels), or the .tar.gz of such a folder. Class names from batches.meta.txt where there is
// one.
void import_cifar10(const std::filesystem::path& source, const ImportOptions& options);

// The IDX files of MNIST and its kin: a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain or as .gz. Images get one channel. Class names are "0"
// to "9" unless given.
void import_idx(const std::filesystem::path& source, const ImportOptions& options);

// Both throw Failure: usage (file, offset, what was expected and found) for bad input, environment when reading or
// writing fails. The output appears whole or not at all; progress goes to standard error.

// Which importer takes the files at `source`: "cifar10", "idx", or "" for none.
std::string recognise_importer(const std::filesystem::path& source);
// The files that importer would read; what a cache of its result depends on.
std::vector<std::filesystem::path> importer_files(const std::string& importer, const std::filesystem::path& source);
// Runs it by name. Usage error for another name than "cifar10" and "idx".
void run_importer(const std::string& importer, const std::filesystem::path& source, const ImportOptions& options);

extern const std::vector<std::string> kFashionMnistClasses;

}  // namespace lockstep
