#include "lockstep/data/token_dataset.h"

#include <cstring>

#include "lockstep/data/dataset_format.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/mapped_file.h"

namespace lockstep {

namespace format = dataset_format;

struct TokenDataset::State {
  MappedFile map;
  std::string name;
  std::int64_t vocabulary_size = 0, sequence_length = 0, tokens = 0;
  bool bytes = false;  // uint8, else int32
  const std::uint8_t* data = nullptr;

  std::int64_t token(std::int64_t at) const {
    if (bytes) return data[at];
    std::int32_t value = 0;  // little-endian, at any address
    std::memcpy(&value, data + at * 4, sizeof value);
    return value;
  }
};

namespace {

[[noreturn]] void refuse(const Hdf5File& file, const std::string& object, const std::string& what) {
  fail(ErrorKind::usage, what, "data/README.md describes the layout; `lockstep data import text` makes such files",
       file.path().string() + (object.empty() ? "" : ", " + object));
}

std::int64_t positive(const Hdf5File& file, const std::string& attribute) {
  const std::int64_t value = file.read_integer("/", attribute);
  if (value < 1) refuse(file, {}, "attribute " + attribute + " is " + std::to_string(value) + ", expected at least 1");
  return value;
}

}  // namespace

bool TokenDataset::is_token_file(const std::filesystem::path& path) try {
  const Hdf5File file = Hdf5File::open(path, ErrorKind::usage);
  return file.has_attribute("/", "format") && file.read_string("/", "format") == format::kTokenFormat;
} catch (const Failure&) {
  return false;
}

Result<TokenDataset> TokenDataset::open(const std::filesystem::path& path, const std::string& split,
                                        Tokens tokens) try {
  const Hdf5File file = Hdf5File::open(path, ErrorKind::usage);
  if (!file.has_attribute("/", "format") || file.read_string("/", "format") != format::kTokenFormat)
    refuse(file, {}, std::string("is no file of tokens (attribute format is not \"") + format::kTokenFormat + "\")");
  const std::int64_t version = file.read_integer("/", "format_version");
  if (version != format::kTokenVersion) {
    refuse(file, {},
           "has format_version " + std::to_string(version) + ", this program reads " +
               std::to_string(format::kTokenVersion));
  }
  auto state = std::make_unique<State>();
  state->name = file.has_attribute("/", "name") ? file.read_string("/", "name") : path.stem().string();
  state->vocabulary_size = positive(file, "vocabulary_size");
  state->sequence_length = positive(file, "sequence_length");
  if (!file.has(format::group(split))) refuse(file, {}, "has no split \"" + split + "\"");
  const std::string dataset = format::tokens(split);
  const Hdf5ArrayInfo info = file.array_info(dataset);
  if ((info.type != Hdf5Type::uint8 && info.type != Hdf5Type::int32) || info.shape.size() != 1)
    refuse(file, dataset, "is not a list of uint8 or int32");
  state->tokens = info.shape[0];
  if (state->tokens <= state->sequence_length) {
    refuse(file, dataset,
           "holds " + std::to_string(state->tokens) + " tokens, a sequence of " +
               std::to_string(state->sequence_length) + " and its next token need more");
  }
  if (info.offset < 0) refuse(file, dataset, "lies in the object's header; store it contiguous");
  state->bytes = info.type == Hdf5Type::uint8;
  state->map = MappedFile(path);
  state->data = state->map.at(info.offset, info.bytes);
  for (std::int64_t at = 0; tokens == Tokens::checked && at < state->tokens; ++at) {
    const std::int64_t token = state->token(at);
    if (token >= 0 && token < state->vocabulary_size) continue;
    refuse(file, dataset,
           "token " + std::to_string(at) + " is " + std::to_string(token) + ", expected 0 to " +
               std::to_string(state->vocabulary_size - 1));
  }
  return TokenDataset(std::move(state));
} catch (const Failure& failure) {
  return failure.error();
}

TokenDataset::TokenDataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
TokenDataset::TokenDataset(TokenDataset&&) noexcept = default;
TokenDataset& TokenDataset::operator=(TokenDataset&&) noexcept = default;
TokenDataset::~TokenDataset() = default;

std::int64_t TokenDataset::count() const { return (state_->tokens - 1) / state_->sequence_length; }
std::int64_t TokenDataset::sequence_length() const { return state_->sequence_length; }
std::int64_t TokenDataset::vocabulary_size() const { return state_->vocabulary_size; }
const std::string& TokenDataset::name() const { return state_->name; }
void TokenDataset::window(std::int64_t number, std::int64_t* to) const {
  const std::int64_t first = number * state_->sequence_length;
  for (std::int64_t i = 0; i <= state_->sequence_length; ++i) to[i] = state_->token(first + i);
}

}  // namespace lockstep
