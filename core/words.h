// A command line as words and back, without a shell in between.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

// Splits as a POSIX shell does: blanks separate, '…' "…" and \ protect. No globs, pipes, redirections or command
// substitution: they are ordinary characters. $NAME stays as it is for expand_variables; a $ that is protected (in '…'
// or by \) becomes $$. Usage error: a quote that is not closed, a \ at the end.
Result<std::vector<std::string>> split_words(std::string_view text);

// The reverse: one line that a shell reads as these words; $ is protected too.
std::string quote_words(const std::vector<std::string>& words);

// Replaces $NAME and ${NAME} by lookup(NAME), $$ by $. A name that lookup does not know stays as it was written.
std::string expand_variables(std::string_view text,
                             const std::function<std::optional<std::string>(const std::string& name)>& lookup);

// KEY, TOKEN, SECRET, PASSWORD, PASSWD, PASSPHRASE or CREDENTIAL is part of `name`, in any case: its value is never
// written down.
bool is_secret_name(std::string_view name);
// What stands in records in place of such a value.
inline constexpr const char* kRedacted = "<redacted>";

}  // namespace lockstep
