#include "lockstep/data/hdf5_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "lockstep/data/hdf5_id.h"

namespace lockstep {
namespace {

std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

// "file write failed: time = Mon …\n, …, errno = 28, error message = 'No space left on device', buf = 0x…" -> "No space
// left on device": addresses and sizes help nobody. Other descriptions stay as they are.
std::string sentence(const std::string& description) {
  constexpr std::string_view kMark = "error message = '";
  const std::size_t begin = description.find(kMark);
  if (begin == std::string::npos) return description;
  const std::size_t from = begin + kMark.size();
  return description.substr(from, description.find('\'', from) - from);
}

extern "C" herr_t keep_first(unsigned position, const H5E_error2_t* error, void* reason) {
  if (position == 0 && error->desc != nullptr) *static_cast<std::string*>(reason) = sentence(error->desc);
  return 0;
}

bool speaks_of(const std::string& text, int code) {
  return text.find(std::generic_category().message(code)) != std::string::npos;
}

// What to do about a failed write, as far as its reason tells.
std::string write_hint(const std::string& reason, const std::filesystem::path& path) {
  if (speaks_of(reason, ENOSPC) || speaks_of(reason, EDQUOT))
    return "make room on the disk of " + std::filesystem::absolute(path).parent_path().string();
  if (speaks_of(reason, EFBIG)) return "raise the limit of a file's size: ulimit -f, or the file system's own";
  return {};
}

// Large arrays start at a multiple of the page size, so that they can be mapped and read in whole pages.
constexpr hsize_t kAlignFrom = 64 << 10;
constexpr hsize_t kPage = 4096;

Hdf5Id access_list(bool writing) {
  Hdf5Id list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // SEMI: closing fails while an object of the file is open, instead of leaving the file open in silence.
  H5Pset_fclose_degree(list.get(), H5F_CLOSE_SEMI);
  if (writing) H5Pset_alignment(list.get(), kAlignFrom, kPage);
#if H5_VERSION_GE(1, 10, 7)
  // Files are written once under a temporary name; locks protect nothing and fail on some NFS and Lustre mounts.
  if (!writing) H5Pset_file_locking(list.get(), false, true);
#endif
  return list;
}

std::string because(const std::string& reason) { return reason.empty() ? "" : ": " + reason; }

}  // namespace

bool is_full_disk(const Error& error) { return speaks_of(error.what, ENOSPC) || speaks_of(error.what, EDQUOT); }

Hdf5Scope::Hdf5Scope() : lock_(library_mutex()) {
  // After a failed close (a full disk) HDF5 crashes in its exit handler: it gets none. Too late, and harmless, when the
  // embedding program has used HDF5 before.
  static const herr_t no_exit_handler = H5dont_atexit();
  static_cast<void>(no_exit_handler);
  H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Scope::~Hdf5Scope() { H5Eset_auto2(H5E_DEFAULT, print_, print_data_); }

std::string hdf5_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  return reason;
}

Hdf5File::Hdf5File(std::filesystem::path path, std::int64_t id, ErrorKind damage)
    : path_(std::move(path)), id_(id), damage_(damage) {}

Hdf5File::Hdf5File(Hdf5File&& other) noexcept
    : path_(std::move(other.path_)),
      id_(std::exchange(other.id_, -1)),
      damage_(other.damage_),
      file_bytes_(other.file_bytes_) {}

Hdf5File& Hdf5File::operator=(Hdf5File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(id_, other.id_);
  std::swap(damage_, other.damage_);
  std::swap(file_bytes_, other.file_bytes_);
  return *this;
}

Hdf5File::~Hdf5File() {
  if (id_ < 0) return;
  const Hdf5Scope scope;
  H5Fclose(id_);
}

Hdf5File Hdf5File::create(const std::filesystem::path& path) {
  const Hdf5Scope scope;
  const Hdf5Id access = access_list(true);
  const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get());
  if (id < 0) {
    const std::string reason = hdf5_reason();
    const std::string hint = write_hint(reason, path);
    fail(ErrorKind::environment, "cannot create an HDF5 file" + because(reason),
         hint.empty() ? "check that the folder exists, is writable and holds no file of that name" : hint,
         path.string());
  }
  return Hdf5File(path, id, ErrorKind::internal);
}

