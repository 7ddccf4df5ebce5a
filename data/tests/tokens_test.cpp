// Text becomes tokens, tokens become sequences; every window once an epoch, whatever the ranks.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>

#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/data/hdf5_file.h"
#include "lockstep/data/import_text.h"
#include "lockstep/data/token_loader.h"

namespace lockstep {
namespace {

std::string refusal(const std::function<void()>& what) {
  try {
    what();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage);
    return failure.error().what;
  }
  return "accepted";
}

// int32 tokens 0, 7, 14, … below `vocabulary`.
std::filesystem::path write_tokens(const std::filesystem::path& path, std::int64_t count, std::int64_t vocabulary,
                                   std::int64_t length, const char* format = "lockstep-tokens") {
  Hdf5File file = Hdf5File::create(path);
  file.write_string("/", "format", format);
  file.write_integer("/", "format_version", 1);
  file.write_integer("/", "vocabulary_size", vocabulary);
  file.write_integer("/", "sequence_length", length);
  file.create_group("/train");
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<std::int32_t>(7 * i % 1000));
  file.write_array("/train/tokens", Hdf5Type::int32, {count}, tokens.data());
  file.close();
  return path;
}

TEST(Tokens, TextKeepsItsBytesAndItsLastTenthIsForTests) {
  const TemporaryDirectory folder;
  std::string text(2'500'003, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * i >> 5);
  std::ofstream(folder / "book.txt", std::ios::binary) << text;
  const TextCounts counts = import_text(folder / "book.txt", {.output = folder / "book.h5", .sequence_length = 100});
  EXPECT_EQ(counts.train, 2'250'003);
  EXPECT_EQ(counts.test, 250'000);
  EXPECT_TRUE(TokenDataset::is_token_file(folder / "book.h5"));
  EXPECT_FALSE(TokenDataset::is_token_file(folder / "book.txt"));
  const TokenDataset train = TokenDataset::open(folder / "book.h5", "train").value();
  const TokenDataset test = TokenDataset::open(folder / "book.h5", "test").value();
  EXPECT_EQ(train.count(), 22'500);
  EXPECT_EQ(test.count(), 2'499) << "the last window needs a next token";
  EXPECT_EQ(train.vocabulary_size(), 256);
  EXPECT_EQ(train.name(), "book.txt");
  std::vector<std::int64_t> window(101);
  for (const std::int64_t number : {std::int64_t{0}, std::int64_t{10'486}, train.count() - 1}) {
    train.window(number, window.data());
    for (std::size_t i = 0; i <= 100; ++i)
      ASSERT_EQ(window[i], static_cast<unsigned char>(text[static_cast<std::size_t>(number) * 100 + i])) << number;
  }
  test.window(0, window.data());
  EXPECT_EQ(window[0], static_cast<unsigned char>(text[2'250'003]));
}

TEST(Tokens, ImportRefusesWhatGivesNoSequence) {
  const TemporaryDirectory folder;
  std::ofstream(folder / "short.txt") << std::string(99, 'a');
  const auto with = [&](TextImport options) {
    options.output = folder / "out.h5";
    return refusal([&] { import_text(folder / "short.txt", options); });
  };
  EXPECT_EQ(with({.sequence_length = 9}),
            "has 99 bytes, of which a tenth is for tests; a sequence of 9 and its next token need more");
  EXPECT_EQ(with({.sequence_length = 0}), "the sequence length is 0, expected at least 1");
  EXPECT_EQ(with({.vocabulary = "bpe"}), "there is no vocabulary \"bpe\"; known: byte");
  EXPECT_FALSE(std::filesystem::exists(folder / "out.h5"));
  EXPECT_EQ(with({.sequence_length = 8}), "accepted");
}

TEST(Tokens, OpenRefusesWhatDoesNotFit) {
  const TemporaryDirectory folder;
  const auto opened = [&](const std::filesystem::path& path, const std::string& split = "train") {
    return refusal([&] { (void)TokenDataset::open(path, split).value(); });
  };
  EXPECT_EQ(opened(write_tokens(folder / "a.h5", 11, 1000, 10)), "accepted");
  EXPECT_EQ(opened(folder / "a.h5", "test"), "has no split \"test\"");
  EXPECT_EQ(opened(write_tokens(folder / "b.h5", 10, 1000, 10)),
            "holds 10 tokens, a sequence of 10 and its next token need more");
  EXPECT_EQ(opened(write_tokens(folder / "c.h5", 11, 70, 10)), "token 10 is 70, expected 0 to 69");
  EXPECT_EQ(opened(write_tokens(folder / "d.h5", 11, 1000, 0)), "attribute sequence_length is 0, expected at least 1");
  EXPECT_EQ(opened(write_tokens(folder / "e.h5", 11, 1000, 10, "lockstep-dataset")),
            "is no file of tokens (attribute format is not \"lockstep-tokens\")");
}

TEST(Tokens, RanksSeeTogetherWhatOneRankSees) {
  const TemporaryDirectory folder;
  const TokenDataset data = TokenDataset::open(write_tokens(folder / "a.h5", 231, 1000, 10), "train").value();
  ASSERT_EQ(data.count(), 23);
  const LoaderOptions whole{.global_batch_size = 5, .seed = 9};
  const auto alone = make_token_loader(data, whole);
  EXPECT_EQ(alone->steps_per_epoch(), 5);
  std::vector<std::unique_ptr<BatchSource>> ranks;
  for (int rank = 0; rank < 3; ++rank)
    ranks.push_back(make_token_loader(data, {.rank = rank, .world_size = 3, .global_batch_size = 5, .seed = 9}));
  std::multiset<std::int64_t> seen;
  Batch batch, part;
  for (alone->seek({2, 0}); alone->next(batch);) {
    EXPECT_TRUE(at::equal(batch.input.narrow(1, 1, 9), batch.target.narrow(1, 0, 9))) << "the next token";
    std::int64_t first = 0;
    for (auto& rank : ranks) {
      if (seen.empty()) rank->seek({2, 0});
      ASSERT_TRUE(rank->next(part));
      EXPECT_EQ(part.global_count, batch.local_count);
      EXPECT_TRUE(at::equal(part.input, batch.input.narrow(0, first, part.local_count)));
      EXPECT_TRUE(at::equal(part.target, batch.target.narrow(0, first, part.local_count)));
      first += part.local_count;
      EXPECT_EQ(rank->position().consumed, alone->position().consumed);
    }
    EXPECT_EQ(first, batch.local_count);
    for (std::int64_t i = 0; i < batch.local_count; ++i) seen.insert(batch.input[i][0].item<std::int64_t>());
  }
  std::multiset<std::int64_t> expected;
  for (std::int64_t w = 0; w < 23; ++w) expected.insert(70 * w % 1000);
  EXPECT_EQ(seen, expected) << "every window once";
}

}  // namespace
}  // namespace lockstep
