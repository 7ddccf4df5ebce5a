// Every rank says who and where it is; rank 0 gathers how many there are.
#include <mpi.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, size = 0, length = 0, sum = 0;
  char host[MPI_MAX_PROCESSOR_NAME];
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Get_processor_name(host, &length);
  const char* greeting = argc > 1 ? argv[1] : "hello";
  std::printf("%s from rank %d of %d on %s, local rank %s\n", greeting, rank, size, host, std::getenv("LOCAL_RANK"));
  const int mine = rank + 1;
  MPI_Reduce(&mine, &sum, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  if (rank == 0) std::printf("sum over ranks: %d\n", sum);
  MPI_Finalize();
}
