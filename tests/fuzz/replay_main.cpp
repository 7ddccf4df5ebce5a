// Where no fuzzer is linked: tries the files and folders that are named, and simple changes of each, always the same
// ones.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
int tried = 0;

void try_one(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const unsigned char*>(text.data()), text.size());
  ++tried;
}

void try_changes(const std::string& text) {
  std::uint64_t state = 1 + text.size();
  const auto random = [&](std::size_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state >> 33) % below;
  };
  for (int i = 0; i < 2000; ++i) {
    std::string changed = text;
    for (std::size_t n = 1 + random(4); n > 0; --n) {
      const std::size_t at = random(changed.size() + 1);
      switch (random(4)) {
        case 0:
          changed.resize(at);
          break;
        case 1:
          changed.insert(at, 1, static_cast<char>(random(256)));
          break;
        case 2:
          changed.insert(at, changed.substr(random(changed.size() + 1), random(20)));
          break;
        default:
          if (at < changed.size()) changed[at] = static_cast<char>(random(256));
      }
    }
    try_one(changed);
  }
}

void try_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try_one(text);
  try_changes(text);
}

}  // namespace

int main(int argc, char** argv) {
  try_one("");
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      try_file(argv[i]);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(argv[i])) try_file(entry.path());
  }
  std::printf("%d inputs\n", tried);
}
