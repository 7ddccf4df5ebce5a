// The data of a training, of whatever kind: two splits of one file, and what follows from them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "lockstep/data/batch.h"
#include "lockstep/data/loader.h"
#include "lockstep/distributed/checkpoint/model_file.h"
#include "lockstep/models/model.h"

namespace lockstep {

class TrainingData {
 public:
  virtual ~TrainingData() = default;

  virtual std::string name() const = 0;
  virtual std::int64_t train_count() const = 0;  // samples
  virtual std::int64_t test_count() const = 0;
  virtual std::string sample_text() const = 0;  // "3x32x32", "128 tokens"
  virtual std::string answer_text() const = 0;  // "10 classes", "a vocabulary of 256"
  virtual ModelInput model_input() const = 0;
  // All that the data know of: classes, shape, mean and deviation.
  virtual ModelFacts facts() const = 0;
  // The batches refer to this object.
  virtual std::unique_ptr<BatchSource> train_batches(const LoaderOptions& options) const = 0;
  virtual std::unique_ptr<BatchSource> test_batches(const LoaderOptions& options) const = 0;
};

// Whether labels or tokens are looked through. One rank of a node that did so is enough.
enum class StoredValues { checked, trusted };

// An HDF5 file of images or of tokens. Throws Failure(usage): a damaged file, splits that do not belong together.
std::unique_ptr<TrainingData> open_training_data(const std::filesystem::path& path, StoredValues values);

}  // namespace lockstep
