#include "lockstep/core/wire_format.h"

#include <cstddef>

namespace lockstep::wire {

bool Reader::next(Field& field) {
  if (rest_.empty() || damaged_) return false;
  damaged_ = !take_field(field);
  return !damaged_;
}

bool Reader::take_varint(std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Reader::take_raw(std::size_t bytes, std::uint64_t& value) {
  if (rest_.size() < bytes) return false;
  value = 0;
  std::memcpy(&value, rest_.data(), bytes);
  rest_.remove_prefix(bytes);
  return true;
}

bool Reader::take_field(Field& field) {
  std::uint64_t key = 0;
  if (!take_varint(key) || (key >> 3) == 0 || (key >> 32) != 0) return false;
  field.number = static_cast<std::uint32_t>(key >> 3);
  field.type = static_cast<Type>(key & 7);
  field.bytes = {};
  switch (field.type) {
    case Type::varint:
      return take_varint(field.integer);
    case Type::fixed64:
      return take_raw(8, field.integer);
    case Type::fixed32:
      return take_raw(4, field.integer);
    case Type::bytes:
      break;
    default:
      return false;
  }
  if (!take_varint(field.integer) || field.integer > rest_.size()) return false;
  field.bytes = rest_.substr(0, field.integer);
  rest_.remove_prefix(field.integer);
  return true;
}

}  // namespace lockstep::wire
