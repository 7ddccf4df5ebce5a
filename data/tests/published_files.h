// Small files in the layouts of CIFAR-10 and MNIST, and archives of them.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep::testing {

using Files = std::vector<std::pair<std::string, std::string>>;  // name and bytes, in order

inline std::uint8_t published_pixel(std::int64_t record, std::int64_t at) {
  return static_cast<std::uint8_t>((record * 89 + at * at + at / 7) % 256);
}

// Record `record` of all files together: label record % 10, then pixels.
inline std::string cifar_record(std::int64_t record) {
  std::string bytes(1, static_cast<char>(record % 10));
  for (std::int64_t at = 0; at < 3072; ++at) bytes += static_cast<char>(published_pixel(record, at));
  return bytes;
}

// Two records in each training batch (0 to 9), three in the test batch (10 to 12).
inline Files cifar_files() {
  Files files;
  std::int64_t record = 0;
  for (int batch = 1; batch <= 5; ++batch) {
    std::string bytes = cifar_record(record) + cifar_record(record + 1);
    record += 2;
    files.emplace_back("data_batch_" + std::to_string(batch) + ".bin", bytes);
  }
  files.emplace_back("test_batch.bin", cifar_record(10) + cifar_record(11) + cifar_record(12));
  return files;
}

inline std::string big_endian(std::uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16), static_cast<char>(number >> 8),
          static_cast<char>(number)};
}

// `count` images of 3 x 4 pixels with the numbers from `first` on.
inline std::string idx_images(std::int64_t first, std::int64_t count) {
  std::string bytes = big_endian(0x803) + big_endian(static_cast<std::uint32_t>(count)) + big_endian(3) + big_endian(4);
  for (std::int64_t i = first; i < first + count; ++i) {
    for (std::int64_t at = 0; at < 12; ++at) bytes += static_cast<char>(published_pixel(i, at));
  }
  return bytes;
}
inline std::string idx_labels(std::int64_t first, std::int64_t count) {
  std::string bytes = big_endian(0x801) + big_endian(static_cast<std::uint32_t>(count));
  for (std::int64_t i = first; i < first + count; ++i) bytes += static_cast<char>(i % 10);
  return bytes;
}
inline Files idx_files() {
  return {{"train-images-idx3-ubyte", idx_images(0, 11)},
          {"train-labels-idx1-ubyte", idx_labels(0, 11)},
          {"t10k-images-idx3-ubyte", idx_images(11, 4)},
          {"t10k-labels-idx1-ubyte", idx_labels(11, 4)}};
}

inline void write_files(const std::filesystem::path& folder, const Files& files) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : files) write_contents(folder / name, bytes);
}

inline std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);  // + 16: a gzip header
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// One entry of a ustar archive.
inline std::string tar_entry(const std::string& name, const std::string& bytes, char type = '0') {
  std::string header(512, '\0');
  char text[13];
  header.replace(0, name.size(), name);
  header.replace(100, 7, "0000644");
  std::snprintf(text, sizeof text, "%011o", static_cast<unsigned>(bytes.size()));
  header.replace(124, 11, text);
  header.replace(148, 8, "        ");
  header[156] = type;
  header.replace(257, 8, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(text, sizeof text, "%06o", sum);
  header.replace(148, 7, text, 7);
  std::string padded = bytes;
  padded.resize((bytes.size() + 511) / 512 * 512, '\0');
  return header + padded;
}

inline std::string tar(const Files& files) {
  std::string archive = tar_entry("cifar-10-batches-bin/", "", '5');
  for (const auto& [name, bytes] : files) archive += tar_entry("cifar-10-batches-bin/" + name, bytes);
  return archive + std::string(1024, '\0');
}

}  // namespace lockstep::testing
