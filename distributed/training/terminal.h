// Whether somebody is watching stdout, and how wide the window is.
#pragma once

namespace lockstep {

// An interactive terminal gets one line that is rewritten, anything else (a file, a pipe, a log) plain lines.
// Open MPI gives every rank a pseudo-terminal for stdout even when mpirun writes to a file; so under a launcher it is
// the parent process's stdout that counts, which on the node of mpirun is the user's.
struct Terminal {
  bool interactive = false;
  int columns = 80;
};
Terminal find_terminal();

}  // namespace lockstep
