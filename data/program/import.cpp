// lockstep data import, lockstep data register: files that the user has.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "lockstep/core/dataset_content.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/data/describe_dataset.h"
#include "lockstep/data/import.h"
#include "lockstep/data/import_text.h"
#include "lockstep/data/program/commands.h"
#include "lockstep/data/program/guarded_open.h"
#include "lockstep/data/workspace_data.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct ImportFlags {
  std::string name;
  fs::path output;
  std::string class_names;
  bool force = false;
  std::string vocabulary = "byte";
  std::int64_t sequence_length = 128;
};

const OptionTable<ImportFlags>& import_flags() {
  static const OptionTable<ImportFlags> table = [] {
    OptionTable<ImportFlags> t;
    t.add("name", &ImportFlags::name, "NAME", "name to register it under; without it cifar10, or the folder's name")
        .add("output", &ImportFlags::output, "FILE",
             "HDF5 file to write, instead of one in the workspace; registered only with --name")
        .add("class-names", &ImportFlags::class_names, "A,B,C", "names of the classes, in the order of their labels")
        .add("force", &ImportFlags::force, "", "replace --output when it exists")
        .add("vocabulary", &ImportFlags::vocabulary, "NAME", "of text: byte, each byte is a token")
        .add("sequence-length", &ImportFlags::sequence_length, "N", "of text: tokens of a sample");
    return t;
  }();
  return table;
}

const CommandText kImportText{
    "lockstep data import cifar10|idx|text PATH [options]",
    "Turns published files into one HDF5 data set and registers it.\n"
    "  cifar10  CIFAR-10's binary version: a folder with data_batch_*.bin and test_batch.bin, or the .tar.gz of it\n"
    "  idx      MNIST and its kin: a folder with train-images-idx3-ubyte and the like, plain or .gz\n"
    "  text     any file as tokens, the last tenth for tests; needs --output, is not registered",
    "  lockstep data import cifar10 cifar-10-binary.tar.gz\n"
    "  lockstep data import idx ./emnist --name emnist --class-names a,b,c\n"
    "  lockstep data import cifar10 ./cifar-10-batches-bin --output /scratch/cifar10.h5\n"
    "  lockstep data import text book.txt --output book.h5\n"};

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void check_name(const std::string& name) {
  if (!name.empty() && !is_valid_name(name)) {
    fail(ErrorKind::usage, "'" + name + "' cannot name a data set",
         "use letters, digits, '.', '_' and '-', and begin with a letter or a digit");
  }
}

int import_text_file(const fs::path& source, const ImportFlags& flags) {
  if (flags.output.empty())
    fail(ErrorKind::usage, "text has no place in the workspace yet",
         "give --output FILE.h5 and train with --data FILE.h5");
  if (!flags.class_names.empty()) fail(ErrorKind::usage, "text has no classes", "leave --class-names out");
  const TextCounts counts = import_text(source, {.name = flags.name,
                                                 .output = flags.output,
                                                 .replace = flags.force,
                                                 .vocabulary = flags.vocabulary,
                                                 .sequence_length = flags.sequence_length});
  std::cout << flags.output.string() << ": " << counts.train << " training and " << counts.test << " test tokens\n"
            << "  next  lockstep-train --model gpt2_tiny --data " << flags.output.string() << '\n';
  return 0;
}

}  // namespace

int import_command(const Arguments& arguments) {
  ImportFlags flags;
  std::vector<std::string> words;
  if (!parse_arguments(kImportText, import_flags(), arguments, &flags, &words, 2, 2)) return 0;
  const std::vector<std::string> known{"cifar10", "idx", "text"};
  const std::string importer = words[0];
  if (std::find(known.begin(), known.end(), importer) == known.end()) {
    fail(ErrorKind::usage, "there is no importer '" + importer + "'" + suggestion(importer, known),
         "usage: " + kImportText.usage);
  }
  const fs::path source = words[1];
  if (!fs::exists(source)) fail(ErrorKind::usage, "no such file or folder", {}, source.string());
  check_name(flags.name);
  if (importer == "text") return import_text_file(source, flags);
  ImportOptions options = default_import_options(importer, source);
  if (!flags.name.empty()) options.name = flags.name;
  if (options.name == "fashion-mnist") options.class_names = kFashionMnistClasses;
  if (!flags.class_names.empty()) options.class_names = split_commas(flags.class_names);
  if (flags.output.empty()) {
    const Workspace workspace = Workspace::find_or_create().value();
    const fs::path file = import_once(importer, source, options, workspace.datasets() / options.name);
    print_registered(register_dataset_file(workspace, options.name, file, fs::absolute(source).string()).value());
    return 0;
  }
  options.output = flags.output;
  options.replace = flags.force;
  run_importer(importer, source, options);
  if (!flags.name.empty()) {
    print_registered(register_dataset_file(Workspace::find_or_create().value(), flags.name, flags.output,
                                           fs::absolute(source).string())
                         .value());
    return 0;
  }
  std::cout << flags.output.string() << ": " << describe(describe_dataset(flags.output).value())
            << "\n  next  lockstep-train --data " << flags.output.string() << '\n';
  return 0;
}

namespace {

struct RegisterFlags {};

// What is damaged gets no name. Files of the user's own making need not record digests.
void require_sound(const fs::path& path) {
  look_first(path);
  const std::vector<std::string> differences = verify_dataset(path, /*digests_optional=*/true);
  if (differences.empty()) return;
  fail(ErrorKind::usage, "is not what was written: " + differences.front(),
       "the file is damaged: copy or import it again", path.string());
}

bool looks_like_hdf5(const fs::path& path) {
  if (fs::is_directory(path)) return false;
  if (path.extension() == ".h5" || path.extension() == ".hdf5") return true;
  char start[8] = {};
  std::ifstream(path, std::ios::binary).read(start, sizeof start);
  return std::string_view(start, sizeof start) == std::string_view("\x89HDF\r\n\x1a\n", 8);
}

const CommandText kRegisterText{
    "lockstep data register NAME PATH",
    "Gives a data set a name in this workspace; it stays where it is. PATH is a file or folder of any kind. Of an "
    "HDF5\n"
    "file, which lockstep-train takes, the recorded digests must be right (data/README.md has the layout); it also "
    "takes\n"
    "folders of CIFAR-10 and IDX files. Other contents under the same name are a new version.",
    "  lockstep data register digits /scratch/digits.h5\n  lockstep data register photos /scratch/photos\n"};

}  // namespace

int register_command(const Arguments& arguments) {
  RegisterFlags flags;
  std::vector<std::string> words;
  if (!parse_arguments(kRegisterText, OptionTable<RegisterFlags>(), arguments, &flags, &words, 2, 2)) return 0;
  check_name(words[0]);
  const fs::path path = fs::absolute(words[1]).lexically_normal();
  if (!fs::exists(path)) fail(ErrorKind::usage, "no such file or folder", {}, path.string());
  const std::string importer = recognise_importer(path);
  if (importer.empty() && looks_like_hdf5(path)) {
    require_sound(path);
    print_registered(register_dataset_file(Workspace::find_or_create().value(), words[0], path, {}).value());
    return 0;
  }
  DatasetRecord record;
  record.name = words[0];
  record.path = path;
  if (!importer.empty())
    record.description = std::string(fs::is_directory(path) ? "a folder" : "an archive") + " of " + importer +
                         " files, imported when first used";
  look_at_dataset(path, /*digest=*/false).value();  // before a workspace is made for it
  print_registered(register_files(Workspace::find_or_create().value(), record).value());
  return 0;
}

}  // namespace lockstep
