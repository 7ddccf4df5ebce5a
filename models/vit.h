// A vision transformer: timm's vit_small.
#pragma once

#include <memory>

#include "lockstep/models/model.h"

namespace lockstep {

// Pre-norm blocks over patches, a class token and learned positions: width 384, 12 blocks, 6 heads, no dropout. Patches
// are 4x4 pixels for images up to 64x64 (timm has no such model; all else is as in vit_small_patch16_224), 16x16 above.
// Names of parameters, their order, the initial values for a seed, logits and gradients are timm's. Throws
// std::invalid_argument when the sides are not multiples of the patch's, and for counts below 1.
std::shared_ptr<Model> make_vit_small(const ModelInput& input, const ModelOptions& options = {});

}  // namespace lockstep
