// A file that breaks the layering on purpose: the layering check must refuse it as part of core.
#include "lockstep/distributed/gradients/data_parallel.h"
