#include "lockstep/core/conda_file.h"

#include <gtest/gtest.h>

#include <random>

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

CondaFile parse(std::string_view text) { return parse_conda_file(text, "env.yml").value(); }

TEST(CondaFile, ReadsTheTutorialsFile) {
  const CondaFile file = parse(
      "name: pytorch-env\n"
      "channels:\n"
      "    - defaults\n"
      "    - pytorch\n"
      "dependencies:\n"
      "    - python=3.6.2\n"
      "    - pytorch\n"
      "    - torchvision\n"
      "    - pip:\n"
      "        - azureml-sdk\n");
  EXPECT_EQ(file.name, "pytorch-env");
  EXPECT_EQ(file.channels, (Words{"defaults", "pytorch"}));
  EXPECT_EQ(file.python_version, "3.6.2");
  EXPECT_EQ(file.conda, (Words{"pytorch", "torchvision"}));
  EXPECT_EQ(file.pip, Words{"azureml-sdk"});
  EXPECT_TRUE(file.notices.empty());
}

// The lists at the keys' own indent, quotation marks, comments, lists in one line, Windows' line ends, a byte order
// mark.
TEST(CondaFile, ReadsTheFormsThatPeopleWrite) {
  const CondaFile file = parse(
      "\xEF\xBB\xBF---\r\n"
      "# made by hand\r\n"
      "name: 'it''s'   # a name\r\n"
      "channels: [conda-forge, \"a b\"]\r\n"
      "\r\n"
      "dependencies:\r\n"
      "- python >=3.8,<3.9\r\n"
      "- \"numpy=1.21\" # why\r\n"
      "- pip\r\n"
      "- pip=20\r\n"
      "- pip:\r\n"
      "  - torch>=1  # newest\r\n"
      "  - 'git+https://x.org/y.git#egg=y'\r\n"
      "- scipy\r\n"
      "variables:\r\n"
      "  A: 1\r\n"
      "  B: \"x: y\"\r\n"
      "prefix: /home/me/envs/x\r\n");
  EXPECT_EQ(file.name, "it's");
  EXPECT_EQ(file.channels, (Words{"conda-forge", "a b"}));
  EXPECT_EQ(file.conda, (Words{"numpy=1.21", "scipy"}));
  EXPECT_EQ(file.pip, (Words{"torch>=1", "git+https://x.org/y.git#egg=y"}));
  EXPECT_EQ(file.variables, (KeyValues{{"A", "1"}, {"B", "x: y"}}));
  EXPECT_EQ(file.python_version, "3.8");
  ASSERT_EQ(file.notices.size(), 2u);
  EXPECT_NE(file.notices[0].find("taken as python=3.8"), std::string::npos);
  EXPECT_EQ(file.notices[1], "line 18: prefix is left out: Lockstep chooses the place");
}

struct Wrong {
  const char* text;
  const char* where;
  const char* what;
};

TEST(CondaFile, SaysWhichLineIsWrong) {
  const Wrong wrongs[]{
      {"", "env.yml:1", "says nothing"},
      {"name: x\n", "env.yml:1", "without dependencies"},
      {"dependencies:\n  - a\n  -\tb\n\t- c\n", "env.yml:4", "tab"},
      {"dependencies:\n  - a\n   - b\n", "env.yml:3", "indented differently"},
      {"dependencies:\n  - a\n  b\n", "env.yml:3", "belongs to no list"},
      {"dependencies: a\n", "env.yml:1", "where a list is expected"},
      {"dependencies:\n  - conda:\n    - a\n", "env.yml:2", "only pip has a list"},
      {"dependencies:\n  - &x a\n", "env.yml:2", "begins a word with &"},
      {"dependencies:\n  - {a: b}\n", "env.yml:2", "begins a word with {"},
      {"dependencies:\n  - \"a\n", "env.yml:2", "not closed"},
      {"name: |\n  a\ndependencies:\n  - a\n", "env.yml:1", "begins a word with |"},
      {"dependencies:\n  - a\ndependencies:\n  - b\n", "env.yml:3", "a second time"},
      {"dependencies:\n  - a\n---\n", "env.yml:3", "another document"},
      {"dependencies:\n  - =1.2\n", "env.yml:2", "does not begin with a package's name"},
      {"dependencies:\n  - a ; rm\n", "env.yml:2", "where a version is expected"},
      {"dependencies:\n  - python=x\n", "env.yml:2", "which version of Python"},
      {"- a\n", "env.yml:1", "is not \"key: value\""},
      {"dependencies: [a, b\n", "env.yml:1", "without its ]"},
      {"dependencies: [a, [b]]\n", "env.yml:1", "list"},
  };
  for (const Wrong& wrong : wrongs) {
    const auto result = parse_conda_file(wrong.text, "env.yml");
    ASSERT_FALSE(result) << wrong.text;
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_EQ(result.error().where, wrong.where) << wrong.text << result.error().what;
    EXPECT_NE(result.error().what.find(wrong.what), std::string::npos) << wrong.text << result.error().what;
  }
}

// Whatever is done to a file, the answer is a file or an error with a line.
TEST(CondaFile, NoTextMakesItCrash) {
  const std::string seed =
      "name: x\nchannels: [a, 'b']\ndependencies:\n  - python=3.6\n  - \"numpy=1\"\n  - pip:\n    - "
      "torch==2\nvariables:\n  A: 'b'\n";
  const std::string letters = "-:#'\"[]{}&*!|> \n\t\\,=.ax1\0\xff";
  std::mt19937 random(7);
  int sound = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = seed;
    for (unsigned n = random() % 6; n > 0; --n) {
      const std::size_t at = random() % (text.size() + 1);
      const char letter = letters[random() % letters.size()];
      switch (random() % 3) {
        case 0:
          text.insert(at, 1, letter);
          break;
        case 1:
          if (at < text.size()) text[at] = letter;
          break;
        default:
          text.erase(at, random() % 9);
      }
    }
    const auto result = parse_conda_file(text, "f");
    sound += result ? 1 : 0;
    if (!result) {
      EXPECT_EQ(result.error().where.rfind("f:", 0), 0u);
    }
  }
  EXPECT_GT(sound, 1000);
  EXPECT_LT(sound, 19000);
}

TEST(CondaPackages, HaveAFormForPip) {
  const std::pair<const char*, const char*> forms[]{
      {"numpy", "numpy"},
      {"numpy=1.21", "numpy==1.21.*"},
      {"numpy==1.21", "numpy==1.21"},
      {"numpy=1.21.*", "numpy==1.21.*"},
      {"numpy=1.21.0=py36_0", "numpy==1.21.0"},
      {"numpy==1.21.0=py36_0", "numpy==1.21.0"},
      {"numpy 1.21", "numpy==1.21"},
      {"numpy>=1.2,<2", "numpy>=1.2,<2"},
      {"conda-forge::scikit-learn=0.24", "scikit-learn==0.24.*"},
      {"pytorch", "torch"},
      {"pytorch::pytorch=1.4", "torch==1.4.*"},
      {"cudatoolkit=10.2", ""},
      {"_libgcc_mutex", ""},
  };
  for (const auto& [conda, pip] : forms) EXPECT_EQ(pip_form(conda), pip) << conda;
}

}  // namespace
}  // namespace lockstep
