#include "lockstep/models/check_input.h"

#include <stdexcept>

namespace lockstep {

void check_model_input(const std::string& model, const ModelInput& input, std::int64_t smallest_side) {
  const auto counted = [&](std::int64_t value, const char* what) {
    if (value < 1) throw std::invalid_argument(model + " needs at least 1 " + what + ", not " + std::to_string(value));
  };
  counted(input.channels, "channel");
  counted(input.classes, "class");
  if (input.height >= smallest_side && input.width >= smallest_side) return;
  throw std::invalid_argument("images of " + std::to_string(input.height) + "x" + std::to_string(input.width) +
                              " pixels are too small for " + model + ", which needs at least " +
                              std::to_string(smallest_side) + "x" + std::to_string(smallest_side));
}

}  // namespace lockstep
