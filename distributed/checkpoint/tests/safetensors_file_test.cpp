// Published weights: what a file says is read bit for bit, and nothing that it claims wrongly is believed.
#include "lockstep/distributed/checkpoint/safetensors_file.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <fstream>

#include "lockstep/core/error.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/distributed/checkpoint/model_file.h"

namespace lockstep {
namespace {

std::string with_length(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

template <typename T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

class SafetensorsFile : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& bytes) {
    const auto path = folder_ / "some.safetensors";
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return path;
  }
  // What is said about a file with this header and 8 bytes of data.
  std::string refusal(const std::string& header) { return refusal_of(with_length(header, "12345678")); }
  std::string refusal_of(const std::string& bytes) {
    try {
      read_safetensors(write(bytes));
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_EQ(failure.error().where, folder_ / "some.safetensors");
      return failure.error().what;
    }
    return "accepted";
  }
  TemporaryDirectory folder_;
};

TEST_F(SafetensorsFile, GivesTensorsInTheOrderOfTheirBytes) {
  const std::string header =
      R"({"b":{"dtype":"I64","shape":[],"data_offsets":[16,24]},"__metadata__":{"format":"pt"},)"
      R"("a.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("h":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},"f":{"dtype":"BF16","shape":[1,2],"data_offsets":[28,32]},)"
      R"("none":{"dtype":"F32","shape":[0,7],"data_offsets":[32,32]},"m":{"dtype":"BOOL","shape":[3],"data_offsets":[32,35]}}   )";
  const std::string data = raw({1.5F, -0.0F, 3e-45F, 1e38F}) + raw<std::int64_t>({-7}) +
                           raw<std::uint16_t>({0x3c00, 0x0001}) + raw<std::uint16_t>({0x3f80, 0xff80}) +
                           raw<char>({1, 0, 1});
  // read_weights knows them by their ending.
  const NamedTensors found = read_weights(write(with_length(header, data)));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : found) names.push_back(name);
  ASSERT_EQ(names, (std::vector<std::string>{"a.weight", "b", "h", "f", "none", "m"}));
  EXPECT_EQ(std::memcmp(found[0].second.const_data_ptr(), data.data(), 16), 0);
  EXPECT_EQ(found[0].second.sizes(), (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(found[1].second.item<std::int64_t>(), -7);
  EXPECT_EQ(found[1].second.dim(), 0);
  EXPECT_TRUE(at::equal(found[2].second, at::tensor({1.0F, 0x1p-24F}))) << "as float32";
  EXPECT_TRUE(at::equal(found[3].second, at::tensor({1.0F, -INFINITY}).view({1, 2})));
  EXPECT_EQ(found[4].second.sizes(), (std::vector<std::int64_t>{0, 7}));
  EXPECT_EQ(found[5].second.scalar_type(), at::kBool);
}

TEST_F(SafetensorsFile, RefusesWrongPlaces) {
  const auto one = [](const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  EXPECT_EQ(refusal(one("[2]", "[0,8]")), "accepted");
  EXPECT_EQ(refusal(one("[3]", "[0,12]")), "the tensors have 12 bytes, the file has 8 for them");
  EXPECT_EQ(refusal(one("[1]", "[0,4]")), "the tensors have 4 bytes, the file has 8 for them");
  EXPECT_EQ(refusal(one("[1]", "[4,8]")), "\"a\" begins at byte 4, where the one before ends at 0");
  EXPECT_EQ(refusal(one("[2]", "[8,0]")), "data_offsets of \"a\" are 8 and 0, its shape and type need 8 bytes");
  EXPECT_EQ(refusal(one("[1]", "[0,8]")), "data_offsets of \"a\" are 0 and 8, its shape and type need 4 bytes");
  EXPECT_EQ(refusal(one("[2]", "[0,8,8]")), "data_offsets of \"a\" are not two numbers");
  EXPECT_EQ(refusal(one("[2]", "[-8,0]")), "data_offsets of \"a\" holds -8, which is no count");
  EXPECT_EQ(refusal(one("[2.0]", "[0,8]")), "the shape of \"a\" holds 2.0, which is no count");
  EXPECT_EQ(refusal(one("[18446744073709551615]", "[0,8]")),
            "the shape of \"a\" holds 18446744073709551615, which is no count");
  for (const auto* shape :
       {"[4611686018427387904]", "[4294967296,4294967296]", "[0,4611686018427387904,4611686018427387904]"})
    EXPECT_EQ(refusal(one(shape, "[0,0]")),
              "data_offsets of \"a\" are 0 and 0, its shape and type need more bytes than there can be");
  EXPECT_EQ(
      refusal(
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
      "\"b\" begins at byte 4, where the one before ends at 8");
}

TEST_F(SafetensorsFile, RefusesOtherHeaders) {
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  EXPECT_EQ(refusal("{" + a + "}"), "accepted");
  EXPECT_EQ(refusal(" {" + a + "}"), "the header does not begin with '{'");
  EXPECT_EQ(refusal("{" + a + "," + a + "}"), "the header has \"a\" twice");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
            "the header has \"dtype\" twice");
  EXPECT_TRUE(refusal("{" + a).starts_with("the header is no JSON: "));
  EXPECT_TRUE(refusal("{" + a + "} x").starts_with("the header is no JSON: "));
  EXPECT_TRUE(refusal("{\"\xff\":1}").starts_with("the header is no JSON: "));
  EXPECT_EQ(refusal("{\"a\":" + std::string(100'000, '[')), "the header has more than three levels");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"),
            "the header has more than three levels");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})"),
            "\"a\" has the type F8_E4M3, which is not read here");
  EXPECT_EQ(refusal(R"({"a":{"dtype":5,"shape":[2],"data_offsets":[0,8]}})"), "the dtype of \"a\" is no text");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})"), "the shape of \"a\" is no list");
  for (const auto* value :
       {"[]", "7", R"({"dtype":"F32","shape":[2]})", R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})"})
    EXPECT_EQ(refusal(std::string(R"({"a":)") + value + "}"),
              "\"a\" is not described by dtype, shape and data_offsets");
  EXPECT_EQ(refusal("{" + a + R"(,"__metadata__":{"x":1}})"), "__metadata__ is no object of texts");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}})"),
            "\"a\" is BOOL and holds other bytes than 0 and 1");
  EXPECT_EQ(refusal_of("1234567"), "has 7 bytes, too few for a header");
  EXPECT_EQ(refusal_of(std::string(8, '\xff')),
            "claims a header of 18446744073709551615 bytes, where at most 0 can be");
  EXPECT_THROW(read_safetensors(folder_ / "missing.safetensors"), Failure);
  EXPECT_THROW(read_safetensors(folder_.path()), Failure);
}

TEST_F(SafetensorsFile, NoDamageIsMoreThanARefusal) {
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]}})";
  const std::string whole = with_length(header, "0123456789abcdef");
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(refusal_of(whole.substr(0, length)), "accepted") << length;
  for (std::size_t i = 0; i < whole.size() - 16; ++i) {
    for (const int change : {1, 2, 16, 128}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ change);
      (void)refusal_of(damaged);  // a name may differ and be accepted; nothing else may happen than a Failure
    }
  }
}

}  // namespace
}  // namespace lockstep
