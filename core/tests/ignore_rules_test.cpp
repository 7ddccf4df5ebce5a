#include "lockstep/core/ignore_rules.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "lockstep/core/process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

bool is_out(std::string_view rules, std::string_view path, bool directory = false) {
  return IgnoreRules(rules).verdict(path, directory).value_or(false);
}

TEST(IgnoreRules, NamesMatchAtAnyDepthPathsFromTheTop) {
  EXPECT_TRUE(is_out("*.o\n", "deep/er/x.o"));
  EXPECT_TRUE(is_out("build\n", "deep/build", true));
  EXPECT_FALSE(is_out("/build\n", "deep/build", true));
  EXPECT_TRUE(is_out("doc/*.txt\n", "doc/a.txt"));
  EXPECT_FALSE(is_out("doc/*.txt\n", "doc/sub/a.txt"));
  EXPECT_FALSE(is_out("doc/*.txt\n", "x/doc/a.txt"));
}

TEST(IgnoreRules, TheLastMatchDecides) {
  const char* rules = "*.log\n!keep.log\n/keep.log\n";
  EXPECT_TRUE(is_out(rules, "a.log"));
  EXPECT_FALSE(is_out(rules, "sub/keep.log"));
  EXPECT_TRUE(is_out(rules, "keep.log"));
  EXPECT_FALSE(IgnoreRules(rules).verdict("other", false));
}

TEST(IgnoreRules, ATrailingSlashMeansFolders) {
  EXPECT_TRUE(is_out("out/\n", "a/out", true));
  EXPECT_FALSE(is_out("out/\n", "a/out", false));
}

TEST(IgnoreRules, TwoStars) {
  EXPECT_TRUE(is_out("**/foo\n", "foo"));
  EXPECT_TRUE(is_out("**/foo\n", "a/b/foo"));
  EXPECT_FALSE(is_out("**/foo\n", "a/bfoo"));
  EXPECT_TRUE(is_out("a/**/b\n", "a/b"));
  EXPECT_TRUE(is_out("a/**/b\n", "a/x/y/b"));
  EXPECT_FALSE(is_out("a/**/b\n", "a/xb"));
  EXPECT_TRUE(is_out("a/**\n", "a/x/y"));
  EXPECT_FALSE(is_out("a/**\n", "a", true));
  EXPECT_TRUE(is_out("a**/b\n", "ac/y/b"));  // git: plain text before the first special character is a part of its own
  EXPECT_FALSE(is_out("?**/b\n", "ac/y/b"));
}

TEST(IgnoreRules, LinesAsPeopleWriteThem) {
  EXPECT_TRUE(
      is_out("\xEF\xBB\xBF"
             "first\r\nlast",
             "first"));
  EXPECT_TRUE(is_out("first\r\nlast", "last"));
  EXPECT_FALSE(is_out("# comment\n", "# comment"));
  EXPECT_TRUE(is_out("\\#file\n", "#file"));
  EXPECT_TRUE(is_out("\\!file\n", "!file"));
  EXPECT_TRUE(is_out("blank   \n", "blank"));
  EXPECT_TRUE(is_out("blank\\ \n", "blank "));
  EXPECT_TRUE(is_out("a b\n", "a b"));
  EXPECT_FALSE(is_out("\n/\n!\n//\n", "a"));
}

TEST(IgnoreRules, Sets) {
  EXPECT_TRUE(is_out("x[0-9a].[!c]\n", "x7.h"));
  EXPECT_FALSE(is_out("x[0-9a].[!c]\n", "x7.c"));
  EXPECT_TRUE(is_out("[[:upper:]]*\n", "Readme"));
  EXPECT_TRUE(is_out("[]-]\n", "]"));
  EXPECT_FALSE(is_out("a[\n", "a["));
  EXPECT_FALSE(is_out("a/b[/]c\n", "a/b/c"));
}

TEST(IgnoreRules, AHostilePatternTakesNoTime) {
  std::string pattern, text(4000, 'a');
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(is_out(pattern + "b\n", text));
  EXPECT_TRUE(is_out(pattern + "\n", text));
}

TEST(IgnoreRules, TheLineForAPathLeavesOutThatPath) {
  for (const std::string path : {"plain", "a/b c", "#x", "!x", "a*[b]?\\", "end ", "a\\/b"}) {
    EXPECT_TRUE(is_out(ignore_line(path) + "\n", path)) << ignore_line(path);
    EXPECT_FALSE(is_out(ignore_line(path) + "\n", "sub/" + path)) << path;
  }
  EXPECT_EQ(ignore_line("data/"), "/data/");
  EXPECT_TRUE(is_out(ignore_line("data/"), "data", true));
}

// git itself is the judge.
class AgreesWithGit : public testing::Test {
 protected:
  void SetUp() override {
    if (!run_git({"init", "-q"})) GTEST_SKIP() << "git is not installed";
  }

