// Rank tests run on one node, where backends are told to see several, and on several that share no memory
// (tests/nodes/on_nodes.py). What does not fit the place is skipped.
#pragma once

#include <mpi.h>

#include <string>

namespace lockstep::testing {

// Whether all ranks of `comm` can share memory. Collective.
inline bool on_one_node(MPI_Comm comm = MPI_COMM_WORLD) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int of_node = 0, of_all = 0;
  MPI_Comm_size(node, &of_node);
  MPI_Comm_size(comm, &of_all);
  MPI_Comm_free(&node);
  const int mine = of_node == of_all ? 1 : 0;
  int all = 0;
  MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, comm);
  return all != 0;
}

// Whether this rank can share memory with that one. Collective.
inline bool shares_node_with(int rank, MPI_Comm comm = MPI_COMM_WORLD) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int own = 0, is_there = 0;
  MPI_Comm_rank(comm, &own);
  const int is_it = own == rank ? 1 : 0;
  MPI_Allreduce(&is_it, &is_there, 1, MPI_INT, MPI_MAX, node);
  MPI_Comm_free(&node);
  return is_there != 0;
}

// Why the backend is not tested here; empty: it is. ranks_per_node: of nodes that are made up; 0: the real ones.
inline std::string why_not_here(const std::string& backend, int ranks_per_node) {
  const bool one = on_one_node();
  if (!one && backend == "shm") return "the nodes share no memory";
  if (!one && ranks_per_node > 0) return "the nodes are real";
  if (one && backend == "hierarchical" && ranks_per_node == 0) return "there is one node";
  return {};
}

}  // namespace lockstep::testing
