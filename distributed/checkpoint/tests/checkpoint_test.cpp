// Checkpoints and model files: what is written is read back bit for bit, and nothing damaged is believed.
#include "lockstep/distributed/checkpoint/checkpoint.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <system_error>

#include "lockstep/core/error.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/distributed/checkpoint/checkpoint_store.h"
#include "lockstep/distributed/checkpoint/folder_lock.h"
#include "lockstep/distributed/checkpoint/model_file.h"
#include "lockstep/distributed/checkpoint/seal.h"

namespace lockstep {
namespace {

Checkpoint example(std::int64_t step) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.position = {.epoch = 3, .consumed = 1'000'000'007};
  checkpoint.learning_rate = 0.1 / 3;
  checkpoint.first_step_samples = 12;
  checkpoint.first_epoch_steps = 5'000;
  checkpoint.identity = {{"--model", "cifar_net"}, {"--seed", "18446744073709551615"}};
  checkpoint.config = "steps = 3\nmodel = \"x\"\n";
  const at::Tensor odd = at::full({3}, -0.0f);
  odd[1] = NAN;
  odd[2] = 1e-42f;  // denormal
  checkpoint.state_dict = {{"conv1.weight", at::rand({2, 3, 5})},
                           {"empty", at::zeros({0, 4})},
                           {"odd", odd},
                           {"count", at::full({}, 77, at::kLong)},
                           {"mask", at::full({5}, true, at::kBool)},
                           {"half", at::rand({7}).to(at::kBFloat16)}};
  checkpoint.optimizer = {{"momentum.conv1.weight", at::rand({2, 3, 5})}};
  checkpoint.rng = {{"cpu", at::arange(0, 200, at::kByte).reshape({2, 100})},
                    {"cuda", at::arange(0, 32, at::kByte).reshape({2, 16})}};
  checkpoint.loss_window = {{.loss = 1.0 / 3, .samples = 5}, {.loss = 2e300, .samples = 0}};
  checkpoint.last_train_loss = std::nan("");
  return checkpoint;
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

void expect_same(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first) << "order counts";
    EXPECT_TRUE(same_bits(a[i].second, b[i].second)) << a[i].first;
  }
}

ErrorKind kind_of_failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const Failure& failure) {
    return failure.error().kind;
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::internal;
}