  bool run_git(std::vector<std::string> arguments, std::string* output = nullptr) {
    arguments.insert(arguments.begin(), {"git", "-c", "core.excludesFile=/dev/null"});
    const auto result = capture({.argv = arguments, .directory = directory_.path()}, 30);
    if (result && output) *output = result->output;
    return result && result->status.code == 0;
  }

  std::string pick(const std::vector<std::string>& from) { return from[random_() % from.size()]; }

  // Few characters, so that patterns often match.
  std::string random_name() {
    std::string name;
    for (int i = static_cast<int>(random_() % 3); i >= 0; --i)
      name += pick({"a", "b", "ab", "B", ".", "c", " ", "#", "!", "-", "[", "]", "*", "?", "\\", "1", "\xC3\xA9"});
    return name == "." || name == ".." ? "dots" : name;
  }

  std::string random_pattern() {
    std::string pattern = random_() % 4 == 0 ? "!" : "";
    if (random_() % 4 == 0) pattern += "/";
    for (int segments = static_cast<int>(random_() % 3); segments >= 0; --segments) {
      if (random_() % 5 == 0) {
        pattern += pick({"**", "***", "*"});
      } else {
        for (int i = static_cast<int>(random_() % 3); i >= 0; --i)
          pattern += pick({"a",    "b",    "ab",       "B",          ".",      "c",     "*",           "*",
                           "**",   "?",    "[ab]",     "[!a]",       "[^b-z]", "[a-c]", "[[:alpha:]]", "[[:digit:]x]",
                           "[]a]", "[a-]", "[\\]]",    "[[:nope:]]", "[[:a]",  "\\a",   "\\*",         "\\[",
                           "\\?",  "\\\\", "\\ ",      " ",          "#",      "!",     "-",           "[",
                           "]",    "\\",   "\xC3\xA9", "\\#",        "\\!"});
      }
      if (segments > 0) pattern += pick({"/", "/", "/", "//", "\\/"});
    }
    if (random_() % 4 == 0) pattern += "/";
    if (random_() % 8 == 0) pattern += "  ";
    return pattern;
  }

  void make_tree(const fs::path& folder, int depth) {
    for (int i = static_cast<int>(2 + random_() % 4); i > 0; --i) {
      const fs::path path = folder / random_name();
      std::error_code taken;
      if (depth > 0 && random_() % 2 == 0) {
        if (fs::create_directory(path, taken)) make_tree(path, depth - 1);
      } else if (!fs::exists(path, taken)) {
        std::ofstream(path) << "x";
      }
    }
  }

  // Below `folder`, which is itself not left out, what the rules leave out: files, by walking as a snapshot does.
  void walk(const IgnoreRules& rules, const fs::path& folder, bool inside_ignored, std::set<std::string>& out) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string path = entry.path().lexically_relative(directory_.path());
      if (path == ".git" || path == ".gitignore") continue;
      const bool ignored = inside_ignored || rules.verdict(path, entry.is_directory()).value_or(false);
      if (entry.is_directory())
        walk(rules, entry.path(), ignored, out);
      else if (ignored)
        out.insert(path);
    }
  }

  TemporaryDirectory directory_;
  std::mt19937 random_{20240611};
};

TEST_F(AgreesWithGit, OnRandomTreesAndPatterns) {
  int left_out = 0, kept_rounds = 0;
  for (int round = 0; round < 300; ++round) {
    for (const auto& entry : fs::directory_iterator(directory_.path()))
      if (entry.path().filename() != ".git") fs::remove_all(entry.path());
    make_tree(directory_.path(), 3);
    std::string rules;
    for (int lines = static_cast<int>(1 + random_() % 5); lines > 0; --lines)
      rules += random_pattern() + (random_() % 9 == 0 ? "\r\n" : "\n");
    std::ofstream(directory_.path() / ".gitignore", std::ios::binary) << rules;

    std::string listing;
    ASSERT_TRUE(run_git({"ls-files", "-z", "-o", "-i", "--exclude-standard"}, &listing));
    std::set<std::string> expected, found;
    for (std::size_t begin = 0, end; (end = listing.find('\0', begin)) != std::string::npos; begin = end + 1)
      expected.insert(listing.substr(begin, end - begin));
    expected.erase(".gitignore");
    walk(IgnoreRules(rules), directory_.path(), false, found);
    ASSERT_EQ(found, expected) << "round " << round << ", rules:\n" << rules;
    left_out += static_cast<int>(expected.size());
    kept_rounds += expected.empty();
  }
  EXPECT_GT(left_out, 300);    // the patterns do match something
  EXPECT_GT(kept_rounds, 10);  // and not everything
}

}  // namespace
}  // namespace lockstep
