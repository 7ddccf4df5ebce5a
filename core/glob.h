// One glob pattern as git understands them in .gitignore.
#pragma once

#include <bitset>
#include <string_view>
#include <vector>

namespace lockstep {

// *  any run of characters except /         ?  one character except /
// [a-z] [!a-z] [^a-z] [[:alpha:]]  one of a set, never /
// \c the character c                        everything else stands for itself
// In a path pattern also: **/ any number of folders, none included; /** all that is inside.
// A pattern that is not well-formed (an open [, a \ at the end) matches nothing.
class Glob {
 public:
  // whole_path: matched against a path with slashes; otherwise against one name.
  Glob(std::string_view pattern, bool whole_path);
  // Time grows with the product of both lengths, whatever the pattern.
  bool matches(std::string_view text) const;

 private:
  struct Step {
    enum Kind {
      one,      // one character of `set`
      run,      // any number of characters of `set`
      folders,  // nothing, or any text that ends in /
    } kind;
    std::bitset<256> set;
  };
  bool parse(std::string_view pattern, bool whole_path);
  std::size_t parse_stars(std::string_view pattern, std::size_t at, bool whole_path);
  std::size_t parse_set(std::string_view pattern, std::size_t at);
  std::vector<Step> steps_;
  bool valid_ = true;
};

}  // namespace lockstep