TEST(Checkpoint, ReadsBackBitForBit) {
  const TemporaryDirectory folder;
  const Checkpoint written = example(42);
  write_checkpoint(folder / "a.h5", written);
  const Checkpoint read = read_checkpoint(folder / "a.h5");
  EXPECT_EQ(read.step, 42);
  EXPECT_EQ(read.position.epoch, 3);
  EXPECT_EQ(read.position.consumed, 1'000'000'007);
  EXPECT_EQ(read.learning_rate, 0.1 / 3);
  EXPECT_EQ(read.first_step_samples, 12);
  EXPECT_EQ(read.first_epoch_steps, 5'000);
  EXPECT_EQ(read.identity, written.identity);
  EXPECT_EQ(read.config, written.config);
  EXPECT_TRUE(std::isnan(read.last_train_loss));
  ASSERT_EQ(read.loss_window.size(), 2u);
  EXPECT_EQ(read.loss_window[0].loss, 1.0 / 3);
  EXPECT_EQ(read.loss_window[1].loss, 2e300);
  EXPECT_EQ(read.loss_window[0].samples, 5);
  expect_same(read.state_dict, written.state_dict);
  expect_same(read.optimizer, written.optimizer);
  expect_same(read.rng, written.rng);
}

TEST(Checkpoint, HoldsAnyNumberOfTensorsAndRanks) {
  const TemporaryDirectory folder;
  Checkpoint written;
  for (int i = 0; i < 5000; ++i) {
    const std::string name = "layers." + std::to_string(i) + ".weight";
    written.state_dict.emplace_back(name, at::full({1}, static_cast<double>(i)));
    written.optimizer.emplace_back("momentum." + name, at::full({1}, -static_cast<double>(i)));
  }
  written.rng = {{"cpu", at::zeros({5000, 16}, at::kByte)}};
  written.loss_window.resize(5000);
  write_checkpoint(folder / "large.h5", written);
  const Checkpoint read = read_checkpoint(folder / "large.h5");
  expect_same(read.state_dict, written.state_dict);
  expect_same(read.optimizer, written.optimizer);
  expect_same(read.rng, written.rng);
  EXPECT_EQ(read.loss_window.size(), 5000u);
  write_model(folder / "model.h5", {.model = "mlp"}, written.state_dict);
  expect_same(read_weights(folder / "model.h5"), written.state_dict);
}

// Files in format_1/ were written when names were attributes and generators a dataset per rank.
TEST(Checkpoint, ReadsFormatOne) {
  const std::filesystem::path folder = FORMAT_1;
  const Checkpoint read = read_checkpoint(folder / "checkpoint.h5");
  EXPECT_EQ(read.step, 42);
  EXPECT_EQ(read.position.consumed, 17);
  const at::Tensor weight = at::arange(6, at::kFloat).reshape({2, 3});
  const NamedTensors state = {{"b.weight", weight}, {"a.mask", at::full({5}, true, at::kBool)}};
  expect_same(read.state_dict, state);
  expect_same(read.optimizer, {{"steps", at::full({1}, 1, at::kLong)}, {"momentum.b.weight", weight.neg()}});
  const at::Tensor bytes = at::arange(0, 8, at::kByte);
  expect_same(read.rng, {{"cpu", at::stack({bytes, bytes.add(10)})}});
  ASSERT_EQ(read.loss_window.size(), 2u);
  EXPECT_EQ(read.loss_window[1].loss, 0.25);
  expect_same(read_weights(folder / "model.h5"), state);
  expect_same(read_weights(folder / "checkpoint.h5"), state);
}

TEST(Checkpoint, IsNeverOverwritten) {
  const TemporaryDirectory folder;
  write_checkpoint(folder / "a.h5", example(1));
  const std::string before = contents(folder / "a.h5");
  EXPECT_EQ(kind_of_failure([&] { write_checkpoint(folder / "a.h5", example(2)); }), ErrorKind::environment);
}

TEST(Checkpoint, NoFlippedBitIsBelieved) {
  const TemporaryDirectory folder;
  write_checkpoint(folder / "a.h5", example(42));
  const std::string good = contents(folder / "a.h5");
  for (std::size_t place = 0; place < good.size(); place += 7) {
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ (1 << (place % 8)));
    write_contents(folder / "bad.h5", bad);
    EXPECT_EQ(kind_of_failure([&] { read_checkpoint(folder / "bad.h5"); }), ErrorKind::corrupt_data) << place;
  }
}

TEST(Checkpoint, NoTruncatedFileIsBelieved) {
  const TemporaryDirectory folder;
  write_checkpoint(folder / "a.h5", example(42));
  const std::string good = contents(folder / "a.h5");
  for (std::size_t bytes = 0; bytes < good.size(); bytes += 509) {
    write_contents(folder / "bad.h5", good.substr(0, bytes));
    EXPECT_EQ(kind_of_failure([&] { read_checkpoint(folder / "bad.h5"); }), ErrorKind::corrupt_data) << bytes;
  }
}

TEST(CheckpointStore, KeepsTheNewestAndNamesTheLatest) {
  const TemporaryDirectory folder;
  const CheckpointStore store(folder / "checkpoints", 3);
  EXPECT_TRUE(store.steps().empty());
  write_contents(folder / "unrelated.h5", "");
  for (const std::int64_t step : {9, 10, 99, 100, 1000}) store.save(example(step));
  EXPECT_EQ(store.steps(), (std::vector<std::int64_t>{99, 100, 1000})) << "by number, not by name";
  EXPECT_EQ(contents(folder / "checkpoints/latest"), "step_0000001000.h5\n");
}

TEST(CheckpointStore, PassesOverADamagedFileAndSaysSo) {
  const TemporaryDirectory folder;
  const CheckpointStore store(folder.path());
  for (const std::int64_t step : {5, 6, 7}) store.save(example(step));
  std::filesystem::resize_file(folder / "step_0000000007.h5", 1000);
  std::vector<std::string> warnings;
  const auto found = store.newest_valid([&](const std::string& text) { warnings.push_back(text); });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->checkpoint.step, 6);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("step_0000000007.h5"), std::string::npos) << warnings[0];
  EXPECT_EQ(store.steps(), (std::vector<std::int64_t>{5, 6})) << "it must not push good ones out";
  EXPECT_TRUE(std::filesystem::exists(folder / "step_0000000007.h5.damaged"));
}

