// How an element is stored and in which type it is added. The conversions have no branches, so that loops over them
// become vector code; they treat subnormals, infinities and NaN as IEEE 754 says, whatever flush-to-zero mode is set.
#pragma once

#include <bit>
#include <cstdint>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

inline float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

// To nearest, ties to even; NaN stays NaN (a plain shift could turn it into infinity).
inline std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

inline float float16_to_float(std::uint16_t bits) {
  constexpr std::uint32_t rebias = (127 - 15) << 23;  // float16's exponent bias is 15, float's 127
  constexpr std::uint32_t infinity = 0x7c00u << 13;   // exponent bits all set, at float's place
  constexpr std::uint32_t smallest_normal = 0x0400u << 13;
  const std::uint32_t magnitude = (bits & 0x7fffu) << 13;
  const std::uint32_t normal = magnitude + rebias;
  const std::uint32_t special = normal + rebias;  // infinity and NaN: on to float's largest exponent
  // A subnormal is mantissa * 2^-24: put it behind the point of 2^-14 and subtract that again, which is exact.
  constexpr std::uint32_t two_to_minus_14 = (127 - 14) << 23;
  const float small = std::bit_cast<float>(magnitude + two_to_minus_14) - std::bit_cast<float>(two_to_minus_14);
  std::uint32_t result = magnitude >= infinity ? special : normal;
  result = magnitude < smallest_normal ? std::bit_cast<std::uint32_t>(small) : result;
  return std::bit_cast<float>(result | (static_cast<std::uint32_t>(bits & 0x8000u) << 16));
}

// To nearest, ties to even; beyond 65504 (and half a unit) infinity.
inline std::uint16_t float_to_float16(float value) {
  constexpr std::uint32_t too_large = (127 + 16) << 23;                // 2^16
  constexpr std::uint32_t smallest_normal = (127 - 14) << 23;          // 2^-14
  constexpr std::uint32_t half_in_last_place = (127 - 14 + 13) << 23;  // its last mantissa bit weighs 2^-24
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t normal = (magnitude - ((127u - 15u) << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  const std::uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  // The addition rounds a subnormal to multiples of 2^-24, to nearest even.
  const float shifted = std::bit_cast<float>(magnitude) + std::bit_cast<float>(half_in_last_place);
  std::uint32_t result = magnitude >= too_large ? special : normal;
  result = magnitude < smallest_normal ? std::bit_cast<std::uint32_t>(shifted) - half_in_last_place : result;
  return static_cast<std::uint16_t>(result | ((bits >> 16) & 0x8000u));
}

template <DataType type>
struct Element;

template <>
struct Element<DataType::float32> {
  using Stored = float;
  using Sum = float;
  static Sum load(Stored value) { return value; }
  static Stored store(Sum value) { return value; }
};

template <>
struct Element<DataType::float64> {
  using Stored = double;
  using Sum = double;
  static Sum load(Stored value) { return value; }
  static Stored store(Sum value) { return value; }
};

template <>
struct Element<DataType::int64> {
  using Stored = std::int64_t;
  using Sum = std::uint64_t;  // overflow wraps
  static Sum load(Stored value) { return static_cast<Sum>(value); }
  static Stored store(Sum value) { return static_cast<Stored>(value); }
};

template <>
struct Element<DataType::bfloat16> {
  using Stored = std::uint16_t;
  using Sum = float;
  static Sum load(Stored value) { return bfloat16_to_float(value); }
  static Stored store(Sum value) { return float_to_bfloat16(value); }
};

template <>
struct Element<DataType::float16> {
  using Stored = std::uint16_t;
  using Sum = float;
  static Sum load(Stored value) { return float16_to_float(value); }
  static Stored store(Sum value) { return float_to_float16(value); }
};

}  // namespace lockstep
