// Owning HDF5 ids, and the scope in which the HDF5 library is called. For data/hdf5_*.cpp only.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

namespace lockstep {

// Every HDF5 call is made inside one: a process-wide lock (the library may not be thread-safe), and silence, because an
// unreadable file is our message and not a stack trace on stderr. What the embedding program had set comes back
// afterwards.
class Hdf5Scope {
 public:
  Hdf5Scope();
  ~Hdf5Scope();
  Hdf5Scope(const Hdf5Scope&) = delete;
  Hdf5Scope& operator=(const Hdf5Scope&) = delete;

 private:
  std::unique_lock<std::recursive_mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* print_data_ = nullptr;
};

// What the library says about the call that just failed: the innermost description of its error stack. May be empty.
std::string hdf5_reason();

class Hdf5Id;
// Text of variable length, UTF-8, which h5py and others show as plain text.
Hdf5Id hdf5_text_type();

// An id and the function that closes it. Below zero: nothing is owned.
class Hdf5Id {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Id() = default;
  Hdf5Id(hid_t id, Close closer) : id_(id), close_(closer) {}
  Hdf5Id(Hdf5Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Hdf5Id& operator=(Hdf5Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Hdf5Id() {
    if (id_ >= 0) close_(id_);
  }

  hid_t get() const { return id_; }
  bool valid() const { return id_ >= 0; }
  // For ids of written objects: the library may notice a full disk only here. False when closing failed.
  bool close() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

}  // namespace lockstep
