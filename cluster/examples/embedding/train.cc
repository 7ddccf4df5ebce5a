// A network of one's own, trained by Lockstep's pieces one by one in a program that has its own main() and its own MPI.
//   mpirun -n 2 ./train 3       trains up to epoch 3, from the newest checkpoint in ./checkpoints where there is one
#include <ATen/ops/cross_entropy_loss.h>
#include <mpi.h>
#include <torch/nn/modules/linear.h>

#include <cstdio>
#include <cstdlib>

#include "lockstep/data/loader.h"
#include "lockstep/data/resolve_dataset.h"
#include "lockstep/distributed/checkpoint/checkpoint_store.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/resume.h"
#include "lockstep/distributed/training/small_sums.h"
#include "lockstep/distributed/training/training_state.h"

using namespace lockstep;

// Any torch::nn::Module will do: Lockstep looks at its parameters and buffers, never at its forward().
struct Net : torch::nn::Module {
  torch::nn::Linear hidden = register_module("hidden", torch::nn::Linear(144, 64));
  torch::nn::Linear output = register_module("output", torch::nn::Linear(64, 4));
  at::Tensor forward(const at::Tensor& images) { return output(hidden(images.flatten(1)).relu()); }
};

Hdf5Dataset open_data(Session& session) {
  // agree(): what one rank alone can run into (no such file) is thrown on all of them, so nobody is left waiting.
  std::string path =
      session.agree([&] {  // made-up images, written to a file once; a path or a registered name works too
        return session.local_rank() == 0 ? resolve_data("synthetic:1x12x12:4:2400").value().string() : "";
      });
  session.broadcast_text_in_node(path);
  return session.agree([&] { return Hdf5Dataset::open(path, "train").value(); });
}

void train(Session& session, std::int64_t epochs) {
  const Hdf5Dataset data = open_data(session);
  const auto batches = make_loader(
      data, {.rank = session.rank(), .world_size = session.world_size(), .global_batch_size = 48, .seed = 1});
  Net net;
  DataParallel model(net, session.communicator());  // from here on all ranks hold rank 0's values
  FusedSgd optimizer(model, {.learning_rate = 0.02, .momentum = 0.9});
  LossMeter meter;      // the mean loss of an epoch
  session.seed_rank();  // random layers, if there were any, draw differently on each rank

  // All that a checkpoint holds, by reference. Rank 0 alone reads and writes files.
  LiveState live{session, net, model, {&optimizer}, optimizer.learning_rate(), *batches, meter};
  const std::map<std::string, std::string> identity = {{"network", "144-64-4"}};
  const CheckpointStore store("checkpoints");
  const StartingPoint start = find_starting_point(session, "auto", store, identity);
  if (start.checkpoint) apply(*start.checkpoint, live, /*seed=*/1, start.origin);
  std::int64_t step = start.checkpoint ? start.checkpoint->step : 0;

  Batch batch;
  while (batches->position().epoch < epochs) {
    while (batches->next(batch)) {  // this rank's share of the global batch
      model.zero_grad();
      const at::Tensor loss = at::cross_entropy_loss(net.forward(batch.input), batch.target);
      loss.backward();  // gradients are averaged over the ranks while it runs; 2400 = 50 x 48: all shares are equal
      optimizer.step();
      meter.add(loss, batch.local_count, ++step);
    }
    batches->seek({batches->position().epoch + 1, 0});
    double sums[] = {meter.sums().loss, static_cast<double>(meter.sums().samples)};
    sum_over_ranks(session.communicator(), session.device(), sums);
    meter.reset();
    if (session.rank() == 0)
      std::printf("epoch %lld, step %lld: loss %.4f\n", static_cast<long long>(batches->position().epoch),
                  static_cast<long long>(step), sums[0] / sums[1]);
    Checkpoint checkpoint = capture(live);  // collective
    checkpoint.step = step;
    checkpoint.identity = identity;
    session.agree([&] {
      if (session.rank() == 0) store.save(checkpoint);
    });
  }
}

int main(int argc, char** argv) {
  int level = 0, code = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
  try {
    Session session(MPI_COMM_WORLD, {.device = "cpu", .threads = 1, .seed = 1});
    session.guard([&] { train(session, argc > 1 ? std::atoll(argv[1]) : 3); });  // a rank that throws tells the others
  } catch (const AgreedFailure& failure) {                                       // all ranks know: one of them speaks
    if (failure.reports()) std::fprintf(stderr, "%s\n", failure.what());
    code = 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
  }
  MPI_Finalize();
  return code;
}
