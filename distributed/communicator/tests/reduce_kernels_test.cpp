// The arithmetic against plain references: every half-precision value, every kernel at awkward lengths.
#include "lockstep/distributed/communicator/reduce_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "collective_cases.h"
#include "lockstep/distributed/communicator/element.h"

namespace lockstep {
namespace {

using testing::all_ops;
using testing::all_types;

// What the value of float16 bits is, by its definition.
double float16_by_definition(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Float16, EveryValueIsReadAsDefined) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const double expected = float16_by_definition(static_cast<std::uint16_t>(bits));
    const float got = float16_to_float(static_cast<std::uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else {
      ASSERT_EQ(got, expected) << bits;
      ASSERT_EQ(std::signbit(got), std::signbit(expected)) << bits;
    }
  }
}

TEST(Float16, EveryValueIsWrittenBack) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const std::uint16_t back = float_to_float16(float16_to_float(half));
    if (std::isnan(float16_by_definition(half))) {
      ASSERT_TRUE(std::isnan(float16_by_definition(back))) << bits;
    } else {
      ASSERT_EQ(back, half);
    }
  }
}

#ifdef __FLT16_MAX__
// Between any two neighbours: just below the middle, the middle (a tie) and just above, against the compiler's
// conversion.
TEST(Float16, RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float low = float16_to_float(static_cast<std::uint16_t>(bits));
    const float high = bits == 0x7bff ? 65536.0f : float16_to_float(static_cast<std::uint16_t>(bits + 1));
    const float middle = (low + high) / 2;
    for (const float value : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, INFINITY)}) {
      for (const float with_sign : {value, -value}) {
        const auto expected = static_cast<_Float16>(with_sign);
        ASSERT_EQ(float_to_float16(with_sign), std::bit_cast<std::uint16_t>(expected)) << with_sign;
      }
    }
  }
}
#endif

TEST(Float16, LargeValuesBecomeInfinity) {
  EXPECT_EQ(float_to_float16(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_float16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_float16(-1e30f), 0xfc00);
  EXPECT_EQ(float_to_float16(INFINITY), 0x7c00);
  EXPECT_TRUE(std::isnan(float16_to_float(float_to_float16(-NAN))));
}

// The nearest bfloat16 by looking at both neighbours.
std::uint16_t bfloat16_by_search(float value) {
  const auto below = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);  // toward zero
  const auto above = static_cast<std::uint16_t>(below + 1);
  const double down = std::abs(static_cast<double>(value) - bfloat16_to_float(below));
  const double up = std::abs(static_cast<double>(bfloat16_to_float(above)) - value);
  if (down == up) return (below & 1) == 0 ? below : above;
  return down < up ? below : above;
}

TEST(Bfloat16, RoundsToNearestEven) {
  for (std::uint32_t bits = 0; bits < 0x7f7f; ++bits) {
    for (const std::uint32_t tail : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const auto value = std::bit_cast<float>((bits << 16) | tail);
      ASSERT_EQ(float_to_bfloat16(value), bfloat16_by_search(value)) << value;
      ASSERT_EQ(float_to_bfloat16(-value), bfloat16_by_search(value) | 0x8000) << value;
    }
  }
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);  // rounds up to infinity
  EXPECT_EQ(float_to_bfloat16(INFINITY), 0x7f80);
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

