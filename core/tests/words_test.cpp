#include "lockstep/core/words.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

std::string expand(std::string_view text) {
  const std::map<std::string, std::string> known{{"RANK", "3"}, {"LONG_name1", "x y"}, {"EMPTY", ""}};
  return expand_variables(text, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = known.find(name);
    if (found == known.end()) return {};
    return found->second;
  });
}

TEST(Words, VariablesAreReplacedWhereKnown) {
  EXPECT_EQ(expand("out_$RANK.txt"), "out_3.txt");
  EXPECT_EQ(expand("${RANK}0 $LONG_name1!"), "30 x y!");
  EXPECT_EQ(expand("[$EMPTY]"), "[]");
}

TEST(Words, WhatIsNoKnownVariableStays) {
  for (const char* text :
       {"$UNKNOWN", "${UNKNOWN}", "^a$", "$", "$5", "${RANK", "${}", "$(date)", "cost: 5$ ", "${RANK:-1}"})
    EXPECT_EQ(expand(text), text);
  EXPECT_EQ(expand("$$RANK $$"), "$RANK $");
  EXPECT_EQ(expand("$RANKS"), "$RANKS");  // the longest name
}

TEST(Words, SplitsAsAShell) {
  EXPECT_EQ(split_words("  a\tb\n c ").value(), (Words{"a", "b", "c"}));
  EXPECT_EQ(split_words("a'b c'\"d e\"f\\ g").value(), (Words{"ab cd ef g"}));
  EXPECT_EQ(split_words("'' \"\"").value(), (Words{"", ""}));
  EXPECT_EQ(split_words("\"a\\\"b\\n\" '\\'").value(), (Words{"a\"b\\n", "\\"}));
  EXPECT_TRUE(split_words(" \n").value().empty());
  EXPECT_EQ(split_words("a; b | c > d").value(), (Words{"a;", "b", "|", "c", ">", "d"}));
}

TEST(Words, AProtectedDollarStaysOne) {
  EXPECT_EQ(split_words("$RANK '$RANK' \"$RANK\" \\$RANK \"\\$RANK\"").value(),
            (Words{"$RANK", "$$RANK", "$RANK", "$$RANK", "$$RANK"}));
}

TEST(Words, AnOpenQuoteIsRefused) {
  EXPECT_EQ(split_words("a \"b").error().what, "\"a \"b\" cannot be split into words: a \" is not closed");
  EXPECT_EQ(split_words("a\\").error().what, "\"a\\\" cannot be split into words: it ends with a \\");
  EXPECT_EQ(split_words("a '").error().kind, ErrorKind::usage);
}

// The shell is the judge: any text of these characters that sh can read gives the same words here.
TEST(Words, AgreesWithShOnRandomText) {
  std::mt19937 random(20240607);
  const std::string alphabet = "ab  '\"\\\n\t";
  int compared = 0;
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (int length = std::uniform_int_distribution(1, 14)(random); length > 0; --length)
      text += alphabet[random() % alphabet.size()];
    // A line break would end the command, and \ before one means something else in a shell.
    std::erase(text, '\n');
    const auto words = split_words(text);
    const auto shell = capture({.argv = {"sh", "-c", "printf '%s\\0' x " + text}}).value();
    if (!words) {
      EXPECT_TRUE(shell.status.code != 0 || text.back() == '\\') << text;
      continue;
    }
    std::string expected("x\0", 2);
    for (const std::string& word : *words) expected += word + '\0';
    EXPECT_EQ(shell.output, expected) << text;
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

TEST(Words, QuotingIsUndoneBySplitting) {
  std::mt19937 random(7);
  const std::string alphabet = "a '\"\\\n$*~#;&|<>(){}[]!`=\x01\xC3\xA9";
  for (int round = 0; round < 300; ++round) {
    Words words(1 + random() % 4);
    for (std::string& word : words)
      for (int length = static_cast<int>(random() % 6); length > 0; --length)
        word += alphabet[random() % alphabet.size()];
    Words again = split_words(quote_words(words)).value();
    for (std::string& word : again) word = expand(word);  // $$ -> $
    EXPECT_EQ(again, words);
  }
}

TEST(Words, SecretsAreKnownByTheirNames) {
  for (const char* name :
       {"WANDB_API_KEY", "hf_token", "My_Secret", "DB_PASSWORD", "PGPASSWD", "SSH_PASSPHRASE", "aws_credentials"})
    EXPECT_TRUE(is_secret_name(name)) << name;
  for (const char* name : {"PATH", "EPOCHS", "PASS"}) EXPECT_FALSE(is_secret_name(name)) << name;
}

}  // namespace
}  // namespace lockstep