Hdf5File Hdf5File::open(const std::filesystem::path& path, ErrorKind damage) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail(ErrorKind::usage, "no such file", {}, path.string());
    fail_errno("cannot be opened", {}, path.string());
  }
  // Not a pipe, which would block for ever, nor a device.
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::usage, "is not a regular file", {}, path.string());
  const Hdf5Scope scope;
  const Hdf5Id access = access_list(false);
  const hid_t id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get());
  if (id < 0) {
    const std::string reason = hdf5_reason();
    const bool forbidden = reason.find("Permission denied") != std::string::npos;
    fail(forbidden ? ErrorKind::environment : damage,
         "cannot be read as HDF5 (" + std::to_string(status.st_size) + " bytes)" + because(reason),
         forbidden ? "" : "the file is damaged, incomplete or of another format", path.string());
  }
  Hdf5File file(path, id, damage);
  file.file_bytes_ = status.st_size;
  return file;
}

void Hdf5File::flush() {
  const Hdf5Scope scope;
  if (H5Fflush(id_, H5F_SCOPE_LOCAL) < 0) refuse_write("/", "cannot be flushed");
}

void Hdf5File::close() {
  if (id_ < 0) return;
  const Hdf5Scope scope;
  const bool flushed = H5Fflush(id_, H5F_SCOPE_LOCAL) >= 0;
  std::string reason = flushed ? "" : hdf5_reason();
  const bool closed = H5Fclose(std::exchange(id_, -1)) >= 0;
  if (reason.empty() && !closed) reason = hdf5_reason();
  if (!flushed || !closed) {
    const std::string hint = write_hint(reason, path_);
    fail(ErrorKind::environment, "could not be written completely" + because(reason), hint, path_.string());
  }
}

void Hdf5File::refuse(const std::string& object, const std::string& what) const {
  fail(damage_, what, {}, path_.string() + ", " + object);
}

void Hdf5File::refuse_write(const std::string& object, const std::string& what) const {
  const std::string reason = hdf5_reason();
  fail(ErrorKind::environment, what + because(reason), write_hint(reason, path_), path_.string() + ", " + object);
}

// Every link on the way is looked at before it is followed: an external link, or a soft link through one, could make a
// file that somebody sent read any other file of this user.
bool Hdf5File::has(const std::string& object) const {
  const Hdf5Scope scope;
  if (object == "/") return true;
  if (object.empty() || object.front() != '/') refuse(object, "is not an absolute path of an HDF5 object");
  for (std::size_t end = object.find('/', 1);; end = object.find('/', end + 1)) {
    const std::string part = object.substr(0, end);
    const htri_t exists = H5Lexists(id_, part.c_str(), H5P_DEFAULT);
    if (exists <= 0) return false;
    H5L_info_t info;
    if (H5Lget_info(id_, part.c_str(), &info, H5P_DEFAULT) < 0) refuse(part, "the link cannot be read");
    if (info.type != H5L_TYPE_HARD)
      refuse(part, "is a soft or external link; only objects of the file itself are read");
    if (end == std::string::npos) return true;
  }
}

std::int64_t Hdf5File::open_object(const std::string& object) const {
  if (!has(object)) refuse(object, "is missing");
  const hid_t id = H5Oopen(id_, object.c_str(), H5P_DEFAULT);
  if (id < 0) refuse(object, "cannot be opened" + because(hdf5_reason()));
  return id;
}

void Hdf5File::create_group(const std::string& group) {
  const Hdf5Scope scope;
  Hdf5Id id(H5Gcreate2(id_, group.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  if (!id.valid() || !id.close()) refuse_write(group, "the group cannot be created");
}

std::vector<std::string> Hdf5File::names(const std::string& group) const {
  const Hdf5Scope scope;
  const Hdf5Id id(open_object(group), H5Oclose);
  H5G_info_t info;
  if (H5Iget_type(id.get()) != H5I_GROUP || H5Gget_info(id.get(), &info) < 0) refuse(group, "is not a group");
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto bytes = H5Lget_name_by_idx(id.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, nullptr, 0, H5P_DEFAULT);
    if (bytes < 0) refuse(group, "its members cannot be listed" + because(hdf5_reason()));
    std::string name(static_cast<std::size_t>(bytes) + 1, '\0');
    H5Lget_name_by_idx(id.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, name.data(), name.size(), H5P_DEFAULT);
    name.pop_back();
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lockstep
