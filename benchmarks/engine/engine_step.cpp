// The engine's training step in several settings, in turns within one program, so that neighbours in time can be
// compared:
//
//   parallel   all ranks train together: gradients are averaged
//   together   all ranks train at once, each a copy of its own: the same load on the machine, no communication
//   alone      rank 0 trains its copy, the others sleep
//   planned    as parallel, with buckets from plan_from_probe()
//   buckets:X  as parallel, with buckets of X MiB, the first one too
//   bare       rank 0 trains by hand: the same model and the same update without DataParallel; the others sleep
//
//   mpirun -n 2 --bind-to core engine_step WORKLOAD BATCH [--phases parallel,together,alone,bare] [--rounds 5]
//   [--steps 50] [--warm-up 10] [--weights FILE]
//
// Prints one JSON line: per phase and round the median seconds per step of the slowest rank, the processor's time for
// it, and what of it was exposed communication; and whether alone and bare end with equal weights. --weights: all
// parameters and buffers of the parallel model at the end, float32, one after the other.
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/plan_from_probe.h"
#include "trainers.h"

namespace {

struct Settings {
  std::string workload;
  std::int64_t batch = 0;
  std::vector<std::string> phases = {"parallel", "together", "alone", "bare"};
  int rounds = 5, steps = 50, warm_up = 10;
  std::string weights;
};

Settings parse(int argc, char** argv) {
  if (argc < 3) lockstep::fail(lockstep::ErrorKind::usage, "engine_step needs a workload and a batch size");
  Settings settings;
  settings.workload = argv[1];
  settings.batch = std::stoll(argv[2]);
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--phases") {
      settings.phases.clear();
      std::istringstream list(value);
      for (std::string phase; std::getline(list, phase, ',');) settings.phases.push_back(phase);
    } else if (name == "--rounds") {
      settings.rounds = std::stoi(value);
    } else if (name == "--steps") {
      settings.steps = std::stoi(value);
    } else if (name == "--warm-up") {
      settings.warm_up = std::stoi(value);
    } else if (name == "--weights") {
      settings.weights = value;
    } else {
      lockstep::fail(lockstep::ErrorKind::usage, "there is no option " + name);
    }
  }
  return settings;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Seconds {
  double step = 0, processor = 0, exposed = 0;
};

// Of this thread, which is the one that computes: what other programs take meanwhile is not in it.
double processor_now() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

class Measurement {
 public:
  explicit Measurement(Settings settings) : settings_(std::move(settings)) {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    communicator_ = lockstep::make_communicator(MPI_COMM_WORLD, {});
    for (const auto& phase : settings_.phases) {
      if (phase == "parallel") {
        trainers_[phase] = std::make_unique<LockstepTrainer>(workload(), *communicator_);
      } else if (phase == "planned") {
        trainers_[phase] = planned_trainer();
      } else if (is_sized(phase)) {
        const auto bytes = static_cast<std::int64_t>(std::stod(phase.substr(phase.find(':') + 1)) * (1 << 20));
        trainers_[phase] = std::make_unique<LockstepTrainer>(
            workload(), *communicator_,
            lockstep::DataParallelOptions{.bucket_bytes = bytes, .first_bucket_bytes = bytes});
      } else if (phase == "together" || phase == "alone") {
        if (!copy_) copy_ = std::make_shared<LockstepTrainer>(workload(), self_);
        trainers_[phase] = copy_;
      } else if (phase == "bare") {
        trainers_[phase] = std::make_shared<BareTrainer>(workload());
      } else {
        lockstep::fail(lockstep::ErrorKind::usage, "there is no phase " + phase);
      }
    }
  }

  nlohmann::json run() {
    for (const auto& phase : settings_.phases) measure(phase, settings_.warm_up);
    nlohmann::json phases;
    for (int round = 0; round < settings_.rounds; ++round) {
      auto order = settings_.phases;
      if (round % 2 == 1) std::reverse(order.begin(), order.end());
      for (const auto& phase : order) {
        const Seconds seconds = measure(phase, settings_.steps);
        phases[phase]["seconds"].push_back(seconds.step);
        phases[phase]["processor"].push_back(seconds.processor);
        phases[phase]["exposed"].push_back(seconds.exposed);
      }
    }
    nlohmann::json document = {{"workload", settings_.workload}, {"batch", settings_.batch},
                               {"ranks", communicator_->size()}, {"communicator", communicator_->name()},
                               {"steps", settings_.steps},       {"phases", phases}};
    if (trainers_.contains("bare")) document["alone_equals_bare"] = alone_equals_bare();
    if (!settings_.weights.empty() && rank_ == 0) write_weights(trainers_.at("parallel")->module());
    return document;
  }

