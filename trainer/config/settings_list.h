// The settings of a run as help shows them.
#pragma once

#include <string>

namespace retape::trainer {

// Every key under its table, a line of at most 80 columns each: "key = default", and what it is.
std::string settings_list();

}  // namespace retape::trainer
