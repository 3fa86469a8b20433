// What is said of words of the command line that are no option and no command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retape::trainer {

// The message about `word`: what was meant, if that can be told, else what there is.
std::string unexpected_word(std::string_view word, const std::vector<std::string>& commands,
                            const std::vector<std::string>& options);

}  // namespace retape::trainer
