// lockstep data fetch: data sets that others publish.
#include "lockstep/data/fetch.h"

#include <cctype>

#include "lockstep/data/program/commands.h"

namespace lockstep {
namespace {

struct FetchFlags {
  std::string from, name;
  std::vector<std::string> md5, sha256;
};

const OptionTable<FetchFlags>& fetch_flags() {
  static const OptionTable<FetchFlags> table = [] {
    OptionTable<FetchFlags> t;
    t.add("from", &FetchFlags::from, "PATH|URL",
          "a local folder or archive, or a mirror: for cifar10 the archive's address, else the folder's")
        .add("name", &FetchFlags::name, "NAME", "name to register it under")
        .add("md5", &FetchFlags::md5, "[FILE=]HEX", "the MD5 that a file must have, instead of the published one")
        .add("sha256", &FetchFlags::sha256, "[FILE=]HEX", "the same as SHA-256");
    return t;
  }();
  return table;
}

const CommandText kText{
    "lockstep data fetch cifar10|mnist|fashion-mnist [options]",
    "Gets a published data set, checks its digests, imports it and registers it. Fashion-MNIST comes from Debian's "
    "package\n"
    "dataset-fashion-mnist, the others from where they are published; an interrupted download is continued.",
    "  lockstep data fetch fashion-mnist\n"
    "  lockstep data fetch cifar10 --from ~/Downloads/cifar-10-binary.tar.gz\n"
    "  lockstep data fetch mnist --from https://mirror.example.org/mnist\n"};

bool is_digest(const std::string& text, std::size_t digits) {
  if (text.size() != digits) return false;
  for (const char c : text) {
    if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return false;
  }
  return true;
}

// "FILE=HEX" or "HEX" into the map.
void add_digests(const std::vector<std::string>& texts, const std::string& kind, std::size_t digits,
                 std::string ExpectedDigest::*member, FetchOptions& options) {
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    std::string digest = equals == std::string::npos ? text : text.substr(equals + 1);
    if (!is_digest(digest, digits)) {
      fail(ErrorKind::usage, "'" + digest + "' is not the text of a digest: --" + kind + " takes " +
                                 std::to_string(digits) + " hexadecimal digits");
    }
    for (char& c : digest) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    options.digests[equals == std::string::npos ? "" : text.substr(0, equals)].*member = digest;
  }
}

}  // namespace

int fetch_command(const Arguments& arguments) {
  FetchFlags flags;
  std::vector<std::string> words;
  if (!parse_arguments(kText, fetch_flags(), arguments, &flags, &words, 1, 1)) return 0;
  FetchOptions options{words[0], flags.from, flags.name, {}};
  add_digests(flags.md5, "md5", 32, &ExpectedDigest::md5, options);
  add_digests(flags.sha256, "sha256", 64, &ExpectedDigest::sha256, options);
  print_registered(fetch(Workspace::find_or_create().value(), options));
  return 0;
}

}  // namespace lockstep
