// Published data sets by name: where they are, what their files must hold, and the way into a workspace.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/workspace.h"
#include "lockstep/data/download.h"

namespace lockstep {

struct FetchOptions {
  std::string dataset;  // one of published_names()
  std::string from;     // a folder, an archive, an address; empty: where it is published
  std::string name;     // to register it under; empty: `dataset`
  // Digests that replace the published ones, by file name; the name "" stands for a data set of one file.
  std::map<std::string, ExpectedDigest> digests;
};

// "cifar10", "mnist", "fashion-mnist".
std::vector<std::string> published_names();

// Gets the files (downloads are digest-checked), imports and registers them; downloaded files are removed afterwards.
//   fashion-mnist   from Debian's package dataset-fashion-mnist
//   mnist, cifar10  from the address they are published at
// `from` an address: of the archive for cifar10; of the folder with the four files for the others.
// Throws Failure: usage for an unknown name, bad options or bad files; environment, corrupt_data as download().
DatasetRecord fetch(const Workspace& workspace, const FetchOptions& options);

}  // namespace lockstep
