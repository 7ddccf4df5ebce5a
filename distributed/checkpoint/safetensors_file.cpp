// The format: 8 bytes, little-endian, the length of the header; the header, a JSON object
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …, "__metadata__": {"text": "text", …}};
// then the tensors' bytes, row-major and little-endian, to which the offsets count.
#include "lockstep/distributed/checkpoint/safetensors_file.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kLengthBytes = 8;
constexpr int kDeepest = 2;                           // of lists and objects: header 0, tensor 1, shape 2
constexpr std::int64_t kLargestHeader = 100'000'000;  // bytes; the limit of the format's own library

struct Entry {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<std::int64_t> shape = {};
  std::int64_t begin = 0, end = 0;  // bytes, behind the header
};

[[noreturn]] void refuse(const std::string& what) {
  fail(ErrorKind::usage, what, "the file is damaged, or no safetensors file");
}

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

at::ScalarType parse_type(const std::string& name, const Json& value) {
  static const std::map<std::string, at::ScalarType> types = {{"F32", at::kFloat},     {"F16", at::kHalf},
                                                              {"BF16", at::kBFloat16}, {"I64", at::kLong},
                                                              {"U8", at::kByte},       {"BOOL", at::kBool}};
  if (!value.is_string()) refuse("the dtype of " + quoted(name) + " is no text");
  const auto found = types.find(value.get<std::string>());
  if (found == types.end()) {
    fail(ErrorKind::usage, quoted(name) + " has the type " + value.get<std::string>() + ", which is not read here",
         "convert it to F32, F16, BF16, I64, U8 or BOOL");
  }
  return found->second;
}

std::vector<std::int64_t> parse_counts(const std::string& what, const Json& value) {
  if (!value.is_array()) refuse(what + " is no list");
  std::vector<std::int64_t> counts;
  for (const Json& item : value) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
      refuse(what + " holds " + item.dump() + ", which is no count");
    counts.push_back(item.get<std::int64_t>());
  }
  return counts;
}

// Of all elements; nothing when 64 bits cannot hold it, nor the strides of a tensor with no elements.
std::optional<std::int64_t> byte_count(const Entry& entry) {
  std::int64_t bytes = static_cast<std::int64_t>(c10::elementSize(entry.type));
  bool empty = false;
  for (const std::int64_t size : entry.shape) {
    empty |= size == 0;
    if (__builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes)) return std::nullopt;
  }
  return empty ? 0 : bytes;
}

Entry parse_entry(const std::string& name, const Json& value) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets"))
    refuse(quoted(name) + " is not described by dtype, shape and data_offsets");
  Entry entry{.name = name, .type = parse_type(name, value["dtype"])};
  entry.shape = parse_counts("the shape of " + quoted(name), value["shape"]);
  const auto offsets = parse_counts("data_offsets of " + quoted(name), value["data_offsets"]);
  if (offsets.size() != 2) refuse("data_offsets of " + quoted(name) + " are not two numbers");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const auto bytes = byte_count(entry);
  if (!bytes || entry.end < entry.begin || entry.end - entry.begin != *bytes) {
    refuse("data_offsets of " + quoted(name) + " are " + std::to_string(entry.begin) + " and " +
           std::to_string(entry.end) + ", its shape and type need " +
           (bytes ? std::to_string(*bytes) + " bytes" : "more bytes than there can be"));
  }
  return entry;
}

void check_metadata(const Json& value) {
  const bool texts =
      value.is_object() && std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_string(); });
  if (!texts) refuse("__metadata__ is no object of texts");
}

// Keys that an object has twice: a parser that takes the last one, and one that takes the first, would read two files.
Json parse_json(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  const auto note = [&](int depth, Json::parse_event_t event, Json& parsed) {
    const bool opens = event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth > kDeepest) refuse("the header has more than three levels");
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      refuse("the header has " + quoted(parsed.get<std::string>()) + " twice");
    return true;
  };
  try {
    return Json::parse(text, note);
  } catch (const Json::exception& e) {
    refuse(std::string("the header is no JSON: ") + e.what());
  }
}

// In the order of their bytes, which they fill without gaps.
std::vector<Entry> parse_header(const std::string& text, std::int64_t data_bytes) {
  if (!text.starts_with('{')) refuse("the header does not begin with '{'");
  std::vector<Entry> entries;
  const Json header = parse_json(text);
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(value);
    } else {
      entries.push_back(parse_entry(name, value));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::int64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      refuse(quoted(entry.name) + " begins at byte " + std::to_string(entry.begin) + ", where the one before ends at " +
             std::to_string(end));
    }
    end = entry.end;
  }
  if (end != data_bytes) {
    refuse("the tensors have " + std::to_string(end) + " bytes, the file has " + std::to_string(data_bytes) +
           " for them");
  }
  return entries;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : in_(path, std::ios::binary), left_(static_cast<std::int64_t>(std::filesystem::file_size(path))) {
    if (!in_) fail_errno("cannot be read");
  }
  std::int64_t left() const { return left_; }
  void read(void* to, std::int64_t bytes) {
    if (!in_.read(static_cast<char*>(to), bytes)) fail_errno("cannot be read");
    left_ -= bytes;
  }

 private:
  std::ifstream in_;
  std::int64_t left_;
};

std::string read_header(Reader& reader) {
  if (reader.left() < kLengthBytes) refuse("has " + std::to_string(reader.left()) + " bytes, too few for a header");
  unsigned char bytes[kLengthBytes];
  reader.read(bytes, kLengthBytes);
  std::uint64_t length = 0;
  for (std::int64_t i = kLengthBytes - 1; i >= 0; --i) length = length << 8 | bytes[i];
  const auto most = static_cast<std::uint64_t>(std::min(reader.left(), kLargestHeader));
  if (length > most) {
    refuse("claims a header of " + std::to_string(length) + " bytes, where at most " + std::to_string(most) +
           " can be");
  }
  std::string text(length, '\0');
  reader.read(text.data(), static_cast<std::int64_t>(length));
  return text;
}

at::Tensor read_tensor(Reader& reader, const Entry& entry) {
  at::Tensor values = at::empty(entry.shape, entry.type);
  reader.read(values.mutable_data_ptr(), entry.end - entry.begin);
  if (entry.type == at::kBool) {  // any other byte would be neither true nor false
    const auto* bytes = static_cast<const unsigned char*>(values.const_data_ptr());
    if (std::any_of(bytes, bytes + values.numel(), [](unsigned char byte) { return byte > 1; }))
      refuse(quoted(entry.name) + " is BOOL and holds other bytes than 0 and 1");
  }
  const bool half = entry.type == at::kHalf || entry.type == at::kBFloat16;
  return half ? values.to(at::kFloat) : values;
}

}  // namespace

NamedTensors read_safetensors(const std::filesystem::path& path) {
  try {
    if (!std::filesystem::is_regular_file(path)) fail(ErrorKind::usage, "there is no such file");
    Reader reader(path);
    const std::string header = read_header(reader);
    NamedTensors tensors;
    for (const Entry& entry : parse_header(header, reader.left()))
      tensors.emplace_back(entry.name, read_tensor(reader, entry));
    return tensors;
  } catch (const Failure& failure) {
    Error error = failure.error();
    error.where = path.string();
    throw Failure(std::move(error));
  }
}

}  // namespace lockstep
