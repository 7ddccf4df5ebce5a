#include "lockstep/core/rank_environment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace lockstep {
namespace {

struct Dialect {
  const char* source;
  const char* rank;
  const char* world_size;  // nullptr: not told
  const char* local_rank;
  const char* local_world_size;
  const char* required;  // the dialect counts only where this is set too; nullptr: always
};

// In order of precedence.
constexpr std::array<Dialect, 6> kDialects{{
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE", nullptr},
    {"MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE",
     nullptr},
    {"MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", nullptr},
    // srun sets PMIX_RANK too, but tells more itself.
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr, "SLURM_STEP_NUM_TASKS"},
    {"PMIx", "PMIX_RANK", nullptr, nullptr, nullptr, "PMIX_NAMESPACE"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE"},
}};

std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return {};
  return value;
}

class Reader {
 public:
  explicit Reader(const VariableLookup& lookup) : lookup_(lookup) {}

  std::optional<int> number(const char* name) {
    if (!name) return {};
    const auto text = lookup_(name);
    if (!text || text->empty()) return {};
    const auto value = parse_number(*text);
    if (!value) refuse(std::string(name) + " is \"" + *text + "\", not a whole number from 0");
    return value;
  }

  void refuse(std::string what) {
    if (!error_)
      error_ = Error{ErrorKind::usage,
                     std::move(what),
                     {},
                     "these variables are set by what starts the ranks: unset them outside of it"};
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  const VariableLookup& lookup_;
  std::optional<Error> error_;
};

bool is_spoken(const Dialect& dialect, const VariableLookup& lookup) {
  return lookup(dialect.rank) && (!dialect.required || lookup(dialect.required));
}

void check_range(Reader& reader, const char* name, int rank, const std::optional<int>& size) {
  if (!size || rank < *size) return;
  reader.refuse(std::string(name) + " is " + std::to_string(rank) + ", of " + std::to_string(*size) + " ranks");
}

}  // namespace

std::optional<std::string> environment_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

Result<std::optional<RankEnvironment>> read_rank_environment(const VariableLookup& lookup) {
  for (const Dialect& dialect : kDialects) {
    if (!is_spoken(dialect, lookup)) continue;
    Reader reader(lookup);
    RankEnvironment found;
    found.source = dialect.source;
    found.rank = reader.number(dialect.rank).value_or(0);
    found.world_size = reader.number(dialect.world_size);
    found.local_rank = reader.number(dialect.local_rank);
    found.local_world_size = reader.number(dialect.local_world_size);
    if (dialect.source == std::string_view("Slurm")) {
      const auto tasks = lookup("SLURM_STEP_TASKS_PER_NODE");
      if (tasks) found.local_world_size = slurm_tasks_on_node(*tasks, reader.number("SLURM_NODEID").value_or(0));
    }
    check_range(reader, dialect.rank, found.rank, found.world_size);
    if (found.local_rank) check_range(reader, dialect.local_rank, *found.local_rank, found.local_world_size);
    if (reader.error()) return *reader.error();
    return std::optional(found);
  }
  return std::optional<RankEnvironment>();
}

std::optional<int> slurm_tasks_on_node(const std::string& tasks_per_node, int node) {
  std::string_view rest = tasks_per_node;
  while (!rest.empty()) {
    std::string_view group = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), group.size() + 1));
    int repeated = 1;
    if (const std::size_t open = group.find("(x"); open != std::string_view::npos) {
      if (group.back() != ')') return {};
      const auto count = parse_number(group.substr(open + 2, group.size() - open - 3));
      if (!count) return {};
      repeated = *count;
      group = group.substr(0, open);
    }
    const auto tasks = parse_number(group);
    if (!tasks) return {};
    if (node < repeated) return tasks;
    node -= repeated;
  }
  return {};
}

}  // namespace lockstep
