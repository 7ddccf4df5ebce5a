// What rank 0 of a submission would start with, to the word: for --dry-run.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lockstep/launchers/submission.h"

namespace lockstep {

struct RankStart {
  std::vector<std::string> argv;                   // its variables filled in
  std::map<std::string, std::string> environment;  // what an MPI adds is not in it
};

// <run> stands for the run directory, <id> for the run's id and <port> for a number made from that, which nobody knows
// yet; values of secret names are kRedacted. available: the submitter's environment. stage: where copies of data sets
// will lie.
RankStart first_rank(const Submission& submission, std::map<std::string, std::string> available,
                     const std::filesystem::path& stage);

// Lines for people, and for --json.
std::string describe(const RankStart& rank);
nlohmann::ordered_json to_json(const RankStart& rank);

}  // namespace lockstep