TEST(CheckpointStore, NeverStartsAfreshInSilence) {
  const TemporaryDirectory folder;
  const CheckpointStore store(folder.path());
  const auto ignore = [](const std::string&) {};
  EXPECT_FALSE(store.newest_valid(ignore)) << "nothing was ever saved";
  write_contents(folder / "step_0000000007.h5", "not HDF5");
  for (int attempt = 0; attempt < 2; ++attempt)
    EXPECT_EQ(kind_of_failure([&] { static_cast<void>(store.newest_valid(ignore)); }), ErrorKind::corrupt_data)
        << attempt;
}

TEST(CheckpointStore, SetsAnEarlierTrainingAside) {
  const TemporaryDirectory folder;
  const CheckpointStore store(folder.path());
  for (const std::int64_t step : {5, 6, 7}) store.save(example(step));
  EXPECT_EQ(store.set_aside_after(6).filename(), "superseded_1");
  EXPECT_EQ(store.steps(), (std::vector<std::int64_t>{5, 6}));
  EXPECT_EQ(store.set_aside_after(-1).filename(), "superseded_2");
  EXPECT_TRUE(store.steps().empty());
  EXPECT_TRUE(store.set_aside_after(-1).empty());
  EXPECT_EQ(read_checkpoint(folder / "superseded_1/step_0000000007.h5").step, 7);
}

TEST(CheckpointStore, AFullDiskLeavesTheLastOneUnharmed) {
  const TemporaryDirectory folder;
  const CheckpointStore store(folder.path());
  store.save(example(1));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 4096, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::optional<Error> error;
  try {
    store.save(example(2));
  } catch (const Failure& failure) {
    error = failure.error();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind, ErrorKind::environment);
  EXPECT_NE(error->what.find("File too large"), std::string::npos) << error->what;
  EXPECT_EQ(error->hint.find("make room"), std::string::npos) << "it would not help: " << error->hint;
  EXPECT_NE(error->hint.find("--resume auto"), std::string::npos) << error->hint;
  EXPECT_EQ(store.steps(), std::vector<std::int64_t>{1});
  EXPECT_EQ(read_checkpoint(folder / "step_0000000001.h5").step, 1);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().string().find(".step_"), std::string::npos) << "half-written: " << entry.path();
}

TEST(Seal, ADiskThatFillsUpInTheMiddleOfItIsNamed) {
  const TemporaryDirectory folder;
  write_contents(folder / "a.h5", std::string(5000, 'x'));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 5030, .rlim_max = before.rlim_max};  // 30 of the seal's bytes fit
  setrlimit(RLIMIT_FSIZE, &small);
  errno = ENOTTY;  // of an earlier call
  Error error;
  try {
    seal_file(folder / "a.h5");
  } catch (const Failure& failure) {
    error = failure.error();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(error.kind, ErrorKind::environment);
  EXPECT_NE(error.what.find(std::generic_category().message(EFBIG)), std::string::npos) << error.what;
}

// A number that no process has any more.
pid_t ended_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

