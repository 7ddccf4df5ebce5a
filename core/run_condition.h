// What --where takes: "status = Failed and (params.lr < 0.01 or tags.team = vision)".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// condition := term (or term)*; term := factor (and factor)*; factor := not factor | ( condition ) | key operator
// value. Operators: = (or ==), !=, <, <=, >, >=, ~ (the value is part of it). Values with blanks stand in quotes. Two
// numbers are compared as numbers, else texts as texts, = and != without regard to case.
class RunCondition {
 public:
  // Throws Failure(usage) that says where it goes wrong.
  static RunCondition parse(std::string_view text);

  // value_of: what a run has under a key; nothing: it has none. What it has not is != everything, and no other
  // comparison holds.
  bool holds(const std::function<std::optional<std::string>(const std::string& key)>& value_of) const;

  std::vector<std::string> keys() const;

 private:
  friend class ConditionParser;
  enum class Kind { comparison, all, any, inverse };
  Kind kind_ = Kind::comparison;
  std::string key_, operator_, value_;
  std::vector<RunCondition> parts_;
};

}  // namespace lockstep
