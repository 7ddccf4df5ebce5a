#include "lockstep/data/fetch.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/data/import_files.h"
#include "lockstep/data/workspace_data.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct PublishedFile {
  std::string name, md5;
};

// As their authors publish them, with their MD5.
struct Published {
  std::string name, importer, address;  // of the folder with the files
  std::vector<PublishedFile> files;
};

const std::vector<Published>& catalogue() {
  static const std::vector<Published> all{
      {"cifar10",
       "cifar10",
       "https://www.cs.toronto.edu/~kriz",
       {{"cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"}}},
      // The copy that PyTorch keeps: the authors' own server has stopped serving the files.
      {"mnist",
       "idx",
       "https://ossci-datasets.s3.amazonaws.com/mnist",
       {{"train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"},
        {"train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"},
        {"t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"},
        {"t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"}}},
      {"fashion-mnist",
       "idx",
       "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
       {{"train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"},
        {"train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"},
        {"t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"},
        {"t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"}}}};
  return all;
}

constexpr const char* kDebianPackage = "dataset-fashion-mnist";

const Published& find_published(const std::string& name) {
  for (const Published& published : catalogue()) {
    if (published.name == name) return published;
  }
  fail(ErrorKind::usage, "there is nothing to fetch by the name '" + name + "'" + suggestion(name, published_names()),
       "`lockstep data import` takes files that you have");
}

bool is_address(const std::string& text) { return text.find("://") != std::string::npos; }

// The folder of Debian's package, wherever dpkg has put it.
fs::path debian_folder() {
  const auto listed = capture({.argv = {"dpkg", "-L", kDebianPackage}});
  const bool installed = listed && listed->status.code == 0;
  for (std::size_t begin = 0; installed && begin < listed->output.size();) {
    const std::size_t end = std::min(listed->output.find('\n', begin), listed->output.size());
    const fs::path path = listed->output.substr(begin, end - begin);
    if (path.filename().string().starts_with("train-images")) return path.parent_path();
    begin = end + 1;
  }
  fail(ErrorKind::environment,
       std::string("Fashion-MNIST comes from Debian's package ") + kDebianPackage + ", which is not installed",
       std::string("as root: apt-get install ") + kDebianPackage + "; or: lockstep data fetch fashion-mnist --from " +
           find_published("fashion-mnist").address);
}

ExpectedDigest expected_digest(const Published& published, const PublishedFile& file, const FetchOptions& options) {
  const auto own = options.digests.find(file.name);
  if (own != options.digests.end()) return own->second;
  const auto only = options.digests.find("");
  if (only != options.digests.end() && published.files.size() == 1) return only->second;
  return {file.md5, {}};
}

void check_options(const Published& published, const FetchOptions& options) {
  std::vector<std::string> names;
  for (const PublishedFile& file : published.files) names.push_back(file.name);
  for (const auto& [name, digest] : options.digests) {
    if (name.empty() && names.size() == 1) continue;
    if (name.empty())
      fail(ErrorKind::usage,
           published.name + " has " + std::to_string(names.size()) + " files: write FILE=DIGEST for each");
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      fail(ErrorKind::usage, published.name + " has no file '" + name + "'" + suggestion(name, names));
    }
  }
}

// Two downloads into the same part file would spoil each other. Gone with the process.
FileDescriptor lock_folder(const fs::path& folder, const std::string& dataset) {
  make_directories(folder);
  FileDescriptor lock(::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    fail(ErrorKind::environment, "another process is fetching " + dataset + " into this workspace",
         "wait for it to end", folder.string());
  }
  return lock;
}

// Where the importer finds what was downloaded: the archive itself, or the folder of the files.
fs::path download_all(const Published& published, const FetchOptions& options, const fs::path& folder) {
  std::string base = options.from.empty() ? published.address : options.from;
  while (base.ends_with('/')) base.pop_back();
  const bool archive = published.files.size() == 1;
  for (const PublishedFile& file : published.files) {
    const bool whole = archive && !options.from.empty();  // --from names the archive itself
    download(whole ? base : base + "/" + file.name, folder / file.name, expected_digest(published, file, options));
  }
  return archive ? folder / published.files.front().name : folder;
}

// A local source is checked only against digests that were asked for: it may be packed in another way and hold the
// same.
void check_local(const Published& published, const FetchOptions& options, const fs::path& source) {
  for (const PublishedFile& file : published.files) {
    if (!options.digests.contains(file.name) && !options.digests.contains("")) continue;
    const fs::path path = fs::is_directory(source) ? source / file.name : source;
    const std::string difference = check_digest(path, expected_digest(published, file, options));
    if (!difference.empty()) fail(ErrorKind::usage, "its " + difference, {}, path.string());
  }
}

}  // namespace

std::vector<std::string> published_names() {
  std::vector<std::string> names;
  for (const Published& published : catalogue()) names.push_back(published.name);
  return names;
}

DatasetRecord fetch(const Workspace& workspace, const FetchOptions& options) {
  const Published& published = find_published(options.dataset);
  check_options(published, options);
  const std::string name = options.name.empty() ? published.name : options.name;
  if (!is_valid_name(name))
    fail(ErrorKind::usage, "'" + name + "' cannot name a data set", "use letters, digits, '.', '_' and '-'");
  ImportOptions import{.name = published.name};
  if (published.name == "fashion-mnist") import.class_names = kFashionMnistClasses;

  const bool packaged = options.from.empty() && published.name == "fashion-mnist";
  const bool online = !packaged && (options.from.empty() || is_address(options.from));
  const fs::path folder = download_folder(workspace, published.name);
  FileDescriptor lock;
  if (online) lock = lock_folder(folder, published.name);
  const fs::path source = packaged ? debian_folder()
                          : online ? download_all(published, options, folder)
                                   : fs::path(options.from);
  if (!online) check_local(published, options, source);
  import.source = online ? (options.from.empty() ? published.address : options.from)
                         : fs::absolute(source).lexically_normal().string();
  const fs::path file = import_once(published.importer, source, import, workspace.datasets() / name);
  const DatasetRecord record = register_dataset_file(workspace, name, file, import.source).value();
  if (online) fs::remove_all(folder);
  return record;
}

}  // namespace lockstep
