// Command lines and names of data sets: what is split is put together again, what is read is written as the same.
#include <cstdlib>
#include <string>

#include "lockstep/core/dataset_reference.h"
#include "lockstep/core/distribution.h"
#include "lockstep/core/words.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace lockstep;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto no_variables = [](const std::string&) { return std::optional<std::string>(); };
  if (const auto words = split_words(text)) {
    std::vector<std::string> plain;  // as a program gets them
    for (const std::string& word : *words) plain.push_back(expand_variables(word, no_variables));
    const auto again = split_words(quote_words(plain));
    if (!again || again->size() != plain.size()) std::abort();
    for (std::size_t i = 0; i < plain.size(); ++i)
      if (expand_variables((*again)[i], no_variables) != plain[i]) std::abort();
  }
  if (const auto reference = parse_dataset_reference(text)) {
    const std::string written = reference->text();
    const auto again = parse_dataset_reference(written);
    if (!again || again->text() != written) std::abort();
  }
  (void)parse_distribution(text);
  (void)inputs_of({.command = text});
  return 0;
}
