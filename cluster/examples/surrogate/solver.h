// A finite-difference solver for advection and diffusion, spread over the ranks of a communicator. Plain MPI.
#pragma once

#include <mpi.h>

#include <random>

#include "sample.h"

Weather random_weather(std::mt19937_64& random);

// Collective over `comm`, whose size divides kCoarse. u_t + v * grad u = D laplace u on a 32 x 32 grid, explicit in
// time, upwind; each rank owns a band of rows and swaps its outermost ones with its neighbours in every time step. The
// whole answer is on rank 0.
Sample solve(const Weather& weather, MPI_Comm comm);
