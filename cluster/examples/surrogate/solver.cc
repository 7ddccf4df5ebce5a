#include "solver.h"

#include <cmath>
#include <vector>

namespace {

constexpr int kGrid = 32, kBlock = kGrid / kCoarse;
constexpr double kTime = 0.5, kTimeStep = 1.0 / 128, kCell = 1.0 / kGrid;

// A band of rows with a halo row above and below.
struct Band {
  int rows, first;  // first: the number of its first row in the square
  std::vector<double> values;
  Band(int rows_, int first_) : rows(rows_), first(first_), values(static_cast<std::size_t>(rows_ + 2) * kGrid) {}
  double* row(int r) { return values.data() + static_cast<std::ptrdiff_t>(r + 1) * kGrid; }
};

double puff(int row, int column) {
  const double y = (row + 0.5) * kCell - 0.5, x = (column + 0.5) * kCell - 0.5;
  return std::exp(-(x * x + y * y) / (2 * 0.1 * 0.1));
}

void swap_halos(Band& band, int above, int below, MPI_Comm comm) {
  MPI_Sendrecv(band.row(0), kGrid, MPI_DOUBLE, above, 0, band.row(band.rows), kGrid, MPI_DOUBLE, below, 0, comm,
               MPI_STATUS_IGNORE);
  MPI_Sendrecv(band.row(band.rows - 1), kGrid, MPI_DOUBLE, below, 1, band.row(-1), kGrid, MPI_DOUBLE, above, 1, comm,
               MPI_STATUS_IGNORE);
}

double upwind(double before, double here, double after, double wind) {
  return wind * (wind > 0 ? here - before : after - here) / kCell;
}

void time_step(Band& now, Band& next, const Weather& weather) {
  for (int r = 0; r < now.rows; ++r) {
    const double *up = now.row(r - 1), *here = now.row(r), *down = now.row(r + 1);
    for (int c = 0; c < kGrid; ++c) {
      const double left = here[(c + kGrid - 1) % kGrid], right = here[(c + 1) % kGrid];
      const double laplace = (left + right + up[c] + down[c] - 4 * here[c]) / (kCell * kCell);
      next.row(r)[c] =
          here[c] + kTimeStep * (weather.diffusion * laplace - upwind(left, here[c], right, weather.wind_x) -
                                 upwind(up[c], here[c], down[c], weather.wind_y));
    }
  }
}

}  // namespace

Weather random_weather(std::mt19937_64& random) {
  std::uniform_real_distribution<double> diffusion(0.002, 0.02), wind(-0.5, 0.5);
  return {diffusion(random), wind(random), wind(random)};
}

Sample solve(const Weather& weather, MPI_Comm comm) {
  int rank = 0, ranks = 1;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &ranks);
  const int rows = kGrid / ranks;
  Band now(rows, rank * rows), next(rows, rank * rows);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < kGrid; ++c) now.row(r)[c] = puff(now.first + r, c);
  for (double t = 0; t < kTime - kTimeStep / 2; t += kTimeStep) {
    swap_halos(now, (rank + ranks - 1) % ranks, (rank + 1) % ranks, comm);
    time_step(now, next, weather);
    std::swap(now, next);
  }
  std::vector<double> means(static_cast<std::size_t>(rows / kBlock) * kCoarse);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < kGrid; ++c) means[r / kBlock * kCoarse + c / kBlock] += now.row(r)[c] / (kBlock * kBlock);
  Sample sample{.weather = weather, .smoke = {}};
  const int count = static_cast<int>(means.size());
  MPI_Gather(means.data(), count, MPI_DOUBLE, sample.smoke.data(), count, MPI_DOUBLE, 0, comm);
  return sample;
}
