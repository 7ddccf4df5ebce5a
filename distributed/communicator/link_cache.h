// Measured links, kept between runs: start-up measures once for a kind of machine and a layout of ranks.
#pragma once

#include <filesystem>
#include <string>

#include "lockstep/distributed/communicator/link_table.h"
#include "lockstep/distributed/communicator/node_layout.h"

namespace lockstep {

// What the table is valid for, in words: machine, ranks on nodes, MPI, Lockstep.
std::string link_key(const NodeLayout& layout, const std::string& mpi_version);

// LOCKSTEP_CACHE, else XDG_CACHE_HOME/lockstep, else ~/.cache/lockstep; in it links/<hash of the key>.json. Empty where
// there is no home.
std::filesystem::path link_file(const std::string& key);

// The text of the file; empty when there is none or it cannot be read.
std::string read_links(const std::filesystem::path& file);
// By a temporary file and rename. False when it cannot be written, which costs the next run a measurement.
bool write_links(const std::filesystem::path& file, const LinkTable& links);

}  // namespace lockstep
