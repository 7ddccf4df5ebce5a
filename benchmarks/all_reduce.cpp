// Lockstep's all_reduce against MPI_Allreduce, in pairs: A B A B under one mpirun, as machines drift by more than the
// effects looked for. Gradients are written anew before every call: results that stay in a peer's cache would flatter
// everybody.
//
//   mpirun -n 2 --bind-to core bench_all_reduce [--elements 62006,11173962] [--pairs 15] [--backend auto] [--foreign]
//   [--json FILE]
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"

namespace {

using lockstep::Buffer;
using lockstep::Communicator;

struct Settings {
  std::vector<std::int64_t> elements = {62'006, 11'173'962};  // gradients of the tutorial's network and of ResNet-18
  int pairs = 15;
  std::string backend = "auto";
  bool foreign = false;  // the buffer in ordinary memory
  std::string json;
};

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--foreign") {
      settings.foreign = true;
      continue;
    }
    if (i + 1 == argc) lockstep::fail(lockstep::ErrorKind::usage, "option " + name + " is unknown or lacks its value");
    const std::string value = argv[++i];
    if (name == "--elements") {
      settings.elements.clear();
      std::istringstream list(value);
      for (std::string item; std::getline(list, item, ',');) settings.elements.push_back(std::stoll(item));
    } else if (name == "--pairs") {
      settings.pairs = std::stoi(value);
    } else if (name == "--backend") {
      settings.backend = value;
    } else if (name == "--json") {
      settings.json = value;
    } else {
      lockstep::fail(lockstep::ErrorKind::usage, "there is no option " + name,
                     "expected --elements, --pairs, --backend, --foreign or --json");
    }
  }
  return settings;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Other values in every call, on every rank.
void write_gradients(float* data, std::int64_t count, int rank, int call) {
  const float step = 0.001f * static_cast<float>(rank + 1);
  const auto shift = static_cast<std::int64_t>(call % 17);
  for (std::int64_t i = 0; i < count; ++i) data[i] = static_cast<float>((i + shift) & 1023) * step - 0.3f;
}

// Seconds per call, the median over `calls`, of the slowest rank.
double measure(float* data, std::int64_t count, int calls, const std::function<void()>& all_reduce) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  std::vector<double> seconds;
  for (int call = 0; call < calls; ++call) {
    write_gradients(data, count, rank, call);
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = now();
    all_reduce();
    double taken = now() - start;
    MPI_Allreduce(MPI_IN_PLACE, &taken, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    seconds.push_back(taken);
  }
  std::nth_element(seconds.begin(), seconds.begin() + calls / 2, seconds.end());
  return seconds[static_cast<std::size_t>(calls / 2)];
}

// MPI may add in another order: equal to the last bits.
bool equal_results(const float* a, const float* b, std::int64_t count) {
  int equal = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    if (std::abs(a[i] - b[i]) > 1e-6f * std::max(1.0f, std::abs(b[i]))) equal = 0;
  }
  MPI_Allreduce(MPI_IN_PLACE, &equal, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  return equal != 0;
}

struct Row {
  std::int64_t elements = 0;
  std::vector<double> ratios;      // MPI's time / ours, of neighbours; sorted
  double ours_us = 0, mpi_us = 0;  // of the median pair
  bool equal = false;
};

Row compare(Communicator& communicator, std::int64_t count, const Settings& settings) {
  const auto memory = communicator.allocate(count * 4);
  std::vector<float> elsewhere(static_cast<std::size_t>(count)), theirs(static_cast<std::size_t>(count));
  float* const ours = settings.foreign ? elsewhere.data() : static_cast<float*>(memory->data());
  const auto lockstep_call = [&] { communicator.all_reduce({ours, count}, lockstep::ReduceOp::sum).wait(); };
  const auto mpi_call = [&] {
    MPI_Allreduce(MPI_IN_PLACE, theirs.data(), static_cast<int>(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  };
  const int calls = static_cast<int>(std::clamp<std::int64_t>(20'000'000 / (count + 1), 5, 300));
  measure(ours, count, calls, lockstep_call);  // warm
  measure(theirs.data(), count, calls, mpi_call);
  std::vector<std::pair<double, double>> pairs;
  for (int pair = 0; pair < settings.pairs; ++pair) {
    const double a = measure(ours, count, calls, lockstep_call);
    const double b = measure(theirs.data(), count, calls, mpi_call);
    pairs.emplace_back(a, b);
  }
  std::sort(pairs.begin(), pairs.end(), [](auto x, auto y) { return x.second / x.first < y.second / y.first; });
  Row row;
  row.elements = count;
  row.equal = equal_results(ours, theirs.data(), count);
  for (const auto& [a, b] : pairs) row.ratios.push_back(b / a);
  row.ours_us = 1e6 * pairs[pairs.size() / 2].first;
  row.mpi_us = 1e6 * pairs[pairs.size() / 2].second;
  return row;
}

void report(const std::vector<Row>& rows, const Communicator& communicator, const Settings& settings) {
  nlohmann::json document = {{"benchmark", "all_reduce"},    {"backend", communicator.name()},
                             {"ranks", communicator.size()}, {"memory", settings.foreign ? "foreign" : "direct"},
                             {"pairs", settings.pairs},      {"rows", nlohmann::json::array()}};
  std::printf("all_reduce of float32, %d ranks, %s in %s memory against MPI_Allreduce, %d pairs\n", communicator.size(),
              std::string(communicator.name()).c_str(), settings.foreign ? "foreign" : "direct", settings.pairs);
  std::printf("%12s %12s %12s %8s %18s  equal results\n", "bytes", "ours us", "MPI us", "ratio", "min .. max");
  for (const Row& row : rows) {
    const double median = row.ratios[row.ratios.size() / 2];
    std::printf("%12lld %12.1f %12.1f %8.2f %8.2f .. %6.2f  %s\n", static_cast<long long>(row.elements * 4),
                row.ours_us, row.mpi_us, median, row.ratios.front(), row.ratios.back(), row.equal ? "yes" : "NO");
    document["rows"].push_back({{"bytes", row.elements * 4},
                                {"ours_us", row.ours_us},
                                {"mpi_us", row.mpi_us},
                                {"ratio_median", median},
                                {"ratio_min", row.ratios.front()},
                                {"ratio_max", row.ratios.back()},
                                {"equal_results", row.equal}});
  }
  if (!settings.json.empty()) std::ofstream(settings.json) << document.dump(2) << "\n";
}

int run(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  const auto communicator = lockstep::make_communicator(MPI_COMM_WORLD, {.backend = settings.backend});
  std::vector<Row> rows;
  for (const std::int64_t count : settings.elements) rows.push_back(compare(*communicator, count, settings));
  if (communicator->rank() == 0) report(rows, *communicator, settings);
  return std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.equal; }) ? 0 : 1;
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
    std::fprintf(stderr, "all_reduce: %s\n", e.what());
    return MPI_Abort(MPI_COMM_WORLD, lockstep::exit_code(lockstep::to_error(e).kind));
  }
}