TEST(CheckpointStore, RemovesOnlyWhatNobodyCanBeWriting) {
  const TemporaryDirectory folder;
  const std::string part = ".step_0000000009.h5.", living = part + host_name() + "." + std::to_string(getppid()),
                    ended = part + host_name() + "." + std::to_string(ended_process()),
                    elsewhere = part + "other.host.7", forgotten = part + "other.host.8";
  for (const std::string& name : {living, ended, elsewhere, forgotten}) write_contents(folder / name, "half");
  std::filesystem::last_write_time(folder / forgotten,
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
  CheckpointStore(folder.path()).save(example(1));
  EXPECT_TRUE(std::filesystem::exists(folder / living));
  EXPECT_FALSE(std::filesystem::exists(folder / ended));
  EXPECT_TRUE(std::filesystem::exists(folder / elsewhere));
  EXPECT_FALSE(std::filesystem::exists(folder / forgotten));
}

TEST(FolderLock, IsHeldByOneAtATime) {
  const TemporaryDirectory folder;
  {
    const FolderLock first(folder.path());
    ASSERT_TRUE(first.held());
    try {
      const FolderLock second(folder.path());
      ADD_FAILURE() << "both hold it";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::environment);
      const std::string holder = "process " + std::to_string(getpid()) + " on " + host_name();
      EXPECT_NE(failure.error().what.find(holder), std::string::npos) << failure.error().what;
    }
  }
  EXPECT_TRUE(FolderLock(folder.path()).held()) << "the first one is gone";
  EXPECT_FALSE(FolderLock(folder / "missing").held()) << "and nothing is thrown";
}

TEST(ModelFile, GivesBackItsWeightsAndRefusesDamage) {
  const TemporaryDirectory folder;
  const NamedTensors weights = example(1).state_dict;
  const auto path = folder / "outputs/model.h5";
  write_model(path, {.model = "mlp", .class_names = {"a", "b"}, .input_shape = {1, 28, 28}}, weights);
  EXPECT_EQ(write_model(path, {.model = "mlp"}, weights), weights_sha256(weights)) << "replaces";
  expect_same(read_weights(path), weights);
  write_checkpoint(folder / "c.h5", example(3));
  EXPECT_EQ(read_weights(folder / "c.h5").size(), weights.size()) << "a checkpoint will do too";

  std::string bytes = contents(path);
  const auto* data = static_cast<const char*>(weights[0].second.const_data_ptr());
  const auto place = bytes.find(std::string(data, 16));
  ASSERT_NE(place, std::string::npos);
  bytes[place + 3] = static_cast<char>(bytes[place + 3] ^ 1);
  write_contents(path, bytes);
  EXPECT_EQ(kind_of_failure([&] { read_weights(path); }), ErrorKind::corrupt_data);
  EXPECT_EQ(kind_of_failure([&] { read_weights(folder / "missing.h5"); }), ErrorKind::usage);
}

// In a container every attempt may have the same process number.
TEST(ModelFile, WhatKilledProcessesLeftIsRemoved) {
  const TemporaryDirectory folder;
  const std::string here = host_name(), own = std::to_string(getpid());
  const std::string alive = std::to_string(getppid()), gone = "2147483646";
  const std::vector<std::string> left = {"model.h5." + own, "model.h5." + gone, ".model.h5." + here + "." + own,
                                         ".model.h5." + here + "." + gone};
  const std::vector<std::string> kept = {"model.h5." + alive, ".model.h5." + here + "." + alive,
                                         ".model.h5.elsewhere." + gone, "model.h5.backup", "other.h5." + gone};
  for (const auto& name : left) write_contents(folder / name, "half");
  for (const auto& name : kept) write_contents(folder / name, "half");
  write_model(folder / "model.h5", {.model = "mlp"}, example(1).state_dict);
  EXPECT_EQ(read_weights(folder / "model.h5").size(), example(1).state_dict.size());
  for (const auto& name : left) EXPECT_FALSE(std::filesystem::exists(folder / name)) << name;
  for (const auto& name : kept) EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
}

TEST(CheckpointStore, WhatAKilledProcessOfTheSameNumberLeftIsRemoved) {
  const TemporaryDirectory folder;
  const std::string here = host_name(), own = std::to_string(getpid());
  for (const char* step : {"5", "6"})
    write_contents(folder / (".step_000000000" + std::string(step) + ".h5." + here + "." + own), "half");
  const CheckpointStore store(folder.path());
  store.save(example(5));
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().string().find("/.step_"), std::string::npos) << entry.path();
}

}  // namespace
}  // namespace lockstep
