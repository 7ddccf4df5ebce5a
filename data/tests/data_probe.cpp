// Prints what the library does, for comparison with programs that are not ours.
//   data_probe order COUNT SEED EPOCH INDEX…      the sample at each index of the epoch's order
//   data_probe batches FILE SPLIT RANK WORLD_SIZE GLOBAL_BATCH SEED EPOCH CONSUMED SHUFFLE DROP_LAST NORMALIZE THREADS
//       per step: local_count and global_count (int64), inputs (float32), targets (int64), as raw bytes
//   data_probe small FILE                         writes a small data set
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "lockstep/data/loader.h"
#include "lockstep/data/permutation.h"
#include "lockstep/data/tests/small_dataset.h"

namespace lockstep {
namespace {

int print_order(const std::vector<std::string>& words) {
  const Permutation order(std::stoull(words.at(1)), std::stoull(words.at(2)), std::stoull(words.at(3)));
  for (std::size_t i = 4; i < words.size(); ++i) std::cout << (i == 4 ? "" : " ") << order(std::stoull(words[i]));
  std::cout << '\n';
  return 0;
}

template <typename T>
void put(const T* values, std::int64_t count) {
  std::fwrite(values, sizeof(T), static_cast<std::size_t>(count), stdout);
}

int print_batches(const std::vector<std::string>& words) {
  const auto number = [&](std::size_t i) { return std::stoll(words.at(i)); };
  const Hdf5Dataset dataset = Hdf5Dataset::open(words.at(1), words.at(2)).value();
  LoaderOptions options;
  options.rank = static_cast<int>(number(3));
  options.world_size = static_cast<int>(number(4));
  options.global_batch_size = number(5);
  options.seed = static_cast<std::uint64_t>(number(6));
  options.shuffle = number(9) != 0;
  options.drop_last = number(10) != 0;
  options.normalize = number(11) != 0;
  options.reader_threads = static_cast<int>(number(12));
  const auto source = make_loader(dataset, options);
  source->seek({number(7), number(8)});
  Batch batch;
  while (source->next(batch)) {
    put(&batch.local_count, 1);
    put(&batch.global_count, 1);
    put(batch.input.data_ptr<float>(), batch.input.numel());
    put(batch.target.data_ptr<std::int64_t>(), batch.target.numel());
  }
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (!words.empty() && words[0] == "order") return lockstep::print_order(words);
    if (!words.empty() && words[0] == "batches") return lockstep::print_batches(words);
    if (!words.empty() && words[0] == "small") return lockstep::testing::SmallDataset().write(words.at(1)), 0;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
  }
  return 2;
}