 private:
  Workload workload() const { return make_workload(settings_.workload, settings_.batch, rank_); }

  static bool is_sized(const std::string& phase) { return phase.starts_with("buckets:"); }
  // All ranks take part.
  static bool is_common(const std::string& phase) {
    return phase == "parallel" || phase == "planned" || phase == "together" || is_sized(phase);
  }

  std::unique_ptr<Trainer> planned_trainer() const {
    Workload planned = workload();
    const LabelledBatch& batch = planned.batches[0];
    const std::int64_t samples = std::min<std::int64_t>(2, batch.input.size(0));
    const LabelledBatch few{batch.input.narrow(0, 0, samples), batch.target.narrow(0, 0, samples)};
    const double begin = now();
    const auto probed =
        lockstep::plan_from_probe(*planned.module, *communicator_,
                                  {.backward = [&] { planned.loss(few).backward(); },
                                   .time_factor = static_cast<double>(settings_.batch) / static_cast<double>(samples)});
    const double seconds = now() - begin;
    auto trainer = std::make_unique<LockstepTrainer>(std::move(planned), *communicator_,
                                                     lockstep::DataParallelOptions{.layout = probed.layout});
    if (rank_ == 0)
      std::fprintf(stderr, "%zu buckets, %s, in %.1f ms\n", trainer->plan().buckets.size(), probed.origin.c_str(),
                   1e3 * seconds);
    return trainer;
  }

  // Of the slowest rank that takes part.
  Seconds measure(const std::string& phase, int steps) {
    double medians[3] = {0, 0, 0};
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank_ == 0 || is_common(phase)) {
      Trainer& trainer = *trainers_.at(phase);
      for (int i = 0; i < 2; ++i) trainer.step();  // the caches are the other phases'
      std::vector<double> seconds, processor, exposed;
      for (int i = 0; i < steps; ++i) {
        const double begin = now(), processor_begin = processor_now();
        trainer.step();
        seconds.push_back(now() - begin);
        processor.push_back(processor_now() - processor_begin);
        exposed.push_back(trainer.exposed_seconds());
      }
      medians[0] = median(seconds);
      medians[1] = median(processor);
      medians[2] = median(exposed);
    }
    wait_asleep();
    MPI_Allreduce(MPI_IN_PLACE, medians, 3, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return {medians[0], medians[1], medians[2]};
  }

  // For all ranks; without spinning, which would take memory bandwidth and clock rate from the one that computes.
  static void wait_asleep() {
    MPI_Request request;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    for (int done = 0; MPI_Test(&request, &done, MPI_STATUS_IGNORE), done == 0;) usleep(2000);
  }

  bool alone_equals_bare() {
    LockstepTrainer ours(workload(), self_);
    BareTrainer bare(workload());
    for (int i = 0; i < 5; ++i) {
      ours.step();
      bare.step();
    }
    const auto a = ours.module().parameters(), b = bare.module().parameters();
    bool equal = true;
    for (std::size_t i = 0; i < a.size(); ++i) equal = equal && at::equal(a[i], b[i]);
    return equal;
  }

  void write_weights(const torch::nn::Module& module) const {
    std::ofstream file(settings_.weights, std::ios::binary);
    auto tensors = module.parameters();
    for (const auto& buffer : module.buffers()) tensors.push_back(buffer);
    for (const auto& tensor : tensors) {
      const at::Tensor values = tensor.detach().to(at::kFloat).contiguous();
      file.write(static_cast<const char*>(values.const_data_ptr()), static_cast<std::streamsize>(values.nbytes()));
    }
    if (!file.flush()) lockstep::fail(lockstep::ErrorKind::environment, "cannot write " + settings_.weights);
  }

  Settings settings_;
  int rank_ = 0;
  std::unique_ptr<lockstep::Communicator> communicator_;
  lockstep::SelfCommunicator self_;
  std::shared_ptr<Trainer> copy_;  // of this rank: what "together" and "alone" train
  std::map<std::string, std::shared_ptr<Trainer>> trainers_;
};

int run(int argc, char** argv) {
  at::set_num_threads(1);
  Measurement measurement(parse(argc, argv));
  const nlohmann::json document = measurement.run();
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 0) std::printf("%s\n", document.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  try {
    const int code = run(argc, argv);
    MPI_Finalize();
    return code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "engine_step: %s\n", e.what());
    return MPI_Abort(MPI_COMM_WORLD, lockstep::exit_code(lockstep::to_error(e).kind));
  }
}
