// CRC-32C (Castagnoli): the checksum of TensorBoard's records.
#pragma once

#include <cstdint>
#include <string_view>

namespace lockstep {

// crc32c("123456789") = 0xE3069283.
std::uint32_t crc32c(std::string_view bytes);

// As records store it: rotated and shifted, so that a checksum of data that holds checksums stays a good one.
inline std::uint32_t masked_crc32c(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

}  // namespace lockstep
