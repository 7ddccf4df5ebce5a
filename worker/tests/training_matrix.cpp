// A few steps of many trainings, for training_matrix_test.py.
//   [mpirun -n RANKS] training_matrix FOLDER
// FOLDER/cases: a line per training, "NUMBER MODEL SEED CHANNELS HEIGHT WIDTH CLASSES TOKENS STEPS BATCH WAY OPTIMIZER
// VALUES" (TOKENS 0: images; else CLASSES is the vocabulary). WAY: plain, sharded, accumulate or bf16.
// FOLDER/NUMBER.input and NUMBER.targets: of all steps, raw; rank r takes samples r, r + RANKS, … of each step's BATCH,
// in two halves under "accumulate". Rank 0 writes FOLDER/NUMBER.RANKS.out: the parameters after the last step, raw.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <mpi.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"
#include "lockstep/distributed/training/precision.h"
#include "lockstep/distributed/training/train_step.h"
#include "lockstep/models/registry.h"

namespace lockstep {
namespace {

struct Case {
  std::string number, model, way, optimizer, values;
  std::uint64_t seed = 0;
  ModelInput shape;
  std::int64_t steps = 0, batch = 0;
};

Case parse(const std::string& line) {
  std::istringstream words(line);
  Case c;
  std::int64_t classes = 0;
  words >> c.number >> c.model >> c.seed >> c.shape.channels >> c.shape.height >> c.shape.width >> classes >>
      c.shape.sequence_length >> c.steps >> c.batch >> c.way >> c.optimizer >> c.values;
  if (!words) throw std::runtime_error("cannot read the case \"" + line + "\"");
  (c.shape.sequence_length > 0 ? c.shape.vocabulary : c.shape.classes) = classes;
  return c;
}

at::Tensor read(const std::string& path, at::ScalarType type, const std::vector<std::int64_t>& shape) {
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  auto values = at::empty(shape, type);
  if (bytes.size() != values.nbytes())
    throw std::runtime_error(path + " has " + std::to_string(bytes.size()) + " bytes");
  bytes.copy(static_cast<char*>(values.data_ptr()), bytes.size());
  return values;
}

void train(Communicator& communicator, const Case& c, const std::string& folder) {
  auto generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(c.seed);
  const auto model = make_model(c.model, c.shape);
  const bool tokens = c.shape.sequence_length > 0;
  const std::int64_t samples = c.steps * c.batch;
  const auto input = tokens ? read(folder + c.number + ".input", at::kLong, {samples, c.shape.sequence_length})
                            : read(folder + c.number + ".input", at::kFloat,
                                   {samples, c.shape.channels, c.shape.height, c.shape.width});
  const auto target = tokens ? read(folder + c.number + ".targets", at::kLong, {samples, c.shape.sequence_length})
                             : read(folder + c.number + ".targets", at::kLong, {samples});

  DataParallel parallel(
      *model, communicator,
      {.bucket_bytes = 1 << 18, .first_bucket_bytes = 1 << 14, .shard_optimizer = c.way == "sharded"});
  const auto optimizer = testing::optimizer_by_name(parallel, c.optimizer, testing::parse_values(c.values));
  const std::int64_t parts = c.way == "accumulate" ? 2 : 1;
  const auto backward = [&](std::int64_t step, std::int64_t part) {
    const auto mine = [&](const at::Tensor& all) {
      return all.narrow(0, step * c.batch, c.batch)
          .slice(0, communicator.rank(), c.batch, communicator.size())
          .slice(0, part, c.batch, parts)
          .contiguous();
    };
    at::Tensor logits;
    {
      const AutocastScope autocast(c.way == "bf16" ? "bf16" : "fp32", at::kCPU);
      logits = model->forward(mine(input));
    }
    cross_entropy(logits, mine(target)).div(static_cast<double>(parts)).backward();
  };
  for (std::int64_t step = 0; step < c.steps; ++step) {
    parallel.zero_grad();
    for (std::int64_t part = 0; part + 1 < parts; ++part) {
      const auto only_add = parallel.no_sync();
      backward(step, part);
    }
    backward(step, parts - 1);
    optimizer->step();
  }
  if (communicator.rank() != 0) return;
  std::ofstream out(folder + c.number + "." + std::to_string(communicator.size()) + ".out", std::ios::binary);
  for (const auto& parameter : model->parameters()) {
    const auto values = parameter.detach().contiguous();
    out.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
  }
  if (!out.flush()) throw std::runtime_error("cannot write to " + folder);
}

void run(const std::string& folder) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  std::ifstream cases(folder + "cases");
  for (std::string line; std::getline(cases, line);) train(*communicator, parse(line), folder);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  at::set_num_threads(1);
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  try {
    if (argc != 2) throw std::runtime_error("usage: training_matrix FOLDER");
    lockstep::run(std::string(argv[1]) + "/");
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return 0;
}
