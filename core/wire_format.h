// Protocol Buffers' wire format, as far as TensorBoard's events need it: fields of varints, fixed-size numbers and
// bytes.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace lockstep::wire {

enum class Type : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

// Both number types below are stored little-endian, as this machine does (crc32c.cpp asserts it).
template <typename T>
void append_fixed(std::string& message, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  message.append(raw, sizeof(T));
}

inline void append_varint(std::string& message, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) message += static_cast<char>((value & 0x7F) | 0x80);
  message += static_cast<char>(value);
}

inline void append_key(std::string& message, std::uint32_t field, Type type) {
  append_varint(message, (field << 3) | static_cast<std::uint32_t>(type));
}

inline void append_integer(std::string& message, std::uint32_t field, std::int64_t value) {
  append_key(message, field, Type::varint);
  append_varint(message, static_cast<std::uint64_t>(value));
}

inline void append_double(std::string& message, std::uint32_t field, double value) {
  append_key(message, field, Type::fixed64);
  append_fixed(message, value);
}

inline void append_float(std::string& message, std::uint32_t field, float value) {
  append_key(message, field, Type::fixed32);
  append_fixed(message, value);
}

// Strings, bytes and messages inside messages.
inline void append_bytes(std::string& message, std::uint32_t field, std::string_view value) {
  append_key(message, field, Type::bytes);
  append_varint(message, value.size());
  message += value;
}

struct Field {
  std::uint32_t number = 0;
  Type type = Type::varint;
  std::uint64_t integer = 0;  // varint, fixed64 and fixed32: the raw bits
  std::string_view bytes;     // bytes: a view into the message

  bool is(std::uint32_t wanted, Type wanted_type) const { return number == wanted && type == wanted_type; }
  double as_double() const { return std::bit_cast<double>(integer); }
  float as_float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(integer)); }
};

// Goes through the fields of one message. Any bytes are safe to read.
class Reader {
 public:
  explicit Reader(std::string_view message) : rest_(message) {}
  // False at the end, and at the first thing that is no field.
  bool next(Field& field);
  bool damaged() const { return damaged_; }

 private:
  bool take_varint(std::uint64_t& value);
  bool take_raw(std::size_t bytes, std::uint64_t& value);
  bool take_field(Field& field);
  std::string_view rest_;
  bool damaged_ = false;
};

}  // namespace lockstep::wire