// inputs[r][i] = value(r, i); the result is compared with the closed form of the rank tests.
void check_kernel(DataType type, ReduceOp op, int inputs, int outputs, std::int64_t count, bool in_place) {
  SCOPED_TRACE(std::string(type_name(type)) + " " + std::string(op_name(op)) + ", " + std::to_string(inputs) +
               " inputs, " + std::to_string(outputs) + (in_place ? " of them" : " separate") + " outputs, count " +
               std::to_string(count));
  const auto bytes = static_cast<std::size_t>(count + 1) * 8;  // one element behind as a guard
  std::vector<std::vector<std::byte>> memory(static_cast<std::size_t>(inputs + outputs), std::vector<std::byte>(bytes));
  std::vector<const std::byte*> in;
  std::vector<std::byte*> out;
  for (int r = 0; r < inputs; ++r) {
    const Buffer buffer{memory[static_cast<std::size_t>(r)].data(), count + 1, type};
    testing::fill(buffer, r, 6);
    in.push_back(static_cast<std::byte*>(buffer.data));
  }
  for (int r = 0; r < outputs; ++r) out.push_back(memory[static_cast<std::size_t>(in_place ? r : inputs + r)].data());
  const double guard = testing::load({out[0], count + 1, type}, count);
  reduce(type, op, op == ReduceOp::average ? 1.0 / inputs : 1.0, in, out, count);
  for (std::byte* output : out) {
    testing::check_elements({output, count, type},
                            [&](std::int64_t i) { return testing::expected_value(type, op, inputs, i, 6); });
  }
  EXPECT_EQ(testing::load({out[0], count + 1, type}, count), guard);
}

TEST(Reduce, EveryKernelAtAwkwardLengths) {
  for (const DataType type : all_types) {
    for (const ReduceOp op : all_ops) {
      if (op == ReduceOp::average && type == DataType::int64) continue;
      for (const int inputs : {1, 2, 3, 5}) {
        for (const std::int64_t count : {0, 1, 7, 63, 1023, 1024, 1025, 4099}) {
          check_kernel(type, op, inputs, 1, count, false);
          check_kernel(type, op, inputs, 2, count, false);
          check_kernel(type, op, inputs, inputs, count, true);
        }
      }
    }
  }
}

// Three times 2^-9 is lost when each sum is rounded to the 8 bits of bfloat16, and counts when they are added first.
TEST(Reduce, Bfloat16IsAddedInFloat32AndRoundedOnce) {
  std::vector<std::vector<std::uint16_t>> values(4, std::vector<std::uint16_t>(100, float_to_bfloat16(0x1p-9f)));
  values[0].assign(100, float_to_bfloat16(1.0f));
  std::vector<const std::byte*> in;
  for (const auto& v : values) in.push_back(reinterpret_cast<const std::byte*>(v.data()));
  std::vector<std::uint16_t> result(100);
  auto* const out = reinterpret_cast<std::byte*>(result.data());
  reduce(DataType::bfloat16, ReduceOp::sum, 1.0, in, {&out, 1}, 100);
  // 1 + 3 * 2^-9 lies between 1 and 1 + 2^-7, nearer to the latter. Rounded after each addition it would stay 1.
  for (const auto bits : result) ASSERT_EQ(bfloat16_to_float(bits), 1.0f + 0x1p-7f);
}

TEST(Reduce, Int64WrapsAroundAndComparesSigned) {
  const std::int64_t a = std::numeric_limits<std::int64_t>::max(), b = 2;
  std::int64_t result = 0;
  const std::byte* const in[] = {reinterpret_cast<const std::byte*>(&a), reinterpret_cast<const std::byte*>(&b)};
  auto* const out = reinterpret_cast<std::byte*>(&result);
  reduce(DataType::int64, ReduceOp::sum, 1.0, in, {&out, 1}, 1);
  EXPECT_EQ(result, std::numeric_limits<std::int64_t>::min() + 1);
  const std::int64_t minus = -5;
  const std::byte* const signs[] = {reinterpret_cast<const std::byte*>(&minus), reinterpret_cast<const std::byte*>(&b)};
  reduce(DataType::int64, ReduceOp::max, 1.0, signs, {&out, 1}, 1);
  EXPECT_EQ(result, 2);
}

TEST(Scale, MultipliesInPlace) {
  std::vector<double> values(1500, 3.0);
  scale_in_place(DataType::float64, 0.25, values.data(), 1499);
  EXPECT_EQ(values[0], 0.75);
  EXPECT_EQ(values[1498], 0.75);
  EXPECT_EQ(values[1499], 3.0);
}

}  // namespace
}  // namespace lockstep
