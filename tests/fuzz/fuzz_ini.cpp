// INI files: whatever is read can be written and is then read as the same; nothing but a usage error comes of the rest.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lockstep/core/estimator.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace lockstep;
  const Estimator defaults;
  Estimator estimator;
  const auto read = estimator_options().parse_ini({reinterpret_cast<const char*>(data), size}, "job.ini", &estimator);
  if (!read) {
    if (read.error().kind != ErrorKind::usage || read.error().what.empty()) std::abort();
    return 0;
  }
  Estimator again;
  if (!estimator_options().parse_ini(estimator_options().to_ini(&estimator, &defaults), "again.ini", &again))
    std::abort();
  const auto same = [](const OptionEntry& entry, const Estimator& a, const Estimator& b) {
    return entry.is_key_values ? entry.pairs(&a) == entry.pairs(&b) : entry.get(&a) == entry.get(&b);
  };
  for (const OptionEntry& entry : estimator_options().entries())
    if (!same(entry, estimator, again)) std::abort();
  return 0;
}
