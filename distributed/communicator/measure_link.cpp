#include "lockstep/distributed/communicator/measure_link.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t calls = 5;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Other gradients in every call: results that are still in a peer's cache would flatter.
void write_gradients(float* data, std::int64_t count, int salt) {
  for (std::int64_t i = 0; i < count; ++i) data[i] = static_cast<float>((i + salt) & 1023);
}

// The largest value of all ranks, on all ranks: nobody leaves before all have come.
double largest(Communicator& c, double value) {
  c.all_reduce({&value, 1, DataType::float64}, ReduceOp::max).wait();
  return value;
}

// The median of up to five calls, each that of its slowest rank; 0 where the time is up before the first one.
double median_seconds(Communicator& c, float* data, std::int64_t count, Clock::time_point start, double budget) {
  std::array<double, calls> times{};
  std::size_t counted = 0;
  for (std::size_t call = 0; call < calls + 1; ++call) {  // the first one is not counted
    write_gradients(data, count, static_cast<int>(call) + c.rank());
    if (largest(c, seconds_since(start)) > budget) break;
    const auto begin = Clock::now();
    c.all_reduce({data, count}, ReduceOp::sum).wait();
    if (call > 0) times[counted++] = seconds_since(begin);
  }
  if (counted == 0) return 0;
  c.all_reduce({times.data(), calls, DataType::float64}, ReduceOp::max).wait();
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(counted / 2);
  std::nth_element(times.begin(), middle, times.begin() + static_cast<std::ptrdiff_t>(counted));
  return std::max(*middle, 1e-9);
}

}  // namespace

Link measure_link(Communicator& c, std::string_view backend, std::span<const std::int64_t> sizes,
                  double budget_seconds) {
  const auto start = Clock::now();
  const auto memory = c.allocate(sizes.back());
  std::vector<LinkPoint> points;
  for (const std::int64_t bytes : sizes) {
    double expected = seconds_since(start);
    if (!points.empty()) {
      const double growth = static_cast<double>(bytes) / static_cast<double>(points.back().bytes);
      expected += growth * points.back().seconds * static_cast<double>(calls + 1);
    }
    if (largest(c, expected) > budget_seconds) break;
    const double seconds = median_seconds(c, static_cast<float*>(memory->data()), bytes / 4, start, budget_seconds);
    if (seconds == 0) break;
    points.push_back({bytes, seconds});
  }
  return fit_link(std::string(backend), std::move(points));
}

}  // namespace lockstep
