#include "training_data.h"

#include "lockstep/core/error.h"
#include "lockstep/data/hdf5_dataset.h"
#include "lockstep/data/token_dataset.h"
#include "lockstep/data/token_loader.h"

namespace lockstep {
namespace {

class ImageData final : public TrainingData {
 public:
  ImageData(const std::filesystem::path& path, Hdf5Dataset::Labels labels)
      : train_(Hdf5Dataset::open(path, "train", labels).value()),
        test_(Hdf5Dataset::open(path, "test", labels).value()) {
    if (train_.image_shape() != test_.image_shape() || train_.class_count() != test_.class_count())
      fail(ErrorKind::usage, "the train and test splits differ in image shape or number of classes", {}, path.string());
  }

  std::string name() const override { return train_.name(); }
  std::int64_t train_count() const override { return train_.count(); }
  std::int64_t test_count() const override { return test_.count(); }
  std::string sample_text() const override {
    const auto [channels, height, width] = train_.image_shape();
    return std::to_string(channels) + "x" + std::to_string(height) + "x" + std::to_string(width);
  }
  std::string answer_text() const override { return std::to_string(train_.class_count()) + " classes"; }
  ModelInput model_input() const override {
    const auto [channels, height, width] = train_.image_shape();
    return {.channels = channels, .height = height, .width = width, .classes = train_.class_count()};
  }
  ModelFacts facts() const override {
    const auto shape = train_.image_shape();
    return {.class_names = train_.class_names(),
            .input_shape = {shape.begin(), shape.end()},
            .mean = {train_.mean().begin(), train_.mean().end()},
            .std_deviation = {train_.std_deviation().begin(), train_.std_deviation().end()}};
  }
  std::unique_ptr<BatchSource> train_batches(const LoaderOptions& options) const override {
    return make_loader(train_, options);
  }
  std::unique_ptr<BatchSource> test_batches(const LoaderOptions& options) const override {
    return make_loader(test_, options);
  }

 private:
  const Hdf5Dataset train_, test_;
};

class TokenData final : public TrainingData {
 public:
  TokenData(const std::filesystem::path& path, TokenDataset::Tokens tokens)
      : train_(TokenDataset::open(path, "train", tokens).value()),
        test_(TokenDataset::open(path, "test", tokens).value()) {}

  std::string name() const override { return train_.name(); }
  std::int64_t train_count() const override { return train_.count(); }
  std::int64_t test_count() const override { return test_.count(); }
  std::string sample_text() const override { return std::to_string(train_.sequence_length()) + " tokens"; }
  std::string answer_text() const override { return "a vocabulary of " + std::to_string(train_.vocabulary_size()); }
  ModelInput model_input() const override {
    return {.sequence_length = train_.sequence_length(), .vocabulary = train_.vocabulary_size()};
  }
  ModelFacts facts() const override { return {.input_shape = {train_.sequence_length()}}; }
  std::unique_ptr<BatchSource> train_batches(const LoaderOptions& options) const override {
    return make_token_loader(train_, options);
  }
  std::unique_ptr<BatchSource> test_batches(const LoaderOptions& options) const override {
    return make_token_loader(test_, options);
  }

 private:
  const TokenDataset train_, test_;
};

}  // namespace

std::unique_ptr<TrainingData> open_training_data(const std::filesystem::path& path, StoredValues values) {
  const bool checked = values == StoredValues::checked;
  if (TokenDataset::is_token_file(path)) {
    using Tokens = TokenDataset::Tokens;
    return std::make_unique<TokenData>(path, checked ? Tokens::checked : Tokens::trusted);
  }
  using Labels = Hdf5Dataset::Labels;
  return std::make_unique<ImageData>(path, checked ? Labels::checked : Labels::trusted);
}

}  // namespace lockstep
