// HDF5 files that are written once and read with suspicion: every return checked, errors that name file and object.
//
// Objects are named by absolute paths ("/", "/train", "/train/images"). One HDF5 call at a time runs in a process,
// whether or not the library was built thread-safe, so different threads may use different Hdf5File objects; one object
// belongs to one thread at a time. The embedding program's HDF5 error settings are left as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// Element types, little-endian in the file. HDF5 1.10 knows no bfloat16: it is stored as uint16 with the attribute
// dtype = "bfloat16".
enum class Hdf5Type { uint8, int32, int64, float32, float64, bfloat16 };
std::size_t byte_size(Hdf5Type type);
std::string_view type_name(Hdf5Type type);

using Hdf5Shape = std::vector<std::int64_t>;  // {} is a single value

// A dataset as found in a file. Its elements lie in one piece: chunked, filtered, virtual and external storage is
// refused.
struct Hdf5ArrayInfo {
  Hdf5Type type = Hdf5Type::uint8;
  Hdf5Shape shape = {};
  std::int64_t bytes = 0;  // of all elements
  std::int64_t offset =
      -1;  // of the first byte in the file; -1 when there is none (no elements, or kept in the object's header)
};

// Whether an error is about a disk or quota that is full, by its text: HDF5 tells of it in no other way.
bool is_full_disk(const Error& error);

class Hdf5File {
 public:
  // Creates `path` (mode 0666 less umask) and opens it for writing. Throws Failure(environment) when it exists or
  // cannot be created. Nothing is a checkpoint or a data set before close(), sync_path() and a rename: write to a
  // temporary name.
  static Hdf5File create(const std::filesystem::path& path);

  // Opens for reading. damage: the kind of the errors about the file's contents (usage for files that users bring).
  // Throws Failure: usage when there is no such file, environment when it may not be read, `damage` when it is no HDF5
  // file or shorter than it claims.
  static Hdf5File open(const std::filesystem::path& path, ErrorKind damage = ErrorKind::corrupt_data);

  Hdf5File(Hdf5File&& other) noexcept;
  Hdf5File& operator=(Hdf5File&& other) noexcept;
  ~Hdf5File();  // closes; errors are lost, so whoever writes calls close()

  // Flushes and closes. Throws Failure(environment): on a full disk the writes before may have reported success, and
  // only this call fails. No member but the destructor may be called afterwards.
  void close();

  // Hands all written so far to the kernel, so that it can be read through the file's path.
  void flush();

  const std::filesystem::path& path() const { return path_; }

  // The calls below throw Failure: environment when writing fails, the `damage` kind of open() when an object is
  // missing or not what the call expects, or when a link on the way is not a hard link (soft and external links are
  // refused).

  void create_group(const std::string& group);  // its parent exists
  bool has(const std::string& object) const;
  std::vector<std::string> names(const std::string& group) const;  // of its members, sorted

  void write_string(const std::string& object, const std::string& attribute, const std::string& value);
  void write_strings(const std::string& object, const std::string& attribute, std::span<const std::string> values);
  void write_integer(const std::string& object, const std::string& attribute, std::int64_t value);
  void write_number(const std::string& object, const std::string& attribute, double value);
  void write_numbers(const std::string& object, const std::string& attribute, std::span<const double> values);

  bool has_attribute(const std::string& object, const std::string& attribute) const;
  std::string read_string(const std::string& object, const std::string& attribute) const;
  std::vector<std::string> read_strings(const std::string& object, const std::string& attribute) const;
  std::int64_t read_integer(const std::string& object, const std::string& attribute) const;
  double read_number(const std::string& object, const std::string& attribute) const;
  std::vector<double> read_numbers(const std::string& object, const std::string& attribute) const;

  // A new dataset of `shape`, from `data` (row-major, in this machine's byte order).
  void write_array(const std::string& dataset, Hdf5Type type, const Hdf5Shape& shape, const void* data);
  // The same in two steps, for streams: the dataset, then rows [first, first + count) of its first dimension.
  void create_array(const std::string& dataset, Hdf5Type type, const Hdf5Shape& shape);
  void write_rows(const std::string& dataset, std::int64_t first, std::int64_t count, const void* data);

  // A one-dimensional dataset of text (variable length, UTF-8), for lists of any length: attributes end at 64 KiB.
  void write_texts(const std::string& dataset, std::span<const std::string> values);
  std::vector<std::string> read_texts(const std::string& dataset) const;

  // Also refuses element types other than Hdf5Type's and sizes that overflow or exceed what the file holds.
  Hdf5ArrayInfo array_info(const std::string& dataset) const;
  // Reads all elements; refuses another type or shape than expected. data: room for array_info().bytes.
  void read_array(const std::string& dataset, Hdf5Type type, const Hdf5Shape& shape, void* data) const;

 private:
  friend struct Hdf5Attributes;  // helpers of hdf5_attributes.cpp and hdf5_arrays.cpp
  friend struct Hdf5Arrays;
  Hdf5File(std::filesystem::path path, std::int64_t id, ErrorKind damage);
  [[noreturn]] void refuse(const std::string& object, const std::string& what) const;
  [[noreturn]] void refuse_write(const std::string& object, const std::string& what) const;
  std::int64_t open_object(const std::string& object) const;

  std::filesystem::path path_;
  std::int64_t id_ = -1;  // hid_t; -1: closed
  ErrorKind damage_ = ErrorKind::corrupt_data;
  std::int64_t file_bytes_ = 0;  // length when opened for reading
};

}  // namespace lockstep
